"""The result of `make chaos` as a table, JSON and a page of the documentation."""

import json
import platform
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from fitgap.identity import versions
from fitgap_lab.chaos.kills import EPOCHS, SEEDS_PER_SWEEP, Hit

Part = dict[str, Any]

TITLES = {
    "processes": "Workers and the sweep's own process",
    "server": "The MLflow server",
}


def make_part(
    hits: Sequence[Hit],
    *,
    seed: int,
    sweeps: int,
    runs: int,
    invocations: int,
    seconds: float,
    differences: Sequence[str],
) -> Part:
    """Return a part's result as plain values, with what it was measured on."""
    return {
        "seed": seed,
        "kills": len(hits),
        "sweeps": sweeps,
        "runs": runs,
        "epochs": EPOCHS,
        "invocations": invocations,
        "seconds": round(seconds),
        "differences": list(differences),
        "machine": platform.platform(terse=True),
        "versions": versions(),
        "hits": [asdict(hit) for hit in hits],
    }


def read_json(path: Path) -> dict[str, Part]:
    """Return the parts measured before; none if there is no such file."""
    try:
        parts: dict[str, Part] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return parts


def write_json(parts: Mapping[str, Part], path: Path) -> None:
    """Write all parts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(parts, indent=1) + "\n", encoding="utf-8")


def print_part(part: Part, *, console: Console) -> None:
    """Print what was killed in what moment, and what differs in the end."""
    table = Table(box=box.SIMPLE, show_edge=False)
    table.add_column("killed")
    table.add_column("while the workers were")
    table.add_column("times", justify="right")
    for (victim, doing), number in _counted(part).items():
        table.add_row(victim, doing, str(number))
    console.print(table)
    console.print(_verdict(part), soft_wrap=True, highlight=False)
    for difference in part["differences"]:
        console.print(f"  {difference}", soft_wrap=True, highlight=False)


def to_markdown(parts: Mapping[str, Part]) -> str:
    """Return the page."""
    lines = [
        "# A sweep that is killed again and again",
        "",
        "Made by `make chaos` and `make chaos ARGS=--server` with `--docs`. A sweep on the",
        f"bundled digits ({EPOCHS} epochs a run, two architectures, {SEEDS_PER_SWEEP} seeds, two",
        "joblib workers) is hit by `kill -9` at moments drawn from a fixed seed. When its own",
        "process was killed, the same command is given again, until it ends by itself; then the",
        "next sweep begins, until no kill is left. In the end the record is compared with that of",
        "one sweep of the same runs in another database, which nobody disturbed: each run must be",
        "there once, FINISHED, with the same parameters, every metric at every step once with the",
        "same value, and one model with the same bits in all its arrays; each sweep with one",
        "parent run, FINISHED; and no checkpoint and no process may be left over.",
    ]
    for name, part in parts.items():
        used = ", ".join(f"{library} {version}" for library, version in part["versions"].items())
        lines += [
            "",
            f"## {TITLES[name]}",
            "",
            _verdict(part),
            "",
            f"Seed of the schedule: {part['seed']}. {part['machine']}, {used}.",
            "",
            "| killed | while the workers were | times |",
            "|---|---|---|",
        ]
        lines += [f"| {v} | {doing} | {number} |" for (v, doing), number in _counted(part).items()]
        if part["differences"]:
            lines += ["", "What differs:", ""]
            lines += [f"- {difference}" for difference in part["differences"]]
    return "\n".join(lines) + "\n"


def _verdict(part: Part) -> str:
    said = (
        f"{part['kills']} kills in {part['sweeps']} sweeps of {part['runs']} runs together, "
        f"{part['invocations']} invocations, {part['seconds']} s: "
    )
    number = len(part["differences"])
    return said + (f"{number} differences." if number else "every run once, the same to the bit.")


def _counted(part: Part) -> dict[tuple[str, str], int]:
    def shortened(doing: str) -> str:
        return re.sub(r"epoch \d+", "training", doing)

    pairs = ((hit["kill"]["victim"], shortened(hit["doing"])) for hit in part["hits"])
    return dict(sorted(Counter(pairs).items()))

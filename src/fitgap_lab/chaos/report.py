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
        "This page shows that a sweep which is killed many times records the same results as one",
        "that is never disturbed. It was made by `make chaos ARGS=--docs` and",
        '`make chaos ARGS="--server --docs"`.',
        "",
        f"The sweep trains two architectures with {SEEDS_PER_SWEEP} seeds each on the bundled",
        f"digits, {EPOCHS} epochs a run, with two joblib workers. Its processes are ended by",
        "`kill -9` at moments that are drawn from a fixed seed. If the sweep's own process was",
        "killed, the same command is given again, until the sweep ends by itself. Then the next",
        "sweep begins, until all kills are used.",
        "",
        "At the end, the record is compared with that of one undisturbed sweep of the same runs",
        "in another database:",
        "",
        "- each run is there once and is FINISHED;",
        "- its parameters are the same, and every metric has the same value at every step, once;",
        "- it has one model, with the same bits in all arrays;",
        "- each sweep has one parent run, which is FINISHED;",
        "- no checkpoint and no process is left over.",
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
    start = (
        f"Kills: {part['kills']}; sweeps: {part['sweeps']}; runs: {part['runs']}; commands: "
        f"{part['invocations']}; time: {part['seconds']} s. "
    )
    number = len(part["differences"])
    if number:
        return f"{start}Differences: {number}."
    return f"{start}Every run is recorded once, and the results are the same to the bit."


def _counted(part: Part) -> dict[tuple[str, str], int]:
    def shortened(doing: str) -> str:
        return re.sub(r"epoch \d+", "training", doing)

    pairs = ((hit["kill"]["victim"], shortened(hit["doing"])) for hit in part["hits"])
    return dict(sorted(Counter(pairs).items()))

"""Measure this project against plain Keras, and what its commands, views and memory take.

All but the grid and the bounds take about half an hour together, most of it the sweep's; the grid
as much again, the bounds some minutes. The machine should do nothing else. Nothing is written but
the results: every record lies in a temporary folder.
"""

import argparse
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from fitgap.commands.exit_codes import run_command
from fitgap.config.project import CHECKOUT
from fitgap.errors import RequestError
from fitgap_lab.arguments import count
from fitgap_lab.benchmark import bounds, growth, measure, report, single, startup
from fitgap_lab.benchmark.processes import machine_cores
from fitgap_lab.benchmark.report import PARTS, Part
from fitgap_lab.benchmark.tables import Result

# What takes long or measures other parts again is measured only if it is asked for.
DEFAULT_PARTS = tuple(part for part in PARTS if part not in ("grid", "bounds"))
# Each part once, on so little data that its figures say nothing: to see that it works.
SHORT = {"rounds": 1, "images": 3200, "sweep_rounds": 1, "sweep_runs": 1, "memory_runs": 3}
COMPARED = 100_000  # so many runs are compared, and not reported
DOCS = CHECKOUT / "docs" / "BENCHMARKS.md"


def main() -> None:
    """Read the command line, measure part by part, show and keep what came out."""
    arguments = _parse()
    output: Path = arguments.output
    # Everything a person can have got wrong comes before the measuring.
    parts = report.read_json(output)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(f"--output {output}: {error.strerror}") from error
    jax_python = _jax_python(arguments.jax_python) if "epochs" in arguments.only else None

    console = Console()
    for name in arguments.only:
        load = os.getloadavg()[0]
        if load > machine_cores() / 2:
            measure.say(f"note: the machine is busy (load average {load:.1f})")
        with tempfile.TemporaryDirectory(prefix="fitgap-bench-") as folder:
            results = _measures(arguments, Path(folder), jax_python)[name]()
        notes = []
        if name == "epochs" and jax_python is None:
            notes.append("JAX cannot be imported here, so its scan was not measured.")
        part = report.make_part(name, results, command=_command(), load=load, notes=notes)
        parts[name] = part
        report.print_part(part, console=console)
        _write(parts, name, output=output, docs=arguments.docs)
    print(f"\nwritten: {output}{f' and {DOCS}' if arguments.docs else ''}")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only",
        type=_parts,
        default=DEFAULT_PARTS,
        metavar="LIST",
        help=f"parts to measure: {','.join(PARTS)} (all but grid and bounds)",
    )
    parser.add_argument(
        "--rounds",
        type=count,
        default=3,
        metavar="N",
        help="rounds of each comparison (%(default)s)",
    )
    parser.add_argument(
        "--images", type=count, metavar="N", help="images of epochs, grid and bounds (48000)"
    )
    parser.add_argument(
        "--sweep-rounds",
        type=count,
        default=3,
        metavar="N",
        help="rounds of the sweep (%(default)s)",
    )
    parser.add_argument(
        "--sweep-runs",
        type=count,
        default=3,
        metavar="N",
        help="runs of the plain loops; their time is scaled up to 24 (%(default)s)",
    )
    parser.add_argument(
        "--memory-runs",
        type=count,
        default=1000,
        metavar="N",
        help="runs in one process (%(default)s)",
    )
    parser.add_argument(
        "--jax-python", metavar="PATH", help="a Python interpreter with JAX (this one)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("reports/bench.json"),
        metavar="FILE",
        help="file of results; new parts replace old ones (%(default)s)",
    )
    parser.add_argument(
        "--docs", action="store_true", help=f"write the measured parts into {DOCS.name}"
    )
    parser.add_argument(
        "--short",
        action="store_true",
        help="run each part once on little data, to see whether it works",
    )
    arguments = parser.parse_args()
    if arguments.short:
        vars(arguments).update(SHORT)
    return arguments


def _measures(
    arguments: argparse.Namespace, folder: Path, jax_python: str | None
) -> dict[str, Callable[[], Sequence[Result]]]:
    rounds, images = arguments.rounds, arguments.images
    dataset = (None if arguments.short else measure.real_dataset()) or "digits"
    return {
        "epochs": lambda: measure.measure_epochs(
            measure.CASES,
            rounds=rounds,
            folder=folder,
            limit=images,
            jax_python=jax_python,
            tuned=True,
        ),
        "grid": lambda: measure.measure_epochs(
            measure.grid_cases(), rounds=rounds, folder=folder, limit=images
        ),
        "sweep": lambda: [
            measure.measure_sweep(
                rounds=arguments.sweep_rounds,
                runs=arguments.sweep_runs,
                dataset=dataset,
                folder=folder,
            )
        ],
        "single": lambda: [single.measure_single(rounds=rounds, dataset=dataset, folder=folder)],
        "tracking": lambda: [
            measure.measure_tracking(rounds=rounds, dataset=dataset, folder=folder)
        ],
        "metrics": lambda: [measure.measure_metrics(rounds=rounds, dataset=dataset, folder=folder)],
        "startup": lambda: startup.measure_startup(rounds=rounds, folder=folder),
        "views": lambda: [
            growth.measure_views(runs, rounds=rounds, folder=folder, report=runs < COMPARED)
            for runs in ((100,) if arguments.short else (10_000, COMPARED))
        ],
        "bounds": lambda: [
            bounds.measure_bounds(rounds=rounds, dataset=dataset, folder=folder, limit=images)
        ],
        "memory": lambda: [measure.measure_memory(runs=arguments.memory_runs, folder=folder)],
    }


def _jax_python(wanted: str | None) -> str | None:
    """Return an interpreter that has JAX, or None if none was asked for and this one has not."""
    python = wanted or sys.executable
    if measure.find_jax(python):
        return python
    if wanted is not None:
        raise RequestError(f"--jax-python {wanted}: cannot import jax")
    return None


def _write(parts: dict[str, Part], measured: str, *, output: Path, docs: bool) -> None:
    in_order = {name: parts[name] for name in PARTS if name in parts}
    output.write_text(report.to_json(in_order), encoding="utf-8")
    if docs:
        DOCS.parent.mkdir(exist_ok=True)
        page = DOCS.read_text(encoding="utf-8") if DOCS.exists() else ""
        page = report.to_markdown(in_order, page=page, measured=[measured])
        DOCS.write_text(page, encoding="utf-8")


def _command() -> str:
    """Return what a person types to measure the same; where files lie is their own matter."""
    words = ["python", "scripts/bench.py", *sys.argv[1:]]
    for option, placeholder in (("--jax-python", "PATH"), ("--output", "FILE")):
        for i, word in enumerate(words):
            if word == option:
                words[i + 1] = placeholder
            elif word.startswith(f"{option}="):
                words[i] = f"{option}={placeholder}"
    return shlex.join(words)


def _parts(text: str) -> tuple[str, ...]:
    asked = text.split(",")
    unknown = [name for name in asked if name not in PARTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(PARTS)}")
    return tuple(name for name in PARTS if name in asked)


if __name__ == "__main__":
    run_command(main)

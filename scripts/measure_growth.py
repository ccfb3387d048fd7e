"""Measure how the cost of a comparison and a report grows with the number of runs."""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from fitgap.commands.exit_codes import run_command
from fitgap.errors import RequestError
from fitgap.report import text_tables
from fitgap_lab.benchmark import generated_runs

SCRIPTS = Path(__file__).resolve().parent
START, END = "<!-- growth: start -->", "<!-- growth: end -->"
SIZES = [100, 1000, 10_000]
HEADER = ("runs", "database MB", "compare s", "compare MB", "report s", "report MB", "page MB")


def main() -> None:
    """Read the command line, measure, print the table, and put it into a document if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--runs",
        type=int,
        nargs="+",
        default=[100, 1000, 10_000],
        metavar="N",
        help="(%(default)s)",
    )
    parser.add_argument(
        "--rounds", type=int, default=3, metavar="N", help="the fastest of so many (%(default)s)"
    )
    parser.add_argument(
        "--docs", type=Path, metavar="PATH", help="document whose table is to be replaced"
    )
    arguments = parser.parse_args()
    if min(*arguments.runs, arguments.rounds) < 1:
        raise RequestError("--runs and --rounds must be 1 or more")
    text = arguments.docs.read_text(encoding="utf-8") if arguments.docs else ""
    if arguments.docs and not (START in text and END in text):
        raise RequestError(f"--docs {arguments.docs} has no lines {START} and {END}")
    rows = [_measured(runs, rounds=arguments.rounds) for runs in arguments.runs]
    table = text_tables.to_markdown(HEADER, rows)
    print(table, end="")
    if arguments.docs:
        before, after = text.partition(START)[0], text.partition(END)[2]
        arguments.docs.write_text(f"{before}{START}\n{table}{END}{after}", encoding="utf-8")


def _measured(runs: int, *, rounds: int) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="fitgap-") as folder:
        database, page = Path(folder) / "mlflow.db", Path(folder) / "report.html"
        # In a process of its own: a child's largest memory counts what its parent had at the fork.
        made = ["generate_runs.py", "--runs", str(runs), "--database", str(database)]
        _cost(made)
        source = ["--experiment", generated_runs.EXPERIMENT, "--uri", f"sqlite:///{database}"]
        compared = min(_cost(["compare.py", *source]) for _ in range(rounds))
        reported = min(_cost(["report.py", *source, "--output", str(page)]) for _ in range(rounds))
        sizes = [path.stat().st_size / 1e6 for path in (database, page)]
    return [
        f"{runs:,}",
        f"{sizes[0]:.1f}",
        *(f"{figure:.{decimals}f}" for figure, decimals in zip(compared, (1, 0), strict=True)),
        *(f"{figure:.{decimals}f}" for figure, decimals in zip(reported, (1, 0), strict=True)),
        f"{sizes[1]:.1f}",
    ]


def _cost(command: Sequence[str]) -> tuple[float, float]:
    """Return a script's wall time in seconds and its largest memory in MB."""
    script, *arguments = command
    start = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603 (our own scripts)
        [sys.executable, str(SCRIPTS / script), *arguments], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RequestError(f"{script} ended with {process.returncode}")
    unit = 1e6 if sys.platform == "darwin" else 1e3  # bytes there, kilobytes on Linux
    return seconds, usage.ru_maxrss / unit


if __name__ == "__main__":
    run_command(main)

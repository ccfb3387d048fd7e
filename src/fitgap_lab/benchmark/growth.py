"""What a comparison and a report cost, by the number of runs: time and memory of whole commands."""

import os
import subprocess
import sys
import time
from pathlib import Path

from fitgap_lab.benchmark import generated_runs
from fitgap_lab.benchmark.processes import PROJECT_ROOT, BenchmarkError
from fitgap_lab.benchmark.results import ViewCosts


def measure_views(runs: int, *, rounds: int, folder: Path, report: bool = True) -> ViewCosts:
    """Make a database of made-up runs, and compare and report them.

    Parameters
    ----------
    runs
        How many.
    rounds
        The fastest of so many counts.
    folder
        For the database and the page, which are removed again.
    report
        Whether to report them, too.

    Raises
    ------
    BenchmarkError
        If a command fails.
    """
    database, page = folder / f"{runs}.db", folder / f"{runs}.html"
    # In a process of its own: a child's largest memory counts what its parent had at the fork.
    _cost("generate_runs.py", "--runs", str(runs), "--database", str(database))
    source = ["--experiment", generated_runs.EXPERIMENT, "--uri", f"sqlite:///{database}"]
    compared = min(_cost("compare.py", *source) for _ in range(rounds))
    reported = None
    if report:
        to_page = [*source, "--output", str(page)]
        reported = min(_cost("report.py", *to_page) for _ in range(rounds))
    costs = ViewCosts(
        runs=runs,
        database_megabytes=database.stat().st_size / 1e6,
        compare=compared,
        report=reported,
        page_megabytes=page.stat().st_size / 1e6 if report else None,
    )
    database.unlink()
    page.unlink(missing_ok=True)
    return costs


def _cost(script: str, *arguments: str) -> tuple[float, float]:
    """Return a script's wall time in seconds and its largest memory in MB."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, str(PROJECT_ROOT / "scripts" / script), *arguments],
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise BenchmarkError(f"{script} ended with {process.returncode}")
    unit = 1e6 if sys.platform == "darwin" else 1e3  # bytes there, kilobytes on Linux
    return seconds, usage.ru_maxrss / unit

"""Time naive loops, vectorised NumPy and Keras on the same arrays, and print the ratios."""

import argparse
import platform
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from fitgap.commands import exit_codes
from fitgap.config.project import CHECKOUT
from fitgap_lab import pages
from fitgap_lab.verification.naive_speed import Speed, measure

HEADERS = ("operation", "shapes", "loops", "NumPy", "Keras", "loops/NumPy", "loops/Keras")


def main() -> None:
    """Read the command line, measure, print, and write the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", action="store_true", help="write docs/NAIVE_AGAINST_FAST.md")
    arguments = parser.parse_args()

    console = Console()
    speeds = []
    with console.status("") as status:
        for speed in measure():
            speeds.append(speed)
            status.update(f"{speed.operation} done")
    table = Table(box=None, padding=(0, 1, 0, 0))
    for number, header in enumerate(HEADERS):
        table.add_column(header, justify="left" if number < 2 else "right")
    for speed in speeds:
        table.add_row(*_cells(speed))
    console.print(table)
    if arguments.docs:
        page = CHECKOUT / "docs" / "NAIVE_AGAINST_FAST.md"
        page.write_text(_markdown(speeds))
        print(f"written to {page}")


def _cells(speed: Speed) -> tuple[str, ...]:
    return (
        speed.operation,
        speed.shapes,
        _duration(speed.naive_seconds),
        _duration(speed.numpy_seconds),
        _duration(speed.keras_seconds),
        _ratio(speed.naive_to_numpy),
        _ratio(speed.naive_to_keras),
    )


def _duration(seconds: float) -> str:
    for unit, name in ((1, "s"), (1e-3, "ms")):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds * 1e6:.3g} µs"


def _ratio(ratio: float) -> str:
    return f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.1f}"


def _markdown(speeds: Sequence[Speed]) -> str:
    lines = [
        "# Naive loops against vectorised NumPy and Keras",
        "",
        "This page compares the time that one operation takes as a Python loop, in NumPy and in "
        "Keras. The figures are processor time for one call, the median of five samples, on one "
        "thread, in float32. `python scripts/bench_naive.py` measured them "
        f"({platform.machine()}, Python {platform.python_version()}, {pages.versions()}).",
        "",
        "The loops are those of `fitgap_lab.verification.naive`. All three ways give the same "
        "result up to rounding. In each step of a loop, Python makes an object for each number "
        "and looks up what `*` means for it. NumPy does this once for the whole array; compiled "
        "code then multiplies several numbers at a time. Keras is called from Python here, one "
        "operation at a time, and each call also costs Keras's own bookkeeping, about a "
        "millisecond for some operations. So on arrays of this size Keras is slower than NumPy, "
        "and on two short vectors even slower than the loop. Inside a compiled training step this "
        "cost does not exist.",
        "",
        pages.table(HEADERS, map(_cells, speeds), words=(0, 1)),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    exit_codes.run_command(main)

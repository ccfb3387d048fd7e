"""Measure how the cost of a comparison and a report grows with the number of runs."""

import argparse
import tempfile
from pathlib import Path

from fitgap.commands.exit_codes import run_command
from fitgap.errors import RequestError
from fitgap.trust import text_tables
from fitgap_lab import pages
from fitgap_lab.arguments import count
from fitgap_lab.benchmark import growth, tables


def main() -> None:
    """Read the command line, measure, print the table, and put it into a document if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--runs",
        type=count,
        nargs="+",
        default=[100, 1000, 10_000],
        metavar="N",
        help="(%(default)s)",
    )
    parser.add_argument(
        "--rounds",
        type=count,
        default=3,
        metavar="N",
        help="rounds, of which the fastest counts (%(default)s)",
    )
    parser.add_argument(
        "--docs", type=Path, metavar="PATH", help="document whose table is replaced"
    )
    arguments = parser.parse_args()
    start, end = pages.marks("growth")
    text = arguments.docs.read_text(encoding="utf-8") if arguments.docs else ""
    if arguments.docs and not (start in text and end in text):
        raise RequestError(f"--docs {arguments.docs} has no lines {start} and {end}")
    with tempfile.TemporaryDirectory(prefix="fitgap-") as name:
        costs = [
            growth.measure_views(runs, rounds=arguments.rounds, folder=Path(name))
            for runs in arguments.runs
        ]
    measured = tables.views_table(costs)
    table = text_tables.to_markdown(measured.columns, measured.rows)
    print(table, end="")
    if arguments.docs:
        pages.replace_table(arguments.docs, "growth", table)


if __name__ == "__main__":
    run_command(main)

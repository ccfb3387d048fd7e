"""Compare an experiment's finished runs: which settings generalise, and how sure that is."""

import argparse
import sys

from rich.console import Console

from fitgap import store
from fitgap.cli import run_command
from fitgap.comparison import compare_experiment
from fitgap.reporting import print_table, to_csv, to_json


def main() -> None:
    """Read the command line, compare, and print in the form asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--experiment", default="fitgap", metavar="NAME", help="MLflow experiment (%(default)s)"
    )
    parser.add_argument(
        "--sort", metavar="METRIC", help="rank by this metric's mean (val/accuracy)"
    )
    parser.add_argument(
        "--format", choices=("table", "csv", "json"), default="table", help="(%(default)s)"
    )
    parser.add_argument(
        "--limit",
        type=_count,
        default=50,
        metavar="N",
        help="rows of a table; 0: all (%(default)s)",
    )
    parser.add_argument(
        "--uri", help="MLflow store ($MLFLOW_TRACKING_URI, else mlflow.db of this project)"
    )
    arguments = parser.parse_args()

    comparison = compare_experiment(
        store.resolve_uri(arguments.uri), experiment=arguments.experiment, sort=arguments.sort
    )
    if arguments.format == "table":
        print_table(comparison, console=Console(), limit=arguments.limit or None)
        return
    sys.stdout.write(to_json(comparison) if arguments.format == "json" else to_csv(comparison))
    for note in comparison.notes:
        print(f"note: {note}", file=sys.stderr)


def _count(text: str) -> int:
    count = int(text)
    if count < 0:
        raise argparse.ArgumentTypeError(f"must be 0 or more, got {count}")
    return count


if __name__ == "__main__":
    run_command(main)

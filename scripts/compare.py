"""Compare an experiment's finished runs: which settings generalise, and how sure that is."""

import argparse
import sys

from rich.console import Console

from fitgap.commands import query_options
from fitgap.commands.exit_codes import run_command
from fitgap.comparison.groups import compare_experiment
from fitgap.report import terminal_details
from fitgap.report.terminal import print_table, to_csv, to_json, to_markdown


def main() -> None:
    """Read the command line, compare, and print in the form asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    query_options.add_options(parser)
    parser.add_argument(
        "--format",
        choices=("table", "csv", "json", "markdown"),
        default="table",
        help="(%(default)s)",
    )
    parser.add_argument(
        "--limit",
        type=_count,
        default=50,
        metavar="N",
        help="rows of a table; 0: all (%(default)s)",
    )
    view = parser.add_mutually_exclusive_group()
    view.add_argument(
        "--verdicts",
        action="store_true",
        help="instead of the ranking: gap, epoch it opens after, verdict, Pareto front",
    )
    view.add_argument(
        "--effects",
        action="store_true",
        help="instead of the ranking: which settings move accuracy and gap most",
    )
    arguments = parser.parse_args()
    _show(arguments)


def _show(arguments: argparse.Namespace) -> None:
    uri, form, limit = query_options.uri_of(arguments), arguments.format, arguments.limit or None
    comparison = compare_experiment(
        uri, experiment=arguments.experiment, query=query_options.query_of(arguments)
    )
    if arguments.verdicts or arguments.effects:
        if form == "table" and arguments.verdicts:
            terminal_details.print_gaps(comparison, uri=uri, console=Console(), limit=limit)
        elif form == "table":
            terminal_details.print_effects(comparison, console=Console())
        elif arguments.verdicts:
            sys.stdout.write(
                terminal_details.gaps_text(comparison, uri=uri, form=form, limit=limit)
            )
        else:
            sys.stdout.write(terminal_details.effects_text(comparison, form=form))
    elif form == "table":
        print_table(comparison, console=Console(), limit=limit)
    elif form == "markdown":
        sys.stdout.write(to_markdown(comparison, limit=limit))
    else:
        sys.stdout.write(to_json(comparison) if form == "json" else to_csv(comparison))
    if form in ("csv", "json"):
        for note in comparison.notes:
            print(f"note: {note}", file=sys.stderr)


def _count(text: str) -> int:
    count = int(text)
    if count < 0:
        raise argparse.ArgumentTypeError(f"must be 0 or more, got {count}")
    return count


if __name__ == "__main__":
    run_command(main)

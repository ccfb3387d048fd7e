"""``fitgap compare``: rank an experiment's finished runs."""

import sys
from typing import TYPE_CHECKING

import click

from fitgap.commands import options
from fitgap.console import warn

if TYPE_CHECKING:
    from fitgap.comparison.groups import Comparison
    from fitgap.comparison.query import Query


@click.command("compare", cls=options.QueryCommand)
@options.query
@options.form("table", "csv", "json", "markdown")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=50,
    show_default=True,
    metavar="N",
    help="Number of rows in the table; 0: all.",
)
@click.option(
    "--verdicts",
    is_flag=True,
    help="Instead of the ranking: gap, the epoch after which it opens, verdict, Pareto front.",
)
@click.option(
    "--effects",
    is_flag=True,
    help="Instead of the ranking: which settings move the metric and the gap most.",
)
@click.option(
    "--variance",
    is_flag=True,
    help="Instead of the ranking: how much of the scatter comes from seed, split and images.",
)
@click.option(
    "--explain",
    is_flag=True,
    help="Explain below a table how its figures, intervals, tests and verdicts are computed.",
)
def command(
    *,
    uri: str,
    experiment: str,
    query: "Query",
    form: str,
    limit: int,
    verdicts: bool,
    effects: bool,
    variance: bool,
    explain: bool,
) -> None:
    """Compare an experiment's finished runs: which settings generalise, and how certain that is."""
    if verdicts + effects + variance > 1:
        raise click.UsageError("--verdicts, --effects and --variance are views: choose one")
    from fitgap.comparison.ranking import compare_experiment

    comparison = compare_experiment(uri, experiment=experiment, query=query)
    rows = limit or None
    if verdicts:
        _show_verdicts(comparison, uri=uri, form=form, limit=rows, explain=explain)
    elif effects:
        _show_effects(comparison, form=form, explain=explain)
    elif variance:
        _show_variance(comparison, form=form, explain=explain)
    else:
        _show_ranking(comparison, form=form, limit=rows, explain=explain)
    if form in ("csv", "json"):
        for note in comparison.notes:
            warn(f"note: {note}")


def _show_ranking(comparison: "Comparison", *, form: str, limit: int | None, explain: bool) -> None:
    from rich.console import Console

    from fitgap.report.terminal import print_table, to_csv, to_json, to_markdown

    if form == "table":
        print_table(comparison, console=Console(), limit=limit, explain=explain)
    elif form == "markdown":
        sys.stdout.write(to_markdown(comparison, limit=limit))
    else:
        sys.stdout.write(to_json(comparison) if form == "json" else to_csv(comparison))


def _show_verdicts(
    comparison: "Comparison", *, uri: str, form: str, limit: int | None, explain: bool
) -> None:
    from rich.console import Console

    from fitgap.report import terminal_details

    if form == "table":
        terminal_details.print_gaps(
            comparison, uri=uri, console=Console(), limit=limit, explain_rule=explain
        )
    else:
        sys.stdout.write(terminal_details.gaps_text(comparison, uri=uri, form=form, limit=limit))


def _show_effects(comparison: "Comparison", *, form: str, explain: bool) -> None:
    from rich.console import Console

    from fitgap.report import terminal_details

    if form == "table":
        terminal_details.print_effects(comparison, console=Console(), explain_rule=explain)
    else:
        sys.stdout.write(terminal_details.effects_text(comparison, form=form))


def _show_variance(comparison: "Comparison", *, form: str, explain: bool) -> None:
    from rich.console import Console

    from fitgap.report import terminal_details

    if form == "table":
        terminal_details.print_variance(comparison, console=Console(), explain_rule=explain)
    else:
        sys.stdout.write(terminal_details.variance_text(comparison, form=form))

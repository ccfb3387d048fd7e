"""``fitgap compare``: rank an experiment's finished runs."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

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
    help="Instead of the ranking: which settings change the metric and the gap most.",
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
        _show_view("gaps", comparison, form=form, explain=explain, uri=uri, limit=rows)
    elif effects:
        _show_view("effects", comparison, form=form, explain=explain)
    elif variance:
        _show_view("variance", comparison, form=form, explain=explain)
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


def _show_view(
    view: str, comparison: "Comparison", *, form: str, explain: bool, **chosen: Any
) -> None:
    """Print what is asked for instead of the ranking; ``chosen`` is more that the view takes."""
    from rich.console import Console

    from fitgap.report import terminal_details as details

    views: dict[str, tuple[Callable[..., None], Callable[..., str]]] = {
        "gaps": (details.print_gaps, details.gaps_text),
        "effects": (details.print_effects, details.effects_text),
        "variance": (details.print_variance, details.variance_text),
    }
    print_view, text_of_view = views[view]
    if form == "table":
        print_view(comparison, console=Console(), explain_rule=explain, **chosen)
    else:
        sys.stdout.write(text_of_view(comparison, form=form, **chosen))

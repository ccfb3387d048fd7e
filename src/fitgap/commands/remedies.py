"""``fitgap remedies``: the effect of each remedy of a sweep=remedies."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fitgap.commands import options
from fitgap.console import say

if TYPE_CHECKING:
    from rich.table import Table

    from fitgap.comparison.remedies import RemedyEffects


@click.command("remedies")
@options.experiment
@options.sweep_of("remedies")
@options.uri
@options.output_folder("remedies")
def command(*, uri: str, experiment: str, sweep: str | None, output: Path) -> None:
    """Show the effect of each remedy of a sweep=remedies: table, picture, largest gain first."""
    from rich.console import Console
    from rich.text import Text

    from fitgap.comparison import remedies, sweep_results

    results = sweep_results.read(
        uri, experiment=experiment, setting=remedies.SETTING, sweep=sweep, start=remedies.START
    )
    found = remedies.effects(results.runs)
    title = sweep_results.title(results)
    console = Console()
    console.print(Text(title, style="bold"))
    console.print(_table(found))
    for note in remedies.notes(found, missing=results.missing):
        console.print(Text(note))
    text = remedies.to_markdown(found, title=title, missing=results.missing)

    from fitgap.report import remedies_chart

    picture = remedies_chart.draw(found, title=title)
    sweep_results.write(results, output, name="remedies", text=text, picture=picture)
    say(f"written: {output}/remedies.md, remedies.png, remedies.svg")


def _table(found: "RemedyEffects") -> "Table":
    from rich.table import Table
    from rich.text import Text

    from fitgap.evaluation.figures import figure_text, with_half_width

    table = Table(box=None)
    table.add_column("remedy", no_wrap=True)
    for part in ("val", "gap"):
        table.add_column(Text(f"Δ {part}/{found.metric.name}"), justify="right", no_wrap=True)
    table.add_column("n", justify="right")
    table.add_column("")
    for one in found.rows:
        figures = (
            [figure_text(one.val.mean), figure_text(one.gap.mean, sign="+")]
            if one is found.baseline
            else [
                with_half_width(change.mean, change.half_width, sign="+")
                for change in (one.val_change, one.gap_change)
            ]
        )
        table.add_row(Text(one.remedy), *map(Text, figures), str(one.val.n), one.verdict)
    return table

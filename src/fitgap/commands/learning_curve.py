"""``fitgap learning-curve``: what more training data would bring."""

from pathlib import Path

import click

from fitgap.commands import options
from fitgap.console import say


@click.command("learning-curve")
@options.experiment
@options.sweep_of("learning_curve")
@options.uri
@options.output_folder("learning_curve")
def command(*, uri: str, experiment: str, sweep: str | None, output: Path) -> None:
    """Predict what more training samples would bring, from a sweep=learning_curve."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from fitgap.comparison import learning_curve, learning_curve_text, sweep_results
    from fitgap.evaluation.figures import with_half_width

    results = sweep_results.read(
        uri,
        experiment=experiment,
        setting=learning_curve.SETTING,
        sweep=sweep,
        start=learning_curve.START,
    )
    found = learning_curve.curve(results.runs)
    forecast = learning_curve.forecast(found)
    title = sweep_results.title(results)
    console = Console()
    console.print(Text(title, style="bold"))
    table = Table(box=None)
    columns = learning_curve.columns_of(found.metric)[:2]
    for heading in ("samples", *columns, "n"):
        table.add_column(Text(heading), justify="right")
    for point in found.points:
        scores = [point.scores[name] for name in columns]
        figures = (with_half_width(one.mean, one.half_width) for one in scores)
        table.add_row(f"{point.samples:,}", *figures, str(len(point.errors)))
    console.print(table)
    for sentence in learning_curve_text.in_words(found, forecast):
        console.print(Text(sentence))
    for note in learning_curve_text.notes(found, missing=results.missing):
        console.print(Text(f"Note: {note}"))
    text = learning_curve_text.to_markdown(found, forecast, title=title, missing=results.missing)

    from fitgap.report import learning_curve_chart

    picture = learning_curve_chart.draw(found, forecast, title=title)
    sweep_results.write(results, output, name="learning_curve", text=text, picture=picture)
    say(f"written: {output}/learning_curve.md, learning_curve.png, learning_curve.svg")

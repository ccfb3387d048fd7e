"""Say what more training images would be worth, from a sweep=learning_curve."""

import argparse

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fitgap.commands import query_options
from fitgap.commands.exit_codes import run_command
from fitgap.comparison import learning_curve, sweep_results


def main() -> None:
    """Read the command line, fit, print the answer, and write the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    query_options.add_sweep_options(parser, preset="learning_curve")
    arguments = parser.parse_args()

    results = sweep_results.read(
        query_options.uri_of(arguments),
        experiment=arguments.experiment,
        setting="split.train_fraction",
        sweep=arguments.sweep,
        start=learning_curve.START,
    )
    found = learning_curve.points(results.runs)
    told = learning_curve.forecast(found)
    title = sweep_results.title(results)
    console = Console()
    console.print(Text(title, style="bold"))
    table = Table(box=None)
    for heading in ("images", "train/accuracy", "val/accuracy", "n"):
        table.add_column(heading, justify="right")
    for point in found:
        scores = [point.scores[name] for name in ("train/accuracy", "val/accuracy")]
        figures = map(learning_curve.with_interval, scores)
        table.add_row(f"{point.images:,}", *figures, str(len(point.errors)))
    console.print(table)
    for sentence in learning_curve.in_words(found, told):
        console.print(Text(sentence))
    for note in learning_curve.notes(missing=results.missing):
        console.print(Text(f"Note: {note}"))
    text = learning_curve.to_markdown(found, told, title=title, missing=results.missing)

    from fitgap.report import learning_curve_chart

    figure = learning_curve_chart.draw(found, told, title=title)
    sweep_results.write(results, arguments.output, name="learning_curve", text=text, figure=figure)
    where = arguments.output
    print(f"written: {where}/learning_curve.md, learning_curve.png, learning_curve.svg")


if __name__ == "__main__":
    run_command(main)

"""Say what each remedy of a sweep=remedies brought: table, picture, best trade first."""

import argparse

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fitgap.commands import query_options
from fitgap.commands.exit_codes import run_command
from fitgap.comparison import remedies, sweep_results
from fitgap.comparison.remedies import BASELINE, Effect


def main() -> None:
    """Read the command line, compare with the baseline, print, and write the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    query_options.add_sweep_options(parser, preset="remedies")
    arguments = parser.parse_args()

    results = sweep_results.read(
        query_options.uri_of(arguments),
        experiment=arguments.experiment,
        setting="remedy",
        sweep=arguments.sweep,
        start=remedies.START,
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

    figure = remedies_chart.draw(found, title=title)
    sweep_results.write(results, arguments.output, name="remedies", text=text, figure=figure)
    print(f"written: {arguments.output}/remedies.md, remedies.png, remedies.svg")


def _table(found: list[Effect]) -> Table:
    table = Table(box=None)
    table.add_column("remedy", no_wrap=True)
    for heading in ("Δ val/accuracy", "Δ gap/accuracy"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("n", justify="right")
    table.add_column("")
    for one in found:
        is_baseline = one.remedy == BASELINE
        figures = (
            [f"{one.val.mean:.4f}", f"{one.gap.mean:+.4f}"]
            if is_baseline
            else [
                remedies.points(one.val_change, short=True),
                remedies.points(one.gap_change, short=True),
            ]
        )
        table.add_row(Text(one.remedy), *map(Text, figures), str(one.val.n), one.verdict)
    return table


if __name__ == "__main__":
    run_command(main)

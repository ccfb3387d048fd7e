"""Draw a comparison or a run as a picture: SVG, PNG, PDF, or an interactive page."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fitgap.commands import options

if TYPE_CHECKING:
    from fitgap.report.drawing import ThemeName

KINDS = ("curves", "gap", "parallel", "matrix")


def _size(_context: click.Context, _option: click.Parameter, text: str | None) -> object:
    if text is None:
        return None
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and 50 <= int(width) <= 4000):
        raise click.BadParameter(f"must be WIDTHxHEIGHT as 560x320, got {text}")
    return int(width), int(height)


@click.command(name="plot", epilog="Example: fitgap plot curves -o curves.svg --metric loss")
@click.argument("kind", type=click.Choice(KINDS), metavar="KIND")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where to; the ending says what: .svg, .png, .pdf or .html (reports/KIND.svg).",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME",
    help="As accuracy or loss; may be repeated (the metric that is ranked by; curves: and loss).",
)
@click.option(
    "--x",
    type=click.Choice(("epochs", "images", "seconds")),
    default="epochs",
    show_default=True,
    help="What curves run over.",
)
@click.option(
    "--log",
    type=click.Choice(("x", "y", "xy")),
    default=None,
    help="Which axes of the curves are logarithmic.",
)
@click.option("--setting", "settings", multiple=True, help="Of a matrix: given twice.")
@click.option("--title", default="", help="Said above the picture.")
@click.option(
    "--size", callback=_size, metavar="WxH", help="Of the chart, in 1/96 inch, as 560x320."
)
@click.option("--dpi", type=click.IntRange(30, 1200), default=200, show_default=True)
@click.option("--theme", type=click.Choice(("light", "dark")), default="light", show_default=True)
@options.experiment
@options.sort
@options.where
@options.by
@options.sweep
@options.uri
def command(
    *,
    kind: str,
    output: Path | None,
    metrics: tuple[str, ...],
    x: str,
    log: str | None,
    settings: tuple[str, ...],
    title: str,
    size: tuple[int, int] | None,
    dpi: int,
    theme: "ThemeName",
    experiment: str,
    sort: str | None,
    where: tuple[str, ...],
    by: tuple[str, ...],
    sweep: str | None,
    uri: str,
) -> None:
    """Draw a picture of the compared runs.

    \b
    curves    a metric's course, all groups in one chart; training is dashed
    gap       the gap against the validation metric, a mark for each group
    parallel  a line for each group through its settings to its figures
    matrix    the validation metric over two settings

    Where runs lie on different data, each data set is a picture of its own.
    """  # noqa: D301 (click's mark for a paragraph that is not to be wrapped)
    from fitgap.comparison.groups import compare_experiment
    from fitgap.comparison.query import Query
    from fitgap.report import comparison_charts

    path = output or Path("reports") / f"{kind}.svg"
    query = Query(sort=sort, where=where, by=by, sweep=sweep)
    pictures = comparison_charts.draw(
        compare_experiment(uri, experiment=experiment, query=query),
        kind,
        uri=uri,
        metrics=metrics,
        x=x,
        log=log or "",
        settings=settings,
        title=title,
        size=size,
    )
    for i, picture in enumerate(pictures):
        number = f"_{i + 1}" if i else ""
        file = path.with_stem(path.stem + number)
        written = picture.save(
            file,
            theme=theme,
            dpi=dpi,
        )
        print(f"picture: {written}")

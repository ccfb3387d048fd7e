"""Draw a comparison, a sweep or a run as a picture: SVG, PNG, PDF, or an interactive page."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fitgap.commands import options
from fitgap.console import say

if TYPE_CHECKING:
    from fitgap.charts.picture import Picture
    from fitgap.charts.themes import ThemeName

OF_A_RUN = ("run", "confusion")
OF_A_SWEEP = ("remedies", "learning-curve", "race")
KINDS = ("curves", "gap", "parallel", "matrix", "variance", *OF_A_SWEEP, *OF_A_RUN)


def _size(_context: click.Context, _option: click.Parameter, text: str | None) -> object:
    if text is None:
        return None
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and 50 <= int(width) <= 4000):
        raise click.BadParameter(f"must be WIDTHxHEIGHT, such as 560x320, got {text}")
    return int(width), int(height)


@click.command(name="plot", epilog="Example: fitgap plot curves -o curves.svg --metric loss")
@click.argument("kind", type=options.Choice(KINDS), metavar="KIND")
@click.argument("run", required=False, metavar="[RUN]")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="File to write; its ending is the format: .svg, .png, .pdf, .html.  "
    "[default: reports/KIND.svg]",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME",
    help="For example loss; may be repeated.  [default: the metric of the ranking; for curves "
    "also loss]",
)
@click.option(
    "--x",
    type=options.Choice(("epochs", "images", "seconds")),
    default="epochs",
    show_default=True,
    help="The x axis of the curves.",
)
@click.option(
    "--log",
    type=options.Choice(("x", "y", "xy")),
    default=None,
    help="Which axes of the curves are logarithmic.",
)
@click.option(
    "--setting",
    "settings",
    multiple=True,
    help="One of the two settings of a matrix; give it twice.",
)
@click.option("--title", default="", help="Title above the picture.")
@click.option(
    "--size", callback=_size, metavar="WxH", help="Size of the chart in 1/96 inch, such as 560x320."
)
@click.option(
    "--dpi",
    type=click.IntRange(30, 1200),
    default=200,
    show_default=True,
    help="Pixels per inch of a PNG file.",
)
@click.option(
    "--theme",
    type=options.Choice(("light", "dark")),
    default="light",
    show_default=True,
    help="Colours of the picture; a page (.html) follows its reader's setting.",
)
@options.experiment
@options.sort
@options.where
@options.by
@options.sweep
@options.uri
def command(
    *,
    kind: str,
    run: str | None,
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
    """Draw a picture of the compared runs, or of one RUN (its id or the beginning of it).

    \b
    curves         a metric over time, all groups in one chart; training is dashed
    gap            the gap against the validation metric, a mark for each group
    parallel       a line for each group through its settings to its figures
    matrix         the validation metric over two settings
    variance       how much of the scatter comes from seed, split and images
    remedies       the effect of each remedy of a sweep=remedies
    learning-curve the metric by number of images, of a sweep=learning_curve
    race           how the candidates of the newest race stood, round by round
    run RUN        its metrics by epoch, the gap shaded
    confusion RUN  its confusion matrix on the test set

    If runs are on different data, each dataset gets a separate picture.
    """  # noqa: D301 (click's mark for a paragraph that is not to be wrapped)
    if (run is not None) != (kind in OF_A_RUN):
        needs = "needs the id of a run" if run is None else "takes no run"
        raise click.UsageError(f"plot {kind} {needs}")
    pictures: list[Picture]
    if run is not None:
        pictures = [_of_run(kind, run, uri=uri, metrics=metrics, title=title)]
    elif kind in OF_A_SWEEP:
        from fitgap.report import sweep_charts

        pictures = [
            sweep_charts.draw(kind, uri=uri, experiment=experiment, sweep=sweep, title=title)
        ]
    else:
        from fitgap.comparison.query import Query
        from fitgap.comparison.ranking import compare_experiment
        from fitgap.report import comparison_charts

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
    name = kind if run is None else f"{kind}-{run[:8]}"
    path = output or Path("reports") / f"{name}.svg"
    for i, picture in enumerate(pictures):
        file = path.with_stem(path.stem + (f"_{i + 1}" if i else ""))
        say(f"picture: {picture.save(file, theme=theme, dpi=dpi)}")


def _of_run(kind: str, run_id: str, *, uri: str, metrics: tuple[str, ...], title: str) -> "Picture":
    from fitgap import store
    from fitgap.charts import confusion, run_curves

    run = store.find_run(uri, run_id)
    title = title or run.name
    if kind == "run":
        return run_curves.draw(run_curves.history_of(run, uri=uri), metrics=metrics, title=title)
    from fitgap.store import predictions, recorded

    predicted = predictions.load(run, uri=uri)
    names = recorded.open_run(run.run_id, uri=uri).class_names
    names = names or tuple(
        map(str, range(int(max(predicted.true.max(), predicted.predicted.max())) + 1))
    )
    return confusion.draw(confusion.counts_of(predicted, names), names, title=title)

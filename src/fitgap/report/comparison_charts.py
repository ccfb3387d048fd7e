"""The pictures of a comparison by their kinds; each kind's chart has a separate module.

Where the runs have not what a picture shows, `RequestError` says so.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import altair as alt

from fitgap.charts.picture import Picture
from fitgap.comparison.groups import Comparison, Section
from fitgap.errors import RequestError
from fitgap.report import curve_charts, gap_chart, settings_charts, sweep_charts, variance_chart
from fitgap.report.curve_charts import AXES

KINDS = ("curves", "gap", "parallel", "matrix", "variance")


def draw(
    comparison: Comparison,
    kind: str = "curves",
    *,
    uri: str,
    metrics: Sequence[str] = (),
    x: str = "epochs",
    log: str = "",
    settings: Sequence[str] = (),
    title: str = "",
    size: tuple[int, int] | None = None,
) -> list[Picture]:
    """Draw a comparison, one picture for the groups on each data and split.

    Parameters
    ----------
    comparison
        From `fitgap.comparison.groups`.
    kind
        One of `KINDS`.
    uri
        Where its runs are.
    metrics
        Without their partitions; none: the one that is ranked by, of curves the loss too. Several
        stand below each other.
    x, log
        Of curves; see `curves`.
    settings
        The two of a matrix; none: the first two that differ.
    title
        Said above each picture; none: the data and split, where there are several, and how many
        of many groups are drawn.
    size
        Width and height of a chart, in units of 1/96 inch; None: each kind's own.

    Raises
    ------
    RequestError
        If the kind is another, or the runs have not what it shows.
    """
    if kind not in KINDS:
        known = ", ".join((*KINDS, *sweep_charts.KINDS))
        raise RequestError(f"a picture must be one of {known}, got {kind!r}")
    if x not in AXES:
        raise RequestError(f"x must be one of {', '.join(AXES)}, got {x!r}")
    several = len(comparison.sections) > 1
    sized: dict[str, Any] = {} if size is None else {"size": size}
    pictures = []
    for section in comparison.sections:
        wanted = metrics or ((section.metric, "loss") if kind == "curves" else (section.metric,))
        wanted = tuple(dict.fromkeys(wanted))
        shown = title or "; ".join(_what_is_shown(section, kind, several=several))
        make: Callable[..., Picture]
        if kind == "curves":
            histories = curve_charts.histories_of(section, uri=uri, metrics=wanted)
            make = functools.partial(curve_charts.curves, section, histories, x=x, log=log, **sized)
        elif kind == "matrix":
            make = functools.partial(settings_charts.matrix, section, settings=settings)
        elif kind == "gap":
            make = functools.partial(gap_chart.gap_against_metric, section, **sized)
        elif kind == "variance":
            make = functools.partial(variance_chart.parts_of_variance, section, **sized)
        else:
            make = functools.partial(settings_charts.parallel_coordinates, section, **sized)
        drawn = [make(metric=metric) for metric in wanted]
        pictures.append(below_each_other(drawn, title=shown))
    return pictures


def _what_is_shown(section: Section, kind: str, *, several: bool) -> Iterator[str]:
    """Yield what a picture without a title of its own has to say."""
    if several:
        yield f"{section.dataset}, split {section.split}"
    if kind == "curves" and len(section.groups) > curve_charts.MOST_CURVES:
        yield f"the first {curve_charts.MOST_CURVES} of {len(section.groups)} groups"


def below_each_other(pictures: Sequence[Picture], *, title: str) -> Picture:
    """Return several pictures as one, each below the one before it."""
    charts = [picture.chart for picture in pictures]
    return Picture(alt.vconcat(*charts) if len(charts) > 1 else charts[0], title)

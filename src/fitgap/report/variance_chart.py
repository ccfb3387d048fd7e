"""The picture of where the variance comes from: a bar for each metric, its parts side by side."""

import math
from collections.abc import Sequence

import altair as alt

from fitgap.charts import marks
from fitgap.charts.picture import Picture
from fitgap.comparison.groups import Section
from fitgap.comparison.variance import IMAGES, SEED, SPLIT, Components, components_of
from fitgap.errors import RequestError
from fitgap.evaluation.figures import figure_text

WIDTH, BAR = 560, 34
_NAMES = {
    SEED: "seed",
    IMAGES: "number of samples (at most)",
    SPLIT: "split (the rest)",
}


def parts_of_variance(
    section: Section, *, metric: str, size: tuple[int, int] = (WIDTH, 0)
) -> Picture:
    """Draw where the variance of a metric on validation data, and of its gap, comes from.

    Takes what `fitgap.report.curve_charts.curves` does, and raises `RequestError` where nothing can
    be told of either.
    """
    names = (f"val/{metric}", f"gap/{metric}")
    found = [one for name in names if (one := components_of(section, metric=name)) is not None]
    if not found:
        raise RequestError(
            f"where the variance of {' and '.join(names)} comes from cannot be estimated: this "
            "needs two seeds or splits of a group whose figures differ"
        )
    return draw(found, size=size)


def draw(found: Sequence[Components], *, size: tuple[int, int] = (WIDTH, 0)) -> Picture:
    """Draw stacked bars of the shares of the variance, each with its standard deviation.

    Parameters
    ----------
    found
        One per bar.
    size
        Width and height of the chart, in units of 1/96 inch; a height of 0 gives each bar its own.
    """
    rows = []
    for one in found:
        total = math.fsum(one.parts.values())
        left = 0.0
        for source, variance in one.parts.items():
            share = variance / total
            text = figure_text(math.sqrt(variance))
            rows.append(
                {"metric": one.metric, "source": _NAMES[source], "share": share, "sd": text}
                | {"middle": left + share / 2, "shown": text if share > 0.09 else ""}
            )
            left += share
    # Each source keeps its colour; the legend names those that are drawn.
    names = [_NAMES[source] for source in (SEED, IMAGES, SPLIT)]
    drawn = [name for name in names if any(row["source"] == name for row in rows)]
    metrics = [one.metric for one in found]
    base = marks.of_rows(rows).encode(y=alt.Y("metric:N", sort=metrics, title=None))
    bars = base.mark_bar(size=22).encode(
        x=alt.X(
            "share:Q",
            title=["share of the variance;", "in the bars, standard deviations"],
            axis=alt.Axis(format="%"),
            scale=alt.Scale(domain=[0, 1], nice=False),
        ),
        color=alt.Color(
            "source:N",
            scale=alt.Scale(domain=names, range=["group-1", "group-2", "group-3"]),
            legend=alt.Legend(title=None, orient="top", columns=3, values=drawn),
        ),
        order=alt.Order("middle:Q"),
        tooltip=[
            alt.Tooltip("metric:N"),
            alt.Tooltip("source:N"),
            alt.Tooltip("share:Q", format=".0%"),
            alt.Tooltip("sd:N", title="standard deviation"),
        ],
    )
    texts = base.mark_text(color="paper").encode(x="middle:Q", text="shown:N")
    height = size[1] or BAR * len(found)
    return Picture(alt.layer(bars, texts).properties(width=size[0], height=height))

"""All groups' curves of a metric in one chart, training dashed and validation solid."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, Literal

import altair as alt

from fitgap import store
from fitgap.charts import labels, marks
from fitgap.charts.picture import Picture
from fitgap.charts.scales import epoch_axis, padded
from fitgap.charts.themes import MOST_COLOURED
from fitgap.comparison.gap_curves import curve_of
from fitgap.comparison.groups import Group, Section
from fitgap.comparison.verdicts import Curve
from fitgap.errors import RequestError
from fitgap.evaluation.figures import figure_text
from fitgap.report.leaderboard import label_of
from fitgap.store import EPOCHS, Histories
from fitgap.trust.text import whole_number

Axis = Literal["epochs", "images", "seconds"]
AXES: tuple[Axis, ...] = ("epochs", "images", "seconds")
X_TITLES = {"epochs": "epoch", "images": "training images seen", "seconds": "seconds"}
PARTS = ("train", "val")
NAMES = "names"  # the layer of them, which a narrow page leaves out
MOST_CURVES = 60  # groups in one chart; those after the coloured ones are thin and grey
MOST_ROWS_WITH_POINTS = 150  # of all curves of a chart: more than that hide the lines
# Of one curve, and of all curves of a chart: more make no other picture, but a larger file.
MOST_EPOCHS_DRAWN, MOST_ROWS = 120, 2000
FEWEST_EPOCHS_DRAWN = 12
WIDTH, HEIGHT = 560, 320


@dataclass(frozen=True, slots=True)
class _Line:
    """One curve: which group and partition, its name, rank and points."""

    name: str
    rank: int
    part: str
    x: tuple[float, ...]
    curve: Curve


def histories_of(section: Section, *, uri: str, metrics: Iterable[str]) -> Histories:
    """Return what `curves` needs of a section's first groups, read in one go.

    Parameters
    ----------
    section
        Of a comparison.
    uri
        Where its runs are.
    metrics
        Without their partitions.
    """
    return store.metric_histories(
        uri,
        run_ids=[run.run_id for group in section.groups[:MOST_CURVES] for run in group.runs],
        keys=[EPOCHS, *(f"{part}/{metric}" for metric in metrics for part in PARTS)],
    )


def curves(
    section: Section,
    histories: Histories,
    *,
    metric: str,
    x: Axis = "epochs",
    log: str = "",
    size: tuple[int, int] = (WIDTH, HEIGHT),
) -> Picture:
    """Draw a metric's course, all groups in one chart, training dashed and validation solid.

    Parameters
    ----------
    section
        Of a comparison; its first `MOST_CURVES` groups are drawn, best first.
    histories
        From `histories_of`.
    metric
        Without its partition: ``accuracy``, ``loss``.
    x
        What the curves run over: epochs, training images seen, or seconds of training.
    log
        Which axes are logarithmic: ``x``, ``y``, ``xy`` or none.
    size
        Width and height of the chart, in units of 1/96 inch, without names and axes.

    Raises
    ------
    RequestError
        If no run has such a curve.
    """
    lines = _lines(section, histories, metric=metric, x=x)
    if not lines:
        raise RequestError(
            f"no run of this comparison has a curve of {metric!r} with two epochs or more"
        )
    y_domain = _domain(_later_values(lines), log="y" in log)
    each = min(max(MOST_ROWS // len(lines), FEWEST_EPOCHS_DRAWN), MOST_EPOCHS_DRAWN)
    rows = [row for line in lines for row in _rows(line, log=log, limits=y_domain, most=each)]
    places = {line.name: line.rank for line in lines}
    coloured = [name for name, place in places.items() if place < MOST_COLOURED]
    colour = _colour(places, legend=coloured)
    y_scale = alt.Scale(domain=y_domain, type="log" if "y" in log else "linear", nice=False)
    # A click on a name in the legend or on a curve leaves only that group in full colour.
    # Named, since Altair would name those of several charts in one picture alike.
    key = "".join(character if character.isalnum() else "_" for character in metric)
    chosen = alt.selection_point(name=f"chosen_{key}", fields=["group"], bind="legend", on="click")
    zoomed = alt.selection_interval(name=f"zoomed_{key}", bind="scales")
    base = marks.of_rows(rows).encode(x=_across(lines, x, log=log), color=colour)
    bands, strokes, points = _marks(base, chosen, y_scale=y_scale, metric=metric, x=x)
    named = _names_beside(lines, coloured, y_domain=y_domain, log="y" in log, height=size[1])
    names_drawn = (
        marks.of_rows(named)
        # Vega-Lite would clip at the chart's edge whatever can be zoomed.
        .mark_text(align="left", dx=8, clip=False)
        .encode(
            x=alt.value("width"),
            y=alt.Y("at:Q", scale=y_scale),
            text="name:N",
            color=colour,
            opacity=_strong_if(chosen),
        )
        .properties(description=NAMES)  # a name would take part in selections
    )
    layers = [
        bands,
        strokes.add_params(chosen, zoomed),
        *([points] if len(rows) <= MOST_ROWS_WITH_POINTS else []),
        names_drawn,
    ]
    return Picture(alt.layer(*layers).properties(width=size[0], height=size[1]))


def _marks(base: Any, chosen: Any, *, y_scale: Any, metric: str, x: Axis) -> tuple[Any, Any, Any]:
    """Return the bands over seeds, the lines, and their points."""
    up = alt.Y("mean:Q", scale=y_scale, title=metric)
    bands = (
        # Of the grey ones, bands would hide everything.
        base.transform_filter(f"datum.low < datum.high && datum.rank < {MOST_COLOURED}")
        .mark_area(opacity=0.16, clip=True)
        .encode(
            y=alt.Y("low:Q", scale=y_scale, title=metric),
            y2="high:Q",
            detail=["group:N", "part:N"],
            opacity=alt.condition(chosen, alt.value(0.16), alt.value(0.02)),
        )
    )
    strokes = base.mark_line(clip=True, strokeWidth=2).encode(
        y=up,
        strokeDash=alt.StrokeDash(
            "part:N",
            scale=alt.Scale(domain=["training", "validation"], range=[[5, 4], [1, 0]]),
            legend=alt.Legend(title=None, orient="top", symbolType="stroke", symbolSize=500),
        ),
        detail=["group:N"],
        opacity=_strong_if(chosen),
        tooltip=[
            alt.Tooltip("group:N", title="group"),
            alt.Tooltip("part:N", title="data"),
            alt.Tooltip("x:Q", title=X_TITLES[x], format=",.4~r"),
            alt.Tooltip("mean:Q", title=metric, format=".4f"),
            alt.Tooltip("over:N", title="over seeds"),
        ],
    )
    # A layer of its own: Vega-Lite refuses a selection on lines that draw their points themselves.
    points = base.mark_point(filled=True, size=30, clip=True)
    return bands, strokes, points.encode(y=up, opacity=_strong_if(chosen))


def _strong_if(chosen: Any) -> Any:
    return alt.condition(chosen, alt.value(1.0), alt.value(0.08))


def _lines(section: Section, histories: Histories, *, metric: str, x: Axis) -> list[_Line]:
    lines = []
    for i, group in enumerate(section.groups[:MOST_CURVES]):
        for part in PARTS:
            curve = curve_of(group, f"{part}/{metric}", histories)
            if len(curve.epochs) > 1:
                at = _along(group, curve.epochs, x=x, histories=histories)
                name = labels.shortened(label_of(group), most=48)
                lines.append(_Line(name, i, part, at, curve))
    # Two groups whose shortened names are equal must not become one curve.
    ranks: dict[str, set[int]] = {}
    for line in lines:
        ranks.setdefault(line.name, set()).add(line.rank)
    return [
        line if len(ranks[line.name]) == 1 else replace(line, name=f"#{line.rank + 1} {line.name}")
        for line in lines
    ]


def _along(
    group: Group, epochs: Sequence[int], *, x: Axis, histories: Histories
) -> tuple[float, ...]:
    if x == "epochs":
        return tuple(map(float, epochs))
    if x == "images":
        counts = [whole_number(run.params.get("train_samples")) or math.nan for run in group.runs]
        each = fmean(counts)
    else:
        seconds = [
            run.metrics.get("time/fit_seconds", math.nan)
            / max(len(histories[run.run_id].get(EPOCHS, {})), 1)
            for run in group.runs
        ]
        each = fmean(seconds)
    if not math.isfinite(each):
        raise RequestError(f"these runs do not record how many {x} an epoch has; use epochs")
    return tuple(epoch * each for epoch in epochs)


def _rows(line: _Line, *, log: str, limits: tuple[float, float], most: int) -> list[dict[str, Any]]:
    step = -(-len(line.x) // most)
    last = len(line.x) - 1
    kept = sorted({*range(0, last + 1, step), last})
    rows = []
    for i in kept:
        mean, low, high = line.curve.mean[i], line.curve.low[i], line.curve.high[i]
        if ("y" in log and mean <= 0) or ("x" in log and line.x[i] <= 0):
            continue
        over = f"{figure_text(low)} to {figure_text(high)}" if low < high else "one run"
        rows.append(
            {
                "group": line.name,
                "rank": line.rank,
                "part": "training" if line.part == "train" else "validation",
                "x": _short(line.x[i]),
                "mean": _short(mean),
                "low": _short(max(low, limits[0]) if "y" in log else low),
                "high": _short(high),
                "over": over,
            }
        )
    return rows


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def _later_values(lines: Sequence[_Line]) -> list[float]:
    """Return what the vertical axis has to hold.

    The first fifth of ten epochs or more is left out: an untrained network's loss would press
    everything else flat. A shorter run is shown whole.
    """
    values: list[float] = []
    for line in lines:
        start = len(line.x) // 5 if len(line.x) >= 10 else 0
        values += [*line.curve.low[start:], *line.curve.high[start:]]
    return values


def _names_beside(
    lines: Sequence[_Line],
    coloured: Sequence[str],
    *,
    y_domain: tuple[float, float],
    log: bool,
    height: int,
) -> list[dict[str, Any]]:
    """Return the names to the right of the curves, each at its curve's end or near it."""
    ends: dict[str, float] = {}
    for line in lines:  # the validation curve comes last, and so decides
        if line.name in coloured:
            ends[line.name] = line.curve.mean[-1]
    low, high = (math.log(bound) for bound in y_domain) if log else y_domain

    def down(value: float) -> float:
        value = math.log(max(value, y_domain[0])) if log else value
        return height * (1 - (min(max(value, low), high) - low) / (high - low))

    placed = labels.spread([down(value) for value in ends.values()])
    rows = []
    for name, y in zip(ends, placed, strict=True):
        at = high - y / height * (high - low)
        rows.append({"group": name, "name": name, "at": math.exp(at) if log else at})
    return rows


def _colour(places: Mapping[str, int], *, legend: Sequence[str]) -> Any:
    shown = alt.Legend(
        title=None,
        orient="bottom",
        symbolType="stroke",
        symbolOpacity=1,
        values=list(legend),
    )
    return marks.group_colours(places, field="group", legend=shown)


def _across(lines: Sequence[_Line], x: Axis, *, log: str) -> Any:
    values = [value for line in lines for value in line.x if value > 0 or "x" not in log]
    domain = min(values), max(values)
    if x == "epochs":
        axis = epoch_axis(int(domain[0]), int(domain[1]))
    else:
        axis = alt.Axis(format=",.3~s" if x == "images" else ",.4~r")
    scale = alt.Scale(domain=domain, type="log" if "x" in log else "linear", nice=False)
    return alt.X("x:Q", scale=scale, title=X_TITLES[x], axis=axis)


def _domain(values: Sequence[float], *, log: bool) -> tuple[float, float]:
    if not log:
        return padded(values)
    positive = [value for value in values if value > 0]
    if not positive:
        raise RequestError("a logarithmic axis needs values above zero, and there are none")
    return min(positive) / 1.1, max(positive) * 1.1

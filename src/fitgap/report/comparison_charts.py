"""The pictures of a comparison: curves of all groups in one chart, gap against metric, settings.

Each function takes a section of a comparison and returns a `Picture`, or raises `RequestError`
where the runs have not what it shows. How it is drawn is `fitgap.report.drawing`'s matter.
"""

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fitgap import store
from fitgap.comparison.estimates import Estimate
from fitgap.comparison.gap_curves import EPOCHS, curve_of, front_of, mean_of
from fitgap.comparison.groups import Comparison, Group, Section
from fitgap.comparison.varying_settings import show, value_of
from fitgap.comparison.verdicts import Curve
from fitgap.errors import RequestError
from fitgap.report import labels
from fitgap.report.drawing import MOST_COLOURED, Picture, epoch_axis
from fitgap.report.leaderboard import label_of
from fitgap.store import Histories

Axis = Literal["epochs", "images", "seconds"]
AXES: tuple[Axis, ...] = ("epochs", "images", "seconds")
KINDS = ("curves", "gap", "parallel", "matrix")
PARTS = ("train", "val")
NAMES = "names"  # the layer of them, which a narrow page leaves out
MOST_CURVES = 60  # groups in one chart; those after the coloured ones are thin and grey
MOST_POINTS = 400  # groups in a scatter
MOST_ROWS_WITH_POINTS = 150  # of all curves of a chart: more than that hide the lines
# Of one curve, and of all curves of a chart: more make no other picture, but a larger file.
MOST_EPOCHS_DRAWN, MOST_ROWS = 120, 2000
FEWEST_EPOCHS_DRAWN = 12
WIDTH, HEIGHT = 560, 320
# A text is drawn twice: first its edge in the paper's colour, so that lines stop short of it.
_HALO = (("paper", 4), (None, 0))


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
        Said above each picture; none: the data and split, where there are several.
    size
        Width and height of a chart, in units of 1/96 inch; None: each kind's own.

    Raises
    ------
    RequestError
        If the kind is another, or the runs have not what it shows.
    """
    if kind not in KINDS:
        raise RequestError(f"a picture must be one of {', '.join(KINDS)}, got {kind!r}")
    if x not in AXES:
        raise RequestError(f"x must be one of {', '.join(AXES)}, got {x!r}")
    several = len(comparison.sections) > 1
    sized: dict[str, Any] = {} if size is None else {"size": size}
    pictures = []
    for section in comparison.sections:
        wanted = metrics or ((section.metric, "loss") if kind == "curves" else (section.metric,))
        wanted = tuple(dict.fromkeys(wanted))
        shown = title or (f"{section.dataset}, split {section.split}" if several else "")
        make: Callable[[str], Picture]
        if kind == "curves":
            histories = histories_of(section, uri=uri, metrics=wanted)
            make = functools.partial(_curves, section, histories, x=x, log=log, **sized)
        elif kind == "matrix":
            make = functools.partial(_matrix, section, settings=settings)
        else:
            drawn = gap_against_metric if kind == "gap" else parallel_coordinates
            make = functools.partial(_of_groups, drawn, section, **sized)
        pictures.append(below_each_other([make(metric) for metric in wanted], title=shown))
    return pictures


def _curves(section: Section, histories: Histories, metric: str, **options: Any) -> Picture:
    return curves(section, histories, metric=metric, **options)


def _matrix(section: Section, metric: str, *, settings: Sequence[str]) -> Picture:
    return matrix(section, metric=metric, settings=settings)


def _of_groups(
    drawn: Callable[..., Picture], section: Section, metric: str, **options: Any
) -> Picture:
    return drawn(section, metric=metric, **options)


def below_each_other(pictures: Sequence[Picture], *, title: str) -> Picture:
    """Return several pictures as one, each below the one before it."""
    import altair as alt

    charts = [picture.chart for picture in pictures]
    return Picture(alt.vconcat(*charts) if len(charts) > 1 else charts[0], title)


def curves(
    section: Section,
    histories: Histories,
    *,
    metric: str,
    x: Axis = "epochs",
    log: str = "",
    title: str = "",
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
    title
        Said above the picture.
    size
        Width and height of the chart, in units of 1/96 inch, without names and axes.

    Raises
    ------
    RequestError
        If no run has such a curve.
    """
    import altair as alt

    lines = _lines(section, histories, metric=metric, x=x)
    if not lines:
        raise RequestError(
            f"no run of this comparison has a curve of {metric!r} with two epochs or more"
        )
    y_domain = _domain(_later_values(lines), log="y" in log)
    x_domain = _x_domain(lines, log="x" in log)
    each = min(max(MOST_ROWS // len(lines), FEWEST_EPOCHS_DRAWN), MOST_EPOCHS_DRAWN)
    rows = [row for line in lines for row in _rows(line, log=log, limits=y_domain, most=each)]
    names = list(dict.fromkeys(line.name for line in lines))
    coloured = names[:MOST_COLOURED]
    y_scale = alt.Scale(domain=y_domain, type="log" if "y" in log else "linear", nice=False)
    x_scale = alt.Scale(domain=x_domain, type="log" if "x" in log else "linear", nice=False)
    x_title = {"epochs": "epoch", "images": "training images seen", "seconds": "seconds"}[x]
    across = alt.X("x:Q", scale=x_scale, title=x_title, axis=_x_axis(x, x_domain))
    colour = _colour(names)
    # A click on a name in the legend or on a curve leaves only that group in full colour.
    # Named, since Altair would name those of several charts in one picture alike.
    key = "".join(character if character.isalnum() else "_" for character in metric)
    chosen = alt.selection_point(name=f"chosen_{key}", fields=["group"], bind="legend", on="click")
    zoomed = alt.selection_interval(name=f"zoomed_{key}", bind="scales")
    is_chosen = alt.condition(chosen, alt.value(1.0), alt.value(0.08))
    base = alt.Chart(alt.Data(values=rows))
    bands = (
        # Of the grey ones, bands would hide everything.
        base.transform_filter(f"datum.low < datum.high && datum.rank < {MOST_COLOURED}")
        .mark_area(opacity=0.16, clip=True)
        .encode(
            x=across,
            y=alt.Y("low:Q", scale=y_scale, title=metric),
            y2="high:Q",
            color=colour,
            detail=["group:N", "part:N"],
            opacity=alt.condition(chosen, alt.value(0.16), alt.value(0.02)),
        )
    )
    strokes = base.mark_line(clip=True, strokeWidth=2).encode(
        x=across,
        y=alt.Y("mean:Q", scale=y_scale, title=metric),
        color=colour,
        strokeDash=alt.StrokeDash(
            "part:N",
            scale=alt.Scale(domain=["training", "validation"], range=[[5, 4], [1, 0]]),
            legend=alt.Legend(title=None, orient="top", symbolType="stroke", symbolSize=500),
        ),
        detail=["group:N"],
        opacity=is_chosen,
        tooltip=[
            alt.Tooltip("group:N", title="group"),
            alt.Tooltip("part:N", title="data"),
            alt.Tooltip("x:Q", title=x_title, format=",.4~r"),
            alt.Tooltip("mean:Q", title=metric, format=".4f"),
            alt.Tooltip("over:N", title="over seeds"),
        ],
    )
    strokes = strokes.add_params(chosen, zoomed)
    # A layer of its own: Vega-Lite refuses a selection on lines that draw their points themselves.
    points = base.mark_point(filled=True, size=30, clip=True).encode(
        x=across, y=alt.Y("mean:Q", scale=y_scale), color=colour, opacity=is_chosen
    )
    named = _names_beside(lines, coloured, y_domain=y_domain, log="y" in log, height=size[1])
    names_drawn = (
        alt.Chart(alt.Data(values=named))
        # Vega-Lite would clip at the chart's edge whatever can be zoomed.
        .mark_text(align="left", dx=8, clip=False)
        .encode(
            x=alt.value("width"),
            y=alt.Y("at:Q", scale=y_scale),
            text="name:N",
            color=colour,
            opacity=is_chosen,
        )
        .properties(description=NAMES)  # a name would take part in selections
    )
    marks = [bands, strokes, *([points] if len(rows) <= MOST_ROWS_WITH_POINTS else []), names_drawn]
    layers = alt.layer(*marks).properties(width=size[0], height=size[1])
    return Picture(layers, title)


def gap_against_metric(
    section: Section,
    *,
    metric: str,
    title: str = "",
    size: tuple[int, int] = (WIDTH, HEIGHT + 40),
) -> Picture:
    """Draw each group's gap against its validation figure, with 95 % intervals and its name.

    Parameters
    ----------
    section
        Of a comparison.
    metric
        Without its partition.
    title, size
        As in `curves`.

    Raises
    ------
    RequestError
        If no group has both figures.
    """
    import altair as alt

    front = front_of(section, metric)
    found = [
        (i, group)
        for i, group in enumerate(section.groups)
        if (i < MOST_POINTS or i in front)
        and math.isfinite(mean_of(group, f"val/{metric}"))
        and math.isfinite(mean_of(group, f"gap/{metric}"))
    ]
    if not found:
        raise RequestError(f"no run of this comparison has both val/{metric} and gap/{metric}")
    gaps = [group.metrics[f"gap/{metric}"] for _, group in found]
    scores = [group.metrics[f"val/{metric}"] for _, group in found]
    crossed = len(found) <= 60  # more intervals hide each other
    x_domain = _padded([*map(_low, gaps), *map(_high, gaps)] if crossed else _means(gaps))
    y_domain = _padded([*map(_low, scores), *map(_high, scores)] if crossed else _means(scores))
    rows = []
    for (i, group), gap, score in zip(found, gaps, scores, strict=True):
        row = {"group": label_of(group), "rank": i + 1, "gap": gap.mean, "score": score.mean}
        row |= {"gap_low": _low(gap), "gap_high": _high(gap)}
        row |= {"low": _low(score), "high": _high(score), "n": score.n}
        row |= {"gap_text": _with_interval(gap), "text": _with_interval(score)}
        rows.append(row | {"kind": "no group beats it in both" if i in front else "beaten"})
    x_scale = alt.Scale(domain=x_domain, nice=False)
    y_scale = alt.Scale(domain=y_domain, nice=False)
    across = alt.X("gap:Q", scale=x_scale, title=f"gap in {metric} (training to validation)")
    up = alt.Y("score:Q", scale=y_scale, title=f"validation {metric}")
    colour = alt.Color(
        "kind:N",
        scale=alt.Scale(
            domain=["no group beats it in both", "beaten"], range=["group-2", "group-1"]
        ),
        legend=alt.Legend(title=None, orient="top", symbolOpacity=1),
    )
    base = alt.Chart(alt.Data(values=rows))
    layers: list[Any] = []
    if crossed:
        layers += [
            base.mark_rule(opacity=0.5).encode(x=x, x2=x2, y=y, y2=y2, color=colour)
            for x, x2, y, y2 in (
                (alt.X("gap_low:Q", scale=x_scale), "gap_high:Q", up, alt.Undefined),
                (across, alt.Undefined, alt.Y("low:Q", scale=y_scale), "high:Q"),
            )
        ]
    dots = base.mark_point(filled=True, size=60, opacity=1).encode(
        x=across,
        y=up,
        color=colour,
        shape=alt.Shape(
            "kind:N",
            scale=alt.Scale(
                domain=["no group beats it in both", "beaten"], range=["diamond", "circle"]
            ),
            legend=alt.Legend(title=None, orient="top"),
        ),
        tooltip=[
            alt.Tooltip("rank:Q", title="rank"),
            alt.Tooltip("group:N", title="group"),
            alt.Tooltip("text:N", title=f"val/{metric}"),
            alt.Tooltip("gap_text:N", title=f"gap/{metric}"),
            alt.Tooltip("n:Q", title="runs"),
        ],
    )
    layers.append(dots.add_params(alt.selection_interval(bind="scales")))
    named = _names_of_points(rows, x_domain=x_domain, y_domain=y_domain, size=size)
    layers += [
        alt.Chart(alt.Data(values=named))
        .mark_text(align="left", stroke=stroke, strokeWidth=width, color="ink")
        .encode(x=alt.X("x:Q", scale=x_scale), y=alt.Y("y:Q", scale=y_scale), text="name:N")
        .properties(description=f"{NAMES}-{width}")
        for stroke, width in _HALO
    ]
    return Picture(alt.layer(*layers).properties(width=size[0], height=size[1]), title)


def parallel_coordinates(
    section: Section,
    *,
    metric: str,
    title: str = "",
    size: tuple[int, int] = (WIDTH + 80, HEIGHT),
) -> Picture:
    """Draw each group as a line through its settings, to its validation figure and its gap.

    Parameters
    ----------
    section
        Of a comparison; at most `MOST_POINTS` groups are drawn.
    metric
        Without its partition; the lines are coloured by its validation figure.
    title, size
        As in `curves`.

    Raises
    ------
    RequestError
        If no setting differs, or no group has the figure.
    """
    import altair as alt

    score, gap = f"val/{metric}", f"gap/{metric}"
    groups = [one for one in section.groups[:MOST_POINTS] if math.isfinite(mean_of(one, score))]
    if not section.keys or not groups:
        raise RequestError(
            "parallel coordinates need groups that differ in a setting and have "
            f"{score}; compare more runs, or take curves"
        )
    figures = [name for name in (score, gap) if all(name in one.metrics for one in groups)]
    columns = [*section.keys, *figures]
    places: dict[str, Callable[[Group], float]] = {}
    ticks: list[dict[str, Any]] = []
    for column in columns:
        if column in figures:
            low, high = _padded([one.metrics[column].mean for one in groups], share=0.0)
            places[column] = functools.partial(_share, column=column, low=low, high=high)
            marked = {share: f"{low + share * (high - low):.4g}" for share in (0.0, 0.5, 1.0)}
        else:
            levels = _levels([_shown(one, column) for one in groups])
            last = max(len(levels) - 1, 1)
            at = {level: (i / last if len(levels) > 1 else 0.5) for i, level in enumerate(levels)}
            places[column] = functools.partial(_place, column=column, at=at)
            few = levels if len(levels) <= 12 else levels[:: -(-len(levels) // 12)]
            marked = {at[level]: labels.shortened(level, most=22) for level in few}
        ticks += [{"column": column, "y": y, "text": text} for y, text in marked.items()]
    rows = [
        {
            "group": label_of(one),
            "line": i,
            "column": column,
            "y": places[column](one),
            "score": one.metrics[score].mean,
            "text": "; ".join(f"{name} {one.metrics[name].mean:.4f}" for name in figures),
        }
        for i, one in enumerate(groups)
        for column in columns
    ]
    across = alt.X(
        "column:N",
        sort=columns,
        title=None,
        scale=alt.Scale(type="point", padding=0.25),
        axis=alt.Axis(
            orient="top", labelAngle=0, labelLimit=170, domain=False, ticks=False, labelPadding=14
        ),
    )
    up = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[0, 1]))
    is_better = section.is_better_high(score)
    chosen = alt.selection_point(fields=["line"], on="click")
    lines = (
        alt.Chart(alt.Data(values=rows))
        .mark_line(strokeWidth=2)
        .encode(
            x=across,
            y=up,
            detail="line:N",
            color=alt.Color(
                "score:Q",
                title=score,
                scale=alt.Scale(scheme="viridis", reverse=not is_better),
                legend=alt.Legend(format=".4~r"),
            ),
            opacity=alt.condition(chosen, alt.value(0.85), alt.value(0.08)),
            tooltip=[alt.Tooltip("group:N"), alt.Tooltip("text:N", title="mean")],
        )
        .add_params(chosen)
    )
    axes = (
        alt.Chart(alt.Data(values=[{"column": column} for column in columns]))
        .mark_rule(color="muted")
        .encode(x=across)
    )
    marks = alt.Chart(alt.Data(values=ticks))
    texts = [
        marks.mark_text(align="left", dx=7, stroke=stroke, strokeWidth=width, color="ink").encode(
            x=across, y=up, text="text:N"
        )
        for stroke, width in _HALO
    ]
    layers = alt.layer(axes, lines, *texts).properties(width=size[0], height=size[1])
    return Picture(layers, title)


def matrix(
    section: Section,
    *,
    metric: str,
    settings: Sequence[str] = (),
    title: str = "",
) -> Picture:
    """Draw the validation figure over two settings, averaged over all others.

    Parameters
    ----------
    section
        Of a comparison.
    metric
        Without its partition.
    settings
        The two; none: the first two that differ.
    title
        As in `curves`.

    Raises
    ------
    RequestError
        If there are not two such settings, or no run has the figure.
    """
    import altair as alt

    score = f"val/{metric}"
    wanted = tuple(settings) or section.differing[:2]
    unknown = [name for name in wanted if name not in section.differing]
    if len(wanted) != 2 or unknown:
        differing = ", ".join(section.differing) or "none"
        raise RequestError(
            f"a matrix needs two settings that differ between the runs, got "
            f"{', '.join(wanted) or 'none'}; those that differ: {differing}"
        )
    cells: dict[tuple[str, str], list[float]] = {}
    for group in section.groups:
        for run in group.runs:
            if math.isfinite(value := run.metrics.get(score, math.nan)):
                at = tuple(value_of(run, name) or "-" for name in wanted)
                cells.setdefault((at[0], at[1]), []).append(value)
    if not cells:
        raise RequestError(f"no run of this comparison has {score}")
    means = {at: math.fsum(values) / len(values) for at, values in cells.items()}
    middle = (min(means.values()) + max(means.values())) / 2
    rows = [
        {"x": at[0], "y": at[1], "score": mean, "n": len(cells[at]), "text": f"{mean:.4f}"}
        # Viridis is dark at one end and light at the other, in any theme.
        | {"on": "dark" if (mean <= middle) == section.is_better_high(score) else "light"}
        for at, mean in means.items()
    ]
    levels = [_levels([at[i] for at in means]) for i in (0, 1)]
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("x:N", sort=levels[0], title=wanted[0], axis=alt.Axis(labelAngle=-30)),
        y=alt.Y("y:N", sort=levels[1], title=wanted[1]),
    )
    rects = base.mark_rect().encode(
        color=alt.Color(
            "score:Q",
            title=score,
            scale=alt.Scale(scheme="viridis", reverse=not section.is_better_high(score)),
            legend=alt.Legend(format=".4~r"),
        ),
        tooltip=[
            alt.Tooltip("x:N", title=wanted[0]),
            alt.Tooltip("y:N", title=wanted[1]),
            alt.Tooltip("score:Q", title=f"mean {score}", format=".4f"),
            alt.Tooltip("n:Q", title="runs"),
        ],
    )
    texts = base.mark_text(fontSize=11).encode(
        text="text:N",
        color=alt.condition("datum.on == 'dark'", alt.value("#ffffff"), alt.value("#000000")),
    )
    width, height = (max(160, 64 * len(levels[0])), max(90, 36 * len(levels[1])))
    return Picture(alt.layer(rects, texts).properties(width=width, height=height), title)


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
        line
        if len(ranks[line.name]) == 1
        else _Line(f"#{line.rank + 1} {line.name}", line.rank, line.part, line.x, line.curve)
        for line in lines
    ]


def _along(
    group: Group, epochs: Sequence[int], *, x: Axis, histories: Histories
) -> tuple[float, ...]:
    if x == "epochs":
        return tuple(map(float, epochs))
    if x == "images":
        counts = [float(run.params.get("train_samples", "nan")) for run in group.runs]
        each = math.fsum(counts) / len(counts)
    else:
        seconds = [
            run.metrics.get("time/fit_seconds", math.nan)
            / max(len(histories[run.run_id].get(EPOCHS, {})), 1)
            for run in group.runs
        ]
        each = math.fsum(seconds) / len(seconds)
    if not math.isfinite(each):
        raise RequestError(f"these runs do not say how many {x} an epoch has; take epochs")
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
        over = f"{low:.4f} to {high:.4f}" if low < high else "one run"
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

    The first fifth of five epochs or more is left out: an untrained network's loss would press
    everything else flat.
    """
    values: list[float] = []
    for line in lines:
        start = len(line.x) // 5
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


def _names_of_points(
    rows: Sequence[Mapping[str, Any]],
    *,
    x_domain: tuple[float, float],
    y_domain: tuple[float, float],
    size: tuple[int, int],
) -> list[dict[str, Any]]:
    wide, high = x_domain[1] - x_domain[0], y_domain[1] - y_domain[0]
    points = [
        ((row["gap"] - x_domain[0]) / wide * size[0], (y_domain[1] - row["score"]) / high * size[1])
        for row in rows
    ]
    names = [labels.shortened(str(row["group"])) for row in rows]
    places = labels.beside(points, names, size=(float(size[0]), float(size[1])))
    return [
        {
            "x": x_domain[0] + place[0] / size[0] * wide,
            "y": y_domain[1] - place[1] / size[1] * high,
            "name": name,
        }
        for place, name in zip(places, names, strict=True)
        if place is not None
    ]


def _colour(names: Sequence[str]) -> Any:
    import altair as alt

    roles = [f"group-{i}" if i <= MOST_COLOURED else "other" for i in range(1, len(names) + 1)]
    legend = alt.Legend(
        title=None,
        orient="bottom",
        symbolType="stroke",
        symbolOpacity=1,
        values=list(names[:MOST_COLOURED]),
    )
    return alt.Color("group:N", scale=alt.Scale(domain=list(names), range=roles), legend=legend)


def _x_axis(x: Axis, domain: tuple[float, float]) -> Any:
    import altair as alt

    if x == "epochs":
        return epoch_axis(int(domain[0]), int(domain[1]))
    return alt.Axis(format=",.3~s" if x == "images" else ",.4~r")


def _x_domain(lines: Sequence[_Line], *, log: bool) -> tuple[float, float]:
    values = [value for line in lines for value in line.x if value > 0 or not log]
    return min(values), max(values)


def _domain(values: Sequence[float], *, log: bool) -> tuple[float, float]:
    if not log:
        return _padded(values)
    positive = [value for value in values if value > 0]
    if not positive:
        raise RequestError("a logarithmic axis needs values above zero, and there are none")
    return min(positive) / 1.1, max(positive) * 1.1


def _padded(values: Sequence[float], *, share: float = 0.06) -> tuple[float, float]:
    low, high = min(values), max(values)
    # Equal values still need a range to be drawn in.
    margin = (high - low) * share if high > low else max(abs(high) * 0.01, 1e-6)
    return low - margin, high + margin


def _levels(values: Iterable[str]) -> list[str]:
    """Return the different values of a setting, numbers by size before words."""

    def order(value: str) -> tuple[int, float, str]:
        try:
            return 0, float(value), ""
        except ValueError:
            return 1, 0.0, value

    return sorted(set(values), key=order)


def _shown(group: Group, key: str) -> str:
    return show(group.settings[key]) if key in group.settings else "-"


def _place(group: Group, *, column: str, at: Mapping[str, float]) -> float:
    return at[_shown(group, column)]


def _share(group: Group, *, column: str, low: float, high: float) -> float:
    return (group.metrics[column].mean - low) / (high - low)


def _means(found: Sequence[Estimate]) -> list[float]:
    return [one.mean for one in found]


def _low(found: Estimate) -> float:
    return found.mean if found.low is None else found.low


def _high(found: Estimate) -> float:
    return found.mean if found.high is None else found.high


def _with_interval(found: Estimate) -> str:
    if found.low is None or found.high is None:
        return f"{found.mean:.4f}"
    return f"{found.mean:.4f} [{found.low:.4f}, {found.high:.4f}]"

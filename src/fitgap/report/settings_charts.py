"""What settings come to: parallel coordinates through all of them, a matrix over two."""

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from fitgap.charts import labels
from fitgap.charts.picture import Picture
from fitgap.charts.scales import padded
from fitgap.comparison.gap_curves import mean_of
from fitgap.comparison.groups import Group, Section
from fitgap.comparison.varying_settings import show, value_of
from fitgap.errors import RequestError
from fitgap.report.gap_chart import HALO, MOST_POINTS
from fitgap.report.leaderboard import label_of

WIDTH, HEIGHT = 640, 320


def parallel_coordinates(
    section: Section,
    *,
    metric: str,
    title: str = "",
    size: tuple[int, int] = (WIDTH, HEIGHT),
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
            low, high = padded([one.metrics[column].mean for one in groups], share=0.0)
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
        for stroke, width in HALO
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

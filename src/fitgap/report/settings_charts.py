"""The results of settings: parallel coordinates through all of them, a matrix over two."""

import math
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any, Literal

import altair as alt

from fitgap.charts import labels, marks
from fitgap.charts.picture import Picture
from fitgap.charts.scales import padded
from fitgap.comparison.gap_curves import mean_of
from fitgap.comparison.groups import Group, Section
from fitgap.comparison.varying_settings import parse, show, show_shortly, value_of
from fitgap.errors import RequestError
from fitgap.evaluation.figures import figure_text
from fitgap.report.gap_chart import MOST_POINTS
from fitgap.report.leaderboard import label_of

WIDTH, HEIGHT = 640, 320
_BESIDE = 7  # units from an axis to its texts
CELL = 64  # units of the width of a matrix's cell
# Where each group lies on an axis of parallel coordinates, from 0 to 1, and its texts by place.
Column = tuple[list[float], dict[float, str]]


def parallel_coordinates(
    section: Section, *, metric: str, size: tuple[int, int] = (WIDTH, HEIGHT)
) -> Picture:
    """Draw each group as a line through its settings, to its validation figure and its gap.

    At most `MOST_POINTS` groups are drawn, coloured by their validation figure.

    Parameters
    ----------
    section
        Of a comparison.
    metric
        Without its partition.
    size
        Width and height of the chart, in units of 1/96 inch.

    Raises
    ------
    RequestError
        If no setting differs, or no group has the figure.
    """
    score = f"val/{metric}"
    groups = [one for one in section.groups[:MOST_POINTS] if math.isfinite(mean_of(one, score))]
    if not section.keys or not groups:
        raise RequestError(
            "parallel coordinates need groups that differ in a setting and have "
            f"{score}; compare more runs, or draw curves"
        )
    figures = [name for name in (score, f"gap/{metric}") if all(name in g.metrics for g in groups)]
    # From one axis to the next, where the padding of `_across` takes half of one such step.
    step = size[0] / (len(section.keys) + len(figures) - 0.5)
    most = min(int((step - 2 * _BESIDE) / labels.CHARACTER), 22)
    columns = {
        key: _of_levels([_shown(one, key) for one in groups], most=most) for key in section.keys
    }
    columns |= {name: _of_figures([one.metrics[name].mean for one in groups]) for name in figures}
    short = labels.short_names(columns)
    columns = {short[name]: column for name, column in columns.items()}
    rows = [
        {
            "group": label_of(one),
            "line": i,
            "column": column,
            "y": places[i],
            "score": one.metrics[score].mean,
            "text": "; ".join(f"{name} {figure_text(one.metrics[name].mean)}" for name in figures),
        }
        for i, one in enumerate(groups)
        for column, (places, _) in columns.items()
    ]
    ticks = [
        {"column": column, "y": y, "text": text}
        for column, (_, marked) in columns.items()
        for y, text in marked.items()
    ]
    across = _across(list(columns))
    up = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[0, 1]))
    chosen = alt.selection_point(fields=["line"], on="click")
    lines = (
        marks.of_rows(rows)
        .mark_line(strokeWidth=2)
        .encode(
            x=across,
            y=up,
            detail="line:N",
            color=_by_score(section, score, orient="bottom"),
            opacity=alt.condition(chosen, alt.value(0.85), alt.value(0.08)),
            tooltip=[alt.Tooltip("group:N"), alt.Tooltip("text:N", title="mean")],
        )
        .add_params(chosen)
    )
    axes = marks.of_rows([{"column": column} for column in columns]).mark_rule(color="muted")
    texts = marks.on_lines(marks.of_rows(ticks).encode(x=across, y=up, text="text:N"), dx=_BESIDE)
    layers = alt.layer(axes.encode(x=across), lines, *texts)
    return Picture(layers.properties(width=size[0], height=size[1]))


def _across(columns: list[str]) -> Any:
    """Return the horizontal channel: a column for each setting and figure, named at the top."""
    return alt.X(
        "column:N",
        sort=columns,
        title=None,
        scale=alt.Scale(type="point", padding=0.25),
        axis=alt.Axis(
            orient="top",
            labelAngle=0,
            labelLimit=170,
            # The last part of a name on a line of its own: whole names meet on a narrow page.
            labelExpr="split(datum.label, regexp('[./](?=[^./]*$)'))",
            domain=False,
            ticks=False,
            labelPadding=27,
        ),
    )


def _of_levels(values: Sequence[str], *, most: int) -> Column:
    """Return where the values of a setting lie, evenly apart, and the texts of at most twelve."""
    levels = _levels(values)
    last = len(levels) - 1
    at = {level: i / last if last else 0.5 for i, level in enumerate(levels)}
    few = levels if len(levels) <= 12 else levels[:: -(-len(levels) // 12)]
    marked = {at[level]: labels.shortened(show_shortly(parse(level)), most=most) for level in few}
    return [at[value] for value in values], marked


def _of_figures(values: Sequence[float]) -> Column:
    """Return where figures lie between their least and largest, and the texts of three."""
    low, high = padded(values, share=0.0)
    marked = {share: figure_text(low + share * (high - low)) for share in (0.0, 0.5, 1.0)}
    return [(value - low) / (high - low) for value in values], marked


def matrix(
    section: Section,
    *,
    metric: str,
    settings: Sequence[str] = (),
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

    Raises
    ------
    RequestError
        If there are not two such settings, or no run has the figure.
    """
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
    means = {at: fmean(values) for at, values in cells.items()}
    middle = (min(means.values()) + max(means.values())) / 2
    short = [labels.short_names(_levels([at[i] for at in means])) for i in (0, 1)]
    rows = [
        {
            "x": short[0][at[0]],
            "y": short[1][at[1]],
            "score": mean,
            "n": len(cells[at]),
            "text": figure_text(mean),
        }
        # Viridis is dark at one end and light at the other, in any theme.
        | {"on": "dark" if (mean <= middle) == section.is_better_high(score) else "light"}
        for at, mean in means.items()
    ]
    levels = [list(names.values()) for names in short]
    angle = labels.slant(levels[0], room=CELL)
    base = marks.of_rows(rows).encode(
        x=alt.X("x:N", sort=levels[0], title=wanted[0], axis=alt.Axis(labelAngle=angle)),
        y=alt.Y("y:N", sort=levels[1], title=wanted[1]),
    )
    rects = base.mark_rect().encode(
        color=_by_score(section, score, orient="right"),
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
    width, height = (max(160, CELL * len(levels[0])), max(90, 36 * len(levels[1])))
    return Picture(alt.layer(rects, texts).properties(width=width, height=height))


def _by_score(section: Section, score: str, *, orient: Literal["right", "bottom"]) -> Any:
    # Without its ends, which are hard to see in the dark (violet) and on white (yellow).
    scheme = alt.SchemeParams(name="viridis", extent=[0.2, 0.9])
    scale = alt.Scale(scheme=scheme, reverse=not section.is_better_high(score))
    legend = alt.Legend(format=".4~r", orient=orient)
    return alt.Color("score:Q", title=score, scale=scale, legend=legend)


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

"""Each group's gap against its validation figure, with intervals and names."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from fitgap.charts import labels, marks
from fitgap.charts.picture import Picture
from fitgap.charts.scales import padded
from fitgap.comparison.gap_curves import front_of, mean_of
from fitgap.comparison.groups import Section
from fitgap.errors import RequestError
from fitgap.report.leaderboard import label_of

MOST_POINTS = 400  # groups
MOST_CROSSED = 60  # groups with their intervals: more hide each other
NAMES = "names"  # the layers of them, which a narrow page leaves out
WIDTH, HEIGHT = 560, 360
KINDS = ["no group beats it in both", "beaten"]


def gap_against_metric(
    section: Section, *, metric: str, size: tuple[int, int] = (WIDTH, HEIGHT)
) -> Picture:
    """Draw each group's gap against its validation figure, with 95 % intervals and its name.

    Parameters
    ----------
    section
        Of a comparison.
    metric
        Without its partition.
    size
        Width and height of the chart, in units of 1/96 inch, without names and axes.

    Raises
    ------
    RequestError
        If no group has both figures.
    """
    rows = _rows(section, metric)
    if not rows:
        raise RequestError(f"no run of this comparison has both val/{metric} and gap/{metric}")
    crossed = len(rows) <= MOST_CROSSED
    x_domain, y_domain = (
        padded([row[name] for row in rows for name in (bounds if crossed else (mean,))])
        for mean, *bounds in (("gap", "gap_low", "gap_high"), ("score", "low", "high"))
    )
    x_scale = alt.Scale(domain=x_domain, nice=False)
    y_scale = alt.Scale(domain=y_domain, nice=False)
    across = alt.X("gap:Q", scale=x_scale, title=f"gap in {metric} (training to validation)")
    up = alt.Y("score:Q", scale=y_scale, title=f"validation {metric}")
    # The colours of the curves; the legend is the names beside the points.
    places = {row["rank"]: row["rank"] - 1 for row in rows}
    colour = marks.group_colours(places, field="rank", legend=None)
    base = marks.of_rows(rows).encode(color=colour)
    layers: list[Any] = []
    if crossed:
        rule = base.mark_rule(opacity=0.5)
        layers = [
            rule.encode(x=alt.X("gap_low:Q", scale=x_scale), x2="gap_high:Q", y=up),
            rule.encode(x=across, y=alt.Y("low:Q", scale=y_scale), y2="high:Q"),
        ]
    dots = base.mark_point(filled=True, size=60, opacity=1).encode(
        x=across,
        y=up,
        shape=alt.Shape(
            "kind:N",
            scale=alt.Scale(domain=KINDS, range=["diamond", "circle"]),
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
    named = marks.of_rows(_names_of_points(rows, x_domain=x_domain, y_domain=y_domain, size=size))
    named = named.encode(
        x=alt.X("x:Q", scale=x_scale), y=alt.Y("y:Q", scale=y_scale), text="name:N"
    )
    layers += [
        dots.add_params(alt.selection_interval(bind="scales")),
        *(
            texts.properties(description=f"{NAMES}-{i}")
            for i, texts in enumerate(marks.on_lines(named))
        ),
    ]
    return Picture(alt.layer(*layers).properties(width=size[0], height=size[1]))


def _rows(section: Section, metric: str) -> list[dict[str, Any]]:
    front = front_of(section, metric)
    rows = []
    for i, group in enumerate(section.groups):
        names = (f"gap/{metric}", f"val/{metric}")
        if i >= MOST_POINTS and i not in front:
            continue
        if not all(math.isfinite(mean_of(group, name)) for name in names):
            continue
        gap, score = (group.metrics[name] for name in names)
        row = {"group": label_of(group), "rank": i + 1, "gap": gap.mean, "score": score.mean}
        row |= {"gap_low": gap.bounds[0], "gap_high": gap.bounds[1]}
        row |= {"low": score.bounds[0], "high": score.bounds[1], "n": score.n}
        row |= {"gap_text": gap.with_interval(), "text": score.with_interval()}
        rows.append(row | {"kind": KINDS[0 if i in front else 1]})
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

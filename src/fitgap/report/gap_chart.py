"""Each group's gap against its validation figure, with intervals and names."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from fitgap.charts import labels
from fitgap.charts.picture import Picture
from fitgap.charts.scales import padded
from fitgap.comparison.estimates import Estimate
from fitgap.comparison.gap_curves import front_of, mean_of
from fitgap.comparison.groups import Section
from fitgap.errors import RequestError
from fitgap.report.leaderboard import label_of

MOST_POINTS = 400  # groups
MOST_CROSSED = 60  # groups with their intervals: more hide each other
NAMES = "names"  # the layers of them, which a narrow page leaves out
WIDTH, HEIGHT = 560, 360
# A text is drawn twice: first its edge in the paper's colour, so that lines stop short of it.
HALO = (("paper", 4), (None, 0))


def gap_against_metric(
    section: Section,
    *,
    metric: str,
    title: str = "",
    size: tuple[int, int] = (WIDTH, HEIGHT),
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
    crossed = len(found) <= MOST_CROSSED
    x_domain = padded(_values(gaps, with_intervals=crossed))
    y_domain = padded(_values(scores, with_intervals=crossed))
    rows = []
    for (i, group), gap, score in zip(found, gaps, scores, strict=True):
        row = {"group": label_of(group), "rank": i + 1, "gap": gap.mean, "score": score.mean}
        row |= {"gap_low": gap.bounds[0], "gap_high": gap.bounds[1]}
        row |= {"low": score.bounds[0], "high": score.bounds[1], "n": score.n}
        row |= {"gap_text": gap.with_interval(), "text": score.with_interval()}
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
        for stroke, width in HALO
    ]
    return Picture(alt.layer(*layers).properties(width=size[0], height=size[1]), title)


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


def _values(found: Sequence[Estimate], *, with_intervals: bool) -> list[float]:
    return [value for one in found for value in (one.bounds if with_intervals else (one.mean,))]

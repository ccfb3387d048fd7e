"""The picture of the effects of remedies: a row each, with two changes and their intervals."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from fitgap.charts import marks
from fitgap.charts.picture import Picture
from fitgap.charts.scales import padded
from fitgap.comparison.estimates import Estimate
from fitgap.comparison.remedies import Effect, RemedyEffects
from fitgap.evaluation.figures import figure_text

WIDTH, ROW = 280, 26  # units of a panel's width and of a row's height
BETTER, WORSE, UNCLEAR = "better", "worse", "no difference shown"
KINDS = {1: BETTER, -1: WORSE, 0: UNCLEAR}


def draw(found: RemedyEffects, *, title: str) -> Picture:
    """Draw the changes of the validation figure and the gap side by side, the largest gain on top.

    An interval that lies wholly on one side of zero is coloured, and filled besides.

    Parameters
    ----------
    found
        From `fitgap.comparison.remedies.effects`.
    title
        What was trained.
    """
    shown, baseline, metric = found.effects, found.baseline, found.metric
    right = "right" if metric.direction > 0 else "left"
    panels = [
        _panel(
            shown,
            [one.val_change for one in shown],
            shown_better=[one.better for one in shown],
            title=[f"change of val/{metric.name}", f"{right} is better"],
            heading=f"baseline {figure_text(baseline.val.mean)}",
        ),
        _panel(
            shown,
            [one.gap_change for one in shown],
            shown_better=[-one.larger_gap for one in shown],
            title=[f"change of gap/{metric.name}", "left is better"],
            heading=f"baseline {figure_text(baseline.gap.mean, sign='+')}",
        ),
    ]
    what = f"{found.splits} splits" if found.splits > 1 else f"{baseline.val.n} seeds"
    over = f"95 % intervals over {what}, all at once"
    return Picture(alt.hconcat(*panels), f"{title}; {over}" if title else over)


def _panel(
    shown: Sequence[Effect],
    changes: Sequence[Estimate],
    *,
    shown_better: Sequence[int],
    title: Sequence[str],
    heading: str,
) -> Any:
    names = [one.remedy for one in shown]
    rows = []
    for name, change, better in zip(names, changes, shown_better, strict=True):
        low, high = change.bounds
        row = {"remedy": name, "mean": change.mean, "low": low, "high": high}
        rows.append(row | {"kind": KINDS[better]})
    limits = padded([0.0, *(bound for change in changes for bound in change.bounds)])
    scale = alt.Scale(domain=limits, nice=False)
    kinds = list(KINDS.values())
    legend = alt.Legend(title=None, orient="bottom", symbolOpacity=1, columns=3)
    y = alt.Y("remedy:N", sort=names, title=None)
    # Two channels of one legend, whose signs are then hollow where the marks are.
    strokes = alt.Scale(domain=kinds, range=["group-1", "group-2", "muted"])
    fills = alt.Scale(domain=kinds, range=["group-1", "group-2", "paper"])
    stroke = alt.Stroke("kind:N", scale=strokes, legend=legend)
    base = marks.of_rows(rows)
    zero = marks.of_rows([{"at": 0.0}]).mark_rule(color="ink")
    intervals = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", scale=scale), x2="high:Q", y=y, stroke=stroke
    )
    dots = base.mark_point(size=70, opacity=1, filled=False, strokeWidth=2).encode(
        x=alt.X("mean:Q", scale=scale, title=list(title)),
        y=y,
        stroke=stroke,
        fill=alt.Fill("kind:N", scale=fills, legend=legend),
        tooltip=[
            alt.Tooltip("remedy:N"),
            alt.Tooltip("mean:Q", title="change", format="+.4f"),
            alt.Tooltip("low:Q", title="from", format="+.4f"),
            alt.Tooltip("high:Q", title="to", format="+.4f"),
        ],
    )
    layers = alt.layer(zero.encode(x=alt.X("at:Q", scale=scale)), intervals, dots)
    subtitle = alt.Title(heading, fontSize=11, fontWeight="normal")  # below the picture's own title
    return layers.properties(width=WIDTH, height=ROW * max(len(names), 2), title=subtitle)

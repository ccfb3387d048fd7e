"""The picture of what remedies brought: a row each, its two changes with their intervals."""

from collections.abc import Sequence
from typing import Any

from fitgap.charts.picture import Picture
from fitgap.charts.scales import padded
from fitgap.comparison.estimates import Estimate
from fitgap.comparison.remedies import BASELINE, Effect, direction

WIDTH, ROW = 280, 26  # units of a panel's width and of a row's height
BETTER, WORSE, UNCLEAR = "better", "worse", "not told apart from no change"
KINDS = {1: BETTER, -1: WORSE, 0: UNCLEAR}


def draw(found: Sequence[Effect], *, title: str) -> Picture:
    """Draw the changes of validation accuracy and gap side by side, the largest gain on top.

    An interval that lies wholly on one side of zero is coloured, and filled besides.

    Parameters
    ----------
    found
        From `fitgap.comparison.remedies.effects`.
    title
        What was trained.
    """
    import altair as alt

    shown = [one for one in found if one.remedy != BASELINE]
    baseline = next(one for one in found if one.remedy == BASELINE)
    names = [one.remedy for one in shown]
    panels = [
        _panel(
            names,
            [one.val_change for one in shown],
            wanted=1,
            title=["change of validation accuracy, points", "right is better"],
            heading=f"baseline {baseline.val.mean:.4f}",
        ),
        _panel(
            names,
            [one.gap_change for one in shown],
            wanted=-1,
            title=["change of the gap (training - validation), points", "left is better"],
            heading=f"baseline {baseline.gap.mean:+.4f}",
        ),
    ]
    over = f"intervals over {baseline.val.n} seeds, all at once 95 %"
    return Picture(alt.hconcat(*panels), f"{title}; {over}" if title else over)


def _panel(
    names: Sequence[str],
    changes: Sequence[Estimate],
    *,
    wanted: int,
    title: Sequence[str],
    heading: str,
) -> Any:
    import altair as alt

    rows = []
    for name, change in zip(names, changes, strict=True):
        low, high = change.bounds
        row = {"remedy": name, "mean": 100 * change.mean, "low": 100 * low, "high": 100 * high}
        rows.append(row | {"kind": KINDS[direction(change) * wanted]})
    limits = padded([0.0, *(100 * bound for change in changes for bound in change.bounds)])
    scale = alt.Scale(domain=limits, nice=False)
    kinds = list(KINDS.values())
    legend = alt.Legend(title=None, orient="bottom", symbolOpacity=1, columns=3)
    y = alt.Y("remedy:N", sort=list(names), title=None)
    colour = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=kinds, range=["group-1", "group-2", "muted"]),
        legend=legend,
    )
    base = alt.Chart(alt.Data(values=rows))
    zero = alt.Chart(alt.Data(values=[{"at": 0.0}])).mark_rule(color="ink")
    intervals = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", scale=scale), x2="high:Q", y=y, color=colour
    )
    dots = base.mark_point(size=70, opacity=1, filled=False, strokeWidth=2).encode(
        x=alt.X("mean:Q", scale=scale, title=list(title)),
        y=y,
        color=colour,
        fill=alt.condition(f"datum.kind == '{UNCLEAR}'", alt.value("paper"), colour),
        tooltip=[
            alt.Tooltip("remedy:N"),
            alt.Tooltip("mean:Q", title="points", format="+.2f"),
            alt.Tooltip("low:Q", title="from", format="+.2f"),
            alt.Tooltip("high:Q", title="to", format="+.2f"),
        ],
    )
    layers = alt.layer(zero.encode(x=alt.X("at:Q", scale=scale)), intervals, dots)
    return layers.properties(width=WIDTH, height=ROW * max(len(names), 2), title=heading)

"""The pictures of docs/HOW_A_NETWORK_LEARNS.md, drawn from what its code has computed.

So text, code and pictures cannot tell different stories.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fitgap.charts import predicted_images
from fitgap.charts.picture import Picture
from fitgap.charts.predicted_images import Shown

WIDTH, HEIGHT = 460, 240


def draw(page: Mapping[str, Any]) -> dict[str, Picture]:
    """Draw all pictures, by the names of their files.

    Parameters
    ----------
    page
        What the page has defined, from `fitgap_lab.verification.walkthrough.run`.
    """
    return {
        "walkthrough_batch": _batch(page),
        "walkthrough_slope": _slope(page),
        "walkthrough_epoch": _epoch(page),
        "walkthrough_probabilities": _probabilities(page),
    }


def _batch(page: Mapping[str, Any]) -> Picture:
    shown = [
        Shown(image, [str(label)], is_ink=True)
        for image, label in zip(page["images"], page["labels"], strict=True)
    ]
    return predicted_images.draw(shown[:32], per_row=16, side=48)


def _slope(page: Mapping[str, Any]) -> Picture:
    import altair as alt

    weight = float(page["K1"][13 * 28 + 14, 0])
    changes = np.linspace(-1.5, 1.5, 61)
    start, slope = float(page["loss_with"](0)), float(page["slope"])
    lines = {
        "loss of the batch": [float(page["loss_with"](change)) for change in changes],
        f"slope {slope:.4f}": [start + slope * float(change) for change in changes],
    }
    chart = _lines(
        [weight + float(change) for change in changes],
        lines,
        x="weight from pixel (13, 14) to unit 0",
        y="loss",
    )
    here = alt.Chart(alt.InlineData(values=[{"x": weight, "y": start}])).mark_point(
        filled=True, size=70, opacity=1, color="ink"
    )
    return Picture(alt.layer(chart, here.encode(x="x:Q", y="y:Q")))


def _epoch(page: Mapping[str, Any]) -> Picture:
    losses = [float(loss) for loss in page["losses"]]
    lines = {"loss": losses, "guessing: log 10": [float(np.log(10))] * len(losses)}
    numbers = list(range(1, len(losses) + 1))
    return Picture(_lines(numbers, lines, x="batch", y="loss before its update", from_zero=True))


def _lines(
    x_values: Sequence[float],
    lines: Mapping[str, Sequence[float]],
    *,
    x: str,
    y: str,
    from_zero: bool = False,
) -> Any:
    import altair as alt

    rows = [
        {"x": at, "y": value, "line": name}
        for name, values in lines.items()
        for at, value in zip(x_values, values, strict=True)
    ]
    legend = alt.Legend(title=None, orient="top", symbolType="stroke", symbolSize=500)
    domain = list(lines)
    return (
        alt.Chart(alt.InlineData(values=rows))
        .mark_line(strokeWidth=1.5)
        .encode(
            x=alt.X("x:Q", title=x, scale=alt.Scale(zero=False, nice=False)),
            y=alt.Y("y:Q", title=y, scale=alt.Scale(zero=from_zero)),
            color=alt.Color(
                "line:N",
                scale=alt.Scale(domain=domain, range=["group-1", "group-2"]),
                legend=legend,
            ),
            strokeDash=alt.StrokeDash(
                "line:N", scale=alt.Scale(domain=domain, range=[[1, 0], [5, 4]]), legend=legend
            ),
        )
        .properties(width=WIDTH, height=HEIGHT)
    )


def _probabilities(page: Mapping[str, Any]) -> Picture:
    import altair as alt

    image, label = page["images"][0], int(page["labels"][0])
    learned = page["network"].predict(page["images"][:1])[0]
    pictured = predicted_images.draw([Shown(image, [f"label {label}"], is_ink=True)]).chart
    bars = [
        _bars(title, shown, label=label)
        for title, shown in (
            ("initial weights", page["probabilities"][0]),
            ("after one epoch", learned),
        )
    ]
    return Picture(alt.hconcat(pictured, *bars))


def _bars(title: str, probabilities: Sequence[float], *, label: int) -> Any:
    import altair as alt

    rows = [
        {"class": i, "probability": float(one), "kind": "group-2" if i == label else "group-1"}
        for i, one in enumerate(probabilities)
    ]
    roles = ["group-1", "group-2"]
    return (
        alt.Chart(alt.InlineData(values=rows))
        .mark_bar()
        .encode(
            x=alt.X("class:O", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("probability:Q", scale=alt.Scale(domain=[0, 1])),
            color=alt.Color("kind:N", scale=alt.Scale(domain=roles, range=roles), legend=None),
        )
        .properties(width=220, height=170, title=title)
    )

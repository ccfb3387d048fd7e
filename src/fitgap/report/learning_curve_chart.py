"""The picture of a learning curve: scores by number of training samples, and the fitted law."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from fitgap.charts import marks
from fitgap.charts.picture import Picture
from fitgap.comparison.learning_curve import Curve, Forecast

WIDTH, HEIGHT = 330, 250
LAW_POINTS = 60
LAW, NOT_BELIEVED = "power law", "power law (not believed)"
PARTS = {"train": "training", "val": "validation"}


def draw(found: Curve, forecast: Forecast, *, title: str) -> Picture:
    """Draw the metric and the loss against the number of samples, training and validation.

    Parameters
    ----------
    found
        From `fitgap.comparison.learning_curve.curve`.
    forecast
        Its law is drawn dotted, beyond the largest size only where it is believed.
    title
        What was trained.
    """
    law = _law(found, forecast)
    panels = [
        _panel(found, found.metric.name, law=law, forecast=forecast),
        _panel(found, "loss", law=[]),
    ]
    return Picture(alt.hconcat(*panels), title)


def _law(found: Curve, forecast: Forecast) -> list[dict[str, Any]]:
    """Return the fitted law's figures; up to twice the samples only where it is believed."""
    import numpy as np

    if forecast.law is None:
        return []
    last = found.points[-1].samples
    samples = np.geomspace(
        forecast.first, 2 * last if forecast.gain is not None else last, LAW_POINTS
    )
    name = LAW if forecast.gain is not None else NOT_BELIEVED
    return [
        {"samples": float(n), "mean": float(found.figure(forecast.law.error(n))), "data": name}
        for n in samples
    ]


def _panel(
    found: Curve,
    quantity: str,
    *,
    law: Sequence[dict[str, Any]],
    forecast: Forecast | None = None,
) -> Any:
    domain = [*PARTS.values(), LAW, NOT_BELIEVED]
    last = law[-1]["data"] if law else ""
    legend = alt.Legend(
        title=None,
        orient="bottom",
        symbolType="stroke",
        symbolSize=400,
        symbolOpacity=1,
        columns=3,
        values=[*PARTS.values(), *([last] if last else [])],
    )
    colours = ["group-1", "group-2", "muted", "muted"]
    colour = alt.Color("data:N", scale=alt.Scale(domain=domain, range=colours), legend=legend)
    dash = alt.StrokeDash(
        "data:N",
        scale=alt.Scale(domain=domain, range=[[5, 4], [1, 0], [2, 3], [2, 3]]),
        legend=legend,
    )
    x = alt.X(
        "samples:Q",
        title="training samples",
        scale=alt.Scale(type="log", nice=False),
        axis=alt.Axis(format=",d", values=_round_numbers(found, law), labelAngle=-30),
    )
    up = alt.Scale(zero=False)
    base = marks.of_rows(_rows(found, quantity))
    bands = base.mark_area(opacity=0.2).encode(
        x=x, y=alt.Y("low:Q", scale=up, title=quantity), y2="high:Q", color=colour
    )
    lines = base.mark_line(strokeWidth=2).encode(
        x=x, y=alt.Y("mean:Q", scale=up), color=colour, strokeDash=dash
    )
    points = base.mark_point(filled=True, size=40, opacity=1).encode(
        x=x,
        y=alt.Y("mean:Q", scale=up),
        color=colour,
        tooltip=[
            alt.Tooltip("data:N"),
            alt.Tooltip("samples:Q", format=",d"),
            alt.Tooltip("mean:Q", title=quantity, format=".4f"),
        ],
    )
    layers = [bands, lines, points]
    if law:
        layers.append(
            marks.of_rows(list(law))
            .mark_line(strokeWidth=1.5)
            .encode(x=x, y=alt.Y("mean:Q", scale=up), color=colour, strokeDash=dash)
        )
    if forecast is not None and forecast.law is not None and forecast.gain is not None:
        layers += _twice_the_data(found, forecast, x=x, up=up)
    return alt.layer(*layers).properties(width=WIDTH, height=HEIGHT)


def _rows(found: Curve, quantity: str) -> list[dict[str, Any]]:
    rows = []
    for point in found.points:
        for part, name in PARTS.items():
            score = point.scores[f"{part}/{quantity}"]
            low, high = score.bounds
            row = {"samples": point.samples, "data": name, "mean": score.mean}
            rows.append(row | {"low": low, "high": high})
    return rows


def _twice_the_data(found: Curve, forecast: Forecast, *, x: Any, up: Any) -> list[Any]:
    gain, law = forecast.gain, forecast.law
    if gain is None or law is None or gain.low is None or gain.high is None:
        return []
    last = found.points[-1].samples
    now = float(law.error(last))
    low, high = sorted(float(found.figure(now - by)) for by in (gain.low, gain.high))
    row = {"samples": 2 * last, "low": low, "high": high}
    base = marks.of_rows([row | {"text": "twice the data"}])
    return [
        base.mark_rule(color="muted", strokeWidth=4, opacity=0.6).encode(
            x=x, y=alt.Y("low:Q", scale=up), y2="high:Q"
        ),
        base.mark_text(align="right", baseline="bottom", dy=-5, color="muted").encode(
            x=x, y=alt.Y("high:Q", scale=up), text="text:N"
        ),
    ]


def _round_numbers(found: Curve, law: Sequence[dict[str, Any]]) -> list[int]:
    """Return 1, 2 and 5 times the powers of ten between the fewest and the most samples."""
    most = max([point.samples for point in found.points] + [int(row["samples"]) for row in law])
    fewest = min(point.samples for point in found.points)
    return [
        n
        for power in range(len(str(most)))
        for n in (10**power, 2 * 10**power, 5 * 10**power)
        if fewest <= n <= most
    ]

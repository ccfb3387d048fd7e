"""What a regression model predicts for the test samples, against the true values."""

import altair as alt
import numpy as np
from numpy.typing import NDArray

from fitgap.charts import marks
from fitgap.charts.picture import Picture
from fitgap.store.predictions import StoredOutputs

MOST_NUMBERS = 4  # pictures, where a sample has several
SIZE = 320  # units of 1/96 inch


def draw(outputs: StoredOutputs) -> list[tuple[Picture, Picture]]:
    """Draw predicted against true, and what is left against predicted.

    Parameters
    ----------
    outputs
        Numbers; values that are not finite are left out.

    Returns
    -------
    list
        Two pictures for each of the first numbers of a sample: on the dashed line of both a
        prediction is right.
    """
    pictures = []
    count = outputs.true.shape[1]
    for i in range(min(count, MOST_NUMBERS)):
        true = outputs.true[:: outputs.step, i].astype(float)
        found = outputs.outputs[:: outputs.step, i].astype(float)
        kept = np.isfinite(true) & np.isfinite(found)
        if not kept.any():
            continue
        true, found = true[kept], found[kept]
        both = np.concatenate([true, found])
        limits = float(both.min()), float(both.max())
        scale = alt.Scale(domain=list(limits), nice=True)
        name = f" (number {i})" if count > 1 else ""
        x, y = alt.X("x:Q", scale=scale), alt.Y("y:Q", scale=scale)
        ends = float(found.min()), float(found.max())
        pictures.append(
            (
                _scatter(
                    (true, found),
                    x.title(f"true{name}"),
                    y.title(f"predicted{name}"),
                    right=[(one, one) for one in limits],
                ),
                _scatter(
                    (found, true - found),
                    alt.X("x:Q", scale=alt.Scale(zero=False), title=f"predicted{name}"),
                    alt.Y("y:Q", title=f"residual: true − predicted{name}"),
                    right=[(one, 0.0) for one in ends],
                ),
            )
        )
    return pictures


def _scatter(
    points: tuple[NDArray[np.float64], NDArray[np.float64]],
    x: alt.X,
    y: alt.Y,
    *,
    right: list[tuple[float, float]],
) -> Picture:
    """Draw points, and the line on which predictions are right."""
    rows = [
        {"x": float(f"{one:.6g}"), "y": float(f"{other:.6g}")}
        for one, other in zip(*points, strict=True)
    ]
    dots = marks.of_rows(rows).mark_point(filled=True, size=24, opacity=0.6, color="group-1")
    line = marks.of_rows([{"x": one, "y": other} for one, other in right]).mark_line(
        color="muted", strokeDash=[4, 4], strokeWidth=1
    )
    layers = alt.layer(line.encode(x=x, y=y), dots.encode(x=x, y=y))
    return Picture(layers.properties(width=SIZE, height=SIZE), "")

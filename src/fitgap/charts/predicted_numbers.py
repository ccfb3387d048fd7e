"""What a regression model predicts for the test samples, against the true values."""

import altair as alt
import numpy as np

from fitgap.charts import marks
from fitgap.charts.picture import Picture
from fitgap.store.predictions import StoredOutputs

MOST_NUMBERS = 4  # pictures, where a sample has several
SIZE = 320  # units of 1/96 inch


def draw(outputs: StoredOutputs) -> list[Picture]:
    """Draw predicted against true, one picture for each of the first numbers of a sample.

    Parameters
    ----------
    outputs
        Numbers; values that are not finite are left out.
    """
    pictures = []
    count = outputs.true.shape[1]
    for i in range(min(count, MOST_NUMBERS)):
        true = outputs.true[:: outputs.step, i].astype(float)
        found = outputs.outputs[:: outputs.step, i].astype(float)
        kept = np.isfinite(true) & np.isfinite(found)
        if not kept.any():
            continue
        both = np.concatenate([true[kept], found[kept]])
        limits = [float(both.min()), float(both.max())]
        scale = alt.Scale(domain=limits, nice=True)
        name = f" (number {i})" if count > 1 else ""
        rows = [
            {"x": float(f"{x:.6g}"), "y": float(f"{y:.6g}")}
            for x, y in zip(true[kept], found[kept], strict=True)
        ]
        points = (
            marks.of_rows(rows)
            .mark_point(filled=True, size=24, opacity=0.6, color="group-1")
            .encode(
                x=alt.X("x:Q", scale=scale, title=f"true{name}"),
                y=alt.Y("y:Q", scale=scale, title=f"predicted{name}"),
            )
        )
        right = (
            marks.of_rows([{"x": one, "y": one} for one in limits])
            .mark_line(color="muted", strokeDash=[4, 4], strokeWidth=1)
            .encode(x=alt.X("x:Q", scale=scale), y=alt.Y("y:Q", scale=scale))
        )
        pictures.append(Picture(alt.layer(right, points).properties(width=SIZE, height=SIZE), ""))
    return pictures

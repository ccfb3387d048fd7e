"""How often a network is right where it is so confident, as a picture."""

import altair as alt
import numpy as np

from fitgap.charts import marks
from fitgap.charts.picture import Picture
from fitgap.store.predictions import StoredPredictions

BINS = 10  # of equal width over [0, 1]
SIZE = 260  # units of 1/96 inch


def draw(predictions: StoredPredictions) -> Picture:
    """Draw the share of right predictions against their mean confidence, for each bin of it.

    A point on the line is a bin in which the network is right as often as it says; below the
    line it is too sure. The area of a point is the number of its samples. Probabilities that are
    not finite are left out.
    """
    known = np.isfinite(predictions.confidence)
    confidence = predictions.confidence[known].astype(np.float64)
    is_right = predictions.is_right[known]
    bin_of = np.clip(confidence * BINS, 0, BINS - 1).astype(np.int64)
    rows = [
        {
            "confidence": float(f"{confidence[inside].mean():.4f}"),
            "right": float(f"{is_right[inside].mean():.4f}"),
            "samples": int(inside.sum()),
        }
        for number in range(BINS)
        if (inside := bin_of == number).any()
    ]
    scale = alt.Scale(domain=[0, 1])
    points = (
        marks.of_rows(rows)
        .mark_point(filled=True, opacity=0.8, color="group-1")
        .encode(
            x=alt.X("confidence:Q", scale=scale, title="mean probability of the predicted class"),
            y=alt.Y("right:Q", scale=scale, title="share of right predictions"),
            size=alt.Size("samples:Q", scale=alt.Scale(range=[20, 300]), legend=None),
        )
    )
    exact = (
        marks.of_rows([{"confidence": one, "right": one} for one in (0, 1)])
        .mark_line(color="muted", strokeDash=[4, 4], strokeWidth=1)
        .encode(x=alt.X("confidence:Q", scale=scale), y=alt.Y("right:Q", scale=scale))
    )
    return Picture(alt.layer(exact, points).properties(width=SIZE, height=SIZE), "")

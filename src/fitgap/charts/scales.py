"""Axes and their ranges."""

from collections.abc import Sequence
from typing import Any

import altair as alt


def padded(values: Sequence[float], *, share: float = 0.06) -> tuple[float, float]:
    """Return the range of some values with a margin on both sides, a share of their range."""
    low, high = min(values), max(values)
    # Equal values still need a range to be drawn in.
    margin = (high - low) * share if high > low else max(abs(high) * 0.01, 1e-6)
    return low - margin, high + margin


def epoch_axis(first: int, last: int) -> Any:
    """Return an axis of whole epochs: each of a few, else about eight round ones."""
    if last - first < 12:
        return alt.Axis(format="d", values=list(range(first, last + 1)))
    return alt.Axis(format="d", tickMinStep=1, tickCount=8)

"""Forecasts of learning curves whose truth is known: how often the interval holds the gain."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fitgap.comparison.learning_curve import Curve, Point, forecast
from fitgap.comparison.recorded_metrics import known_metric
from fitgap.report import text_tables

HEADER = ("validation error of n samples", "told", "interval holds the gain", "its width, in gains")
SIZES = tuple(100 * 2**i for i in range(8))
SEEDS = 5
OF_SEED, OF_ALL = 0.03, 0.01  # relative standard deviations: of one run, and of all runs of a seed

Floats = NDArray[np.float64]
TRUTHS: dict[str, Callable[[Floats], Floats]] = {
    "2 n^-0.4": lambda n: 2 * n**-0.4,
    "0.02 + 2 n^-0.5": lambda n: 0.02 + 2 * n**-0.5,
    "0.005 + 2 n^-0.4": lambda n: 0.005 + 2 * n**-0.4,
    "exponent falls from 0.45 by 0.012 ln(n/100)": lambda n: (
        2 * n ** (0.012 * np.log(n / 100) - 0.45)
    ),
    "exponent grows from 0.3 by 0.01 ln(n/100)": lambda n: 2 * n ** (-0.3 - 0.01 * np.log(n / 100)),
}


@dataclass(frozen=True, slots=True)
class Found:
    """How many forecasts were made, how many intervals hold the gain, how wide they usually are."""

    told: float
    covered: float
    width: float


def table(repetitions: int = 200) -> str:
    """Simulate every truth and return the table as Markdown."""
    rows = []
    for name, truth in TRUTHS.items():
        found = simulate(truth, repetitions=repetitions)
        figures = f"{found.told:.2f}", f"{found.covered:.2f}", f"{found.width:.2f}"
        rows.append([name, *figures])
    return text_tables.to_markdown(HEADER, rows)


def simulate(truth: Callable[[Floats], Floats], *, repetitions: int, seed: int = 0) -> Found:
    """Forecast made-up curves of `SEEDS` seeds, as ``fitgap learning-curve`` does."""
    rng = np.random.default_rng(seed)
    sizes = np.array(SIZES, float)
    last, next_ = truth(sizes[-1:])[0], truth(2 * sizes[-1:])[0]
    covered, widths = 0, []
    for _ in range(repetitions):
        noise = OF_SEED * rng.normal(size=(SEEDS, len(sizes))) + OF_ALL * rng.normal(
            size=(SEEDS, 1)
        )
        errors = truth(sizes) * np.exp(noise)
        points = tuple(
            Point(size, {}, dict(enumerate(map(float, errors[:, place]))))
            for place, size in enumerate(SIZES)
        )
        gain = forecast(Curve(known_metric("accuracy"), points)).gain
        if gain is None or gain.low is None or gain.high is None:
            continue
        covered += gain.low <= last - next_ <= gain.high
        widths.append((gain.high - gain.low) / (last - next_))
    told = len(widths)
    return Found(told / repetitions, covered / told if told else np.nan, float(np.median(widths)))

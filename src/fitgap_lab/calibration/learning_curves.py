"""Forecasts of learning curves whose truth is known: how often the interval holds the gain."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fitgap.comparison.learning_curve import Curve, Point, forecast
from fitgap.store.recorded_metrics import known_metric
from fitgap.trust import text_tables

HEADER = (
    "validation error of n samples", "predicted", "coverage", "width, in gains",
    "5 splits x 2 seeds: predicted", "coverage", "width", "10 seeds of one such split: coverage",
)  # fmt: skip
SIZES = tuple(100 * 2**i for i in range(8))
SEEDS = 5
OF_SEED, OF_ALL = 0.03, 0.01  # relative standard deviations: of one run, and of all runs of a seed

# Between splits: of all sizes together, of the exponent, of one size's training samples.
OF_SPLIT, OF_TILT, OF_SIZE = 0.05, 0.01, 0.02
OVERLAP = 0.25

Floats = NDArray[np.float64]
Truth = Callable[[Floats], Floats]
TRUTHS: dict[str, Truth] = {
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
        over_splits = simulate_splits(truth, repetitions=repetitions)
        of_one = simulate_splits(truth, repetitions=repetitions, splits=1, seeds=10)
        figures = (
            f"{value:.2f}"
            for one in (found, over_splits)
            for value in (one.told, one.covered, one.width)
        )
        rows.append([name, *figures, f"{of_one.covered:.2f}"])
    return text_tables.to_markdown(HEADER, rows)


def simulate(truth: Truth, *, repetitions: int) -> Found:
    """Forecast made-up curves of `SEEDS` seeds of one split, as ``fitgap learning-curve`` does.

    Its samples are taken as given: only what seeds add scatters.
    """
    rng = np.random.default_rng(0)
    sizes = np.array(SIZES, float)

    def drawn() -> Curve:
        shape = (SEEDS, len(sizes))
        noise = OF_SEED * rng.normal(size=shape) + OF_ALL * rng.normal(size=(SEEDS, 1))
        return _curve(truth(sizes) * np.exp(noise)[None])

    return _share(truth, [drawn() for _ in range(repetitions)])


def simulate_splits(truth: Truth, *, repetitions: int, splits: int = 5, seeds: int = 2) -> Found:
    """Forecast made-up curves over splits, whose samples scatter too.

    A split's errors differ by a factor (its validation samples), by a tilt and by what each size's
    training samples add.
    """
    rng = np.random.default_rng(0)
    sizes = np.array(SIZES, float)
    tilt = np.log(sizes / sizes[0])

    def drawn() -> Curve:
        of_split = OF_SPLIT * rng.normal(size=(splits, 1, 1))
        of_split = of_split + OF_TILT * rng.normal(size=(splits, 1, 1)) * tilt
        of_split = of_split + OF_SIZE * rng.normal(size=(splits, 1, len(sizes)))
        return _curve(
            truth(sizes) * np.exp(of_split + OF_SEED * rng.normal(size=(splits, seeds, len(sizes))))
        )

    return _share(truth, [drawn() for _ in range(repetitions)])


def _curve(errors: Floats) -> Curve:
    """Return errors of shape (splits, seeds, sizes) as a learning curve."""
    splits, seeds, _ = errors.shape
    replicates = [(split, seed) for split in range(splits) for seed in range(seeds)]
    points = tuple(
        Point(size, {}, {one: float(errors[*one, place]) for one in replicates})
        for place, size in enumerate(SIZES)
    )
    split_of: dict[Hashable, Hashable] = {one: one[0] for one in replicates}
    return Curve(known_metric("accuracy"), points, split_of, OVERLAP)


def _share(truth: Truth, curves: Sequence[Curve]) -> Found:
    last, next_ = truth(np.array([SIZES[-1], 2 * SIZES[-1]], float))
    gains = [gain for one in curves if (gain := forecast(one).gain) is not None]
    widths = [high - low for low, high in (gain.bounds for gain in gains)]
    covered = sum(low <= last - next_ <= high for low, high in (gain.bounds for gain in gains))
    told = len(gains)
    return Found(
        told / len(curves),
        covered / told if told else np.nan,
        float(np.median(widths)) / (last - next_) if told else np.nan,
    )

"""Would more data help? Scores by the number of training samples, and a power law beyond it.

The validation error is how far a figure is from the best possible one. It is fitted by a power law
(`fitgap.comparison.power_law`), which is only believed under the conditions of `Forecast`;
otherwise the answer is that it cannot be predicted.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

from fitgap.comparison.estimates import Estimate, estimate, estimate_over_splits
from fitgap.comparison.power_law import (
    Floats,
    PowerLaw,
    fit,
    gain_of_doubling,
    gain_over_splits,
)
from fitgap.comparison.replicates import OF_THE_SPLIT, grouped, overlap_of
from fitgap.comparison.sweep_results import require_validation
from fitgap.store import StoredRun
from fitgap.store.recorded_metrics import KnownMetric, known_metric, primary_metric
from fitgap.trust.text import whole_number

SETTING = "split.train_fraction"  # that such a sweep varies
START = "train sweep=learning_curve"  # after the program's name

# The conditions under which a fit is believed. Assumed, not measured: they are wide enough for
# the scatter of a few seeds, and narrow enough to refuse a curve that bends.
MIN_SIZES = 6  # the law is tried on those up to half of the largest, and takes five
MIN_SPAN = 8.0  # largest number of samples over the smallest
MAX_SCATTER = 0.10  # root mean square of the relative residuals
MAX_MISS = 0.15  # relative, foretelling the largest size from those up to half of it


@dataclass(frozen=True, slots=True)
class Point:
    """All runs on one number of training samples.

    Attributes
    ----------
    samples
        How many.
    scores
        By name with the partition: the metric and the loss.
    errors
        By replicate: how far the validation figure is from the best possible one. It is the share
        of mistakes for an accuracy, and the figure itself for an error in units of the target.
    """

    samples: int
    scores: Mapping[str, Estimate]
    errors: Mapping[Hashable, float]

    @property
    def error(self) -> float:
        """Mean validation error over the replicates."""
        return fmean(self.errors.values())


@dataclass(frozen=True, slots=True)
class Curve:
    """A learning curve.

    Attributes
    ----------
    metric
        The primary metric of the runs, in which all figures are given.
    points
        By number of samples, ascending.
    split_of
        The split of each replicate.
    overlap
        Validation over training samples of the largest size, where there are several splits.
    """

    metric: KnownMetric
    points: tuple[Point, ...]
    split_of: Mapping[Hashable, Hashable] = field(default_factory=dict)
    overlap: float = 0.0

    @property
    def splits(self) -> int:
        """The number of different splits."""
        return len(set(self.split_of.values())) or 1

    def by_split(self, values: Mapping[Hashable, float]) -> dict[Hashable, list[float]]:
        """Return values by replicate as values by split."""
        found = grouped(values, self.split_of.get)
        return {split: [values[one] for one in members] for split, members in found.items()}

    def estimate(self, values: Mapping[Hashable, float]) -> Estimate:
        """Return the mean over seeds, or over splits where there are several."""
        of_split = list(self.by_split(values).values())
        if len(of_split) > 1:
            return estimate_over_splits(of_split, overlap=self.overlap)
        return estimate(list(values.values()))

    def figure(self, error: "float | Floats") -> "float | Floats":
        """Return the validation figure whose distance from the best possible one is an error."""
        return (self.metric.best or 0.0) - self.metric.direction * error


@dataclass(frozen=True, slots=True)
class Forecast:
    """What twice the data would bring, or why that cannot be predicted.

    Attributes
    ----------
    law
        None where no power law could be fitted.
    first
        The smallest size that the law is fitted to: a power law begins where the network has
        more than a handful of samples to go by.
    doubt
        Why the law is not believed, of all sizes; None if it is, from ``first`` on: `MIN_SIZES`
        sizes that span `MIN_SPAN`, points within `MAX_SCATTER` of it, the largest size foretold
        from those up to half of it within `MAX_MISS`, and a finite interval.
    gain
        By how much the validation error would fall with twice the largest size; None in doubt. Of
        several splits the law is fitted to each, and the interval is over them.
    last_doubling
        What the last doubling (or nearly one) within the data brought: paired over replicates, no
        law needed. With the two sizes it lies between.
    """

    law: PowerLaw | None
    first: int
    doubt: str | None
    gain: Estimate | None
    last_doubling: tuple[int, int, Estimate] | None


def columns_of(metric: KnownMetric) -> tuple[str, ...]:
    """Return the names of the figures that each point of a curve has."""
    return tuple(f"{part}/{name}" for name in (metric.name, "loss") for part in ("train", "val"))


def curve(runs: Mapping[str, Mapping[Hashable, StoredRun]]) -> Curve:
    """Return the runs of a sweep by their number of training samples.

    Parameters
    ----------
    runs
        By the part of the training samples, and by replicate.

    Raises
    ------
    RequestError
        If there are no validation figures.
    """
    every = [run for of_part in runs.values() for run in of_part.values()]
    metric = known_metric(primary_metric(every), every)
    require_validation(metric.name, every, for_what="a learning curve needs")
    # Folds of different sizes leave training sets that differ by a sample: one size all the same.
    by_size: dict[int, dict[Hashable, StoredRun]] = {}
    for of_part in runs.values():
        counts = [whole_number(run.params.get("train_samples")) or 0 for run in of_part.values()]
        samples = round(fmean(counts))
        by_size.setdefault(samples, {}).update(of_part)
    largest = by_size[max(by_size)].values()
    empty = Curve(
        metric,
        (),
        split_of={
            replicate: tuple(run.params.get(key) for key in OF_THE_SPLIT)
            for of_part in runs.values()
            for replicate, run in of_part.items()
        },
        overlap=overlap_of(largest),
    )
    # Without a best value, errors begin anywhere: only their differences mean something.
    best = metric.best or 0.0
    points = [
        Point(
            samples=samples,
            scores={
                name: empty.estimate({one: run.metrics[name] for one, run in found.items()})
                for name in columns_of(metric)
            },
            errors={
                replicate: metric.direction * (best - run.metrics[f"val/{metric.name}"])
                for replicate, run in found.items()
            },
        )
        for samples, found in sorted(by_size.items())
    ]
    return replace(empty, points=tuple(points))


def forecast(found: Curve) -> Forecast:
    """Say what twice the data would bring, if that can be predicted.

    Parameters
    ----------
    found
        From `curve`.
    """
    of_all = _forecast(found, found.points)
    if found.metric.best is None:
        doubt = f"{found.metric.name} has no best value, which a law would lead to"
        return replace(of_all, law=None, gain=None, doubt=doubt)
    for start in range(len(found.points)):
        shortened = _forecast(found, found.points[start:])
        if shortened.doubt is None:
            return shortened
    return of_all


def _forecast(found: Curve, points: Sequence[Point]) -> Forecast:
    law = None
    doubt = _too_little(points)
    gain = None
    if doubt is None:
        samples, errors = [p.samples for p in points], [p.error for p in points]
        law = fit(samples, errors)
        doubt = _misfit(law, samples, errors)
        if law is not None and doubt is None:
            gain, doubt = _gain(found, points)
    return Forecast(law, points[0].samples, doubt, gain, _last_doubling(found, points))


def _gain(found: Curve, points: Sequence[Point]) -> tuple[Estimate | None, str | None]:
    """Return what twice the data would bring, or why that cannot be predicted."""
    samples = [point.samples for point in points]
    if found.splits == 1:
        gain = gain_of_doubling(samples, [point.error for point in points])
        return gain, None if gain else "the fitted law's interval has no bounds"
    of_points = [found.by_split(point.errors) for point in points]
    everywhere = [split for split in of_points[0] if all(split in one for one in of_points)]
    if len(everywhere) < 2:
        return None, "fewer than two splits have runs of all sizes"
    errors = [[fmean(one[split]) for one in of_points] for split in everywhere]
    if min(map(min, errors)) <= 0:
        return None, "in some split the validation error is zero: there is no error left to follow"
    gain = gain_over_splits(samples, errors, overlap=found.overlap)
    return gain, None if gain else "no power law can be fitted to the points of each split"


def _too_little(found: Sequence[Point]) -> str | None:
    if len(found) < MIN_SIZES:
        return f"{len(found)} sizes are too few: a power law needs {MIN_SIZES}"
    span = found[-1].samples / found[0].samples
    if span < MIN_SPAN:
        return f"the sizes span a factor of {span:.1f}; a power law needs {MIN_SPAN:.0f}"
    if lost := sum(not math.isfinite(error) for point in found for error in point.errors.values()):
        return f"runs whose validation error is not a finite number: {lost}"
    if any(point.error <= 0 for point in found):
        return "at some size the validation error is zero: there is no error left to follow"
    if found[-1].error >= found[0].error:
        return "the validation error does not fall with the number of samples"
    return None


def _misfit(law: PowerLaw | None, samples: Sequence[int], errors: Sequence[float]) -> str | None:
    if law is None:
        return "no power law can be fitted to the points"
    if law.scatter > MAX_SCATTER:
        return (
            f"the points scatter by {100 * law.scatter:.0f} % about the best power law, more "
            f"than {100 * MAX_SCATTER:.0f} %"
        )
    smaller = [i for i, n in enumerate(samples) if n <= samples[-1] / 2]
    before = fit([samples[i] for i in smaller], [errors[i] for i in smaller])
    if before is None:
        return "too few sizes up to half of the largest to try the law on what is known"
    miss = float(before.error(samples[-1])) / errors[-1] - 1
    if abs(miss) > MAX_MISS:
        return (
            f"fitted to the sizes up to {samples[smaller[-1]]:,}, the law misses the error at "
            f"{samples[-1]:,} by {100 * miss:+.0f} %, more than {100 * MAX_MISS:.0f} %"
        )
    return None


def _last_doubling(found: Curve, points: Sequence[Point]) -> tuple[int, int, Estimate] | None:
    if len(points) < 2:
        return None
    last = points[-1]
    half = min(points[:-1], key=lambda point: abs(math.log(2 * point.samples / last.samples)))
    gains = {one: half.errors[one] - last.errors[one] for one in last.errors if one in half.errors}
    return (half.samples, last.samples, found.estimate(gains)) if gains else None

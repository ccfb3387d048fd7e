"""Would more data help? Scores against the number of training samples, and a law to go further.

The validation error is how far a figure is from the best possible one. It is fitted by a power law
(`fitgap.comparison.power_law`), which is only believed under the conditions of `Forecast`;
otherwise the answer is that it cannot be told.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

from fitgap.comparison.estimates import Estimate, estimate
from fitgap.comparison.power_law import Floats, PowerLaw, fit, gain_of_doubling
from fitgap.comparison.recorded_metrics import KnownMetric, known_metric, primary_metric
from fitgap.comparison.replicates import OF_THE_SPLIT
from fitgap.comparison.sweep_results import require_validation
from fitgap.errors import RequestError
from fitgap.store import StoredRun

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
        By seed: how far the validation figure is from the best possible one. It is the share of
        mistakes for an accuracy, and the figure itself for an error in units of the target.
    """

    samples: int
    scores: Mapping[str, Estimate]
    errors: Mapping[Hashable, float]

    @property
    def error(self) -> float:
        """Mean validation error over the seeds."""
        return math.fsum(self.errors.values()) / len(self.errors)


@dataclass(frozen=True, slots=True)
class Curve:
    """A learning curve.

    Attributes
    ----------
    metric
        The runs' primary one, by which all is told.
    points
        By number of samples, ascending.
    """

    metric: KnownMetric
    points: tuple[Point, ...]

    def figure(self, error: "float | Floats") -> "float | Floats":
        """Return the validation figure of which an error is so far from the best possible one."""
        return (self.metric.best or 0.0) - self.metric.direction * error


@dataclass(frozen=True, slots=True)
class Forecast:
    """What twice the data would be worth, or why that cannot be told.

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
        By how much the validation error would fall with twice the largest size; None in doubt.
    last_doubling
        What the last doubling (or nearly one) within the data brought: paired over seeds, no law
        needed. With the two sizes it lies between.
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

    Raises
    ------
    RequestError
        If there are no validation figures, or the runs are of several splits.
    """
    every = [run for by_seed in runs.values() for run in by_seed.values()]
    if len({tuple(run.params.get(key) for key in OF_THE_SPLIT) for run in every}) > 1:
        raise RequestError(
            "a learning curve is of one split: only there is each training set a part of every "
            "larger one; make a sweep for each split.seed, and name it with --sweep"
        )
    metric = known_metric(primary_metric(every), every)
    require_validation(metric.name, every, for_what="a learning curve needs")
    by_size: dict[int, dict[Hashable, StoredRun]] = {}
    for by_seed in runs.values():
        for seed, run in by_seed.items():
            by_size.setdefault(int(run.params["train_samples"]), {})[seed] = run
    # Without a best value, errors begin anywhere: only their differences mean something.
    best = metric.best or 0.0
    return Curve(
        metric,
        tuple(
            Point(
                samples=samples,
                scores={
                    name: estimate([run.metrics[name] for run in by_seed.values()])
                    for name in columns_of(metric)
                },
                errors={
                    seed: metric.direction * (best - run.metrics[f"val/{metric.name}"])
                    for seed, run in by_seed.items()
                },
            )
            for samples, by_seed in sorted(by_size.items())
        ),
    )


def forecast(found: Curve) -> Forecast:
    """Say what twice the data would be worth, if that can be told.

    Parameters
    ----------
    found
        From `curve`.
    """
    of_all = _forecast(found.points)
    if found.metric.best is None:
        doubt = f"{found.metric.name} has no best value, which a law would lead to"
        return replace(of_all, law=None, gain=None, doubt=doubt)
    for start in range(len(found.points)):
        told = _forecast(found.points[start:])
        if told.doubt is None:
            return told
    return of_all


def _forecast(found: Sequence[Point]) -> Forecast:
    law = None
    doubt = _too_little(found)
    gain = None
    if doubt is None:
        samples, errors = [p.samples for p in found], [p.error for p in found]
        law = fit(samples, errors)
        doubt = _misfit(law, samples, errors)
        if law is not None and doubt is None:
            gain = gain_of_doubling(samples, errors)
            if gain is None:
                doubt = "the fitted law's interval has no bounds"
    return Forecast(law, found[0].samples, doubt, gain, _last_doubling(found))


def _too_little(found: Sequence[Point]) -> str | None:
    if len(found) < MIN_SIZES:
        return f"{len(found)} sizes are too few for a law; it takes {MIN_SIZES}"
    span = found[-1].samples / found[0].samples
    if span < MIN_SPAN:
        return f"the sizes span a factor of {span:.1f}; it takes {MIN_SPAN:.0f}"
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


def _last_doubling(found: Sequence[Point]) -> tuple[int, int, Estimate] | None:
    if len(found) < 2:
        return None
    last = found[-1]
    half = min(found[:-1], key=lambda point: abs(math.log(2 * point.samples / last.samples)))
    seeds = [seed for seed in last.errors if seed in half.errors]
    if not seeds:
        return None
    gains = [half.errors[seed] - last.errors[seed] for seed in seeds]
    return half.samples, last.samples, estimate(gains)


def in_words(found: Curve, told: Forecast) -> list[str]:
    """Return the answer in sentences."""
    last, name = found.points[-1], f"val/{found.metric.name}"
    sentences = []
    if told.gain is not None and told.law is not None:
        gain, now = told.gain, float(told.law.error(last.samples))
        sentences.append(
            f"Twice the data ({2 * last.samples:,} training samples instead of {last.samples:,}) "
            f"would bring {name} from {found.figure(now):.4f} to about "
            f"{found.figure(now - gain.mean):.4f}: better by {gain.mean:.4f} "
            f"(95 % interval {gain.low:.4f} to {gain.high:.4f})."
        )
        if gain.low is not None and gain.low <= 0:
            sentences.append("The interval holds zero: it may be worth nothing.")
    else:
        sentences.append(f"What twice the data would be worth cannot be told: {told.doubt}.")
    if told.gain is not None:
        sentences.append(
            "The interval holds for curves that go on by a power law, with or without a floor; one "
            "that bends otherwise is not foreseen."
        )
    if told.law is not None:
        law = told.law
        floor = f"{law.floor:.4g} + " if len(law.covariance) == 3 else ""
        sentences.append(
            f"Power law: {_of_error(found.metric)} = {floor}{law.factor:.3g} · "
            f"n^-{law.exponent:.3f}, fitted to "
            f"{sum(point.samples >= told.first for point in found.points)} sizes from "
            f"{told.first:,} samples on, scatter {100 * law.scatter:.1f} %."
        )
    if told.last_doubling is not None:
        small, large, gain = told.last_doubling
        interval = (
            f" (95 % interval {gain.low:+.4f} to {gain.high:+.4f}, paired over {gain.n} seeds)"
            if gain.low is not None and gain.high is not None
            else (" (one seed)" if gain.n == 1 else " (the same for every seed: no interval)")
        )
        sentences.append(
            f"Measured: from {small:,} to {large:,} samples {name} became better by "
            f"{gain.mean:+.4f}{interval}."
        )
    return sentences


def _of_error(metric: KnownMetric) -> str:
    """Return what a law is of: the distance of a figure from its best value."""
    name, best = f"val/{metric.name}", metric.best or 0.0
    if metric.direction > 0:
        return f"{best:g} - {name}"
    return f"{name} - {best:g}" if best else name


def to_markdown(found: Curve, told: Forecast, *, title: str, missing: int) -> str:
    """Return the figures by number of samples, and the answer."""
    columns = columns_of(found.metric)
    lines = [
        f"## {title}",
        "",
        f"| training samples | {' | '.join(columns)} | n |",
        f"|{'---:|' * (len(columns) + 2)}",
    ]
    for point in found.points:
        figures = " | ".join(with_interval(point.scores[name]) for name in columns)
        lines.append(f"| {point.samples:,} | {figures} | {len(point.errors)} |")
    lines += ["", *in_words(found, told), "", *notes(missing=missing), ""]
    return "\n".join(lines)


def notes(*, missing: int) -> list[str]:
    """Return what a reader must know of the figures."""
    told = [
        "Figures: mean ± half the width of its 95 % interval (Student's t) over n seeds. All sizes "
        "share the validation samples, and each smaller training set is part of every larger one; "
        "the seeds draw initial weights and batch order, not the samples, so that other samples "
        "(split.seed) may give a somewhat other curve."
    ]
    if missing:
        told.append(f"Runs of the sweep that have not finished and do not count: {missing}.")
    return told


def with_interval(score: Estimate) -> str:
    """Return a mean with half the width of its interval, if it has one."""
    if score.low is None or score.high is None:
        return f"{score.mean:.4f}"
    return f"{score.mean:.4f} ± {(score.high - score.low) / 2:.4f}"

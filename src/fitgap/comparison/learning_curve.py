"""Would more data help? Scores against the number of training images, and a law to go further.

The validation error is fitted by a power law, err(n) = a + b · n^-c with a >= 0 (Hestness et al.
2017, arXiv:1712.00409), with and without the floor a. It is only believed under the conditions of
`Forecast`; otherwise the answer is that it cannot be told.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fitgap.comparison.estimates import Estimate, estimate
from fitgap.errors import RequestError
from fitgap.store import StoredRun

SETTING = "split.train_fraction"  # that such a sweep varies
START = "train sweep=learning_curve"  # after the program's name
METRICS = ("train/accuracy", "val/accuracy", "train/loss", "val/loss")

# The conditions under which a fit is believed. Assumed, not measured: they are wide enough for
# the scatter of a few seeds, and narrow enough to refuse a curve that bends.
MIN_SIZES = 6  # the law is tried on those up to half of the largest, and takes five
MIN_SPAN = 8.0  # largest number of images over the smallest
MAX_SCATTER = 0.10  # root mean square of the relative residuals
MAX_MISS = 0.15  # relative, foretelling the largest size from those up to half of it

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Point:
    """All runs on one number of training images.

    Attributes
    ----------
    images
        How many.
    scores
        By metric of `METRICS`.
    errors
        Validation error, 1 - val/accuracy, by seed.
    """

    images: int
    scores: Mapping[str, Estimate]
    errors: Mapping[int, float]

    @property
    def error(self) -> float:
        """Mean validation error over the seeds."""
        return math.fsum(self.errors.values()) / len(self.errors)


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """err(n) = floor + factor · n^-exponent, fitted to relative errors.

    Attributes
    ----------
    floor, factor, exponent
        The floor is 0 where a law without one describes the points as well.
    scatter
        Root mean square of the relative residuals, per degree of freedom.
    covariance
        Of the fitted logarithms of factor, exponent and, if there is one, floor.
    degrees
        Sizes less fitted numbers.
    """

    floor: float
    factor: float
    exponent: float
    scatter: float
    covariance: Floats
    degrees: int

    def error(self, images: "float | Floats") -> "float | Floats":
        """Return the validation error on so many images."""
        return self.floor + self.factor * np.asarray(images, float) ** -self.exponent

    def gain(self, images: float) -> Estimate:
        """Return by how much the error falls from so many images to twice as many.

        The interval is by the delta method: to first order in the fitted numbers, whose
        covariance follows from the scatter of the points about the law; its ``n`` is the number
        of sizes that the law is fitted to.
        """
        fitted = _parameters(self)

        def of(parameters: Floats) -> float:
            law = np.exp(parameters)
            return float(law[0] * (images ** -law[1] - (2 * images) ** -law[1]))

        step = 1e-6
        slope = np.array(
            [
                (of(fitted + step * unit) - of(fitted - step * unit)) / (2 * step)
                for unit in np.eye(len(fitted))
            ]
        )
        deviation = math.sqrt(max(0.0, slope @ self.covariance @ slope))
        from scipy.special import stdtrit

        half_width = float(stdtrit(self.degrees, 0.975)) * deviation
        mean = of(fitted)
        sizes = self.degrees + len(fitted)
        return Estimate(mean, deviation, mean - half_width, mean + half_width, sizes)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What twice the data would be worth, or why that cannot be told.

    Attributes
    ----------
    law
        None where no power law could be fitted.
    first
        The smallest size that the law is fitted to: a power law begins where the network has
        more than a handful of images to go by.
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


def points(runs: Mapping[str, Mapping[int, StoredRun]]) -> list[Point]:
    """Return the runs of a sweep by their number of training images, ascending.

    Raises
    ------
    RequestError
        If there are no validation figures.
    """
    by_size: dict[int, dict[int, StoredRun]] = {}
    for by_seed in runs.values():
        for seed, run in by_seed.items():
            if "val/loss" in run.metrics and "val/accuracy" not in run.metrics:
                raise RequestError(
                    f"run {run.run_id} has no val/accuracy: the law is one of the share of errors; "
                    "for classes, put accuracy among the metrics"
                )
            if "val/accuracy" not in run.metrics:
                raise RequestError(
                    f"run {run.run_id} has no val/accuracy: a learning curve needs a validation "
                    "partition, which split=none leaves out"
                )
            by_size.setdefault(int(run.params["train_samples"]), {})[seed] = run
    return [
        Point(
            images=images,
            scores={
                name: estimate([run.metrics[name] for run in by_seed.values()]) for name in METRICS
            },
            errors={seed: 1 - run.metrics["val/accuracy"] for seed, run in by_seed.items()},
        )
        for images, by_seed in sorted(by_size.items())
    ]


def fit(images: Sequence[float], errors: Sequence[float]) -> PowerLaw | None:
    """Fit a power law, with a floor only where that describes the points better.

    Parameters
    ----------
    images, errors
        One per size; the errors positive.

    Returns
    -------
    PowerLaw or None
        None where neither form can be fitted.

    Notes
    -----
    Least squares on log(error), since errors scatter by shares of themselves. The two forms are
    compared by Akaike's criterion corrected for few points (Hurvich and Tsai 1989).
    """
    candidates = []
    for with_floor in (False, True):
        number = 3 if with_floor else 2
        if len(images) > number + 2:  # the correction divides by the points left over
            found = _fit(np.asarray(images, float), np.asarray(errors, float), with_floor)
            if found is not None:
                law, criterion = found
                candidates.append((criterion, with_floor, law))
    return min(candidates, key=lambda one: one[:2])[2] if candidates else None


def _fit(images: Floats, errors: Floats, with_floor: bool) -> tuple[PowerLaw, float] | None:
    from scipy.optimize import OptimizeWarning, curve_fit

    # All parameters as logarithms: they stay positive, and the search is well scaled.
    def log_error(n: Floats, log_factor: float, log_exponent: float, *floor: float) -> Floats:
        power = np.exp(log_factor - np.exp(log_exponent) * np.log(n))
        return np.asarray(np.log(power + (np.exp(floor[0]) if floor else 0.0)))

    slope, intercept = np.polyfit(np.log(images), np.log(errors), 1)
    start = [intercept, math.log(max(-slope, 1e-2))]
    if with_floor:
        start.append(math.log(errors.min() / 2))
    import warnings

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("error", OptimizeWarning)
        try:
            fitted, covariance = curve_fit(
                log_error, images, np.log(errors), p0=start, maxfev=20_000
            )
        except (RuntimeError, OptimizeWarning, ValueError):
            return None
    residuals = np.log(errors) - log_error(images, *fitted)
    squares = float(residuals @ residuals)
    n, k = len(images), len(fitted) + 1  # the scatter is fitted too
    criterion = n * math.log(max(squares, 1e-30) / n) + 2 * k * n / (n - k - 1)
    law = PowerLaw(
        floor=float(np.exp(fitted[2])) if with_floor else 0.0,
        factor=float(np.exp(fitted[0])),
        exponent=float(np.exp(fitted[1])),
        scatter=math.sqrt(squares / (n - len(fitted))),
        covariance=covariance,
        degrees=n - len(fitted),
    )
    return law, criterion


def _parameters(law: PowerLaw) -> Floats:
    numbers = [law.factor, law.exponent] + ([law.floor] if len(law.covariance) == 3 else [])
    return np.log(numbers)


def forecast(found: Sequence[Point]) -> Forecast:
    """Say what twice the data would be worth, if that can be told.

    Parameters
    ----------
    found
        From `points`, ascending.
    """
    of_all = _forecast(found)
    for start in range(len(found)):
        told = _forecast(found[start:])
        if told.doubt is None:
            return told
    return of_all


def _forecast(found: Sequence[Point]) -> Forecast:
    law = None
    doubt = _too_little(found)
    gain = None
    if doubt is None:
        images, errors = [p.images for p in found], [p.error for p in found]
        law = fit(images, errors)
        doubt = _misfit(law, images, errors)
        if law is not None and doubt is None:
            gain = law.gain(images[-1])
            if gain.low is None or not math.isfinite(gain.low):
                doubt, gain = "the fitted law's interval has no bounds", None
    return Forecast(law, found[0].images, doubt, gain, _last_doubling(found))


def _too_little(found: Sequence[Point]) -> str | None:
    if len(found) < MIN_SIZES:
        return f"{len(found)} sizes are too few for a law; it takes {MIN_SIZES}"
    span = found[-1].images / found[0].images
    if span < MIN_SPAN:
        return f"the sizes span a factor of {span:.1f}; it takes {MIN_SPAN:.0f}"
    if any(point.error <= 0 for point in found):
        return "on some size no validation image is mistaken: there is no error left to follow"
    if found[-1].error >= found[0].error:
        return "the validation error does not fall with the number of images"
    return None


def _misfit(law: PowerLaw | None, images: Sequence[int], errors: Sequence[float]) -> str | None:
    if law is None:
        return "no power law can be fitted to the points"
    if law.scatter > MAX_SCATTER:
        return (
            f"the points scatter by {100 * law.scatter:.0f} % about the best power law, more "
            f"than {100 * MAX_SCATTER:.0f} %"
        )
    smaller = [i for i, n in enumerate(images) if n <= images[-1] / 2]
    before = fit([images[i] for i in smaller], [errors[i] for i in smaller])
    if before is None:
        return "too few sizes up to half of the largest to try the law on what is known"
    miss = float(before.error(images[-1])) / errors[-1] - 1
    if abs(miss) > MAX_MISS:
        return (
            f"fitted to the sizes up to {images[smaller[-1]]:,}, the law misses the error at "
            f"{images[-1]:,} by {100 * miss:+.0f} %, more than {100 * MAX_MISS:.0f} %"
        )
    return None


def _last_doubling(found: Sequence[Point]) -> tuple[int, int, Estimate] | None:
    if len(found) < 2:
        return None
    last = found[-1]
    half = min(found[:-1], key=lambda point: abs(math.log(2 * point.images / last.images)))
    seeds = sorted(half.errors.keys() & last.errors.keys())
    if not seeds:
        return None
    gains = [half.errors[seed] - last.errors[seed] for seed in seeds]
    return half.images, last.images, estimate(gains)


def in_words(found: Sequence[Point], told: Forecast) -> list[str]:
    """Return the answer in sentences."""
    last = found[-1]
    sentences = []
    if told.gain is not None and told.law is not None:
        gain, now = told.gain, float(told.law.error(last.images))
        assert gain.low is not None
        assert gain.high is not None
        sentences.append(
            f"Twice the data ({2 * last.images:,} training images instead of {last.images:,}) "
            f"would lower the validation error from {100 * now:.2f} % to about "
            f"{100 * (now - gain.mean):.2f} %: {100 * gain.mean:.2f} points of accuracy "
            f"(95 % interval {100 * gain.low:.2f} to {100 * gain.high:.2f})."
        )
        if gain.low <= 0:
            sentences.append("The interval holds zero: it may be worth nothing.")
    else:
        sentences.append(f"What twice the data would be worth cannot be told: {told.doubt}.")
    if told.law is not None:
        law = told.law
        floor = f"{law.floor:.4f} + " if len(law.covariance) == 3 else ""
        sentences.append(
            f"Power law: error = {floor}{law.factor:.3g} · n^-{law.exponent:.3f}, fitted to "
            f"{sum(point.images >= told.first for point in found)} sizes from "
            f"{told.first:,} images on, scatter {100 * law.scatter:.1f} %."
        )
    if told.last_doubling is not None:
        small, large, gain = told.last_doubling
        interval = (
            f" (95 % interval {100 * gain.low:+.2f} to {100 * gain.high:+.2f}, paired over "
            f"{gain.n} seeds)"
            if gain.low is not None and gain.high is not None
            else " (one seed)"
        )
        sentences.append(
            f"Measured: from {small:,} to {large:,} images validation accuracy changed by "
            f"{100 * gain.mean:+.2f} points{interval}."
        )
    return sentences


def to_markdown(found: Sequence[Point], told: Forecast, *, title: str, missing: int) -> str:
    """Return the figures by number of images, and the answer."""
    lines = [
        f"## {title}",
        "",
        "| training images | train/accuracy | val/accuracy | train/loss | val/loss | n |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for point in found:
        figures = " | ".join(with_interval(point.scores[name]) for name in METRICS)
        lines.append(f"| {point.images:,} | {figures} | {len(point.errors)} |")
    lines += ["", *in_words(found, told), "", *notes(missing=missing), ""]
    return "\n".join(lines)


def notes(*, missing: int) -> list[str]:
    """Return what a reader must know of the figures."""
    told = [
        "Figures: mean ± half the width of its 95 % interval (Student's t) over n seeds. All sizes "
        "share the validation images, and each smaller training set is part of every larger one; "
        "the seeds draw initial weights and batch order, not the images, so that other images "
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

"""The gap of a group of runs, explained: curves over seeds, a verdict, the Pareto front.

Arithmetic on numbers only; reading the record and drawing belong elsewhere.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from fitgap.comparison.estimates import Estimate, t_quantile
from fitgap.evaluation.figures import figure_text, percent_text
from fitgap.store.recorded_metrics import KnownMetric

# Conventions, not laws: no number separates fitting from overfitting on every data set. They are
# stated wherever a verdict is shown.
LARGE_GAP = 0.05  # of the reach of the metric: see `span_of`
LARGE_RISE = 0.05  # of the validation loss, above its lowest
STILL_FALLING = 0.01  # of the validation loss, per epoch

UNDERFITTING, OVERFITTING = "underfitting", "overfitting"
NOT_CONVERGED, FITS = "not converged", "fits"

RULE = (
    "A gap is real if its 95 % interval lies above zero; of one run that is the interval of its "
    "samples alone.",
    f"{UNDERFITTING}: the training figure is shown to be worse than the validation figure of the "
    "best group (more was to be learned), or neither figure is shown to beat the baseline, which "
    "predicts the same for every sample (the most frequent class, the mean of the target).",
    f"Otherwise {OVERFITTING}: the gap is real, and it exceeds {LARGE_GAP:g} of the metric's reach "
    "(from its worst value to its best, 1 for a share; from the baseline where there is no "
    f"worst), or the validation loss of the saved weights is more than {percent_text(LARGE_RISE)} "
    "above its lowest, or the validation figure is not shown to beat the baseline.",
    f"Otherwise {NOT_CONVERGED}: the validation loss still fell by more than "
    f"{percent_text(STILL_FALLING)} per epoch over the last fifth of the epochs.",
    f"Otherwise it {FITS}.",
)


@dataclass(frozen=True, slots=True)
class Curve:
    """A figure by epoch, over the seeds of a group.

    Attributes
    ----------
    epochs
        Those that every seed reached, ascending; with early stopping, seeds differ in length.
    mean, low, high
        Over seeds, one per epoch: mean, lowest, highest.
    """

    epochs: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on a group's gap: a word with its reason, and four statements behind it.

    Attributes
    ----------
    word
        `UNDERFITTING`, `OVERFITTING`, `NOT_CONVERGED` or `FITS`.
    reason
        The fact that decided.
    gap
        Its size and interval, and whether it is real.
    convergence
        Whether the validation loss still falls, rises, or since which epoch it does neither.
    learned
        What it reaches on its training data, against what the best group reaches on unseen data.
    baseline
        Whether it beats the baseline; empty where that is not recorded.
    """

    word: str
    reason: str
    gap: str = ""
    convergence: str = ""
    learned: str = ""
    baseline: str = ""

    @property
    def statements(self) -> tuple[str, ...]:
        """The four statements, without those that are not known."""
        return tuple(filter(None, (self.gap, self.convergence, self.learned, self.baseline)))


def curve_over_seeds(histories: Sequence[Mapping[int, float]]) -> Curve:
    """Return mean and range by epoch, over the epochs at which every seed has a finite value.

    Parameters
    ----------
    histories
        One per seed: values by epoch.

    Examples
    --------
    >>> curve_over_seeds([{1: 0.5, 2: 0.25}, {1: 1.5}])
    Curve(epochs=(1,), mean=(1.0,), low=(0.5,), high=(1.5,))
    """
    if not histories:
        return Curve((), (), (), ())
    common = set(histories[0]).intersection(*histories[1:])
    columns = [(epoch, [history[epoch] for history in histories]) for epoch in sorted(common)]
    finite = [(epoch, values) for epoch, values in columns if all(map(math.isfinite, values))]
    return Curve(
        epochs=tuple(epoch for epoch, _ in finite),
        mean=tuple(fmean(values) for _, values in finite),
        low=tuple(min(values) for _, values in finite),
        high=tuple(max(values) for _, values in finite),
    )


def pareto_front(points: Sequence[tuple[float, float]]) -> frozenset[int]:
    """Return the positions of the points that no other beats in both score and gap.

    Parameters
    ----------
    points
        Score (higher is better) and gap (lower is better) of each group.

    Returns
    -------
    frozenset of int
        A point is left out if another is at least as good in both and better in one. Equal
        points stay together; points that are not finite are never on the front.

    Examples
    --------
    >>> sorted(pareto_front([(0.9, 0.10), (0.8, 0.01), (0.8, 0.02)]))
    [0, 1]
    """
    finite = [i for i, point in enumerate(points) if all(map(math.isfinite, point))]
    front: list[int] = []
    # By falling score, a point is on the front if its gap is below all gaps before it.
    for i in sorted(finite, key=lambda i: (-points[i][0], points[i][1])):
        if not front or points[i] == points[front[-1]] or points[i][1] < points[front[-1]][1]:
            front.append(i)
    return frozenset(front)


def bounds(found: Estimate, *, image_variance: float) -> tuple[float, float]:
    """Return a figure's 95 % interval; that of a single run comes from the number of images alone.

    Parameters
    ----------
    found
        The figure's mean, with an interval if it is over several runs.
    image_variance
        The variance that comes from the number of images.
    """
    if found.low is not None and found.high is not None:
        return found.low, found.high
    half_width = t_quantile(math.inf) * math.sqrt(max(image_variance, 0.0))
    return found.mean - half_width, found.mean + half_width


def judge(
    gap: Estimate,
    *,
    metric: KnownMetric,
    train: Estimate,
    val: Estimate,
    best: Estimate,
    images: int,
    loss: Curve,
    rise: float,
    train_images: int | None = None,
    baseline: float | None = None,
) -> Verdict:
    """Return a group's verdict by `RULE`.

    That of the training figure comes first: a network stopped early on a small training set
    has a large gap too, and what it needs is more epochs.

    Parameters
    ----------
    gap
        By how much the validation figure is worse than the training figure.
    metric
        What the figures are of.
    train, val
        Its figures on both partitions, in its own units.
    best
        Validation figure of the best group on the same data.
    images
        Size of the validation partition.
    loss
        Validation loss by epoch; may be empty.
    rise
        How far the validation loss of the saved weights lies above its lowest, as a share of it.
    train_images
        Size of the training partition; None takes that of the validation partition.
    baseline
        The validation figure of predicting the same for every sample.
    """
    trained_on = train_images or images
    of_val = _image_variance(metric, val.mean, images)
    of_train = _image_variance(metric, train.mean, trained_on)
    gap_low, gap_high = bounds(gap, image_variance=of_val + of_train)
    is_real = gap_low > 0
    missed = metric.direction * (best.mean - train.mean)
    train_width = _half_width(train, metric, trained_on)
    # Half widths of two figures that do not depend on each other add up as squares.
    falls_short = missed > math.hypot(_half_width(best, metric, images), train_width)

    val_beats = beats(val, baseline, metric=metric, images=images)
    train_beats = beats(train, baseline, metric=metric, images=trained_on)
    falling = _fall_per_epoch(loss)
    still_falling = f"validation loss still fell by {percent_text(falling, 1)} per epoch"
    span = span_of(metric, baseline)
    word, reason = FITS, "the gap is real, and small" if is_real else "the gap may be chance"
    if falls_short:
        word = UNDERFITTING
        reason = (
            f"training {metric.name} is worse by {figure_text(missed)} than the best group's "
            f"validation {metric.name}"
        )
        if falling > STILL_FALLING:
            reason += f"; {still_falling}"
    elif not val_beats and not train_beats:
        word, reason = UNDERFITTING, "it is not shown to beat the baseline"
    elif is_real and span is not None and gap.mean > LARGE_GAP * span:
        word, reason = OVERFITTING, f"the gap is {figure_text(gap.mean)}"
    elif is_real and rise > LARGE_RISE:
        word, reason = OVERFITTING, f"validation loss is {percent_text(rise)} above its lowest"
    elif is_real and not val_beats:
        word, reason = OVERFITTING, "what it learned does not beat the baseline"
    elif falling > STILL_FALLING:
        word, reason = NOT_CONVERGED, still_falling
    return Verdict(
        word,
        reason,
        gap=_gap_statement(gap, gap_low, gap_high),
        convergence=_convergence(loss, falling=falling, rise=rise),
        learned=f"training {metric.name} {figure_text(train.mean)}, the best group's validation "
        f"{metric.name} {figure_text(best.mean)}: "
        + ("falls short of it" if falls_short else "not shown to fall short"),
        baseline=""
        if baseline is None
        else f"baseline {figure_text(baseline)}: " + ("beaten" if val_beats else "not beaten"),
    )


def beats(found: Estimate, baseline: float | None, *, metric: KnownMetric, images: int) -> bool:
    """Tell whether a figure is shown to be better than the baseline.

    Parameters
    ----------
    found
        On a partition.
    baseline
        The score of a guess; None if it is not known, which any figure beats.
    metric
        What the figures are.
    images
        Number of samples in the partition.
    """
    if baseline is None:
        return True
    return metric.direction * (found.mean - baseline) > _half_width(found, metric, images)


def span_of(metric: KnownMetric, baseline: float | None) -> float | None:
    """Return the distance from a metric's worst value, or from the baseline, to its best value.

    Parameters
    ----------
    metric
        With its bounds.
    baseline
        The score of a guess, for a metric that can be arbitrarily bad.

    Returns
    -------
    float or None
        None if the metric has no best value, or neither a worst value nor a baseline is known.

    Examples
    --------
    >>> span_of(KnownMetric("accuracy", 1, bounds=(0, 1)), 0.1)
    1
    >>> span_of(KnownMetric("rmse", -1, bounds=(0, None)), 77.0)
    77.0
    """
    worst = baseline if metric.worst is None else metric.worst
    return None if metric.best is None or worst is None else abs(metric.best - worst)


def _image_variance(metric: KnownMetric, value: float, images: int) -> float:
    return value * (1 - value) / images if metric.is_share else 0.0


def _half_width(found: Estimate, metric: KnownMetric, images: int) -> float:
    low, high = bounds(found, image_variance=_image_variance(metric, found.mean, images))
    return (high - low) / 2


def _gap_statement(gap: Estimate, low: float, high: float) -> str:
    shown, shown_low, shown_high = (figure_text(one, sign="+") for one in (gap.mean, low, high))
    of_samples = " (of the samples alone)" if gap.low is None else ""
    word = "real" if low > 0 else "may be chance"
    return f"gap {shown} [{shown_low}, {shown_high}]{of_samples}: {word}"


def _convergence(loss: Curve, *, falling: float, rise: float) -> str:
    if not loss.mean:
        return ""
    if falling > STILL_FALLING:
        fall = percent_text(falling, 1)
        return f"not converged: validation loss fell by {fall} per epoch at the end"
    lowest = min(range(len(loss.mean)), key=loss.mean.__getitem__)
    if rise > LARGE_RISE:
        return f"trained past the lowest validation loss, at epoch {loss.epochs[lowest]}"
    near = next(
        i for i, value in enumerate(loss.mean) if value <= loss.mean[lowest] * (1 + STILL_FALLING)
    )
    return f"converged since epoch {loss.epochs[near]}"


def _fall_per_epoch(loss: Curve) -> float:
    """Return by what share per epoch the loss fell over the last fifth; 0 unless it ends lowest."""
    last = len(loss.mean) - 1
    back = max((last + 1) // 5, 1)
    if last < 1 or loss.mean[last] > min(loss.mean) or loss.mean[last] <= 0:
        return 0.0
    return 1.0 - float((loss.mean[last] / loss.mean[last - back]) ** (1 / back))

"""What the gap of a group of runs amounts to: curves over seeds, a verdict, the Pareto front.

Arithmetic on numbers only; reading the record and drawing belong elsewhere.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fitgap.comparison.estimates import Estimate, t_quantile

# Conventions, not laws: no number separates fitting from overfitting on every data set. They are
# stated wherever a verdict is shown.
LARGE_GAP = 0.05  # in accuracy
LARGE_RISE = 0.05  # of the validation loss, above its lowest
STILL_FALLING = 0.01  # of the validation loss, per epoch

UNDERFITTING, OVERFITTING = "underfitting", "overfitting"
NOT_CONVERGED, FITS = "not converged", "fits"

RULE = (
    "A gap is real if its 95 % interval lies above zero; of one run that is the interval of its "
    "images alone.",
    f"{UNDERFITTING}: the training accuracy is shown to be below the validation accuracy of the "
    "best group (more was to be learned), or neither accuracy is shown to beat the most frequent "
    "class.",
    f"Otherwise {OVERFITTING}: the gap is real, and it exceeds {LARGE_GAP:g} in accuracy, or the "
    f"validation loss of the saved weights is more than {LARGE_RISE:.0%} above its lowest, or the "
    "validation accuracy is not shown to beat the most frequent class.",
    f"Otherwise {NOT_CONVERGED}: the validation loss still fell by more than {STILL_FALLING:.0%} "
    "per epoch over the last fifth of the epochs.",
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
    """What is said of a group's gap: a word with its reason, and four statements behind it.

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
        Whether it beats the most frequent class; empty where that share is not recorded.
    """

    word: str
    reason: str
    gap: str = ""
    convergence: str = ""
    learned: str = ""
    baseline: str = ""

    @property
    def statements(self) -> tuple[str, ...]:
        """The four, without those that are not known."""
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
        mean=tuple(math.fsum(values) / len(values) for _, values in finite),
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
    """Return a figure's 95 % interval; of one run that of its images alone."""
    if found.low is not None and found.high is not None:
        return found.low, found.high
    half_width = t_quantile(math.inf) * math.sqrt(max(image_variance, 0.0))
    return found.mean - half_width, found.mean + half_width


def judge(
    gap: Estimate,
    *,
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

    That of the training accuracy comes first: a network stopped early on a small training set
    has a large gap too, and what it needs is more epochs.

    Parameters
    ----------
    gap
        Training minus validation accuracy.
    train, val
        Accuracies on both partitions.
    best
        Validation accuracy of the best group on the same data.
    images
        Size of the validation partition.
    loss
        Validation loss by epoch; may be empty.
    rise
        How far the validation loss of the saved weights lies above its lowest, as a share of it.
    train_images
        Size of the training partition; None takes that of the validation partition.
    baseline
        Share of the most frequent training class among the validation images.
    """
    of_val = val.mean * (1 - val.mean) / images
    of_train = train.mean * (1 - train.mean) / (train_images or images)
    gap_low, gap_high = bounds(gap, image_variance=of_val + of_train)
    _, train_high = bounds(train, image_variance=of_train)
    train_low, _ = bounds(train, image_variance=of_train)
    val_low, _ = bounds(val, image_variance=of_val)
    best_low, _ = bounds(best, image_variance=best.mean * (1 - best.mean) / images)
    is_real = gap_low > 0
    missed = best.mean - train.mean
    # Half widths of two figures that do not depend on each other add up as squares.
    falls_short = missed > math.hypot(best.mean - best_low, train_high - train.mean)
    val_beats = baseline is None or val_low > baseline
    train_beats = baseline is None or train_low > baseline
    falling = _fall_per_epoch(loss)
    word, reason = FITS, "the gap is real, and small" if is_real else "the gap may be chance"
    if falling > STILL_FALLING:
        word, reason = NOT_CONVERGED, f"validation loss still fell by {falling:.1%} per epoch"
    if is_real and not val_beats:
        word, reason = OVERFITTING, "what it learned does not beat the most frequent class"
    if is_real and rise > LARGE_RISE:
        word, reason = OVERFITTING, f"validation loss is {rise:.0%} above its lowest"
    if is_real and gap.mean > LARGE_GAP:
        word, reason = OVERFITTING, f"the gap is {gap.mean:.4f}"
    if not val_beats and not train_beats:
        word, reason = UNDERFITTING, "it is not shown to beat the most frequent class"
    if falls_short:
        word = UNDERFITTING
        reason = f"training accuracy is {missed:.4f} below the best group's validation accuracy"
    one = " (one run: of the images alone)" if gap.low is None else ""
    return Verdict(
        word,
        reason,
        gap=f"gap {gap.mean:+.4f} [{gap_low:+.4f}, {gap_high:+.4f}]{one}: "
        + ("real" if is_real else "may be chance"),
        convergence=_convergence(loss, falling=falling, rise=rise),
        learned=f"training accuracy {train.mean:.4f}, the best group's validation accuracy "
        f"{best.mean:.4f}: " + ("falls short of it" if falls_short else "not shown to fall short"),
        baseline=""
        if baseline is None
        else f"most frequent class {baseline:.4f}: " + ("beaten" if val_beats else "not beaten"),
    )


def _convergence(loss: Curve, *, falling: float, rise: float) -> str:
    if not loss.mean:
        return ""
    if falling > STILL_FALLING:
        return f"not converged: validation loss fell by {falling:.1%} per epoch at the end"
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

"""What the gap of a group of runs amounts to: curves over seeds, a verdict, the Pareto front.

Arithmetic on numbers only; reading the record and drawing belong elsewhere.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fitgap.comparison.estimates import Estimate

# Conventions, not laws: no number separates fitting from overfitting on every data set. They are
# stated wherever a verdict is shown.
LARGE_GAP = 0.05  # in accuracy
LARGE_RISE = 0.05  # of the validation loss, above its lowest
STILL_FALLING = 0.01  # of the validation loss, per epoch
STANDARD_ERRORS = 2.0  # what lies within them of zero may be chance

RULE = (
    f"A gap counts if it is more than {STANDARD_ERRORS:.0f} standard errors above zero; the "
    "standard error takes in the spread over seeds and the number of validation images.",
    f"A group underfits if its training accuracy is more than {STANDARD_ERRORS:.0f} standard "
    "errors below the validation accuracy of the best group: more was to be learned.",
    f"Otherwise it overfits if its gap counts and either exceeds {LARGE_GAP:g} in accuracy or goes "
    f"with a validation loss more than {LARGE_RISE:.0%} above its lowest, so that the saved "
    "weights were trained for too long.",
    f"Otherwise it underfits if its validation loss still fell by more than {STILL_FALLING:.0%} "
    "per epoch over the last fifth of its epochs: more epochs would have helped.",
    "Otherwise it fits.",
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
    """A word (underfits, fits or overfits) and the reason for it."""

    word: str
    reason: str


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
    """Return the positions of the points that no other beats in both accuracy and gap.

    Parameters
    ----------
    points
        Accuracy (higher is better) and gap (lower is better) of each group.

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
    # By falling accuracy, a point is on the front if its gap is below all gaps before it.
    for i in sorted(finite, key=lambda i: (-points[i][0], points[i][1])):
        if not front or points[i] == points[front[-1]] or points[i][1] < points[front[-1]][1]:
            front.append(i)
    return frozenset(front)


def standard_error(accuracy: float, *, images: int, spread: Estimate) -> float:
    """Return the standard error of an accuracy from its images and its seeds together.

    Parameters
    ----------
    accuracy
        In [0, 1].
    images
        How many it was measured on; all seeds share them, so they count once.
    spread
        Whose ``sd`` over seeds counts; with one seed it is not known and left out.
    """
    of_images = max(accuracy * (1 - accuracy), 0.0) / images
    of_seeds = 0.0 if spread.sd is None else spread.sd**2 / spread.n
    return math.sqrt(of_images + of_seeds)


def judge(
    gap: Estimate,
    *,
    train: Estimate,
    val: Estimate,
    best: Estimate,
    images: int,
    loss: Curve,
    rise: float,
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
    """
    missed = best.mean - train.mean
    if missed > STANDARD_ERRORS * standard_error(best.mean, images=images, spread=best):
        return Verdict(
            "underfits",
            f"training accuracy is {missed:.4f} below the best group's validation accuracy",
        )
    counts = gap.mean > STANDARD_ERRORS * standard_error(val.mean, images=images, spread=gap)
    if counts and gap.mean > LARGE_GAP:
        return Verdict("overfits", f"the gap is {gap.mean:.4f}")
    if counts and rise > LARGE_RISE:
        return Verdict("overfits", f"validation loss is {rise:.0%} above its lowest")
    falling = _fall_per_epoch(loss)
    if falling > STILL_FALLING:
        return Verdict("underfits", f"validation loss still fell by {falling:.1%} per epoch")
    return Verdict("fits", "the gap is small" if counts else "the gap may be chance")


def _fall_per_epoch(loss: Curve) -> float:
    """Return by what share per epoch the loss fell over the last fifth; 0 unless it ends lowest."""
    last = len(loss.mean) - 1
    back = max((last + 1) // 5, 1)
    if last < 1 or loss.mean[last] > min(loss.mean) or loss.mean[last] <= 0:
        return 0.0
    return 1.0 - float((loss.mean[last] / loss.mean[last - back]) ** (1 / back))

"""Differences of two groups within what their runs share: the split, the seed, the images."""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from fitgap.comparison.replicates import Key, finite_values, grouped, split_of
from fitgap.store import StoredRun

# A run's pair: what it shares with one run of the other group, its seed above all.
BlockOf = Callable[[StoredRun], Hashable]
Right = NDArray[np.bool_]  # by validation image: whether it got its class
RightOf = Callable[[StoredRun], Right | None]


@dataclass(frozen=True, slots=True)
class Figures:
    """A group's figures of one metric, and what it got right of the validation images.

    Attributes
    ----------
    values
        By split and block.
    right
        By block; empty where that is not recorded, or no question of one split.
    """

    values: Mapping[tuple[Hashable, Hashable], float]
    right: Mapping[Hashable, Right] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """The mean over splits and blocks."""
        return fmean(self.values.values())

    @property
    def splits(self) -> int:
        """The number of different splits."""
        return len({split for split, _ in self.values})


@dataclass(frozen=True, slots=True)
class Differences:
    """Paired differences, first minus other.

    Attributes
    ----------
    units
        One per split, or per seed of one split.
    common
        How many replicates both groups have.
    splits
        How many splits these replicates are of.
    over_splits
        Whether units are splits.
    image_variance
        What the number of images leaves of the variance of the mean; 0 over splits, and where the
        metric is no share of images.
    by_image
        Whether that is of the same images' recorded predictions; else it is a bound.
    """

    units: Mapping[Hashable, float]
    common: int
    splits: int
    over_splits: bool
    image_variance: float = 0.0
    by_image: bool = False


def by_block(
    runs: Sequence[StoredRun], *, metric: str, block_of: Callable[[StoredRun], Key]
) -> dict[Key, float]:
    """Return the mean of a metric in each block.

    Parameters
    ----------
    runs
        Those without a finite value are left out.
    metric
        With its partition.
    block_of
        Returns what two runs must share to be paired.
    """
    values = finite_values(runs, metric, by=block_of)
    return {block: fmean(some) for block, some in values.items()}


def figures_of(
    runs: Sequence[StoredRun], *, metric: str, block_of: BlockOf, right_of: RightOf | None
) -> Figures:
    """Return a group's figures; which images it got right where ``right_of`` knows it of all.

    Parameters
    ----------
    runs
        Of one group.
    metric
        With its partition.
    block_of
        Returns what two runs must share to be paired, within a split.
    right_of
        Returns which validation images a run classified correctly, or None if that is not recorded.

    Returns
    -------
    Figures
        With ``right`` only if it is known for every run, and each block of one split has one run.
    """
    values = by_block(runs, metric=metric, block_of=lambda run: (split_of(run), block_of(run)))
    found = Figures(values)
    if right_of is None or found.splits != 1:
        return found
    right: dict[Hashable, Right] = {}
    for run in runs:
        own = right_of(run)
        # Another share than that of right classes, or other images than the figure is of.
        if own is None or not abs(own.mean() - run.metrics.get(metric, math.nan)) < 0.5 / len(own):
            return found
        if block_of(run) in right:  # several runs are averaged, which has no single answer
            return found
        right[block_of(run)] = own
    return replace(found, right=right)


def units_of(
    values: Mapping[tuple[Hashable, Hashable], float], *, over_splits: bool
) -> dict[Hashable, float]:
    """Return the independent values of a comparison: one per split, or one per block of one split.

    Parameters
    ----------
    values
        By split and block.
    over_splits
        Whether splits are the units; the blocks of each are averaged.
    """
    if not over_splits:
        return {block: value for (_, block), value in values.items()}
    cells = grouped(values, lambda cell: cell[0])
    return {split: fmean([values[cell] for cell in found]) for split, found in cells.items()}


def differences_of(
    first: Figures, other: Figures, *, images: int | None, these_images: bool
) -> Differences:
    """Return the differences of two groups over what they have in common.

    Parameters
    ----------
    first, other
        Their figures.
    images
        Of which the metric is a share; None where it is none, or where the question is about
        these images only.
    these_images
        Whether splits and images are taken as given.
    """
    common = [cell for cell in first.values if cell in other.values]
    splits = len({split for split, _ in common})
    over_splits = splits > 1 and not these_images
    within = {cell: first.values[cell] - other.values[cell] for cell in common}
    units = units_of(within, over_splits=over_splits)
    if not images or over_splits or not common:
        return Differences(units, len(common), splits, over_splits)
    blocks = list(units)
    if all(block in one.right for one in (first, other) for block in blocks) and len(blocks) > 1:
        pairs = [(first.right[block], other.right[block]) for block in blocks]
        if len({len(right) for pair in pairs for right in pair}) == 1:
            variance = paired_image_variance(*map(np.array, zip(*pairs, strict=True)))
            return Differences(units, len(common), splits, over_splits, variance, by_image=True)
    # On which images both agree is not recorded; they differ at most on all that either got wrong,
    # and at most on all that either got right. (A share may also be one of errors.)
    errors = min(2 - first.mean - other.mean, first.mean + other.mean)
    bound = max(errors - fmean(units.values()) ** 2, 0.0) / images
    return Differences(units, len(common), splits, over_splits, bound)


def paired_image_variance(first: Right, other: Right) -> float:
    """Return what the number of images leaves of the variance of a mean difference in accuracy.

    Parameters
    ----------
    first, other
        Which images two groups got right, bool of shape (seeds, images), two seeds at least.

    Notes
    -----
    An image's difference is averaged over the seeds. Of the variance of these averages the part
    is subtracted that seeds leave in them (analysis of variance of seeds crossed with images):
    that is in the seeds' own variance already. One image that only one of both got right is added,
    half for either (Agresti and Min 2005): if no image differs, that is not certain of all others.

    Examples
    --------
    >>> right = np.array([[True, True, False, False]] * 2)
    >>> round(paired_image_variance(right, right), 4)
    0.0417
    """
    differences = first.astype(float) - other
    seeds, images = differences.shape
    of_image, of_seed = differences.mean(0), differences.mean(1, keepdims=True)
    residuals = differences - of_image - of_seed + of_image.mean()
    residual = float(np.square(residuals).sum()) / ((seeds - 1) * (images - 1))
    between = max(float(of_image.var(ddof=1)) - residual / seeds, 0.0)
    return float((between + 1 / (images + 2)) / images)

"""Mean and variance of the training features, for the network's first layer.

Images need none: their uint8 values are divided by 255. The user's own features come in any unit;
they are normalised by what the training partition alone says of them, so that nothing of the
validation and test partitions reaches the network.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fitgap.data.disk_arrays import Images, blocks
from fitgap.data.preprocessing import Embedded


@dataclass(frozen=True)
class FeatureScaling:
    """What ``keras.layers.Normalization`` subtracts and divides by.

    Attributes
    ----------
    axis
        The axis with one mean per position: -1 for vectors, None for images, whose
        values share one.
    mean, variance
        One number per feature, or one for all; a variance of 0 is replaced by 1, so that a
        constant feature becomes 0.
    embedded
        The columns that are numbers of categories or words; they stay as they are, and a vector
        is learned for each category or word.
    """

    axis: int | None
    mean: list[float] | float
    variance: list[float] | float
    embedded: tuple[Embedded, ...] = ()


@dataclass(frozen=True)
class Tokens:
    """Token ids, which stay as they are: an Embedding takes them.

    Attributes
    ----------
    count
        How many there are, from 0.
    """

    count: int


@dataclass(frozen=True)
class TargetScaling:
    """What the network's last layer multiplies by and adds, to give the target's units.

    Without it, a target in the hundred thousands would be out of the reach of small steps.

    Attributes
    ----------
    scale, offset
        Standard deviation and mean of each of the training partition's targets; a deviation of 0
        is replaced by 1.
    """

    scale: list[float]
    offset: list[float]


def target_scaling(y: NDArray[np.generic]) -> TargetScaling:
    """Compute the scaling of the training partition's targets: float32 of shape (n[, outputs])."""
    columns = y.astype(np.float64).reshape(len(y), -1)
    scale = columns.std(axis=0)
    return TargetScaling(
        scale=np.where(scale == 0, 1.0, scale).tolist(), offset=columns.mean(axis=0).tolist()
    )


def feature_scaling(x: Images, embedded: Sequence[Embedded] = ()) -> FeatureScaling | None:
    """Compute the scaling of the training partition's features.

    Parameters
    ----------
    x
        float32 of shape (n, features), or (n, height, width[, channels]); or uint8 images.
    embedded
        Columns of ``x`` that are numbers of categories or words.

    Returns
    -------
    FeatureScaling or None
        None for uint8 images. The same bits for data in memory and on disk.
    """
    if x.dtype == np.uint8:
        return None
    per_feature = len(x.shape) == 2
    axes = 0 if per_feature else None
    count = len(x) if per_feature else len(x) * int(np.prod(x.shape[1:]))
    sums = [np.sum(block, axis=axes, dtype=np.float64) for block in blocks(x)]
    mean = np.sum(sums, axis=0) / count
    squares = [np.sum((block.astype(np.float64) - mean) ** 2, axis=axes) for block in blocks(x)]
    variance = np.sum(squares, axis=0) / count
    variance = np.where(variance == 0, 1.0, variance)
    for each in embedded:
        columns = slice(each.position, each.position + each.length)
        mean[columns], variance[columns] = 0.0, 1.0
    return FeatureScaling(
        axis=-1 if per_feature else None,
        mean=mean.tolist(),
        variance=variance.tolist(),
        embedded=tuple(embedded),
    )

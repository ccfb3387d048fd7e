"""What a network scores on a partition, and the gap between two partitions.

Every figure comes from the same weights, in inference mode, over the whole partition. Keras's
own training accuracy is another thing, a running average while the weights still change, and
goes by another name (`running`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fitgap.data.datasets import Dataset, Images, Labels
from fitgap.data.disk_arrays import select
from fitgap.data.splits import Split

# Images per step of an evaluation: many, since nothing is learnt between steps, and a divisor of
# the partitions of MNIST and Fashion-MNIST, so that they need no smaller last step.
EVALUATION_BATCH = 1000
EVALUATION_VALUES = 2**22  # of a step at most: 16 MB as float32, before the first layer


@dataclass(frozen=True)
class Scores:
    """Loss and accuracy of one set of weights over one partition.

    Attributes
    ----------
    loss
        The compiled loss, regularisation included, as ``model.evaluate`` gives it.
    accuracy
        Share of images whose most probable class is the right one, in [0, 1].
    """

    loss: float
    accuracy: float

    @property
    def is_finite(self) -> bool:
        """Whether the loss is a number to go on with."""
        return math.isfinite(self.loss)


@dataclass(frozen=True, eq=False)
class Partition:
    """The images of one partition and their class numbers; equal only to itself.

    Attributes
    ----------
    x
        See `fitgap.data.datasets.Dataset`; in memory or on disk.
    y
        int64 of shape (n,).
    """

    x: Images
    y: Labels

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Partitions:
    """The three partitions of an experiment; ``val`` is None under ``split=none``."""

    train: Partition
    val: Partition | None
    test: Partition


def evaluation_batch(image_shape: Sequence[int]) -> int:
    """Return how many images of a shape are evaluated in one step.

    >>> evaluation_batch((28, 28)), evaluation_batch((224, 224, 3))
    (1000, 27)
    """
    return max(1, min(EVALUATION_BATCH, EVALUATION_VALUES // math.prod(image_shape)))


def partition(dataset: Dataset, split: Split) -> Partitions:
    """Cut a dataset into its partitions; images on disk stay there."""
    x, y = dataset.x_train, dataset.y_train
    return Partitions(
        train=Partition(select(x, split.train), y[split.train]),
        val=Partition(select(x, split.val), y[split.val]) if len(split.val) else None,
        test=Partition(dataset.x_test, dataset.y_test),
    )


def gap(train: Scores, unseen: Scores) -> Scores:
    """Return how much worse a network does on unseen data than on what it learned from.

    Parameters
    ----------
    train, unseen
        Scores of the same weights.

    Returns
    -------
    Scores
        ``accuracy`` = train - unseen and ``loss`` = unseen - train: either is positive where the
        unseen data fare worse.

    Examples
    --------
    >>> gap(Scores(loss=0.25, accuracy=0.75), Scores(loss=0.5, accuracy=0.5))
    Scores(loss=0.25, accuracy=0.25)
    """
    return Scores(loss=unseen.loss - train.loss, accuracy=train.accuracy - unseen.accuracy)


def encode_labels(y: Labels, label_format: str, *, num_classes: int) -> NDArray[np.generic]:
    """Return labels in the form that a loss takes.

    Parameters
    ----------
    y
        int64 of shape (n,), class numbers.
    label_format
        ``integer``: int32 (n,); ``one_hot``: float32 (n, num_classes); ``binary``: float32 (n, 1).
    num_classes
        Number of classes.
    """
    if label_format == "integer":
        return y.astype(np.int32)
    if label_format == "one_hot":
        return np.eye(num_classes, dtype=np.float32)[y]
    return y.astype(np.float32)[:, None]


def class_probabilities(outputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return probabilities of shape (n, num_classes) from a network's outputs.

    A softmax gives them as they are; one sigmoid unit gives that of class 1.
    """
    if outputs.shape[1] == 1:
        return np.concatenate([1 - outputs, outputs], axis=1)
    return outputs

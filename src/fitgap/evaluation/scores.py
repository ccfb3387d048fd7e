"""What a network scores on a partition, and the gap between two partitions.

Every figure comes from the same weights, in inference mode, over the whole partition. Keras's
own training accuracy is another thing, a running average while the weights still change, and
has another name (`running`).
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
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


class Scores(Mapping[str, float]):
    """Loss and metrics of one set of weights over one partition, by name; never altered.

    Parameters
    ----------
    loss
        The compiled loss, regularisation included, as ``model.evaluate`` gives it.
    metrics
        Further figures by name, the primary one first. One that is undefined on the partition
        is absent.

    Attributes
    ----------
    undefined : Mapping
        Why a metric is absent, by name. It plays no part in whether two scores are equal.
    """

    def __init__(self, *, loss: float, **metrics: float) -> None:
        self._values = {"loss": loss, **metrics}
        self.undefined: Mapping[str, str] = {}

    def without(self, undefined: Mapping[str, str]) -> "Scores":
        """Return the same figures, and why some metrics are not among them."""
        scores = Scores(**self._values)
        scores.undefined = dict(undefined)
        return scores

    def __getitem__(self, name: str) -> float:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Scores({', '.join(f'{name}={value!r}' for name, value in self.items())})"

    @property
    def loss(self) -> float:
        """The loss, which all scores have."""
        return self._values["loss"]

    @property
    def is_finite(self) -> bool:
        """Whether the loss is finite."""
        return math.isfinite(self.loss)


@dataclass(frozen=True, eq=False)
class Partition:
    """The images of one partition and their class numbers; equal only to itself.

    Attributes
    ----------
    x
        See `fitgap.data.datasets.Dataset`; in memory or on disk.
    y
        int64 of shape (n,), or as the dataset's task has it.
    weights
        float32 of shape (n,): how much each weighs in the training loss; None: all the same.
        Scores don't look at them.
    """

    x: Images
    y: Labels
    weights: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Partitions:
    """The three partitions of an experiment; ``val`` is None under ``split=none``."""

    train: Partition
    val: Partition | None
    test: Partition


def beginning(partitions: Partitions, count: int) -> Partitions:
    """Return the first samples of each partition.

    Parameters
    ----------
    partitions
        Of a dataset.
    count
        How many samples each partition keeps at most.
    """

    def cut(part: Partition) -> Partition:
        rows = np.arange(min(count, len(part)))
        return Partition(select(part.x, rows), part.y[rows])

    return Partitions(
        train=cut(partitions.train),
        val=cut(partitions.val) if partitions.val else None,
        test=cut(partitions.test),
    )


def evaluation_batch(image_shape: Sequence[int]) -> int:
    """Return how many images of a shape are evaluated in one step.

    >>> evaluation_batch((28, 28)), evaluation_batch((224, 224, 3))
    (1000, 27)
    """
    return max(1, min(EVALUATION_BATCH, EVALUATION_VALUES // math.prod(image_shape)))


def partition(dataset: Dataset, split: Split) -> Partitions:
    """Cut a dataset into its partitions; images on disk stay there.

    Parameters
    ----------
    dataset
        With a training and a test part.
    split
        Which samples of the training part are for training and which for validation.

    Returns
    -------
    Partitions
        ``val`` is None if the split has no validation partition.
    """
    x, y = dataset.x_train, dataset.y_train
    return Partitions(
        train=Partition(select(x, split.train), y[split.train]),
        val=Partition(select(x, split.val), y[split.val]) if len(split.val) else None,
        test=Partition(dataset.x_test, dataset.y_test),
    )


def gap(train: Scores, unseen: Scores, *, higher_is_better: Collection[str]) -> Scores:
    """Return how much worse a network is on unseen data than on its training data.

    Parameters
    ----------
    train, unseen
        Scores of the same weights.
    higher_is_better
        The metrics that are better the higher they are; the loss and all others are better the
        lower they are.

    Returns
    -------
    Scores
        For each figure that both have, by how much it is worse on the unseen data: train -
        unseen where higher is better, else unseen - train. Positive where the unseen data fare
        worse, whatever the metric.

    Examples
    --------
    >>> train, unseen = Scores(loss=0.25, accuracy=0.75), Scores(loss=0.5, accuracy=0.5)
    >>> gap(train, unseen, higher_is_better={"accuracy"})
    Scores(loss=0.25, accuracy=0.25)
    """
    return Scores(
        **{
            name: gap_of(train[name], unseen[name], higher_is_better=name in higher_is_better)
            for name in train
            if name in unseen
        }
    )


def gap_of(train: float, unseen: float, *, higher_is_better: bool) -> float:
    """Return by how much one figure is worse on unseen data than on the training data.

    >>> gap_of(0.75, 0.5, higher_is_better=True), gap_of(0.25, 0.5, higher_is_better=False)
    (0.25, 0.25)
    """
    return train - unseen if higher_is_better else unseen - train


def encode_labels(
    y: NDArray[np.generic], label_format: str, *, num_classes: int
) -> NDArray[np.generic]:
    """Return targets in the form that a loss takes.

    Parameters
    ----------
    y
        Class numbers, int64 of shape (n,); or numbers, float32 of shape (n,) or (n, outputs); or
        label sets, 0 and 1 of shape (n, labels).
    label_format
        Of classes, ``integer``: int32 (n,); ``one_hot``: float32 (n, num_classes); ``binary``:
        float32 (n, 1). ``numbers``, ``many_hot``: float32 (n, outputs).
    num_classes
        Number of classes.
    """
    if label_format == "integer":
        return y.astype(np.int32)
    if label_format == "one_hot":
        one_hot: NDArray[np.generic] = np.eye(num_classes, dtype=np.float32)[y]
        return one_hot
    return y.astype(np.float32).reshape(len(y), -1)


def network_outputs(outputs: NDArray[np.float32], label_format: str) -> NDArray[np.float32]:
    """Return a network's outputs in the form that metrics take.

    For classes and label sets, they are probabilities: those of a softmax as they are; one sigmoid
    unit for two classes gives the probability of class 1. For numbers, they are the numbers.

    Parameters
    ----------
    outputs
        What the network predicts; shape (n, units).
    label_format
        ``config.loss.labels``; ``binary`` is the one sigmoid unit.

    Returns
    -------
    array of float32
        Shape (n, outputs).
    """
    outputs = outputs.astype(np.float32, copy=False)  # of mixed precision, perhaps half of it
    if label_format == "binary":
        return np.concatenate([1 - outputs, outputs], axis=1)
    return outputs

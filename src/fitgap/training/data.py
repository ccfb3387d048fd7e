"""The data of one run: loaded, split, encoded, weighted.

The same objects for every run of this process: a sweep's runs then share the engine's tensors too.
"""

import functools
from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np

from fitgap.config.schema import Config, SplitConfig
from fitgap.data import datasets, preprocessing, splits
from fitgap.data.datasets import Dataset
from fitgap.data.preprocessing import Preprocessing
from fitgap.data.splits import Split
from fitgap.errors import RequestError
from fitgap.evaluation import metrics
from fitgap.evaluation.scores import Partitions, beginning, partition
from fitgap.models.scaling import (
    FeatureScaling,
    TargetScaling,
    Tokens,
    feature_scaling,
    target_scaling,
)
from fitgap.training.class_weights import sample_weights


@dataclass(frozen=True)
class Data:
    """What a run is trained and scored on.

    Attributes
    ----------
    dataset, split
        All samples, and where each belongs.
    partitions
        What the engine takes.
    learned
        What stands before the network of a table; None for other data.
    """

    dataset: Dataset
    split: Split
    partitions: Partitions
    learned: Preprocessing | None

    @property
    def scaling(self) -> FeatureScaling | Tokens | None:
        """What the network's first layer needs to know of the features."""
        if self.dataset.num_tokens:
            return Tokens(self.dataset.num_tokens)
        embedded = self.learned.embedded if self.learned else ()
        return feature_scaling(self.partitions.train.x, embedded)

    @property
    def target_scaling(self) -> TargetScaling | None:
        """What the network's last layer needs to know of numbers."""
        return target_scaling(self.partitions.train.y) if self.dataset.task == "numbers" else None

    @property
    def most_frequent_class_share(self) -> float | None:
        """The validation score of always predicting the most frequent training class."""
        labels = self.dataset.y_train
        is_of_classes = labels.ndim == 1 and np.issubdtype(labels.dtype, np.integer)
        if not len(self.split.val) or not is_of_classes:
            return None
        most_frequent = np.bincount(labels[self.split.train]).argmax()
        return round(float(np.mean(labels[self.split.val] == most_frequent)), 6)


def load(config: Config, *, dataset_digest: str, split_digest: str) -> Data:
    """Return the data of a run, which must have the digests that it was planned with.

    Parameters
    ----------
    config
        A checked experiment.
    dataset_digest, split_digest
        SHA-256 in hex digits, from the plan of the run.

    Raises
    ------
    RequestError
        If they have others.
    """
    dataset = datasets.load(
        config.dataset, memory_limit_mb=config.training.memory_limit_mb, split=config.split
    )
    dataset, split, partitions, learned = _partitions(dataset, astuple(config.split))
    if (dataset.digest, split.digest) != (dataset_digest, split_digest):
        raise RequestError(
            f"dataset={config.dataset.name}: the data are no longer those that were checked; run "
            "the command again when they no longer change (a function must draw its random numbers "
            "with a seed)"
        )
    if config.debug is not None and config.debug.batches is not None:
        partitions = beginning(partitions, config.debug.batches * config.training.batch_size)
    train = partitions.train
    metrics.check(
        metrics.metrics_of(config), train.y, task=dataset.task, num_outputs=dataset.num_classes
    )
    weights = sample_weights(config.training.class_weight, train.y, class_names=dataset.class_names)
    if weights is not None:
        partitions = replace(partitions, train=replace(train, weights=weights))
    return Data(dataset, split, partitions, learned)


@functools.lru_cache(maxsize=2)
def _partitions(
    dataset: Dataset, split: tuple[Any, ...]
) -> tuple[Dataset, Split, Partitions, Preprocessing | None]:
    indices = splits.split_dataset(dataset, SplitConfig(*split))
    dataset, learned = preprocessing.encoded(dataset, indices)
    return dataset, indices, partition(dataset, indices), learned

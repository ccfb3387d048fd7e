"""What the data report says: figures of each partition, duplicates, and how to read them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fitgap.data import duplicates
from fitgap.data.before_training import is_image, notes
from fitgap.data.datasets import Dataset, Images
from fitgap.data.disk_arrays import blocks, select
from fitgap.data.duplicates import PARTITIONS, Matches, Numbers
from fitgap.data.splits import Split


@dataclass(frozen=True)
class PartitionFacts:
    """One partition in figures.

    Attributes
    ----------
    samples
        Number of images.
    minimum, maximum, mean
        Over all values; null where there is no image.
    class_counts
        Images per class name.
    """

    samples: int
    minimum: float | None
    maximum: float | None
    mean: float | None
    class_counts: Mapping[str, int]


@dataclass(frozen=True)
class DataFindings:
    """All that the checks found.

    Attributes
    ----------
    dataset, source
        As of `Dataset`.
    image_shape, value_type
        Of one image.
    partitions
        By name: train, val, test.
    constant_values
        How many pixels (or features) are the same in every training image.
    exact
        Images of the same bytes.
    near
        See `NEAR_RULE`; None for feature vectors, which have no thumbnail.
    notes
        What a person should know of how the data were read, and before training.
    """

    dataset: str
    source: str
    image_shape: Sequence[int]
    value_type: str
    partitions: Mapping[str, PartitionFacts]
    constant_values: int
    exact: Matches
    near: Matches | None
    notes: Sequence[str] = ()


def check(dataset: Dataset, split: Split) -> DataFindings:
    """Run all checks.

    Parameters
    ----------
    dataset, split
        The data and how the training part is divided.
    """
    owner = duplicates.owners(dataset, split)
    groups = duplicates.equal_groups(dataset)
    return DataFindings(
        dataset=dataset.name,
        source=dataset.source,
        image_shape=list(dataset.image_shape),
        value_type=dataset.value_type,
        partitions=_partition_facts(dataset, owner),
        constant_values=_count_constant(select(dataset.x_train, split.train)),
        exact=duplicates.exact(dataset, owner, groups),
        near=duplicates.near(dataset, owner, groups) if is_image(dataset) else None,
        notes=[*dataset.notes, *notes(dataset, split)],
    )


def _partition_facts(dataset: Dataset, owner: Numbers) -> dict[str, PartitionFacts]:
    labels = np.concatenate([dataset.y_train, dataset.y_test])
    flat = (b.reshape(len(b), -1) for x in (dataset.x_train, dataset.x_test) for b in blocks(x))
    rows = [(b.min(axis=1), b.max(axis=1), b.mean(axis=1, dtype=np.float64)) for b in flat]
    minima, maxima, means = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    facts = {}
    for number, name in enumerate(PARTITIONS):
        mine = owner == number
        counts = _counts(labels[mine], dataset)
        facts[name] = PartitionFacts(
            samples=int(mine.sum()),
            minimum=float(minima[mine].min()) if mine.any() else None,
            maximum=float(maxima[mine].max()) if mine.any() else None,
            mean=float(means[mine].mean()) if mine.any() else None,
            class_counts=counts,
        )
    return facts


def _counts(labels: NDArray[np.int64], dataset: Dataset) -> dict[str, int]:
    """Return how often each class, or label, occurs; quantities have none."""
    if dataset.task == "numbers":
        return {}
    counts = (
        np.bincount(labels, minlength=dataset.num_classes)
        if dataset.task == "classes"
        else labels.sum(axis=0, dtype=np.int64)
    )
    return dict(zip(dataset.class_names, counts.tolist(), strict=True))


def _count_constant(x: Images) -> int:
    """Count the pixels, or features, that are the same in every image."""
    bounds = [(block.min(axis=0), block.max(axis=0)) for block in blocks(x)]
    lows, highs = (np.stack(parts) for parts in zip(*bounds, strict=True))
    return int((lows.min(axis=0) == highs.max(axis=0)).sum())

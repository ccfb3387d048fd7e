"""Replicates: what may differ between the runs of one group, and what a run was repeated over.

Replicates differ in the seed and in the split, and in nothing else. Runs of one split share their
images: what they say holds for these images. Several splits say something of images like these.
"""

import math
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

from fitgap.store import StoredRun
from fitgap.tag_names import DATASET_TAG, SPLIT_TAG
from fitgap.trust.text import whole_number

OF_THE_SPLIT = ("split.seed", "split.fold")
REPLICATE_KEYS = ("seed", *OF_THE_SPLIT)

Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)


def grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    """Return items by their key, in the order in which the keys first occur.

    >>> grouped([3, 1, 4], lambda number: number % 2)
    {1: [3, 1], 0: [4]}
    """
    found: dict[Key, list[Item]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return found


def data_of(run: StoredRun) -> tuple[str, str]:
    """Return the digests of a run's dataset and split; empty for one without."""
    return run.tags.get(DATASET_TAG, ""), run.tags.get(SPLIT_TAG, "")


def names_of(run: StoredRun) -> tuple[str, str]:
    """Return the names of a run's dataset and split."""
    return run.params.get("dataset.name", ""), run.params.get("split.name", "")


def kind_of_data(run: StoredRun) -> Hashable:
    """Return what the runs of one ranking have in common: the data, and the kind of split."""
    return data_of(run)[0], kind_of_split(run)


def split_of(run: StoredRun) -> Hashable:
    """Return what distinguishes splits of the data: the digest, or else the settings."""
    digest = run.tags.get(SPLIT_TAG, "")
    return digest or tuple(run.params.get(key) for key in OF_THE_SPLIT)


def kind_of_split(run: StoredRun) -> tuple[tuple[str, str], ...]:
    """Return the settings of a split without those in which replicates differ.

    Nor those that are null: earlier records lack settings that came later.
    """
    return tuple(
        sorted(
            (key, value)
            for key, value in run.params.items()
            if key.startswith("split.") and key not in OF_THE_SPLIT and value != "null"
        )
    )


def overlap_of(runs: Iterable[StoredRun]) -> float:
    """Return the number of validation images over that of training images; 0 if not recorded.

    References
    ----------
    Nadeau and Bengio (2003), "Inference for the generalization error": training sets of random
    splits overlap, so that the mean over J splits varies by (1/J + this) times their variance.
    """
    train, val = (
        [n for run in runs if (n := whole_number(run.params.get(name))) is not None]
        for name in ("train_samples", "val_samples")
    )
    return sum(val) / sum(train) if sum(train) and len(train) == len(val) else 0.0


def finite_values(
    runs: Iterable[StoredRun], metric: str, *, by: Callable[[StoredRun], Key]
) -> dict[Key, list[float]]:
    """Return a metric's values by a key of the runs, such as their split, one per run.

    Parameters
    ----------
    runs
        Those without a finite value are left out.
    metric
        With its partition.
    by
        Returns a run's key.
    """
    finite = (run for run in runs if math.isfinite(run.metrics.get(metric, math.nan)))
    return {key: [run.metrics[metric] for run in some] for key, some in grouped(finite, by).items()}

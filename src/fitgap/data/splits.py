"""From the training part to a training and a validation partition, by index.

The split has a seed of its own: two runs with different ``seed`` still see the same partitions.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fitgap.config.schema import SplitConfig
from fitgap.data.datasets import Labels, digest_arrays
from fitgap.errors import RequestError

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Which images of the training part are for fitting and which for validation.

    Attributes
    ----------
    train, val
        int64 indices of shape (train_samples,) and (val_samples,) into the training part;
        disjoint, together all of it unless ``train_fraction`` is less than 1. ``val`` is empty
        under ``split=none``.
    digest
        SHA-256 over both.
    """

    train: Indices
    val: Indices
    digest: str


def split(labels: Labels, config: SplitConfig, *, num_classes: int) -> Split:
    """Divide the training part.

    Parameters
    ----------
    labels
        int64 of shape (n,), the class numbers of the training part.
    config
        ``holdout`` is `sklearn.model_selection.train_test_split` with ``test_size`` =
        ``validation_fraction`` and ``random_state`` = ``seed``; ``none`` keeps all for training.
        ``train_fraction`` then keeps the first part of the training images, in an order drawn by
        ``seed``: each smaller fraction is a part of every larger one, and ``val`` is the same for
        all. Under ``stratify`` each part has the classes in the same proportions.
    num_classes
        How many classes there are; each must occur in the training partition.

    Returns
    -------
    Split

    Raises
    ------
    RequestError
        If a partition would be empty, a class cannot be stratified, or a class is missing from
        the training partition.
    """
    everything = np.arange(len(labels))
    if config.name == "none":
        train, val = everything, everything[:0]
    else:
        try:
            train, val = _holdout(labels, config)
        except ValueError as error:
            raise RequestError(
                f"split.validation_fraction={config.validation_fraction} cannot divide "
                f"{len(labels)} images: {error}"
            ) from error
    everything_to_train_on = train
    if config.train_fraction < 1:
        train = _nested_subset(train, labels, config)
    missing = np.setdiff1d(np.arange(num_classes), labels[train])
    if missing.size and np.isin(missing[0], labels[everything_to_train_on]):
        raise RequestError(
            f"split.train_fraction={config.train_fraction} leaves {len(train)} images, none of "
            f"class {missing[0]}; take a larger fraction or split.stratify=true"
        )
    if missing.size and config.name == "none":
        raise RequestError(f"the dataset has no image of class {missing[0]} to train on")
    if missing.size:
        raise RequestError(
            f"split.validation_fraction={config.validation_fraction} leaves no image of class "
            f"{missing[0]} to train on; take a smaller fraction or split.stratify=true"
        )
    return Split(train=train, val=val, digest=digest_arrays(train, val))


def _nested_subset(train: Indices, labels: Labels, config: SplitConfig) -> Indices:
    """Return the first of the training images, at least one, in an order that the seed draws."""
    rng = np.random.default_rng([0 if config.seed is None else config.seed, len(train)])
    shuffled = train[rng.permutation(len(train))]
    if config.stratify:
        # The i-th of a class's n images goes to the place (i + 1/2) / n of the whole, so that
        # every beginning has all classes in proportion.
        place = np.empty(len(shuffled))
        for class_number in np.unique(labels[shuffled]):
            of_class = np.flatnonzero(labels[shuffled] == class_number)
            place[of_class] = (np.arange(len(of_class)) + 0.5) / len(of_class)
        shuffled = shuffled[np.argsort(place, kind="stable")]
    return shuffled[: max(1, round(config.train_fraction * len(train)))]


def _holdout(labels: Labels, config: SplitConfig) -> tuple[Indices, Indices]:
    assert config.validation_fraction is not None  # checked with the settings
    if config.stratify:
        from sklearn.model_selection import train_test_split

        train, val = train_test_split(
            np.arange(len(labels)),
            test_size=config.validation_fraction,
            random_state=config.seed,
            stratify=labels,
        )
        return train, val
    # What train_test_split does without classes to mind, index for index. Importing scikit-learn
    # for these lines would cost every process of a sweep 2 s.
    n_val = math.ceil(config.validation_fraction * len(labels))
    if n_val >= len(labels):
        raise ValueError("no image would be left to train on")
    permutation = np.random.RandomState(config.seed).permutation(len(labels))
    return permutation[n_val:], permutation[:n_val]

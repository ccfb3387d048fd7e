"""From the training part to a training and a validation partition, by index.

The split has its own seed: two runs with different ``seed`` still see the same partitions.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fitgap.config.schema import SplitConfig
from fitgap.data.datasets import Dataset, Labels, digest_arrays
from fitgap.data.held_out import newest, whole_groups, without_warnings
from fitgap.data.parts import RawLabels
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


def split_dataset(dataset: Dataset, config: SplitConfig) -> Split:
    """Divide a dataset's training part into a training and a validation partition.

    Parameters
    ----------
    dataset
        As read: its labels, its groups and times, and the validation part that the data may bring.
        Its test part stays as it is.
    config
        ``holdout`` is `sklearn.model_selection.train_test_split` with ``test_size`` =
        ``validation_fraction`` and ``random_state`` = ``seed``; ``kfold`` is fold number ``fold``
        of ``KFold(folds, shuffle=True, random_state=seed)``, with ``group`` of ``GroupKFold``;
        ``given`` takes the validation part that the data bring; ``none`` keeps all for training.
        ``train_fraction`` then keeps the first part of the training images, in an order drawn by
        ``seed``: each smaller fraction is a part of every larger one, and ``val`` is the same for
        all. Under ``stratify`` each part has the classes in the same proportions. Under ``group``
        no group is in two partitions, under ``order`` the newest are the validation partition.

    Returns
    -------
    Split

    Raises
    ------
    RequestError
        If a partition would be empty, a class cannot be stratified, a class is missing from
        the training partition or from a fold, or a group is in two partitions.
    """
    labels = dataset.y_train
    if config.stratify and (labels.ndim != 1 or labels.dtype.kind != "i"):
        raise RequestError("split.stratify=true needs classes, but the targets are not classes")
    stratified = stratifies(dataset, config)
    try:
        everything_to_train_on, val = _divided(dataset, config, stratified=stratified)
    except RequestError:
        raise  # it says itself what is wrong
    except ValueError as error:
        raise RequestError(
            f"split.validation_fraction={config.validation_fraction} cannot divide "
            f"{len(labels)} samples: {error}"
        ) from error
    train = everything_to_train_on
    if config.train_fraction < 1:
        train = _nested_subset(train, labels, config, stratified=stratified)
    if labels.ndim == 1 and labels.dtype.kind == "i":
        _refuse_missing_classes(
            dataset, config, everything_to_train_on=everything_to_train_on, train=train, val=val
        )
    if dataset.train.groups is not None:
        _refuse_torn_groups(dataset, config, dataset.train.groups, train=train, val=val)
    return Split(train=train, val=val, digest=digest_arrays(train, val))


# Above as many images the shares of like classes differ by less than a hundredth of themselves
# or so, drawn at random; and at most as often as the rarest may the most frequent class occur.
_FEW_IMAGES, _EVEN_RATIO = 10_000, 2


def stratifies(dataset: Dataset, config: SplitConfig) -> bool:
    """Tell whether a split keeps the proportions of the classes.

    Parameters
    ----------
    dataset
        As read.
    config
        ``stratify`` answers, unless it is null. Then classes are stratified in folds and in data
        of one's own, where they are few (below 10,000 images) or uneven (the most frequent class
        is more than twice as frequent as the rarest) and each has the images for it.
    """
    labels = dataset.y_train
    if config.stratify is not None:
        return config.stratify
    if config.name not in ("holdout", "kfold") or config.order is not None:
        return False
    if (
        labels.ndim != 1
        or labels.dtype.kind != "i"
        or (config.name == "holdout" and not dataset.is_own)
    ):
        return False
    counts = np.unique(labels, return_counts=True)[1]
    if config.name == "holdout":
        assert config.validation_fraction is not None  # checked with the settings
        n_val = math.ceil(config.validation_fraction * len(labels))
        if counts.min() < 2 or min(n_val, len(labels) - n_val) < len(counts):
            return False
    return len(labels) < _FEW_IMAGES or bool(counts.max() > _EVEN_RATIO * counts.min())


def _divided(dataset: Dataset, config: SplitConfig, *, stratified: bool) -> tuple[Indices, Indices]:
    labels, is_val = dataset.y_train, dataset.train.is_val
    groups, order = dataset.train.groups, dataset.train.order
    everything = np.arange(len(labels))
    if is_val is not None and config.name in ("holdout", "none"):
        raise RequestError(
            f"split={config.name}: the data have a validation part of their own "
            f"({is_val.sum()} samples); use it with split=given, or "
            "take split=kfold, which joins it to the training part"
        )
    if config.name == "none":
        return everything, everything[:0]
    if config.name == "given":
        if is_val is None:
            raise RequestError(
                "split=given needs a validation part that the data bring (val/ beside train/, or "
                "x_val and y_val); without one take split=holdout or split=kfold"
            )
        return np.flatnonzero(~is_val), np.flatnonzero(is_val)
    if config.name == "kfold":
        return _fold(dataset, config, stratified=stratified)
    if order is not None:
        assert config.validation_fraction is not None  # checked with the settings
        val = newest(order, fraction=config.validation_fraction)
        return np.setdiff1d(everything, val), np.sort(val)
    if groups is not None:
        assert config.validation_fraction is not None
        return whole_groups(labels, groups, fraction=config.validation_fraction, seed=config.seed)
    return _holdout(labels, config, stratified=stratified)


def _fold(dataset: Dataset, config: SplitConfig, *, stratified: bool) -> tuple[Indices, Indices]:
    from sklearn import model_selection

    assert config.folds is not None  # checked with the settings
    assert config.fold is not None
    labels, groups = dataset.y_train, dataset.train.groups
    units = "groups" if groups is not None else "samples"
    count = len(labels if groups is None else np.unique(groups))
    if count < config.folds:
        raise RequestError(
            f"split.folds={config.folds} needs at least as many {units}, got {count}"
        )
    names = {
        (False, False): "KFold",
        (True, False): "StratifiedKFold",
        (False, True): "GroupKFold",
        (True, True): "StratifiedGroupKFold",
    }
    if stratified and groups is None:
        classes, counts = np.unique(labels, return_counts=True)
        fewest = int(counts.min())
        if fewest < config.folds:
            fewer = f"use at most {fewest} folds or " if fewest > 1 else ""
            raise RequestError(
                f"split.folds={config.folds} would leave a class out of a fold: class "
                f"{dataset.class_names[classes[counts.argmin()]]} has {fewest} "
                f"sample{'s' if fewest > 1 else ''}; {fewer}add samples of it"
            )
    kind = getattr(model_selection, names[stratified, groups is not None])
    folds = kind(config.folds, shuffle=True, random_state=config.seed)
    train, val = list(without_warnings(folds.split(labels, labels, groups)))[config.fold]
    return train, val


def _refuse_missing_classes(
    dataset: Dataset,
    config: SplitConfig,
    *,
    everything_to_train_on: Indices,
    train: Indices,
    val: Indices,
) -> None:
    labels, class_names = dataset.y_train, dataset.class_names
    missing = np.setdiff1d(np.arange(len(class_names)), labels[train])
    if config.name == "kfold":
        missing_in_fold = np.setdiff1d(np.arange(len(class_names)), labels[val])
        for part, lacking in (("train on", missing), ("validate on", missing_in_fold)):
            if lacking.size and config.train_fraction == 1:
                raise RequestError(
                    f"split.folds={config.folds}, split.fold={config.fold} leaves no sample of "
                    f"class {class_names[lacking[0]]} to {part}; use fewer folds"
                )
    if missing.size and np.isin(missing[0], labels[everything_to_train_on]):
        raise RequestError(
            f"split.train_fraction={config.train_fraction} leaves {len(train)} samples, none of "
            f"class {class_names[missing[0]]}; use a larger fraction or split.stratify=true"
        )
    if missing.size and config.name in ("none", "given"):
        raise RequestError(
            f"the dataset has no sample of class {class_names[missing[0]]} to train on"
        )
    if missing.size:
        way = {"group": "add groups of it", "order": "use a smaller fraction"}
        by = "group" if config.group else "order" if config.order else ""
        others = f" (and of {missing.size - 1} other classes)" if missing.size > 1 else ""
        taken = way[by] if by else "use a smaller fraction or split.stratify=true"
        if (labels == missing[0]).sum() == 1:  # no fraction divides it
            count = f"{len(class_names)} classes in {len(labels)} samples"
            taken = f"add samples of it: it has 1 ({count})"
        raise RequestError(
            f"split.validation_fraction={config.validation_fraction} leaves no sample of class "
            f"{class_names[missing[0]]} to train on{others}; {taken}"
        )


def _refuse_torn_groups(
    dataset: Dataset, config: SplitConfig, groups: RawLabels, *, train: Indices, val: Indices
) -> None:
    test = groups[:0] if dataset.test.groups is None else dataset.test.groups
    for unseen, seen, both in (
        ("validation", "training", np.intersect1d(groups[val], groups[train])),
        ("test", "training", np.intersect1d(test, groups[train])),
        ("test", "validation", np.intersect1d(test, groups[val])),
    ):
        if both.size:
            raise RequestError(
                f"split.group={config.group}: {len(both)} groups are in the {unseen} part and in "
                f"the {seen} part (first: {both[0].item()!r})"
            )


def _nested_subset(
    train: Indices, labels: Labels, config: SplitConfig, *, stratified: bool
) -> Indices:
    """Return the first of the training images, at least one, in an order that the seed draws."""
    rng = np.random.default_rng([0 if config.seed is None else config.seed, len(train)])
    shuffled = train[rng.permutation(len(train))]
    if stratified:
        # The i-th of a class's n images goes to the place (i + 1/2) / n of the whole, so that
        # every beginning has all classes in proportion.
        place = np.empty(len(shuffled))
        for class_number in np.unique(labels[shuffled]):
            of_class = np.flatnonzero(labels[shuffled] == class_number)
            place[of_class] = (np.arange(len(of_class)) + 0.5) / len(of_class)
        shuffled = shuffled[np.argsort(place, kind="stable")]
    return shuffled[: max(1, round(config.train_fraction * len(train)))]


def _holdout(labels: Labels, config: SplitConfig, *, stratified: bool) -> tuple[Indices, Indices]:
    assert config.validation_fraction is not None  # checked with the settings
    if stratified:
        from sklearn.model_selection import train_test_split

        num_classes = len(np.unique(labels))
        n_val = math.ceil(config.validation_fraction * len(labels))
        if (fewest := min(n_val, len(labels) - n_val)) < num_classes:
            raise ValueError(
                f"stratified, a part of {fewest} cannot have each of {num_classes} classes"
            )
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
        raise ValueError("no sample would be left to train on")
    permutation = np.random.RandomState(config.seed).permutation(len(labels))
    return permutation[n_val:], permutation[:n_val]

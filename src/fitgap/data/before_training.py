"""What refuses a run before its training, and what a person should know before it."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fitgap.data import duplicates
from fitgap.data.datasets import Dataset, Images
from fitgap.data.disk_arrays import blocks, select
from fitgap.data.splits import Split


def find_leakage(dataset: Dataset, split: Split) -> str:
    """Say in a phrase which images are in two partitions; empty if there are none.

    Rows of features may well repeat, above all those of few categories: `notes` counts them.

    Parameters
    ----------
    dataset, split
        The data and how the training part is divided.
    """
    if _is_table(dataset):
        return ""
    owner = duplicates.owners(dataset, split)
    matches = duplicates.exact(dataset, owner, duplicates.equal_groups(dataset))
    if not matches.counted:
        return ""
    first, second = matches.examples[0]
    return f"{matches.counted} (first: {first} is {second})"


# What makes a note of nearly equal rows: of the unseen ones at least this share have some rows of
# the training partition about them and then, for a factor of that distance, none. Rows drawn
# independently do so rarely (at most 1 in 4 ** features for the nearest one).
_ALIKE_SHARE, _ALIKE_JUMP, _ALIKE_FEATURES = 0.2, 4.0, 4
_ALIKE_ROWS, _ALIKE_QUERIES = 20_000, 500  # looked at, at most
_FEW_IMAGES = 20_000


def notes(dataset: Dataset, split: Split) -> tuple[str, ...]:
    """Say what a person should know before training on their own data, a line each.

    Parameters
    ----------
    dataset, split
        The data and how the training part is divided.
    """
    if not dataset.is_own:
        return ()
    found = []
    if dataset.task == "classes":
        counts = np.bincount(dataset.y_train[split.train], minlength=dataset.num_classes)
        share = counts.max() / counts.sum()
        if share > 0.5:
            name = dataset.class_names[counts.argmax()]
            found.append(
                f"the most frequent class, {name!r}, is {share:.0%} of the training partition: "
                f"{share:.2f} is the baseline of accuracy"
            )
        found += _alike_but_for_case(dataset.class_names)
    owner, groups = duplicates.owners(dataset, split), duplicates.equal_groups(dataset)
    if _is_table(dataset):
        exact = duplicates.exact(dataset, owner, groups)
        if exact.counted:
            found.append(f"rows with the same values (duplicates): {exact.counted}")
        if exact.conflicting:
            target = "target" if dataset.task == "numbers" else "label"
            found.append(
                f"{exact.conflicting} rows have the same values as a row with another {target}"
            )
        has_texts = any(column.words for column in dataset.columns)  # their numbers measure nothing
        if (
            dataset.train.groups is None
            and not has_texts
            and (share := _alike_share(dataset, split))
        ):
            found.append(
                f"{share:.0%} of the unseen rows are nearly alike to some rows of the training "
                "partition and far from all others; if such rows belong together (one patient, "
                "one recording), split.group=COLUMN keeps them in one partition"
            )
    elif is_image(dataset) and len(owner) <= _FEW_IMAGES:
        near = duplicates.near(dataset, owner, groups)
        if near.counted:
            found.append(f"near duplicates: {near.counted}; see the data report")
    return tuple(found)


def _alike_but_for_case(class_names: Sequence[str]) -> list[str]:
    names = sorted(class_names, key=str.casefold)
    return [
        f"the classes {first!r} and {second!r} differ in capital letters only, and are two classes"
        for first, second in pairwise(names)
        if first.casefold() == second.casefold()
    ]


# Parts of the same data differ less: dark images from bright ones about fivefold. 0 to 1 against
# 0 to 255 is 255-fold.
_OTHER_SCALE = 50.0
# Of 50 values, none is below zero by chance in one of 70,000 cases if a fifth of all are.
_BELOW_ZERO, _FEWEST_VALUES = 0.2, 50


def find_other_scale(dataset: Dataset, split: Split) -> str:
    """Say in a phrase which part has values of another type or scale than the training part.

    Images are compared as a whole; of tables, the feature in the middle of all. Values below zero
    count only where rows are drawn: the newest rows, or those of other groups, may all be above it.

    Parameters
    ----------
    dataset, split
        The data and how the training part is divided.
    """
    if dataset.x_train.dtype != dataset.x_test.dtype:
        return f"test is {dataset.x_test.dtype}, train {dataset.x_train.dtype}"
    if not np.issubdtype(dataset.x_train.dtype, np.number):
        return ""
    parts = {
        "train": select(dataset.x_train, split.train),
        "val": select(dataset.x_train, split.val),
        "test": dataset.x_test,
    }
    if dataset.columns:  # the numbers of words measure nothing
        kept = np.repeat(
            [column.words is None for column in dataset.columns],
            [column.length for column in dataset.columns],
        )
        if not kept.any():
            return ""
        parts = {name: np.asarray(x)[:, kept] for name, x in parts.items()}
    measured = {
        name: _measure(x, per_feature=_is_table(dataset)) for name, x in parts.items() if len(x)
    }
    train, train_below = measured.pop("train")
    are_drawn = dataset.train.groups is None and dataset.train.order is None
    for name, (sizes, below) in measured.items():
        varies = (sizes > 0) & (train > 0)
        if not varies.any():
            continue
        ratio = float(np.median(sizes[varies] / train[varies]))
        if not 1 / _OTHER_SCALE <= ratio <= _OTHER_SCALE:
            times = f"{ratio:.3g}" if ratio > 1 else f"1/{1 / ratio:.3g}"
            return f"the values of {name} are {times} times those of train"
        per_figure = math.prod(parts[name].shape[1:]) / len(below)
        fewest = min(len(parts[each]) for each in ("train", name)) * per_figure
        if are_drawn and fewest >= _FEWEST_VALUES:
            for first, second, shares, others in (
                ("train", name, train_below, below),
                (name, "train", below, train_below),
            ):
                if np.mean((shares >= _BELOW_ZERO) & (others == 0)) > 0.5:
                    return f"{first} has values below zero, {second} has none"
    return ""


def _measure(x: Images, *, per_feature: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean of the absolute values and the share of those below zero.

    Of each feature, or one of all.
    """
    count, axis = (x.shape[1], 0) if per_feature else (1, None)
    sizes, below = np.zeros(count), np.zeros(count)
    for block in blocks(x):
        sizes += np.sum(np.abs(block, dtype=np.float64), axis=axis)
        below += np.sum(np.asarray(block) < 0, axis=axis)
    return sizes / len(x), below / (len(x) * math.prod(x.shape[1:]) / count)


def _is_table(dataset: Dataset) -> bool:
    return len(dataset.image_shape) == 1


def is_image(dataset: Dataset) -> bool:
    """Tell whether the samples are images of bytes."""
    return dataset.value_type == "uint8" and len(dataset.image_shape) > 1


def _alike_share(dataset: Dataset, split: Split) -> float:
    """Return the share of unseen rows with near copies among the training rows; 0 if small."""
    random = np.random.default_rng(0)
    seen = np.nan_to_num(np.asarray(select(dataset.x_train, split.train), np.float64))
    unseen = np.concatenate(
        [np.asarray(select(dataset.x_train, split.val)), np.asarray(dataset.x_test[:])]
    ).astype(np.float64)
    unseen = np.nan_to_num(unseen)
    seen = random.permutation(seen)[:_ALIKE_ROWS]
    unseen = random.permutation(unseen)[:_ALIKE_QUERIES]
    spread = seen.std(axis=0)
    varies = spread > 0
    if varies.sum() < _ALIKE_FEATURES or len(seen) < 20 or len(np.unique(seen, axis=0)) < 20:
        return 0.0
    seen, unseen = seen[:, varies] / spread[varies], unseen[:, varies] / spread[varies]
    squares = (unseen**2).sum(axis=1)[:, None] + (seen**2).sum(axis=1) - 2 * unseen @ seen.T
    distances = np.sqrt(np.maximum(squares, 0))
    typical = np.median(distances)
    nearest = np.sort(distances, axis=1)[:, : max(2, len(seen) // 4)]
    nearest = np.maximum(nearest, 1e-6 * typical)  # equal rows are counted as duplicates
    is_alike = ((nearest[:, 1:] > _ALIKE_JUMP * nearest[:, :-1]).any(axis=1)) & (
        nearest[:, 0] < typical / _ALIKE_JUMP
    )
    is_equal = nearest[:, 0] < 1e-5 * typical
    share = float((is_alike & ~is_equal).mean())
    return share if share >= _ALIKE_SHARE else 0.0

"""Which samples are held out: a share of each class, whole groups, or the newest samples."""

import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitgap.data.parts import Labels, NumberedPart, RawLabels
from fitgap.errors import RequestError


def hold_out(
    part: NumberedPart, *, fraction: float, seed: int, class_names: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose a test part from all samples except a validation part that the data bring.

    Of each class the share that is asked for, at random. With groups: whole groups, about as many
    rows, each class where that is possible. With an order: the newest rows.

    Parameters
    ----------
    part
        Its classes, groups and order are looked at.
    fraction
        In (0, 1). Each class gives ``round(fraction * its images)``, but at least one image, and
        keeps at least one.
    seed
        Of `numpy.random.RandomState`, whose streams are the same in every version of NumPy.
    class_names
        One per class.

    Returns
    -------
    train, test : ndarray
        int64 indices, ascending; ``train`` has what the data bring as validation part too.

    Raises
    ------
    RequestError
        If a class has a single image, or there is a single group.
    """
    n = len(part.y)
    own = np.arange(n) if part.is_val is None else np.flatnonzero(~part.is_val)
    if part.order is not None:
        test = np.sort(own[newest(part.order[own], fraction=fraction)])
    elif part.groups is not None:
        _, test = whole_groups(part.y[own], part.groups[own], fraction=fraction, seed=seed)
        test = np.sort(own[test])
    else:
        test = own[_of_each_class(part.y[own], fraction, seed, class_names)]
    return np.setdiff1d(np.arange(n), test), test


def _of_each_class(
    y: Labels, fraction: float, seed: int, class_names: Sequence[str]
) -> NDArray[np.int64]:
    random = np.random.RandomState(seed)
    chosen = []
    for number, name in enumerate(class_names):
        members = np.flatnonzero(y == number)
        if len(members) == 0:
            raise RequestError(
                f"class {name!r} is in the validation part only: a network cannot learn it"
            )
        if len(members) < 2:
            raise RequestError(
                f"class {name!r} has {len(members)} sample: a test part is held out of each class, "
                "so each class needs two or more samples, unless the data have a test part of "
                "their own (if the target is a quantity: dataset.task=numbers)"
            )
        count = min(max(round(fraction * len(members)), 1), len(members) - 1)
        chosen.append(random.permutation(members)[:count])
    return np.sort(np.concatenate(chosen))


def whole_groups(
    y: Labels, groups: RawLabels, *, fraction: float, seed: int | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose whole groups for an unseen part, with the classes in similar proportions.

    Parameters
    ----------
    y
        Of shape (n,): class numbers; else, quantities, which nothing is made of.
    groups
        Of shape (n,).
    fraction
        About the share of the rows: one of ``round(1 / fraction)`` folds.
    seed
        Of the order in which groups are dealt.

    Returns
    -------
    seen, unseen : ndarray
        int64 indices.

    Raises
    ------
    RequestError
        If there are fewer groups than folds.
    """
    from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold

    folds = max(2, round(1 / fraction))
    count = len(np.unique(groups))
    if count < folds:
        raise RequestError(
            f"split.group: {count} groups cannot give {fraction:g} of the rows as whole groups"
        )
    is_classes = y.ndim == 1 and y.dtype.kind == "i"
    if fraction <= 0.5 and is_classes and np.bincount(y).max() >= folds:
        dealt = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        seen, unseen = next(without_warnings(dealt.split(y, y, groups)))
    else:
        drawn = GroupShuffleSplit(1, test_size=fraction, random_state=seed)
        seen, unseen = next(drawn.split(y, y, groups))
    return seen, unseen


def without_warnings(folds: Iterator[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
    """Leave out the warning of classes with fewer rows than there are folds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield from folds


def newest(order: RawLabels, *, fraction: float) -> NDArray[np.int64]:
    """Choose the newest rows; rows with the same time stay together.

    Parameters
    ----------
    order
        Of shape (n,): larger is newer.
    fraction
        Of the rows, rounded up; more where the oldest of them share their time with others.

    Returns
    -------
    ndarray
        int64 indices, oldest first.

    Raises
    ------
    RequestError
        If no older rows would be left.
    """
    by_time = np.argsort(order, kind="stable")
    first = len(order) - math.ceil(fraction * len(order))
    while first > 0 and order[by_time[first]] == order[by_time[first - 1]]:
        first -= 1
    if first <= 0:
        raise RequestError(
            "split.order: too many rows have the same time; there is no older row to train on"
        )
    return by_time[first:]

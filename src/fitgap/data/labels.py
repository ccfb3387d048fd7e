"""What every reader of one's own data hands over, and how labels become class numbers.

A reader knows a file format; this knows what a classifier needs: at least two classes, each of
them in the training part, and a test part, which is held out where there is none.
"""

import math
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitgap.data.disk_arrays import Images, select
from fitgap.errors import RequestError

Labels = NDArray[np.int64]
RawLabels = NDArray[np.generic]


@dataclass(frozen=True)
class SplitColumns:
    """The names of the columns ``split.group`` and ``split.order``, where they are asked for."""

    group: str | None = None
    order: str | None = None

    def refuse(self, reason: str) -> None:
        """Raise a `RequestError` if a column is asked for, for data that have none."""
        for setting, name in (("group", self.group), ("order", self.order)):
            if name is not None:
                raise RequestError(f"split.{setting}={name}: {reason}")


@dataclass(frozen=True)
class Column:
    """A column of a table that is a feature: numbers or, where there are some, categories."""

    name: str
    categories: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Words:
    """What the numbers of a text stand for.

    Attributes
    ----------
    known
        The word of each number, from `fitgap.data.texts.FIRST_WORD` on.
    most
        How many of them a network may know.
    column
        What the texts are called where they stand in a table.
    """

    known: tuple[str, ...]
    most: int
    column: str


@dataclass(frozen=True, eq=False)
class Part:
    """Images and their labels as a reader found them.

    Attributes
    ----------
    x
        See `Images`.
    labels
        Of shape (n,) or (n, 1): text or whole numbers, not yet checked.
    labels_name
        What a message calls the labels, such as ``y_train``.
    names
        What a message calls each image, such as its file; empty: its number.
    is_val
        bool of shape (n,): what the data bring as their validation part, at the end of the
        training part; None: they bring none.
    groups, order
        Of shape (n,): the values of the columns ``split.group`` and ``split.order``.
    outputs
        The names of the columns of ``labels``, where there are several and they have names.
    columns
        Of a table: what the columns of ``x`` are. A missing value is NaN there, a category its
        number.
    is_quantity
        Whether whole numbers are a quantity all the same, and no classes.
    """

    x: Images
    labels: RawLabels
    labels_name: str
    names: Sequence[str] = ()
    is_val: NDArray[np.bool_] | None = None
    groups: RawLabels | None = None
    order: RawLabels | None = None
    outputs: Sequence[str] = ()
    is_quantity: bool = False
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True)
class Parts:
    """What a reader found.

    Attributes
    ----------
    train
        The training part and, at its end, the validation part if the data bring one.
    test
        None: it is held out.
    notes
        What a person should know of how the data were read, a line each.
    words
        Of texts: what the numbers in ``x`` stand for.
    """

    train: Part
    test: Part | None
    notes: tuple[str, ...] = ()
    words: "Words | None" = None

    def with_notes(self, notes: Sequence[str]) -> "Parts":
        """Return the same parts with further notes."""
        return replace(self, notes=(*self.notes, *notes))


@dataclass(frozen=True, eq=False)
class NumberedPart:
    """Images and their class numbers.

    Attributes
    ----------
    x
        As of `Part`.
    y
        int64 of shape (n,), from 0; or quantities or sets of labels, float32 of shape (n,) or
        (n, outputs).
    names
        What a message calls each image; see `row_names` where its source does not name it.
    is_val, groups, order
        As of `Part`.
    """

    x: Images
    y: Labels
    names: Sequence[str]
    is_val: NDArray[np.bool_] | None = None
    groups: RawLabels | None = None
    order: RawLabels | None = None

    def select(self, rows: NDArray[np.int64]) -> "NumberedPart":
        """Return some of the images."""
        return NumberedPart(
            x=select(self.x, rows),
            y=self.y[rows],
            names=[self.names[row] for row in rows.tolist()],
            is_val=None if self.is_val is None else self.is_val[rows],
            groups=None if self.groups is None else self.groups[rows],
            order=None if self.order is None else self.order[rows],
        )


def row_names(array: str, n: int) -> list[str]:
    """Return what images are called that have no names: by array and row, as ``x_train[3]``."""
    return [f"{array}[{row}]" for row in range(n)]


def number_classes(
    train: Part, test: Part | None
) -> tuple[NumberedPart, NumberedPart | None, tuple[str, ...]]:
    """Give each class of the training part a number, in the order of their labels.

    Returns
    -------
    train, test : NumberedPart
        ``test`` is None where it was.
    class_names : tuple of str
        The labels as text: numbers in their own order, text in that of Unicode, but numbers
        within it as numbers: 1, 2, 10.

    Raises
    ------
    RequestError
        If labels are not labels, number or shape does not fit the images, there is one class
        only, or the test part has a class that the training part has not.
    """
    train_labels = _checked(train)
    classes, y_train = np.unique(train_labels, return_inverse=True)
    in_order = np.array(sorted(range(len(classes)), key=lambda i: natural_key(classes[i].item())))
    place = np.argsort(in_order)  # of each class, sorted by text, in the order of their numbers
    y_train = place[y_train]
    names = tuple(str(classes[i].item()) for i in in_order)
    if len(classes) < 2:
        raise RequestError(
            f"{train.labels_name} must name at least two classes, "
            f"got only {names[0]!r} ({len(train_labels)} samples)"
        )
    train_names = train.names or row_names("x_train", len(train.x))
    numbered = _numbered(train, y_train.astype(np.int64), train_names)
    if test is None:
        return numbered, None, names
    if test.x.shape[1:] != train.x.shape[1:]:
        raise RequestError(
            f"test samples of shape {test.x.shape[1:]} do not fit training samples of shape "
            f"{train.x.shape[1:]}"
        )
    test_labels = _checked(test)
    if (test_labels.dtype.kind == "U") != (train_labels.dtype.kind == "U"):
        raise RequestError(
            f"{test.labels_name} ({test_labels.dtype}) and {train.labels_name} "
            f"({train_labels.dtype}) must both be text or both be numbers"
        )
    unseen = np.setdiff1d(test_labels, classes)
    if unseen.size:
        raise RequestError(
            f"{test.labels_name} has the class {str(unseen[0])!r}, "
            f"which {train.labels_name} has not: it cannot be learnt"
        )
    y_test = place[np.searchsorted(classes, test_labels)].astype(np.int64)
    test_names = test.names or row_names("x_test", len(test.x))
    return numbered, _numbered(test, y_test, test_names), names


def natural_key(label: Any) -> tuple[Any, ...]:
    """Return what sorts labels, and numbers within text by their value.

    >>> sorted(["10", "2", "b", "a10", "a9"], key=natural_key)
    ['2', '10', 'a9', 'a10', 'b']
    """
    if not isinstance(label, str):
        return (label,)
    pieces = re.split(r"([0-9]+)", label)
    key = [(int(p), "") if i % 2 else (-1, p) for i, p in enumerate(pieces)]
    return (*key, (-2, label))  # 01 and 1 are two labels


def _numbered(part: Part, y: Labels, names: Sequence[str]) -> NumberedPart:
    return NumberedPart(part.x, y, names, part.is_val, part.groups, part.order)


def _checked(part: Part) -> RawLabels:
    """Return labels of shape (n,) as text or int64."""
    name, labels = part.labels_name, part.labels
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise RequestError(
            f"{name} must be of shape (n,), one label per sample, got {labels.shape}"
        )
    if len(labels) != len(part.x):
        raise RequestError(f"{name} has {len(labels)} labels for {len(part.x)} samples")
    if len(labels) == 0:
        raise RequestError(f"{name} is empty: there are no samples")
    kind = labels.dtype.kind
    if kind == "S":
        try:
            labels = np.char.decode(labels.astype(np.bytes_), "utf-8")
            kind = "U"
        except UnicodeDecodeError as error:
            raise RequestError(f"{name} holds bytes that are not UTF-8: {error}") from error
    if kind == "U":
        _refuse_first(part, labels, np.char.strip(labels.astype(np.str_)) == "", "is empty")
        return labels
    if kind == "b":
        return labels.astype(np.int64)
    if kind not in "iuf":
        raise RequestError(f"{name} must hold text or whole numbers, got {labels.dtype}")
    values = labels.astype(np.float64)
    _refuse_first(part, labels, ~np.isfinite(values), "is no label")
    not_whole = "is not a whole number (dataset.task=numbers takes quantities)"
    _refuse_first(part, labels, values != np.rint(values), not_whole)
    return labels.astype(np.int64)


def _refuse_first(part: Part, labels: RawLabels, wrong: NDArray[np.bool_], what: str) -> None:
    if wrong.any():
        position = int(wrong.argmax())
        where = part.names[position] if part.names else f"{part.labels_name}[{position}]"
        raise RequestError(
            f"{part.labels_name} must hold text or whole numbers: "
            f"{where} = {labels[position].item()!r} {what}"
        )


def hold_out(
    part: NumberedPart, *, fraction: float, seed: int, class_names: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose a test part of what the data do not bring as their validation part.

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
                f"class {name!r} is in the validation part only: it cannot be learnt"
            )
        if len(members) < 2:
            raise RequestError(
                f"class {name!r} has {len(members)} sample: a test part is held out of each class, "
                "so each needs two or more, or the dataset a test part of its own (where the "
                "target is a quantity: dataset.task=numbers)"
            )
        count = min(max(round(fraction * len(members)), 1), len(members) - 1)
        chosen.append(random.permutation(members)[:count])
    return np.sort(np.concatenate(chosen))


def whole_groups(
    y: Labels, groups: RawLabels, *, fraction: float, seed: int | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose whole groups for an unseen part, with the classes in like proportions.

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
        seen, unseen = next(quietly(dealt.split(y, y, groups)))
    else:
        drawn = GroupShuffleSplit(1, test_size=fraction, random_state=seed)
        seen, unseen = next(drawn.split(y, y, groups))
    return seen, unseen


def quietly(folds: Iterator[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
    """Leave out the warning of classes with fewer rows than there are folds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield from folds


def newest(order: RawLabels, *, fraction: float) -> NDArray[np.int64]:
    """Choose the newest rows; rows of one time stay together.

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

"""What every reader of one's own data hands over, and how labels become class numbers.

A reader knows a file format; this knows what a classifier needs: at least two classes, each of
them in the training part, and a test part, which is held out where there is none.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fitgap.data.disk_arrays import Images, select
from fitgap.errors import RequestError

Labels = NDArray[np.int64]
RawLabels = NDArray[np.generic]


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
    """

    x: Images
    labels: RawLabels
    labels_name: str
    names: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class NumberedPart:
    """Images and their class numbers.

    Attributes
    ----------
    x
        As of `Part`.
    y
        int64 of shape (n,), from 0.
    names
        What a message calls each image; see `row_names` where its source does not name it.
    """

    x: Images
    y: Labels
    names: Sequence[str]

    def select(self, rows: NDArray[np.int64]) -> "NumberedPart":
        """Return some of the images."""
        names = [self.names[row] for row in rows.tolist()]
        return replace(self, x=select(self.x, rows), y=self.y[rows], names=names)


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
        The labels as text: numbers in their own order, text in that of Unicode.

    Raises
    ------
    RequestError
        If labels are not labels, number or shape does not fit the images, there is one class
        only, or the test part has a class that the training part has not.
    """
    train_labels = _checked(train)
    classes, y_train = np.unique(train_labels, return_inverse=True)
    names = tuple(str(label) for label in classes.tolist())
    if len(classes) < 2:
        raise RequestError(
            f"{train.labels_name} must name at least two classes, "
            f"got only {names[0]!r} ({len(train_labels)} images)"
        )
    train_names = train.names or row_names("x_train", len(train.x))
    numbered = NumberedPart(train.x, y_train.astype(np.int64), train_names)
    if test is None:
        return numbered, None, names
    if test.x.shape[1:] != train.x.shape[1:]:
        raise RequestError(
            f"test images of shape {test.x.shape[1:]} do not fit training images of shape "
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
    y_test = np.searchsorted(classes, test_labels).astype(np.int64)
    test_names = test.names or row_names("x_test", len(test.x))
    return numbered, NumberedPart(test.x, y_test, test_names), names


def _checked(part: Part) -> RawLabels:
    """Return labels of shape (n,) as text or int64."""
    name, labels = part.labels_name, part.labels
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise RequestError(f"{name} must be of shape (n,), one label per image, got {labels.shape}")
    if len(labels) != len(part.x):
        raise RequestError(f"{name} has {len(labels)} labels for {len(part.x)} images")
    if len(labels) == 0:
        raise RequestError(f"{name} is empty: there are no images")
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
        raise RequestError(f"{name} must hold text or whole numbers from 0, got {labels.dtype}")
    values = labels.astype(np.float64)
    _refuse_first(part, labels, ~np.isfinite(values), "is no label")
    _refuse_first(part, labels, values != np.rint(values), "is not a whole number")
    _refuse_first(part, labels, values < 0, "is negative")
    return labels.astype(np.int64)


def _refuse_first(part: Part, labels: RawLabels, wrong: NDArray[np.bool_], what: str) -> None:
    if wrong.any():
        position = int(wrong.argmax())
        where = part.names[position] if part.names else f"{part.labels_name}[{position}]"
        raise RequestError(
            f"{part.labels_name} must hold text or whole numbers from 0: "
            f"{where} = {labels[position].item()!r} {what}"
        )


def hold_out(
    y: Labels, *, fraction: float, seed: int, class_names: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose a test part: of each class the share that is asked for, at random.

    Parameters
    ----------
    y
        int64 of shape (n,), class numbers from 0.
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
        int64 indices, ascending.

    Raises
    ------
    RequestError
        If a class has a single image.
    """
    random = np.random.RandomState(seed)
    chosen = []
    for number, name in enumerate(class_names):
        members = np.flatnonzero(y == number)
        if len(members) < 2:
            raise RequestError(
                f"class {name!r} has {len(members)} image: a test part is held out of each class, "
                "so each needs two or more, or the dataset a test part of its own"
            )
        count = min(max(round(fraction * len(members)), 1), len(members) - 1)
        chosen.append(random.permutation(members)[:count])
    test = np.sort(np.concatenate(chosen))
    return np.setdiff1d(np.arange(len(y)), test), test

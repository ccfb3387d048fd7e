"""From labels to class numbers: at least two classes, and each of them in the training part."""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitgap.data.parts import NumberedPart, Part, RawLabels
from fitgap.errors import RequestError
from fitgap.unicode_text import is_no_unicode


def number_classes(
    train: Part, test: Part | None
) -> tuple[NumberedPart, NumberedPart | None, tuple[str, ...]]:
    """Give each class of the training part a number, in the order of their labels.

    Parameters
    ----------
    train
        The training part, with its labels as they were read.
    test
        The test part; None if there is none.

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
    numbered = train.numbered(y_train.astype(np.int64), array="x_train")
    if test is None:
        return numbered, None, names
    if test.x.shape[1:] != train.x.shape[1:]:
        raise RequestError(
            f"test samples of shape {test.x.shape[1:]} do not fit training samples of shape "
            f"{train.x.shape[1:]}"
        )
    test_labels = _checked(test)
    if (test_labels.dtype.kind == "U") != (train_labels.dtype.kind == "U"):
        kinds = [
            "text" if each.dtype.kind == "U" else "numbers" for each in (test_labels, train_labels)
        ]
        raise RequestError(
            f"{test.labels_name} ({kinds[0]}) and {train.labels_name} ({kinds[1]}) must both be "
            "text or both be numbers"
        )
    unseen = np.setdiff1d(test_labels, classes)
    if unseen.size:
        raise RequestError(
            f"{test.labels_name} has the class {str(unseen[0])!r}, "
            f"which {train.labels_name} does not have: a network cannot learn it"
        )
    y_test = place[np.searchsorted(classes, test_labels)].astype(np.int64)
    return numbered, test.numbered(y_test, array="x_test"), names


def natural_key(label: Any) -> tuple[Any, ...]:
    """Return a key that sorts labels, and numbers within text by their value.

    >>> sorted(["10", "2", "b", "a10", "a9"], key=natural_key)
    ['2', '10', 'a9', 'a10', 'b']
    """
    if not isinstance(label, str):
        return (label,)
    pieces = re.split(r"([0-9]+)", label)
    # By its length and its digits: Python makes no number of thousands of them.
    digits = [piece.lstrip("0") for piece in pieces]
    key = [(len(digits[i]), digits[i]) if i % 2 else (-1, p) for i, p in enumerate(pieces)]
    return (*key, (-2, label))  # 01 and 1 are two labels


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
        is_turned = len(part.x.shape) == 2 and part.x.shape[1] == len(labels)
        way_out = "; their samples are columns: transpose them" if is_turned else ""
        raise RequestError(f"{name} has {len(labels)} labels for {len(part.x)} samples{way_out}")
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
        if (wrong := is_no_unicode(labels.astype(np.str_))).any():
            raise RequestError(
                f"the label of {_where(part, wrong)} has characters that are no Unicode"
            )
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
    if kind != "i":
        _refuse_first(part, labels, (values >= 2.0**63) | (values < -(2.0**63)), "is too large")
    return labels.astype(np.int64)


def _refuse_first(part: Part, labels: RawLabels, wrong: NDArray[np.bool_], what: str) -> None:
    if wrong.any():
        raise RequestError(
            f"{part.labels_name} must hold text or whole numbers: "
            f"{_where(part, wrong)} = {labels[wrong.argmax()].item()!r} {what}"
        )


def _where(part: Part, wrong: NDArray[np.bool_]) -> str:
    """Name the first label that is wrong."""
    position = int(wrong.argmax())
    return part.names[position] if part.names else f"{part.labels_name}[{position}]"

"""What a network learns from the user's data: the task, and the targets in its form.

Classes become numbers (`fitgap.data.labels`); quantities stay what they are; a matrix of 0 and 1
is a set of labels per row.
"""

from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fitgap.data.held_out import hold_out
from fitgap.data.labels import number_classes
from fitgap.data.parts import Labels, NumberedPart, Part
from fitgap.errors import RequestError

Targets = NDArray[np.generic]


def prepare(
    train: Part,
    test: Part | None,
    *,
    task: str | None,
    fraction: float,
    seed: int,
) -> tuple[NumberedPart, NumberedPart, tuple[str, ...], str]:
    """Return both parts with their targets, the names of the outputs, and the task.

    Parameters
    ----------
    train, test
        As a reader found them. Without a test part, one is held out.
    task
        ``dataset.task``; None: numbers where a target is no whole number, or there are several
        columns that are not all 0 or 1; label sets where there are several columns of 0 and 1, of
        which not exactly one per row is 1; else classes.
    fraction, seed
        ``dataset.test_fraction`` and ``dataset.test_seed``; see `fitgap.data.held_out.hold_out`.

    Raises
    ------
    RequestError
        If the targets are not finite, or have not the form that the task needs.
    """
    found = task or ("numbers" if train.is_quantity else _task_of(train.labels))
    if found == "classes":
        numbered, numbered_test, class_names = number_classes(
            _without_rows_of_a_unit_matrix(train),
            None if test is None else _without_rows_of_a_unit_matrix(test),
        )
    else:
        numbered = _with_targets(train, found, "x_train")
        numbered_test = None if test is None else _with_targets(test, found, "x_test")
        columns = 1 if numbered.y.ndim == 1 else numbered.y.shape[1]
        if numbered_test is not None and numbered_test.y.shape[1:] != numbered.y.shape[1:]:
            raise RequestError(
                f"{train.labels_name} and the test part's targets differ in their columns: "
                f"{numbered.y.shape[1:]} and {numbered_test.y.shape[1:]}"
            )
        stem = "y" if found == "numbers" else "label"
        numbers = [stem] if columns == 1 else [f"{stem}_{i}" for i in range(columns)]
        class_names = tuple(train.outputs) or tuple(numbers)
    if numbered_test is not None:
        return numbered, numbered_test, class_names, found
    to_divide, of_classes = numbered, class_names
    if found != "classes":  # all rows are as of one class
        to_divide = replace(numbered, y=np.zeros(len(numbered.y), np.int64))
        of_classes = ("of all rows",)
    kept, held_out = hold_out(to_divide, fraction=fraction, seed=seed, class_names=of_classes)
    return numbered.select(kept), numbered.select(held_out), class_names, found


def _task_of(labels: Targets) -> str:
    if labels.ndim == 2 and labels.shape[1] > 1 and labels.dtype.kind in "biuf":
        is_binary = bool(np.isin(labels, (0, 1)).all())
        if is_binary:
            return "classes" if _is_one_hot(labels) else "label_sets"
        return "numbers"
    if labels.dtype.kind == "f":
        finite = cast(NDArray[np.floating[Any]], labels[np.isfinite(labels)])
        if finite.size and bool((finite != np.rint(finite)).any()):
            return "numbers"
    return "classes"


def _is_one_hot(labels: Targets) -> bool:
    return bool((labels.astype(np.float64).sum(axis=1) == 1).all())


def _without_rows_of_a_unit_matrix(part: Part) -> Part:
    if part.labels.ndim != 2 or part.labels.shape[1] < 2:
        return part
    labels = part.labels
    if labels.dtype.kind in "biuf" and np.isin(labels, (0, 1)).all() and _is_one_hot(labels):
        classes = labels.argmax(axis=1)
        return replace(part, labels=np.array(part.outputs)[classes] if part.outputs else classes)
    return part


def _with_targets(part: Part, task: str, array: str) -> NumberedPart:
    name, labels = part.labels_name, part.labels
    if labels.dtype.kind not in "biuf":
        raise RequestError(f"dataset.task={task}: {name} must hold numbers, got {labels.dtype}")
    if labels.ndim not in (1, 2):
        raise RequestError(f"{name} must be of shape (n,) or (n, outputs), got {labels.shape}")
    if len(labels) != len(part.x):
        raise RequestError(f"{name} has {len(labels)} targets for {len(part.x)} rows")
    values = labels.astype(np.float32)
    if task == "numbers":
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        wrong, allowed = ~np.isfinite(values), "finite numbers"
    else:
        if values.ndim == 1:
            raise RequestError(f"dataset.task=label_sets: {name} must have a column per label")
        wrong, allowed = ~np.isin(values, (0, 1)), "0 or 1 for each label"
    if wrong.any():
        position = tuple(int(i) for i in np.argwhere(wrong)[0])
        where = f"{name}[{', '.join(map(str, position))}]"
        if part.names:
            where = f"{name} of {part.names[position[0]]}"
        raise RequestError(f"{name} must hold {allowed}: {where} is {labels[position].item()!r}")
    # What holds class numbers elsewhere; whoever looks at them looks at the task first.
    y = cast(Labels, values if task == "numbers" else values.astype(np.uint8))
    return part.numbered(y, array=array)

"""Test figures of each class, of each label, and of numbers by the size of their target."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fitgap.store.predictions import StoredOutputs

PARTS = 5  # of the targets of a regression, of equally many samples each


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """How well a class or label is found.

    Attributes
    ----------
    name
        Of the class or label.
    support
        How many samples have it.
    precision, recall, f1
        In [0, 1]; None where no sample decides it.
    """

    name: str
    support: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True, slots=True)
class SizeFigures:
    """The errors of a regression where the targets are of one size.

    Attributes
    ----------
    low, high
        The smallest and the largest target.
    count
        How many samples there are.
    mean_error
        Of prediction - target, in units of the target: positive where predictions are too large.
    mean_absolute_error, root_mean_squared_error
        In units of the target.
    """

    low: float
    high: float
    count: int
    mean_error: float
    mean_absolute_error: float
    root_mean_squared_error: float


def of_classes(confusion: NDArray[np.int64], names: Sequence[str]) -> list[ClassFigures]:
    """Return the figures of each class.

    Parameters
    ----------
    confusion
        How often each class (row) was taken for each (column).
    names
        One per class.

    Examples
    --------
    >>> of_classes(np.array([[3, 1], [0, 0]]), ["cat", "dog"])[0]
    ClassFigures(name='cat', support=4, precision=1.0, recall=0.75, f1=0.8571428571428571)
    """
    return [
        _figures(names[i], right=int(confusion[i, i]), support=row, given=column)
        for i, (row, column) in enumerate(
            zip(confusion.sum(1).tolist(), confusion.sum(0).tolist(), strict=True)
        )
    ]


def of_labels(outputs: StoredOutputs, names: Sequence[str]) -> list[ClassFigures]:
    """Return the figures of each label, which is predicted above a probability of `THRESHOLD`."""
    return [
        _figures(names[i], right=has - missed, support=has, given=has - missed + wrong)
        for i, has, missed, wrong in outputs.by_label()
    ]


def by_size(outputs: StoredOutputs, number: int) -> list[SizeFigures]:
    """Return the errors for the smallest fifth of the targets, the next one, to the largest.

    Parameters
    ----------
    outputs
        Numbers; samples with values that are not finite are left out.
    number
        Which of a sample's numbers.
    """
    true = outputs.true[:, number].astype(np.float64)
    error = outputs.outputs[:, number].astype(np.float64) - true
    order = np.argsort(true, kind="stable")
    return [
        SizeFigures(
            low=float(true[part[0]]),
            high=float(true[part[-1]]),
            count=len(part),
            mean_error=float(error[part].mean()),
            mean_absolute_error=float(np.abs(error[part]).mean()),
            root_mean_squared_error=float(np.sqrt(np.square(error[part]).mean())),
        )
        for part in np.array_split(order[np.isfinite(error[order])], PARTS)
        if len(part)
    ]


def _figures(name: str, *, right: int, support: int, given: int) -> ClassFigures:
    return ClassFigures(
        name,
        support,
        precision=right / given if given else None,
        recall=right / support if support else None,
        f1=2 * right / (support + given) if support + given else None,
    )

"""What a run predicted of the test images, as one small file among its artifacts.

It serves reports on the test set (confusion matrix, errors, McNemar's test). Nothing is chosen
or ordered by it. Which validation images the run got right serves the comparison of groups.
"""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fitgap.errors import RequestError, first_line
from fitgap.evaluation.metrics import THRESHOLD
from fitgap.store import StoredRun, artifacts
from fitgap.trust import archives
from fitgap.trust.text import plain

FILE_NAME = "predictions.npz"
VALIDATION_RIGHT = "validation_right"
VAL_ROWS = "val_rows"
MOST_DRAWN = 500  # samples
MOST_CLASSES = 10_000  # a table of which was taken for which has the square of it
# What reading a file that is no such archive raises; a plain .npy has no arrays by name.
DAMAGE = (
    OSError, ValueError, KeyError, TypeError, EOFError, NotImplementedError, RuntimeError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


class NoClassesError(RequestError):
    """A run whose predictions are numbers or label sets."""


@dataclass(frozen=True, eq=False)
class StoredOutputs:
    """What a network predicts for test samples without a single class; equal only to itself.

    Attributes
    ----------
    true
        Numbers (floats) or label sets (0 or 1, int64), of shape (n, outputs).
    outputs
        Numbers or the labels' probabilities, float32 of shape (n, outputs).
    """

    true: NDArray[Any]
    outputs: NDArray[np.float32]

    @property
    def are_numbers(self) -> bool:
        """Whether these are numbers, not label sets."""
        return bool(np.issubdtype(self.true.dtype, np.floating))

    @property
    def step(self) -> int:
        """The distance between two samples that are drawn, so that about `MOST_DRAWN` are."""
        return -(-len(self.true) // MOST_DRAWN)

    def by_label(self) -> list[tuple[int, int, int, int]]:
        """Return each label's number, how many samples have it, lack it, or wrongly get it."""
        true, given = self.true > 0, self.outputs > THRESHOLD
        counts = (true.sum(0), (true & ~given).sum(0), (~true & given).sum(0))
        return [
            (i, int(a), int(b), int(c)) for i, (a, b, c) in enumerate(zip(*counts, strict=True))
        ]


@dataclass(frozen=True, eq=False)
class StoredPredictions:
    """A network's classes for the test images, in their order; equal only to itself.

    Attributes
    ----------
    true, predicted
        Class numbers, int64 of shape (n,).
    confidence
        Probability of the predicted class, float32 of shape (n,).
    """

    true: NDArray[np.int64]
    predicted: NDArray[np.int64]
    confidence: NDArray[np.float32]

    @property
    def is_right(self) -> NDArray[np.bool_]:
        """Whether each image got its class; bool of shape (n,)."""
        right: NDArray[np.bool_] = self.true == self.predicted
        return right

    def confusion(self, num_classes: int) -> NDArray[np.int64]:
        """Count how often each class (row) was taken for each (column)."""
        return confusion_counts(self.true, self.predicted, num_classes)

    def most_confident_errors(self, count: int) -> list[int]:
        """Return the positions of wrongly classified images, the most confident first."""
        wrong = np.flatnonzero(~self.is_right)
        order = np.argsort(-self.confidence[wrong], kind="stable")
        return [int(i) for i in wrong[order][:count]]


def confusion_counts(
    true: NDArray[np.int64], predicted: NDArray[np.int64], num_classes: int
) -> NDArray[np.int64]:
    """Count how often each class (row) was taken for each (column).

    Parameters
    ----------
    true, predicted
        Numbers of classes; shape (n,).
    num_classes
        How many classes there are.

    Returns
    -------
    array of int64
        Shape (num_classes, num_classes).

    Examples
    --------
    >>> confusion_counts(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
    array([[1, 1],
           [0, 1]])
    """
    cells = np.bincount(true * num_classes + predicted, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def save(
    folder: Path,
    *,
    true: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    validation_right: NDArray[np.bool_] | None = None,
    val_rows: NDArray[np.int64] | None = None,
) -> None:
    """Write predictions of the test images into a folder.

    Parameters
    ----------
    folder
        Must exist; gets ``predictions.npz`` with ``test_true`` and ``test_predicted`` (class
        numbers) and ``test_confidence`` (float32), each of shape (n,) in the test set's order.
    true
        int64 of shape (n,).
    probabilities
        float32 of shape (n, num_classes).
    validation_right
        Of each validation image whether it got its class, in the split's order; bool of shape
        (m,). None where there is no validation partition.
    val_rows
        See `save_outputs`.
    """
    of_validation = {} if validation_right is None else {VALIDATION_RIGHT: validation_right}
    np.savez_compressed(
        folder / FILE_NAME,
        allow_pickle=False,
        test_true=true,
        test_predicted=probabilities.argmax(axis=1),
        test_confidence=probabilities.max(axis=1),
        **of_validation,
        **_of_rows(val_rows),
    )


def save_outputs(
    folder: Path,
    *,
    true: NDArray[np.generic],
    outputs: NDArray[np.float32],
    val_rows: NDArray[np.int64] | None = None,
) -> None:
    """Write what a network predicts for test samples without a single class.

    Parameters
    ----------
    folder
        Must exist; gets ``predictions.npz`` with ``test_true`` and ``test_outputs``, in the test
        set's order.
    true
        Numbers or label sets, of shape (n,) or (n, outputs).
    outputs
        float32 of shape (n, outputs): numbers, or the labels' probabilities.
    val_rows
        Where each validation sample is among the rows of the data, from 0; int64 of shape (m,),
        in the split's order. None leaves it out.
    """
    np.savez_compressed(
        folder / FILE_NAME,
        allow_pickle=False,
        test_true=true,
        test_outputs=outputs,
        **_of_rows(val_rows),
    )


def _of_rows(val_rows: NDArray[np.int64] | None) -> dict[str, NDArray[np.int64]]:
    return {} if val_rows is None else {VAL_ROWS: val_rows}


def load(run: StoredRun, *, uri: str) -> StoredPredictions:
    """Read a run's predictions of the test images.

    Parameters
    ----------
    run
        Of the record.
    uri
        Of the record: where artifacts are on a server, MLflow fetches them through it.

    Raises
    ------
    RequestError
        If the run has none (as runs recorded by older versions), or they cannot be read.
    """
    with _opened(run, uri=uri) as file:
        arrays = archives.read_arrays(file)  # numbers only: a record must not bring code
        if "test_outputs" in arrays:
            raise NoClassesError(f"run {run.run_id} predicts no classes")
        return _checked(arrays["test_true"], arrays["test_predicted"], arrays["test_confidence"])


def validation_right(run: StoredRun, *, uri: str) -> NDArray[np.bool_] | None:
    """Return which validation images a run classified correctly.

    Parameters
    ----------
    run
        A recorded run.
    uri
        Of the store.

    Returns
    -------
    array of bool or None
        In the split's order; shape (n,). None if the record does not contain it: for older runs,
        for other tasks than classes, and if the file cannot be read.
    """
    try:
        with _opened(run, uri=uri) as file:
            found = archives.read_arrays(file, only=VALIDATION_RIGHT).get(VALIDATION_RIGHT)
    except RequestError:
        return None
    is_usable = found is not None and found.dtype == np.bool_ and found.ndim == 1 and len(found)
    return found if is_usable else None


def load_outputs(run: StoredRun, *, uri: str) -> StoredOutputs:
    """Read a run's targets and outputs on test samples that have no single class.

    Parameters
    ----------
    run
        A recorded run.
    uri
        Of the store.

    Raises
    ------
    RequestError
        As `load` does.
    """
    with _opened(run, uri=uri) as file:
        arrays = archives.read_arrays(file)
        true, found = (arrays[name] for name in ("test_true", "test_outputs"))
        true, found = (one.reshape(len(one), -1) for one in (true, found))
        numeric = all(one.dtype.kind in "iufb" for one in (true, found))
        if not numeric or not len(true) or true.shape != found.shape:
            raise ValueError("its arrays do not belong together")
        return StoredOutputs(true, found.astype(np.float32))


@contextmanager
def _opened(run: StoredRun, *, uri: str) -> Iterator[BinaryIO]:
    """Open a run's file; whatever goes wrong with it is a `RequestError`."""
    try:
        with artifacts.local_file(run, FILE_NAME, uri=uri) as path, path.open("rb") as file:
            yield file
    except RequestError:
        raise
    except FileNotFoundError as error:
        raise RequestError(f"run {run.run_id} has no {FILE_NAME}") from error
    except DAMAGE as error:
        reason = plain(first_line(error), most=200)  # zipfile repeats what it read
        raise RequestError(f"{FILE_NAME} of run {run.run_id} cannot be read: {reason}") from error


def _checked(
    true: NDArray[np.int64], predicted: NDArray[np.int64], confidence: NDArray[np.float32]
) -> StoredPredictions:
    whole = all(np.issubdtype(array.dtype, np.integer) for array in (true, predicted))
    if not whole or true.ndim != 1 or not true.shape == predicted.shape == confidence.shape:
        raise ValueError("its arrays do not belong together")
    if not np.issubdtype(confidence.dtype, np.floating):
        raise ValueError("its confidence is no number")
    if not len(true) or min(true.min(), predicted.min()) < 0:
        raise ValueError("it holds no class numbers")
    if max(true.max(), predicted.max()) >= MOST_CLASSES:
        raise ValueError(f"it has a class number of {MOST_CLASSES} or more")
    return StoredPredictions(true.astype(np.int64), predicted.astype(np.int64), confidence)

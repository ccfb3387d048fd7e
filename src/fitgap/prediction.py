"""What a recorded run's network says of test samples of its data, or of a person's files.

The saved model takes images of uint8, or a table's rows, as they are: nothing is scaled, filled or
encoded here. Only Keras's own file is read,
in its safe mode: no code from a record is run.
"""

import contextlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fitgap.config.schema import TableConfig, TextsConfig
from fitgap.config.tasks import task_of
from fitgap.data import datasets, preprocessing, rows, table, texts
from fitgap.data.arrays import listed
from fitgap.data.datasets import Dataset, Images, Labels
from fitgap.data.images import find_images, read_image
from fitgap.errors import RequestError
from fitgap.evaluation.scores import network_outputs
from fitgap.store import recorded, recorded_code
from fitgap.store.recorded import RecordedRun
from fitgap.training import backend

if TYPE_CHECKING:
    import keras
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Predictions:
    """Images or rows, and what a network says of them.

    Attributes
    ----------
    sources
        Where each comes from: its number in the test part, its file, or its row.
    images
        uint8 of shape (n, height, width) or (n, height, width, channels), as the network got them;
        None of rows.
    labels
        int64 of shape (n,): the true classes; of other tasks as the dataset has them; None where
        nobody knows them.
    outputs
        float32 of shape (n, outputs): probabilities of classes or of labels, or numbers.
    class_names
        One per class, label or number.
    task
        See `fitgap.config.tasks`.
    """

    sources: Sequence[int | str | Path]
    images: Images | None
    labels: Labels | None
    outputs: NDArray[np.float32]
    class_names: Sequence[str]
    task: str = "classes"

    @property
    def predicted(self) -> Labels:
        """The most probable class of each image; int64 of shape (n,)."""
        predicted: Labels = self.outputs.argmax(axis=1)
        return predicted

    @property
    def confidence(self) -> NDArray[np.float32]:
        """The probability of the predicted class; shape (n,)."""
        confidence: NDArray[np.float32] = self.outputs.max(axis=1)
        return confidence


def load_model(run: RecordedRun, *, trusted: Collection[str] = ()) -> "keras.Model":
    """Load a run's network with the weights that its figures belong to; not compiled.

    Own classes of layers are taken from the project folder if they are as they were recorded.

    Parameters
    ----------
    run
        Of the record.
    trusted
        Own modules that may be taken as they are recorded.

    Raises
    ------
    RequestError
        If it is not to be had, is damaged, or asks for code to be run.
    """
    with contextlib.suppress(RequestError):  # a notebook may have started it with more threads
        backend.start(1)
    import keras

    from fitgap.models import own_objects

    def opened(path: Path, custom_objects: Mapping[str, Any] | None = None) -> "keras.Model":
        with rows.any_names():
            return keras.saving.load_model(
                path, compile=False, safe_mode=True, custom_objects=custom_objects
            )

    with recorded.model_file(run) as path:
        try:
            if not recorded_code.own_modules(run):
                return opened(path)
            with contextlib.suppress(Exception):  # most networks need no own code
                return opened(path)
            with recorded_code.imported(run, trusted=trusted) as modules:
                return opened(path, own_objects.named_in(modules))
        except RequestError:
            raise
        except Exception as error:  # a damaged file may trip Keras, zipfile or HDF5 anywhere
            reason = str(error).strip().partition("\n")[0]
            raise RequestError(f"the model of run {run.run_id} cannot be read: {reason}") from error


def load_dataset(run: RecordedRun, *, trusted: Collection[str] = ()) -> Dataset:
    """Load the data that a run was trained and tested on.

    Parameters
    ----------
    run
        Of the record.
    trusted
        Modules whose function may be called, where one returns the data; see `load_model`.

    Raises
    ------
    RequestError
        If they are not to be had, are not the same bytes, or a function that a record may not
        name returns them.
    """
    recorded_code.check_targets(asdict(run.dataset), run, trusted=trusted)
    limit = run.config.training.memory_limit_mb
    dataset = datasets.load(run.dataset, memory_limit_mb=limit, split=run.config.split)
    digest = run.tags.get("fitgap.dataset_digest", "")
    if digest not in (dataset.digest, dataset.arrays_digest):
        raise RequestError(
            f"dataset={dataset.name} from {dataset.source} is not what run {run.run_id} had: "
            f"digest {dataset.digest[:8]}, recorded {digest[:8] or 'none'}"
        )
    return dataset


TABLES = (".csv", ".tsv", ".parquet", ".pq")
ARRAYS = (".npy", ".npz")


def predict_rows(run: RecordedRun, path: Path, *, trusted: Collection[str] = ()) -> Predictions:
    """Ask a run's network for the classes, numbers or labels of a table's rows.

    Parameters
    ----------
    run
        Of the record; its data are a table, or texts.
    path
        CSV or Parquet with the columns that the network takes; others are not looked at.
    trusted
        See `load_model`.

    Raises
    ------
    RequestError
        If the run learned from no table, or the file cannot be read or lacks a column.
    """
    settings = run.config.dataset
    if isinstance(settings, TableConfig):
        frame = table.read_rows(path, settings)
    elif isinstance(settings, TextsConfig):
        frame = texts.read_rows(path, settings)
    else:
        raise RequestError(f"run {run.run_id} learned from no table, but {path} is one")
    return _predict_frame(
        run, frame, [f"row {row}" for row in range(1, len(frame) + 1)], str(path), trusted
    )


def predict_texts(
    run: RecordedRun, paths: Sequence[Path], *, trusted: Collection[str] = ()
) -> Predictions:
    """Ask a run's network about ``.txt`` files, as `predict_rows` does about rows.

    Raises
    ------
    RequestError
        If the run learned from no texts, or a file cannot be read.
    """
    settings = run.config.dataset
    if not isinstance(settings, TextsConfig):
        raise RequestError(f"run {run.run_id} learned from no texts, but {paths[0]} is one")
    frame = texts.frame_of(texts.read_files(paths), settings)
    return _predict_frame(run, frame, list(paths), "texts", trusted)


def _predict_frame(
    run: RecordedRun,
    frame: "pd.DataFrame",
    sources: Sequence[str | Path],
    called: str,
    trusted: Collection[str],
) -> Predictions:
    task = task_of(run.config).name
    model = load_model(run, trusted=trusted)
    try:
        outputs = outputs_of(model, frame)
    except RequestError as error:
        raise RequestError(f"{called}: {error}") from error
    return Predictions(
        sources=sources,
        images=None,
        labels=None,
        outputs=_of_each_class(outputs) if task == "classes" else outputs,
        class_names=run.class_names,
        task=task,
    )


def predict_array(run: RecordedRun, path: Path, *, trusted: Collection[str] = ()) -> Predictions:
    """Ask a run's network for the classes, numbers or labels of an array's rows.

    Parameters
    ----------
    run
        Of the record; its data are arrays or images.
    path
        ``.npy``; or ``.npz`` that holds one array, or one called ``x`` or ``x_test``.
    trusted
        See `load_model`.

    Raises
    ------
    RequestError
        If the file holds no such array, or one that the network does not take.
    """
    x = _read_array(path)
    if x.shape[1:] != run.image_shape or not len(x):
        wanted = ", ".join(map(str, run.image_shape))
        raise RequestError(f"{path}: the network takes shape (n, {wanted}), got {x.shape}")
    model = load_model(run, trusted=trusted)
    if rows.named_inputs(model):
        raise RequestError(f"run {run.run_id} learned from a table: name a file of rows")
    takes = np.dtype(model.inputs[0].dtype)
    task = task_of(run.config).name
    outputs = outputs_of(model, _as_type(x, takes, path=path))
    return Predictions(
        sources=[f"row {row}" for row in range(1, len(x) + 1)],
        images=None,
        labels=None,
        outputs=_of_each_class(outputs) if task == "classes" else outputs,
        class_names=run.class_names,
        task=task,
    )


def _read_array(path: Path) -> NDArray[Any]:
    try:
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        with found:
            names = [name for name in ("x", "x_test") if name in found.files] or found.files
            if len(names) == 1 or "x" in names:
                return np.asarray(found[names[0]])
    except Exception as error:  # a damaged file can raise nearly anything
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise RequestError(f"{path} cannot be read: {reason}") from error
    raise RequestError(f"{path} must hold one array, or one called x; got {listed(names)}")


def _as_type(x: NDArray[Any], takes: "np.dtype[Any]", *, path: Path) -> NDArray[Any]:
    """Return an array as the type that a network takes, if that says the same."""
    if not np.can_cast(x.dtype, takes, "same_kind") or x.dtype.kind not in "buif":
        raise RequestError(f"{path}: the network takes {takes}, got {x.dtype}")
    taken = x.astype(takes)
    if takes.kind in "iu" and (taken != x).any():
        raise RequestError(
            f"{path}: the network takes {takes}, which cannot hold values from {x.min()} to "
            f"{x.max()}"
        )
    return taken


def outputs_of(model: "keras.Model", x: Any) -> NDArray[np.float32]:
    """Return what a network says of images, or of a table's rows.

    Parameters
    ----------
    model
        From `load_model`.
    x
        An array as the network takes it, or a DataFrame.

    Raises
    ------
    RequestError
        If a column is missing, or has text in the place of a number.
    """
    if rows.named_inputs(model):
        try:
            x = rows.inputs_of(x, model)
        except ValueError as error:
            raise RequestError(str(error)) from error
    elif not isinstance(x, np.ndarray):
        raise RequestError(
            "its network was recorded by an earlier fitgap and takes a table's columns as numbers: "
            "train it again"
        )
    outputs: NDArray[np.float32] = np.asarray(model.predict(x, verbose=0))
    return outputs


def parse_indices(text: str, *, count: int) -> list[int]:
    """Read a choice of images: numbers and ranges that include both ends.

    Parameters
    ----------
    text
        ``0-9`` or ``3,7,12`` or both mixed.
    count
        How many images there are.

    Raises
    ------
    RequestError
        If it reads otherwise, or an image is not there.

    Examples
    --------
    >>> parse_indices("7,0-2", count=10)
    [7, 0, 1, 2]
    """
    indices: list[int] = []
    for part in text.split(","):
        first, dash, last = (piece.strip() for piece in part.partition("-"))
        last = last if dash else first
        if not (first.isdecimal() and last.isdecimal()) or int(first) > int(last):
            raise RequestError(f"--images must look like 0-9 or 3,7,12, got {text!r}")
        if int(last) >= count:
            raise RequestError(f"--images must be from 0 to {count - 1}, got {int(last)}")
        indices += range(int(first), int(last) + 1)
    return indices


def predict_test_images(
    model: "keras.Model", dataset: Dataset, indices: Sequence[int]
) -> Predictions:
    """Ask a network for the classes, numbers or labels of some test images or rows.

    Parameters
    ----------
    model, dataset
        From `load_model` and `load_dataset`.
    indices
        Into the test part.
    """
    images = dataset.x_test[list(indices)]
    outputs = outputs_of(model, preprocessing.as_given(images, dataset))
    return Predictions(
        sources=indices,
        images=images if dataset.words is None else None,
        labels=dataset.y_test[list(indices)],
        outputs=_of_each_class(outputs) if dataset.task == "classes" else outputs,
        class_names=dataset.class_names,
        task=dataset.task,
    )


def find_files(paths: Sequence[Path]) -> list[Path]:
    """Return image files: those named, and in the place of a folder those in it, by name.

    Raises
    ------
    RequestError
        If a folder holds no image.
    """
    return [file for path in paths for file in (find_images(path) if path.is_dir() else [path])]


def read_images(
    files: Sequence[Path],
    *,
    shape: tuple[int, ...],
    invert: bool = False,
    bits: int | None = None,
) -> Images:
    """Read image files as a network takes them; see `fitgap.data.images`.

    Parameters
    ----------
    files
        At least one.
    shape
        Of one image.
    invert
        Whether to swap black and white: for dark strokes on light paper, where the network
        learned light ones on dark.
    bits
        ``dataset.bits`` of the run's data.

    Returns
    -------
    ndarray
        uint8 of shape (n, *shape).

    Raises
    ------
    RequestError
        Naming every file that is no readable image.
    """
    images = np.empty((len(files), *shape), np.uint8)
    wrong = []
    for i, file in enumerate(files):
        try:
            images[i] = read_image(file, shape=shape, bits=bits)
        except RequestError as error:
            wrong.append(str(error))
    if wrong:
        several = f"of {len(files)} images {len(wrong)} cannot be read; nothing was predicted\n"
        raise RequestError((several if len(files) > 1 else "") + "\n".join(wrong))
    return 255 - images if invert else images


def predict_files(
    model: "keras.Model",
    files: Sequence[Path],
    images: Images,
    *,
    class_names: Sequence[str],
    task: str = "classes",
) -> Predictions:
    """Ask a network for the classes, numbers or labels of a person's images.

    Parameters
    ----------
    model
        From `load_model`.
    files, images
        From `find_files` and `read_images`.
    class_names
        One per class, number or label; numbers stand in for names that the record does not have.
    task
        Of the run.

    Raises
    ------
    RequestError
        If the network was trained on features instead of images.
    """
    if model.inputs[0].dtype != "uint8":
        raise RequestError("the network takes features, which image files do not hold")
    outputs = outputs_of(model, images)
    outputs = _of_each_class(outputs) if task == "classes" else outputs
    names = class_names or [str(number) for number in range(outputs.shape[1])]
    return Predictions(files, images, None, outputs, names, task)


def _of_each_class(outputs: NDArray[np.float32]) -> NDArray[np.float32]:
    return network_outputs(outputs, "binary" if outputs.shape[1] == 1 else "one_hot")

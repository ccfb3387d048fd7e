"""What a recorded run's network says of images: test images of its data, or a person's files.

The saved model takes raw uint8 images, so nothing is scaled here. Only Keras's own file is read,
in its safe mode: no code from a record is run.
"""

import contextlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fitgap.charts import predicted_images
from fitgap.config.schema import TableConfig
from fitgap.data import datasets, preprocessing, splits, table
from fitgap.data.datasets import Dataset, Images, Labels
from fitgap.data.images import find_images, read_image
from fitgap.errors import RequestError
from fitgap.evaluation.scores import network_outputs
from fitgap.store import recorded, recorded_code
from fitgap.store.recorded import RecordedRun
from fitgap.training import backend

if TYPE_CHECKING:
    import keras
    from rich.table import Table


@dataclass(frozen=True, eq=False)
class Predictions:
    """Images and what a network says of them.

    Attributes
    ----------
    sources
        Where each image comes from: its number in the test part, or its file.
    images
        uint8 of shape (n, height, width) or (n, height, width, channels), as the network got them.
    labels
        int64 of shape (n,): the true classes; None where nobody knows them.
    probabilities
        float32 of shape (n, num_classes).
    class_names
        One per class.
    """

    sources: Sequence[int | Path]
    images: Images
    labels: Labels | None
    probabilities: NDArray[np.float32]
    class_names: Sequence[str]

    @property
    def predicted(self) -> Labels:
        """The most probable class of each image; int64 of shape (n,)."""
        predicted: Labels = self.probabilities.argmax(axis=1)
        return predicted

    @property
    def confidence(self) -> NDArray[np.float32]:
        """The probability of the predicted class; shape (n,)."""
        confidence: NDArray[np.float32] = self.probabilities.max(axis=1)
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


def load_dataset(run: RecordedRun) -> Dataset:
    """Load the data that a run was trained and tested on.

    Raises
    ------
    RequestError
        If they are not to be had, or are not the same bytes.
    """
    limit = run.config.training.memory_limit_mb
    dataset = datasets.load(run.dataset, memory_limit_mb=limit, split=run.config.split)
    digest = run.tags.get("fitgap.dataset_digest", "")
    if digest not in (dataset.digest, dataset.arrays_digest):
        raise RequestError(
            f"dataset={dataset.name} from {dataset.source} is not what run {run.run_id} had: "
            f"digest {dataset.digest[:8]}, recorded {digest[:8] or 'none'}"
        )
    return preprocessing.encoded(dataset, splits.split_dataset(dataset, run.config.split))


TABLES = (".csv", ".tsv", ".parquet", ".pq")


def predict_rows(run: RecordedRun, path: Path, *, trusted: Collection[str] = ()) -> Predictions:
    """Ask a run's network for the classes of a table's rows.

    The run's own table is read again: medians and known categories are those of its training
    partition.

    Parameters
    ----------
    run
        Of the record; its data are a table.
    path
        CSV or Parquet with the columns that the network takes.
    trusted
        See `load_model`.

    Raises
    ------
    RequestError
        If the run learned from no table or for no classes, or the file cannot be read.
    """
    settings = run.config.dataset
    if not isinstance(settings, TableConfig):
        raise RequestError(f"run {run.run_id} learned from no table, but {path} is one")
    dataset = load_dataset(run)
    if dataset.task != "classes":
        raise RequestError(f"rows are predicted for classes, but the targets are {dataset.task}")
    raw = datasets.load(run.dataset, split=run.config.split)
    split = splits.split_dataset(raw, run.config.split)
    learned = preprocessing.learn(np.asarray(raw.x_train)[split.train], raw.columns)
    rows = preprocessing.encode(table.read_rows(path, settings, raw.columns), learned)
    model = load_model(run, trusted=trusted)
    probabilities = _probabilities(model, rows)
    sources = [Path(f"{path}, row {row}") for row in range(1, len(rows) + 1)]
    return Predictions(sources, rows, None, probabilities, dataset.class_names)


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
    """Ask a network for the classes of some test images.

    Parameters
    ----------
    model, dataset
        From `load_model` and `load_dataset`.
    indices
        Into the test part.
    """
    images = dataset.x_test[list(indices)]
    return Predictions(
        sources=indices,
        images=images,
        labels=dataset.y_test[list(indices)],
        probabilities=_probabilities(model, images),
        class_names=dataset.class_names,
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
    model: "keras.Model", files: Sequence[Path], images: Images, *, class_names: Sequence[str]
) -> Predictions:
    """Ask a network for the classes of a person's images.

    Parameters
    ----------
    model
        From `load_model`.
    files, images
        From `find_files` and `read_images`.
    class_names
        One per class; numbers stand in for names that the record does not have.

    Raises
    ------
    RequestError
        If the network was trained on features instead of images.
    """
    if model.inputs[0].dtype != "uint8":
        raise RequestError("the network takes features, which image files do not hold")
    probabilities = _probabilities(model, images)
    names = class_names or [str(number) for number in range(probabilities.shape[1])]
    return Predictions(files, images, None, probabilities, names)


def _probabilities(model: "keras.Model", images: Images) -> NDArray[np.float32]:
    outputs = model.predict(images, verbose=0)
    return network_outputs(outputs, "binary" if outputs.shape[1] == 1 else "one_hot")


def to_table(predictions: Predictions) -> "Table":
    """Return one row per image: source, true class if known, predicted class, its probability."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False)
    knows = predictions.labels is not None
    table.add_column("image", justify="right" if knows else "left", overflow="fold")
    for header in ("true", "predicted") if knows else ("predicted",):
        table.add_column(header)
    table.add_column("probability", justify="right")
    table.add_column("")
    for row in _rows(predictions):
        true = [Text(row["true"])] if knows else []
        wrong = knows and row["true"] != row["predicted"]
        table.add_row(
            Text(str(row["source"])),
            *true,
            Text(row["predicted"]),
            f"{row['probability']:.4f}",
            "wrong" if wrong else "",
        )
    return table


def to_json(run: RecordedRun, predictions: Predictions) -> str:
    """Return the run, the names of the classes and, per image, the probabilities of all.

    A test image has its ``index`` and its ``true`` class, a file its ``file``.
    """
    knows = predictions.labels is not None
    images = [
        {"index" if knows else "file": row.pop("source")} | row | {"probabilities": all_of.tolist()}
        for row, all_of in zip(_rows(predictions), predictions.probabilities, strict=True)
    ]
    content = {
        "run": run.run_id,
        "name": run.name,
        "dataset": run.config.dataset.name,
        "classes": list(predictions.class_names),
        "images": images,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def save_picture(predictions: Predictions, path: Path) -> None:
    """Draw the images with predicted and true classes into a PNG file.

    Raises
    ------
    RequestError
        If the file cannot be written.
    """
    predicted_images.draw(_shown(predictions)).save(path)


def _shown(predictions: Predictions) -> list[predicted_images.Shown]:
    shown = []
    for i, source in enumerate(predictions.sources[: predicted_images.MOST_IMAGES]):
        predicted = predictions.class_names[predictions.predicted[i]]
        said = f"{predicted}, p = {predictions.confidence[i]:.4f}"
        pixels = predictions.images[i]
        if predictions.labels is None:
            one = predicted_images.Shown(pixels, (said, Path(str(source)).name))
        else:
            is_right = bool(predictions.predicted[i] == predictions.labels[i])
            true = f"image {source}, true: {predictions.class_names[predictions.labels[i]]}"
            lines = (f"{'✓' if is_right else '✗'} {said}", true)
            one = predicted_images.Shown(pixels, lines, is_right, is_ink=True)
        shown.append(one)
    return shown


def _rows(predictions: Predictions) -> list[dict[str, Any]]:
    names, labels = predictions.class_names, predictions.labels
    return [
        {"source": source if isinstance(source, int) else str(source)}
        | ({} if labels is None else {"true": names[labels[i]]})
        | {"predicted": names[best], "probability": confidence}
        for i, (source, best, confidence) in enumerate(
            zip(
                predictions.sources,
                predictions.predicted.tolist(),
                predictions.confidence.tolist(),
                strict=True,
            )
        )
    ]

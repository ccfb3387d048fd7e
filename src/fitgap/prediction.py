"""What a recorded run's network says of images: load it from the record, and ask it.

The saved model takes raw uint8 images, so nothing is prepared here. Only Keras's own file is
read, in its safe mode: no code from a record is run.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import yaml
from numpy.typing import NDArray

from fitgap import backend, config, datasets, store
from fitgap.config import Config
from fitgap.datasets import Dataset, Images, Labels
from fitgap.errors import RequestError
from fitgap.evaluation import class_probabilities

if TYPE_CHECKING:
    import keras
    from rich.table import Table


@dataclass(frozen=True, eq=False)
class RunModel:
    """A recorded run, ready to be asked.

    Attributes
    ----------
    run_id, name
        As MLflow shows them.
    config
        The settings it was trained with.
    dataset_digest
        SHA-256 of the data it was trained and tested on.
    model
        The network with the weights that the run's figures belong to; not compiled.
    """

    run_id: str
    name: str
    config: Config
    dataset_digest: str
    model: "keras.Model"


@dataclass(frozen=True, eq=False)
class Predictions:
    """Images and what a network says of them.

    Attributes
    ----------
    indices
        Where each image stands in its collection.
    images
        uint8 of shape (n, height, width).
    labels
        int64 of shape (n,): the true classes.
    probabilities
        float32 of shape (n, num_classes).
    class_names
        One per class.
    """

    indices: Sequence[int]
    images: Images
    labels: Labels
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


def load_run(run_id: str, *, uri: str) -> RunModel:
    """Load a run's network and settings from the record.

    Parameters
    ----------
    run_id
        MLflow's.
    uri
        Of the record; see `fitgap.store.resolve_uri`.

    Raises
    ------
    RequestError
        If there is no such run, it has no model, or either cannot be read.
    """
    # MLflow's client would create a database under a mistyped path.
    if not store.experiments(uri):
        raise RequestError(f"there are no runs in {store.redact(uri)}")
    backend.start(1)
    import keras
    import mlflow
    from mlflow.artifacts import download_artifacts, load_text
    from mlflow.exceptions import MlflowException

    client = mlflow.MlflowClient(uri)
    mlflow.set_tracking_uri(uri)  # a server's artifacts are fetched through it
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        raise RequestError(f"there is no run {run_id!r} in {store.redact(uri)}") from error
    logged = run.outputs.model_outputs if run.outputs else []
    if not logged:
        kind = "a sweep" if run.data.tags.get("fitgap.role") == "sweep" else run.info.status
        raise RequestError(f"run {run_id} ({kind}) has no model; name one that trained to its end")
    try:
        settings = config.from_plain(
            yaml.safe_load(load_text(f"{run.info.artifact_uri}/config.yaml"))
        )
        location = client.get_logged_model(logged[0].model_id).artifact_location
        folder = Path(download_artifacts(artifact_uri=location, tracking_uri=uri))
        # Not through mlflow.tensorflow, which unpickles what may lie beside Keras's file.
        model = keras.saving.load_model(folder / "data" / "model.keras", compile=False)
    except (MlflowException, OSError, ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        reason = str(error).strip().splitlines()[0]
        raise RequestError(f"the record of run {run_id} cannot be read: {reason}") from error
    return RunModel(
        run_id=run_id,
        name=run.info.run_name,
        config=settings,
        dataset_digest=run.data.tags.get("fitgap.dataset_digest", ""),
        model=model,
    )


def load_dataset(run: RunModel) -> Dataset:
    """Load the data that a run was trained and tested on.

    Raises
    ------
    RequestError
        If they are not to be had, or are not the same bytes.
    """
    recorded = run.config.dataset
    if recorded.data_dir and not Path(recorded.data_dir).is_dir():
        # Recorded elsewhere; the digest tells whether another source has the same data.
        recorded = replace(recorded, data_dir=None)
    dataset = datasets.load(recorded)
    if dataset.digest != run.dataset_digest:
        raise RequestError(
            f"dataset={dataset.name} from {dataset.source} is not what run {run.run_id} had: "
            f"digest {dataset.digest[:8]}, recorded {run.dataset_digest[:8] or 'none'}"
        )
    return dataset


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


def predict_test_images(run: RunModel, dataset: Dataset, indices: Sequence[int]) -> Predictions:
    """Ask a run's network for the classes of some test images.

    Parameters
    ----------
    run, dataset
        From `load_run` and `load_dataset`.
    indices
        Into the test part.
    """
    images = dataset.x_test[list(indices)]
    return Predictions(
        indices=indices,
        images=images,
        labels=dataset.y_test[list(indices)],
        probabilities=class_probabilities(run.model.predict(images, verbose=0)),
        class_names=dataset.class_names,
    )


def to_table(predictions: Predictions) -> "Table":
    """Return one row per image: index, true class, predicted class and its probability."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False)
    table.add_column("image", justify="right")
    for header in ("true", "predicted"):
        table.add_column(header)
    table.add_column("probability", justify="right")
    table.add_column("")
    for index, label, predicted, confidence in _rows(predictions):
        table.add_row(
            str(index),
            Text(predictions.class_names[label]),
            Text(predictions.class_names[predicted]),
            f"{confidence:.4f}",
            "" if label == predicted else "wrong",
        )
    return table


def to_json(run: RunModel, predictions: Predictions) -> str:
    """Return the run, the names of the classes and, per image, the probabilities of all."""
    images = [
        {
            "index": index,
            "true": predictions.class_names[label],
            "predicted": predictions.class_names[predicted],
            "probability": confidence,
            "probabilities": row.tolist(),
        }
        for (index, label, predicted, confidence), row in zip(
            _rows(predictions), predictions.probabilities, strict=True
        )
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
    from fitgap import figures

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figures.predictions(predictions).savefig(path, dpi=100, format="png")
    except OSError as error:
        raise RequestError(f"the picture {path} cannot be written: {error.strerror}") from error


def _rows(predictions: Predictions) -> list[tuple[int, int, int, float]]:
    return list(
        zip(
            predictions.indices,
            predictions.labels.tolist(),
            predictions.predicted.tolist(),
            predictions.confidence.tolist(),
            strict=True,
        )
    )

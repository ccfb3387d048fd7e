"""What a run's network predicts for a person's rows: of a table, texts or an array."""

from collections.abc import Collection, Sequence, Sized
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fitgap.config.schema import TableConfig, TextsConfig
from fitgap.config.tasks import task_of
from fitgap.data import regular_files, rows, table, texts
from fitgap.data.array_roles import listed, role_of
from fitgap.errors import RequestError, about, first_line
from fitgap.prediction.loading import load_model
from fitgap.prediction.predictions import Predictions, as_bytes, outputs_of
from fitgap.store.recorded import RecordedRun

if TYPE_CHECKING:
    import keras
    import pandas as pd

TABLES = (".csv", ".tsv", ".gz", ".parquet", ".pq")
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
        frame, notes = table.read_rows(path, settings, usual=run.format)
    elif isinstance(settings, TextsConfig):
        frame, notes = texts.read_rows(path, settings, usual=run.format)
    else:
        raise RequestError(f"run {run.run_id} was not trained on a table, but {path} is one")
    return replace(_predict_frame(run, frame, _rows(frame), str(path), trusted), notes=notes)


def predict_texts(
    run: RecordedRun, paths: Sequence[Path], *, trusted: Collection[str] = ()
) -> Predictions:
    """Predict with a run's network from ``.txt`` files, as `predict_rows` does from rows.

    Parameters
    ----------
    run
        Trained on texts.
    paths
        One text each.
    trusted
        Import paths of the user's own code that the recorded model may use.

    Raises
    ------
    RequestError
        If the run learned from no texts, or a file cannot be read.
    """
    settings = run.config.dataset
    if not isinstance(settings, TextsConfig):
        raise RequestError(f"run {run.run_id} was not trained on texts, but {paths[0]} is one")
    decoded = texts.read_files(paths, settings, usual=run.format)
    frame = texts.frame_of([each.text for each in decoded], settings)
    notes = [
        note
        for path, each in zip(paths, decoded, strict=True)
        if each.encoding not in ("utf-8", run.format.encoding)
        for note in each.notes(path.name)
    ]
    return replace(_predict_frame(run, frame, list(paths), "texts", trusted), notes=notes)


def _predict_frame(
    run: RecordedRun,
    frame: "pd.DataFrame",
    sources: Sequence[str | Path],
    called: str,
    trusted: Collection[str],
) -> Predictions:
    model = load_model(run, trusted=trusted)
    with about(called):
        return _predict(run, model, frame, sources)


def _predict(
    run: RecordedRun, model: "keras.Model", x: Any, sources: Sequence[str | Path]
) -> Predictions:
    task = task_of(run.config).name
    outputs = outputs_of(model, x, task=task)
    return Predictions(sources, None, None, outputs, run.class_names, task)


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
        raise RequestError(f"run {run.run_id} was trained on a table: give a file with its rows")
    takes = np.dtype(model.inputs[0].dtype)
    return _predict(run, model, _as_type(x, takes, path=path), _rows(x))


def _rows(x: Sized) -> list[str]:
    return [f"row {number}" for number in range(1, len(x) + 1)]


def _read_array(path: Path) -> NDArray[Any]:
    regular_files.refuse_others(path)
    try:
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        with found:
            names = [name for name in ("x", "x_test") if name in found.files]
            inputs = [name for name in found.files if (role_of(name) or "").startswith("x_")]
            names = names[:1] or inputs or found.files
            if len(names) == 1:
                return np.asarray(found[names[0]])
    except Exception as error:  # a damaged file can raise nearly anything
        raise RequestError(f"{path} cannot be read: {first_line(error)}") from error
    raise RequestError(f"{path} must hold one array, or one called x; got {listed(names)}")


def _as_type(x: NDArray[Any], takes: "np.dtype[Any]", *, path: Path) -> NDArray[Any]:
    """Return an array as the type that a network takes, if that says the same."""
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        row = int(np.argwhere(~np.isfinite(x))[0][0]) + 1
        raise RequestError(f"{path} must hold finite numbers, but row {row} does not")
    if x.dtype.kind in "buif" and takes == np.uint8:
        with about(str(path)):
            return as_bytes(x)
    if not np.can_cast(x.dtype, takes, "same_kind") or x.dtype.kind not in "buif":
        raise RequestError(f"{path}: the network takes {takes}, got {x.dtype}")
    taken = x.astype(takes)
    if takes.kind in "iu" and (taken != x).any():
        raise RequestError(
            f"{path}: the network takes {takes}, which cannot hold values from {x.min()} to "
            f"{x.max()}"
        )
    return taken

"""The files of a run's record, made from its results."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from fitgap import store
from fitgap.config.schema import Config
from fitgap.config.settings import to_plain
from fitgap.data.datasets import Dataset
from fitgap.store import predictions
from fitgap.tracking import run_metrics
from fitgap.training import progress
from fitgap.training.data import Data
from fitgap.training.engines.choice import Engine
from fitgap.training.loop import Epoch, Fitted
from fitgap.trust.text import scrub

PICTURE_DPI = 110


def write(
    folder: Path,
    *,
    config: Config,
    fitted: Fitted,
    engine: Engine,
    data: Data,
    outputs: NDArray[np.float32],
) -> None:
    """Write settings, history, predictions and the network's summary into a folder.

    Parameters
    ----------
    folder
        Must exist.
    config
        The resolved settings: ``config.yaml``.
    fitted
        ``history.csv`` with a line per epoch.
    engine
        Its model: ``model_summary.txt``.
    data, outputs
        What was trained on, and what the network says of the test samples: ``predictions.npz``,
        which also says what of the validation partition was right.
    """
    dataset, val = data.dataset, data.partitions.val
    # A debug run validates on the first of them.
    val_rows = None if val is None else dataset.train.places_of(data.split.val[: len(val)])
    _write_config(folder / "config.yaml", config)
    _write_history(folder / "history.csv", fitted, config)
    if dataset.task == "classes":
        right = None if val is None else engine.predict(val.x).argmax(axis=1) == val.y
        predictions.save(
            folder,
            true=dataset.y_test,
            probabilities=outputs,
            validation_right=right,
            val_rows=val_rows,
        )
    else:
        predictions.save_outputs(folder, true=dataset.y_test, outputs=outputs, val_rows=val_rows)
    lines = [config.architecture.get("title") or config.architecture["name"]]
    with progress.nothing_displayed():
        engine.model.summary(line_length=80, print_fn=lambda line, **_: lines.append(line))
    (folder / "model_summary.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def draw_curves(folder: Path, fitted: Fitted) -> None:
    """Draw every figure over the epochs: ``learning_curves.png``."""
    from fitgap.charts import run_curves

    picture = run_curves.draw(_curves(fitted.epochs))
    picture.save(folder / "learning_curves.png", dpi=PICTURE_DPI)


def draw_confusion(folder: Path, dataset: Dataset, outputs: NDArray[np.float32]) -> None:
    """Draw which classes were taken for which, unless they are too many to be read."""
    from fitgap.charts import confusion

    if dataset.task != "classes" or dataset.num_classes > confusion.MOST_CLASSES:
        return
    predicted = outputs.argmax(axis=1)
    counts = predictions.confusion_counts(dataset.y_test, predicted, dataset.num_classes)
    picture = confusion.draw(counts, dataset.class_names)
    picture.save(folder / "confusion_matrix.png", dpi=PICTURE_DPI)


def write_code(folder: Path, texts: Mapping[str, str]) -> None:
    """Write a person's own code as it was: ``code/``, from which Python could import it."""
    for name, text in texts.items():
        path = folder / "code" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _write_config(path: Path, config: Config) -> None:
    """Write the resolved settings as YAML, without passwords, tokens and signed addresses."""
    plain = scrub(to_plain(config))
    if plain["tracking"]["uri"]:
        plain["tracking"]["uri"] = store.redact(plain["tracking"]["uri"])
    path.write_text(
        yaml.dump(plain, Dumper=yaml.CSafeDumper, allow_unicode=True, sort_keys=False),
        encoding="utf-8",
    )


def _curves(epochs: Sequence[Epoch]) -> dict[str, dict[int, float]]:
    curves: dict[str, dict[int, float]] = {}
    for epoch in epochs:
        for part, scores in epoch.scores.items():
            for name, value in scores.items():
                curves.setdefault(f"{part}/{name}", {})[epoch.number] = value
    return curves


def _write_history(path: Path, fitted: Fitted, config: Config) -> None:
    rows = [
        {
            "epoch": epoch.number,
            **run_metrics.of_epoch(epoch, config),
            "fit_seconds": epoch.fit_seconds,
        }
        for epoch in fitted.epochs
    ]
    columns = dict.fromkeys(key for row in rows for key in row)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(columns))
        writer.writeheader()
        writer.writerows(rows)

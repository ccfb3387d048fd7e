"""The files of a run's record, made from its results."""

import csv
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fitgap.config.schema import Config
from fitgap.data.datasets import Dataset
from fitgap.evaluation.metrics import higher_is_better
from fitgap.evaluation.scores import Partition
from fitgap.store import predictions
from fitgap.tracking.run_writer import dump_config, epoch_metrics
from fitgap.training import progress
from fitgap.training.engines.choice import Engine
from fitgap.training.loop import Epoch, Fitted

PICTURE_DPI = 110


def write(
    folder: Path,
    *,
    config: Config,
    fitted: Fitted,
    engine: Engine,
    dataset: Dataset,
    val: Partition | None,
) -> None:
    """Write settings, history and the network's summary into a folder; of a run alone, pictures.

    A sweep's runs have no pictures: they take longer than a small network's training, and whoever
    wants one has it of the record at any time.

    Parameters
    ----------
    folder
        Must exist.
    config
        The resolved settings: ``config.yaml``.
    fitted
        ``history.csv`` with a line per epoch; of a run alone, ``learning_curves.png``.
    engine
        Its model: ``model_summary.txt``; its predictions of the test images:
        ``predictions.npz``; of a run alone, ``confusion_matrix.png``.
    dataset
        Of the test images and the class names.
    val
        Its validation partition, of which ``predictions.npz`` says what was right.
    """
    dump_config(config, folder / "config.yaml")
    _write_history(folder / "history.csv", fitted, higher_is_better=higher_is_better(config))
    draws = config.tracking.parent is None
    if draws:
        from fitgap.charts import confusion, run_curves

        curves = run_curves.draw(_curves(fitted.epochs))
        curves.save(folder / "learning_curves.png", dpi=PICTURE_DPI)
    outputs = engine.predict(dataset.x_test)
    if dataset.task == "classes":
        right = None if val is None else engine.predict(val.x).argmax(axis=1) == val.y
        predictions.save(folder, true=dataset.y_test, probabilities=outputs, validation_right=right)
        if draws:
            counts = confusion_counts(
                dataset.y_test, outputs.argmax(axis=1), num_classes=dataset.num_classes
            )
            if dataset.num_classes <= confusion.MOST_CLASSES:
                picture = confusion.draw(counts, dataset.class_names)
                picture.save(folder / "confusion_matrix.png", dpi=PICTURE_DPI)
    else:
        predictions.save_outputs(folder, true=dataset.y_test, outputs=outputs)
    title = config.architecture.get("title") or config.architecture["name"]
    lines = [title]
    with progress.nothing_displayed():
        engine.model.summary(line_length=80, print_fn=lambda line, **_: lines.append(line))
    (folder / "model_summary.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_code(folder: Path, texts: Mapping[str, str]) -> None:
    """Write a person's own code as it was: ``code/``, from which Python could import it."""
    for name, text in texts.items():
        path = folder / "code" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def confusion_counts(
    true: NDArray[np.int64], predicted: NDArray[np.int64], *, num_classes: int
) -> NDArray[np.int64]:
    """Count how often each class (row) was taken for each (column).

    >>> confusion_counts(np.array([0, 0, 1]), np.array([0, 1, 1]), num_classes=2)
    array([[1, 1],
           [0, 1]])
    """
    counts = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(counts, (true, predicted), 1)
    return counts


def _curves(epochs: Sequence[Epoch]) -> dict[str, dict[int, float]]:
    curves: dict[str, dict[int, float]] = {}
    for epoch in epochs:
        for part, scores in epoch.scores.items():
            for name, value in scores.items():
                curves.setdefault(f"{part}/{name}", {})[epoch.number] = value
    return curves


def _write_history(path: Path, fitted: Fitted, *, higher_is_better: Collection[str]) -> None:
    rows = [
        {"epoch": epoch.number}
        | epoch_metrics(epoch, higher_is_better=higher_is_better)
        | {"fit_seconds": epoch.fit_seconds}
        for epoch in fitted.epochs
    ]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(
            file, fieldnames=list(dict.fromkeys(key for row in rows for key in row))
        )
        writer.writeheader()
        writer.writerows(rows)

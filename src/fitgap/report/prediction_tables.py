"""What a network predicts for images or rows, for terminals, as JSON and as a picture."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fitgap.charts import predicted_images
from fitgap.evaluation.figures import figure_text
from fitgap.evaluation.metrics import THRESHOLD
from fitgap.prediction import Predictions
from fitgap.store.recorded import RecordedRun
from fitgap.trust.text import line

GIVEN = "✓"

if TYPE_CHECKING:
    from rich.table import Table


def to_table(predictions: Predictions) -> "Table":
    """Return one row per image or row: source, true class if known, and the prediction."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False)
    knows = predictions.labels is not None
    is_image = predictions.images is not None and len(predictions.images.shape) > 2
    source = "image" if is_image else _kind_of_source(predictions)
    table.add_column(source, justify="right" if knows else "left", overflow="fold")
    if predictions.task != "classes":
        for name in _names(predictions):
            table.add_column(Text(name), justify="right")
            if knows:
                table.add_column(Text(f"true {name}"), justify="right")
        for where, cells in zip(predictions.sources, _cells(predictions), strict=True):
            table.add_row(Text(line(str(where))), *cells)
        return table
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


def notes(predictions: Predictions) -> list[str]:
    """Return what a reader of the table must know."""
    found = [line(note) for note in predictions.notes]
    if predictions.task == "label_sets":
        found.append(f"Probabilities; {GIVEN} marks a predicted label (above {THRESHOLD:g}).")
    return found


def _cells(predictions: Predictions) -> list[list[str]]:
    """Return the figures of each row: what the network says and, where it is known, the truth."""
    is_numbers = predictions.task == "numbers"
    true = None if predictions.labels is None else _true(predictions).tolist()
    lines = []
    for i, outputs in enumerate(predictions.outputs.tolist()):
        cells = []
        for k, output in enumerate(outputs):
            mark = "" if is_numbers else f" {GIVEN if output > THRESHOLD else ' '}"
            cells.append(f"{figure_text(float(output))}{mark}")
            if true is not None:
                cells.append(figure_text(float(true[i][k])) if is_numbers else str(int(true[i][k])))
        lines.append(cells)
    return lines


def _true(predictions: Predictions) -> NDArray[Any]:
    """Return the true numbers or labels, of shape (n, outputs)."""
    return np.asarray(predictions.labels).reshape(len(predictions.outputs), -1)


def to_json(run: RecordedRun, predictions: Predictions) -> str:
    """Return the run, the names of the classes and, per image, the probabilities of all.

    A test image has its ``index`` and its ``true`` class, a file its ``file``, a row its ``row``.
    Of other tasks, the names of the labels or numbers and, per row, a value of each; of labels,
    the ``threshold`` above which one counts as given, and per row those that are ``predicted``.
    """
    key = "index" if predictions.labels is not None else _kind_of_source(predictions)
    outputs = predictions.outputs.tolist()
    content: dict[str, Any] = {
        "run": run.run_id,
        "name": run.name,
        "dataset": run.config.dataset.name,
    }
    if predictions.task == "classes":
        content["classes"] = _names(predictions)
        content["rows" if predictions.images is None else "images"] = [
            {key: row.pop("source")} | row | {"probabilities": all_of}
            for row, all_of in zip(_rows(predictions), outputs, strict=True)
        ]
    else:
        values = "probabilities" if predictions.task == "label_sets" else "values"
        content[predictions.task] = _names(predictions)
        content["rows"] = [
            {key: where if isinstance(where, int) else line(str(where)), values: all_of}
            for where, all_of in zip(predictions.sources, outputs, strict=True)
        ]
        if predictions.task == "label_sets":
            content["threshold"] = THRESHOLD
            for row, given in zip(content["rows"], predictions.outputs > THRESHOLD, strict=True):
                names = zip(_names(predictions), given, strict=True)
                row["predicted"] = [name for name, is_given in names if is_given]
        if predictions.labels is not None:
            for row, true in zip(content["rows"], _true(predictions).tolist(), strict=True):
                row["true"] = true
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _names(predictions: Predictions) -> list[str]:
    """Return what the classes, labels or numbers are called, as it may be shown."""
    return [line(name) for name in predictions.class_names]


def _kind_of_source(predictions: Predictions) -> str:
    return "file" if all(isinstance(each, Path) for each in predictions.sources) else "row"


def save_picture(predictions: Predictions, path: Path) -> None:
    """Draw the images with predicted and true classes into a file: PNG, SVG, PDF or a page.

    Raises
    ------
    RequestError
        If the file cannot be written.
    """
    predicted_images.draw(_shown(predictions)).save(path)


def _shown(predictions: Predictions) -> list[predicted_images.Shown]:
    assert predictions.images is not None  # rows have no picture
    shown, names = [], _names(predictions)
    for i, source in enumerate(predictions.sources[: predicted_images.MOST_IMAGES]):
        predicted = names[predictions.predicted[i]]
        caption = f"{predicted}, p = {predictions.confidence[i]:.4f}"
        pixels = predictions.images[i]
        if predictions.labels is None:
            one = predicted_images.Shown(pixels, (caption, line(Path(str(source)).name)))
        else:
            is_right = bool(predictions.predicted[i] == predictions.labels[i])
            true = f"image {source}, true: {names[predictions.labels[i]]}"
            lines = (f"{'✓' if is_right else '✗'} {caption}", true)
            one = predicted_images.Shown(pixels, lines, is_right, is_ink=True)
        shown.append(one)
    return shown


def _rows(predictions: Predictions) -> list[dict[str, Any]]:
    names, labels = _names(predictions), predictions.labels
    return [
        {"source": source if isinstance(source, int) else line(str(source))}
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

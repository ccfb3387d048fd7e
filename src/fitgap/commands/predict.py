"""``fitgap predict``: what a run's network predicts for your own files, or for test images."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fitgap.commands import options
from fitgap.console import warn
from fitgap.errors import RequestError
from fitgap.trust.text import line

if TYPE_CHECKING:
    from fitgap.prediction import Predictions
    from fitgap.store import recorded


@click.command("predict")
@click.argument("run_id", metavar="RUN_ID")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE]...")
@click.option(
    "--images", metavar="WHICH", help="Test samples to predict, such as 3,7,12.  [default: 0-9]"
)
@click.option(
    "--invert",
    is_flag=True,
    help="Swap black and white of the files: for files with dark on light, if the network "
    "learned light on dark (MNIST).",
)
@options.form("table", "json")
@click.option(
    "--picture",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="PNG file to write, with the first 100 images.  [default: "
    "reports/predictions-<first 8 characters of the run id>.png]",
)
@options.trust("record")
@options.uri
def command(
    *,
    run_id: str,
    files: tuple[Path, ...],
    images: str | None,
    invert: bool,
    form: str,
    picture: Path | None,
    trust: tuple[str, ...],
    uri: str,
) -> None:
    """Show what a run's network predicts for your files.

    RUN_ID is MLflow's id of a finished run. Each FILE is a PNG, JPEG, WebP, BMP, GIF or TIFF of
    any size and mode, a folder of such images, or a text (.txt). Instead, one FILE may be a table
    (CSV, TSV, Parquet) with the columns that the network takes, or an array (.npy, .npz) of images
    or rows. Without a FILE, test samples are predicted.
    """
    if files and images:
        raise click.UsageError("--images chooses test images: name files or those, not both")
    if invert and not files:
        raise click.UsageError(
            "--invert is for files only: test images already are as the training images were"
        )
    from rich.console import Console
    from rich.text import Text

    from fitgap.report import prediction_tables

    run, predictions, heading = _predict(run_id, uri, files, images, invert=invert, trust=trust)
    if form == "json":
        sys.stdout.write(prediction_tables.to_json(run, predictions))
    else:
        console = Console()
        console.print(Text(f"{line(heading)}\n"), soft_wrap=True)
        console.print(prediction_tables.to_table(predictions))
        for note in prediction_tables.notes(predictions):
            console.print(Text(note), soft_wrap=True)

    if predictions.images is None or predictions.task != "classes":
        return
    path = picture or Path("reports") / f"predictions-{run.run_id[:8]}.png"
    prediction_tables.save_picture(predictions, path)
    warn(f"picture: {path}")


def _predict(
    run_id: str,
    uri: str,
    files: tuple[Path, ...],
    images: str | None,
    *,
    invert: bool,
    trust: tuple[str, ...],
) -> tuple["recorded.RecordedRun", "Predictions", str]:
    """Return the run, what its network says of the files or test images, and a heading."""
    from fitgap import prediction
    from fitgap.config.schema import TableConfig
    from fitgap.store import recorded

    kind = files[0].suffix.lower() if len(files) == 1 else ""
    of_rows = {
        **dict.fromkeys(prediction.TABLES, prediction.predict_rows),
        **dict.fromkeys(prediction.ARRAYS, prediction.predict_array),
    }
    if len(files) > 1 and (table := next((f for f in files if f.suffix.lower() in of_rows), None)):
        raise RequestError(f"{table} holds rows: give one such file at a time")
    run = recorded.open_run(run_id, uri=uri)
    takes_rows = isinstance(run.config.dataset, TableConfig)
    if takes_rows and len(files) == 1 and files[0].is_file() and kind not in of_rows:
        of_rows[kind] = prediction.predict_rows  # a table may have any ending
    are_texts = bool(files) and all(file.suffix.lower() == ".txt" for file in files)
    found = [] if kind in of_rows or are_texts else prediction.find_files(list(files))
    if kind in of_rows:
        predictions = of_rows[kind](run, files[0], trusted=trust)
        heading = f"{run.name}: {len(predictions.sources)} rows of {files[0].name}"
    elif are_texts:
        predictions = prediction.predict_texts(run, files, trusted=trust)
        heading = f"{run.name}: {len(files)} texts"
    elif found:
        predictions = _predict_files(run, found, invert=invert, trust=trust)
        heading = f"{run.name}: {len(found)} of your images"
    else:
        dataset = prediction.load_dataset(run, trusted=trust)
        indices = prediction.parse_indices(images or "0-9", count=len(dataset.y_test))
        predictions = prediction.predict_test_images(
            prediction.load_model(run, trusted=trust), dataset, indices
        )
        heading = f"{run.name}: test samples of {dataset.name}"
    return run, predictions, heading


def _predict_files(
    run: "recorded.RecordedRun", files: list[Path], *, invert: bool, trust: tuple[str, ...]
) -> "Predictions":
    from fitgap import prediction
    from fitgap.config.tasks import task_of

    if not run.image_shape:
        raise RequestError(f"the record of run {run.run_id} does not say what images it takes")
    # Before the network is loaded, which takes seconds.
    bits = getattr(run.config.dataset, "bits", None)
    images = prediction.read_images(files, shape=run.image_shape, invert=invert, bits=bits)
    model = prediction.load_model(run, trusted=trust)
    return prediction.predict_files(
        model, files, images, class_names=run.class_names, task=task_of(run.config).name
    )

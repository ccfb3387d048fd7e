"""Say which class a run's network sees in images: files of yours, or its data's test images."""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from fitgap import prediction, store
from fitgap.commands.exit_codes import run_command
from fitgap.errors import RequestError
from fitgap.store import recorded


def main() -> None:
    """Read the command line, predict, print in the form asked for, and save the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run_id", metavar="RUN_ID", help="MLflow's id of a finished run")
    parser.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="IMAGE",
        help="PNG, JPEG, WebP or BMP of any size and mode, or a folder of them (its own files, "
        "by name); without any, test images",
    )
    parser.add_argument("--images", metavar="WHICH", help="which test images: 0-9 or 3,7,12 (0-9)")
    parser.add_argument(
        "--invert",
        action="store_true",
        help="swap black and white of the files: for dark on light, where the network learned "
        "light on dark (MNIST)",
    )
    parser.add_argument(
        "--format", choices=("table", "json"), default="table", help="(%(default)s)"
    )
    parser.add_argument(
        "--picture",
        type=Path,
        metavar="PATH",
        help="PNG file, the first 100 images (reports/predictions-<first 8 of the run id>.png)",
    )
    parser.add_argument(
        "--uri", help="MLflow store ($MLFLOW_TRACKING_URI, else mlflow.db of this project)"
    )
    arguments = parser.parse_args()
    if arguments.files and arguments.images:
        parser.error("--images chooses test images: name files or those, not both")
    if arguments.invert and not arguments.files:
        parser.error("--invert is for files: test images are what the network learned from")

    files = prediction.find_files(arguments.files)
    run = recorded.open_run(arguments.run_id, uri=store.resolve_uri(arguments.uri))
    if files:
        predictions = _predict_files(run, files, invert=arguments.invert)
        heading = f"{run.name}: {len(files)} of your images"
    else:
        dataset = prediction.load_dataset(run)
        indices = prediction.parse_indices(arguments.images or "0-9", count=len(dataset.y_test))
        predictions = prediction.predict_test_images(prediction.load_model(run), dataset, indices)
        heading = f"{run.name}: test images of {dataset.name}"
    if arguments.format == "json":
        sys.stdout.write(prediction.to_json(run, predictions))
    else:
        console = Console()
        console.print(f"{heading}\n", markup=False, soft_wrap=True)
        console.print(prediction.to_table(predictions))

    picture = arguments.picture or Path("reports") / f"predictions-{run.run_id[:8]}.png"
    prediction.save_picture(predictions, picture)
    print(f"picture: {picture}", file=sys.stderr)


def _predict_files(
    run: recorded.RecordedRun, files: list[Path], *, invert: bool
) -> prediction.Predictions:
    if not run.image_shape:
        raise RequestError(f"the record of run {run.run_id} does not say what images it takes")
    # Before the network is loaded, which takes seconds.
    images = prediction.read_images(files, shape=run.image_shape, invert=invert)
    model = prediction.load_model(run)
    return prediction.predict_files(model, files, images, class_names=run.class_names)


if __name__ == "__main__":
    run_command(main)

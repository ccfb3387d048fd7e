"""Say which class a run's network sees in chosen test images, and draw them."""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from fitgap import store
from fitgap.cli import run_command
from fitgap.prediction import (
    load_dataset,
    load_run,
    parse_indices,
    predict_test_images,
    save_picture,
    to_json,
    to_table,
)


def main() -> None:
    """Read the command line, predict, print in the form asked for, and save the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run_id", metavar="RUN_ID", help="MLflow's id of a finished run")
    parser.add_argument(
        "--images", default="0-9", metavar="WHICH", help="0-9 or 3,7,12 (%(default)s)"
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

    run = load_run(arguments.run_id, uri=store.resolve_uri(arguments.uri))
    dataset = load_dataset(run)
    indices = parse_indices(arguments.images, count=len(dataset.y_test))
    predictions = predict_test_images(run, dataset, indices)
    if arguments.format == "json":
        sys.stdout.write(to_json(run, predictions))
    else:
        console = Console()
        console.print(f"{run.name}: test images of {dataset.name}\n", markup=False, soft_wrap=True)
        console.print(to_table(predictions))

    picture = arguments.picture or Path("reports") / f"predictions-{run.run_id[:8]}.png"
    save_picture(predictions, picture)
    print(f"picture: {picture}", file=sys.stderr)


if __name__ == "__main__":
    run_command(main)

"""Write an experiment's comparison as one HTML file: tables, pictures, failures, commands."""

import argparse
import re
from pathlib import Path

from fitgap import store
from fitgap.cli import run_command
from fitgap.errors import RequestError
from fitgap.report import report_on
from fitgap.report_page import to_html


def main() -> None:
    """Read the command line, gather, write, and say where the file is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--experiment", default="fitgap", metavar="NAME", help="MLflow experiment (%(default)s)"
    )
    parser.add_argument(
        "--sort", metavar="METRIC", help="rank by this metric's mean (val/accuracy)"
    )
    parser.add_argument(
        "--uri", help="MLflow store ($MLFLOW_TRACKING_URI, else mlflow.db of this project)"
    )
    parser.add_argument(
        "--output", type=Path, metavar="PATH", help="file to write (reports/<experiment>.html)"
    )
    arguments = parser.parse_args()

    report = report_on(
        store.resolve_uri(arguments.uri), experiment=arguments.experiment, sort=arguments.sort
    )
    path = arguments.output or Path("reports") / f"{_file_name(arguments.experiment)}.html"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(to_html(report), encoding="utf-8")
    except OSError as error:
        raise RequestError(f"--output {path} cannot be written: {error.strerror}") from error
    print(f"report: {path}")


def _file_name(experiment: str) -> str:
    # An experiment's name is free text: no folder of its own, and nothing hidden.
    return re.sub(r'[\x00-\x1f<>:"/\\|?*]+', "-", experiment).lstrip(".") or "report"


if __name__ == "__main__":
    run_command(main)

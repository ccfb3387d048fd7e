"""Write an experiment's comparison as one HTML file: tables, pictures, failures, commands."""

import argparse
import re
from pathlib import Path

from fitgap.commands import query_options
from fitgap.commands.exit_codes import run_command
from fitgap.report import page


def main() -> None:
    """Read the command line, gather, write, and say where the file is."""
    parser = argparse.ArgumentParser(description=__doc__)
    query_options.add_options(parser)
    parser.add_argument(
        "--output", type=Path, metavar="PATH", help="file to write (reports/<experiment>.html)"
    )
    arguments = parser.parse_args()

    path = arguments.output or Path("reports") / f"{_file_name(arguments.experiment)}.html"
    page.write(
        path,
        uri=query_options.uri_of(arguments),
        experiment=arguments.experiment,
        query=query_options.query_of(arguments),
    )
    print(f"report: {path}")


def _file_name(experiment: str) -> str:
    # An experiment's name is free text: no folder of its own, and nothing hidden.
    return re.sub(r'[\x00-\x1f<>:"/\\|?*]+', "-", experiment).lstrip(".") or "report"


if __name__ == "__main__":
    run_command(main)

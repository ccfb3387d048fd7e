"""``fitgap report``: an experiment's comparison as one HTML file."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fitgap.commands import options
from fitgap.console import say

if TYPE_CHECKING:
    from fitgap.comparison.query import Query


@click.command("report", cls=options.QueryCommand)
@options.query
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="File to write.  [default: reports/<experiment>.html]",
)
def command(*, uri: str, experiment: str, query: "Query", output: Path | None) -> None:
    """Write an experiment's comparison as one HTML file: tables, pictures, failures, commands."""
    from fitgap.report import page

    path = output or Path("reports") / f"{_file_name(experiment)}.html"
    page.write(path, uri=uri, experiment=experiment, query=query)
    say(f"report: {path}")


def _file_name(experiment: str) -> str:
    # An experiment's name is free text: no folder of its own, and nothing hidden.
    return re.sub(r'[\x00-\x1f<>:"/\\|?*]+', "-", experiment).lstrip(".") or "report"

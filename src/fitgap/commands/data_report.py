"""``fitgap data-report``: a check of the data of an experiment before training."""

import sys
from pathlib import Path

import click
from omegaconf import DictConfig

from fitgap import memory
from fitgap.commands import train
from fitgap.commands.exit_codes import OK, report
from fitgap.console import say
from fitgap.errors import RequestError


def check_data(composed: DictConfig, *, output: Path | None) -> None:
    """Check the data that the settings name, print what was found, and write it as a page."""
    from fitgap.config import settings as config
    from fitgap.data import data_report, datasets, preprocessing, splits
    from fitgap.data.image_folder import UnreadableImagesError

    try:
        settings = config.from_hydra(composed)
        limit = settings.training.memory_limit_mb
        with memory.named_when_short(f"dataset={settings.dataset.name}", RequestError):
            dataset = datasets.load(settings.dataset, memory_limit_mb=limit, split=settings.split)
            split = splits.split_dataset(dataset, settings.split)
            dataset, _ = preprocessing.encoded(dataset, split)
            found = data_report.find(dataset, split)
        sys.stdout.write(data_report.to_markdown(found))
        if output is not None:
            from fitgap.report import data_page

            data_page.write(output, found)
            say(f"page: {output}")
    except BrokenPipeError:
        raise SystemExit(OK) from None  # nobody misses what is not read
    except UnreadableImagesError as error:
        say("\n".join(error.reasons))
        raise SystemExit(report(error)) from error
    except Exception as error:  # Hydra would print it its own way
        raise SystemExit(report(error)) from error


@click.command("data-report")
@click.argument("words", nargs=-1, metavar="[OVERRIDE]...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Also write it as one HTML file.",
)
def command(*, words: tuple[str, ...], output: Path | None) -> None:
    """Look at the data of an experiment before training: shapes, classes, duplicates, leakage.

    Each OVERRIDE is one of `fitgap train`, as in dataset=csv dataset.path=flowers.csv.
    """

    def check(composed: DictConfig) -> None:
        check_data(composed, output=output and output.absolute())

    train.run_hydra("fitgap data-report", words, check)

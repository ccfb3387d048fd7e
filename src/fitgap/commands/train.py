"""``fitgap train``: one experiment, or with ``-m`` a sweep of them."""

import sys
from collections.abc import Callable, Sequence

import click
import hydra
from omegaconf import DictConfig

from fitgap.commands import completion, overrides
from fitgap.commands.exit_codes import report
from fitgap.config import project
from fitgap.config.project import CONFIG_DIR


def run_job(composed: DictConfig) -> object:
    """Run one Hydra job."""
    # Neither --help nor a misspelt override waits for what a job imports.
    from fitgap.sweep import job

    try:
        return job.run_job(composed)
    except job.JobFailedError:
        raise  # Hydra tells its callbacks and the sweeper
    except Exception as error:  # whatever it is, its exit code tells what to do
        # Raised as it is, Hydra would print a line of its own before it.
        raise SystemExit(report(error)) from error


def train(words: Sequence[str]) -> None:
    """Train what overrides and flags of Hydra name.

    Parameters
    ----------
    words
        As after ``fitgap train``; flags may stand anywhere.
    """
    run_hydra("fitgap train", words, run_job)


def run_hydra(program: str, words: Sequence[str], job: Callable[[DictConfig], object]) -> None:
    """Have Hydra compose the settings of a command line and call a job with them.

    Parameters
    ----------
    program
        The command's name, for messages.
    words
        Overrides and flags of Hydra.
    job
        Takes composed settings; is called for each combination of a sweep.
    """
    project.make_importable()  # its modules count for the identity of all that is planned
    # Hydra reads them there; a function that took them as its arguments it does not have.
    sys.argv = [program, *overrides.for_hydra(words)]
    hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name="train")(job)()


@click.command(
    "train",
    add_help_option=False,  # Hydra answers its own flags
    context_settings={"ignore_unknown_options": True},
)
@click.argument("words", nargs=-1, shell_complete=completion.words)
def command(words: tuple[str, ...]) -> None:
    """Train one experiment, or with -m a sweep of them."""
    if {"--help", "-h"} & set(words):
        from fitgap.commands import settings_help

        click.echo(settings_help.text(words), nl=False)
        return
    train(words)

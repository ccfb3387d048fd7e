"""The command ``fitgap``: its subcommands, one file each, imported when they are used."""

import sys
from importlib import import_module
from typing import NoReturn

import click

from fitgap import __version__
from fitgap.commands import completion, exit_codes
from fitgap.config.checks import did_you_mean
from fitgap.console import warn

# By name, in the order of the help: what a subcommand does. Its file has the same name, with an
# underscore for a hyphen, and defines `command`.
COMMANDS = {
    "init": "Write a small project of your own that can be trained at once.",
    "train": "Train one experiment, or (with -m) a sweep of them.",
    "sweep": "Train a sweep on all cores; plan, watch or resume one.",
    "race": "Train replicates of settings until the best is decided.",
    "compare": "Rank the finished runs: which settings generalise, and how certain that is.",
    "plot": "Draw a comparison as a picture.",
    "report": "Write the comparison as one HTML file.",
    "remedies": "Show the effect of each remedy against overfitting.",
    "learning-curve": "Predict what more training data would bring.",
    "data-report": "Look at the data of an experiment before training.",
    "predict": "Predict with a run's network.",
    "rerun": "Repeat a run and compare the results bit for bit.",
    "register": "Register the best run's network as a version that MLflow can serve.",
    "ui": "Open MLflow's UI for the recorded runs.",
    "server": "Serve MLflow with its own PostgreSQL.",
}


class Subcommands(click.Group):
    """Lists the subcommands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the subcommands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a subcommand's file."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"fitgap.commands.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand, or say which name is the nearest."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            nearest = did_you_mean(args[0], COMMANDS)
            ctx.fail(f"{args[0]}: there is no such command{nearest}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write names and phrases."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=Subcommands, name="fitgap", context_settings={"max_content_width": 100})
@click.version_option(__version__, message="fitgap %(version)s")
def group() -> None:
    """Show how much Keras models overfit, and which one generalises."""


def main(*words: str) -> NoReturn:
    """Run a command line and leave with the exit code that fits its outcome.

    Parameters
    ----------
    words
        Stand before what the person typed: a script's subcommand.
    """
    arguments = [*words, *sys.argv[1:]]
    exit_codes.run_command(lambda: _run(arguments))


def _run(arguments: list[str]) -> int | None:
    completion.register()
    try:
        code: int | None = group.main(arguments, prog_name="fitgap", standalone_mode=False)
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return exit_codes.OK
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        message = error.format_message().replace("\n\t", " ")  # click's list of a choice's words
        warn(f"error: {message}")
        if context is not None:
            warn(f"Its options: {context.command_path} --help")
        return exit_codes.WRONG_REQUEST
    return code if isinstance(code, int) else None

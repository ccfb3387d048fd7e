"""The options that several commands share, each written once: its name, its words, its default."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from fitgap import heavy_imports
from fitgap.commands import completion
from fitgap.config import project
from fitgap.config.checks import did_you_mean

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Choice(click.Choice[str]):
    """A choice of some words; the error for a misspelt word names the nearest one."""

    def get_invalid_choice_message(self, value: object, ctx: click.Context | None) -> str:  # noqa: ARG002 (click's signature)
        """Return what is wrong, in the words of all other messages."""
        text = str(value)
        nearest = did_you_mean(text, self.choices)
        return f"must be one of {', '.join(self.choices)}, got {text}{nearest}"


experiment = click.option(
    "--experiment",
    default=project.experiment,
    metavar="NAME",
    help="MLflow experiment.  [default: the project folder's name]",
)
any_experiment = click.option(
    "--experiment", metavar="NAME", help="MLflow experiment.  [default: all]"
)
sort = click.option(
    "--sort",
    metavar="METRIC",
    shell_complete=completion.metrics,
    help="Rank by this metric's mean.  [default: the first metric, on validation data]",
)
where = click.option(
    "--where",
    multiple=True,
    metavar="CONDITION",
    help='Only runs with "optimizer=adam,sgd", "training.epochs>=5"; may be repeated.',
)
by = click.option(
    "--by",
    multiple=True,
    metavar="SETTING...",
    help="Group by these settings, averaged over all others.",
)
metric = click.option(
    "--metric",
    multiple=True,
    metavar="METRIC...",
    shell_complete=completion.metrics,
    help="The metrics to show.",
)
sweep = click.option(
    "--sweep", metavar="RUN_ID", help="Only the children of this sweep's parent run."
)
margin = click.option(
    "--margin",
    type=float,
    metavar="X",
    help="Smaller differences do not matter.  [default: 0.005 for a share, such as accuracy]",
)
these_images = click.option(
    "--these-images",
    is_flag=True,
    help="Intervals and tests over seeds only: they hold for these data, not for data like these.",
)
host = click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
port = click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=5000,
    show_default=True,
    help="Port to listen on.",
)


def _resolve_uri(_context: click.Context, _option: click.Parameter, given: str | None) -> str:
    from fitgap import store

    return store.resolve_uri(given)


uri = click.option(
    "--uri",
    callback=_resolve_uri,
    help="MLflow store.  [default: $MLFLOW_TRACKING_URI, else mlflow.db in the project folder]",
)


def trust(record: str) -> Decorator:
    """Return the option ``--trust`` of a command that builds the objects that a record names."""
    return click.option(
        "--trust",
        multiple=True,
        metavar="MODULE",
        help=f"A module of your own whose classes the {record} may name; may be repeated.",
    )


def form(*choices: str) -> Decorator:
    """Return the option ``--format``; the first choice is the default."""
    return click.option(
        "--format",
        "form",
        type=Choice(choices),
        default=choices[0],
        show_default=True,
        help="Format of the output.",
    )


def output_folder(preset: str) -> Decorator:
    """Return the option ``--output`` of a command that writes a text and a picture."""
    return click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path),
        default=Path("reports") / preset,
        show_default=True,
        metavar="DIR",
        help=f"Folder for {preset}.md, .png and .svg.",
    )


def sweep_of(preset: str) -> Decorator:
    """Return the option ``--sweep`` of a command that reads one recorded sweep."""
    return click.option(
        "--sweep",
        metavar="RUN_ID",
        help=f"Parent run of the sweep.  [default: the newest sweep={preset}]",
    )


def query(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose the compared runs; the command gets a `Query`."""

    @functools.wraps(command)
    def with_query(
        *,
        sort: str | None,
        where: Sequence[str],
        by: Sequence[str],
        sweep: str | None,
        metric: Sequence[str],
        margin: float | None,
        these_images: bool,
        **others: Any,
    ) -> Any:
        from fitgap.comparison.query import Query

        query = Query(
            sort=sort,
            where=tuple(where),
            by=tuple(by),
            sweep=sweep,
            metrics=tuple(metric),
            margin=margin,
            these_images=these_images,
        )
        # What is read and compared lives until the end.
        with heavy_imports.paused_garbage_collection():
            return command(query=query, **others)

    for option in (uri, sweep, these_images, margin, metric, by, where, sort, experiment):
        option(with_query)
    return with_query


def on_all_cores(words: Sequence[str]) -> list[str]:
    """Return the override for a run per core, unless a person's overrides name a launcher."""
    is_named = any(word.startswith("hydra/launcher=") for word in words)
    return [] if is_named else ["hydra/launcher=joblib"]


class QueryCommand(click.Command):
    """A command whose ``--by`` and ``--metric`` take several words, as ``--by optimizer seed``."""

    MANY = ("--by", "--metric")

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the option before each of its words, as click wants it."""
        spread: list[str] = []
        option, first = "", False
        for word in args:
            if word.startswith("-"):
                option, first = word if word in self.MANY else "", True
            elif option and not first:
                spread.append(option)
            else:
                first = False
            spread.append(word)
        return super().parse_args(ctx, spread)

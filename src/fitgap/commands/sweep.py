"""``fitgap sweep``: train a sweep; look at one before it starts, while it runs and afterwards."""

import os

import click
from click.shell_completion import CompletionItem

from fitgap.commands import completion, options


class _SweepGroup(click.Group):
    """Takes overrides in the place of a subcommand: they are trained."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Treat every word that is not a subcommand as an override or a flag of Hydra."""
        if args[0] in self.commands:
            return super().resolve_command(ctx, args)
        if "=" not in args[0] and not args[0].startswith("-"):
            ctx.fail(
                f"{args[0]} is neither a subcommand ({', '.join(self.commands)}) nor an override"
            )
        return "train", _train, args

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return subcommands and overrides."""
        words = completion.overrides(incomplete)
        return [*super().shell_complete(ctx, incomplete), *map(CompletionItem, words)]


@click.group(
    "sweep",
    cls=_SweepGroup,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    subcommand_metavar="OVERRIDE... | COMMAND [ARGS]...",
)
def command() -> None:
    """Train a sweep, or look at one before it starts, while it runs and afterwards.

    `fitgap sweep optimizer=sgd,adam seed=0,1,2` trains six runs, as many at a time as there are
    cores. It is the same as `fitgap train -m hydra/launcher=joblib`.
    """


@click.command("train", add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, shell_complete=completion.words)
def _train(words: tuple[str, ...]) -> None:
    _run("-m", *options.on_all_cores(words), *words)


@command.command("plan")
@click.argument(
    "words", nargs=-1, required=True, shell_complete=completion.words, metavar="OVERRIDE..."
)
def plan(words: tuple[str, ...]) -> None:
    """Check a sweep and show what it would train; start nothing.

    Each OVERRIDE is one of `fitgap train -m`, for example seed=0,1,2.
    """
    _run("-m", *words, "hydra.sweeper.dry_run=true")


@command.command("status")
@click.argument("sweep", required=False, metavar="[SWEEP]")
@options.any_experiment
@options.uri
@click.option("--all", "every", is_flag=True, help="Print one line for each sweep.")
def status(*, sweep: str | None, experiment: str | None, uri: str, every: bool) -> None:
    """Show the state of a sweep.

    SWEEP is its run id or the beginning of it; without it, the newest sweep is shown.
    """
    from fitgap.sweep import progress
    from fitgap.sweep.status import choose_sweep

    if "=" in (sweep or ""):
        raise click.UsageError(f"status takes a sweep's run id, not {sweep}; a store is --uri")
    if every:
        progress.show_all(uri, experiment=experiment)
    else:
        progress.show_status(uri, choose_sweep(uri, run_id=sweep, experiment=experiment))


@command.command("watch")
@click.argument("sweep", required=False, metavar="[SWEEP]")
@options.any_experiment
@options.uri
def watch(*, sweep: str | None, experiment: str | None, uri: str) -> None:
    """Show a sweep while it runs, also one of another terminal.

    The sweep may also run on another machine. Ctrl-C ends the view, not the sweep.

    SWEEP is its run id or the beginning of it; without it, the newest sweep is shown.
    """
    from fitgap.sweep import live_view, progress
    from fitgap.sweep.status import choose_sweep

    chosen = choose_sweep(uri, run_id=sweep, experiment=experiment)
    try:
        live_view.follow(uri, chosen)
    except KeyboardInterrupt:
        click.echo("this view has ended; the sweep goes on")
        return
    progress.show_status(uri, choose_sweep(uri, run_id=chosen.parent.run_id))


@command.command("resume")
@click.argument("words", nargs=-1, metavar="[SWEEP] [HYDRA_OVERRIDE]...")
@options.any_experiment
@options.uri
@click.option(
    "--assume-dead",
    metavar="HOST",
    help="Treat runs that say RUNNING on this host as dead: they cannot be checked from here.",
)
@options.trust("sweep's plan")
def resume(
    *,
    words: tuple[str, ...],
    experiment: str | None,
    uri: str,
    assume_dead: str | None,
    trust: tuple[str, ...],
) -> None:
    """Run the jobs of a sweep that have not finished.

    SWEEP is its run id or the beginning of it; without it, the newest sweep goes on. A
    HYDRA_OVERRIDE changes how it is run, for example hydra.launcher.n_jobs=4.
    """
    from fitgap.sweep.resume import assume_dead as end_runs_of
    from fitgap.sweep.resume import resume_arguments
    from fitgap.sweep.status import choose_sweep, read_plan

    names = [word for word in words if "=" not in word]
    if len(names) > 1:
        raise click.UsageError(f"resume takes one sweep, got {' and '.join(names)}")
    sweep = choose_sweep(uri, run_id=names[0] if names else None, experiment=experiment)
    planned = read_plan(uri, sweep)
    hydra_words = [word for word in words if "=" in word]
    arguments = resume_arguments(uri, sweep, planned, overrides=hydra_words, modules=trust)
    if assume_dead is not None:
        end_runs_of(uri, sweep, host=assume_dead)
    os.environ["MLFLOW_TRACKING_URI"] = uri
    _run(*arguments)


def _run(*words: str) -> None:
    from fitgap.commands import train

    train.train(words)

"""``fitgap register``: the best run's network, as a version that MLflow can serve."""

import shlex
import sys
from pathlib import Path

import click

from fitgap.commands import options
from fitgap.console import say


@click.command(
    "register",
    epilog="The best is the first group of `fitgap compare`, and of its runs "
    "the one with the best validation figure.",
)
@click.option(
    "--register", "name", required=True, metavar="NAME", help="Name of the registered model."
)
@options.experiment
@click.option("--run", "run_id", metavar="RUN_ID", help="This run instead of the best.")
@options.uri
def command(*, name: str, experiment: str, run_id: str | None, uri: str) -> None:
    """Register the best run's network (or a named run's) as a version that MLflow can serve."""
    from fitgap import registry

    reason = ""
    if run_id is None:
        choice = registry.choose(uri, experiment=experiment)
        run_id, reason = choice.run.run_id, choice.reason
        say(f"best by validation: {reason}")
    version = registry.register(run_id, name=name, uri=uri, reason=reason)
    say(f"{version.uri} {'is now' if version.is_new else 'was already'} run {run_id}")
    say(f"serve it: {_serve_command(version.uri, uri=uri)}")


def _serve_command(model: str, *, uri: str) -> str:
    """Return what a shell anywhere takes; MLflow looks for its server program in the PATH."""
    from fitgap import store

    programs = shlex.quote(str(Path(sys.executable).parent))
    return (
        f"PATH={programs}:$PATH MLFLOW_TRACKING_URI={store.as_word(uri)} "
        f"mlflow models serve -m {shlex.quote(model)} --env-manager local "
        "--host 127.0.0.1 --port 5001"
    )

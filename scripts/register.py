"""Register the best run's network (or a named run's) as a version that MLflow can serve."""

import argparse
import shlex
import sys
from pathlib import Path

from fitgap import registry, store
from fitgap.commands.exit_codes import run_command
from fitgap.config import project


def main() -> None:
    """Read the command line, choose, register, and say how to serve."""
    parser = argparse.ArgumentParser(description=__doc__, epilog=f"The best is {registry.RULE}.")
    parser.add_argument(
        "--register", required=True, metavar="NAME", help="name of the registered model"
    )
    parser.add_argument(
        "--experiment",
        default=project.experiment(),
        metavar="NAME",
        help="MLflow experiment (%(default)s)",
    )
    parser.add_argument("--run", metavar="RUN_ID", help="this run instead of the best")
    parser.add_argument(
        "--uri", help="MLflow store ($MLFLOW_TRACKING_URI, else mlflow.db of this project)"
    )
    arguments = parser.parse_args()
    uri = store.resolve_uri(arguments.uri)
    if arguments.run:
        run_id, reason = arguments.run, ""
    else:
        choice = registry.choose(uri, experiment=arguments.experiment)
        run_id, reason = choice.run.run_id, choice.reason
        print(f"best by validation: {reason}")
    version = registry.register(run_id, name=arguments.register, uri=uri, reason=reason)
    print(f"{version.uri} {'is now' if version.is_new else 'was already'} run {run_id}")
    print(f"serve it: {_serve_command(version.uri, uri=uri)}")


def _serve_command(model: str, *, uri: str) -> str:
    """Return what a shell anywhere takes; MLflow looks for its server program in the PATH."""
    programs = shlex.quote(str(Path(sys.executable).parent))
    return (
        f"PATH={programs}:$PATH MLFLOW_TRACKING_URI={shlex.quote(store.redact(uri))} "
        f"mlflow models serve -m {shlex.quote(model)} --env-manager local "
        "--host 127.0.0.1 --port 5001"
    )


if __name__ == "__main__":
    run_command(main)

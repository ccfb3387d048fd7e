"""Look at a sweep before it starts, while it runs and afterwards; go on with one."""

import argparse
import os
import sys
from typing import NoReturn

from fitgap import store
from fitgap.commands.exit_codes import run_command
from fitgap.config.project import CHECKOUT
from fitgap.sweep import status as state

ENVIRONMENT = dict(os.environ)  # before `run_command` adds to it
TRAIN = CHECKOUT / "scripts" / "train.py"


def main() -> None:
    """Read the command line and do what it names."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    plan = commands.add_parser(
        "plan", help="check a sweep and show what it would train; start nothing"
    )
    plan.add_argument(
        "overrides", nargs="+", metavar="OVERRIDE", help="as of scripts/train.py -m: seed=0,1,2"
    )

    status = commands.add_parser("status", help="show what has become of a sweep")
    _add_choice(status)
    status.add_argument("--all", action="store_true", help="a line for each sweep")

    resume = commands.add_parser(
        "resume", help="run those of a sweep's jobs that have not finished"
    )
    _add_choice(resume)
    resume.add_argument(
        "overrides", nargs="*", metavar="HYDRA_OVERRIDE", help="as hydra.launcher.n_jobs=4"
    )
    resume.add_argument(
        "--assume-dead",
        metavar="HOST",
        help="end what says RUNNING on this host: it cannot be looked at from here",
    )

    resume.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="MODULE",
        help="a module of your own whose classes the sweep's plan may name; may be repeated",
    )

    # argparse takes no positional arguments after an option that stands among them.
    arguments, rest = parser.parse_known_args()
    unknown = [word for word in rest if word.startswith("-") or arguments.command != "resume"]
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if arguments.command == "plan":
        _train(["-m", *arguments.overrides, "hydra.sweeper.dry_run=true"])
    if "=" in (arguments.sweep or ""):
        if arguments.command == "status":
            parser.error(f"status takes a sweep's run id, not {arguments.sweep}; a store is --uri")
        rest = [arguments.sweep, *rest]  # of the last sweep
        arguments.sweep = None
    uri = store.resolve_uri(arguments.uri)
    if arguments.command == "status" and arguments.all:
        state.show_all(uri, experiment=arguments.experiment)
        return
    sweep = state.choose_sweep(uri, run_id=arguments.sweep, experiment=arguments.experiment)
    if arguments.command == "status":
        state.show_status(uri, sweep)
        return
    planned = state.read_plan(uri, sweep)
    command = state.resume_arguments(
        uri,
        sweep,
        planned,
        overrides=[*arguments.overrides, *rest],
        modules=arguments.trust,
    )
    if arguments.assume_dead is not None:
        state.assume_dead(uri, sweep, host=arguments.assume_dead)
    _train(command, MLFLOW_TRACKING_URI=uri)


def _add_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sweep", nargs="?", metavar="SWEEP", help="its run id or the beginning of it (the last one)"
    )
    parser.add_argument("--experiment", metavar="NAME", help="MLflow experiment (all)")
    parser.add_argument(
        "--uri", help="MLflow store ($MLFLOW_TRACKING_URI, else mlflow.db of this project)"
    )


def _train(arguments: list[str], **environment: str) -> NoReturn:
    """Become scripts/train.py: signals and exit code are its own then."""
    sys.stdout.flush()
    command = [sys.executable, str(TRAIN), *arguments]
    os.execve(sys.executable, command, ENVIRONMENT | environment)  # noqa: S606 (no shell)


if __name__ == "__main__":
    run_command(main)

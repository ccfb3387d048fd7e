"""Run the published experiments over several seeds, and compare published and measured figures."""

import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from fitgap import store
from fitgap.commands import exit_codes
from fitgap.errors import RequestError
from fitgap_lab.arguments import count
from fitgap_lab.reproduction.findings import (
    Reproduction,
    compare_all,
    find,
    find_in_progress_bars,
    read_plain_keras,
)
from fitgap_lab.reproduction.measurements import measure, plans, sweep_overrides
from fitgap_lab.reproduction.report import print_tables, to_json, to_markdown

# As the person set it: `run_command` changes what decides about tracebacks, and the sweep is a
# command of its own.
ENVIRONMENT = dict(os.environ)


def main() -> int:
    """Read the command line, train what is not there yet, collect, judge, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--seeds",
        type=count,
        default=3,
        metavar="N",
        help="number of seeds, from 0 on (%(default)s)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("reports/reproduction"),
        metavar="DIR",
        help="folder for reproduction.md and .json (%(default)s)",
    )
    parser.add_argument(
        "--experiment",
        default="reproduction",
        metavar="NAME",
        help="MLflow experiment (%(default)s)",
    )
    parser.add_argument(
        "--against",
        type=Path,
        metavar="FILE.json",
        help="also compare with the runs that scripts/plain_keras.py wrote",
    )
    arguments = parser.parse_args()

    # Everything a person can have got wrong comes before the training.
    plain = read_plain_keras(arguments.against) if arguments.against else []
    try:
        arguments.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(f"--output {arguments.output}: {error.strerror}") from error
    planned = plans(arguments.seeds, experiment_name=arguments.experiment)
    store.check(store.resolve_uri(None))

    code = _train(sweep_overrides(arguments.seeds, experiment_name=arguments.experiment))
    if code in (exit_codes.WRONG_REQUEST, exit_codes.INTERRUPTED):
        return code

    measured = measure(planned)
    result = Reproduction(
        seeds=arguments.seeds,
        measured=measured,
        findings=find(measured),
        agreements=compare_all(measured, plain),
        bar_findings=find_in_progress_bars(plain),
        commands=_commands(arguments.against, plain),
    )
    print_tables(result, console=Console())
    for name, text in (
        ("reproduction.md", to_markdown(result)),
        ("reproduction.json", to_json(result)),
    ):
        (arguments.output / name).write_text(text, encoding="utf-8")
    print(f"\nwritten: {arguments.output}/reproduction.md and .json")
    complete = all(len(runs) == arguments.seeds for runs in measured.values())
    return exit_codes.OK if complete and code == exit_codes.OK else exit_codes.FAILED


def _train(overrides: list[str]) -> int:
    """Run the sweep as one command of its own and return its exit code."""
    script = Path(__file__).with_name("train.py")
    # The command is this project's own; no shell reads it.
    with subprocess.Popen([sys.executable, script, *overrides], env=ENVIRONMENT) as sweep:  # noqa: S603
        try:
            return sweep.wait()
        except KeyboardInterrupt:
            # The terminal interrupts the sweep too; it needs its time to end its runs KILLED.
            return sweep.wait() or exit_codes.INTERRUPTED


def _commands(against: Path | None, plain: list[dict[str, Any]]) -> list[str]:
    """Return what a person types to get this result again."""
    this = shlex.join(["python", "scripts/reproduce.py", *sys.argv[1:]])
    if against is None:
        return [this]
    seeds = len({run["seed"] for run in plain})
    before = ["python", "scripts/plain_keras.py", "--seeds", str(seeds), "--output", str(against)]
    return [shlex.join(before), this]


if __name__ == "__main__":
    exit_codes.run_command(main)

"""``fitgap rerun``: a recorded run repeated from its record alone, and the bits compared."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from fitgap.commands import options
from fitgap.commands.exit_codes import FAILED, OK
from fitgap.console import say

if TYPE_CHECKING:
    from fitgap.rerun import Difference

MOST_SHOWN = 8  # metrics and arrays that differ, each


@click.command("rerun")
@click.argument("run_id", metavar="RUN_ID")
@options.uri
@options.trust("record")
def command(*, run_id: str, uri: str, trust: tuple[str, ...]) -> int:
    """Repeat a run from its record alone, and say whether the results are equal bit for bit.

    RUN_ID is MLflow's id of a finished run. Exit code 0: all bits agree. 1: some differ, or
    the training failed. 2: there is no such finished run, or its record cannot be repeated.
    """
    from fitgap import experiment, rerun
    from fitgap.store import recorded
    from fitgap.trust.text import line

    run = recorded.open_run(run_id, uri=uri)
    planned = rerun.plan(run, modules=trust)
    say(f"{run.name} of experiment {line(run.experiment)}, run {run.run_id}")
    differences = rerun.differences(run, planned)
    _print_differences(differences)

    result = experiment.run(planned)
    again = recorded.open_run(result.run_id, uri=run.uri)
    agreement = rerun.compare(run, again)
    say(f"repeated as run {again.run_id}")
    _print_comparison("metrics", agreement.metrics, agreement.different_metrics)
    _print_comparison("arrays of the network", agreement.arrays, agreement.different_arrays)
    if agreement.is_complete:
        say("The bits agree.")
        return OK
    say("The bits differ. What else differs:" if differences else "The bits differ.")
    if differences:
        _print_differences(differences)
    else:
        say("The record shows no other difference: code, versions, data and machine are the same.")
    return FAILED


def _print_differences(differences: "Sequence[Difference]") -> None:
    if not differences:
        say("code, versions, data and machine are the same as then")
    for one in differences:
        say(f"  {one.what}: {one.then} then, {one.now} now")


def _print_comparison(what: str, compared: int, different: Mapping[str, str]) -> None:
    say(f"{what}: {compared - len(different)} of {compared} equal bit for bit")
    for name, difference in list(different.items())[:MOST_SHOWN]:
        say(f"  {name}: {difference}")
    if len(different) > MOST_SHOWN:
        say(f"  and {len(different) - MOST_SHOWN} more")

"""Repeat a recorded run from its record alone and say whether the bits agree.

Exit code 0: they do. 1: they do not, or the training failed. 2: there is no such finished run, or
its record cannot be repeated.
"""

import argparse
from collections.abc import Mapping, Sequence

from fitgap import experiment, rerun, store
from fitgap.commands.exit_codes import FAILED, OK, run_command
from fitgap.store import recorded

MOST_SHOWN = 8  # metrics and arrays that differ, each


def main() -> int:
    """Read the command line, say what differs, train again, compare."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run_id", metavar="RUN_ID", help="MLflow's id of a finished run")
    parser.add_argument(
        "--uri", help="MLflow store ($MLFLOW_TRACKING_URI, else mlflow.db of this project)"
    )
    parser.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="MODULE",
        help="a module of your own whose classes the record may name; may be repeated",
    )
    arguments = parser.parse_args()

    run = recorded.open_run(arguments.run_id, uri=store.resolve_uri(arguments.uri))
    planned = rerun.plan(run, modules=arguments.trust)
    print(f"{run.name} of experiment {run.experiment}, run {run.run_id}")
    differences = rerun.differences(run, planned)
    _print_differences(differences)

    result = experiment.run(planned)
    again = recorded.open_run(result.run_id, uri=run.uri)
    agreement = rerun.compare(run, again)
    print(f"repeated as run {again.run_id}")
    _print_comparison("metrics", agreement.metrics, agreement.different_metrics)
    _print_comparison("arrays of the network", agreement.arrays, agreement.different_arrays)
    if agreement.is_complete:
        print("The bits agree.")
        return OK
    print("The bits differ. What else differs:" if differences else "The bits differ.")
    if differences:
        _print_differences(differences)
    else:
        print("Nothing else that the record knows of differs: code, versions, data, machine.")
    return FAILED


def _print_differences(differences: Sequence[rerun.Difference]) -> None:
    if not differences:
        print("code, versions, data and machine are as they were")
    for one in differences:
        print(f"  {one.what}: {one.then} then, {one.now} now")


def _print_comparison(what: str, compared: int, different: Mapping[str, str]) -> None:
    print(f"{what}: {compared - len(different)} of {compared} equal bit for bit")
    for name, said in list(different.items())[:MOST_SHOWN]:
        print(f"  {name}: {said}")
    if len(different) > MOST_SHOWN:
        print(f"  and {len(different) - MOST_SHOWN} more")


if __name__ == "__main__":
    run_command(main)

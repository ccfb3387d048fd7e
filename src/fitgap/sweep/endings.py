"""What a run or a sweep prints at its end: its figures, its place, and what to do next."""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from fitgap import store
from fitgap.config import program, project
from fitgap.console import warn
from fitgap.errors import StoreAwayError
from fitgap.evaluation.baseline_remarks import remarks
from fitgap.evaluation.figures import figure_text
from fitgap.evaluation.metrics import metrics_of
from fitgap.experiment import Plan, Result
from fitgap.store import artifacts
from fitgap.sweep.plan import redacted
from fitgap.sweep.status import SHORT_ID
from fitgap.tag_names import IDENTITY_TAG
from fitgap.training import checkpoints
from fitgap.trust.text import HIDDEN

_PARTS = ("train", "val", "gap", "test", "test_gap")


def figures(metrics: Mapping[str, float], primary: str = "accuracy") -> str:
    """Return the primary metric of each partition and its gap in one line.

    Parameters
    ----------
    metrics
        Of a run, by name. The gap against the test set is taken if there is no validation
        partition.
    primary
        The metric that is printed.

    Examples
    --------
    >>> figures({"train/accuracy": 0.9, "val/accuracy": 0.8, "gap/accuracy": 0.1})
    'train/accuracy 0.9000, val/accuracy 0.8000, gap/accuracy +0.1000'
    """
    has_validation = f"val/{primary}" in metrics
    found = []
    for part in _PARTS:
        value = metrics.get(f"{part}/{primary}")
        if value is None or (part == "test_gap" and has_validation):
            continue
        text = figure_text(value, sign="+" if "gap" in part else "")
        found.append(f"{part}/{primary} {text}")
    return ", ".join(found)


def of_run(result: Result, planned: Plan) -> list[str]:
    """Return the lines with which a run that stands alone ends."""
    short = result.run_id[:SHORT_ID]
    uri = store.option(planned.uri)
    primary = metrics_of(planned.config)[0]
    warnings = remarks(result.metrics, primary=primary, task=planned.facts.task)
    where = f"run {result.run_id} in {store.redact(planned.uri)}"
    lines = [figures(result.metrics, primary.name), *warnings, where]
    if folder := artifact_folder(planned, result.run_id):
        lines.append(f"files:    {folder}")
    lines += [
        f"picture:  {program.name()} plot run {short}{uri}",
        "compare:  a debug run is never compared"
        if planned.config.debug is not None
        else f"compare:  {program.name()} compare{_options(planned)}",
        f"predict:  {program.name()} predict {short} FILE...{uri}",
        f"look:     {program.name()} ui{uri}",
    ]
    return lines


def of_sweep(plan: Plan) -> list[str]:
    """Return the commands that look at what a sweep has found; ``plan`` is of any of its jobs."""
    options = _options(plan)
    return [
        f"compare them: {program.name()} compare{options}",
        f"picture:      {program.name()} plot curves{options} -o curves.svg",
        f"report:       {program.name()} report{options}",
    ]


def of_race(plan: Plan) -> list[str]:
    """Return the commands that look at a race and its runs; ``plan`` is of any of them."""
    options = _options(plan)
    return [
        f"recorded in {store.redact(plan.uri)}",
        f"compare them: {program.name()} compare{options}",
        f"picture:      {program.name()} plot race{options} -o race.svg",
    ]


def _options(plan: Plan) -> str:
    """Return what a printed command needs to find the experiment: nothing where all is usual."""
    name = plan.experiment
    experiment = "" if name == project.experiment() else f" --experiment {shlex.quote(name)}"
    return experiment + store.option(plan.uri)


def resume_command(uri: str, parent: str) -> str:
    """Return the command that continues a sweep."""
    return f"{program.name()} sweep resume {shlex.quote(parent[:SHORT_ID])}{store.option(uri)}"


def artifact_folder(planned: Plan, run_id: str) -> Path | None:
    """Return the folder of a run's files if it is on this machine, else None."""
    try:
        found = planned.find_runs(tags={IDENTITY_TAG: planned.identity})
    except StoreAwayError:
        return None  # the run has ended well; what waits for the server was said
    location = next((run.artifact_uri for run in found if run.run_id == run_id), "")
    path = artifacts.local_folder(location) if location else None
    return path if path is not None and path.is_dir() else None


def as_words(overrides: Sequence[str], *, uri: str) -> str:
    """Return overrides as words of a printed command: they tell no secret, and find the store.

    Parameters
    ----------
    overrides
        As a person gave them, or as they were recorded.
    uri
        Of the store that they name, if they name one.
    """
    words = []
    for override in redacted(overrides):
        name = override.partition("=")[0]
        is_hidden_uri = name.lstrip("+") == "tracking.uri" and HIDDEN in override
        words.append(f"{name}={store.as_word(uri)}" if is_hidden_uri else shlex.quote(override))
    return " ".join(words)


@contextmanager
def on_interruption(say: Callable[[], None]) -> Iterator[None]:
    """Call a function that prints, if the block is left by Ctrl-C or SIGTERM."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception):  # a failure is said elsewhere
            say()
        raise


def say_run_stopped(planned: Plan, overrides: Sequence[str]) -> None:
    """Say on stderr what a stopped run has kept, and the command that continues it."""
    done, of = checkpoints.epochs_done(planned.checkpoint_path), planned.config.training.epochs
    state = (
        f"kept: {done} of {of} epochs; the same command continues from there"
        if done
        else "stopped before an epoch had ended, so nothing is kept; the same command starts again"
    )
    command = f"{program.name()} train {as_words(overrides, uri=planned.uri)}".rstrip()
    warn(f"\n{state}:\n  {command}")


def say_search_stopped(done: int, *, of: int, command: Sequence[str], uri: str) -> None:
    """Say on stderr how much of a stopped search is done, and the command that continues it."""
    state = f"kept: {done} of {of} trials, and the ended epochs of those in training"
    # `sweep` would choose a launcher.
    again = f"{program.name()} train -m {as_words(command, uri=uri)}"
    warn(f"\n{state}\nthe same command continues from there:\n  {again}")


def say_sweep_not_begun() -> None:
    """Say on stderr that a sweep was stopped before it had a record."""
    warn("\nstopped before a run had begun; the same command starts again")


def say_sweep_stopped(plans: Sequence[Plan], *, parent: str) -> None:
    """Say on stderr how much of a stopped sweep is done, and the command that continues it."""
    identities = {plan.identity for plan in plans}
    finished = identities & {run.identity for run in plans[0].find_runs()}
    warn(
        f"\nkept: {len(finished)} of {len(identities)} runs, and the ended epochs of those in "
        f"training\ncontinue with:\n  {resume_command(plans[0].uri, parent)}"
    )

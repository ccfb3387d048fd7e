"""The state of a sweep, read from the record alone."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from fitgap import processes, store
from fitgap.errors import RequestError
from fitgap.store import StoredRun
from fitgap.sweep import plan as sweep_plan
from fitgap.sweep.plan import SweepPlan
from fitgap.tag_names import ROLE_TAG, SEARCH_TAG, SWEEP_TAG
from fitgap.trust.text import line

SEARCH_FILE = "search.json"
SHORT_ID = 8  # characters of a run id that are shown; more than that also name it


class State(StrEnum):
    """How far a job has come."""

    FINISHED = "finished"
    RUNNING = "running"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    NOT_RUN = "not run"


@dataclass(frozen=True)
class JobState:
    """A job of a sweep, how far it has come, and the run that shows it (None: not run)."""

    name: str
    state: State
    run: StoredRun | None


@dataclass(frozen=True)
class Sweep:
    """A sweep's parent run and the experiment it is in."""

    experiment: str
    parent: StoredRun

    @property
    def is_running(self) -> bool:
        """Whether its process may still be at work."""
        return self.parent.status == "RUNNING" and not processes.is_gone(self.parent.tags)


def find_sweeps(uri: str, *, experiment: str | None = None) -> list[Sweep]:
    """Return the recorded sweeps, the running ones first, then the newest.

    Parameters
    ----------
    uri
        Of the store.
    experiment
        MLflow's experiment; None: all of them.

    Raises
    ------
    RequestError
        If there are none; it names the experiments that have some.
    """
    found = [
        Sweep(name, parent)
        for name in store.experiments(uri)
        for parent in store.find_runs(
            uri, experiment=name, statuses=store.ANY_STATUS, tags={ROLE_TAG: "sweep"}
        )
    ]
    if not found:
        raise RequestError(f"there are no sweeps in {store.redact(uri)}")
    chosen = [sweep for sweep in found if experiment in (None, sweep.experiment)]
    if not chosen:
        names = ", ".join(sorted({line(sweep.experiment) for sweep in found}))
        raise RequestError(
            f"--experiment must be one with sweeps, got {experiment!r}",
            f"There are some in: {names}",
        )
    return sorted(
        chosen, key=lambda sweep: (sweep.is_running, sweep.parent.start_time), reverse=True
    )


def choose_sweep(uri: str, *, run_id: str | None, experiment: str | None = None) -> Sweep:
    """Return one recorded sweep.

    Parameters
    ----------
    uri
        Of the store.
    run_id
        The id of its parent run, or the beginning of it; None: the newest sweep.
    experiment
        MLflow's experiment; None: any.

    Raises
    ------
    RequestError
        If there is none, or several begin so.
    """
    sweeps = find_sweeps(uri, experiment=experiment)
    if run_id is None:
        return sweeps[0]
    named = [sweep for sweep in sweeps if run_id and sweep.parent.run_id.startswith(run_id)]
    if len(named) != 1:
        known = ", ".join(sweep.parent.run_id[:SHORT_ID] for sweep in named or sweeps[:5])
        what = f"{len(named)} sweeps begin like this" if named else "the newest are"
        raise RequestError(f"there is no sweep {run_id!r} in {store.redact(uri)}; {what}: {known}")
    return named[0]


def number_of_trials(uri: str, sweep: Sweep) -> int | None:
    """Return how many trials a search is to have, 0 if it does not say; None for a grid."""
    if SEARCH_TAG not in sweep.parent.tags:
        return None
    try:
        described = json.loads(store.artifact_text(sweep.parent, SEARCH_FILE, uri=uri) or "{}")
        return int(described.get("n_trials", 0))
    except (ArithmeticError, ValueError, TypeError, AttributeError, RecursionError):
        return 0  # a record can hold anything


def read_plan(uri: str, sweep: Sweep) -> SweepPlan:
    """Return the request for a sweep.

    Raises
    ------
    RequestError
        If its parent run does not have it: a search's, another tool's, or killed in its first
        second.
    """
    run_id = sweep.parent.run_id
    if SEARCH_TAG in sweep.parent.tags:
        raise RequestError(
            f"{run_id[:SHORT_ID]} is a search, which has no list of jobs",
            "Give its command again: it continues after the trials that have ended",
        )
    text = store.artifact_text(sweep.parent, sweep_plan.FILE_NAME, uri=uri)
    if text is None:
        raise RequestError(
            f"sweep {run_id} has no {sweep_plan.FILE_NAME}: it was stopped before its plan was "
            "recorded",
            "Start it again by its command; what has finished is not trained again",
        )
    try:
        return sweep_plan.from_json(text)
    except ValueError as error:
        raise RequestError(
            f"{sweep_plan.FILE_NAME} of sweep {run_id} cannot be read: {error}"
        ) from error


def job_states(uri: str, sweep: Sweep, plan: SweepPlan) -> list[JobState]:
    """Return how far each job of a sweep has come, in the grid's order.

    Parameters
    ----------
    uri
        Of the store.
    sweep
        Its parent run and experiment.
    plan
        Its jobs, from `read_plan`.
    """
    by_identity = runs_by_identity(uri, sweep.experiment)
    states = []
    for job in plan.jobs:
        runs = by_identity.get(job.identity, ())
        state, run = state_of(runs, sweep=sweep.parent.run_id, reuse=plan.reuse)
        states.append(JobState(job.name, state, run))
    return states


def runs_by_identity(uri: str, experiment: str) -> dict[str, list[StoredRun]]:
    """Return an experiment's runs of every status by their identity, the newest first."""
    runs: dict[str, list[StoredRun]] = {}
    for run in store.find_runs(uri, experiment=experiment, statuses=store.ANY_STATUS):
        runs.setdefault(run.identity, []).append(run)
    return runs


def state_of(
    runs: Sequence[StoredRun], *, sweep: str | None, reuse: bool
) -> tuple[State, StoredRun | None]:
    """Return the state of a sweep's job, and the run that shows it.

    A job counts as finished whoever trained it, unless everything was to be trained again. Whether
    it is interrupted or has failed follows from the sweep's own runs only.

    Parameters
    ----------
    runs
        Of the job's identity, the newest first.
    sweep
        Run id of the parent run; None: all runs count.
    reuse
        ``tracking.reuse``: whether finished runs of other sweeps count.
    """
    own = [run for run in runs if sweep is None or run.tags.get(SWEEP_TAG) == sweep]
    for run in runs if reuse else own:
        if run.status == "FINISHED" and (reuse or sweep is not None):
            return State.FINISHED, run
    for run in runs:
        if run.status == "RUNNING" and not processes.is_gone(run.tags):
            return State.RUNNING, run
    for run in own:
        if run.status == "FAILED":
            return State.FAILED, run
        if run.status in ("KILLED", "RUNNING"):
            return State.INTERRUPTED, run
    return State.NOT_RUN, None

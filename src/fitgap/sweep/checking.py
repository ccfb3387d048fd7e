"""Before a sweep starts: whether its jobs are right, and which of them are finished."""

import shlex
from collections.abc import Iterable, Sequence

from fitgap import experiment, processes, store
from fitgap.config import program
from fitgap.config.schema import Config
from fitgap.errors import RequestError
from fitgap.store import StoredRun
from fitgap.sweep import plan as sweep_plan
from fitgap.sweep.composition import Overrides
from fitgap.sweep.job import Job
from fitgap.tag_names import ROLE_TAG, SWEEP_IDENTITY_TAG, SWEEP_TAG
from fitgap.tracking import delivery


def checked(grid: Sequence[Overrides], settings: Iterable[Config]) -> list[Job]:
    """Return the grid's jobs, each checked as far as is possible without TensorFlow.

    Parameters
    ----------
    grid
        The overrides of each job.
    settings
        What each job's overrides make, in the same order; see `fitgap.sweep.composition.configs`.

    Raises
    ------
    RequestError
        If one of them is wrong, or the store cannot be used.
    """
    jobs: list[Job] = []
    try:
        for of_job in settings:
            jobs.append(Job(grid[len(jobs)], experiment.plan(of_job)))
    except RequestError as error:
        first, *others = error.args
        in_job = f"{first} (in the job {' '.join(grid[len(jobs)])})"
        raise RequestError(in_job, *others) from error
    store.check(jobs[0].plan.uri)
    delivery.deliver_waiting(jobs[0].plan.uri)
    return jobs


def identity_of(jobs: Sequence[Job]) -> str:
    """Return the identity of a sweep, which is that of its set of jobs."""
    return sweep_plan.sweep_identity(job.plan.identity for job in jobs)


def earlier_parent(jobs: Sequence[Job], *, resume: str | None) -> StoredRun | None:
    """Return the newest parent run of an earlier sweep of the same jobs.

    Parameters
    ----------
    jobs
        All jobs of the sweep.
    resume
        Run id of the parent to continue. None: any, but none at all if ``tracking.reuse`` is false,
        which requests a new sweep.

    Returns
    -------
    StoredRun or None
        None if there was no such sweep.

    Raises
    ------
    RequestError
        If the parent to resume is not of the same jobs.
    """
    plan = jobs[0].plan
    if resume is None and not plan.config.tracking.reuse:
        return None
    found = plan.find_runs(
        statuses=store.ANY_STATUS, tags={ROLE_TAG: "sweep", SWEEP_IDENTITY_TAG: identity_of(jobs)}
    )
    if resume is None:
        return found[0] if found else None
    for parent in found:
        if parent.run_id == resume:
            return parent
    raise RequestError(
        f"sweep {resume} cannot be resumed: its command would make other jobs now, because conf/, "
        "the data, fitgap's source or its libraries have changed",
        f"Start it again: {program.name()} train -m ... (finished runs are not trained again)",
    )


def refuse_running(parent: StoredRun, *, uri: str) -> None:
    """Raise `RequestError` if the process of a sweep's parent run may still be at work.

    Parameters
    ----------
    parent
        As the store has it.
    uri
        Of the store.
    """
    if parent.status != "RUNNING" or processes.is_gone(parent.tags):
        return
    host = parent.tags.get(processes.HOST_TAG, "")
    where = f"process {parent.tags.get(processes.PID_TAG)} on {host}"
    command = f"{program.name()} sweep"
    store_of = store.option(uri)
    raise RequestError(
        f"this sweep is running: run {parent.run_id}, {where}; see {command} status{store_of}",
        f"If that host is gone: {command} resume{store_of} {shlex.quote(parent.run_id)} "
        f"--assume-dead {shlex.quote(host)}",
    )


def unfinished(jobs: Sequence[Job], *, resumed: str | None = None) -> list[Job]:
    """Return the jobs to train: those without a finished run of their identity, each identity once.

    Parameters
    ----------
    jobs
        All jobs of the sweep.
    resumed
        Run id of the parent that is continued, if any. If ``tracking.reuse`` is false, only the
        finished runs of that sweep count.
    """
    plan = jobs[0].plan
    finished: set[str] = set()
    if plan.config.tracking.reuse:
        finished = {run.identity for run in plan.find_runs()}
    elif resumed:
        finished = {run.identity for run in plan.find_runs(tags={SWEEP_TAG: resumed})}
    waiting = {job.plan.identity: job for job in jobs if job.plan.identity not in finished}
    return list(waiting.values())


def failed_before(jobs: Sequence[Job]) -> set[str]:
    """Return the identities whose runs have failed."""
    return {run.identity for run in jobs[0].plan.find_runs(statuses=("FAILED",))}

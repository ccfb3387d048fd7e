"""Give a sweep's jobs to a launcher until each has an outcome, even if workers die."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from hydra.core.utils import JobReturn

from fitgap import experiment
from fitgap.console import say
from fitgap.store import StoredRun
from fitgap.sweep.composition import Overrides
from fitgap.sweep.job import Job, Outcome, outcome_of
from fitgap.sweep.workers import WorkerDiedError
from fitgap.tag_names import FAILURE_TAG, SWEEP_TAG
from fitgap.tracking import delivery, descriptions

if TYPE_CHECKING:
    from fitgap.tracking.sweep_writer import SweepRecord

# Hands jobs to Hydra's launcher, numbered from the second argument on.
Launch = Callable[[Sequence[Overrides], int], Sequence[JobReturn]]

# A job may take its worker, and with it the other workers, down every time: for want of memory,
# say. After so many deaths under it, it is launched by itself when all others are done.
MOST_DEATHS_AMONG_OTHERS = 2


def launch_all(
    jobs: Sequence[Job],
    launch: Launch,
    *,
    parent: "SweepRecord",
    fail_fast: bool = False,
    first: int = 0,
) -> dict[str, Outcome]:
    """Launch jobs, those of dead workers again, until each has an outcome.

    Parameters
    ----------
    jobs
        Of different identities.
    launch
        Returns when all of its jobs have ended, or raises `WorkerDiedError` when all of its
        workers have.
    parent
        The sweep's open parent run.
    fail_fast
        Whether the first failure keeps jobs that have not started from starting.
    first
        Number of the first job.

    Returns
    -------
    dict
        How each job ended, by the identity of its experiment.
    """
    outcomes: dict[str, Outcome] = {}
    waiting = list(jobs)
    deaths: Counter[str] = Counter()
    while waiting:
        if fail_fast and any(outcome.failure for outcome in outcomes.values()):
            return outcomes | {_id(job): Outcome(_name(job), None, None) for job in waiting}
        among_others = [job for job in waiting if deaths[_id(job)] < MOST_DEATHS_AMONG_OTHERS]
        launched = among_others or waiting[:1]
        ended_before = {run.ending for run in _ended_runs(launched)}
        try:
            returns = launch([job.overrides for job in launched], first + len(outcomes))
        except WorkerDiedError as error:
            ended = _outcomes_in_store(launched, but=ended_before)
            lost = [job for job in launched if _id(job) not in ended]
            deaths.update(map(_id, _running(lost, parent.run_id) or lost))
            parent.end_dead_children()
            if lost and not among_others:
                ended[_id(lost[0])] = _given_up(lost[0], deaths[_id(lost[0])], error)
            outcomes |= ended
            waiting = [job for job in waiting if _id(job) not in ended]
            # What may be to blame comes last, so that the others get their turn.
            waiting.sort(key=lambda job: deaths[_id(job)])
            if waiting:
                say(f"a worker died; {len(waiting)} runs continue in new workers")
        else:
            outcomes |= dict(zip(map(_id, launched), map(outcome_of, returns), strict=True))
            waiting = [job for job in waiting if job not in launched]
    return outcomes


def _id(job: Job) -> str:
    return job.plan.identity


def _name(job: Job) -> str:
    return descriptions.run_name(job.plan.config)


def _given_up(job: Job, deaths: int, error: Exception) -> Outcome:
    failure = f"its worker died {deaths} times: {error}"
    say(f"{_name(job)}: FAILED, {failure}")
    return Outcome(_name(job), result=None, failure=failure)


def _ended_runs(jobs: Sequence[Job]) -> list[StoredRun]:
    return _find(jobs, statuses=("FINISHED", "FAILED"))


def _outcomes_in_store(
    jobs: Sequence[Job], *, but: set[tuple[str, int | None]]
) -> dict[str, Outcome]:
    """Return what the store knows of jobs whose returns were lost, by identity."""
    identities = set(map(_id, jobs))
    outcomes: dict[str, Outcome] = {}
    for run in _ended_runs(jobs):
        if run.ending in but or run.identity not in identities - outcomes.keys():
            continue
        failure = run.tags.get(FAILURE_TAG, run.status) if run.status == "FAILED" else None
        result = None if failure else experiment.result_of(run)
        outcomes[run.identity] = Outcome(run.name, result, failure)
    return outcomes


def _running(jobs: Sequence[Job], parent: str) -> list[Job]:
    """Return those of a sweep's jobs whose runs say RUNNING."""
    if not jobs:
        return []
    runs = _find(jobs, statuses=("RUNNING",), tags={SWEEP_TAG: parent})
    identities = {run.identity for run in runs}
    return [job for job in jobs if _id(job) in identities]


def _find(
    jobs: Sequence[Job], *, statuses: Sequence[str], tags: Mapping[str, str] | None = None
) -> list[StoredRun]:
    """Find runs where jobs are recorded, also where the server comes back only after a while."""
    plan = jobs[0].plan
    return delivery.retry_while_away(
        lambda: plan.find_runs(statuses=statuses, tags=tags), uri=plan.uri
    )

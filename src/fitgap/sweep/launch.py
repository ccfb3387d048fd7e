"""Hand a sweep's jobs to a launcher until each has an outcome, whatever becomes of the workers."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hydra.core.utils import JobReturn

from fitgap import experiment, store
from fitgap.experiment import Plan
from fitgap.store import StoredRun
from fitgap.sweep.composition import Overrides
from fitgap.sweep.job import Outcome, outcome_of
from fitgap.sweep.launchers import WorkerDiedError
from fitgap.tracking import delivery

if TYPE_CHECKING:
    from fitgap.tracking.sweep_writer import SweepRecord

# Hands jobs to Hydra's launcher, numbered from the second argument on.
Launch = Callable[[Sequence[Overrides], int], Sequence[JobReturn]]

# A job may take its worker, and with it the other workers, down every time: for want of memory,
# say. After so many deaths under it, it is launched by itself when all others are done.
MOST_DEATHS_AMONG_OTHERS = 2


@dataclass(frozen=True)
class Child:
    """A job as it is launched.

    Attributes
    ----------
    plan
        The experiment.
    overrides
        Its own, and those that make it a child of the sweep's parent run.
    """

    plan: Plan
    overrides: Overrides


def launch_all(
    children: Sequence[Child],
    launch: Launch,
    *,
    parent: "SweepRecord",
    fail_fast: bool = False,
    first: int = 0,
) -> dict[str, Outcome]:
    """Launch jobs, those of dead workers again, until each has an outcome.

    Parameters
    ----------
    children
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
    waiting = list(children)
    deaths: Counter[str] = Counter()
    while waiting:
        if fail_fast and any(outcome.failure for outcome in outcomes.values()):
            return outcomes | {_id(child): Outcome(_name(child), None, None) for child in waiting}
        among_others = [child for child in waiting if deaths[_id(child)] < MOST_DEATHS_AMONG_OTHERS]
        launched = among_others or waiting[:1]
        ended_before = {_ending(run) for run in _ended_runs(launched)}
        try:
            returns = launch([child.overrides for child in launched], first + len(outcomes))
        except WorkerDiedError as error:
            ended = _outcomes_in_store(launched, but=ended_before)
            lost = [child for child in launched if _id(child) not in ended]
            deaths.update(map(_id, _running(lost, parent.run_id) or lost))
            parent.end_dead_children()
            if lost and not among_others:
                ended[_id(lost[0])] = _given_up(lost[0], deaths[_id(lost[0])], error)
            outcomes |= ended
            waiting = [child for child in waiting if _id(child) not in ended]
            # What may be to blame comes last, so that the others get their turn.
            waiting.sort(key=lambda child: deaths[_id(child)])
            if waiting:
                print(f"a worker died; {len(waiting)} runs go on in new ones", flush=True)
        else:
            outcomes |= dict(zip(map(_id, launched), map(outcome_of, returns), strict=True))
            waiting = [child for child in waiting if child not in launched]
    return outcomes


def _id(child: Child) -> str:
    return child.plan.identity


def _name(child: Child) -> str:
    return experiment.run_name(child.plan.config)


def _given_up(child: Child, deaths: int, error: Exception) -> Outcome:
    failure = f"its worker died {deaths} times: {error}"
    print(f"{_name(child)}: FAILED, {failure}", flush=True)
    return Outcome(_name(child), result=None, failure=failure)


def _ended_runs(children: Sequence[Child]) -> list[StoredRun]:
    plan = children[0].plan
    return _find(plan, statuses=("FINISHED", "FAILED"))


def _ending(run: StoredRun) -> tuple[str, int | None]:
    """Return what tells apart the times that a run ended: one that failed can end again."""
    return run.run_id, run.end_time


def _outcomes_in_store(
    children: Sequence[Child], *, but: set[tuple[str, int | None]]
) -> dict[str, Outcome]:
    """Return what the store knows of jobs whose returns were lost, by identity."""
    identities = set(map(_id, children))
    outcomes: dict[str, Outcome] = {}
    for run in _ended_runs(children):
        identity = run.tags.get("fitgap.identity", "")
        if _ending(run) in but or identity not in identities or identity in outcomes:
            continue
        failure = run.tags.get("fitgap.failure") if run.status == "FAILED" else None
        result = experiment.result_of(run)
        outcomes[identity] = Outcome(run.name, None if failure else result, failure)
    return outcomes


def _running(children: Sequence[Child], parent: str) -> list[Child]:
    """Return those of a sweep's jobs whose runs say RUNNING."""
    if not children:
        return []
    plan = children[0].plan
    runs = _find(plan, statuses=("RUNNING",), tags={"fitgap.sweep": parent})
    identities = {run.tags.get("fitgap.identity") for run in runs}
    return [child for child in children if _id(child) in identities]


def _find(
    plan: Plan, *, statuses: Sequence[str], tags: Mapping[str, str] | None = None
) -> list[StoredRun]:
    """Find runs, also where the server comes back only after a while."""
    experiment_name = plan.config.tracking.experiment
    return delivery.retry_while_away(
        lambda: store.find_runs(plan.uri, experiment=experiment_name, statuses=statuses, tags=tags),
        uri=plan.uri,
    )

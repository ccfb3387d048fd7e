"""A sweep: check the whole grid, train what is not finished yet, report the outcome.

Nothing starts before every job of the grid is known to be right. The runs are children of one
parent run; those that earlier sweeps finished are not trained again but belong to the answer.
A sweep that was interrupted continues in its parent run.
"""

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fitgap import experiment, heavy_imports, store
from fitgap.config.parameters import flatten, without_volatile
from fitgap.config.quoting import quoted
from fitgap.config.schema import Config
from fitgap.config.settings import to_plain
from fitgap.console import say
from fitgap.errors import RequestError, StoreAwayError
from fitgap.experiment import Plan
from fitgap.store import StoredRun
from fitgap.sweep import dispatch, endings, live_view
from fitgap.sweep import plan as sweep_plan
from fitgap.sweep.checking import (
    checked,
    earlier_parent,
    failed_before,
    identity_of,
    refuse_running,
    unfinished,
)
from fitgap.sweep.composition import Overrides
from fitgap.sweep.job import Job, Outcome
from fitgap.sweep.plan import PlannedJob, SweepPlan
from fitgap.sweep.watching import Watch
from fitgap.sweep.workers import Workers
from fitgap.tag_names import SWEEP_IDENTITY_TAG, SWEEP_TAG
from fitgap.tracking import delivery, descriptions

if TYPE_CHECKING:
    from fitgap.tracking.sweep_writer import SweepRecord

# Takes the parent run's id, and the plans of all jobs.
Publish = Callable[[str, Sequence[Plan]], None]


@dataclass(frozen=True)
class Request:
    """What the command of a sweep gives besides its grid.

    Attributes
    ----------
    hydra, task
        Its overrides, of Hydra's settings and of the experiment's, from which the sweep can be
        started again.
    fail_fast
        Whether the first failure keeps jobs that have not started from starting.
    resume
        Run id of the parent to go on with, which must be of the same jobs.
    is_round
        Whether it is a round of a race, which says itself at its end what can be looked at.
    """

    hydra: Sequence[str] = ()
    task: Sequence[str] = ()
    fail_fast: bool = False
    resume: str | None = None
    is_round: bool = False


def run(
    grid: Sequence[Overrides],
    settings: Iterable[Config],
    *,
    workers: Workers,
    publish: Publish,
    request: Request = Request(),
) -> list[Outcome]:
    """Run a sweep to its end.

    Parameters
    ----------
    grid
        The overrides of each job.
    settings
        What each job's overrides make, in that order; see `fitgap.sweep.composition`.
    workers
        What runs the jobs; their number decides the order.
    publish
        Shows the outcome of the sweep at its parent run, after the last job.
    request
        The rest of the command.

    Returns
    -------
    list of Outcome
        Of the jobs that were trained now.

    Raises
    ------
    RequestError
        If any job of the grid is wrong, or the same sweep is running; nothing was started then.
        Whether a network fits its data shows when it is built: if none of the whole grid does,
        nothing of the sweep is recorded.
    SystemExit
        With 1, after the others had their chance, if a run failed.
    """
    with live_view.doing(f"checking {len(grid)} runs"):
        jobs = checked(grid, settings)
        parent_run = earlier_parent(jobs, resume=request.resume)
        waiting = unfinished(jobs, resumed=request.resume)
    different = len({job.plan.identity for job in jobs})
    say(
        f"sweep of {len(jobs)} runs: {different - len(waiting)} finished before, "
        f"{len(waiting)} to train"
        + (f"; {len(jobs) - different} the same as others" if different < len(jobs) else "")
    )
    plan = jobs[0].plan
    if not waiting and (parent_run is None or parent_run.status == "FINISHED"):
        if not request.is_round:
            say("\n".join(endings.of_sweep(plan)))
        return []
    for line in dict.fromkeys(line for job in jobs for line in experiment.remarks(job.plan)):
        say(line)
    if parent_run is not None:
        refuse_running(parent_run, uri=plan.uri)
        say(f"continues in its parent run {parent_run.run_id}")

    plans = [job.plan for job in jobs]
    with (
        workers,
        _opened(jobs, grid, parent_run) as parent,
        endings.on_interruption(lambda: endings.say_sweep_stopped(plans, parent=parent.run_id)),
    ):
        described = describe(
            jobs, grid, workers=workers.number, request=request, parent=parent.run_id
        )
        parent.log_text(sweep_plan.to_json(described), sweep_plan.FILE_NAME)
        outcomes = _train(jobs, waiting, grid, workers=workers, request=request, parent=parent)
        if parent_run is None and len(waiting) == different:
            _refuse_if_all_wrong(outcomes, plan=plan, parent=parent)
        failed = _say_failures(outcomes, of=len(waiting), plan=plan, parent=parent)
        # What workers that have ended could not send: the sweep's page is made of the record.
        with contextlib.suppress(StoreAwayError):
            delivery.deliver_waiting(plan.uri)
        with live_view.doing("drawing the sweep's page"):
            publish(parent.run_id, plans)
    if not request.is_round:
        say(f"recorded in {store.redact(plan.uri)}")
        say("\n".join(endings.of_sweep(plan)))
    if failed:
        raise SystemExit(1)
    return outcomes


@contextlib.contextmanager
def _opened(
    jobs: Sequence[Job], grid: Sequence[Overrides], earlier: StoredRun | None
) -> "Iterator[SweepRecord]":
    """Open the parent run of a sweep: that of an earlier invocation, or a new one."""
    plan = jobs[0].plan
    with (
        endings.on_interruption(endings.say_sweep_not_begun),
        live_view.doing("starting workers, opening the record"),
    ):
        with heavy_imports.paused_garbage_collection():
            from fitgap.tracking import run_writer, setup, sweep_writer

        experiment_id = setup.prepare(plan.uri, plan.experiment, metrics=plan.config.metrics)
    given = {job.plan.config.name for job in jobs}
    name = (plan.config.name if len(given) == 1 else None) or _name_of_sweep(grid)
    with sweep_writer.open_sweep(
        name,
        uri=plan.uri,
        experiment_id=experiment_id,
        experiment=plan.experiment,
        tags={**run_writer.user_tags(plan.config), SWEEP_IDENTITY_TAG: identity_of(jobs)},
        reopen=earlier,
    ) as parent:
        yield parent


def _train(
    jobs: Sequence[Job],
    waiting: Sequence[Job],
    grid: Sequence[Overrides],
    *,
    workers: Workers,
    request: Request,
    parent: "SweepRecord",
) -> list[Outcome]:
    """Train the jobs that wait, show their progress, and return the outcome of each."""
    ordered = same_networks_together(waiting, workers=workers.number)
    if request.fail_fast:  # what failed before does not keep the others from their turn
        failed = failed_before(ordered)
        ordered.sort(key=lambda job: job.plan.identity in failed)
    children = [
        _child(job, name=_name_of_job(job, jobs, grid), parent=parent.run_id) for job in ordered
    ]
    plan, identities = jobs[0].plan, {job.plan.identity for job in jobs}
    watch = Watch(
        plan.uri,
        experiment=plan.experiment,
        parent=parent.run_id,
        total=len(identities),
        finished=identities - {job.plan.identity for job in waiting},
    )
    with live_view.show(watch):
        outcomes = dispatch.launch_all(
            children, workers.launch, parent=parent, fail_fast=request.fail_fast
        )
    return list(outcomes.values())


def _refuse_if_all_wrong(outcomes: Sequence[Outcome], *, plan: Plan, parent: "SweepRecord") -> None:
    """Refuse a sweep of which nothing was finished before if no job could start either."""
    tried = [outcome for outcome in outcomes if outcome.failure is not None]
    if not tried or not all(one.is_wrong for one in tried) or any(one.result for one in outcomes):
        return
    if plan.find_runs(statuses=store.ANY_STATUS, tags={SWEEP_TAG: parent.run_id}):
        return  # one had begun
    parent.discard()
    reasons = [str(one.failure).removeprefix("RequestError: ") for one in tried]
    several = len(set(reasons))
    of_several = f" (the first of {several} reasons why no run began)" if several > 1 else ""
    raise RequestError(reasons[0] + of_several)


def _say_failures(
    outcomes: Sequence[Outcome], *, of: int, plan: Plan, parent: "SweepRecord"
) -> bool:
    """Print and record which runs failed; return whether any did."""
    failures = [outcome for outcome in outcomes if outcome.failure is not None]
    if not failures:
        return False
    reason = f"{len(failures)} of {of} runs failed"
    lines = [f"  {outcome.name}: {outcome.failure}" for outcome in failures]
    say("\n".join(["", f"{reason}:", *lines]))
    not_run = sum(outcome.result is None for outcome in outcomes) - len(failures)
    if not_run:
        say(f"{not_run} runs were not started (hydra.sweeper.fail_fast)")
    say(f"run them again: {endings.resume_command(plan.uri, parent.run_id)}")
    parent.fail(reason)
    return True


def describe(
    jobs: Sequence[Job],
    grid: Sequence[Overrides],
    *,
    workers: int,
    request: Request,
    parent: str | None,
) -> SweepPlan:
    """Return what a sweep's parent run stores: its command, and its jobs with the runs they reuse.

    Parameters
    ----------
    jobs
        All jobs of the sweep.
    grid
        Their overrides, which give them their names.
    workers
        How many jobs run at once.
    request
        The rest of the command.
    parent
        Run id of the parent, whose own runs are not reused; None before there is one.
    """
    plan = jobs[0].plan
    reuse = plan.config.tracking.reuse
    reused = {
        run.identity: run.run_id
        for run in reversed(plan.find_runs() if reuse else [])  # the newest stays
        if run.tags.get(SWEEP_TAG) != parent
    }
    return SweepPlan(
        hydra=request.hydra,
        task=request.task,
        workers=workers,
        reuse=reuse,
        jobs=[
            PlannedJob(
                name=_name_of_job(job, jobs, grid),
                identity=job.plan.identity,
                overrides=job.overrides,
                reused=reused.get(job.plan.identity),
            )
            for job in {job.plan.identity: job for job in jobs}.values()
        ],
    )


def same_networks_together(jobs: Sequence[Job], *, workers: int) -> list[Job]:
    """Order jobs so that each worker gets those with the same compiled graph one after the other.

    Workers take the next job as they become free, so as many kinds of graph are dealt out in turns
    as there are workers. Runs that differ only in seed or learning rate share a graph.

    Parameters
    ----------
    jobs
        Those to train.
    workers
        How many jobs run at once.
    """
    kinds: dict[str, list[Job]] = {}
    for job in jobs:
        settings = without_volatile(flatten(to_plain(job.plan.config)))
        graph = {k: v for k, v in settings.items() if k not in ("seed", "optimizer.learning_rate")}
        kinds.setdefault(json.dumps(graph, sort_keys=True), []).append(job)
    ordered: list[Job] = []
    waiting = list(kinds.values())
    lanes: list[list[Job]] = []
    while waiting or lanes:
        lanes += [waiting.pop(0) for _ in range(min(workers - len(lanes), len(waiting)))]
        ordered += [lane.pop(0) for lane in lanes]
        lanes = [lane for lane in lanes if lane]
    return ordered


def _name_of_sweep(grid: Sequence[Overrides]) -> str:
    varying = [override.partition("=")[0] for override in sweep_plan.varying(grid[0], grid)]
    return f"sweep over {', '.join(varying)}" if varying else "sweep"


def _unquoted(override: str) -> str:
    """Return an override without the quotes that Hydra's grammar needs around some values.

    >>> _unquoted("architecture='작은_망'"), _unquoted("seed=0"), _unquoted("tags={a:'b'}")
    ('architecture=작은_망', 'seed=0', "tags={a:'b'}")
    """
    key, _, value = override.partition("=")
    is_quoted = len(value) > 1 and value[0] == value[-1] == "'"
    return f"{key}={value[1:-1]}" if is_quoted else override


def _name_of_job(job: Job, jobs: Sequence[Job], grid: Sequence[Overrides]) -> str:
    """Return a name that distinguishes a run from the others of its sweep."""
    name = job.plan.config.name
    varying = " ".join(map(_unquoted, sweep_plan.varying(job.overrides, grid)))
    if not varying or any(other.plan.config.name != name for other in jobs):
        return descriptions.run_name(job.plan.config)
    return f"{name}: {varying}" if name else varying


def _child(job: Job, *, name: str, parent: str) -> Job:
    """Return a job as it is launched: with what makes its run a child of the sweep's."""
    added = [
        f"++tracking.parent={parent}",
        "++tracking.watched=true",
        # The record by name: a worker on a cluster may have another environment or folder than
        # this process.
        f"++tracking.experiment={quoted(job.plan.experiment)}",
        f"++tracking.uri={quoted(job.plan.uri)}",
        f"name={quoted(name)}",
    ]
    return replace(job, overrides=[*job.overrides, *added])

"""A sweep: check the whole grid, train what is not there yet, say what came of it.

Nothing starts before every job of the grid is known to be right. The runs are children of one
parent run; those that earlier sweeps finished are not trained again but belong to the answer.
Jobs whose worker died are handed out again.
"""

import contextlib
import copy
import functools
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hydra.core.utils import JobReturn
from omegaconf import DictConfig, OmegaConf

from fitgap import cli, config, delivery, experiment, store
from fitgap.config import Config, decisive, flatten, to_plain
from fitgap.errors import RequestError, StoreAwayError
from fitgap.experiment import Plan
from fitgap.jobs import Outcome
from fitgap.launchers import WorkerDiedError

Overrides = list[str]
Compose = Callable[[Overrides], DictConfig]
Launch = Callable[[Sequence[Overrides]], Sequence[JobReturn]]

# A job may take its worker with it every time, for want of memory say; the sweep gives up when
# this many launches in a row have finished nothing.
MAX_FRUITLESS_LAUNCHES = 2


@dataclass(frozen=True)
class Job:
    """One point of the grid: its overrides and the experiment they make."""

    overrides: Overrides
    plan: Plan


def run(
    grid: Sequence[Overrides], *, compose: Compose, launch: Launch, workers: int
) -> list[Outcome]:
    """Run a sweep to its end.

    Parameters
    ----------
    grid
        The overrides of each job.
    compose
        Makes a job's configuration of its overrides.
    launch
        Hands jobs to Hydra's launcher and returns when they have ended.
    workers
        How many jobs the launcher runs at once, as far as that is known; it decides the order.

    Returns
    -------
    list of Outcome
        Of the jobs that were trained now.

    Raises
    ------
    RequestError
        If any job of the grid is wrong; nothing was started then.
    SystemExit
        With 1, after the others had their chance, if a run failed.
    """
    jobs = checked(grid, compose=compose)
    waiting = in_order_for_reuse(unfinished(jobs), workers=workers)
    reused = len(jobs) - len(waiting)
    print(f"sweep of {len(jobs)} runs: {reused} finished before, {len(waiting)} to train")
    if not waiting:
        return []

    from fitgap import publication, tracking

    plan = waiting[0].plan
    experiment_id = tracking.prepare(plan.uri, plan.config.tracking.experiment)
    name = plan.config.name or _name_of_sweep(grid)
    with tracking.open_sweep(
        name, uri=plan.uri, experiment_id=experiment_id, experiment=plan.config.tracking.experiment
    ) as parent:
        parent.log_text(json.dumps([_describe(job) for job in jobs], indent=1), "plan.json")
        children = {
            job.plan.identity: _child_overrides(job, grid, parent.run_id) for job in waiting
        }
        outcomes = _launch_all(waiting, children, launch)
        failures = [outcome for outcome in outcomes if outcome.failure is not None]
        if failures:
            reason = f"{len(failures)} of {len(waiting)} runs failed"
            lines = [f"  {outcome.name}: {outcome.failure}" for outcome in failures]
            print("\n".join(["", f"{reason}:", *lines]), flush=True)
            parent.fail(reason)
        # What workers that have ended could not send: the sweep's page is made of the record.
        with contextlib.suppress(StoreAwayError):
            delivery.deliver_waiting(plan.uri)
        publication.publish(parent.run_id, [job.plan for job in jobs])
    print(f"recorded in {store.redact(plan.uri)}")
    print(f'compare them: make compare ARGS="--experiment {plan.config.tracking.experiment}"')
    if failures:
        raise SystemExit(cli.FAILED)
    return outcomes


def checked(grid: Sequence[Overrides], *, compose: Compose) -> list[Job]:
    """Return the grid's jobs, each checked as far as that goes without TensorFlow.

    Raises
    ------
    RequestError
        If one of them is wrong, or the store cannot be used.
    """
    composed: dict[tuple[str, ...], Config] = {}
    jobs = []
    for overrides in grid:
        try:
            jobs.append(Job(overrides, experiment.plan(_compose(overrides, compose, composed))))
        except RequestError as error:
            raise RequestError(f"{error} (in the job {' '.join(overrides)})") from error
    store.check(jobs[0].plan.uri)
    delivery.deliver_waiting(jobs[0].plan.uri)
    return jobs


def _compose(
    overrides: Overrides, compose: Compose, composed: dict[tuple[str, ...], Config]
) -> Config:
    """Compose a job, at once where one that differs only in its seed was composed before.

    Hydra takes a tenth of a second for each, and most jobs of a sweep differ only so.
    """
    seeds = [override for override in overrides if re.fullmatch(r"seed=\d+", override)]
    others = tuple(override for override in overrides if override not in seeds)
    if len(seeds) != 1 or others not in composed:
        unresolved = compose(overrides)
        settings = config.from_hydra(unresolved)
        # Where another setting follows the seed, as name='run ${seed}', each is composed anew.
        if not re.search(r"\$\{[^}]*seed", OmegaConf.to_yaml(unresolved)):
            composed[others] = settings
        return settings
    settings = copy.deepcopy(composed[others])
    settings.seed = int(seeds[0].partition("=")[2])
    config.validate(settings)
    return settings


def unfinished(jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs to train: no finished run of their identity, each identity once."""
    tracking = jobs[0].plan.config.tracking
    finished: set[str | None] = set()
    if tracking.reuse:
        runs = store.find_runs(jobs[0].plan.uri, experiment=tracking.experiment)
        finished = {run.tags.get("fitgap.identity") for run in runs}
    waiting = {job.plan.identity: job for job in jobs if job.plan.identity not in finished}
    return list(waiting.values())


def in_order_for_reuse(jobs: Sequence[Job], *, workers: int) -> list[Job]:
    """Order jobs so that each worker meets those that share a compiled graph one after the other.

    Workers take the next job as they become free, so as many kinds of graph are dealt out in
    turns as there are workers. Runs that differ only in seed or learning rate share a graph.
    """
    kinds: dict[str, list[Job]] = {}
    for job in jobs:
        settings = decisive(flatten(to_plain(job.plan.config)))
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


def _launch_all(
    jobs: Sequence[Job], children: dict[str, Overrides], launch: Launch
) -> list[Outcome]:
    """Launch jobs until each has an outcome, those of dead workers again."""
    outcomes: list[Outcome] = []
    waiting = list(jobs)
    fruitless = 0
    while waiting:
        try:
            returns = launch([children[job.plan.identity] for job in waiting])
        except WorkerDiedError as error:
            ended = delivery.patiently(functools.partial(_ended, waiting), uri=waiting[0].plan.uri)
            fruitless = 0 if ended else fruitless + 1
            outcomes += ended.values()
            waiting = [job for job in waiting if job.plan.identity not in ended]
            print(f"a worker died; {len(waiting)} runs go on in new ones", flush=True)
            if fruitless >= MAX_FRUITLESS_LAUNCHES:
                failure = f"its worker died {fruitless} times: {error}"
                names = [experiment.run_name(job.plan.config) for job in waiting]
                return [*outcomes, *(Outcome(name, None, failure) for name in names)]
        else:
            return [*outcomes, *(job_return.return_value for job_return in returns)]
    return outcomes


def _ended(jobs: Sequence[Job]) -> dict[str, Outcome]:
    """Return what the store knows of jobs whose returns were lost, by identity."""
    plan = jobs[0].plan
    identities = {job.plan.identity for job in jobs}
    outcomes = {}
    for run in store.find_runs(
        plan.uri, experiment=plan.config.tracking.experiment, statuses=("FINISHED", "FAILED")
    ):
        identity = run.tags.get("fitgap.identity", "")
        if identity in identities and identity not in outcomes:  # the newest comes first
            failure = run.tags.get("fitgap.failure") if run.status == "FAILED" else None
            result = experiment.result_of(run)
            outcomes[identity] = Outcome(run.name, None if failure else result, failure)
    return outcomes


def _name_of_sweep(grid: Sequence[Overrides]) -> str:
    varying = [override.partition("=")[0] for override in _varying(grid[0], grid)]
    return f"sweep over {', '.join(varying)}" if varying else "sweep"


def _varying(overrides: Overrides, grid: Sequence[Overrides]) -> list[str]:
    """Return those of a job's overrides that not every job of the grid has."""
    return [o for o in overrides if not all(o in others for others in grid)]


def _child_overrides(job: Job, grid: Sequence[Overrides], parent: str) -> Overrides:
    # The store by name: a worker on a cluster may have another environment than this process.
    added = [f"++tracking.parent={parent}", f"++tracking.uri={_quoted(job.plan.uri)}"]
    varying = _varying(job.overrides, grid)
    if job.plan.config.name is None and varying:
        added.append(f"name={_quoted(' '.join(varying))}")
    return [*job.overrides, *added]


def _quoted(text: str) -> str:
    """Return text as a value in Hydra's language of overrides."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _describe(job: Job) -> dict[str, object]:
    return {"overrides": job.overrides, "identity": job.plan.identity}

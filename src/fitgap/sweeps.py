"""A sweep: check the whole grid, train what is not there yet, say what came of it.

Nothing starts before every job of the grid is known to be right. The runs are children of one
parent run; those that earlier sweeps finished are not trained again but belong to the answer.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hydra.core.utils import JobReturn
from omegaconf import DictConfig

from fitgap import cli, config, experiment, store
from fitgap.errors import RequestError
from fitgap.experiment import Plan
from fitgap.jobs import Outcome

Overrides = list[str]
Compose = Callable[[Overrides], DictConfig]
Launch = Callable[[Sequence[Overrides]], Sequence[JobReturn]]


@dataclass(frozen=True)
class Job:
    """One point of the grid: its overrides and the experiment they make."""

    overrides: Overrides
    plan: Plan


def run(grid: Sequence[Overrides], *, compose: Compose, launch: Launch) -> list[Outcome]:
    """Run a sweep to its end.

    Parameters
    ----------
    grid
        The overrides of each job.
    compose
        Makes a job's configuration of its overrides.
    launch
        Hands jobs to Hydra's launcher and returns when they have ended.

    Returns
    -------
    list of Outcome
        Of the jobs that were trained now, in the order of the grid.

    Raises
    ------
    RequestError
        If any job of the grid is wrong; nothing was started then.
    SystemExit
        With 1, after the others had their chance, if a run failed.
    """
    jobs = [_checked(overrides, compose) for overrides in grid]
    uri = jobs[0].plan.uri
    store.check(uri)
    waiting = _unfinished(jobs)
    total, reused = len(jobs), len(jobs) - len(waiting)
    print(f"sweep of {total} runs: {reused} finished before, {len(waiting)} to train", flush=True)
    if not waiting:
        return []

    from fitgap import tracking

    first = waiting[0].plan.config.tracking
    experiment_id = tracking.prepare(uri, first.experiment)
    name = waiting[0].plan.config.name or _name_of_sweep(grid)
    with tracking.open_sweep(name, uri=uri, experiment_id=experiment_id) as parent:
        parent.log_text(json.dumps([_describe(job) for job in jobs], indent=1), "plan.json")
        returns = launch([_child_overrides(job, grid, parent.run_id) for job in waiting])
        outcomes = [_outcome(job_return) for job_return in returns]
        failures = [outcome for outcome in outcomes if outcome.failure is not None]
        if failures:
            print(f"\n{len(failures)} of {len(waiting)} runs failed:")
            for outcome in failures:
                print(f"  {outcome.name}: {outcome.failure}")
            print("", end="", flush=True)
            parent.fail(f"{len(failures)} of {len(waiting)} runs failed")
    if failures:
        raise SystemExit(cli.FAILED)
    return outcomes


def _checked(overrides: Overrides, compose: Compose) -> Job:
    try:
        return Job(overrides, experiment.plan(config.from_hydra(compose(overrides))))
    except RequestError as error:
        raise RequestError(f"{error} (in the job {' '.join(overrides)})") from error


def _unfinished(jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs to train: no finished run of their identity, each identity once."""
    tracking = jobs[0].plan.config.tracking
    finished: set[str | None] = set()
    if tracking.reuse:
        runs = store.find_runs(jobs[0].plan.uri, experiment=tracking.experiment)
        finished = {run.tags.get("fitgap.identity") for run in runs}
    waiting = {job.plan.identity: job for job in jobs if job.plan.identity not in finished}
    return list(waiting.values())


def _name_of_sweep(grid: Sequence[Overrides]) -> str:
    varying = [override.partition("=")[0] for override in _varying(grid[0], grid)]
    return f"sweep over {', '.join(varying)}" if varying else "sweep"


def _varying(overrides: Overrides, grid: Sequence[Overrides]) -> list[str]:
    """Return those of a job's overrides that not every job of the grid has."""
    return [o for o in overrides if not all(o in others for others in grid)]


def _child_overrides(job: Job, grid: Sequence[Overrides], parent: str) -> Overrides:
    added = [f"++tracking.parent={parent}"]
    varying = _varying(job.overrides, grid)
    if job.plan.config.name is None and varying:
        name = " ".join(varying).replace("\\", "\\\\").replace("'", "\\'")
        added.append(f"name='{name}'")
    return [*job.overrides, *added]


def _describe(job: Job) -> dict[str, object]:
    return {"overrides": job.overrides, "identity": job.plan.identity}


def _outcome(job_return: JobReturn) -> Outcome:
    outcome: Outcome = job_return.return_value
    return outcome

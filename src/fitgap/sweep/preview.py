"""What a sweep would train, shown before anything starts: its whole grid, checked."""

from collections.abc import Iterable, Mapping, Sequence

from fitgap import store
from fitgap.config.parameters import to_text, without_volatile
from fitgap.config.schema import Config
from fitgap.config.settings import recorded
from fitgap.console import say
from fitgap.store import StoredRun
from fitgap.sweep.checking import checked, earlier_parent
from fitgap.sweep.composition import Overrides
from fitgap.sweep.grid import Request, describe
from fitgap.sweep.job import Job
from fitgap.sweep.progress import duration, status_of, typical_seconds
from fitgap.sweep.status import SHORT_ID, State, Sweep, runs_by_identity, state_of
from fitgap.training import checkpoints


def preview(grid: Sequence[Overrides], settings: Iterable[Config], *, workers: int) -> None:
    """Print what a sweep would train, after checking its whole grid; nothing is started.

    Parameters
    ----------
    grid
        The overrides of each job.
    settings
        What each job's overrides make, in the same order.
    workers
        How many jobs would run at once, for the expected time.

    Raises
    ------
    RequestError
        If any job of the grid is wrong.
    """
    jobs = checked(grid, settings)
    plan = jobs[0].plan
    parent = earlier_parent(jobs, resume=None)
    described = describe(jobs, grid, workers=workers, request=Request(), parent=None)
    by_identity = runs_by_identity(plan.uri, plan.experiment)
    by_job = {job.plan.identity: job for job in jobs}
    waiting: list[Job] = []
    say(f"{len(described.jobs)} runs in experiment {plan.experiment} of {store.redact(plan.uri)}")
    for planned in described.jobs:
        job = by_job[planned.identity]
        runs = by_identity.get(planned.identity, ())
        state, run = state_of(runs, sweep=None, reuse=described.reuse)
        if state is not State.FINISHED:
            waiting.append(job)
        say(f"  {planned.name}: {_expectation(job, state, run)}")
    say(f"{len(described.jobs) - len(waiting)} finished before, {len(waiting)} to train")
    if waiting:
        engines = sorted({_engine(job) for job in waiting})
        say(f"engine: {', '.join(engines)}; workers: {workers}")
        say(f"time: {_expected_time(waiting, by_identity, workers=workers)}")
    if parent is not None:
        say(f"the sweep's parent run is {parent.run_id} ({status_of(Sweep('', parent))})")


def _expectation(job: Job, state: State, run: StoredRun | None) -> str:
    if run is None:
        return "to train"
    name = run.run_id[:SHORT_ID]
    if state is State.FINISHED:
        return f"finished, run {name}"
    if state is State.RUNNING:
        return f"running, run {name}"
    done = checkpoints.epochs_done(job.plan.checkpoint_path)
    start = f"after epoch {done} of {job.plan.config.training.epochs}" if done else "from the start"
    why = "failed" if state is State.FAILED else "was interrupted"
    return f"to train, run {name} {why}: continues {start}"


def _engine(job: Job) -> str:
    choice = job.plan.choice
    return choice.name + (" with XLA" if choice.xla else "")


def _expected_time(
    waiting: Sequence[Job], by_identity: Mapping[str, Sequence[StoredRun]], *, workers: int
) -> str:
    """Say how long jobs will take by the finished runs of the same settings with other seeds."""
    finished = [run for runs in by_identity.values() for run in runs if run.status == "FINISHED"]
    measured: dict[frozenset[tuple[str, str]], float | None] = {}
    total, unknown, used = 0.0, 0, 0
    for job in waiting:
        settings = _settings_without_seed(job)
        if settings not in measured:
            alike = [run for run in finished if settings <= run.params.items()]
            used += len(alike)
            measured[settings] = typical_seconds(alike)
        seconds = measured[settings]
        unknown += seconds is None
        total += seconds or 0
    if unknown == len(waiting):
        return "unknown, no run of these settings has finished yet"
    busy = max(1, min(workers, len(waiting)))
    estimate = f"about {duration(total / busy)} by {used} finished runs that differ in the seed"
    return f"{estimate}, and {unknown} runs of unknown length" if unknown else estimate


def _settings_without_seed(job: Job) -> frozenset[tuple[str, str]]:
    settings = without_volatile(recorded(job.plan.config))
    return frozenset((key, to_text(value)) for key, value in settings.items() if key != "seed")

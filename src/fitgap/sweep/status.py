"""What has become of a sweep, and how to go on with it: read from the record alone."""

import statistics
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from fitgap import processes, store
from fitgap.config import program
from fitgap.errors import RequestError
from fitgap.store import StoredRun
from fitgap.sweep import plan as sweep_plan
from fitgap.sweep.plan import SweepPlan
from fitgap.trust import overrides as trust

STATUSES = ("RUNNING", "FINISHED", "FAILED", "KILLED", "SCHEDULED")
# A run on another host that has been silent for so long is worth a word. A healthy one logs an
# epoch's figures every few seconds, but an epoch of a large network takes minutes.
SILENT_SECONDS = 300.0
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
    """A job of a sweep, how far it has come, and the run that tells so (None: not run)."""

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
    """Return the sweeps of an experiment, or of all, the running ones first, then the newest.

    Raises
    ------
    RequestError
        If there are none; it names the experiments that have some.
    """
    found = [
        Sweep(name, parent)
        for name in store.experiments(uri)
        for parent in store.find_runs(
            uri, experiment=name, statuses=STATUSES, tags={"fitgap.role": "sweep"}
        )
    ]
    if not found:
        raise RequestError(f"there are no sweeps in {store.redact(uri)}")
    chosen = [sweep for sweep in found if experiment in (None, sweep.experiment)]
    if not chosen:
        names = ", ".join(sorted({sweep.experiment for sweep in found}))
        raise RequestError(
            f"--experiment must be one with sweeps, got {experiment!r}\nThere are some in: {names}"
        )
    return sorted(
        chosen, key=lambda sweep: (sweep.is_running, sweep.parent.start_time), reverse=True
    )


def choose_sweep(uri: str, *, run_id: str | None, experiment: str | None = None) -> Sweep:
    """Return the sweep of a parent run's id or its beginning; the last one for None.

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
        what = f"{len(named)} sweeps begin so" if named else "the newest are"
        raise RequestError(f"no sweep is {run_id!r} in {store.redact(uri)}; {what}: {known}")
    return named[0]


def read_plan(uri: str, sweep: Sweep) -> SweepPlan:
    """Return what a sweep was asked for.

    Raises
    ------
    RequestError
        If its parent run does not have it: another tool's, or killed in its first second.
    """
    run_id = sweep.parent.run_id
    text = store.artifact_text(sweep.parent, sweep_plan.FILE_NAME, uri=uri)
    if text is None:
        raise RequestError(
            f"sweep {run_id} has no {sweep_plan.FILE_NAME}: it was stopped before its plan was "
            "recorded\nStart it again by its command; what has finished is not trained again"
        )
    try:
        return sweep_plan.from_json(text)
    except ValueError as error:
        raise RequestError(
            f"{sweep_plan.FILE_NAME} of sweep {run_id} cannot be read: {error}"
        ) from error


def job_states(uri: str, sweep: Sweep, plan: SweepPlan) -> list[JobState]:
    """Return how far each job of a sweep has come, in the grid's order."""
    by_identity = runs_by_identity(uri, sweep.experiment)
    return [
        JobState(
            job.name,
            *state_of(
                by_identity.get(job.identity, ()), sweep=sweep.parent.run_id, reuse=plan.reuse
            ),
        )
        for job in plan.jobs
    ]


def runs_by_identity(uri: str, experiment: str) -> dict[str, list[StoredRun]]:
    """Return an experiment's runs of every status by their identity, the newest first."""
    runs: dict[str, list[StoredRun]] = {}
    for run in store.find_runs(uri, experiment=experiment, statuses=STATUSES):
        runs.setdefault(run.tags.get("fitgap.identity", ""), []).append(run)
    return runs


def state_of(
    runs: Sequence[StoredRun], *, sweep: str | None, reuse: bool
) -> tuple[State, StoredRun | None]:
    """Return what the runs of one identity, the newest first, say of a sweep's job.

    Whoever finishes a job, it is finished (unless all was to be trained again); but only the
    sweep's own runs tell what became of its own attempt. Without a sweep, all count.
    """
    own = [run for run in runs if sweep is None or run.tags.get("fitgap.sweep") == sweep]
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


def show_status(uri: str, sweep: Sweep) -> None:
    """Print what has become of a sweep, and how to go on with it."""
    parent = sweep.parent
    plan = read_plan(uri, sweep)
    jobs = job_states(uri, sweep, plan)
    print(f"{parent.name}: {status_of(sweep)}")
    print(f"  run {parent.run_id} in experiment {sweep.experiment}")
    print(f"  {len(jobs)} runs: {_counted(jobs)}")
    details = _details(uri, jobs)
    for job in jobs:
        if job.state is not State.FINISHED:
            detail = details.get(job.run.run_id, "") if job.run else ""
            print(f"  {job.state:<12} {job.name}{f': {detail}' if detail else ''}")
    left = [job for job in jobs if job.state is not State.FINISHED]
    if sweep.is_running:
        print(f"time left: {_time_left(jobs, workers=plan.workers)}")
        if host := _silent_host(uri, sweep, jobs):
            print(f"if {host} is gone: {_resume_command(parent, uri=uri)} --assume-dead {host}")
    elif left or parent.status != "FINISHED":
        print(f"go on with it: {_resume_command(parent, uri=uri)}")


def show_all(uri: str, *, experiment: str | None = None) -> None:
    """Print a line for each sweep."""
    for sweep in find_sweeps(uri, experiment=experiment):
        try:
            said = _counted(job_states(uri, sweep, read_plan(uri, sweep)))
        except RequestError:
            said = "plan not recorded"
        parent = sweep.parent
        print(f"{parent.run_id[:SHORT_ID]}  {status_of(sweep)}  {parent.name} ({sweep.experiment})")
        print(f"          {said}")


def status_of(sweep: Sweep) -> str:
    """Return a sweep's status in words, with the reason if it failed."""
    if sweep.parent.status == "RUNNING" and not sweep.is_running:
        return "INTERRUPTED"
    failure = sweep.parent.tags.get("fitgap.failure")
    return f"{sweep.parent.status} ({failure})" if failure else sweep.parent.status


def _counted(jobs: Sequence[JobState]) -> str:
    numbers = Counter(job.state for job in jobs)
    return ", ".join(f"{numbers[state]} {state}" for state in State if numbers[state])


def _resume_command(parent: StoredRun, *, uri: str) -> str:
    return f"{program.name()} sweep resume{store.option(uri)} {parent.run_id[:SHORT_ID]}"


def _details(uri: str, jobs: Sequence[JobState]) -> dict[str, str]:
    """Return, by run id, why a run failed or how far one that has not ended has come."""
    details = {
        job.run.run_id: job.run.tags.get("fitgap.failure", "")
        for job in jobs
        if job.run is not None and job.state is State.FAILED
    }
    open_runs = [job.run for job in jobs if job.state in (State.RUNNING, State.INTERRUPTED)]
    histories = store.metric_histories(
        uri, run_ids=[run.run_id for run in open_runs if run], keys=["learning_rate"]
    )
    seen = _last_seen(uri, [run for run in open_runs if run])
    for run in open_runs:
        if run is None:
            continue
        done = len(histories[run.run_id].get("learning_rate", ()))
        details[run.run_id] = f"epoch {done} of {run.params.get('training.epochs', '?')} recorded"
        host, silent = run.tags.get(processes.HOST_TAG), time.time() - seen[run.run_id]
        if run.status == "RUNNING" and host not in (None, processes.this_process()["fitgap.host"]):
            details[run.run_id] += f", on {host}"
            if silent > SILENT_SECONDS:
                details[run.run_id] += f", no sign of life for {silent / 60:.0f} minutes"
    return details


def _last_seen(uri: str, runs: Sequence[StoredRun]) -> dict[str, float]:
    """Return the time of each run's last sign of life: its process's start, or its last epoch."""
    times = store.last_metric_times(uri, run_ids=[run.run_id for run in runs], key="learning_rate")
    return {
        run.run_id: max(
            float(run.tags.get(processes.START_TAG, 0)),
            run.start_time / 1000,
            times.get(run.run_id, 0) / 1000,
        )
        for run in runs
    }


def _silent_host(uri: str, sweep: Sweep, jobs: Sequence[JobState]) -> str | None:
    """Return the host of a sweep of which nothing has been heard for long, if it is another."""
    host = sweep.parent.tags.get(processes.HOST_TAG)
    if host is None or host == processes.this_process()[processes.HOST_TAG]:
        return None
    runs = [job.run for job in jobs if job.run is not None]
    newest = max(_last_seen(uri, [sweep.parent, *runs]).values())
    ends = [run.end_time / 1000 for run in runs if run.end_time]
    return host if time.time() - max([newest, *ends]) > SILENT_SECONDS else None


def _time_left(jobs: Sequence[JobState], *, workers: int) -> str:
    left = [job for job in jobs if job.state is not State.FINISHED]
    seconds = typical_seconds([job.run for job in jobs if job.state is State.FINISHED and job.run])
    if not left:
        return "none"
    if seconds is None:
        return "unknown, no run has finished yet"
    running = sum(job.state is State.RUNNING for job in jobs) or workers
    # Those that run are half done on average.
    amount = len(left) - 0.5 * min(running, len(left))
    return f"about {duration(amount * seconds / running)} on {running} workers"


def typical_seconds(runs: Sequence[StoredRun]) -> float | None:
    """Return how long such runs take.

    The lower median: one that was interrupted has all the time until it went on in its record.
    """
    durations = [(run.end_time - run.start_time) / 1000 for run in runs if run.end_time]
    return statistics.median_low(durations) if durations else None


def duration(seconds: float) -> str:
    """Return a duration in the unit that suits it."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def assume_dead(uri: str, sweep: Sweep, *, host: str) -> None:
    """End what says RUNNING in a sweep's experiment on a host that a person knows to be gone.

    Raises
    ------
    RequestError
        If nothing runs there.
    """
    running = store.find_runs(uri, experiment=sweep.experiment, statuses=("RUNNING",))
    hosts = {run.tags.get(processes.HOST_TAG, "unknown") for run in running}
    if host not in hosts:
        said = f"what says RUNNING is on {', '.join(sorted(hosts))}" if hosts else "nothing runs"
        raise RequestError(f"--assume-dead must be a host with runs, got {host!r}; {said}")
    from fitgap.tracking import setup

    setup.end_dead_runs(uri, sweep.experiment, dead_host=host)


def resume_arguments(
    uri: str,
    sweep: Sweep,
    plan: SweepPlan,
    *,
    overrides: Sequence[str] = (),
    modules: Collection[str] = (),
) -> list[str]:
    """Return the words after `fitgap train` that goes on with a sweep.

    Parameters
    ----------
    uri
        Of the store the sweep is in.
    sweep, plan
        From `choose_sweep` and `read_plan`.
    overrides
        Of Hydra's settings, in addition: another launcher, another number of workers.
    modules
        Those whose classes the plan may name besides Keras's and fitgap's; see `fitgap.trust`.

    Raises
    ------
    RequestError
        If an override is of the experiment: that would be another sweep. If the plan brings along
        what a record may not.
    """
    for override in overrides:
        if not override.lstrip("+~").startswith(("hydra/", "hydra.")):
            raise RequestError(
                "resume takes Hydra's own settings only, as hydra.launcher.n_jobs=4, "
                f"got {override!r}\nOther runs are another sweep: {program.name()} train -m ..."
            )
    recorded = [o for o in plan.hydra if not o.lstrip("+").startswith(_NOT_RESUMED)]
    recorded = [o for o in recorded if o not in overrides]  # a person says the same
    what = f"{sweep_plan.FILE_NAME} of sweep {sweep.parent.run_id}"
    trust.check([*recorded, *plan.task], what=what, modules=modules)
    if any(override.startswith("hydra/launcher=") for override in overrides):
        recorded = [o for o in recorded if not o.lstrip("+").startswith(_OF_LAUNCHER)]
    task = [
        f"{override.partition('=')[0]}={sweep_plan.quoted(uri)}"
        if override.lstrip("+").startswith("tracking.uri=")
        else override
        for override in plan.task
    ]
    return [
        "-m",
        *recorded,
        *task,
        *overrides,
        f"hydra.sweeper.resume={sweep.parent.run_id}",
    ]


_NOT_RESUMED = ("hydra.mode=", "hydra.sweeper.resume=", "hydra.sweeper.dry_run=")
_OF_LAUNCHER = ("hydra/launcher=", "hydra.launcher.")

"""A sweep's progress in words: its jobs, the time that is left, how to continue it."""

import shlex
import statistics
import time
from collections import Counter
from collections.abc import Sequence

from fitgap import processes, store
from fitgap.console import say
from fitgap.errors import RequestError
from fitgap.store import StoredRun
from fitgap.sweep.endings import resume_command
from fitgap.sweep.status import (
    SHORT_ID,
    JobState,
    State,
    Sweep,
    find_sweeps,
    job_states,
    number_of_trials,
    read_plan,
)
from fitgap.tag_names import FAILURE_TAG, PRUNED_TAG, ROLE_TAG, SWEEP_TAG
from fitgap.trust.text import line

# A run on another host that has been silent for so long is worth a word. A healthy one logs an
# epoch's figures every few seconds, but an epoch of a large network takes minutes.
SILENT_SECONDS = 300.0


def show_status(uri: str, sweep: Sweep) -> None:
    """Print the state of a sweep, and how to continue it."""
    parent = sweep.parent
    if (trials := number_of_trials(uri, sweep)) is not None:
        _say_head(sweep)
        say(f"  {_counted_trials(uri, sweep, trials)}")
        if not sweep.is_running and parent.status != "FINISHED":
            say("to continue, give the search's command again")
        return
    plan = read_plan(uri, sweep)
    jobs = job_states(uri, sweep, plan)
    _say_head(sweep)
    say(f"  {len(jobs)} runs: {_counted(jobs)}")
    details = _details(uri, jobs)
    for job in jobs:
        if job.state is not State.FINISHED:
            detail = details.get(job.run.run_id, "") if job.run else ""
            say(f"  {job.state:<12} {job.name}{f': {detail}' if detail else ''}")
    left = [job for job in jobs if job.state is not State.FINISHED]
    if sweep.is_running:
        say(f"time left: {_time_left(jobs, workers=plan.workers)}")
        if host := _silent_host(uri, sweep, jobs):
            again = f"{resume_command(uri, parent.run_id)} --assume-dead {shlex.quote(host)}"
            say(f"if {host} is gone: {again}")
    elif left or parent.status != "FINISHED":
        say(f"to continue: {resume_command(uri, parent.run_id)}")


def _say_head(sweep: Sweep) -> None:
    say(f"{sweep.parent.name}: {status_of(sweep)}")
    say(f"  run {sweep.parent.run_id} in experiment {line(sweep.experiment)}")


def show_all(uri: str, *, experiment: str | None = None) -> None:
    """Print a line for each sweep."""
    for sweep in find_sweeps(uri, experiment=experiment):
        try:
            trials = number_of_trials(uri, sweep)
            counts = (
                _counted(job_states(uri, sweep, read_plan(uri, sweep)))
                if trials is None
                else _counted_trials(uri, sweep, trials)
            )
        except RequestError:
            counts = "plan not recorded"
        parent = sweep.parent
        where = f"{parent.name} ({line(sweep.experiment)})"
        say(f"{parent.run_id[:SHORT_ID]}  {status_of(sweep)}  {where}")
        say(f"          {counts}")


def status_of(sweep: Sweep) -> str:
    """Return a sweep's status in words, with the reason if it failed."""
    if sweep.parent.status == "RUNNING" and not sweep.is_running:
        return "INTERRUPTED"
    failure = sweep.parent.tags.get(FAILURE_TAG)
    return f"{sweep.parent.status} ({failure})" if failure else sweep.parent.status


def _counted_trials(uri: str, sweep: Sweep, trials: int) -> str:
    """Return what has become of a search's trials that have runs of their own."""
    runs = store.find_runs(
        uri,
        experiment=sweep.experiment,
        statuses=store.ANY_STATUS,
        tags={SWEEP_TAG: sweep.parent.run_id, ROLE_TAG: "run"},
    )
    numbers = Counter("pruned" if PRUNED_TAG in run.tags else run.status.lower() for run in runs)
    counted = ", ".join(f"{number} {state}" for state, number in sorted(numbers.items()))
    return f"{trials or ''} trials: {counted or 'none has started'}".lstrip()


def _counted(jobs: Sequence[JobState]) -> str:
    numbers = Counter(job.state for job in jobs)
    return ", ".join(f"{numbers[state]} {state}" for state in State if numbers[state])


def _details(uri: str, jobs: Sequence[JobState]) -> dict[str, str]:
    """Return, by run id, why a run failed or how far one that has not ended has come."""
    details = {
        job.run.run_id: job.run.tags.get(FAILURE_TAG, "")
        for job in jobs
        if job.run is not None and job.state is State.FAILED
    }
    is_open = (State.RUNNING, State.INTERRUPTED)
    open_runs = [job.run for job in jobs if job.run is not None and job.state in is_open]
    histories = store.metric_histories(
        uri, run_ids=[run.run_id for run in open_runs], keys=["learning_rate"]
    )
    seen = _last_seen(uri, open_runs)
    for run in open_runs:
        done = len(histories[run.run_id].get("learning_rate", ()))
        details[run.run_id] = f"epoch {done} of {run.params.get('training.epochs', '?')} recorded"
        silent = time.time() - seen[run.run_id]
        if run.status == "RUNNING" and (host := _other_host(run)):
            details[run.run_id] += f", on {host}"
            if silent > SILENT_SECONDS:
                details[run.run_id] += f", no sign of life for {silent / 60:.0f} minutes"
    return details


def _last_seen(uri: str, runs: Sequence[StoredRun]) -> dict[str, float]:
    """Return the time of each run's last sign of life: its process's start, or its last epoch."""
    times = store.last_metric_times(uri, run_ids=[run.run_id for run in runs], key="learning_rate")
    return {
        run.run_id: max(
            processes.started(run.tags), run.start_time / 1000, times.get(run.run_id, 0) / 1000
        )
        for run in runs
    }


def _silent_host(uri: str, sweep: Sweep, jobs: Sequence[JobState]) -> str | None:
    """Return the host of a sweep of which nothing has been heard for long, if it is another."""
    host = _other_host(sweep.parent)
    if host is None:
        return None
    runs = [job.run for job in jobs if job.run is not None]
    newest = max(_last_seen(uri, [sweep.parent, *runs]).values())
    ends = [run.end_time / 1000 for run in runs if run.end_time]
    return host if time.time() - max([newest, *ends]) > SILENT_SECONDS else None


def _other_host(run: StoredRun) -> str | None:
    """Return the host of a run's process; None if it is this one, or unknown."""
    host = run.tags.get(processes.HOST_TAG)
    return None if host == processes.this_process()[processes.HOST_TAG] else host


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

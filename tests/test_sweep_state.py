"""A sweep's state is read right, and a sweep that ended before its time is gone on with."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from fitgap import processes, store
from fitgap.config import program
from fitgap.config.project import CHECKOUT
from fitgap.errors import RequestError
from fitgap.store import StoredRun
from fitgap.sweep import checking, progress, resume
from fitgap.sweep import plan as sweep_plan
from fitgap.sweep import status as sweep_state
from fitgap.sweep.plan import PlannedJob, SweepPlan
from fitgap.sweep.status import State, Sweep
from fitgap.tracking import setup, sweep_writer
from fitgap.training import checkpoints

SWEEP = CHECKOUT / "scripts" / "sweep.py"
ELSEWHERE = {processes.HOST_TAG: "elsewhere", processes.PID_TAG: "1"}
GONE = processes.this_process() | {processes.SINCE_BOOT_TAG: "another"}
ALL = ("RUNNING", "FINISHED", "FAILED", "KILLED")
GRID = (
    "seed=0,1,2",
    "architecture=dense_softmax",
    "training.epochs=2",
    "training.xla=false",
)


@pytest.fixture
def uri(tmp_path):
    """Return the URI of the database that `train` and `run_sweep_script` use."""
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture
def prepared(template_database, tmp_path):
    """Put an empty store there, which takes less time than making one."""
    shutil.copy(template_database, tmp_path / "mlflow.db")


@pytest.fixture
def sweep_script(
    script: Callable[..., tuple[int, Any]],
    uri: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs scripts/sweep.py in this process."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)

    def run(*arguments: str) -> tuple[int, str, str]:
        code, said = script("sweep.py", *arguments)
        return code, said.out, said.err

    return run


def by_role(uri, role):
    return store.find_runs(uri, experiment="fitgap", statuses=ALL, tags={"fitgap.role": role})


def stop_at_checkpoint(number, monkeypatch):
    """Have the checkpoint of this number, counted over all runs, be the last thing done."""
    written = 0
    save = checkpoints.save

    def save_and_stop(path, checkpoint):
        nonlocal written
        save(path, checkpoint)
        written += 1
        if written == number:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "save", save_and_stop)


def test_a_stopped_sweep_goes_on_in_its_parent_run_from_its_plan(
    train, sweep_script, uri, tmp_path, monkeypatch
):
    (tmp_path / "mlflow.db.new").write_text("left by a kill while the database was made")
    with monkeypatch.context() as patch:
        stop_at_checkpoint(3, patch)  # the first epoch of the second run
        assert train("-m", *GRID).code == 130
    assert not (tmp_path / "mlflow.db.new").exists()
    (parent,) = by_role(uri, "sweep")
    assert parent.status == "KILLED"

    code, said, _ = sweep_script("status")
    assert code == 0
    assert "3 runs: 1 finished, 1 interrupted, 1 not run" in said
    assert "interrupted  seed=1: epoch 1 of 2 recorded" in said
    assert "not run      seed=2" in said
    assert f"{program.name()} sweep resume {parent.run_id[:8]} --uri {uri}" in said

    planned = train("-m", *GRID, "hydra.sweeper.dry_run=true")
    assert planned.code == 0
    interrupted = next(run for run in by_role(uri, "run") if run.status == "KILLED")
    assert f"seed=1: to train, run {interrupted.run_id[:8]} was interrupted: " in planned.out
    assert "continues after epoch 1 of 2" in planned.out
    assert "1 finished before, 2 to train" in planned.out
    assert "by 1 finished runs that differ in the seed" in planned.out
    assert len(by_role(uri, "run")) == 2

    sweep = sweep_state.choose_sweep(uri, run_id=parent.run_id[:6])
    command = resume.resume_arguments(uri, sweep, sweep_state.read_plan(uri, sweep))
    resumed = train(*command)
    assert resumed.code == 0
    assert "sweep of 3 runs: 1 finished before, 2 to train" in resumed.out
    (again,) = by_role(uri, "sweep")
    assert (again.run_id, again.status) == (parent.run_id, "FINISHED")
    assert again.name == parent.name == "sweep over seed"
    children = by_role(uri, "run")
    assert sorted(child.params["seed"] for child in children) == ["0", "1", "2"]
    assert {child.status for child in children} == {"FINISHED"}
    assert {child.tags["fitgap.sweep"] for child in children} == {parent.run_id}
    assert interrupted.run_id in {child.run_id for child in children}
    assert "3 runs: 3 finished\n" in sweep_script("status")[1]

    # More seeds are another sweep; what it takes over stands in its plan.
    assert train("-m", "seed=0,1,2,3", *GRID[1:]).code == 0
    larger, _ = by_role(uri, "sweep")
    plan = sweep_state.read_plan(uri, Sweep("fitgap", larger))
    reused = {run.params["seed"]: run.run_id for run in children}
    assert [job.reused for job in plan.jobs] == [reused["0"], reused["1"], reused["2"], None]
    listed = sweep_script("status", "--all")[1]
    assert listed.count("sweep over seed (fitgap)") == 2
    assert "4 runs" not in listed
    assert "4 finished" in listed


@pytest.mark.usefixtures("prepared")
def test_the_same_command_again_goes_on_in_the_same_parent_run(train, uri, monkeypatch):
    with monkeypatch.context() as patch:
        stop_at_checkpoint(1, patch)
        assert train("-m", *GRID).code == 130
    (parent,) = by_role(uri, "sweep")
    # As a kill leaves it that nothing can catch.
    MlflowClient(uri).update_run(parent.run_id, status="RUNNING")
    MlflowClient(uri).set_tag(parent.run_id, processes.SINCE_BOOT_TAG, "another")
    done = train("-m", *GRID)
    assert done.code == 0
    assert f"continues in its parent run {parent.run_id}" in done.out
    (again,) = by_role(uri, "sweep")
    assert (again.run_id, again.status) == (parent.run_id, "FINISHED")
    assert "fitgap.failure" not in again.tags

    # Stopped after its last run but before its own end, it has only that left to do.
    MlflowClient(uri).update_run(parent.run_id, status="KILLED")
    assert train("-m", *GRID).code == 0
    assert [run.status for run in by_role(uri, "sweep")] == ["FINISHED"]


@pytest.mark.slow
@pytest.mark.usefixtures("prepared")
def test_a_sweep_that_was_to_train_again_is_another_one_and_resumed_as_such(
    train, uri, monkeypatch
):
    assert train("-m", *GRID).code == 0
    with monkeypatch.context() as patch:
        stop_at_checkpoint(3, patch)
        assert train("-m", *GRID, "tracking.reuse=false").code == 130
    second, _ = by_role(uri, "sweep")
    sweep = sweep_state.choose_sweep(uri, run_id=second.run_id)
    plan = sweep_state.read_plan(uri, sweep)
    states = sweep_state.job_states(uri, sweep, plan)
    assert [job.state for job in states] == [State.FINISHED, State.INTERRUPTED, State.NOT_RUN]
    done = train(*resume.resume_arguments(uri, sweep, plan))
    assert "sweep of 3 runs: 1 finished before, 2 to train" in done.out
    assert [run.status for run in by_role(uri, "sweep")] == ["FINISHED", "FINISHED"]
    assert len(by_role(uri, "run")) == 6


def test_a_sweep_that_runs_on_another_host_is_left_alone_until_that_is_said_to_be_gone(
    tracking_uri: str,
) -> None:
    client = MlflowClient(tracking_uri)
    experiment_id = setup.prepare(tracking_uri, "fitgap")
    tags = {"fitgap.role": "sweep", **ELSEWHERE}
    client.create_run(experiment_id, tags=tags, run_name="sweep")
    sweep = sweep_state.choose_sweep(tracking_uri, run_id=None)
    assert sweep.is_running
    with pytest.raises(RequestError) as refused:
        checking.refuse_running(sweep.parent, uri=tracking_uri)
    assert "is running: run " in str(refused.value)
    command = f"resume --uri {tracking_uri} {sweep.parent.run_id} --assume-dead elsewhere"
    assert command in str(refused.value)
    with pytest.raises(RequestError, match="got 'typo'; what says RUNNING is on elsewhere"):
        resume.assume_dead(tracking_uri, sweep, host="typo")
    resume.assume_dead(tracking_uri, sweep, host="elsewhere")
    sweep = sweep_state.choose_sweep(tracking_uri, run_id=None)
    assert sweep.parent.status == "KILLED"
    checking.refuse_running(sweep.parent, uri=tracking_uri)


def test_what_says_nothing_for_long_on_another_host_is_told(
    tracking_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    client = MlflowClient(tracking_uri)
    experiment_id = setup.prepare(tracking_uri, "fitgap")
    long_ago = int(1000 * (time.time() - 3600))
    parent = client.create_run(
        experiment_id, start_time=long_ago, tags={"fitgap.role": "sweep", **ELSEWHERE}
    ).info.run_id
    client.log_text(parent, sweep_plan.to_json(PLAN), sweep_plan.FILE_NAME)
    tags = {"fitgap.role": "run", "fitgap.sweep": parent, "fitgap.identity": "a", **ELSEWHERE}
    child = client.create_run(experiment_id, start_time=long_ago, tags=tags).info.run_id
    client.log_param(child, "training.epochs", 9)

    def told_after_metric(minutes_ago: int) -> str:
        then = int(1000 * (time.time() - 60 * minutes_ago))
        step = 60 - minutes_ago
        client.log_metric(child, "learning_rate", 0.1, timestamp=then, step=step)
        sweep = sweep_state.choose_sweep(tracking_uri, run_id=parent)
        progress.show_status(tracking_uri, sweep)
        return capsys.readouterr().out

    said = told_after_metric(minutes_ago=20)
    assert "seed=0: epoch 1 of 9 recorded, on elsewhere, no sign of life for 20 minutes" in said
    assert (
        f"if elsewhere is gone: {program.name()} sweep resume {parent[:8]} --uri {tracking_uri} "
        "--assume-dead" in said
    )
    said = told_after_metric(minutes_ago=1)
    assert "seed=0: epoch 2 of 9 recorded, on elsewhere\n" in said
    assert "is gone" not in said
    assert "time left: unknown, no run has finished yet" in said


@pytest.mark.usefixtures("prepared")
def test_fail_fast_starts_nothing_after_a_failure(train, uri, tmp_path, sweep_script):
    # Plain gradient descent at the edge of float32 is not finite after a few steps.
    rates = "optimizer.learning_rate=0.1,3e38,0.2,2e38"
    command = ("-m", "optimizer=sgd", rates, *GRID[1:], "hydra.sweeper.fail_fast=true")
    done = train(*command)
    assert done.code == 1
    assert "1 of 4 runs failed" in done.out
    assert "2 runs were not started (hydra.sweeper.fail_fast)" in done.out
    statuses = {run.params["optimizer.learning_rate"]: run for run in by_role(uri, "run")}
    assert sorted(run.status for run in statuses.values()) == ["FAILED", "FINISHED"]
    said = sweep_script("status")[1]
    assert "4 runs: 1 finished, 1 failed, 2 not run" in said
    assert "FAILED (1 of 4 runs failed)" in said
    assert "failed       optimizer.learning_rate=3e+38: DivergedError: " in said
    # A run that diverged would diverge from its checkpoint again.
    assert list((tmp_path / ".fitgap" / "runs").glob("*.npz")) == []

    # It is tried again, in its own run, after those that have not had their turn.
    again = train(*command)
    assert again.code == 1
    assert "1 of 3 runs failed" in again.out
    runs = {run.params["optimizer.learning_rate"]: run.status for run in by_role(uri, "run")}
    assert runs == {"0.1": "FINISHED", "3e+38": "FAILED", "0.2": "FINISHED", "2e+38": "FAILED"}

    # Without fail_fast all have.
    again = train(*command[:-1])
    assert again.code == 1
    assert "2 of 2 runs failed" in again.out
    assert len(by_role(uri, "sweep")) == 1
    assert sorted(run.status for run in by_role(uri, "run")) == [
        "FAILED",
        "FAILED",
        "FINISHED",
        "FINISHED",
    ]


@pytest.fixture
def sweep_process(uri: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs scripts/sweep.py in a process of its own."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(SWEEP), *arguments],
            env={**os.environ, "MLFLOW_TRACKING_URI": uri, **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


def test_plan_imports_neither_tensorflow_nor_mlflow_and_writes_nothing(sweep_process, tmp_path):
    planned = sweep_process(
        "plan", "sweep=quickstart", "seed=range(0,2)", PYTHONPROFILEIMPORTTIME="1"
    )
    assert planned.returncode == 0
    assert "  optimizer=adam seed=1: to train" in planned.stdout
    assert "time: unknown" in planned.stdout
    imported = {line.rpartition("|")[2].strip() for line in planned.stderr.splitlines()}
    assert "hydra" in imported
    assert not imported & {"tensorflow", "keras", "mlflow"}
    assert not (tmp_path / "mlflow.db").exists()

    wrong = sweep_process("plan", "seed=0,1", "optimizer=sgd,adm")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: optimizer=adm: there is no such option")


@pytest.mark.slow
def test_resume_as_a_command_on_another_launcher(run_train, sweep_process, uri):
    done = run_train("-m", "hydra/launcher=basic", *GRID[1:], "seed=0")
    assert done.code == 0
    (run,) = by_role(uri, "run")
    MlflowClient(uri).delete_run(run.run_id)
    (parent,) = by_role(uri, "sweep")
    # As the status prints it, with overrides behind.
    resumed = sweep_process(
        "resume", "--uri", uri, parent.run_id, "hydra/launcher=joblib", "hydra.launcher.n_jobs=1"
    )
    assert resumed.returncode == 0, resumed.stderr
    (parent,) = by_role(uri, "sweep")
    assert f"continues in its parent run {parent.run_id}" in resumed.stdout
    assert len(by_role(uri, "run")) == 1
    assert "hydra/launcher=joblib" in sweep_state.read_plan(uri, Sweep("fitgap", parent)).hydra

    changed = run_train("-m", *GRID[1:], "seed=7", f"hydra.sweeper.resume={parent.run_id}")
    assert changed.code == 2
    assert "cannot be resumed: its command would make other jobs now" in changed.err


# What the runs of an identity say of a job.


def stored(status: str, *, sweep: str = "s", **tags: str) -> StoredRun:
    return StoredRun(status.lower(), "", status, 0, {}, {}, {"fitgap.sweep": sweep, **tags})


@pytest.mark.parametrize(
    ("runs", "reuse", "expected"),
    [
        ([], True, State.NOT_RUN),
        ([stored("FINISHED")], True, State.FINISHED),
        ([stored("FINISHED", sweep="other")], True, State.FINISHED),
        ([stored("FINISHED", sweep="other")], False, State.NOT_RUN),
        ([stored("FAILED"), stored("FINISHED", sweep="other")], True, State.FINISHED),
        ([stored("FAILED")], True, State.FAILED),
        ([stored("FAILED", sweep="other")], True, State.NOT_RUN),
        ([stored("KILLED"), stored("FAILED")], True, State.INTERRUPTED),
        ([stored("RUNNING", **GONE)], True, State.INTERRUPTED),
        ([stored("RUNNING", **processes.this_process())], True, State.RUNNING),
        ([stored("RUNNING", sweep="other", **ELSEWHERE)], True, State.RUNNING),
        ([stored("FAILED"), stored("RUNNING", **ELSEWHERE)], True, State.RUNNING),
    ],
)
def test_the_state_of_a_job(runs: list[StoredRun], reuse: bool, expected: State) -> None:
    state, run = sweep_state.state_of(runs, sweep="s", reuse=reuse)
    assert state is expected
    assert (run is None) == (expected is State.NOT_RUN)


def test_the_time_a_run_takes_is_not_that_of_one_which_lay_interrupted() -> None:
    def took(seconds: int | None) -> StoredRun:
        end = None if seconds is None else 1000 * seconds
        return StoredRun("", "", "FINISHED", 0, {}, {}, {}, end_time=end)

    assert progress.typical_seconds([]) is None
    assert progress.typical_seconds([took(None)]) is None
    assert progress.typical_seconds([took(3), took(9000)]) == 3
    assert progress.typical_seconds([took(3), took(9000), took(4)]) == 4


# What a plan keeps, and how wrong requests are answered.

PLAN = SweepPlan(
    hydra=["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.mode=MULTIRUN"],
    task=["seed=0,1", "name='첫 실험'", "tracking.uri=postgresql://ada:secret@db/mlflow"],
    workers=2,
    reuse=True,
    jobs=[PlannedJob("seed=0", "a", ["seed=0", "tracking.uri=postgresql://ada:secret@db/x"], None)],
)


def test_a_plan_comes_back_as_it_was_written_but_for_passwords() -> None:
    text = sweep_plan.to_json(PLAN)
    assert "secret" not in text
    assert "첫 실험" in text
    back = sweep_plan.from_json(text)
    assert (back.hydra, back.workers, back.reuse) == (PLAN.hydra, 2, True)
    assert back.task == [*PLAN.task[:2], "tracking.uri=postgresql://***@db/mlflow"]
    assert back.jobs[0].identity == "a"


def test_resuming_gives_the_recorded_command_to_the_store_it_is_in() -> None:
    sweep = Sweep("fitgap", stored("KILLED"))
    uri = "postgresql://ada:it's@db/mlflow"
    command = resume.resume_arguments(uri, sweep, PLAN)
    assert command == [
        "-m",
        "hydra/launcher=joblib",
        "hydra.launcher.n_jobs=2",
        "seed=0,1",
        "name='첫 실험'",
        "tracking.uri='postgresql://ada:it\\'s@db/mlflow'",
        "hydra.sweeper.resume=killed",
    ]
    elsewhere = resume.resume_arguments(uri, sweep, PLAN, overrides=["hydra/launcher=basic"])
    assert "hydra/launcher=joblib" not in elsewhere
    assert "hydra.launcher.n_jobs=2" not in elsewhere
    with pytest.raises(RequestError, match=r"only settings of Hydra.*got 'seed=3'"):
        resume.resume_arguments(uri, sweep, PLAN, overrides=["seed=3"])


@pytest.mark.parametrize("part", ["hydra", "task"])
def test_a_sweep_whose_plan_lacks_a_secret_is_not_resumed_without_it(part: str) -> None:
    said = {"hydra": "hydra.launcher.account=***", "task": "+architecture.api_key=***"}[part]
    plan = replace(PLAN, **{part: [said]})
    with pytest.raises(RequestError, match="passwords and tokens are not recorded"):
        resume.resume_arguments("sqlite:///x.db", Sweep("fitgap", stored("KILLED")), plan)
    tagged = replace(PLAN, task=["+tags.api_key=***"])  # a tag is recorded so in any case
    assert resume.resume_arguments("sqlite:///x.db", Sweep("fitgap", stored("KILLED")), tagged)


def test_the_same_set_of_jobs_is_the_same_sweep() -> None:
    assert sweep_plan.sweep_identity(["a", "b"]) == sweep_plan.sweep_identity(["b", "a", "b"])
    assert sweep_plan.sweep_identity(["a", "b"]) != sweep_plan.sweep_identity(["a"])


@pytest.fixture
def with_broken_plans(tracking_uri: str) -> str:
    """Return a store with three sweeps in the experiment ``other``, whose plans are no plans."""
    client = MlflowClient(tracking_uri)
    experiment_id = setup.prepare(tracking_uri, "other")
    for text in (None, "{", '{"jobs": 3}'):
        with sweep_writer.open_sweep(
            "sweep", uri=tracking_uri, experiment_id=experiment_id, experiment="other"
        ) as parent:
            if text is not None:
                client.log_text(parent.run_id, text, sweep_plan.FILE_NAME)
    return tracking_uri


def test_wrong_requests_are_answered_in_a_line_or_two(
    with_broken_plans: str, sweep_script: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    there = ("--uri", with_broken_plans)
    empty = ("--uri", f"sqlite:///{tmp_path / 'absent.db'}")
    for arguments, expected in (
        (("status", *empty), "there are no sweeps in "),
        (("status", *there, "--experiment", "fitgap"), "--experiment must be one with sweeps"),
        (("status", *there, "--experiment", "fitgap"), "There are some in: other"),
        (("resume", *there, "nosuch"), "there is no sweep 'nosuch' in "),
    ):
        code, _, said = sweep_script(*arguments)
        assert code == 2
        assert said.startswith("error: ")
        assert expected in said
        assert len(said.splitlines()) <= 2
    for arguments, expected in (
        (("status", *there, "tracking.uri=x"), "a sweep's run id, not tracking.uri=x"),
        (("status", "--all", *there, "x", "y"), "unexpected extra argument (y)"),
        (("resume", *there, "--assumed-dead"), "No such option '--assumed-dead'"),
    ):
        code, _, said = sweep_script(*arguments)
        assert code == 2
        assert expected in said
    sweeps = sweep_state.find_sweeps(with_broken_plans)
    said = [sweep_script("status", *there, sweep.parent.run_id)[2] for sweep in sweeps]
    assert sum("has no plan.json" in one for one in said) == 1
    assert sum("cannot be read" in one for one in said) == 2
    assert sweep_script("status", "--all", *there)[1].count("plan not recorded") == 3

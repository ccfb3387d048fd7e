"""An interrupted run goes on in the same MLflow run, and ends with the same bits."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import psutil
import pytest
from mlflow import MlflowClient

from fitgap import experiment, processes, store
from fitgap.config.project import CHECKOUT
from fitgap.config.schema import Config
from fitgap.experiment import Plan, Result
from fitgap.tracking import run_writer, setup
from fitgap.training import checkpoints
from fitgap_lab.chaos import check

Compose = Callable[..., Config]
TRAIN = CHECKOUT / "scripts" / "train.py"
ALL = ("FINISHED", "FAILED", "KILLED", "RUNNING")
TIMES = ("time/fit_seconds", "throughput/samples_per_second")

CASES = {
    "random numbers": "architecture=dense_batch_norm_dropout optimizer=adam",
    "early stopping": (
        "training/early_stopping=on training.early_stopping.patience=1 optimizer=adam "
        "optimizer.learning_rate=0.03 training.epochs=9"
    ),
    "a schedule": "training/schedule=cosine optimizer=nesterov",
    "a callback that remembers": (
        "+training.callbacks.plateau={_target_:keras.callbacks.ReduceLROnPlateau,"
        "monitor:val_loss,patience:1,factor:0.5,min_delta:0.5}"
    ),
    "weight averaging": "+optimizer.use_ema=true optimizer=adam training/early_stopping=on",
    "weight averaging by model.fit": "+optimizer.use_ema=true training.engine=fit",
    "augmentation": "training/augmentation=shift_rotate",
    "model.fit": "training.engine=fit optimizer=momentum",
    "numpy": "training.engine=numpy optimizer=adam",
}


def plan_for(compose: Compose, uri: str, case: str) -> Plan:
    name = ["training.epochs=5", *case.split(), "tracking.experiment=recovery"]
    return experiment.plan(compose(*name, f"tracking.uri={uri}"))


def interrupted_after(epochs: int, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run until some checkpoints are written, and then be stopped."""
    written = 0

    def save_and_stop(path: Path, checkpoint: checkpoints.Checkpoint) -> None:
        nonlocal written
        save(path, checkpoint)
        written += 1
        if written == epochs:
            raise KeyboardInterrupt

    save = checkpoints.save
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            experiment.run(plan)


def weights_of(result: Result, uri: str) -> list[np.ndarray]:
    mlflow.set_tracking_uri(uri)
    weights: list[np.ndarray] = mlflow.tensorflow.load_model(
        f"runs:/{result.run_id}/model"
    ).get_weights()
    return weights


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_it_ends_with_the_bits_of_an_uninterrupted_run(
    compose: Compose, tracking_uri: str, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    plan = plan_for(compose, tracking_uri, case)
    whole = experiment.run(plan)
    whole_weights = weights_of(whole, tracking_uri)
    client = MlflowClient(tracking_uri)
    whole_history = history_of(client, whole.run_id)
    client.delete_run(whole.run_id)

    interrupted_after(2, plan, monkeypatch)
    (killed,) = store.find_runs(tracking_uri, experiment="recovery", statuses=ALL)
    assert killed.status == "KILLED"
    result = experiment.run(plan)
    (ended,) = store.find_runs(tracking_uri, experiment="recovery", statuses=ALL)

    assert ended.run_id == killed.run_id == result.run_id
    assert ended.status == "FINISHED"
    assert "fitgap.failure" not in ended.tags
    assert history_of(client, result.run_id) == whole_history
    assert all(map(np.array_equal, weights_of(result, tracking_uri), whole_weights))
    exact = {key: value for key, value in result.metrics.items() if key not in TIMES}
    assert exact == {key: value for key, value in whole.metrics.items() if key not in TIMES}
    path = checkpoints.path_for(plan.identity, uri=tracking_uri, experiment="recovery")
    assert checkpoints.load(path) is None


def history_of(client: MlflowClient, run_id: str) -> dict[str, list[tuple[int, float]]]:
    """Return the values of each metric with their steps, but for measured times."""
    keys = set(client.get_run(run_id).data.metrics) - set(TIMES)
    return {
        key: [(metric.step, metric.value) for metric in client.get_metric_history(run_id, key)]
        for key in keys
    }


def test_a_run_stopped_while_it_was_recorded_has_one_model_and_no_value_twice(
    compose: Compose, tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_for(compose, tracking_uri, "")

    def stop(record: run_writer.RunRecord, *_: object, **__: object) -> None:
        record.flush()
        raise SystemExit  # as good as dead: nothing more is sent

    client = MlflowClient(tracking_uri)
    for _ in range(2):  # the second time, it is to be recorded over the first
        with monkeypatch.context() as patch:
            patch.setattr(run_writer.RunRecord, "end", stop)
            with pytest.raises(SystemExit):
                experiment.run(plan)
        (dead,) = store.find_runs(tracking_uri, experiment="recovery", statuses=("RUNNING",))
        client.set_tag(dead.run_id, processes.PID_TAG, str(process_that_has_ended()))

    result = experiment.run(plan)
    assert result.run_id == dead.run_id
    run = client.get_run(result.run_id)
    assert run.info.status == "FINISHED"
    experiment_ids = [run.info.experiment_id]
    (model,) = client.search_logged_models(experiment_ids)
    assert [output.model_id for output in run.outputs.model_outputs] == [model.model_id]
    assert len(run.inputs.dataset_inputs) == 1
    for key, values in history_of(client, result.run_id).items():
        assert len({step for step, _ in values}) == len(values), key


def process_that_has_ended() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        return process.pid


def test_a_process_is_gone_only_on_evidence() -> None:
    here = processes.this_process()
    assert not processes.is_gone(here)
    assert processes.is_gone(here | {processes.PID_TAG: str(process_that_has_ended())})
    assert processes.is_gone(
        here | {processes.SINCE_BOOT_TAG: "another"}
    )  # the number was given again
    ended = here | {processes.PID_TAG: str(process_that_has_ended())}
    assert not processes.is_gone(ended | {processes.HOST_TAG: "another"})
    # Another machine or container can have the same name.
    assert not processes.is_gone(ended | {processes.MACHINE_TAG: "another"})


def test_a_process_that_nobody_asked_for_its_end_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        started = psutil.Process(process.pid).create_time()
        tags = processes.this_process() | {
            processes.PID_TAG: str(process.pid),
            processes.START_TAG: f"{started:.2f}",
        }
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert processes.is_gone(tags)


def test_a_live_run_on_another_host_is_left_alone(tracking_uri: str) -> None:
    client = MlflowClient(tracking_uri)
    experiment_id = setup.prepare(tracking_uri, "recovery")
    # A number that no process has here.
    elsewhere = {processes.HOST_TAG: "another", processes.PID_TAG: str(process_that_has_ended())}
    run_id = client.create_run(experiment_id, tags=elsewhere).info.run_id
    setup.prepare(tracking_uri, "recovery")
    assert client.get_run(run_id).info.status == "RUNNING"
    setup.end_dead_runs(tracking_uri, "recovery", dead_host="another")
    assert client.get_run(run_id).info.status == "KILLED"
    # This host can be looked at, so nobody needs to be believed.
    here = client.create_run(experiment_id, tags=processes.this_process()).info.run_id
    setup.end_dead_runs(tracking_uri, "recovery", dead_host=socket.gethostname())
    assert client.get_run(here).info.status == "RUNNING"


def test_two_that_ask_for_the_same_at_once_train_it_once(tmp_path: Path) -> None:
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}"}
    both = [
        subprocess.Popen(
            [sys.executable, str(TRAIN), "training.epochs=2"],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=240)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    uri = environment["MLFLOW_TRACKING_URI"]
    assert len(store.find_runs(uri, experiment="fitgap", statuses=ALL)) == 1


@pytest.mark.slow
def test_kill_minus_nine_at_any_epoch_changes_no_bit(tmp_path: Path) -> None:
    arguments = ["training.epochs=40", "architecture=dense_batch_norm_dropout", "optimizer=adam"]
    histories = {}
    for name, kills in (("undisturbed", []), ("killed", [1, 9, 22])):
        uri = f"sqlite:///{tmp_path / name / 'mlflow.db'}"
        (tmp_path / name).mkdir()
        environment = {**os.environ, "MLFLOW_TRACKING_URI": uri}
        for epoch in [*kills, None]:
            with subprocess.Popen(
                [sys.executable, str(TRAIN), *arguments],
                env=environment,
                stdout=subprocess.PIPE,
                text=True,
            ) as process:
                assert process.stdout is not None
                for line in process.stdout:
                    if line.startswith(f"epoch {epoch}/"):
                        process.send_signal(signal.SIGKILL)
            assert process.returncode == (0 if epoch is None else -signal.SIGKILL)
        (run,) = store.find_runs(uri, experiment="fitgap", statuses=ALL)
        assert run.status == "FINISHED"
        histories[name] = history_of(MlflowClient(uri), run.run_id)
    assert histories["killed"] == histories["undisturbed"]


STAGES = {
    "the data are read": "fitgap.training.data.load",
    "the network is built": "fitgap.models.build.build",
    "the store is prepared": "fitgap.tracking.setup.prepare",
    "the run begins": "fitgap.tracking.run_writer.RunRecord.log_params",
    "an epoch is kept": "fitgap.training.checkpoints.save",
    "the test set is scored": "fitgap.training.loop.score",
    "the network is saved": "fitgap.tracking.saved_model.save",
    "the files are written": "fitgap.tracking.artifacts.write",
    "the pictures are drawn": "fitgap.tracking.artifacts.draw_curves",
    "the checkpoint is removed": "fitgap.training.checkpoints.remove",
    "the run ends": "fitgap.tracking.run_writer.RunRecord.end",
}
# Runs the command; the first call of what the environment names is when SIGTERM comes.
STOPPED = """
import importlib, os, signal
from fitgap.commands.main import main

stage = os.environ.get("STAGE")
if stage:
    *parts, name = stage.split(".")
    place = parts[:-1] if parts[-1][0].isupper() else parts
    holder = importlib.import_module(".".join(place))
    holder = getattr(holder, parts[-1]) if place != parts else holder
    original = getattr(holder, name)

    def stopped(*arguments, **settings):
        setattr(holder, name, original)
        os.kill(os.getpid(), signal.SIGTERM)
        return original(*arguments, **settings)

    setattr(holder, name, stopped)
main()
"""


def train_alone(folder: Path, stage: str = "") -> subprocess.CompletedProcess[str]:
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    settings = ["training.epochs=3", "architecture=dense_batch_norm_dropout", "optimizer=adam"]
    return subprocess.run(
        [sys.executable, "-c", STOPPED, "train", *settings, "tracking.experiment=fitgap"],
        env={**os.environ, "STAGE": stage, "MLFLOW_TRACKING_URI": uri},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> check.Record:
    folder = tmp_path_factory.mktemp("undisturbed")
    done = train_alone(folder)
    assert done.returncode == 0, done.stderr
    return check.read(folder / "mlflow.db", experiment="fitgap")


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_sigterm_at_any_stage_leaves_a_run_that_the_same_command_finishes(
    stage: str, tmp_path: Path, undisturbed: check.Record
) -> None:
    stopped = train_alone(tmp_path, stage)
    assert stopped.returncode in (143, -signal.SIGTERM), stopped.stderr
    assert "Traceback" not in stopped.stderr
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    left = store.find_runs(uri, experiment="fitgap", statuses=ALL)
    # At its very end it may say RUNNING: the next command sees that its process is gone.
    at_the_end = {"RUNNING"} if stage == STAGES["the run ends"] else set()
    assert {run.status for run in left} <= {"KILLED"} | at_the_end
    again = train_alone(tmp_path)
    assert again.returncode == 0, again.stderr
    record = check.read(tmp_path / "mlflow.db", experiment="fitgap")
    assert check.differences(record, undisturbed, sweeps=0) == []
    assert check.leftovers(uri, experiment="fitgap") == []

"""One experiment on the bundled digits: settings that change its record, how it can end."""

import os
import signal

import keras
import mlflow
import numpy as np
import pytest

from fitgap import experiment
from fitgap.charts import run_curves
from fitgap.config import schema
from fitgap.data import data_report, datasets
from fitgap.errors import DivergedError, RequestError
from fitgap.models import build
from fitgap.tracking import artifacts
from fitgap.tracking.termination import Terminated
from recorded_runs import Watch, histories, load_model, only_run_in, runs_in, scores_by_numpy

# A network that is ready at once; what only the record is about needs no more.
SMALL = ("architecture=dense_softmax", "training.epochs=2", "training.xla=false")
DIVERGING = ("optimizer=sgd", "optimizer.learning_rate=3e38", *SMALL)


@pytest.fixture
def watch(monkeypatch):
    return Watch(monkeypatch).ended


@pytest.fixture
def run(compose, tracking_uri):
    """Return a function that plans and runs an experiment into the test's database."""

    def run_experiment(*overrides):
        composed = compose(f"tracking.uri={tracking_uri}", *overrides)
        return experiment.run(experiment.plan(composed))

    return run_experiment


# Settings that change what a record holds.


def test_an_extra_that_fails_is_said_and_takes_nothing_else_away(
    run, tracking_uri, monkeypatch, capsys
):
    def fail(*_):
        raise ValueError("a fault\nof two lines")

    monkeypatch.setattr(data_report, "find", fail)
    monkeypatch.setattr(run_curves, "draw", fail)
    result = run(*SMALL)
    (stored,) = runs_in(tracking_uri, ("FINISHED",))
    assert stored.metrics["test/accuracy"] == result.metrics["test/accuracy"]
    client = mlflow.MlflowClient(tracking_uri)
    assert client.get_run(result.run_id).outputs.model_outputs
    names = {artifact.path for artifact in client.list_artifacts(result.run_id)}
    assert {"config.yaml", "predictions.npz", "confusion_matrix.png"} <= names
    assert not {"data_report.md", "learning_curves.png"} & names
    said = "data_report.md could not be made: ValueError: a fault"
    assert said in capsys.readouterr().out
    assert stored.tags["fitgap.missing"].startswith(said)


def test_without_validation_there_are_no_figures_of_it(run, tracking_uri):
    result = run("split=none", *SMALL)
    found = histories(tracking_uri, result.run_id)
    prefixes = {key.partition("/")[0] for key in found}
    scores = {"train", "test", "test_gap", "running"}
    assert prefixes == {*scores, "baseline", "learning_rate", "time", "throughput"}
    stored = only_run_in(tracking_uri)
    assert (stored.params["train_samples"], stored.params["val_samples"]) == ("1437", "0")
    assert found["test_gap/accuracy"][2] == found["train/accuracy"][2] - found["test/accuracy"][2]


def test_exact_training_figures_can_be_left_to_the_end(run, tracking_uri):
    result = run("training.train_metrics_every_epoch=false", *SMALL)
    found = histories(tracking_uri, result.run_id)
    assert list(found["train/accuracy"]) == list(found["gap/accuracy"]) == [2]
    assert list(found["val/accuracy"]) == [1, 2]


@pytest.mark.parametrize("engine", ["fit", "compiled"])
def test_the_latest_figures_are_those_of_the_restored_weights(run, tracking_uri, engine):
    # With such a min_delta no epoch improves on the first, whose weights come back after three.
    result = run(
        "training/early_stopping=on",
        "training.early_stopping.min_delta=10",
        "training.early_stopping.patience=2",
        "architecture=dense_softmax",
        "training.epochs=9",
        f"training.engine={engine}",
        *(["training.xla=false"] if engine == "compiled" else []),
    )
    found = histories(tracking_uri, result.run_id)
    shown = only_run_in(tracking_uri).metrics
    for key in ("train/loss", "train/accuracy", "val/loss", "val/accuracy", "gap/accuracy"):
        assert list(found[key]) == [1, 2, 3, 4]
        assert shown[key] == found[key][4] == found[key][1] != found[key][3]
    assert list(found["running/loss"]) == [1, 2, 3]
    assert shown["best_epoch"] == 3  # of the lowest val/loss
    predict = load_model(tracking_uri, result.run_id, mlflow.pyfunc)
    dataset = datasets.load(schema.PublishedConfig("digits"))
    loss, accuracy = scores_by_numpy(predict(dataset.x_test), dataset.y_test)
    assert shown["test/loss"] == pytest.approx(loss, rel=1e-5)
    assert shown["test/accuracy"] == pytest.approx(accuracy, abs=1e-6)


def test_data_that_change_between_check_and_training_are_not_trained_on(
    compose, tracking_uri, tmp_path
):
    path = tmp_path / "own.npz"
    x, y = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2
    np.savez(path, x=x, y=y)
    own = ["dataset=npz", f"dataset.path={path}", f"tracking.uri={tracking_uri}"]
    plan = experiment.plan(compose(*own, task=None))
    np.savez(path, x=x + 1, y=y)
    with pytest.raises(RequestError, match="no longer those that were checked"):
        experiment.run(plan)
    assert not runs_in(tracking_uri)


def test_a_run_without_a_name_is_named_after_its_settings(run, tracking_uri):
    result = run("seed=3", *SMALL)
    assert result.name == "digits dense_softmax rmsprop seed=3"
    assert only_run_in(tracking_uri).name == result.name


# How a run can end.


def test_a_diverged_run_has_failed_at_that_epoch(run, tracking_uri):
    with pytest.raises(DivergedError):
        run(*DIVERGING)
    stored = only_run_in(tracking_uri)
    assert stored.status == "FAILED"
    assert stored.tags["fitgap.failure"] == "DivergedError: running/loss is nan in epoch 1"
    found = histories(tracking_uri, stored.run_id)
    assert list(found["running/loss"]) == [1]
    assert "test/loss" not in found


def test_a_crash_is_a_failed_run_with_the_reason(run, tracking_uri, monkeypatch):
    def crash(*_arguments, **_keywords):
        raise OSError("no space left on device")

    monkeypatch.setattr(artifacts, "write", crash)
    with pytest.raises(OSError, match="no space"):
        run(*SMALL)
    stored = only_run_in(tracking_uri)
    assert stored.status == "FAILED"
    assert stored.tags["fitgap.failure"] == "OSError: no space left on device"


class AfterFirstEpoch(keras.callbacks.Callback):
    """Do something once, after the first epoch."""

    def __init__(self, action):
        super().__init__()
        self.action = action

    def on_epoch_end(self, epoch, logs=None):  # noqa: ARG002 - Keras's signature
        if epoch == 0:
            self.action()


def press_ctrl_c():
    raise KeyboardInterrupt


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(
    ("action", "error"),
    [(press_ctrl_c, KeyboardInterrupt), (terminate, Terminated)],
    ids=["Ctrl-C", "SIGTERM"],
)
def test_a_stopped_run_is_killed(run, tracking_uri, monkeypatch, action, error):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(build, "callbacks", lambda _config: [AfterFirstEpoch(action)])
    with pytest.raises(error):
        run(*SMALL)
    assert signal.getsignal(signal.SIGTERM) is before
    stopped = only_run_in(tracking_uri)
    assert stopped.status == "KILLED"
    name = {KeyboardInterrupt: "Ctrl-C", Terminated: "SIGTERM"}[error]
    assert stopped.tags["fitgap.failure"] == f"stopped by {name}"
    assert list(histories(tracking_uri, stopped.run_id)["val/loss"]) == [1]


def test_the_next_request_goes_on_with_a_stopped_run(run, tracking_uri, watch):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "callbacks", lambda _config: [AfterFirstEpoch(press_ctrl_c)])
        with pytest.raises(KeyboardInterrupt):
            run(*SMALL)
    stopped = only_run_in(tracking_uri)
    result = run(*SMALL)
    finished = only_run_in(tracking_uri)
    assert (result.run_id, finished.status) == (stopped.run_id, "FINISHED")
    assert list(histories(tracking_uri, stopped.run_id)["val/loss"]) == [1, 2]
    run("tracking.reuse=false", *SMALL)
    interrupted, whole = watch
    np.testing.assert_array_equal(interrupted.weights, whole.weights)


# Once is enough.


def test_a_finished_run_answers_for_its_identity(run, tracking_uri, watch):
    first, second = run(*SMALL), run("name=another", "tracking.reuse=true", *SMALL)
    assert (first.reused, second.reused) == (False, True)
    assert (second.run_id, second.name) == (first.run_id, first.name)
    assert first.metrics.items() <= second.metrics.items()
    assert len(watch) == len(runs_in(tracking_uri)) == 1


def test_other_settings_and_failed_runs_do_not_answer(run, tracking_uri):
    run(*SMALL)
    for _ in range(2):
        with pytest.raises(DivergedError):
            run(*DIVERGING)
    assert not run("seed=1", *SMALL).reused
    # The failed one was tried again, in its own run.
    statuses = sorted(stored.status for stored in runs_in(tracking_uri))
    assert statuses == ["FAILED", "FINISHED", "FINISHED"]


# The same bits.

DROPOUT = ("architecture=dense", "architecture.units=[20]", "architecture.dropout=0.5")
REFERENCES = {
    "compiled": ("training.xla=false", *DROPOUT),
    "compiled with XLA": ("training.xla=true", "architecture.units=[20]"),
    "fit": ("training.engine=fit", *DROPOUT),
}


@pytest.mark.parametrize("engine", REFERENCES)
def test_the_same_settings_give_the_same_bits_whatever_ran_before(run, watch, engine):
    wanted = ("training.epochs=1", "tracking.reuse=false", *REFERENCES[engine])
    run(*wanted)
    # Equal but for the seed and the learning rate, it may use the same compiled program.
    run("seed=1", "optimizer.learning_rate=0.1", *wanted)
    np.random.seed(3)  # noqa: NPY002 - the state that must not matter
    keras.utils.set_random_seed(3)
    run(*wanted)
    first, other, again = watch
    np.testing.assert_array_equal(first.weights, again.weights)
    np.testing.assert_array_equal(first.probabilities, again.probabilities)
    assert not np.array_equal(first.weights, other.weights)

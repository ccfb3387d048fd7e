"""Whatever follows a run by its events hears of each epoch once, and changes nothing of the run."""

import csv
import sys
import types

import pytest
import tensorflow as tf

from fitgap import experiment, store
from fitgap.config import project
from fitgap.errors import DivergedError, RequestError
from fitgap.training import checkpoints, events

SMALL = ("training.epochs=3", "architecture=dense_softmax")
OWN = "+tracking.loggers.own={_target_: own_logger.Own}"


@pytest.fixture
def planned(compose, tracking_uri):
    def plan(*overrides):
        return experiment.plan(compose(*SMALL, f"tracking.uri={tracking_uri}", *overrides))

    return plan


@pytest.fixture
def own(monkeypatch):
    """A module of a person's own with a logger; what it heard."""
    heard = []

    class Own(events.Observer):
        def on_start(self, start):
            heard.append(("start", start.epochs, start.done))

        def on_epoch(self, number, metrics):
            heard.append((number, metrics))

        def on_end(self, metrics, step):
            heard.append(("end", metrics, step))

    module = types.ModuleType("own_logger")
    vars(module).update(Own=Own, NoLogger=dict)
    monkeypatch.setitem(sys.modules, "own_logger", module)
    return heard


def rows_of(run_id):
    (path,) = (project.folder() / "reports" / "csv").glob(f"*{run_id[:8]}.csv")
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def tensorboard_of(run_id):
    (folder,) = (project.folder() / "reports" / "tensorboard").glob(f"*{run_id[:8]}")
    return [
        (event.step, value.tag, value.simple_value)
        for path in folder.iterdir()
        for record in tf.data.TFRecordDataset(str(path))
        for event in [tf.compat.v1.Event.FromString(record.numpy())]
        for value in event.summary.value
    ]


def stop_after(epochs, monkeypatch):
    """Have the process be interrupted once so many checkpoints are written."""
    written, save = [], checkpoints.save

    def save_and_stop(path, checkpoint):
        save(path, checkpoint)
        written.append(path)
        if len(written) == epochs:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "save", save_and_stop)


def test_loggers_have_the_records_figures_and_no_part_in_the_identity(planned, tracking_uri):
    plain, plan = planned(), planned("loggers=[csv,tensorboard]")
    assert plain.identity == plan.identity
    result = experiment.run(plan)
    (stored,) = store.find_runs(tracking_uri, experiment="fitgap")
    assert not [name for name in stored.params if "logger" in name]
    rows = rows_of(result.run_id)
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[-1]["val/loss"]) == result.metrics["val/loss"]
    shown = tensorboard_of(result.run_id)
    steps = [step for step, name, _ in shown if name == "gap/accuracy"]
    assert steps == [1, 2, 3]
    (test,) = [value for _, name, value in shown if name == "test/accuracy"]
    assert test == pytest.approx(result.metrics["test/accuracy"])
    assert experiment.finished(plain) is not None


def test_after_an_interruption_no_epoch_stands_twice(planned, monkeypatch, own):
    plan = planned("loggers=[csv,tensorboard]", OWN)
    with monkeypatch.context() as patch:
        stop_after(2, patch)
        with pytest.raises(KeyboardInterrupt):
            experiment.run(plan)
    assert own[0] == ("start", 3, 0)
    assert own[-1] == ("end", None, 0)
    own.clear()
    result = experiment.run(plan)
    assert own[0] == ("start", 3, 2)
    assert [event[0] for event in own] == ["start", 1, 2, 3, "end"]
    assert own[-1] == ("end", result.metrics, 3)
    assert [row["epoch"] for row in rows_of(result.run_id)] == ["1", "2", "3"]
    steps = [step for step, name, _ in tensorboard_of(result.run_id) if name == "val/loss"]
    assert steps == [1, 2, 3]


def test_a_run_that_diverges_ends_for_those_that_follow_it(planned, own):
    with pytest.raises(DivergedError):
        experiment.run(planned(OWN, "architecture=dense_relu_100", "optimizer.learning_rate=1e30"))
    assert own[-1] == ("end", None, 0)


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("+tracking.loggers.own=3", "loggers=own must be given with a _target_"),
        ("+tracking.loggers.own={_target_: own_logger.Missing}", "loggers=own: "),
        ("+tracking.loggers.own={_target_: own_logger.NoLogger}", "got dict"),
    ],
)
def test_a_wrong_logger_is_refused_before_anything_is_recorded(
    planned, tracking_uri, override, said
):
    with pytest.raises(RequestError, match=said):
        planned(override)
    assert store.find_runs(tracking_uri, experiment="fitgap", statuses=("FAILED",)) == []


def test_weights_and_biases_keeps_the_figures_offline(planned, monkeypatch):
    pytest.importorskip("wandb", reason="W&B is an extra")
    monkeypatch.setenv("WANDB_MODE", "offline")
    result = experiment.run(planned("loggers=[wandb]"))
    folder = project.folder() / "reports" / "wandb"
    assert list(folder.glob(f"offline-run-*-{result.run_id}/*.wandb"))


def test_callbacks_of_a_ready_file_are_those_that_are_written_out(planned):
    early = planned("training/early_stopping=on")
    assert planned("callbacks=[early_stopping]").identity == early.identity
    both = planned("callbacks=[early_stopping,reduce_on_plateau]").config.training
    assert both.early_stopping["patience"] == 3
    assert list(both.callbacks) == ["reduce_on_plateau"]


def test_whoever_heard_of_a_beginning_hears_of_the_end(own):
    class Refuses(events.Observer):
        def on_start(self, _start):
            raise RequestError("no")

        def on_end(self, _metrics, _step):
            own.append("the end of what never began")

    start = events.Start("id", "name", "experiment", 3, 0, {}, project.folder())
    begun = sys.modules["own_logger"].Own()
    with pytest.raises(RequestError, match="no"), events.observed([begun, Refuses()], start):
        pass
    assert own == [("start", 3, 0), ("end", None, 0)]

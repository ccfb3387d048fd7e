"""One experiment from settings to record, on the bundled digits, into a database of its own."""

import csv
import json
import os
import shutil
import signal
import subprocess
import warnings
from dataclasses import dataclass

import keras
import mlflow
import numpy as np
import pytest
import yaml

from fitgap import experiment, store
from fitgap.charts import run_curves
from fitgap.config import project, schema
from fitgap.config import settings as config
from fitgap.data import data_report, datasets, splits
from fitgap.errors import DivergedError, RequestError
from fitgap.models import build
from fitgap.store import predictions
from fitgap.tracking import artifacts, descriptions
from fitgap.tracking.termination import Terminated

# A network that is ready at once; what only the record is about needs no more.
SMALL = ("architecture=dense_softmax", "training.epochs=2", "training.xla=false")
ALL = ("RUNNING", "FINISHED", "FAILED", "KILLED")
DIVERGING = ("optimizer=sgd", "optimizer.learning_rate=3e38", *SMALL)
PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Ended:
    """What a run's network was like at its end."""

    weights: np.ndarray
    probabilities: np.ndarray


class Watch:
    """Look at the networks of runs as their artifacts are written."""

    def __init__(self, patch):
        self.ended = []
        write = artifacts.write

        def look(folder, *, engine, data, **rest):
            weights = [weight.ravel() for weight in engine.model.get_weights()]
            self.ended.append(Ended(np.concatenate(weights), engine.predict(data.dataset.x_test)))
            write(folder, engine=engine, data=data, **rest)

        patch.setattr(artifacts, "write", look)


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


def runs_in(uri, statuses=ALL):
    return store.find_runs(uri, experiment="fitgap", statuses=statuses)


def only_run_in(uri):
    (found,) = runs_in(uri)
    return found


def histories(uri, run_id):
    """Return, for each metric, its values by step; fails if a step has two."""
    client = mlflow.MlflowClient(uri)
    found = {}
    for key in client.get_run(run_id).data.metrics:
        values = [(metric.step, metric.value) for metric in client.get_metric_history(run_id, key)]
        assert len(dict(values)) == len(values), f"{key} has two values at a step: {values}"
        found[key] = dict(sorted(values))
    return found


def load_model(uri, run_id, loader):
    """Load a run's model through MLflow, as a function of images."""
    mlflow.set_tracking_uri(uri)
    (output,) = mlflow.MlflowClient(uri).get_run(run_id).outputs.model_outputs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's, on its own versions and PyTorch's absence
        model = loader.load_model(f"models:/{output.model_id}")
    return lambda images: np.asarray(model.predict(images))


def split_digits(composed):
    dataset = datasets.load(composed.dataset)
    return dataset, splits.split_dataset(dataset, composed.split)


def scores_by_numpy(probabilities, y):
    """Return cross-entropy and accuracy from probabilities."""
    of_the_right_class = probabilities[np.arange(len(y)), y].astype(np.float64)
    return -np.log(of_the_right_class).mean(), (probabilities.argmax(axis=1) == y).mean()


# The record of one run, looked at from all sides.


@dataclass(frozen=True)
class Recorded:
    """A finished run: its request, its result, what MLflow has of it, what it was like."""

    config: schema.Config
    plan: experiment.Plan
    result: experiment.Result
    uri: str
    run: mlflow.entities.Run
    ended: Ended


@pytest.fixture(scope="module")
def recorded(compose, template_database, tmp_path_factory):
    folder = tmp_path_factory.mktemp("recorded")
    uri = f"sqlite:///{shutil.copy(template_database, folder / 'mlflow.db')}"
    composed = compose(
        f"tracking.uri={uri}",
        "name='첫 실험 [a](b)'",
        "tags={question: width}",
        "architecture.title='숫자 모델'",
        "training.epochs=2",
    )
    plan = experiment.plan(composed)
    with pytest.MonkeyPatch.context() as patch:
        # Another tool's run in the environment must not take in or misplace this one.
        patch.setenv("MLFLOW_RUN_ID", "0" * 32)
        watched = Watch(patch).ended
        result = experiment.run(plan)
    run = mlflow.MlflowClient(uri).get_run(result.run_id)
    return Recorded(composed, plan, result, uri, run, watched[0])


def test_a_finished_run_is_finished(recorded):
    info = recorded.run.info
    assert info.status == "FINISHED"
    assert info.end_time >= info.start_time
    assert info.run_name == recorded.result.name == "첫 실험 [a](b)"
    assert only_run_in(recorded.uri).run_id == recorded.result.run_id


def test_all_resolved_settings_are_parameters(recorded):
    expected = config.recorded(recorded.plan.config)
    for of_the_sweep in ("parent", "pruning", "watched"):
        del expected[f"tracking.{of_the_sweep}"]
    as_text = {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in expected.items()
    }
    assert as_text.items() <= recorded.run.data.params.items()


def test_derived_parameters_are_right(recorded):
    # 1,797 digits: 360 for testing; of the other 1,437, a fifth rounded up for validation.
    expected = {
        "engine": "compiled+xla",
        "train_samples": "1149",
        "val_samples": "288",
        "test_samples": "360",
        "steps_per_epoch": "36",
        "parameter_count": str(64 * 100 + 100 + 100 * 10 + 10),
    }
    assert expected.items() <= recorded.run.data.params.items()


def test_every_epoch_has_all_figures_and_the_test_set_is_scored_once(recorded):
    found = histories(recorded.uri, recorded.result.run_id)
    names = ("train", "val", "running", "gap")
    pairs = [f"{name}/{score}" for name in names for score in ("loss", "accuracy")]
    for key in [*pairs, "learning_rate"]:
        assert list(found[key]) == [1, 2], key
    once = {"test/loss", "test/accuracy", "test_gap/loss", "test_gap/accuracy", "best_epoch"}
    once |= {"time/fit_seconds", "throughput/samples_per_second", "baseline/accuracy"}
    assert set(found) == {*pairs, "learning_rate", *once}
    assert all(list(found[key]) == [2] for key in once)
    for step in (1, 2):
        gaps = found["gap/accuracy"][step], found["gap/loss"][step]
        assert gaps == (
            found["train/accuracy"][step] - found["val/accuracy"][step],
            found["val/loss"][step] - found["train/loss"][step],
        )
    seconds = found["time/fit_seconds"][2]
    assert found["throughput/samples_per_second"][2] == pytest.approx(2 * 1149 / seconds)
    best = min(found["val/loss"], key=found["val/loss"].get)
    assert found["best_epoch"][2] == best


def test_the_result_is_what_the_record_shows(recorded):
    shown = recorded.run.data.metrics
    assert recorded.result.metrics.items() <= shown.items()
    assert not recorded.result.reused


@pytest.mark.parametrize("name", ["pyfunc", "tensorflow"])
def test_the_model_loads_back_and_predicts_the_same_from_raw_images(recorded, name):
    predict = load_model(recorded.uri, recorded.result.run_id, getattr(mlflow, name))
    dataset, split = split_digits(recorded.config)
    assert dataset.x_test.dtype == np.uint8
    probabilities = predict(dataset.x_test)
    np.testing.assert_allclose(probabilities, recorded.ended.probabilities, atol=1e-6)
    shown = recorded.run.data.metrics
    for part, x, y in (
        ("train", dataset.x_train[split.train], dataset.y_train[split.train]),
        ("val", dataset.x_train[split.val], dataset.y_train[split.val]),
        ("test", dataset.x_test, dataset.y_test),
    ):
        loss, accuracy = scores_by_numpy(predict(x), y)
        assert shown[f"{part}/loss"] == pytest.approx(loss, rel=1e-5)
        assert shown[f"{part}/accuracy"] == pytest.approx(accuracy, abs=1e-6)


def test_the_model_has_signature_and_example(recorded):
    mlflow.set_tracking_uri(recorded.uri)
    (output,) = recorded.run.outputs.model_outputs
    info = mlflow.models.get_model_info(f"models:/{output.model_id}")
    (given,), (returned,) = info.signature.inputs.inputs, info.signature.outputs.inputs
    assert (given.type, given.shape) == (np.uint8, (-1, 8, 8))
    assert (returned.type, returned.shape) == (np.float32, (-1, 10))
    assert info.saved_input_example_info is not None


def test_the_model_shows_what_it_is_and_its_figures(recorded):
    client = mlflow.MlflowClient(recorded.uri)
    (output,) = recorded.run.outputs.model_outputs
    model = client.get_logged_model(output.model_id)
    assert model.name == "model"  # as runs:/<run id>/model says
    assert model.params["run"] == descriptions.run_name(recorded.config)
    assert model.tags["mlflow.note.content"] == "첫 실험 [a\\](b)"  # which MLflow shows as Markdown
    assert model.tags["mlflow.source.name"] == "fitgap"
    assert model.params["optimizer"] == recorded.config.optimizer["name"]
    found = {metric.key: metric.value for metric in model.metrics}
    names = ("train/accuracy", "val/accuracy", "gap/accuracy", "test/accuracy")
    assert {name: found[name] for name in names} == {
        name: recorded.run.data.metrics[name] for name in names
    }
    assert {metric.dataset_name for metric in model.metrics} == {"digits"}
    # What the model shows is no second value of the run.
    for name in ("val/accuracy", "test/accuracy"):
        steps = [one.step for one in client.get_metric_history(recorded.run.info.run_id, name)]
        assert len(steps) == len(set(steps))


def test_runs_have_user_source_and_tags_that_can_be_searched(recorded):
    tags = recorded.run.data.tags
    assert tags["question"] == "width"
    assert tags["mlflow.source.name"] == "fitgap"
    assert tags["mlflow.user"]
    client = mlflow.MlflowClient(recorded.uri)
    found = client.search_runs(
        [recorded.run.info.experiment_id], filter_string="tags.question = 'width'"
    )
    assert recorded.run.info.run_id in {run.info.run_id for run in found}


def test_tags_tell_identity_digests_origin_and_purpose(recorded):
    tags = recorded.run.data.tags
    expected = {
        "fitgap.role": "run",
        "fitgap.identity": recorded.plan.identity,
        "fitgap.dataset_digest": datasets.load(recorded.config.dataset).digest,
        "fitgap.split_digest": split_digits(recorded.config)[1].digest,
        "fitgap.user.question": "width",
    }
    assert expected.items() <= tags.items()
    assert "fitgap.sweep" not in tags
    assert "mlflow.parentRunId" not in tags


def test_tags_name_the_commit(recorded):
    git = ["git", "-C", str(project.CONFIG_DIR.parent)]
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if head.returncode:
        pytest.skip("not a git checkout")
    tags = recorded.run.data.tags
    assert len(tags["mlflow.source.git.commit"]) == len(head.stdout.strip())
    assert tags["fitgap.git_dirty"] in ("true", "false")


def test_the_dataset_is_an_input_under_the_digest_of_all_its_bytes(recorded):
    (given,) = recorded.run.inputs.dataset_inputs
    assert given.dataset.name == "digits"
    assert given.dataset.digest == datasets.load(recorded.config.dataset).digest[:36]
    assert [(tag.key, tag.value) for tag in given.tags] == [("mlflow.data.context", "training")]


@pytest.fixture(scope="module")
def artifact_folder(recorded, tmp_path_factory):
    client = mlflow.MlflowClient(recorded.uri)
    folder = tmp_path_factory.mktemp("artifacts")
    client.download_artifacts(recorded.result.run_id, "", str(folder))
    return folder


def test_the_artifacts_are_all_there(artifact_folder, recorded):
    names = {path.name for path in artifact_folder.iterdir()}
    assert names - {"uncommitted.diff"} == {  # which is there while someone develops
        "config.yaml",
        "confusion_matrix.png",
        "data_report.md",
        "history.csv",
        "learning_curves.png",
        "model_summary.txt",
        "predictions.npz",
    }
    for name in ("confusion_matrix.png", "learning_curves.png"):
        assert (artifact_folder / name).read_bytes().startswith(PNG)
    summary = (artifact_folder / "model_summary.txt").read_text(encoding="utf-8")
    assert summary.startswith("숫자 모델\n")
    assert "7,510" in summary
    beside_the_database = recorded.uri.removeprefix("sqlite:///").replace("mlflow.db", "")
    assert recorded.run.info.artifact_uri.startswith(f"file://{beside_the_database}")


def test_which_validation_images_were_right_is_recorded_and_makes_the_accuracy(recorded):
    stored = only_run_in(recorded.uri)
    right = predictions.validation_right(stored, uri=recorded.uri)
    assert len(right) == int(stored.params["val_samples"])
    assert right.mean() == pytest.approx(stored.metrics["val/accuracy"])


def test_the_settings_can_be_run_again_from_their_artifact(artifact_folder, recorded):
    written = yaml.safe_load((artifact_folder / "config.yaml").read_text(encoding="utf-8"))
    again = config.from_plain(written)
    assert again == recorded.plan.config
    assert experiment.plan(again).identity == recorded.plan.identity


def test_the_history_has_a_line_per_epoch(artifact_folder, recorded):
    with (artifact_folder / "history.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = histories(recorded.uri, recorded.result.run_id)
    assert [row["epoch"] for row in rows] == ["1", "2"]
    for row in rows:
        for key in ("train/loss", "val/accuracy", "gap/loss", "running/accuracy"):
            assert float(row[key]) == found[key][int(row["epoch"])]


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

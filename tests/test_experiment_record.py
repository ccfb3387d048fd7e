"""The record of one run, looked at from all sides."""

import csv
import json
import shutil
import subprocess
from dataclasses import dataclass

import mlflow
import numpy as np
import pytest
import yaml

from fitgap import experiment
from fitgap.config import project, schema
from fitgap.config import settings as config
from fitgap.data import datasets, splits
from fitgap.store import predictions
from fitgap.tracking import descriptions
from recorded_runs import Ended, Watch, histories, load_model, only_run_in, scores_by_numpy

PNG = b"\x89PNG\r\n\x1a\n"


def split_digits(composed):
    dataset = datasets.load(composed.dataset)
    return dataset, splits.split_dataset(dataset, composed.split)


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

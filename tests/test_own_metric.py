"""A metric added by one file is trained, recorded, compared, reported and searched by."""

import itertools

import mlflow
import pytest
import sklearn.metrics

from fitgap import prediction, store
from fitgap.comparison.query import Query
from fitgap.comparison.ranking import compare_experiment
from fitgap.config import project
from fitgap.report import page
from fitgap.store import recorded

YAML = """
f1_weighted:
  phrase: F1, weighted by how frequent each class is
  scorer: f1_weighted
  tasks: [classes]
  bounds: [0, 1]
"""
OF_KERAS = """
f1_weighted:
  function: {_target_: keras.metrics.F1Score, average: weighted}
  direction: higher
  needs: probabilities
  tasks: [classes]
  bounds: [0, 1]
"""
SMALL = ("architecture=dense_softmax", "training.epochs=2", "training.xla=false")


@pytest.fixture(autouse=True)
def own_option():
    """Put the file into the project's own options, and take it away again."""
    file = project.folder() / "conf" / "metrics" / "f1_weighted.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(YAML, encoding="utf-8")
    yield file
    file.unlink()
    file.parent.rmdir()
    file.parent.parent.rmdir()


def test_a_metric_of_one_file_is_found_everywhere(train, tmp_path):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    ended = train("-m", *SMALL, "metrics=[f1_weighted]", "optimizer=sgd,adam", "seed=0,1")
    assert ended.code == 0
    assert "val/f1_weighted 0." in ended.out

    runs = store.find_runs(uri, experiment="fitgap", tags={"fitgap.role": "run"})
    assert len(runs) == 4
    for run in runs:
        assert {"train/f1_weighted", "gap/f1_weighted", "test_gap/f1_weighted"} <= set(run.metrics)
        assert "val/accuracy" not in run.metrics
    of_run = recorded.open_run(runs[0].run_id, uri=uri)
    dataset = prediction.load_dataset(of_run)
    predicted = prediction.load_model(of_run).predict(dataset.x_test, verbose=0).argmax(axis=1)
    expected = sklearn.metrics.f1_score(dataset.y_test, predicted, average="weighted")
    assert runs[0].metrics["test/f1_weighted"] == pytest.approx(expected, abs=1e-6)

    compared = compare_experiment(uri, experiment="fitgap")
    (section,) = compared.sections
    assert section.sort == "val/f1_weighted"
    means = [group.metrics["val/f1_weighted"].mean for group in section.groups]
    assert means == sorted(means, reverse=True)  # the record says that higher is better

    page.write(tmp_path / "report.html", uri=uri, experiment="fitgap")
    assert "val/f1_weighted" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_class_of_keras_is_a_metric_in_a_process_of_its_own(own_option, run_train):
    # TensorFlow has not begun there when the metric is first tried.
    own_option.write_text(OF_KERAS, encoding="utf-8")
    ended = run_train(*SMALL, "metrics=[f1_weighted,accuracy]")
    assert ended.code == 0, ended.err
    assert "val/f1_weighted 0." in ended.out


def test_a_search_seeks_the_metric_of_one_file(train):
    pytest.importorskip("optuna", reason="Optuna is an extra")
    ended = train(
        "-m", "hydra/sweeper=optuna", *SMALL, "metrics=[f1_weighted]",
        "optimizer=sgd,adam", "hydra.sweeper.n_trials=2",
    )  # fmt: skip
    assert ended.code == 0
    assert "f1_weighted" in ended.out


def test_a_metric_that_two_options_define_is_refused(train, own_option):
    second = own_option.with_name("second.yaml")
    second.write_text(YAML, encoding="utf-8")
    try:
        ended = train(*SMALL, "metrics=[f1_weighted]")
    finally:
        second.unlink()
    assert ended.code == 2
    assert "metrics: f1_weighted is defined by two options" in ended.err


def test_runs_that_others_logged_are_ranked_by_what_they_have(tracking_uri):
    client = mlflow.MlflowClient(tracking_uri)
    experiment = client.create_experiment("others")
    for kind, seed in itertools.product("ab", range(3)):
        run_id = client.create_run(experiment).info.run_id
        client.log_param(run_id, "kind", kind)
        client.log_param(run_id, "seed", seed)
        client.log_metric(
            run_id, "val/error", ord(kind) + seed / 10 + (kind == "b" and seed == 1) / 9
        )
        client.set_terminated(run_id)
    (section,) = compare_experiment(
        tracking_uri, experiment="others", query=Query("val/error")
    ).sections
    first, second = section.groups
    assert (first.settings, second.against_best.word) == ({"kind": "a"}, "worse")

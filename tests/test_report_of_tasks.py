"""Comparisons, reports and pictures of numbers and label sets: each speaks of its own metric."""

import dataclasses
import json
import re

import numpy as np
import pytest
import sklearn.metrics
from click.testing import CliRunner

from fitgap import experiment, store
from fitgap.charts import calibration, themes
from fitgap.commands import compare, plot, predict, report
from fitgap.comparison.gap_curves import front_of
from fitgap.comparison.ranking import compare_experiment
from fitgap.errors import RequestError
from fitgap.report import figures_by_part
from fitgap.store import predictions


def made(task):
    rng = np.random.default_rng(7)
    x = rng.normal(size=(160, 3)).astype(np.float32)
    y = (x @ np.array([1.0, -2.0, 0.5])).astype(np.float32)
    if task == "numbers":
        return x, y
    return x, np.stack([y > 0, x[:, 0] > 0.5, x[:, 1] < 0], axis=1).astype(np.int64)


@pytest.fixture(params=["numbers", "label_sets"])
def record(request, compose, tracking_uri, tmp_path, monkeypatch):
    """Return the task and its primary metric, with a record of two optimizers."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri)
    x, y = made(request.param)
    file = tmp_path / "data.npz"
    np.savez(file, x_train=x[:120], y_train=y[:120], x_test=x[120:], y_test=y[120:])
    for optimizer in ("adam", "sgd"):
        config = compose(
            "dataset=npz", f"dataset.path={file}", f"optimizer={optimizer}", "training.epochs=5",
            f"tracking.uri={tracking_uri}", "training.xla=false", task=None,
        )  # fmt: skip
        experiment.run(experiment.plan(config))
    return request.param, {"numbers": "rmse", "label_sets": "accuracy"}[request.param], tracking_uri


def call(command, *arguments):
    done = CliRunner().invoke(command, ["--experiment", "fitgap", *arguments])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def test_each_view_speaks_of_the_tasks_own_metric(record, tmp_path):
    task, metric, _ = record
    told = call(compare.command)
    assert f"val/{metric}" in told
    assert f"The first group's test {metric}, not used to choose it" in " ".join(told.split())
    verdicts = " ".join(call(compare.command, "--verdicts").split())
    assert f"gap/{metric}" in verdicts
    for kind in ("gap", "curves"):
        file = tmp_path / f"{kind}.svg"
        call(plot.command, kind, "-o", str(file))
        assert metric in file.read_text(encoding="utf-8")
    page = tmp_path / "report.html"
    call(report.command, "--output", str(page))
    html = re.sub(r"<(script|style).*?</\1>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert f"Selected by val/{metric}" in html
    assert f"Its test {metric}, reported for this group alone" in html
    assert f">gap/{metric}</th>" in html
    assert f">val/{metric}</th><th>name</th>" in html
    assert "McNemar" not in html
    assert "confusion" not in html
    assert ("predicted against true" in html) == (task == "numbers")
    assert ("residuals, on the test set" in html) == (task == "numbers")
    assert ("errors by size of the target" in html) == (task == "numbers")
    assert ("precision and recall of each label" in html) == (task == "label_sets")
    assert ("The best is at the lower left" in html) == (task == "numbers")
    for text in (told, verdicts, html):
        assert ("accuracy" in text) == (metric == "accuracy")


def test_on_the_front_of_an_error_the_lowest_is_best(record):
    _, metric, uri = record
    (section,) = compare_experiment(uri, experiment="fitgap").sections
    first, second = section.groups

    def with_figures(group, score, gap):
        metrics = dict(group.metrics)
        for name, value in ((f"val/{metric}", score), (f"gap/{metric}", gap)):
            metrics[name] = dataclasses.replace(metrics[name], mean=value)
        return dataclasses.replace(group, metrics=metrics)

    groups = (with_figures(first, 0.5, 0.1), with_figures(second, 0.25, 0.1))
    best = 1 if metric == "rmse" else 0
    assert front_of(dataclasses.replace(section, groups=groups)) == {best}


def test_what_was_predicted_can_be_read_back(record):
    task, _, uri = record
    run = store.find_runs(uri, experiment="fitgap")[0]
    found = predictions.load_outputs(run, uri=uri)
    _, y = made(task)
    assert found.are_numbers == (task == "numbers")
    assert np.array_equal(found.true, y[120:].reshape(40, -1))
    with pytest.raises(predictions.NoClassesError, match="predicts no classes"):
        predictions.load(run, uri=uri)


def test_wrong_labels_are_counted_by_label():
    found = predictions.StoredOutputs(
        true=np.array([[1, 0], [1, 1], [0, 0]]),
        outputs=np.array([[0.9, 0.6], [0.4, 0.7], [0.1, 0.8]], np.float32),
    )
    assert found.by_label() == [(0, 2, 1, 0), (1, 1, 0, 2)]


def test_figures_of_classes_are_scikit_learns():
    rng = np.random.default_rng(1)
    true, predicted = rng.integers(0, 3, 50), rng.integers(0, 3, 50)
    confusion = predictions.confusion_counts(true, predicted, 4)
    found = figures_by_part.of_classes(confusion, ["a", "b", "c", "absent"])
    expected = sklearn.metrics.precision_recall_fscore_support(true, predicted)
    for one, precision, recall, f1, support in zip(found[:3], *expected, strict=True):
        assert (one.precision, one.recall, one.f1) == pytest.approx((precision, recall, f1))
        assert one.support == support
    assert (found[3].support, found[3].precision, found[3].recall, found[3].f1) == (0, *[None] * 3)


def test_figures_of_labels_are_scikit_learns():
    rng = np.random.default_rng(2)
    true, outputs = rng.integers(0, 2, (40, 3)), rng.random((40, 3), np.float32)
    found = figures_by_part.of_labels(predictions.StoredOutputs(true, outputs), ["a", "b", "c"])
    expected = sklearn.metrics.precision_recall_fscore_support(true, outputs > 0.5)
    for one, precision, recall, f1, support in zip(found, *expected, strict=True):
        assert (one.precision, one.recall, one.f1) == pytest.approx((precision, recall, f1))
        assert one.support == support


def test_errors_by_size_are_those_of_each_fifth_of_the_targets():
    true = np.array([[9.0], [1], [2], [3], [4], [5], [6], [7], [8], [10]])
    error = np.where(true > 8, 3.0, 0.0) * np.where(true == 10, -1, 1)
    outputs = predictions.StoredOutputs(true, (true + error).astype(np.float32))
    found = figures_by_part.by_size(outputs, 0)
    assert [(one.low, one.high, one.count) for one in found] == [
        (low, low + 1, 2) for low in (1, 3, 5, 7, 9)
    ]
    assert [one.mean_absolute_error for one in found] == [0, 0, 0, 0, 3]
    assert (found[-1].mean_error, found[-1].root_mean_squared_error) == (0, 3)


def test_a_model_that_is_right_as_often_as_it_says_lies_on_the_line_of_calibration():
    right = np.arange(100) < 75
    found = predictions.StoredPredictions(
        true=np.zeros(100, np.int64),
        predicted=(~right).astype(np.int64),
        confidence=np.full(100, 0.75, np.float32),
    )
    spec = json.dumps(calibration.draw(found).spec(themes.PAGE, font="sans-serif"))
    assert '{"confidence": 0.75, "right": 0.75, "samples": 100}' in spec


def test_the_calibration_leaves_out_probabilities_that_are_not_finite():
    found = predictions.StoredPredictions(
        true=np.zeros(3, np.int64),
        predicted=np.array([0, 1, 0]),
        confidence=np.array([0.75, np.nan, np.inf], np.float32),
    )
    spec = json.dumps(calibration.draw(found).spec(themes.PAGE, font="sans-serif"))
    assert '{"confidence": 0.75, "right": 1.0, "samples": 1}' in spec
    assert "NaN" not in spec


def test_arrays_and_test_rows_are_predicted_in_the_terms_of_the_task(record, tmp_path):
    task, _, uri = record
    run_id = store.find_runs(uri, experiment="fitgap")[0].run_id
    x, y = made(task)
    np.save(tmp_path / "x.npy", x[120:125])
    np.savez(tmp_path / "x.npz", x=x[120:125], other=y)
    np.save(tmp_path / "wide.npy", np.zeros((2, 7), np.float32))

    def ask(*words, code=0):
        done = CliRunner().invoke(predict.command, [run_id, *map(str, words)])
        if code:
            assert isinstance(done.exception, RequestError)
            return str(done.exception)
        assert done.exit_code == 0, (done.output, done.exception)
        return done.output

    files = [json.loads(ask(tmp_path / f"x.{kind}", "--format", "json")) for kind in ("npy", "npz")]
    assert files[0] == files[1]
    of_test = json.loads(ask("--images", "0-4", "--format", "json"))["rows"]
    values = "values" if task == "numbers" else "probabilities"
    for row, asked, true in zip(files[0]["rows"], of_test, y[120:125], strict=True):
        assert row[values] == pytest.approx(asked[values], rel=1e-5)
        assert asked["true"] == pytest.approx(np.ravel(true).tolist())
        if task == "label_sets":
            given = [f"label_{k}" for k, p in enumerate(row[values]) if p > 0.5]
            assert row["predicted"] == given
    told = ask(tmp_path / "x.npy")
    assert ("marks a predicted label (above 0.5)" in told) == (task == "label_sets")
    assert "the network takes shape (n, 3), got (2, 7)" in ask(tmp_path / "wide.npy", code=2)

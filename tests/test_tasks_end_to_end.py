"""Real small data of each task go the whole way by commands; every figure is scikit-learn's."""

import csv
import json
import os
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest
import sklearn.datasets
import sklearn.metrics

from fitgap import prediction, store
from fitgap.data import preprocessing, splits
from fitgap.evaluation.scores import partition
from fitgap.store import recorded

pytestmark = pytest.mark.slow
SMALL = ("architecture=dense", "architecture.units=[16]", "training.epochs=3", "training.xla=false")


@dataclass(frozen=True)
class Problem:
    """Settings of a problem's data, its metrics, and what scikit-learn says of predictions.

    Attributes
    ----------
    data
        Overrides.
    metrics
        The primary one first.
    remedies
        Those that fit the data.
    """

    data: tuple[str, ...]
    metrics: tuple[str, ...]
    remedies: str = "none,l2"


def diabetes(folder):
    x, y = sklearn.datasets.load_diabetes(return_X_y=True)
    with (folder / "diabetes.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow([*(f"x{i}" for i in range(x.shape[1])), "progression"])
        rows.writerows([*row, target] for row, target in zip(x.tolist(), y.tolist(), strict=True))
    data = ("dataset=table", f"dataset.path={folder / 'diabetes.csv'}")
    return Problem(
        (*data, "dataset.label=progression", "dataset.task=numbers"), ("rmse", "mae", "r2")
    )


def digits_with_labels(folder):
    x, y = sklearn.datasets.load_digits(return_X_y=True)
    labels = np.stack([y % 2 == 0, y > 4, np.isin(y, (0, 6, 8, 9))], axis=1).astype(int)
    images = (x.reshape(-1, 8, 8) * 15).astype(np.uint8)
    np.savez(folder / "labels.npz", x_train=images, y_train=labels)
    data = ("dataset=npz", f"dataset.path={folder / 'labels.npz'}")
    return Problem((*data, "dataset.allow_duplicates=true"), ("f1_macro", "accuracy", "roc_auc"))


def one_in_fifty(folder):
    x, y = sklearn.datasets.load_digits(return_X_y=True)
    others, eights = np.flatnonzero(y != 8), np.flatnonzero(y == 8)[:33]
    rows = np.sort(np.concatenate([others, eights]))
    features = x[rows].astype(np.float32)
    np.savez(folder / "rare.npz", x_train=features, y_train=(y[rows] == 8).astype(int))
    data = ("dataset=npz", f"dataset.path={folder / 'rare.npz'}", "split.stratify=true")
    return Problem(
        (*data, "dataset.allow_duplicates=true", "training.class_weight=balanced"),
        ("accuracy", "balanced_accuracy", "average_precision"),
    )


def fashion(folder):
    return Problem(
        ("dataset=fashion_mnist", f"dataset.data_dir={folder}", "split.train_fraction=0.05"),
        ("accuracy", "balanced_accuracy", "f1_macro", "roc_auc", "log_loss"),
    )


def expected(task, y, outputs):
    """Return every figure of a partition by scikit-learn."""
    metrics = sklearn.metrics
    if task == "numbers":
        y, p = y.astype(np.float64), outputs.astype(np.float64).reshape(y.shape)
        return {
            "rmse": metrics.root_mean_squared_error(y, p),
            "mae": metrics.mean_absolute_error(y, p),
            "r2": metrics.r2_score(y, p),
        }
    said = outputs.argmax(axis=1) if task == "classes" else outputs > 0.5
    scores = outputs[:, 1] if task == "classes" and outputs.shape[1] == 2 else outputs
    found = {
        "accuracy": metrics.accuracy_score(y, said),
        "f1_macro": metrics.f1_score(y, said, average="macro"),
        "roc_auc": metrics.roc_auc_score(y, scores, multi_class="ovr"),
    }
    if task == "classes":
        found |= {
            "balanced_accuracy": metrics.balanced_accuracy_score(y, said),
            "log_loss": metrics.log_loss(y, outputs),
        }
    if scores.ndim == 1:
        found["average_precision"] = metrics.average_precision_score(y, scores)
    return found


@pytest.fixture
def ask(tmp_path, tracking_uri):
    """Return a function that gives a command in a project folder, and returns what it printed."""
    (tmp_path / ".fitgap").mkdir()
    environment = {**os.environ, "MLFLOW_TRACKING_URI": tracking_uri, "COLUMNS": "200"}

    def run(*words):
        done = subprocess.run(
            [sys.executable, "-m", "fitgap", *words],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
        assert done.returncode == 0, f"{words}: {done.stdout}\n{done.stderr}"
        return done.stdout

    return run


@pytest.mark.filterwarnings("ignore:The y_prob values do not sum to one")
@pytest.mark.parametrize("make", [diabetes, digits_with_labels, one_in_fifty, fashion])
def test_a_problem_goes_the_whole_way(make, ask, tmp_path, tracking_uri, request):
    problem = make(request.getfixturevalue("real_data") if make is fashion else tmp_path)
    primary = problem.metrics[0]
    settings = (*SMALL, *problem.data, f"metrics=[{','.join(problem.metrics)}]")
    here = "tracking.experiment=whole"
    of = ("--experiment", "whole")

    alone = ask("train", *settings, here, "optimizer=rmsprop")
    assert f"val/{primary} " in alone
    swept = ask("train", "-m", *settings, here, "optimizer=adam,rmsprop", "seed=0,1")
    assert f"val/{primary}" in swept

    runs = store.find_runs(tracking_uri, experiment="whole", tags={"fitgap.role": "run"})
    assert len(runs) == 4  # the first of them was finished before the sweep
    check_figures(runs[0], problem, uri=tracking_uri)

    ranked = json.loads(ask("compare", *of, "--format", "json"))
    means = [group["metrics"][f"val/{primary}"]["mean"] for group in ranked]
    assert means == sorted(means, reverse=primary != "rmse")
    told = ask("compare", *of)
    assert "The baseline, one prediction for every sample: val/" in told
    assert ("says little" in told) == (make is one_in_fifty)
    ask("compare", *of, "--verdicts")
    ask("report", *of, "--output", str(tmp_path / "report.html"))
    assert f"val/{primary}" in (tmp_path / "report.html").read_text(encoding="utf-8")

    space = ("hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", "tracking.experiment=search")
    grid = "optimizer.learning_rate=tag(log,interval(1e-3,1e-2))"
    searched = ask("train", "-m", *settings, *space, grid)
    assert primary in searched
    remedies = ("sweep=remedies", f"remedy={problem.remedies}", "seed=0,1")
    ask("train", *remedies, *settings, "tracking.experiment=remedies")
    table = ask("remedies", "--experiment", "remedies", "--output", str(tmp_path / "remedies"))
    assert f"Δ val/{primary}" in table

    check_predictions(json.loads(ask("predict", runs[0].run_id, "--format", "json")), runs[0])

    registered = ask("register", "--register", "best", *of)
    assert "models:/best/1" in registered


def check_figures(stored, problem, *, uri):
    """Hold a run's record against scikit-learn on what the saved model says."""
    run = recorded.open_run(stored.run_id, uri=uri)
    dataset = prediction.load_dataset(run)
    parts = partition(dataset, splits.split_dataset(dataset, run.config.split))
    model = prediction.load_model(run)
    for name in ("train", "val", "test"):
        part = getattr(parts, name)
        x = preprocessing.as_given(part.x, dataset)
        outputs = prediction.outputs_of(model, x, task=dataset.task)
        values = expected(dataset.task, part.y, outputs)
        for metric in problem.metrics:
            recorded_value = stored.metrics[f"{name}/{metric}"]
            assert recorded_value == pytest.approx(values[metric], rel=1e-6, abs=1e-6), metric


def check_predictions(said, stored):
    """Hold what ``predict`` says of the first test rows against their true targets' form."""
    assert said["run"] == stored.run_id
    shown = said.get("images") or said["rows"]
    assert len(shown) == 10
    assert all("true" in one for one in shown)
    assert ("threshold" in said) == ("label_sets" in said)

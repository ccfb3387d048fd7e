"""Classes, numbers and label sets from file to record: every figure is scikit-learn's."""

import subprocess
import sys

import numpy as np
import pytest
import sklearn.metrics
from sklearn.dummy import DummyClassifier, DummyRegressor

from fitgap import experiment, prediction, store
from fitgap.data import datasets, splits
from fitgap.errors import RequestError
from fitgap.evaluation.scores import partition
from fitgap.store import recorded

N = 300


def made(kind):
    """Return features and targets of a kind that a small network learns something of."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(N, 4)).astype(np.float32)
    noise = rng.normal(size=N)
    return x, {
        "three classes": np.digitize(x[:, 0] + 0.3 * noise, [-0.5, 0.5]),
        "one in fifty": (np.argsort(np.argsort(x[:, 0])) >= N - N // 50).astype(np.int64),
        "prices": 50_000 + 20_000 * x[:, 0] + 1_000 * noise,
        "two numbers": np.stack([3 * x[:, 0] + 1, x[:, 1] - 0.1 * noise], axis=1),
        "label sets": np.stack([x[:, 0] > 0, x[:, 1] > 0.5, x[:, 2] + x[:, 3] > 0], axis=1).astype(
            int
        ),
    }[kind]


@pytest.fixture
def run(compose, tracking_uri, tmp_path):
    """Return a function that trains on a kind of data, and gives record, dataset and outputs."""

    def train(kind, *overrides):
        x, y = made(kind)
        np.savez(tmp_path / "data.npz", x_train=x, y_train=y)
        composed = compose(
            "dataset=npz",
            f"dataset.path={tmp_path / 'data.npz'}",
            f"tracking.uri={tracking_uri}",
            "training.epochs=3",
            "training.xla=false",
            *overrides,
            task=None,
        )
        planned = experiment.plan(composed)
        result = experiment.run(planned)
        dataset = datasets.load(planned.config.dataset, split=planned.config.split)
        parts = partition(dataset, splits.split_dataset(dataset, planned.config.split))
        of_run = recorded.open_run(result.run_id, uri=tracking_uri)
        model = prediction.load_model(of_run)
        outputs = {
            name: model.predict(getattr(parts, name).x, verbose=0)
            for name in ("train", "val", "test")
        }
        return result, parts, outputs

    return train


def expected_classes(y, p):
    c = p.argmax(axis=1)
    two = p.shape[1] == 2
    return {
        "accuracy": sklearn.metrics.accuracy_score(y, c),
        "balanced_accuracy": sklearn.metrics.balanced_accuracy_score(y, c),
        "f1_macro": sklearn.metrics.f1_score(y, c, average="macro"),
        "roc_auc": sklearn.metrics.roc_auc_score(y, p[:, 1])
        if two
        else sklearn.metrics.roc_auc_score(y, p, multi_class="ovr"),
        "average_precision": sklearn.metrics.average_precision_score(y, p[:, 1] if two else p),
        "log_loss": sklearn.metrics.log_loss(y, p),
        "brier": sklearn.metrics.brier_score_loss(y, p[:, 1] if two else p),
    }


def expected_numbers(y, p):
    y, p = y.astype(np.float64), p.astype(np.float64).reshape(y.shape)
    return {
        "rmse": sklearn.metrics.root_mean_squared_error(y, p),
        "mae": sklearn.metrics.mean_absolute_error(y, p),
        "r2": sklearn.metrics.r2_score(y, p),
    }


def expected_label_sets(y, p):
    c = p > 0.5
    return {
        "accuracy": sklearn.metrics.accuracy_score(y, c),
        "label_accuracy": 1 - sklearn.metrics.hamming_loss(y, c),
        "f1_macro": sklearn.metrics.f1_score(y, c, average="macro"),
        "roc_auc": sklearn.metrics.roc_auc_score(y, p),
    }


NAMES = {
    expected_classes: (
        "accuracy", "balanced_accuracy", "f1_macro", "roc_auc", "average_precision", "log_loss",
        "brier",
    ),
    expected_numbers: ("rmse", "mae", "r2"),
    expected_label_sets: ("accuracy", "label_accuracy", "f1_macro", "roc_auc"),
}  # fmt: skip
LOWER = {"loss", "log_loss", "brier", "rmse", "mae"}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("three classes", expected_classes),
        ("one in fifty", expected_classes),
        ("prices", expected_numbers),
        ("two numbers", expected_numbers),
        ("label sets", expected_label_sets),
    ],
)
@pytest.mark.filterwarnings("ignore:The y_prob values do not sum to one")
def test_every_recorded_figure_is_scikit_learns_on_the_saved_model(run, kind, expected):
    names = ",".join(NAMES[expected])
    result, parts, outputs = run(kind, f"metrics=[{names}]")
    own = {name: expected(getattr(parts, name).y, outputs[name]) for name in outputs}
    for part, figures in own.items():
        for name, value in figures.items():
            assert result.metrics[f"{part}/{name}"] == pytest.approx(value, rel=1e-6, abs=1e-6)
    for name in own["train"]:
        sign = -1 if name in LOWER else 1
        for gap, unseen in (("gap", "val"), ("test_gap", "test")):
            value = sign * (own["train"][name] - own[unseen][name])
            assert result.metrics[f"{gap}/{name}"] == pytest.approx(value, rel=1e-6, abs=2e-6)


def test_the_baseline_is_scikit_learns_dummy(run):
    result, parts, _ = run("three classes", "metrics=[accuracy,log_loss]")
    dummy = DummyClassifier(strategy="prior").fit(parts.train.x, parts.train.y)
    assert result.metrics["baseline/accuracy"] == dummy.score(parts.val.x, parts.val.y)
    p = dummy.predict_proba(parts.val.x)
    expected = sklearn.metrics.log_loss(parts.val.y, p)
    assert result.metrics["baseline/log_loss"] == pytest.approx(expected, rel=1e-6)


def test_the_baseline_of_numbers_is_the_mean_of_the_training_targets(run):
    result, parts, _ = run("prices")
    dummy = DummyRegressor().fit(parts.train.x, parts.train.y)
    expected = sklearn.metrics.root_mean_squared_error(parts.val.y, dummy.predict(parts.val.x))
    assert result.metrics["baseline/rmse"] == pytest.approx(expected, rel=1e-6)
    assert result.metrics["val/rmse"] < expected


def test_the_network_speaks_in_the_units_of_the_target(run):
    _, parts, outputs = run("prices")
    assert outputs["val"].mean() == pytest.approx(parts.val.y.mean(), rel=0.2)


@pytest.mark.parametrize(
    ("kind", "overrides", "parts"),
    [
        ("three classes", ["metrics=[rmse]"], ["metrics=rmse is for numbers", "are classes"]),
        ("prices", ["metrics=[accuracy]"], ["for classes and label_sets", "are numbers"]),
        ("prices", ["loss=categorical_crossentropy"], ["takes one_hot labels", "numbers"]),
        ("prices", ["training.class_weight=balanced"], ["weighs classes", "numbers"]),
        ("label sets", ["loss=sparse_categorical_crossentropy"], ["integer", "label_sets"]),
        ("three classes", ["loss=binary_crossentropy"], ["2 classes", "3"]),
        ("three classes", ["+loss.function.colour=red"], ["loss.function", "colour"]),
        ("prices", ["+loss.function.from_logits=true"], ["loss.function", "from_logits"]),
        ("prices", ["loss.labels=integer"], ["loss.labels", "loss=mse", "numbers", "integer"]),
        (
            "three classes",
            ["+loss.function._target_=keras.losses.Poisson"],
            ["loss=auto", "keras.losses.Poisson"],
        ),
        (
            "three classes",
            ["metrics=[top_5_accuracy]"],
            ["no value", "meaningless"],
        ),
        ("three classes", ["dataset.task=label_sets"], ["a column per label"]),
        ("three classes", ["training.class_weight={7: 2}"], ["no class '7'", "'0', '1', '2'"]),
        (
            "three classes",
            ["+metrics.mine={direction: higher, function: {_target_: no.such}}"],
            ["metrics=mine: no.such does not exist"],
        ),
        (
            "three classes",
            ["+metrics.mine={function: {_target_: sklearn.metrics.hinge_loss}}"],
            ["metrics.mine.direction must be higher or lower"],
        ),
        (
            "three classes",
            ["+metrics.mine={scorer: no_such}"],
            ["metrics.mine.scorer", "get_scorer_names"],
        ),
        (
            "three classes",
            ["+metrics.mine={direction: higher, function: {_target_: sklearn.metrics.f1_score}}"],
            ["metrics=mine fails", "average"],
        ),
    ],
)
def test_what_does_not_fit_the_task_is_refused_before_training(run, kind, overrides, parts):
    with pytest.raises(RequestError) as caught:
        run(kind, *overrides)
    for part in parts:
        assert part in str(caught.value)


def test_a_weight_of_no_class_is_refused_before_a_run_is_planned(compose, tmp_path):
    x, y = made("three classes")
    np.savez(tmp_path / "data.npz", x_train=x, y_train=y)
    path = f"dataset.path={tmp_path / 'data.npz'}"
    config = compose("dataset=npz", path, "training.class_weight={7: 2}")
    with pytest.raises(RequestError, match="no class '7'"):
        experiment.plan(config)


def test_targets_that_are_not_finite_are_named(compose, tmp_path):
    x, y = made("prices")
    y[7] = np.nan
    np.savez(tmp_path / "data.npz", x_train=x, y_train=y)
    config = compose("dataset=npz", f"dataset.path={tmp_path / 'data.npz'}", task=None)
    with pytest.raises(RequestError, match=r"y_train\[7\] is nan"):
        experiment.plan(config)


def test_a_metric_without_a_value_on_a_partition_is_absent_and_said(run, tracking_uri, capsys):
    # One in fifty of 300: with this split the test part has rows of one class alone.
    result, parts, _ = run(
        "one in fifty",
        "metrics=[accuracy,roc_auc]",
        "dataset.test_fraction=0.05",
        "split.stratify=false",
        "split.validation_fraction=0.01",
    )
    assert len(np.unique(parts.val.y)) == 1
    assert "val/roc_auc" not in result.metrics
    assert "gap/roc_auc" not in result.metrics
    assert np.isfinite(list(result.metrics.values())).all()
    assert "no val/roc_auc: Only one class" in capsys.readouterr().out
    (stored,) = store.find_runs(tracking_uri, experiment="fitgap")
    assert stored.tags["fitgap.undefined"].startswith("val/roc_auc: Only one class")


@pytest.mark.parametrize("shape", [(50,), (50, 3)])
def test_accuracy_is_scikit_learns_without_importing_it(shape):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, shape)
    outputs = rng.random((50, 2 if len(shape) == 1 else 3)).astype(np.float32)
    task = "classes" if len(shape) == 1 else "label_sets"
    predicted = outputs.argmax(axis=1) if task == "classes" else (outputs > 0.5).astype(int)
    code = (
        "import sys, numpy as np\n"
        "from fitgap.config.options import read_option\n"
        "from fitgap.config.schema import MetricConfig\n"
        "from fitgap.evaluation import metrics\n"
        "node = MetricConfig(**read_option('metrics', 'accuracy')['accuracy'])\n"
        "found = metrics.metric_of('accuracy', node, each_epoch=True)\n"
        f"y, outputs = np.array({y.tolist()}), np.array({outputs.tolist()}, np.float32)\n"
        f"metrics.check([found], y, task={task!r}, num_outputs=outputs.shape[1])\n"
        f"print(repr(found.compute(y, outputs, task={task!r})))\n"
        "assert 'sklearn' not in sys.modules\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert float(ended.stdout) == sklearn.metrics.accuracy_score(y, predicted)

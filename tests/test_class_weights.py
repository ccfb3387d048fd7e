"""Weights of classes: scikit-learn's, in the training loss alone, the same in both engines."""

import json

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_sample_weight

from fitgap import store
from fitgap.errors import RequestError
from fitgap.evaluation.scores import Partition
from fitgap.models import build
from fitgap.training.class_weights import sample_weights
from fitgap.training.engines import choice as engines
from fitgap.training.engines.choice import EngineChoice

Y = np.array([0] * 30 + [1] * 6 + [2] * 4)
NAMES = ("cat", "dog", "2nd")


def test_balanced_weights_are_scikit_learns():
    found = sample_weights("balanced", Y, class_names=NAMES)
    np.testing.assert_allclose(found, compute_sample_weight("balanced", Y), rtol=1e-6)


def test_classes_are_named_or_numbered_and_weigh_1_if_left_out():
    found = sample_weights({"dog": 3, "2": 0.5}, Y, class_names=NAMES)
    assert (found[0], found[30], found[36]) == (1, 3, 0.5)


@pytest.mark.parametrize("setting", [{"mouse": 1}, {"3": 1}, {"dog": 1, "1": 2}])
def test_unknown_and_repeated_classes_are_refused(setting):
    with pytest.raises(RequestError, match=r"training\.class_weight"):
        sample_weights(setting, Y, class_names=NAMES)


def make_engine(compose, name, *, weights, precision="float32"):
    config = compose("architecture=dense_relu_100", f"training.precision={precision}")
    x = np.random.default_rng(0).integers(0, 256, (len(Y), 4, 4), dtype=np.uint8)
    model = build.build(config, image_shape=(4, 4), num_classes=3, total_steps=10)
    choice = EngineChoice(name, xla=False, reason="asked for")
    part = Partition(x, Y, weights)
    return engines.make(choice, model=model, train=part, config=config, callbacks=()), part


def test_both_engines_weigh_alike_and_scores_do_not(compose):
    weights = sample_weights("balanced", Y, class_names=NAMES)
    order = np.random.default_rng(1).permutation(len(Y)).astype(np.int32)
    trained = {}
    for name in ("compiled", "fit"):
        engine, part = make_engine(compose, name, weights=weights)
        before = engine.evaluate(part)
        plain = engine.evaluate(Partition(part.x, part.y))
        assert before == plain
        running = engine.run_epoch(order)
        trained[name] = (running, engine.model.get_weights())
    assert trained["compiled"][0].loss == pytest.approx(trained["fit"][0].loss, rel=1e-5)
    for one, other in zip(trained["compiled"][1], trained["fit"][1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    engine, _ = make_engine(compose, "compiled", weights=None)
    engine.run_epoch(order)
    assert not np.allclose(engine.model.get_weights()[0], trained["compiled"][1][0])


def test_a_weight_of_two_is_a_sample_taken_twice(compose):
    # One full-batch step of SGD: the gradient of a weighted mean.
    weights = sample_weights({"dog": 2}, Y, class_names=NAMES)
    engine, part = make_engine(compose, "compiled", weights=weights)
    probabilities = engine.predict(part.x)
    losses = -np.log(probabilities[np.arange(len(Y)), Y].astype(np.float64))
    order = np.arange(32, dtype=np.int32)
    running = engine.run_epoch(order)
    assert running.loss == pytest.approx(np.mean((weights * losses)[:32]), rel=1e-5)


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_keeps_weights_and_outputs_in_float32(compose, precision):
    engine, part = make_engine(compose, "compiled", weights=None, precision=precision)
    engine.run_epoch(np.arange(len(Y), dtype=np.int32))
    assert {w.dtype for w in engine.model.get_weights()} == {np.dtype(np.float32)}
    assert engine.model.get_layer("hidden").compute_dtype == precision.removeprefix("mixed_")
    assert engine.predict(part.x).dtype == np.float32


def test_a_class_with_signs_in_its_name_has_a_weight_in_the_record(train, tmp_path):
    rows = [f"{i % 7},{'C++' if i % 2 else 'C'}" for i in range(60)]
    (tmp_path / "data.csv").write_text("\n".join(["x,label", *rows]), encoding="utf-8")
    ended = train(
        "dataset=table", f"dataset.path={tmp_path / 'data.csv'}", "architecture=dense_softmax",
        "training.epochs=1", "training.xla=false", "training.class_weight={C++: 5}",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    (run,) = store.find_runs(f"sqlite:///{tmp_path / 'mlflow.db'}", experiment="fitgap")
    assert json.loads(run.params["training.class_weight"]) == {"C++": 5}

"""The rule that chooses an engine, and what both engines must agree in."""

import copy

import keras
import numpy as np
import pytest

from fitgap.config import settings, targets
from fitgap.errors import RequestError
from fitgap.evaluation.scores import Partition
from fitgap.models import build
from fitgap.training.engines import choice as engines
from fitgap.training.engines.choice import EngineChoice

MIB = 2**20
LSTM = {"_target_": "keras.layers.LSTM", "units": 3}
FLATTEN = {"_target_": "keras.layers.Flatten"}
PRELU = {"_target_": "keras.layers.PReLU"}
NOISE = {"_target_": "keras.layers.GaussianNoise", "stddev": 0.1}
PLATEAU = {"_target_": "keras.callbacks.ReduceLROnPlateau"}
CHECKPOINT = {"_target_": "keras.callbacks.ModelCheckpoint", "filepath": "x.keras"}
OWN = {"_target_": "my.Own"}
STOPPING = {"_target_": "keras.callbacks.EarlyStopping"}


@pytest.fixture(scope="module")
def plain_dense(compose):
    return settings.to_plain(compose("architecture=dense"))


def changed(plain, changes):
    """Return checked settings, some of them changed by their dotted names."""
    plain = copy.deepcopy(plain)
    for path, value in changes.items():
        section, _, key = path.partition(".")
        plain[section][key] = value
    made = settings.from_plain(plain)
    settings.validate(made)
    return made


ROTATION = {"_target_": "keras.layers.RandomRotation", "factor": 0.1}


def layers(*nodes):
    return {
        "_target_": "fitgap.models.sequential",
        "name": "mine",
        "title": None,
        "layers": list(nodes),
    }


def with_layers(plain, *nodes):
    return plain | {"architecture": layers(*nodes)}


@pytest.mark.parametrize(
    ("changes", "image_bytes", "expected", "reason"),
    [
        ({}, 0, ("compiled", True), "compiled with XLA"),
        ({"architecture.units": []}, 0, ("compiled", True), "compiled with XLA"),
        ({"architecture.batch_norm": True}, 0, ("compiled", True), "compiled with XLA"),
        ({"architecture.dropout": 0.5}, 0, ("compiled", False), "Dropout"),
        ({"training.augmentation": {"a": ROTATION}}, 0, ("compiled", False), "RandomRotation"),
        (
            {"training.augmentation": {"a": {"_target_": "my.Own"}}},
            0,
            ("auto", None),
            "built model",
        ),
        ({"training.early_stopping": STOPPING}, 0, ("compiled", True), "compiled with XLA"),
        ({"training.callbacks": {"a": PLATEAU}}, 0, ("compiled", True), "compiled with XLA"),
        ({"training.callbacks": {"a": CHECKPOINT}}, 0, ("fit", False), "ModelCheckpoint"),
        ({"training.callbacks": {"a": {"_target_": "my.Own"}}}, 0, ("auto", None), "built model"),
        ({}, 4096 * MIB, ("compiled", True), "compiled with XLA"),
        ({}, 4096 * MIB + 1, ("fit", False), "memory_limit_mb=4096"),
        ({"training.memory_limit_mb": 1}, 2 * MIB, ("fit", False), "2 MB exceed"),
        # What is asked for is done.
        ({"training.engine": "fit"}, 0, ("fit", False), "training.engine=fit"),
        ({"training.engine": "numpy"}, 0, ("numpy", False), "training.engine=numpy"),
        ({"training.engine": "compiled"}, 9999 * MIB, ("compiled", True), "compiled with XLA"),
        ({"training.xla": False}, 0, ("compiled", False), "training.xla=False"),
        (
            {"training.xla": True, "architecture.dropout": 0.5},
            0,
            ("compiled", True),
            "training.xla=True",
        ),
    ],
)
def test_the_rule_for_dense_networks(plain_dense, changes, image_bytes, expected, reason):
    choice = engines.choose(changed(plain_dense, changes), image_bytes=image_bytes)
    assert (choice.name, choice.xla) == expected
    assert reason in choice.reason


@pytest.mark.parametrize(
    ("nodes", "engine", "expected", "reason"),
    [
        ([FLATTEN, PRELU], "auto", ("compiled", True), "compiled with XLA"),
        ([FLATTEN, NOISE], "auto", ("compiled", False), "GaussianNoise"),
        ([{"_target_": "my.Layer"}, FLATTEN], "auto", ("auto", None), "built model"),
        ([{"_target_": "my.Layer"}], "compiled", ("compiled", None), "built model"),
    ],
)
def test_the_rule_for_layers_as_given(plain_dense, nodes, engine, expected, reason):
    made = changed(with_layers(plain_dense, *nodes), {"training.engine": engine})
    choice = engines.choose(made, image_bytes=0)
    assert (choice.name, choice.xla) == expected
    assert reason in choice.reason


def test_an_architecture_of_ones_own_waits_for_the_built_model(plain_dense):
    own = plain_dense | {"architecture": {"_target_": "my.network", "name": "mine"}}
    choice = engines.choose(changed(own, {}), image_bytes=0)
    assert (choice.name, choice.xla) == ("auto", None)


@pytest.mark.parametrize(
    ("engine", "callbacks", "expected", "reason"),
    [
        ("auto", [], ("fit", False), "PlainLayer"),
        ("compiled", [], ("compiled", False), "PlainLayer"),
    ],
)
def test_a_layer_nobody_measured_is_left_to_keras(plain_dense, engine, callbacks, expected, reason):
    made = changed(plain_dense, {"training.engine": engine})
    model = keras.Sequential([keras.layers.Input((3,)), PlainLayer()])
    waiting = EngineChoice(engine, xla=None, reason="by the layers of the built model")
    choice = engines.resolve(waiting, model=model, config=made, callbacks=callbacks)
    assert (choice.name, choice.xla) == expected
    assert reason in choice.reason


class PlainLayer(keras.layers.Layer):
    """Does nothing, which nobody can see from outside."""

    def call(self, x):
        return x


def test_models_within_models_and_wrapped_layers_are_looked_into():
    inner = keras.Sequential([keras.layers.Dense(2), keras.layers.Dropout(0.5)])
    x = inputs = keras.layers.Input((4, 3))
    x = keras.layers.TimeDistributed(inner)(x)
    x = keras.layers.Bidirectional(keras.layers.LSTM(2))(x)
    model = keras.Model(inputs, keras.ops.abs(x))
    found = engines.layers_of(keras.Sequential([keras.layers.Input((4, 3)), model]))
    assert {"TimeDistributed", "Bidirectional", "LSTM", "Absolute", "Dropout"} <= found


@pytest.mark.parametrize(
    ("architecture", "expected"), [("cnn_small", False), ("dense_relu_100", True)]
)
def test_the_bundled_architectures_are_compiled(compose, architecture, expected):
    choice = engines.choose(compose(f"architecture={architecture}"), image_bytes=0)
    assert (choice.name, choice.xla) == ("compiled", expected)


# The engines themselves, on a small network.


def make_partition(n, *, num_classes=3):
    rng = np.random.default_rng(0)
    return Partition(
        rng.integers(0, 256, (n, 4, 4), dtype=np.uint8), np.arange(n, dtype=np.int64) % num_classes
    )


def make_engine(made, *, name, train, callbacks=()):
    model = build.build(made, image_shape=(4, 4), num_classes=3, total_steps=10)
    choice = EngineChoice(name, xla=False, reason="asked for")
    return engines.make(choice, model=model, train=train, config=made, callbacks=callbacks)


def orders(n, epochs):
    rng = np.random.default_rng(1)
    return [rng.permutation(n).astype(np.int32) for _ in range(epochs)]


@pytest.mark.parametrize(
    ("n", "batch_size"), [(43, 8), (5, 8)], ids=["a smaller last batch", "only a smaller batch"]
)
def test_the_engines_agree_but_for_the_last_digits(plain_dense, n, batch_size):
    changes = {"architecture.units": [6], "training.batch_size": batch_size}
    made, train = changed(plain_dense, changes), make_partition(n)
    ended = {}
    for name in ("fit", "compiled"):
        engine = make_engine(made, name=name, train=train)
        running = [engine.run_epoch(order) for order in orders(n, 2)]
        ended[name] = (engine.model.get_weights(), running, engine.evaluate(train))
        steps = int(engine.model.optimizer.iterations)
        assert steps == 2 * -(-n // batch_size)
    for fit, compiled in zip(ended["fit"][0], ended["compiled"][0], strict=True):
        np.testing.assert_allclose(fit, compiled, rtol=1e-4, atol=1e-6)
    for fit, compiled in zip(
        [*ended["fit"][1], ended["fit"][2]],
        [*ended["compiled"][1], ended["compiled"][2]],
        strict=True,
    ):
        assert fit.loss == pytest.approx(compiled.loss, rel=1e-5)
        assert fit["accuracy"] == pytest.approx(compiled["accuracy"], abs=1e-6)


@pytest.mark.parametrize("name", ["fit", "compiled"])
def test_the_order_given_is_the_order_of_the_images(plain_dense, name):
    # One image in all but one batch: what that one is, decides what is learnt.
    made, train = changed(plain_dense, {"training.batch_size": 1}), make_partition(3)
    ends = []
    for order in ([0, 1, 2], [2, 1, 0], [0, 1, 2]):
        engine = make_engine(made, name=name, train=train)
        engine.run_epoch(np.array(order, np.int32))
        ends.append(np.concatenate([weight.ravel() for weight in engine.model.get_weights()]))
    np.testing.assert_array_equal(ends[0], ends[2])
    assert not np.array_equal(ends[0], ends[1])


class CountBatches(keras.callbacks.Callback):
    """Acts between batches, as ModelCheckpoint and TensorBoard do."""

    def __init__(self):
        super().__init__()
        self.losses = []

    def on_train_batch_end(self, batch, logs=None):  # noqa: ARG002 - Keras's signature
        self.losses.append(logs["loss"])


def test_model_fit_serves_callbacks_between_batches(plain_dense):
    counter = CountBatches()
    made, train = changed(plain_dense, {"training.batch_size": 8}), make_partition(20)
    engine = make_engine(made, name="fit", train=train, callbacks=[counter])
    running = engine.run_epoch(np.arange(20, dtype=np.int32))
    assert len(counter.losses) == 3
    assert counter.losses[-1] == pytest.approx(running.loss)


def test_the_compiled_epoch_refuses_callbacks_between_batches(plain_dense):
    made = changed(plain_dense, {})
    with pytest.raises(RequestError) as caught:
        make_engine(made, name="compiled", train=make_partition(8), callbacks=[CountBatches()])
    message = str(caught.value)
    for part in ("training.callbacks", "CountBatches", "training.engine=fit"):
        assert part in message


def residual(x):
    h = keras.layers.Dense(6, activation="relu")(keras.layers.Flatten()(x))
    return keras.layers.add([h, keras.layers.Dense(6)(h)])


def normalised_residual(x):
    h = keras.layers.Dense(6)(keras.layers.Flatten()(x))
    h = keras.layers.add([h, keras.layers.BatchNormalization()(h)])
    return keras.layers.Dropout(0.2)(h)


def two_towers(x):
    towers = [keras.layers.Dense(4)(keras.layers.Flatten()(x)) for _ in range(2)]
    return keras.layers.concatenate([keras.layers.multiply(towers), *towers])


def nested(x):
    inputs = keras.layers.Input((16,))
    h = keras.layers.BatchNormalization()(keras.layers.Dense(16, "relu")(inputs))
    return keras.Model(inputs, keras.layers.add([inputs, h]))(keras.layers.Flatten()(x))


@pytest.mark.parametrize(
    "function", [residual, normalised_residual, two_towers, nested], ids=lambda each: each.__name__
)
def test_branching_networks_end_with_equal_bits_without_xla(plain_dense, function):
    made, train = changed(plain_dense, {"training.batch_size": 8}), make_partition(43)
    target = targets.register(function)
    made.architecture = {"_target_": target, "name": "mine", "title": None}
    ended = []
    for name in ("fit", "compiled"):
        engine = make_engine(made, name=name, train=train)
        for order in orders(43, 2):  # the last batch has three images
            engine.run_epoch(order)
        ended.append(engine.model.get_weights())
    for fit, compiled in zip(*ended, strict=True):
        np.testing.assert_array_equal(fit, compiled)


@pytest.mark.parametrize(("dropout", "drops"), [(0.0, False), (0.2, True)])
def test_a_layer_that_drops_at_random_counts_as_one(dropout, drops):
    layers = [keras.layers.Input((4, 3)), keras.layers.LSTM(2, dropout=dropout)]
    assert ("Dropout" in engines.layers_of(keras.Sequential(layers))) is drops

import keras
import numpy as np
import pytest

from fitgap.reference.activations import get_activation
from fitgap.reference.batches import batch_slices, one_hot
from fitgap.reference.layers import Dense, Flatten, Rescaling
from fitgap.reference.losses import get_loss
from fitgap.reference.network import Network
from fitgap.reference.optimizers import make_optimizer

IMAGE_SHAPE = (6, 6)
SPARSE = "sparse_categorical_crossentropy"
ALL_LOSSES = ["mse", "mae", "categorical_crossentropy", SPARSE, "binary_crossentropy"]
OPTIMIZERS = ["sgd", "adagrad", "adadelta", "rmsprop", "adam", "adamw"]


def random_dense(features, *, units, rng, dtype):
    """Return a layer whose weights are as large as Keras's initial ones."""
    limit = np.sqrt(6 / (features + units))
    kernel = rng.uniform(-limit, limit, size=(features, units))
    return Dense(kernel, bias=np.zeros(units), dtype=dtype)


def make_network(
    *,
    loss=SPARSE,
    optimizer="sgd",
    hidden="relu",
    output="softmax",
    classes=3,
    dtype=np.float32,
    **settings,
):
    rng = np.random.default_rng(1)
    layers = [
        Rescaling(dtype=dtype),
        Flatten(),
        random_dense(36, units=8, rng=rng, dtype=dtype),
        get_activation(hidden),
        random_dense(8, units=classes, rng=rng, dtype=dtype),
        get_activation(output),
    ]
    return Network(layers, loss=get_loss(loss), optimizer=make_optimizer(optimizer, **settings))


def make_keras_twin(network, *, loss, optimizer, hidden, output):
    model = keras.Sequential(
        [
            keras.Input(IMAGE_SHAPE, dtype="uint8"),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(8, activation=hidden),
            keras.layers.Dense(network.weights[-1].shape[0], activation=output),
        ]
    )
    model.set_weights(network.weights)
    model.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"], jit_compile=False)
    return model


def make_data(rng, *, loss=SPARSE, classes=3, samples=70, dtype=np.float32):
    x = rng.integers(0, 256, size=(samples, *IMAGE_SHAPE), dtype=np.uint8)
    y = rng.integers(0, max(classes, 2), size=samples)
    if classes == 1:
        return x, y[:, np.newaxis].astype(dtype)
    return x, y if loss == SPARSE else one_hot(y, num_classes=classes, dtype=dtype)


@pytest.mark.parametrize("hidden", ["linear", "sigmoid", "tanh"])
@pytest.mark.parametrize("loss", ALL_LOSSES)
@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_gradients_match_finite_differences(rng, numerical_gradient, loss, hidden, output):
    network = make_network(loss=loss, hidden=hidden, output=output, dtype=np.float64)
    x, y = make_data(rng, loss=loss, samples=5, dtype=np.float64)
    gradients = network.gradients(network.forward(x), y=y)
    weights = [weight for layer in network.layers for weight in layer.weights]
    for gradient, weight in zip(gradients, weights, strict=True):
        expected = numerical_gradient(lambda: network.loss_value(network.forward(x), y=y), weight)
        np.testing.assert_allclose(gradient, expected, atol=1e-8)


def assert_same_training(
    rng, *, loss, optimizer, keras_optimizer, hidden, output, classes, **settings
):
    network = make_network(
        loss=loss, optimizer=optimizer, hidden=hidden, output=output, classes=classes, **settings
    )
    twin = make_keras_twin(
        network, loss=loss, optimizer=keras_optimizer, hidden=hidden, output=output
    )
    before = network.weights
    x, y = make_data(rng, loss=loss, classes=classes)
    losses, correct = [], 0
    for batch in batch_slices(len(x), batch_size=16):
        batch_loss, batch_correct = network.train_step(x[batch], y[batch])
        losses.append(batch_loss * len(x[batch]))
        correct += batch_correct
    history = twin.fit(x, y, batch_size=16, epochs=1, shuffle=False, verbose=0).history

    assert sum(losses) / len(x) == pytest.approx(history["loss"][0], rel=1e-6)
    assert correct / len(x) == pytest.approx(history["accuracy"][0], rel=1e-6)
    for start, own, other in zip(before, network.weights, twin.get_weights(), strict=True):
        assert not np.array_equal(own, start)
        np.testing.assert_allclose(own, other, rtol=1e-5, atol=1e-4 * np.abs(other - start).max())


@pytest.mark.parametrize(
    ("optimizer", "settings"),
    [
        *((name, {}) for name in OPTIMIZERS),
        ("sgd", {"momentum": 0.9}),
        ("sgd", {"momentum": 0.9, "nesterov": True}),
    ],
)
def test_every_optimizer_trains_as_keras_does(rng, optimizer, settings):
    assert_same_training(
        rng,
        loss=SPARSE,
        optimizer=optimizer,
        keras_optimizer=keras.optimizers.SGD(**settings) if settings else optimizer,
        hidden="relu",
        output="softmax",
        classes=3,
        **settings,
    )


@pytest.mark.parametrize(
    ("loss", "hidden", "output", "classes"),
    [
        ("mse", "sigmoid", "softmax", 3),
        ("mae", "tanh", "softmax", 3),
        ("categorical_crossentropy", "relu", "softmax", 3),
        # The next two are odd requests, but Keras accepts them, and from the logits.
        ("categorical_crossentropy", "relu", "sigmoid", 3),
        ("binary_crossentropy", "relu", "softmax", 2),
        ("binary_crossentropy", "relu", "sigmoid", 1),
    ],
)
def test_every_loss_trains_as_keras_does(rng, loss, hidden, output, classes):
    assert_same_training(
        rng,
        loss=loss,
        optimizer="sgd",
        keras_optimizer="sgd",
        hidden=hidden,
        output=output,
        classes=classes,
    )


def test_evaluation_and_predictions_match_keras(rng):
    network = make_network()
    twin = make_keras_twin(network, loss=SPARSE, optimizer="sgd", hidden="relu", output="softmax")
    x, y = make_data(rng)
    assert network.evaluate(x, y) == pytest.approx(twin.evaluate(x, y, verbose=0), rel=1e-6)
    np.testing.assert_allclose(network.predict(x), twin.predict(x, verbose=0), rtol=1e-5)


def test_a_sure_mistake_costs_its_whole_logit():
    # From clipped probabilities it would cost -log(1e-7), about 16.
    layer = Dense(np.array([[200.0, 0.0]]), bias=np.zeros(2))
    network = Network(
        [layer, get_activation("softmax")],
        loss=get_loss(SPARSE),
        optimizer=make_optimizer("sgd"),
    )
    values = network.forward(np.ones((1, 1), dtype=np.float32))
    assert network.loss_value(values, y=np.array([1])) == 200


def test_training_lowers_the_loss(rng):
    network = make_network(optimizer="adam", learning_rate=0.01)
    x, y = make_data(rng)
    before, _ = network.evaluate(x, y)
    for _ in range(50):
        network.train_step(x, y)
    after, _ = network.evaluate(x, y)
    assert after < before / 2


def test_evaluation_does_not_depend_on_the_batch_size(rng):
    network = make_network(dtype=np.float64)
    x, y = make_data(rng)
    assert network.evaluate(x, y, batch_size=16) == pytest.approx(network.evaluate(x, y), rel=1e-12)
    np.testing.assert_allclose(network.predict(x, batch_size=16), network.predict(x), rtol=1e-12)


def test_float64_is_kept_throughout(rng):
    network = make_network(optimizer="adam", dtype=np.float64)
    network.train_step(*make_data(rng))
    assert {weight.dtype for weight in network.weights} == {np.dtype(np.float64)}


def test_weights_are_copies_in_the_order_of_keras(rng):
    network = make_network()
    assert [weight.shape for weight in network.weights] == [(36, 8), (8,), (8, 3), (3,)]
    kept = network.weights
    network.train_step(*make_data(rng))
    assert not np.array_equal(kept[0], network.weights[0])
    network.set_weights(kept)
    np.testing.assert_array_equal(kept[0], network.weights[0])


def test_weights_that_do_not_fit_change_nothing():
    network = make_network()
    before = network.weights
    wrong_last = [np.zeros_like(weight) for weight in before[:-1]] + [np.zeros(4)]
    with pytest.raises(ValueError, match=r"weights\[3\] must have shape \(3,\).*\(4,\)"):
        network.set_weights(wrong_last)
    with pytest.raises(ValueError, match="there must be 4 weight arrays; received 3"):
        network.set_weights(before[:-1])
    np.testing.assert_array_equal(network.weights[0], before[0])


def test_samples_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"inputs must have shape \(2, 36\).*\(2, 49\)"):
        make_network().train_step(np.zeros((2, 7, 7), dtype=np.uint8), np.array([0, 1]))


def test_a_wrong_label_changes_no_weight(rng):
    network = make_network()
    before = network.weights
    x, y = make_data(rng)
    y[0] = 3
    with pytest.raises(ValueError, match="labels must be from 0 to 2"):
        network.train_step(x, y)
    np.testing.assert_array_equal(network.weights[0], before[0])


def test_partitions_must_be_of_one_length_and_not_empty(rng):
    network = make_network()
    x, y = make_data(rng)
    with pytest.raises(ValueError, match="y must have 70 samples, as x has; received 69"):
        network.evaluate(x, y[:-1])
    with pytest.raises(ValueError, match="at least one sample"):
        network.evaluate(x[:0], y[:0])
    with pytest.raises(ValueError, match="at least one sample"):
        network.predict(x[:0])


def test_a_network_that_cannot_learn_is_refused():
    with pytest.raises(ValueError, match=r"at least one layer with weights.*Rescaling"):
        Network([Rescaling(), Flatten()], loss=get_loss(SPARSE), optimizer=make_optimizer("sgd"))

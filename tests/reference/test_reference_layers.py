import keras
import numpy as np
import pytest

from fitgap.reference.layers import Dense, Flatten, Rescaling


@pytest.fixture
def dense(rng):
    return Dense(rng.normal(size=(4, 3)), bias=rng.normal(size=3), dtype=np.float64)


def test_rescaling_rounds_exactly_as_keras():
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    expected = keras.ops.convert_to_numpy(keras.layers.Rescaling(1 / 255)(images))
    scaled = Rescaling().forward(images)
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(scaled, expected)


def test_flatten_orders_features_as_keras(rng):
    images = rng.normal(size=(2, 3, 4, 5)).astype(np.float32)
    expected = keras.ops.convert_to_numpy(keras.layers.Flatten()(images))
    np.testing.assert_array_equal(Flatten().forward(images), expected)


def test_dense_matches_a_sum_worked_out_by_hand():
    layer = Dense(np.array([[1.0, 2.0], [3.0, 4.0]]), bias=np.array([10.0, 20.0]))
    inputs = np.array([[1.0, 1.0], [2.0, 0.0]], dtype=np.float32)
    np.testing.assert_array_equal(layer.forward(inputs), [[14, 26], [12, 24]])


def test_dense_gradients_match_finite_differences(rng, numerical_gradient, dense):
    x, upstream = rng.normal(size=(5, 4)), rng.normal(size=(5, 3))

    def loss():
        return float((upstream * dense.forward(x)).sum())

    gradient = dense.input_gradient(upstream, inputs=x, outputs=dense.forward(x))
    np.testing.assert_allclose(gradient, numerical_gradient(loss, x), atol=1e-9)
    for weight, of_weight in zip(
        dense.weights, dense.weight_gradients(upstream, inputs=x), strict=True
    ):
        np.testing.assert_allclose(of_weight, numerical_gradient(loss, weight), atol=1e-9)


@pytest.mark.parametrize(
    "layer", [Rescaling(1 / 3, dtype=np.float64), Flatten()], ids=["rescaling", "flatten"]
)
def test_gradients_without_weights_match_finite_differences(rng, numerical_gradient, layer):
    x = rng.normal(size=(2, 3, 4))
    outputs = layer.forward(x)
    upstream = rng.normal(size=outputs.shape)
    expected = numerical_gradient(lambda: float((upstream * layer.forward(x)).sum()), x)
    gradient = layer.input_gradient(upstream, inputs=x, outputs=outputs)
    np.testing.assert_allclose(gradient, expected, atol=1e-9)
    assert layer.weight_gradients(upstream, inputs=x) == ()


def test_dense_keeps_its_own_copy_of_the_weights():
    kernel = np.ones((2, 2), dtype=np.float32)
    layer = Dense(kernel, bias=np.zeros(2))
    kernel[:] = 7
    np.testing.assert_array_equal(layer.kernel, np.ones((2, 2)))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (np.zeros((2, 5)), r"inputs must have shape \(2, 4\); received shape \(2, 5\)"),
        (np.zeros((2, 2, 2)), r"inputs must have 2 axes \(samples, features\)"),
        (np.zeros((2, 4), dtype=np.float32), "weights' dtype, float64; received float32"),
    ],
    ids=["features", "rank", "dtype"],
)
def test_dense_refuses_inputs_that_do_not_fit(dense, inputs, message):
    with pytest.raises(ValueError, match=message):
        dense.forward(inputs)


def test_kernel_and_bias_must_fit_together():
    with pytest.raises(ValueError, match=r"bias must have shape \(3,\); received shape \(4,\)"):
        Dense(np.zeros((4, 3)), bias=np.zeros(4))
    with pytest.raises(ValueError, match=r"kernel must have 2 axes \(features, units\)"):
        Dense(np.zeros(4), bias=np.zeros(4))

import keras
import numpy as np
import pytest

from fitgap.reference.activations import get_activation

NAMES = ["linear", "relu", "sigmoid", "tanh", "softmax"]


@pytest.mark.parametrize("name", NAMES)
def test_forward_matches_keras(rng, name):
    x = rng.normal(scale=4, size=(6, 5)).astype(np.float32)
    expected = keras.ops.convert_to_numpy(keras.activations.get(name)(x))
    outputs = get_activation(name).forward(x)
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, expected, rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_gradient_matches_finite_differences(rng, numerical_gradient, name):
    activation = get_activation(name)
    x, upstream = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    expected = numerical_gradient(lambda: float((upstream * activation.forward(x)).sum()), x)
    gradient = activation.input_gradient(upstream, inputs=x, outputs=activation.forward(x))
    np.testing.assert_allclose(gradient, expected, atol=1e-9)


def test_relu_has_no_gradient_at_its_kink():
    relu = get_activation("relu")
    x = np.zeros((1, 1))
    assert relu.input_gradient(np.ones((1, 1)), inputs=x, outputs=relu.forward(x)) == 0


@pytest.mark.parametrize("name", ["sigmoid", "softmax"])
def test_large_inputs_do_not_overflow(name):
    outputs = get_activation(name).forward(np.array([[-1e4, 1e4]], dtype=np.float32))
    np.testing.assert_array_equal(outputs, [[0, 1]])


def test_an_unknown_activation_is_named_with_the_known_ones():
    with pytest.raises(
        ValueError, match="one of linear, relu, sigmoid, tanh, softmax; received 'swish'"
    ):
        get_activation("swish")

"""Activations: element-wise functions (and softmax) that follow a dense layer.

Each is a layer without weights. Their derivatives are all written in terms of the output y,
which the forward pass has computed already.
"""

# NumPy's stubs give Any for ufuncs and reductions.
# mypy: disable-error-code="no-any-return"

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fitgap.reference.arrays import AnyArray, FloatArray
from fitgap.reference.layers import Layer


def _relu(x: FloatArray) -> FloatArray:
    return np.maximum(x, 0)


def _relu_gradient(upstream: FloatArray, y: FloatArray) -> FloatArray:
    return upstream * (y > 0)


def _sigmoid(x: FloatArray) -> FloatArray:
    # exp(-|x|) can't overflow; 1 / (1 + exp(-x)) would, in float32 below -88.
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)


def _sigmoid_gradient(upstream: FloatArray, y: FloatArray) -> FloatArray:
    return upstream * y * (1 - y)


def _tanh_gradient(upstream: FloatArray, y: FloatArray) -> FloatArray:
    return upstream * (1 - y * y)


def _softmax(x: FloatArray) -> FloatArray:
    # Softmax doesn't change when a row is shifted; the largest exponent becomes exp(0).
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _softmax_gradient(upstream: FloatArray, y: FloatArray) -> FloatArray:
    # dy_i/dx_j = y_i (1[i = j] - y_j), multiplied by the upstream row.
    return y * (upstream - (upstream * y).sum(axis=-1, keepdims=True))


@dataclass(frozen=True, kw_only=True)
class Activation(Layer):
    """A function of a dense layer's outputs, and its derivative.

    Take one of the five below, `LINEAR`, `RELU`, `SIGMOID`, `TANH` or `SOFTMAX`, or ask
    `get_activation` for one by its name in the configs.

    Attributes
    ----------
    name : str
    function : callable
        y from x.
    gradient : callable
        dL/dx from dL/dy and y.
    """

    name: str
    function: Callable[[FloatArray], FloatArray]
    gradient: Callable[[FloatArray, FloatArray], FloatArray]

    def forward(self, inputs: AnyArray) -> FloatArray:
        """Apply `function`."""
        return self.function(inputs)

    def input_gradient(
        self, upstream: FloatArray, *, inputs: AnyArray, outputs: AnyArray
    ) -> FloatArray:
        """Apply `gradient`."""
        del inputs
        return self.gradient(upstream, outputs)


LINEAR = Activation(name="linear", function=lambda x: x, gradient=lambda upstream, _: upstream)
"""``y = x``."""

RELU = Activation(name="relu", function=_relu, gradient=_relu_gradient)
"""``y = max(x, 0)``; ``dy/dx = 1[y > 0]``, that is 0 at the kink, as TensorFlow has it."""

SIGMOID = Activation(name="sigmoid", function=_sigmoid, gradient=_sigmoid_gradient)
"""``y = 1 / (1 + exp(-x))``; ``dy/dx = y (1 - y)``."""

TANH = Activation(name="tanh", function=np.tanh, gradient=_tanh_gradient)
"""``y = tanh(x)``; ``dy/dx = 1 - y^2``."""

SOFTMAX = Activation(name="softmax", function=_softmax, gradient=_softmax_gradient)
"""``y_i = exp(x_i) / sum_j exp(x_j)``, a probability per class; each row sums to 1."""

_ACTIVATIONS = {each.name: each for each in (LINEAR, RELU, SIGMOID, TANH, SOFTMAX)}


def get_activation(name: str) -> Activation:
    """Find an activation by its name.

    Parameters
    ----------
    name : {"linear", "relu", "sigmoid", "tanh", "softmax"}

    Returns
    -------
    Activation

    Raises
    ------
    ValueError
        If there is none of that name.

    Examples
    --------
    >>> get_activation("relu").forward(np.array([-1.0, 2.0]))
    array([0., 2.])
    """
    if name not in _ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(_ACTIVATIONS)}; received {name!r}")
    return _ACTIVATIONS[name]

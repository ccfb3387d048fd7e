"""The layers of a dense network, each with its forward pass and its gradients.

A layer is a function with weights. It keeps nothing between calls: `network.Network` remembers
what flowed through and hands it back for the gradients. Activations are layers too and have a
module of their own.

Symbols: `inputs` is x, `outputs` is y = layer(x), `upstream` is dL/dy, the gradient of the loss
with respect to what the layer put out.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from fitgap.reference.arrays import (
    AnyArray,
    FloatArray,
    FloatType,
    require_rank,
    require_shape,
)


class Layer(ABC):
    """A function of a batch that can be differentiated."""

    @property
    def weights(self) -> tuple[FloatArray, ...]:
        """What the layer learns; an optimizer updates these very arrays."""
        return ()

    @abstractmethod
    def forward(self, inputs: AnyArray) -> AnyArray:
        """Compute y from x.

        Parameters
        ----------
        inputs : ndarray of shape (samples, ...)

        Returns
        -------
        ndarray of shape (samples, ...)
        """

    @abstractmethod
    def input_gradient(
        self, upstream: FloatArray, *, inputs: AnyArray, outputs: AnyArray
    ) -> FloatArray:
        """Compute dL/dx from dL/dy, by the chain rule.

        Parameters
        ----------
        upstream : ndarray, the shape of `outputs`
            dL/dy.
        inputs, outputs : ndarray
            What went in and came out in the forward pass.

        Returns
        -------
        ndarray, the shape of `inputs`
        """

    def weight_gradients(self, upstream: FloatArray, *, inputs: AnyArray) -> tuple[FloatArray, ...]:
        """Compute dL/dw for each of `weights`, in their order.

        Apart from `input_gradient` because the first dense layer needs only this one, and the
        gradient with respect to the images would be its most expensive product.

        Parameters
        ----------
        upstream : ndarray, the shape of the layer's outputs
            dL/dy.
        inputs : ndarray
            What went in in the forward pass.

        Returns
        -------
        tuple of ndarray
        """
        del upstream, inputs
        return ()


class Rescaling(Layer):
    """Multiply and add: ``y = scale * x + offset``.

    First in a network, it turns integer images into floats; last, it gives numbers in the units
    of the target.

    Parameters
    ----------
    scale : float or sequence of float, default 1/255
        Of all, or one for each position of the last axis. The default maps 8-bit images to [0, 1].
    offset : float or sequence of float, default 0
        Likewise.
    dtype : float32 or float64, default float32
        As in Keras, the cast comes before the product, which is therefore rounded in this dtype.
    """

    def __init__(
        self,
        scale: float | Sequence[float] = 1 / 255,
        *,
        offset: float | Sequence[float] = 0.0,
        dtype: FloatType = np.float32,
    ) -> None:
        self.scale: FloatArray = np.asarray(scale, dtype)
        self.offset: FloatArray = np.asarray(offset, dtype)
        self.dtype = dtype

    def forward(self, inputs: AnyArray) -> FloatArray:
        """Cast, then multiply, then add."""
        floats: FloatArray = inputs.astype(self.dtype)
        return floats * self.scale + self.offset

    def input_gradient(
        self, upstream: FloatArray, *, inputs: AnyArray, outputs: AnyArray
    ) -> FloatArray:
        """``dL/dx = scale * dL/dy``."""
        del inputs, outputs
        return upstream * self.scale


class Normalization(Layer):
    """Give features mean 0 and variance 1: ``y = (x - mean) / sqrt(variance)``.

    Parameters
    ----------
    mean, variance : float or sequence of float
        Of all, or one for each position of the last axis; a variance is above 0.
    dtype : float32 or float64, default float32
        In which all is rounded, as in Keras.
    """

    def __init__(
        self,
        mean: float | Sequence[float],
        *,
        variance: float | Sequence[float],
        dtype: FloatType = np.float32,
    ) -> None:
        self.mean: FloatArray = np.asarray(mean, dtype)
        self.deviation: FloatArray = np.sqrt(np.asarray(variance, dtype))
        self.dtype = dtype

    def forward(self, inputs: AnyArray) -> FloatArray:
        """Cast, then subtract, then divide."""
        floats: FloatArray = inputs.astype(self.dtype)
        return (floats - self.mean) / self.deviation

    def input_gradient(
        self, upstream: FloatArray, *, inputs: AnyArray, outputs: AnyArray
    ) -> FloatArray:
        """``dL/dx = dL/dy / sqrt(variance)``."""
        del inputs, outputs
        return upstream / self.deviation


class Flatten(Layer):
    """Make one row of each sample: (samples, a, b, ...) becomes (samples, a * b * ...).

    The last axis varies fastest, as in Keras with its default, channels-last.
    """

    def forward(self, inputs: AnyArray) -> AnyArray:
        """Join all axes but the first."""
        return inputs.reshape(len(inputs), math.prod(inputs.shape[1:]))

    def input_gradient(
        self, upstream: FloatArray, *, inputs: AnyArray, outputs: AnyArray
    ) -> FloatArray:
        """Split the axes again."""
        del outputs
        return upstream.reshape(inputs.shape)


class Dense(Layer):
    """Mix all features into each unit: ``y = x K + b``.

    The activation is a layer of its own. In the gradients below, g is dL/dy.

    Parameters
    ----------
    kernel : ndarray of shape (features, units)
        K; copied.
    bias : ndarray of shape (units,)
        b; copied.
    dtype : float32 or float64, default float32
        What the weights are kept in, and the only dtype that inputs may have.

    Raises
    ------
    ValueError
        If kernel and bias don't fit together.
    """

    def __init__(self, kernel: AnyArray, *, bias: AnyArray, dtype: FloatType = np.float32) -> None:
        require_rank(kernel, name="kernel", axes=("features", "units"))
        require_shape(bias, name="bias", shape=(kernel.shape[1],))
        self.kernel: FloatArray = np.array(kernel, dtype=dtype)
        self.bias: FloatArray = np.array(bias, dtype=dtype)

    @property
    def weights(self) -> tuple[FloatArray, ...]:
        """Kernel and bias."""
        return self.kernel, self.bias

    def forward(self, inputs: AnyArray) -> FloatArray:
        """``y = x K + b``."""
        require_rank(inputs, name="a dense layer's inputs", axes=("samples", "features"))
        require_shape(
            inputs, name="a dense layer's inputs", shape=(len(inputs), self.kernel.shape[0])
        )
        if inputs.dtype != self.kernel.dtype:
            # NumPy would promote without a word, and the result would have another precision
            # than was asked for.
            raise ValueError(
                f"a dense layer's inputs must have its weights' dtype, {self.kernel.dtype}; "
                f"received {inputs.dtype}"
            )
        return inputs @ self.kernel + self.bias

    def input_gradient(
        self, upstream: FloatArray, *, inputs: AnyArray, outputs: AnyArray
    ) -> FloatArray:
        """``dL/dx = g K^T``."""
        del inputs, outputs
        return upstream @ self.kernel.T

    def weight_gradients(self, upstream: FloatArray, *, inputs: AnyArray) -> tuple[FloatArray, ...]:
        """``dL/dK = x^T g`` and ``dL/db``, the sum of g over the samples."""
        return inputs.T @ upstream, upstream.sum(axis=0)

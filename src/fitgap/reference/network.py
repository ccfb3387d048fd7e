"""A network: layers in a row, a loss and an optimizer, put together into a training step."""

from collections.abc import Sequence

import numpy as np

from fitgap.reference.activations import SIGMOID, SOFTMAX
from fitgap.reference.arrays import AnyArray, FloatArray, require_shape
from fitgap.reference.batches import batch_slices
from fitgap.reference.layers import Layer
from fitgap.reference.losses import Loss
from fitgap.reference.optimizers import Optimizer


class Network:
    """Layers in a row that learn from labelled batches.

    The precision is that of the layers: build them all with one dtype.

    Parameters
    ----------
    layers : sequence of Layer
        At least one with weights. The first takes the raw samples, so it is usually `Rescaling`.
    loss : Loss
        In the form that takes probabilities. After a softmax or a sigmoid a cross-entropy is
        computed from the logits, as in Keras on TensorFlow: see `losses`.
    optimizer : Optimizer
        A fresh one: it belongs to this network from now on.

    Raises
    ------
    ValueError
        If no layer has weights.
    """

    def __init__(self, layers: Sequence[Layer], *, loss: Loss, optimizer: Optimizer) -> None:
        if not any(layer.weights for layer in layers):
            raise ValueError(
                "a network must have at least one layer with weights; "
                f"received {[type(layer).__name__ for layer in layers]}"
            )
        self.layers = tuple(layers)
        self.loss = loss
        self.optimizer = optimizer
        # What the gradient flows back through: all layers, or all but the activation that the
        # loss has taken in.
        self._loss_layers, self._training_loss = self.layers, loss
        if loss.from_logits is not None and self.layers[-1] in (SOFTMAX, SIGMOID):
            self._loss_layers, self._training_loss = self.layers[:-1], loss.from_logits

    @property
    def weights(self) -> list[FloatArray]:
        """Copies of all weights in Keras's order: kernel and bias of each dense layer."""
        return [weight.copy() for weight in self._live_weights()]

    def set_weights(self, weights: Sequence[AnyArray]) -> None:
        """Overwrite all weights, as from ``keras.Model.get_weights``.

        Parameters
        ----------
        weights : sequence of ndarray
            In the order, number and shapes of `weights`; cast to the layers' dtype.

        Raises
        ------
        ValueError
            If number or shapes differ. Then no weight has changed.
        """
        own = self._live_weights()
        if len(weights) != len(own):
            raise ValueError(f"there must be {len(own)} weight arrays; received {len(weights)}")
        for position, (new, old) in enumerate(zip(weights, own, strict=True)):
            require_shape(new, name=f"weights[{position}]", shape=old.shape)
        for new, old in zip(weights, own, strict=True):
            old[...] = new

    def forward(self, x: AnyArray) -> list[AnyArray]:
        """Send a batch through all layers.

        Parameters
        ----------
        x : ndarray of shape (samples, ...)

        Returns
        -------
        list of ndarray
            x itself, then each layer's output: ``values[i]`` goes into layer i, ``values[-1]``
            are the network's outputs.
        """
        values = [x]
        for layer in self.layers:
            values.append(layer.forward(values[-1]))
        return values

    def loss_value(self, values: Sequence[AnyArray], *, y: AnyArray) -> float:
        """Compute the loss of a batch.

        Parameters
        ----------
        values : sequence of ndarray
            From `forward`.
        y : ndarray
            Targets, in the form that the loss wants.

        Returns
        -------
        float
        """
        return self._training_loss.value(values[len(self._loss_layers)], targets=y)

    def gradients(self, values: Sequence[AnyArray], *, y: AnyArray) -> list[FloatArray]:
        """Send the loss's gradient back through the layers.

        Parameters
        ----------
        values : sequence of ndarray
            From `forward`.
        y : ndarray
            Targets, in the form that the loss wants.

        Returns
        -------
        list of ndarray
            dL/dw in the order and shapes of `weights`.
        """
        layers = self._loss_layers
        upstream = self._training_loss.gradient(values[len(layers)], targets=y)
        gradients: list[FloatArray] = []
        for position in reversed(range(len(layers))):
            layer, inputs, outputs = layers[position], values[position], values[position + 1]
            gradients[:0] = layer.weight_gradients(upstream, inputs=inputs)
            if not any(earlier.weights for earlier in layers[:position]):
                break  # What is left learns nothing, so its gradient isn't needed.
            upstream = layer.input_gradient(upstream, inputs=inputs, outputs=outputs)
        return gradients

    def train_step(self, x: AnyArray, y: AnyArray) -> tuple[float, int]:
        """Learn from one batch: forward, loss, gradients, update.

        Parameters
        ----------
        x : ndarray of shape (samples, ...)
            Raw samples, uint8 if the first layer is `Rescaling`.
        y : ndarray
            Labels of shape (samples,) for a sparse loss, else rows of shape (samples, classes).

        Returns
        -------
        loss : float
            Of the weights before the update, as in Keras's running average.
        correct : int
            How many of the samples those weights classify rightly.

        Raises
        ------
        ValueError
            If shapes don't fit or a label is out of range.
        """
        values = self.forward(x)
        loss = self.loss_value(values, y=y)
        correct = self.loss.count_correct(values[-1], targets=y)
        gradients = self.gradients(values, y=y)
        self.optimizer.apply(gradients, weights=self._live_weights())
        return loss, correct

    def predict(self, x: AnyArray, *, batch_size: int = 1024) -> FloatArray:
        """Compute the outputs.

        Parameters
        ----------
        x : ndarray of shape (samples, ...)
        batch_size : int, >= 1, default 1024
            Bounds the memory; no result depends on it beyond rounding.

        Returns
        -------
        ndarray of shape (samples, classes)

        Raises
        ------
        ValueError
            If the shapes don't fit or there is no sample.
        """
        _require_samples(x)
        batches = batch_slices(len(x), batch_size=batch_size)
        return np.concatenate([self.forward(x[batch])[-1] for batch in batches])

    def evaluate(self, x: AnyArray, y: AnyArray, *, batch_size: int = 1024) -> tuple[float, float]:
        """Compute loss and accuracy over a whole partition with the present weights.

        Parameters
        ----------
        x, y : ndarray
            As in `train_step`.
        batch_size : int, >= 1, default 1024
            Bounds the memory; no result depends on it beyond rounding.

        Returns
        -------
        loss : float
        accuracy : float
            From 0 to 1.

        Raises
        ------
        ValueError
            If shapes don't fit, there is no sample, or a label is out of range.
        """
        _require_samples(x)
        if len(x) != len(y):
            raise ValueError(f"y must have {len(x)} samples, as x has; received {len(y)}")
        loss_sum, correct = 0.0, 0
        for batch in batch_slices(len(x), batch_size=batch_size):
            values = self.forward(x[batch])
            # The last batch may be smaller: weigh every batch by its samples.
            loss_sum += self.loss_value(values, y=y[batch]) * len(x[batch])
            correct += self.loss.count_correct(values[-1], targets=y[batch])
        return loss_sum / len(x), correct / len(x)

    def _live_weights(self) -> list[FloatArray]:
        return [weight for layer in self.layers for weight in layer.weights]


def _require_samples(x: AnyArray) -> None:
    if len(x) == 0:
        raise ValueError(f"x must have at least one sample; received shape {x.shape}")

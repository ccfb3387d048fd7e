"""The engine ``numpy``: the reference of `fitgap.reference` trains, Keras holds the weights.

Slower than ``compiled`` and limited to plain dense networks, but no line of its arithmetic is
Keras's or TensorFlow's: a result that both engines give does not rest on one implementation.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from fitgap.config.schema import Config
from fitgap.config.tasks import compiled_metrics
from fitgap.data.datasets import Images
from fitgap.data.splits import Indices
from fitgap.evaluation.scores import (
    Partition,
    Scores,
    encode_labels,
    evaluation_batch,
    network_outputs,
)
from fitgap.reference.batches import batch_slices
from fitgap.reference.layers import Layer, Normalization, Rescaling
from fitgap.reference.network import Network
from fitgap.training.engines import reference_settings

if TYPE_CHECKING:
    import keras


def network_of(model: "keras.Model", *, config: Config) -> Network:
    """Return the NumPy reference of a Keras model, with equal weights and scalings.

    Parameters
    ----------
    model
        As built; its weights are copied.
    config
        Of the experiment: architecture, optimizer and loss.

    Raises
    ------
    RequestError
        If the reference does not know a setting.
    """
    import keras

    from fitgap.models.build import TARGET_UNITS

    scaling: Layer | None = None
    units: Layer | None = None
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            mean, variance = (np.asarray(each).ravel() for each in (layer.mean, layer.variance))
            scaling = Normalization(mean.tolist(), variance=variance.tolist())
        elif layer.name == TARGET_UNITS:
            units = Rescaling(layer.scale, offset=layer.offset)
    return reference_settings.network(
        model.get_weights(), config=config, scaling=scaling, units=units
    )


class NumpyEngine:
    """Train by NumPy; after each epoch the Keras model gets the weights.

    Callbacks may change the model's weights and learning rate: both are read from it each time.
    The optimizer's moving averages stay here, so the saved model's optimizer hasn't got them.

    Parameters
    ----------
    model
        Compiled by Keras; its weights are what training starts from.
    train
        The training partition.
    config
        The experiment.
    callbacks
        Those of the run; none may act between batches.

    Raises
    ------
    RequestError
        If a callback acts between batches, or the reference does not know a setting.
    """

    def __init__(
        self,
        model: "keras.Model",
        *,
        train: Partition,
        config: Config,
        callbacks: "Sequence[keras.callbacks.Callback]",
    ) -> None:
        from fitgap.training.engines.keras_fit import refuse_acting_on_batches

        refuse_acting_on_batches(callbacks, engine="numpy")
        self.model = model
        self._train = train
        self._config = config
        self._network = network_of(model, config=config)

    def run_epoch(self, order: Indices) -> Scores:
        """See `fitgap.training.engines.choice.Engine`."""
        training = self._config.training
        x, y = self._train.x, self._labels(self._train)
        ours, keras_optimizer = self._network.optimizer, self.model.optimizer
        loss_sum, correct = 0.0, 0
        with self._computing():
            ours.learning_rate = float(keras_optimizer.learning_rate)
            for batch in batch_slices(len(order), batch_size=training.batch_size):
                if training.schedule:  # a Keras object that follows Keras's count of steps
                    keras_optimizer.iterations.assign(ours.iterations)
                    ours.learning_rate = float(keras_optimizer.learning_rate)
                indices = order[batch]
                loss, num_right = self._network.train_step(x[indices], y[indices])
                loss_sum += loss * len(indices)
                correct += num_right
        keras_optimizer.iterations.assign(ours.iterations)
        self.model.set_weights(self._network.weights)
        return self._scores(loss_sum / len(order), correct / len(order))

    def evaluate(self, partition: Partition) -> Scores:
        """See `fitgap.training.engines.choice.Engine`."""
        with self._computing():
            loss, accuracy = self._network.evaluate(
                np.asarray(partition.x),
                self._labels(partition),
                batch_size=evaluation_batch(partition.x.shape[1:]),
            )
        return self._scores(loss, accuracy)

    def _scores(self, loss: float, accuracy: float) -> Scores:
        """Return what Keras would compute along with the loss: accuracy for classes alone."""
        by_name = {"accuracy": accuracy}
        return Scores(loss=loss, **{name: by_name[name] for name in compiled_metrics(self._config)})

    def state(self) -> list[NDArray[Any]]:
        """See `fitgap.training.engines.choice.Engine`."""
        from fitgap.models import build

        keras_state = [variable.numpy() for variable in build.state(self.model)]
        return [*keras_state, *self._network.optimizer.state()]

    def set_state(self, state: Sequence[NDArray[Any]]) -> None:
        """See `fitgap.training.engines.choice.Engine`."""
        from fitgap.models import build

        variables = build.state(self.model)
        for variable, value in zip(variables, state, strict=False):
            variable.assign(value)
        self._network.optimizer.set_state(state[len(variables) :], weights=self.model.get_weights())

    def predict(self, x: Images) -> NDArray[np.float32]:
        """See `fitgap.training.engines.choice.Engine`."""
        with self._computing():
            outputs = self._network.predict(np.asarray(x), batch_size=evaluation_batch(x.shape[1:]))
        return network_outputs(outputs.astype(np.float32), self._config.loss.labels)

    def _labels(self, partition: Partition) -> NDArray[np.generic]:
        units = self.model.output_shape[-1]
        return encode_labels(partition.y, self._config.loss.labels, num_classes=units)

    @contextmanager
    def _computing(self) -> Iterator[None]:
        """Take the model's present weights, and compute with the settings' number of threads.

        NumPy's matrix products come from a BLAS library that divides them among its threads;
        another number of them could give other last digits.
        """
        self._network.set_weights(self.model.get_weights())
        # A loss that overflows is for the training loop to report, not for NumPy's warnings.
        with (
            threadpool_limits(self._config.training.threads, user_api="blas"),
            np.errstate(over="ignore", invalid="ignore"),
        ):
            yield

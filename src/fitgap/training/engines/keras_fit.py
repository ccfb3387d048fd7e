"""The engine ``fit``: Keras's own ``model.fit``, an epoch at a time.

Images on disk are read batch by batch, with the results of the same images in memory.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from fitgap.config.schema import Config
from fitgap.data.datasets import Images
from fitgap.data.disk_arrays import DiskRows
from fitgap.data.splits import Indices
from fitgap.errors import RequestError
from fitgap.evaluation.scores import (
    Partition,
    Scores,
    encode_labels,
    evaluation_batch,
    network_outputs,
)
from fitgap.training.engines.keras_state import KerasState

BATCH_HOOKS = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")


def acts_on_batches(callback: keras.callbacks.Callback) -> bool:
    """Tell whether a callback does something between two batches."""
    base = keras.callbacks.Callback
    return any(getattr(type(callback), hook) is not getattr(base, hook) for hook in BATCH_HOOKS)


def refuse_acting_on_batches(callbacks: Sequence[keras.callbacks.Callback], *, engine: str) -> None:
    """Refuse callbacks that act between batches, for an engine that has no place for them."""
    for callback in callbacks:
        if acts_on_batches(callback):
            raise RequestError(
                f"training.callbacks: {type(callback).__name__} acts between batches, which "
                f"training.engine={engine} does not allow; use training.engine=fit"
            )


class _BatchEvents(keras.callbacks.Callback):
    """Pass on the events between batches; those between epochs are the training loop's."""

    def __init__(self, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        super().__init__()
        self._callbacks = callbacks

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        for callback in self._callbacks:
            callback.on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        for callback in self._callbacks:
            callback.on_train_batch_end(batch, logs)


class _Batches(keras.utils.PyDataset):
    """Images on disk, and labels if there are any, one batch after the other.

    Parameters
    ----------
    x
        Images.
    y
        Encoded labels; None: the images alone.
    weights
        Of the samples in the loss; None: all the same.
    order
        Indices in which they are taken; None: as they are.
    batch_size
        Of all batches but the last, which may be smaller.
    """

    def __init__(
        self,
        x: DiskRows,
        y: NDArray[Any] | None = None,
        *,
        order: Indices | None = None,
        weights: NDArray[np.float32] | None = None,
        batch_size: int,
    ) -> None:
        super().__init__()
        self._parts = [part for part in (x, y, weights) if part is not None]
        self._batch_size = batch_size
        self._order = np.arange(len(x)) if order is None else order

    def __len__(self) -> int:
        return math.ceil(len(self._order) / self._batch_size)

    def __getitem__(self, index: int) -> tuple[NDArray[Any], ...]:
        start = index * self._batch_size
        rows = self._order[start : start + self._batch_size]
        return tuple(part[rows] for part in self._parts)


class _KeepLearning(keras.callbacks.Callback):
    """Keep the weights that learn, where Keras ends every fit with their averages instead.

    The averages stay in the optimizer, and `fitgap.training.loop` puts them in place to be scored.
    """

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002 (Keras's signature)
        self._weights = [variable.numpy() for variable in self.model.trainable_variables]

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002 (Keras's signature)
        for variable, value in zip(self.model.trainable_variables, self._weights, strict=True):
            variable.assign(value)


class FitEngine(KerasState):
    """Train by ``model.fit``: the slowest way, and the one that supports everything Keras does.

    Parameters
    ----------
    model
        Compiled.
    train
        The training partition.
    config
        The experiment; batch size and form of the labels are used.
    callbacks
        Those of the run; what they do between batches happens here.
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        train: Partition,
        config: Config,
        callbacks: Sequence[keras.callbacks.Callback],
    ) -> None:
        self.model = model
        self._train = train
        self._batch_size = config.training.batch_size
        self._label_format = config.loss.labels
        on_batches = [callback for callback in callbacks if acts_on_batches(callback)]
        self._events: list[keras.callbacks.Callback] = []
        if on_batches:
            self._events.append(_BatchEvents(on_batches))
        if getattr(model.optimizer, "use_ema", False):
            self._events.append(_KeepLearning())

    def run_epoch(self, order: Indices) -> Scores:
        """See `fitgap.training.engines.choice.Engine`."""
        x, y, weights = self._train.x, self._labels(self._train), self._train.weights
        if isinstance(x, DiskRows):
            batches = _Batches(x, y, order=order, weights=weights, batch_size=self._batch_size)
            data: dict[str, Any] = {"x": batches}
        else:
            data = {"x": x[order], "y": y[order], "batch_size": self._batch_size}
            if weights is not None:
                data["sample_weight"] = weights[order]
        history = self.model.fit(
            **data,
            shuffle=False,  # the order is given
            callbacks=self._events,
            verbose=0,
        ).history
        return Scores(**{name: values[0] for name, values in history.items()})

    def evaluate(self, partition: Partition) -> Scores:
        """See `fitgap.training.engines.choice.Engine`."""
        x, y = partition.x, self._labels(partition)
        size = evaluation_batch(x.shape[1:])
        if isinstance(x, DiskRows):
            data: dict[str, Any] = {"x": _Batches(x, y, batch_size=size)}
        else:
            data = {"x": x, "y": y, "batch_size": size}
        scores = self.model.evaluate(**data, verbose=0, return_dict=True)
        return Scores(**scores)

    def predict(self, x: Images) -> NDArray[np.float32]:
        """See `fitgap.training.engines.choice.Engine`."""
        size = evaluation_batch(x.shape[1:])
        if isinstance(x, DiskRows):
            data: dict[str, Any] = {"x": _Batches(x, batch_size=size)}
        else:
            data = {"x": x, "batch_size": size}
        return network_outputs(self.model.predict(**data, verbose=0), self._label_format)

    def _labels(self, partition: Partition) -> Any:
        units = self.model.output_shape[-1]
        return encode_labels(partition.y, self._label_format, num_classes=units)

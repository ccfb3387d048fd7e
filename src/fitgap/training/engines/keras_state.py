"""The state of a Keras model, as the engines hand it on."""

from collections.abc import Sequence
from typing import Any

import keras
from numpy.typing import NDArray

from fitgap.models import build


class KerasState:
    """An engine whose state is in its model: weights, optimizer, random states."""

    model: keras.Model

    def state(self) -> list[NDArray[Any]]:
        """See `fitgap.training.engines.choice.Engine`."""
        return [variable.numpy() for variable in build.state(self.model)]

    def set_state(self, state: Sequence[NDArray[Any]]) -> None:
        """See `fitgap.training.engines.choice.Engine`."""
        for variable, value in zip(build.state(self.model), state, strict=True):
            variable.assign(value)

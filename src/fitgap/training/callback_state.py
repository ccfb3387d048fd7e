"""What a callback remembers of a training: for a checkpoint, and back from it.

Keras's callbacks keep it in attributes. One of a person's own does so too, or says it:
``get_state()`` returns a mapping of plain values and lists of arrays, ``set_state(mapping)`` takes
it back. Of any other, nobody knows what it remembers, and an interrupted run begins again.
"""

import inspect
import json
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

State = Mapping[str, Any]
# What Keras itself puts into every callback; each instance has its own.
_OF_THE_INSTANCE = ("_model", "params", "validation_data")


def of(callback: keras.callbacks.Callback) -> State | None:
    """Return what a callback remembers: plain values, and weights it keeps; None if unknown.

    Of Keras's callbacks, functions, files and the model are left out, since a new instance has
    its own; its settings too, since Keras turns the sign of ``min_delta`` at the first epoch of
    each instance.
    """
    if hasattr(callback, "get_state") and hasattr(callback, "set_state"):
        state = dict(callback.get_state())
        return state if all(map(_can_be_kept, state.values())) else None
    attributes = {key: value for key, value in vars(callback).items() if key != "_model"}
    if type(callback).__module__.startswith("keras."):
        settings = inspect.signature(type(callback)).parameters
        return {
            key: value
            for key, value in attributes.items()
            if key not in settings and _can_be_kept(value)
        }
    own = {key: value for key, value in attributes.items() if key not in _OF_THE_INSTANCE}
    return own if all(map(_can_be_kept, own.values())) else None


def restore(callback: keras.callbacks.Callback, state: State) -> None:
    """Put the state of an earlier instance into a callback.

    Parameters
    ----------
    callback
        Just built from the settings.
    state
        What the other instance had at the end of an epoch.
    """
    if hasattr(callback, "get_state") and hasattr(callback, "set_state"):
        callback.set_state(dict(state))
    else:
        vars(callback).update(state)


def is_arrays(value: object) -> bool:
    """Tell whether a value is a list of arrays, as a model's weights are; an empty one is not."""
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(item, np.ndarray) for item in value)


def _can_be_kept(value: object) -> bool:
    """Tell whether a checkpoint gives back an equal value: as JSON, or arrays."""
    if is_arrays(value):
        return True
    try:
        return _same(json.loads(json.dumps(value)), value)
    except (TypeError, ValueError, RecursionError):
        return False


def _same(kept: Any, value: Any) -> bool:
    if type(kept) is not type(value):
        return False
    if isinstance(value, dict):
        return kept.keys() == value.keys() and all(_same(kept[key], value[key]) for key in value)
    if isinstance(value, list):
        return len(kept) == len(value) and all(map(_same, kept, value))
    return bool(kept == value) or value != value  # noqa: PLR0124 - NaN comes back as NaN

"""The own classes and functions that a saved network may need to be opened again."""

import inspect
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import keras


def named_in(modules: Iterable[ModuleType]) -> dict[str, Any]:
    """Return the classes and functions that some modules define, by their names.

    Keras finds those that are registered by itself; by these, also any others.
    """
    return {
        name: value
        for module in modules
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", None) == module.__name__
    }


def own_layers(model: keras.Model) -> dict[str, Any]:
    """Return the classes of a network's layers that are not Keras's, by their names."""
    classes = {type(layer) for layer in model._flatten_layers(include_self=False)}
    return {each.__name__: each for each in classes if not each.__module__.startswith("keras.")}


def layers_not_opened(model: keras.Model) -> Iterator[str]:
    """Name the layers that Keras could save, but not open from the file again, with the reason.

    Nothing is built: a layer's settings are held against the parameters of its class. A model of
    the user's own class makes its layers itself, so they are not looked at.
    """
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            if type(layer).__module__.startswith("keras."):
                yield from layers_not_opened(layer)
        elif reason := _why_not_opened(layer):
            yield f"layer {layer.name} cannot be opened from the saved model: {reason}"


def _why_not_opened(layer: keras.layers.Layer) -> str | None:
    kind = type(layer)
    if isinstance(layer, keras.layers.Lambda):
        return "it calls a function, which a file must not choose; make a layer of your own"
    if kind.__module__.startswith("keras.") or "from_config" in vars(kind):
        return None
    try:
        inspect.signature(kind).bind(**layer.get_config())
    except TypeError as error:
        return (
            f"{kind.__name__}.__init__ {error}; have it take **kwargs and pass them to "
            "super().__init__"
        )
    return None


@contextmanager
def without_own_training_parts(model: keras.Model) -> Iterator[None]:
    """Save a network without loss and optimizer if one of them is not a Keras class.

    Whoever opens the network may lack their code, and prediction needs neither.
    """
    was_compiled = model.compiled
    if was_compiled:
        rate = getattr(model.optimizer, "_learning_rate", None)  # perhaps a schedule
        parts = (model.loss, model.optimizer, *([rate] if callable(rate) else []))
        model.compiled = all(part.__module__.startswith("keras.") for part in parts)
    try:
        yield
    finally:
        model.compiled = was_compiled


@contextmanager
def only_registered(wanted: Iterable[ModuleType]) -> Iterator[None]:
    """Let Keras know only the registered classes of some modules.

    MLflow saves all that are registered beside a network: in a sweep, also those of other runs,
    whose modules nobody has where the network is opened.
    """
    names = {module.__name__ for module in wanted} | {"__main__"}
    registered = keras.saving.get_custom_objects()
    kept = dict(registered)
    for name, value in kept.items():
        if getattr(value, "__module__", None) not in names:
            del registered[name]
    try:
        yield
    finally:
        registered.update(kept)

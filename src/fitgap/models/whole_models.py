"""The user's whole models: what they take, how they begin and end, whether they are suitable."""

from collections.abc import Sequence
from typing import Any
from weakref import WeakSet

import keras
import numpy as np

from fitgap.errors import RequestError

PROBABILITY_ACTIVATIONS = ("softmax", "sigmoid", "hard_sigmoid")

_returned: "WeakSet[keras.Model]" = WeakSet()


def refuse_unusable(name: str, model: keras.Model) -> None:
    """Refuse a whole model that was returned before, or that has a training step of its own.

    Parameters
    ----------
    name
        The architecture's name, for the message.
    model
        As the architecture's function returned it.

    Raises
    ------
    RequestError
        Which of the two it is.
    """
    if model in _returned:
        raise RequestError(
            f"architecture={name} returns the same model again, which has been trained: "
            "make a new one at each call"
        )
    _returned.add(model)
    for method in ("train_step", "test_step", "compute_loss"):
        if getattr(type(model), method) is not getattr(keras.Model, method):
            raise RequestError(
                f"architecture={name}: {type(model).__name__} has a {method} of its own, which a "
                "run would not use; train such a model with fitgap.fit"
            )


def fitted_to(
    name: str, whole: keras.Model, x: keras.KerasTensor, image_shape: tuple[int, ...]
) -> keras.KerasTensor:
    """Return the input in the shape that a whole model takes: grey images may get a channel axis.

    Parameters
    ----------
    name
        The architecture's name, for the message.
    whole
        The model that the input is given to.
    x
        The input; shape (batch, *image_shape).
    image_shape
        Of one sample.

    Raises
    ------
    RequestError
        If the model has several inputs, or its input has another shape.
    """
    inputs = getattr(whole, "inputs", None)
    if not inputs:
        return x  # it takes what it is called with
    if len(inputs) != 1:
        raise RequestError(f"architecture={name} must have one input, got {len(inputs)}")
    wanted = tuple(inputs[0].shape[1:])
    for shape in (image_shape, (*image_shape, 1)):
        if len(wanted) == len(shape) and all(
            size in (None, given) for size, given in zip(wanted, shape, strict=True)
        ):
            return x if shape == image_shape else keras.layers.Reshape(shape, name="channel")(x)
    raise RequestError(
        f"architecture={name} takes an input of shape {wanted}, but the data have {image_shape}"
    )


def own_scaling(model: keras.Model) -> str | None:
    """Return the kind of layer with which a model scales its input; None if there is none.

    A Normalization that was never adapted changes nothing, so it is none. Models within models are
    looked into; one that is no graph of layers cannot be.
    """
    for layer in getattr(model, "layers", ()):
        if isinstance(layer, keras.layers.InputLayer):
            continue
        takes_input = not isinstance(model, keras.Sequential) and any(
            isinstance(history.operation, keras.layers.InputLayer)
            for tensor in _inputs_of(layer)
            if (history := getattr(tensor, "_keras_history", None))
        )
        if not takes_input and not isinstance(model, keras.Sequential):
            continue
        if isinstance(layer, keras.layers.Rescaling) or _is_adapted(layer):
            return type(layer).__name__
        return own_scaling(layer) if isinstance(layer, keras.Model) else None
    return None


def _is_adapted(layer: keras.layers.Layer) -> bool:
    if not isinstance(layer, keras.layers.Normalization):
        return False
    if layer.input_mean is not None:
        return True
    return layer.built and not (
        np.all(np.asarray(layer.adapt_mean) == 0) and np.all(np.asarray(layer.adapt_variance) == 1)
    )


def _inputs_of(layer: keras.layers.Layer) -> Sequence[Any]:
    nodes = getattr(layer, "_inbound_nodes", ())  # a layer used twice has no single `input`
    return [tensor for node in nodes[-1:] for tensor in node.input_tensors]


def last_activation(model: keras.Model) -> str | None:
    """Return the name of the activation at the end of a model; None if it cannot be seen."""
    outputs = getattr(model, "outputs", None)
    history = getattr(outputs[0], "_keras_history", None) if outputs else None
    last = history.operation if history else None
    if last is None and getattr(model, "layers", None):
        last = model.layers[-1] if isinstance(model, keras.Sequential) else None
    return last_activation(last) if isinstance(last, keras.Model) else _activation_of(last)


def activation_before(head: keras.layers.Layer) -> str | None:
    """Return the name of the activation whose outputs a head takes; None if it cannot be seen."""
    history = getattr(_inputs_of(head)[0], "_keras_history", None)
    return _activation_of(history.operation) if history else None


def _activation_of(layer: Any) -> str | None:
    if isinstance(layer, keras.layers.Softmax):
        return "softmax"
    activation = getattr(layer, "activation", None)
    return str(keras.activations.serialize(activation)) if callable(activation) else None


def check_probabilities(name: str, model: keras.Model, *, wanted: str, ends_in: str | None) -> None:
    """Refuse a model whose outputs are not probabilities.

    Parameters
    ----------
    name
        Of the architecture.
    model
        From its input to its outputs; it is tried where its end cannot be seen.
    wanted
        The activation of the task's head.
    ends_in
        From `last_activation`.

    Raises
    ------
    RequestError
        Saying how it ends.
    """
    if ends_in == wanted:
        return
    says = f"its last activation is {ends_in}" if ends_in else ""
    if not ends_in:
        shape = (4, *model.input_shape[1:])
        highest = 2 if model.inputs[0].dtype == "int32" else 256  # the ids are few, perhaps
        values = np.random.default_rng(0).integers(0, highest, shape)
        outputs = np.asarray(model(values.astype(model.inputs[0].dtype), training=False), float)
        is_in_range = bool(np.all((outputs >= 0) & (outputs <= 1)))
        adds_up = wanted != "softmax" or bool(np.allclose(outputs.sum(axis=-1), 1, atol=1e-2))
        if is_in_range and adds_up:
            return
        says = "its outputs " + ("do not add up to 1" if is_in_range else "are not in [0, 1]")
    raise RequestError(
        f"architecture={name} must end in probabilities ({wanted}), but {says}; end it in "
        "these, or say with +loss.function.from_logits=true that these are logits"
    )

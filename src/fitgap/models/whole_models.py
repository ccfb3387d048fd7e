"""The user's whole models: what they take, how they begin and end, whether they are suitable."""

from collections.abc import Iterator, Sequence
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


# Layers and operations that leave the values of an image in the range that they have.
_KEEPS_RANGE = (
    keras.layers.InputLayer,
    keras.layers.Reshape,
    *(keras.layers.Resizing, keras.layers.CenterCrop, keras.layers.RandomCrop),
    *(keras.layers.RandomFlip, keras.layers.RandomRotation, keras.layers.RandomTranslation),
    *(keras.layers.RandomZoom, keras.layers.RandomContrast, keras.layers.RandomBrightness),
)
_REORDERS = ("GetItem", "Stack")  # as keras.applications does from RGB to BGR
_BYTES = 100.0  # only values up to 255 are divided by more than this, or moved by more


def own_scaling(model: keras.Model | Sequence[keras.layers.Layer]) -> str | None:
    """Return in a word how a model, or a list of layers, scales its input; None if it does not.

    The augmentation before it is passed over. A Normalization that was never adapted changes
    nothing, so it is none. Models within models are looked into; one that is no graph of layers
    cannot be.
    """
    for operation in _in_order(model):
        if isinstance(operation, keras.layers.Rescaling) or _is_adapted(operation):
            return type(operation).__name__
        if _is_arithmetic_of_bytes(operation):
            return "scaling"
        if not isinstance(operation, _KEEPS_RANGE) and type(operation).__name__ not in _REORDERS:
            return None
    return None


def _in_order(model: keras.Model | Sequence[keras.layers.Layer]) -> Iterator[Any]:
    """Yield the layers and operations of a model from its input on, and of the models within it."""
    if isinstance(model, keras.Sequential):
        inside = model.layers
    elif isinstance(model, keras.Model):
        inside = getattr(model, "operations", [model])  # inside a subclassed one nothing is seen
    else:
        inside = model
    for each in inside:
        if isinstance(each, keras.Model) and each is not model:
            yield from _in_order(each)
        else:
            yield each


def _is_arithmetic_of_bytes(operation: Any) -> bool:
    """Tell whether an operation is like those of `keras.applications`' `preprocess_input`."""
    kind = type(operation).__name__
    if kind not in ("Add", "Subtract", "Multiply", "Divide", "TrueDivide"):
        return False
    if isinstance(operation, keras.layers.Layer):
        return False
    values = [
        float(np.max(np.abs(np.asarray(value))))
        for value in operation._inbound_nodes[-1].arguments.args
        if not isinstance(value, keras.KerasTensor)
    ]
    return any(value < 1 / _BYTES if kind == "Multiply" else value > _BYTES for value in values)


def _is_adapted(layer: Any) -> bool:
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

"""From an architecture's function to a network: three kinds of functions, one form of model.

A *tensor function* ``f(x, **settings)`` gets the scaled input and returns features; a function
that returns a *list of layers* gives the same in another form; either gets the head that the task
needs. One that returns a *whole model* keeps its own head, and what stands before it is the
scaling. docs/ARCHITECTURES.md is for those who write such functions.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeGuard

import keras
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from fitgap.config import targets
from fitgap.errors import RequestError, about
from fitgap.models import embeddings, whole_models
from fitgap.models.scaling import FeatureScaling, Tokens

Layers = list[keras.layers.Layer]
Say = Callable[[str], None]

# Facts of the experiment, handed to a function whose signature names them.
HANDED = ("image_shape", "input_shape", "num_outputs", "num_classes", "num_tokens")
# Keys of an architecture's settings that are not the function's.
NOT_SETTINGS = ("_target_", "name", "title", "scaling")


def make(
    architecture: Mapping[str, Any],
    *,
    image_shape: tuple[int, ...],
    scaling: FeatureScaling | Tokens | None,
    num_outputs: int,
    num_classes: int | None = None,
    augmentation: Callable[[], Layers],
    head: Callable[[], keras.layers.Layer],
    takes_logits: bool,
    say: Say,
) -> keras.Model:
    """Make a network with the scaling as its first layer and probabilities as its output.

    Parameters
    ----------
    architecture
        Its settings; ``_target_`` names the function.
    image_shape
        Of one image, or (features,).
    scaling
        Of float32 features, or how many token ids there are; None: the network takes uint8 images.
    num_outputs
        How many outputs the task needs.
    num_classes
        How many classes there are; None where the task is another.
    augmentation
        Makes the layers between the scaling and the network.
    head
        Makes the output layer that the task needs; its ``units`` and ``activation`` are what a
        whole model's output is compared with. Each layer draws its seed when it is made, so these
        are made in a fixed order: a list's layers, its head, the augmentation.
    takes_logits
        Whether the loss has ``from_logits: true``; a whole model may then end without its
        activation, which is added.
    say
        Takes what a person should know of how their model is used.

    Returns
    -------
    keras.Model
        Not compiled.

    Raises
    ------
    RequestError
        If the function does not exist, fails or returns something else, or what it returns does
        not fit data or task.
    """
    name = str(architecture["name"])
    own = architecture.get("scaling", "auto")
    if own not in ("auto", "none", None):
        raise RequestError(f"architecture.scaling must be auto or none, got {own!r}")
    function = _function(name, architecture)
    shape = image_shape
    if isinstance(scaling, FeatureScaling) and scaling.embedded:
        added = sum(each.output_dim - each.length for each in scaling.embedded)
        shape = (image_shape[0] + added,)
    facts = {"image_shape": shape, "input_shape": shape, "num_outputs": num_outputs}
    if num_classes is not None:
        facts["num_classes"] = num_classes
    if isinstance(scaling, Tokens):
        facts["num_tokens"] = scaling.count
    settings = _settings(name, architecture, function, facts)
    is_raw = own != "auto"
    if is_tensor_function(function, settings):
        inputs = [*_inputs(image_shape, scaling, raw=is_raw), *augmentation()]
        model = _of_tensor_function(name, function, settings, inputs=inputs, head=head)
        _say_second_softmax(name, model, say)
        return model
    made = _call(name, function, settings)
    if not isinstance(made, keras.Model) and not _are_layers(made):
        raise RequestError(
            f"architecture={name}: {architecture['_target_']} must return a tensor, a list of "
            f"Keras layers or a keras.Model, got {_kind(made)}"
        )
    if not is_raw and (scaler := whole_models.own_scaling(made)):
        is_raw = True
        say(f"architecture={name} begins with a {scaler} of its own: it gets the raw values")
    if isinstance(made, keras.Model):
        if made.compiled:
            say(
                f"architecture={name} is compiled already: its optimizer, loss and metrics are "
                "not used; those of the settings are"
            )
        return _of_whole_model(
            name,
            made,
            inputs=[*_inputs(image_shape, scaling, raw=is_raw), *augmentation()],
            image_shape=shape,
            head=head(),
            takes_logits=takes_logits,
        )
    output = head()
    inputs = _inputs(image_shape, scaling, raw=is_raw)
    model = _of_layers(name, [*inputs, *augmentation(), *made, output])
    _say_second_softmax(name, model, say)
    return model


def _say_second_softmax(name: str, model: keras.Model, say: Callable[[str], None]) -> None:
    """Say it if the features end like a whole model: behind two softmaxes little is learned."""
    head = model.layers[-1]
    if head.input.shape[-1] == head.units and whole_models.activation_before(head) == "softmax":
        say(
            f"architecture={name} ends in a softmax, and fitgap adds the task's own behind it: "
            "leave yours out, or return a keras.Model, which keeps its end"
        )


def _are_layers(made: Any) -> TypeGuard[Layers]:
    return isinstance(made, list | tuple) and all(
        isinstance(layer, keras.layers.Layer) for layer in made
    )


def is_tensor_function(function: Callable[..., Any], settings: Mapping[str, Any]) -> bool:
    """Tell by its signature alone whether a function maps a tensor to a tensor.

    It does if its first parameter can be given by position, has no default, and is neither among
    the settings nor one of `HANDED`.

    Parameters
    ----------
    function
        An architecture.
    settings
        The settings that are passed to it, by name.

    Examples
    --------
    >>> is_tensor_function(lambda x, width=64: x, {"width": 32})
    True
    >>> is_tensor_function(lambda width: width, {"width": 32})
    False
    """
    first = next(iter(_parameters(function)), None)
    return (
        first is not None
        and first.kind in (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD)
        and first.default is first.empty
        and first.name not in settings
        and first.name not in HANDED
    )


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError):  # some of those that are written in C have none
        return []


def _function(name: str, architecture: Mapping[str, Any]) -> Callable[..., Any]:
    target = str(architecture["_target_"])
    with about(f"architecture={name}"):
        function = targets.locate(target)
    if not callable(function):
        raise RequestError(
            f"architecture={name}: {target} must be a function, got {_kind(function)}"
        )
    made: Callable[..., Any] = function
    return made


def _settings(
    name: str,
    architecture: Mapping[str, Any],
    function: Callable[..., Any],
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """Return a function's arguments: its settings, what they name instantiated, and the facts."""
    plain = {key: value for key, value in architecture.items() if key not in NOT_SETTINGS}
    try:
        settings = dict(instantiate(plain, _convert_="all")) if plain else {}
    except InstantiationException as error:
        reason = targets.describe_failure(error.__cause__ or error)
        target = architecture["_target_"]
        raise RequestError(f"architecture={name} ({target}): {reason}") from error
    parameters = _parameters(function)
    taken = {each.name for each in parameters if each.kind is not each.VAR_KEYWORD}
    settings = {key: fact for key, fact in facts.items() if key in taken} | settings
    takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters)
    unknown = [key for key in settings if key not in taken]
    if parameters and unknown and not takes_any:
        raise RequestError(
            f"architecture.{unknown[0]}: {architecture['_target_']} has no such parameter"
        )
    return settings


def _call(
    name: str, function: Callable[..., Any], settings: Mapping[str, Any], *tensors: Any
) -> Any:
    try:
        return function(*tensors, **settings)
    except RequestError:
        raise
    except Exception as error:
        described = targets.describe_failure(error)
        hint = ""
        if "ndim=4" in described and tensors and len(tensors[0].shape) == 3:
            shape = (*tensors[0].shape[1:], 1)
            hint = f"; grey images need a channel axis: keras.layers.Reshape({shape})(x)"
        elif "ndim=4" in described and len(grey := settings.get("input_shape", ())) == 2:
            given = ",".join(map(str, (*grey, 1)))
            hint = f"; grey images have no channel axis, add +architecture.input_shape=[{given}]"
        raise RequestError(f"architecture={name}: {described}{hint}") from error


def _of_layers(name: str, layers: Layers) -> keras.Model:
    try:
        # TensorFlow makes a scope of a model's name and takes ASCII only; a title in any
        # language is architecture.title.
        model = keras.Sequential(layers, name="model")
    except (ValueError, TypeError) as error:
        described = targets.describe_failure(error)
        raise RequestError(f"architecture={name}: {described}") from error
    if model.output_shape != (None, layers[-1].units):
        raise _not_flat(name, model.output_shape)
    return model


def _of_tensor_function(
    name: str,
    function: Callable[..., Any],
    settings: Mapping[str, Any],
    *,
    inputs: Layers,
    head: Callable[[], keras.layers.Layer],
) -> keras.Model:
    start, x = _applied(inputs)
    features = _call(name, function, settings, x)
    if _are_layers(features):
        features = _call(name, keras.Sequential(features), {}, x)
    if not isinstance(features, keras.KerasTensor):
        first = _parameters(function)[0].name
        raise RequestError(
            f"architecture={name}: a function of the input tensor, its first parameter {first}, "
            f"must return a tensor or a list of Keras layers, got {_kind(features)}"
        )
    if len(features.shape) != 2:
        raise _not_flat(name, features.shape)
    return _closed(name, start, head()(features))


def _of_whole_model(
    name: str,
    whole: keras.Model,
    *,
    inputs: Layers,
    image_shape: tuple[int, ...],
    head: keras.layers.Layer,
    takes_logits: bool,
) -> keras.Model:
    whole_models.refuse_unusable(name, whole)
    start, x = _applied(inputs)
    x = whole_models.fitted_to(name, whole, x, image_shape)
    outputs = _call(name, whole, {}, x)
    if not isinstance(outputs, keras.KerasTensor):
        raise RequestError(f"architecture={name} must have one output, got {_kind(outputs)}")
    if tuple(outputs.shape) != (None, head.units):
        is_binary = tuple(outputs.shape) == (None, 1) and head.units == 2
        hint = "; one output for two classes needs loss=binary_crossentropy" if is_binary else ""
        raise RequestError(
            f"architecture={name} must end in {head.units} outputs, as the task needs, got the "
            f"shape {tuple(outputs.shape)}{hint}"
        )
    wanted = keras.activations.serialize(head.activation)
    ends_in = whole_models.last_activation(whole)
    if (
        wanted in whole_models.PROBABILITY_ACTIVATIONS
        and takes_logits
        and ends_in in (None, "linear")
    ):
        activation = keras.layers.Activation(wanted, name="probabilities")
        return _closed(name, start, activation(outputs))
    model = _closed(name, start, outputs)
    if wanted in whole_models.PROBABILITY_ACTIVATIONS:
        whole_models.check_probabilities(name, model, wanted=wanted, ends_in=ends_in)
    return model


def _applied(layers: Layers) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    start, *others = layers
    x = start
    for layer in others:
        x = layer(x)
    return start, x


def _closed(name: str, start: keras.KerasTensor, outputs: keras.KerasTensor) -> keras.Model:
    try:
        return keras.Model(start, outputs, name="model")
    except (ValueError, TypeError) as error:
        described = targets.describe_failure(error)
        raise RequestError(f"architecture={name}: {described}") from error


def _inputs(
    image_shape: tuple[int, ...], scaling: FeatureScaling | Tokens | None, *, raw: bool
) -> Layers:
    if isinstance(scaling, Tokens):
        return [keras.layers.Input(image_shape, dtype="int32", name="tokens")]
    if scaling is None:
        # A factor of one: the network gets 0 to 255 as float32.
        factor, name = (1.0, "raw_values") if raw else (1 / 255, "rescaling")
        return [
            keras.layers.Input(image_shape, dtype="uint8", name="image"),
            keras.layers.Rescaling(factor, name=name, dtype="float32"),
        ]
    layers = [keras.layers.Input(image_shape, dtype="float32", name="features")]
    if not raw:
        normalization = keras.layers.Normalization(
            axis=scaling.axis,
            mean=scaling.mean,
            variance=scaling.variance,
            name="normalization",
            dtype="float32",  # under mixed precision too: features come in any unit
        )
        layers.append(normalization)
    if scaling.embedded:
        layers.append(embeddings.layer(image_shape[0], scaling.embedded))
    return layers


def _not_flat(name: str, shape: Sequence[int | None]) -> RequestError:
    return RequestError(
        f"architecture={name} must end in a flat layer; its output has the shape {tuple(shape)}"
    )


def _kind(value: object) -> str:
    if value is None:
        return "None"
    kind = type(value)
    is_builtin = kind.__module__ == "builtins"
    return kind.__name__ if is_builtin else f"{kind.__module__}.{kind.__name__}"

"""From an architecture's settings to a compiled Keras model.

Every network takes raw uint8 images, or raw features: scaling them is its first layer, so a saved
model needs no preprocessing that somebody could forget. The output layer follows from the classes
and the form of the labels; what lies between is the architecture's (`fitgap.models.network`).
"""

import functools
import inspect
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import keras
import numpy as np
import tensorflow as tf
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from numpy.typing import NDArray

from fitgap.config import targets
from fitgap.config.schema import Config
from fitgap.config.tasks import compiled_metrics, task_of
from fitgap.errors import RequestError, about, first_line
from fitgap.models import network
from fitgap.models.scaling import FeatureScaling, TargetScaling, Tokens

_SCOPE = re.compile(r"[A-Za-z0-9_.\\/>-]*")  # TensorFlow's rule for a scope within another
TARGET_UNITS = "target_units"  # the name of the layer that gives numbers in their own units
Layers = list[keras.layers.Layer]


def build(
    config: Config,
    *,
    image_shape: tuple[int, ...],
    num_classes: int,
    total_steps: int,
    scaling: FeatureScaling | Tokens | None = None,
    target_scaling: TargetScaling | None = None,
    say: network.Say = print,
) -> keras.Model:
    """Build and compile the network, with the weights that ``config.seed`` draws.

    Parameters
    ----------
    config
        The experiment; its architecture, optimizer, loss, schedule, augmentation and seed are
        used.
    image_shape
        Shape of one uint8 image.
    num_classes
        Number of classes, numbers or labels.
    total_steps
        Optimizer steps of the whole run, for schedules over all of it.
    scaling
        Of float32 features, or how many token ids there are; None: the network takes uint8 images.
    target_scaling
        Of numbers: the network's last layer gives them in their own units. A whole model of one's
        own goes without.
    say
        Takes what a person should know of how their model is used.

    Returns
    -------
    keras.Model
        Compiled with the loss and the metrics that Keras computes along with it; optimizer
        variables built.

    Raises
    ------
    RequestError
        If Keras refuses a setting.
    """
    # Names and seeds start afresh, so a run's bits do not depend on the runs before it.
    keras.backend.clear_session(free_memory=False)  # a collection of garbage takes 0.3 s
    keras.utils.set_random_seed(config.seed)
    is_binary = config.loss.labels == "binary"
    num_outputs = 1 if is_binary else num_classes
    activation = "sigmoid" if is_binary else task_of(config).activation
    loss = dict(config.loss.function)
    has_logits = activation in ("softmax", "sigmoid")  # else Keras refuses the setting
    takes_logits = has_logits and bool(loss.pop("from_logits", False))
    with _precision(config.training.precision):
        model = network.make(
            config.architecture,
            image_shape=image_shape,
            scaling=scaling,
            num_outputs=num_outputs,
            num_classes=num_classes if task_of(config).name == "classes" else None,
            augmentation=lambda: _augmentation(config, image_shape=image_shape),
            head=lambda: keras.layers.Dense(
                num_outputs, activation=activation, name="output", dtype="float32"
            ),
            takes_logits=takes_logits,
            say=say,
        )
        # A head of fitgap's own is called so; a whole model keeps its own.
        if target_scaling is not None and model.layers[-1].name == "output":
            scale, offset = target_scaling.scale, target_scaling.offset
            in_units = keras.layers.Rescaling(
                scale, offset=offset, name=TARGET_UNITS, dtype="float32"
            )
            model = keras.Model(model.inputs[0], in_units(model.outputs[0]), name="model")
    _refuse_untrainable(str(config.architecture["name"]), model)
    model.compile(
        optimizer=_optimizer(config, total_steps=total_steps),
        loss=_loss(loss),
        metrics=compiled_metrics(config),
    )
    model.optimizer.build(model.trainable_variables)
    return model


def _loss(node: dict[str, Any]) -> Any:
    """Return a loss: an object of a class, or a function of targets and predictions as it is."""
    found = targets.locate(node["_target_"])
    settings = {key: value for key, value in node.items() if key != "_target_"}
    if inspect.isclass(found):
        return _instantiate("loss.function", node)
    signature = inspect.signature(found)
    first_two = [*signature.parameters.values()][:2]
    # One that needs no targets and predictions makes a loss.
    if len(first_two) < 2 or any(
        one.default is not one.empty or one.name in settings for one in first_two
    ):
        return _instantiate("loss.function", node)
    try:
        signature.bind(None, None, **settings)
    except TypeError as error:
        raise RequestError(f"loss.function ({node['_target_']}): {error}") from error

    @functools.wraps(found)  # Keras records a function by its name, and a partial one not at all
    def loss(y_true: Any, y_pred: Any) -> Any:
        return found(y_true, y_pred, **settings)

    return loss


def try_loss(model: keras.Model, config: Config, y: NDArray[np.generic]) -> None:
    """Compute a network's loss on a few targets, before anything is trained.

    Parameters
    ----------
    model
        From `build`.
    config
        The experiment.
    y
        Targets in the form that the loss takes.

    Raises
    ------
    RequestError
        If it fails on them.
    """
    outputs = np.full((len(y), model.output_shape[-1]), 0.5, np.float32)

    def compute(true: tf.Tensor, predicted: tf.Tensor) -> tf.Tensor:
        return model.loss(true, predicted)

    # A person's own may fail only as part of a graph, where tensors have no values.
    is_own = not model.loss.__module__.startswith("keras.")
    try:
        tried = tf.function(compute, autograph=False) if is_own else compute
        tried(keras.ops.convert_to_tensor(y), keras.ops.convert_to_tensor(outputs))
    except Exception as error:  # a person's loss runs, which may raise anything
        raise RequestError(
            f"loss={config.loss.name} fails on the targets of this dataset as {config.loss.labels} "
            f"(loss.labels): {targets.describe_failure(error)}"
        ) from error


@contextmanager
def _precision(policy: str) -> Iterator[None]:
    """Have Keras make layers that compute in a precision, and leave its setting as it was."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _augmentation(config: Config, *, image_shape: tuple[int, ...]) -> Layers:
    """Return the layers that change images at random in training, and nothing in inference."""
    nodes = config.training.augmentation
    if not nodes:
        return []
    layers = [
        _instantiate(f"training.augmentation.{name}", {"name": name, **node})
        for name, node in nodes.items()
    ]
    if len(image_shape) == 2:  # Keras's layers want a channel axis
        with_channel = keras.layers.Reshape((*image_shape, 1), name="augmentation_in")
        return [with_channel, *layers, keras.layers.Reshape(image_shape, name="augmentation_out")]
    return layers


def _refuse_untrainable(name: str, model: keras.Model) -> None:
    """Refuse a network that TensorFlow could not train, or Keras could not save afterwards."""
    for layer in model._flatten_layers(include_self=False):
        is_called = not isinstance(layer, keras.layers.InputLayer)
        if is_called and not _SCOPE.fullmatch(layer.name):
            raise RequestError(
                f"architecture={name}: the name of a layer may have letters from a to z, digits, "
                f"_, . and -, because TensorFlow takes no others; got {layer.name!r}"
            )
    try:
        model.to_json()
    except Exception as error:  # a person's get_config may raise anything, and saving calls it, too
        sentence = " ".join(str(error).split()).split(". ")[0]
        raise RequestError(
            f"architecture={name} could not be saved after its training: "
            f"{type(error).__name__}: {sentence}"
        ) from error


def _optimizer(config: Config, *, total_steps: int) -> keras.optimizers.Optimizer:
    settings = dict(config.optimizer)
    schedule = dict(config.training.schedule)
    if schedule:
        if schedule.get("decay_steps", 0) is None:
            # Keras counts the decay from the end of the warm-up, of which there is none without
            # a target.
            warms_up = schedule.get("warmup_target") is not None
            warmup_steps = int(schedule.get("warmup_steps") or 0) if warms_up else 0
            if warmup_steps >= total_steps:
                raise RequestError(
                    f"training.schedule.warmup_steps must be below the run's {total_steps} steps, "
                    f"got {warmup_steps}"
                )
            schedule["decay_steps"] = total_steps - warmup_steps
        settings["learning_rate"] = _instantiate("training.schedule", schedule)
    return cast(keras.optimizers.Optimizer, _instantiate("optimizer", settings))


def callbacks(config: Config) -> list[keras.callbacks.Callback]:
    """Instantiate the callbacks that the settings name, early stopping first.

    Raises
    ------
    RequestError
        If Keras refuses a setting.
    """
    nodes = {f"training.callbacks.{key}": node for key, node in config.training.callbacks.items()}
    if config.training.early_stopping:
        nodes = {"training.early_stopping": config.training.early_stopping} | nodes
    return [_instantiate(name, _with_mode(node, config)) for name, node in nodes.items()]


def _with_mode(node: dict[str, Any], config: Config) -> dict[str, Any]:
    """Say which way the metric that a callback watches is better; Keras knows it of its own."""
    metric = config.metrics.get(str(node.get("monitor", "")).removeprefix("val_"))
    if metric is None or "mode" in node or not node["_target_"].startswith("keras.callbacks."):
        return node
    return {**node, "mode": "max" if metric.direction == "higher" else "min"}


def state(model: keras.Model) -> list[keras.Variable]:
    """Return all variables that training changes: weights, random states, the optimizer's."""
    return [*model.variables, *model.optimizer.variables]


def swap_averages(model: keras.Model) -> None:
    """Exchange the trained weights with their moving averages, if the optimizer keeps any.

    Done twice, it changes no bit: `keras.callbacks.SwapEMAWeights` adds and subtracts instead,
    which rounds. Keras has no public name for the averages. Statistics of batch normalisation
    are averages of their own, and stay.
    """
    optimizer = model.optimizer
    if not getattr(optimizer, "use_ema", False):
        return
    averages = optimizer._model_variables_moving_average
    for weight, average in zip(optimizer._trainable_variables, averages, strict=True):
        learning = weight.numpy()
        weight.assign(average)
        average.assign(learning)


def _instantiate(name: str, node: dict[str, Any]) -> Any:
    with about(name):
        targets.locate(node["_target_"])  # says what is missing, or was edited after its import
    try:
        return instantiate(node, _convert_="all")
    except InstantiationException as error:
        reason = error.__cause__ or error
        raise RequestError(f"{name} ({node['_target_']}): {first_line(reason)}") from error

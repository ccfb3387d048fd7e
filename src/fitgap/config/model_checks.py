"""Ranges and combinations of the settings of an architecture and an optimizer."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from fitgap.config.checks import did_you_mean, has_target, is_number, refuse_unknown, require
from fitgap.config.options import refuse_shared_names
from fitgap.config.schema import Config, DenseConfig
from fitgap.errors import RequestError


def check_values(config: Config, *, image_shape: tuple[int, ...], value_type: str) -> None:
    """Check that the architecture takes what the dataset holds.

    Parameters
    ----------
    config
        The experiment.
    image_shape
        Of one image, or (features,) of one vector.
    value_type
        ``uint8`` or ``float32``; ``int32`` of token ids.

    Raises
    ------
    RequestError
        If a layer for images would meet vectors, or token ids what takes quantities.
    """
    is_list = config.architecture["_target_"] == "fitgap.models.sequential"
    layers = config.architecture["layers"] if is_list else []
    kinds = [str(layer["_target_"]).rpartition(".")[2] for layer in layers]
    for_images = [kind for kind in kinds if kind.endswith("2D")]
    if for_images and len(image_shape) == 1:
        raise RequestError(
            f"architecture={config.architecture['name']} needs images ({for_images[0]}), "
            f"got dataset={config.dataset.name} with vectors of {image_shape[0]} features"
        )
    if config.training.augmentation and len(image_shape) == 1:
        raise RequestError(
            f"training.augmentation needs images, but dataset={config.dataset.name} has vectors "
            f"of {image_shape[0]} features"
        )
    target = str(config.architecture["_target_"])
    embeds = "Embedding" in kinds[:1] or not target.startswith("fitgap.models.")
    if value_type == "int32" and not (embeds or target.startswith("fitgap.models.sequences.")):
        raise RequestError(
            f"architecture={config.architecture['name']} takes quantities, but "
            f"dataset={config.dataset.name} holds token ids: use one that begins with an "
            "Embedding, as architecture=text_average, text_conv or text_transformer"
        )
    if target.startswith("fitgap.models.sequences.") and value_type != "int32":
        raise RequestError(
            f"architecture={config.architecture['name']} takes token ids (dataset=texts, or arrays "
            f"with dataset.layout=tokens), but dataset={config.dataset.name} holds {value_type}"
        )


def check_architecture(architecture: Mapping[str, Any]) -> None:
    """Raise a `RequestError` for the first wrong setting of an architecture."""
    _check_named("architecture", architecture)
    refuse_shared_names("architecture", [architecture["name"]])
    if architecture["_target_"] == "fitgap.models.dense":
        _check_dense(architecture)
    if architecture["_target_"] == "fitgap.models.sequential":
        layers = architecture.get("layers")
        are_layers = isinstance(layers, list) and all(map(has_target, layers))
        require("architecture.layers", layers, "a list of nodes with a _target_", when=are_layers)
        _refuse_others("architecture", architecture, ("_target_", "name", "title", "layers"))


def _check_named(group: str, option: Mapping[str, Any]) -> None:
    for key in ("_target_", "name"):
        value = option.get(key)
        require(f"{group}.{key}", value, "given", when=isinstance(value, str) and value != "")


def _refuse_others(group: str, option: Mapping[str, Any], known: Collection[str]) -> None:
    for key in option:
        if key not in known:
            nearest = did_you_mean(key, known, prefix=f"{group}.")
            raise RequestError(
                f"{group}.{key}: {group}={option['name']} has no such setting{nearest}"
            )


def _check_dense(architecture: Mapping[str, Any]) -> None:
    refuse_unknown("architecture.", architecture, DenseConfig)
    for name in ("units", "activation", "dropout", "batch_norm", "l1", "l2"):
        if name not in architecture:  # as of architecture=fitgap.models.dense
            raise RequestError(
                f"architecture.{name} has no value; architecture=dense_relu_100, whose settings "
                "can be changed, gives all of them"
            )
    units, dropout = architecture["units"], architecture["dropout"]
    require("architecture.units", units, "positive integers", when=all(n > 0 for n in units))
    in_range = is_number(dropout) and 0 <= dropout < 1
    require("architecture.dropout", dropout, "a number in [0, 1)", when=in_range)
    for key in ("l1", "l2"):
        factor = architecture[key]
        holds = is_number(factor) and factor >= 0
        require(f"architecture.{key}", factor, "a number >= 0", when=holds)


# Keras checks few of its optimizers' settings: a momentum of 7 trains, to nothing.
_OPTIMIZER_RANGES: dict[str, tuple[str, Callable[[float], bool]]] = {
    "learning_rate": ("a number > 0", lambda value: value > 0),
    "momentum": ("a number in [0, 1)", lambda value: 0 <= value < 1),
    "rho": ("a number in [0, 1)", lambda value: 0 <= value < 1),
    "beta_1": ("a number in [0, 1)", lambda value: 0 <= value < 1),
    "beta_2": ("a number in [0, 1)", lambda value: 0 <= value < 1),
    "epsilon": ("a number > 0", lambda value: value > 0),
    "weight_decay": ("a number >= 0", lambda value: value >= 0),
    "initial_accumulator_value": ("a number >= 0", lambda value: value >= 0),
    "ema_momentum": ("a number in [0, 1)", lambda value: 0 <= value < 1),
}

# What Keras's optimizers take besides their learning rate: all of them, and each.
_OF_EVERY_OPTIMIZER = (
    *("weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "use_ema", "ema_momentum"),
    *("ema_overwrite_frequency", "loss_scale_factor", "gradient_accumulation_steps"),
)
_OF_OPTIMIZER = {
    "Adadelta": ("rho", "epsilon"),
    "Adagrad": ("initial_accumulator_value", "epsilon"),
    "Adam": ("beta_1", "beta_2", "epsilon", "amsgrad"),
    "AdamW": ("beta_1", "beta_2", "epsilon", "amsgrad"),
    "Adamax": ("beta_1", "beta_2", "epsilon"),
    "Lion": ("beta_1", "beta_2"),
    "Nadam": ("beta_1", "beta_2", "epsilon"),
    "RMSprop": ("rho", "momentum", "epsilon", "centered"),
    "SGD": ("momentum", "nesterov"),
}


def optimizer_settings(target: str | None = None) -> set[str]:
    """Return the settings that an optimizer of Keras takes, besides its learning rate.

    Parameters
    ----------
    target
        Its class's dotted name; None, or one that is not known: those that any takes.
    """
    name = str(target).removeprefix("keras.optimizers.")
    of_classes = [_OF_OPTIMIZER[name]] if name in _OF_OPTIMIZER else _OF_OPTIMIZER.values()
    return {*_OF_EVERY_OPTIMIZER, *(key for keys in of_classes for key in keys)}


DECIMALS = {
    *_OPTIMIZER_RANGES,
    "alpha",
    "decay_rate",
    "end_learning_rate",
    "initial_learning_rate",
    "warmup_target",
}


WARMUP_SETTINGS = ("training.schedule.warmup_steps", "training.schedule.warmup_target")


def check_optimizer(optimizer: Mapping[str, Any]) -> None:
    """Raise a `RequestError` for the first wrong setting of an optimizer."""
    _check_named("optimizer", optimizer)
    for key, (allowed, holds) in _OPTIMIZER_RANGES.items():
        value = optimizer.get(key)
        if value is not None:
            require(f"optimizer.{key}", value, allowed, when=is_number(value) and holds(value))
    for key in ("nesterov", "centered", "amsgrad", "use_ema"):
        if key in optimizer:
            value = optimizer[key]
            require(f"optimizer.{key}", value, "true or false", when=isinstance(value, bool))
    target = str(optimizer["_target_"])
    if target.removeprefix("keras.optimizers.") in _OF_OPTIMIZER:
        known = {"_target_", "name", "learning_rate", *optimizer_settings(target)}
        _refuse_others("optimizer", optimizer, sorted(known))

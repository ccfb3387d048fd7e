"""Ranges and combinations of settings, checked before TensorFlow is imported."""

import difflib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from fitgap.config.options import refuse_shared_names
from fitgap.config.schema import (
    ArraysConfig,
    Config,
    DatasetConfig,
    DenseConfig,
    FunctionConfig,
    ImageFolderConfig,
    MetricConfig,
    OwnConfig,
    SplitConfig,
    TableConfig,
    TextsConfig,
)
from fitgap.errors import RequestError

TASK_NAMES = ("classes", "numbers", "label_sets")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
ENGINES = ("auto", "compiled", "fit", "numpy")
LABEL_FORMATS = ("integer", "one_hot", "binary", "numbers", "many_hot", "auto")


def validate(config: Config) -> None:
    """Check ranges and combinations that need neither data nor Keras.

    Raises
    ------
    RequestError
        Naming the first wrong setting, what is allowed and what arrived.
    """
    _check_seed("seed", config.seed)
    _check_split(config.split)
    _check_architecture(config.architecture)
    _check_optimizer(config.optimizer)
    _check_loss(config)
    _check_metrics(config.metrics)
    _check_training(config)
    _check_dataset(config.dataset)
    if config.debug is not None and config.debug.batches is not None:
        batches = config.debug.batches
        require("debug.batches", batches, "1 or more", when=batches >= 1)


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
    target = str(config.architecture["_target_"])
    embeds = "Embedding" in kinds[:1] or not target.startswith("fitgap.models.")
    if value_type == "int32" and not (embeds or target.startswith("fitgap.models.sequences.")):
        raise RequestError(
            f"architecture={config.architecture['name']} takes quantities, but "
            f"dataset={config.dataset.name} holds token ids: take one that begins with an "
            "Embedding, as architecture=text_average, text_conv or text_transformer"
        )
    if target.startswith("fitgap.models.sequences.") and value_type != "int32":
        raise RequestError(
            f"architecture={config.architecture['name']} takes token ids (dataset=texts, or arrays "
            f"with dataset.layout=tokens), but dataset={config.dataset.name} holds {value_type}"
        )


def require(name: str, value: object, allowed: str, *, when: bool) -> None:
    """Raise a `RequestError` in the one form all settings' errors have, unless ``when`` holds."""
    if not when:
        raise RequestError(f"{name} must be {allowed}, got {value!r}")


def did_you_mean(name: str, candidates: Iterable[str], *, prefix: str = "") -> str:
    """Return the nearest right name as the end of an error message, or nothing if none is near.

    >>> did_you_mean("epoch", ["epochs", "batch_size"], prefix="training.")
    '; did you mean training.epochs?'
    """
    matches = difflib.get_close_matches(name, list(candidates), n=1, cutoff=0.5)
    return f"; did you mean {prefix}{matches[0]}?" if matches else ""


def refuse_unknown(prefix: str, given: Iterable[str], schema: Any) -> None:
    """Raise a `RequestError` for the first name that is no field of a dataclass."""
    known = [each.name for each in fields(schema)]
    for name in given:
        if name not in known:
            nearest = did_you_mean(name, known, prefix=prefix)
            raise RequestError(f"{prefix}{name}: there is no such setting{nearest}")


def is_number(value: object) -> bool:
    """Tell whether a setting is a finite int or float (a bool is neither)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_seed(name: str, seed: int | None) -> None:
    # The bound is NumPy's, which takes a seed from 32 bits.
    valid = isinstance(seed, int) and 0 <= seed < 2**32
    require(name, seed, "an integer from 0 to 4294967295", when=valid)


def _check_dataset(dataset: DatasetConfig) -> None:
    classes = dataset.classes
    if classes is not None and (len(set(classes)) != len(classes) or len(classes) < 2):
        raise RequestError(f"dataset.classes must be two or more different numbers, got {classes}")
    holds = dataset.task in (None, *TASK_NAMES)
    require("dataset.task", dataset.task, f"null or {' or '.join(TASK_NAMES)}", when=holds)
    if isinstance(dataset, OwnConfig):
        fraction = dataset.test_fraction
        inside = is_number(fraction) and 0 < fraction < 1
        require("dataset.test_fraction", fraction, "a number in (0, 1)", when=inside)
        _check_seed("dataset.test_seed", dataset.test_seed)
    if isinstance(dataset, ArraysConfig):
        _check_arrays(dataset)
    if isinstance(dataset, FunctionConfig):
        function = dataset.function
        require("dataset.function", function, "given with a _target_", when=_has_target(function))
    if isinstance(dataset, ImageFolderConfig):
        _check_size("dataset.image_size", dataset.image_size)
        channels = dataset.channels
        require("dataset.channels", channels, "1 (grey) or 3 (RGB)", when=channels in (1, 3))
        bits = dataset.bits
        require("dataset.bits", bits, "8 to 16, or null", when=bits is None or 8 <= bits <= 16)
    if isinstance(dataset, TextsConfig):
        for setting in ("length", "vocabulary"):
            value = getattr(dataset, setting)
            require(f"dataset.{setting}", value, "1 or more", when=value >= 1)
    if isinstance(dataset, TableConfig):
        label = dataset.label
        names = [label] if isinstance(label, str) else label
        valid = isinstance(names, list) and bool(names) and all(map(_is_text, names))
        require("dataset.label", label, "a column's name or a list of names", when=valid)
        if dataset.decimal is not None:
            require(
                "dataset.decimal", dataset.decimal, ". or ,", when=dataset.decimal in (".", ",")
            )
        if dataset.image_shape is not None:
            _check_size("dataset.image_shape", dataset.image_shape)


_ROLES = tuple(f"{kind}_{part}" for part in ("train", "val", "test") for kind in ("x", "y"))
_LAYOUTS = ("channels_last", "channels_first", "sequences", "tokens")


def _check_arrays(dataset: ArraysConfig) -> None:
    keys, layout = dataset.keys, dataset.layout
    if keys is not None:
        valid = isinstance(keys, Mapping) and all(isinstance(name, str) for name in keys.values())
        require("dataset.keys", keys, "a mapping, as {x_train: X, y_train: y}", when=valid)
        for role in keys:
            allowed = ", ".join(_ROLES)
            require("dataset.keys", role, f"a mapping of {allowed}", when=role in _ROLES)
    if layout is not None:
        require("dataset.layout", layout, " or ".join(_LAYOUTS), when=layout in _LAYOUTS)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


_MOST_PIXELS = 10_000  # a side


def _check_size(name: str, size: Sequence[int]) -> None:
    holds = len(size) == 2 and all(0 < n <= _MOST_PIXELS for n in size)
    require(name, size, f"[height, width] in pixels, at most {_MOST_PIXELS}", when=holds)


_SPLITS = ("holdout", "kfold", "given", "none")


def _check_split(split: SplitConfig) -> None:
    require("split.name", split.name, " or ".join(_SPLITS), when=split.name in _SPLITS)
    share = split.train_fraction
    in_range = is_number(share) and 0 < share <= 1
    require("split.train_fraction", share, "a number in (0, 1]", when=in_range)
    if split.name == "holdout":
        fraction = split.validation_fraction
        inside = fraction is not None and is_number(fraction) and 0 < fraction < 1
        require("split.validation_fraction", fraction, "a number in (0, 1)", when=inside)
    if split.name in ("holdout", "kfold"):
        _check_seed("split.seed", split.seed)
    if split.name == "kfold":
        folds, fold = split.folds, split.fold
        require("split.folds", folds, "an integer >= 2", when=folds is not None and folds >= 2)
        valid = fold is not None and folds is not None and 0 <= fold < folds
        require("split.fold", fold, f"an integer from 0 to {(folds or 2) - 1}", when=valid)
    _check_order(split)


def _check_order(split: SplitConfig) -> None:
    if split.order is None:
        return
    if split.name == "kfold":
        raise RequestError(
            "split.order belongs to split=holdout: folds would train on what is newer than their "
            "validation partition"
        )
    if split.stratify:
        raise RequestError("split.order and split.stratify=true contradict each other")
    if split.group is not None:
        raise RequestError("split.order and split.group cannot be used together")


def _check_architecture(architecture: Mapping[str, Any]) -> None:
    for key in ("_target_", "name"):
        value = architecture.get(key)
        require(f"architecture.{key}", value, "given", when=isinstance(value, str) and value != "")
    if architecture["_target_"] == "fitgap.models.dense":
        _check_dense(architecture)
    if architecture["_target_"] == "fitgap.models.sequential":
        layers = architecture.get("layers")
        are_layers = isinstance(layers, list) and all(map(_has_target, layers))
        require("architecture.layers", layers, "a list of nodes with a _target_", when=are_layers)
        for key in architecture:
            if key not in _SEQUENTIAL_SETTINGS:
                nearest = did_you_mean(key, _SEQUENTIAL_SETTINGS, prefix="architecture.")
                name = architecture["name"]
                raise RequestError(
                    f"architecture.{key}: architecture={name} has no such setting{nearest}"
                )


_SEQUENTIAL_SETTINGS = ("_target_", "name", "title", "layers")


def _check_dense(architecture: Mapping[str, Any]) -> None:
    refuse_unknown("architecture.", architecture, DenseConfig)
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


def _check_optimizer(optimizer: Mapping[str, Any]) -> None:
    for key in ("_target_", "name"):
        value = optimizer.get(key)
        require(f"optimizer.{key}", value, "given", when=isinstance(value, str) and value != "")
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
        for key in optimizer:
            if key not in known:
                nearest = did_you_mean(key, sorted(known), prefix="optimizer.")
                raise RequestError(
                    f"optimizer.{key}: optimizer={optimizer['name']} has no such setting{nearest}"
                )


def _check_loss(config: Config) -> None:
    labels = config.loss.labels
    require("loss.labels", labels, " or ".join(LABEL_FORMATS), when=labels in LABEL_FORMATS)
    node = config.loss.function
    holds = _has_target(node) or config.loss.name == "auto"
    require("loss.function", node, "given with a _target_", when=holds)


def _check_training(config: Config) -> None:
    training = config.training
    for key in ("epochs", "batch_size", "threads", "memory_limit_mb"):
        value = getattr(training, key)
        require(f"training.{key}", value, "an integer >= 1", when=value >= 1)
    engine = training.engine
    require("training.engine", engine, " or ".join(ENGINES), when=engine in ENGINES)
    if training.xla is not None and engine in ("fit", "numpy"):
        raise RequestError(
            f"training.xla belongs to engine=compiled or auto, not to engine={engine}"
        )
    weights = training.class_weight
    holds = weights in (None, "balanced") or (
        isinstance(weights, Mapping)
        and bool(weights)
        and all(is_number(one) and one >= 0 for one in weights.values())
    )
    allowed = "null, balanced, or a mapping from classes to numbers >= 0"
    require("training.class_weight", weights, allowed, when=holds)
    precision = training.precision
    require("training.precision", precision, " or ".join(PRECISIONS), when=precision in PRECISIONS)
    if precision == "mixed_float16" and config.optimizer.get("use_ema"):
        raise RequestError(
            "training.precision=mixed_float16 scales the loss by an optimizer of Keras's own that "
            "keeps no averages: leave out optimizer.use_ema, or take mixed_bfloat16"
        )
    for key in ("early_stopping", "schedule"):
        node = getattr(training, key)
        holds = not node or _has_target(node)
        require(f"training.{key}", node, "empty or have a _target_", when=holds)
    for key, node in training.augmentation.items():
        holds = _has_target(node)
        require(f"training.augmentation.{key}", node, "given with a _target_", when=holds)
    for key, node in training.callbacks.items():
        require(f"training.callbacks.{key}", node, "given with a _target_", when=_has_target(node))
        if node["_target_"] == "keras.callbacks.SwapEMAWeights":
            raise RequestError(
                f"training.callbacks.{key}: leave SwapEMAWeights out; under optimizer.use_ema=true "
                "the averaged weights are evaluated and saved without it"
            )
        if node["_target_"] == "keras.callbacks.ReduceLROnPlateau" and training.schedule:
            raise RequestError(
                f"training.callbacks.{key}: ReduceLROnPlateau sets the learning rate, which "
                "training/schedule sets too; take training/schedule=constant, or leave it out"
            )
        _check_monitor(f"training.callbacks.{key}", node, config)
    for key, node in config.tracking.loggers.items():
        require(f"loggers={key}", node, "given with a _target_", when=_has_target(node))
    if training.early_stopping:
        _check_monitor("training.early_stopping", training.early_stopping, config)


def _has_target(node: object) -> bool:
    return isinstance(node, Mapping) and isinstance(node.get("_target_"), str)


def _check_metrics(metrics: Mapping[str, MetricConfig]) -> None:
    refuse_shared_names(metrics)
    for name, node in metrics.items():
        what = f"metrics.{name}"
        if name == "loss" or "/" in name:
            raise RequestError(f"{what}: a metric can't be called so; the loss is always there")
        given = node.function if node.scorer is None else node.scorer
        holds = (node.function is None) != (node.scorer is None)
        require(what, given, "given with one of function and scorer", when=holds)
        if node.function is not None:
            holds = _has_target(node.function)
            require(f"{what}.function", node.function, "given with a _target_", when=holds)
        for key, allowed in (
            ("needs", ("labels", "probabilities", "values")),
            ("direction", ("higher", "lower")),
        ):
            value = getattr(node, key)
            require(f"{what}.{key}", value, " or ".join(allowed), when=value in allowed)
        holds = bool(node.tasks) and set(node.tasks) <= set(TASK_NAMES)
        require(f"{what}.tasks", node.tasks, f"some of {', '.join(TASK_NAMES)}", when=holds)
        holds = len(node.bounds) == 2 and all(b is None or is_number(b) for b in node.bounds)
        require(f"{what}.bounds", node.bounds, "[least, most], null for none", when=holds)


_WATCH_VAL_LOSS = ("keras.callbacks.EarlyStopping", "keras.callbacks.ReduceLROnPlateau")


def _check_monitor(name: str, node: Mapping[str, Any], config: Config) -> None:
    target = str(node["_target_"])
    monitor = node.get("monitor", "val_loss" if target in _WATCH_VAL_LOSS else None)
    if monitor == "auto":  # follows from the metrics, and is one of validation
        monitor = "val_loss"
    if monitor is None or not target.startswith("keras.callbacks."):
        return
    # What Keras's callbacks hear of an epoch. One that waits for anything else only warns, and
    # then never acts.
    known = [name for name, one in config.metrics.items() if one.each_epoch]
    metrics = known or ["accuracy", "rmse"]  # without a choice, those of the tasks
    running = [name for name in metrics if name == "accuracy"]
    logs = ["loss", *running, "learning_rate", "val_loss", *(f"val_{name}" for name in metrics)]
    require(f"{name}.monitor", monitor, f"one of {', '.join(logs)}", when=monitor in logs)
    if config.split.name == "none" and monitor.startswith("val_"):
        raise RequestError(
            f"{name}.monitor={monitor} needs a validation partition, but split=none leaves none"
        )

"""Ranges and combinations of settings, checked before TensorFlow is imported."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from fitgap.config import parameters, tasks
from fitgap.config.checks import (
    check_seed,
    has_target,
    is_number,
    require,
    require_one_of,
    require_target,
)
from fitgap.config.data_checks import check_dataset, check_split
from fitgap.config.model_checks import check_architecture, check_optimizer
from fitgap.config.options import refuse_shared_names
from fitgap.config.schema import Config, MetricConfig
from fitgap.errors import RequestError

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
ENGINES = ("auto", "compiled", "fit", "numpy")
MOST_OF_EXPERIMENT = 500  # characters that MLflow takes
LABEL_FORMATS = ("integer", "one_hot", "binary", "numbers", "many_hot", "auto")


def validate(config: Config) -> None:
    """Check ranges and combinations that need neither data nor Keras.

    Raises
    ------
    RequestError
        Naming the first wrong setting, what is allowed and what arrived.
    """
    check_seed("seed", config.seed)
    check_split(config.split)
    check_architecture(config.architecture)
    check_optimizer(config.optimizer)
    _check_loss(config)
    _check_metrics(config.metrics)
    _check_training(config)
    _check_callbacks(config)
    _check_tracking(config)
    check_dataset(config.dataset)
    if config.debug is not None and config.debug.batches is not None:
        batches = config.debug.batches
        require("debug.batches", batches, "1 or more", when=batches >= 1)
    _check_texts(config)


def _check_texts(config: Config) -> None:
    """Refuse what no record can hold: a path, say, whose bytes are in another encoding."""
    for key, value in parameters.flatten(asdict(config)).items():
        try:
            f"{key}{value}".encode()
        except UnicodeEncodeError:
            if key != "tracking.uri":  # the place of the record does not stand in it
                raise RequestError(
                    f"{key}={value} has characters that are no Unicode; rename it"
                ) from None


def _check_loss(config: Config) -> None:
    require_one_of("loss.labels", config.loss.labels, LABEL_FORMATS)
    if config.loss.name != "auto":
        require_target("loss.function", config.loss.function)


def _check_training(config: Config) -> None:
    training = config.training
    for key in ("epochs", "batch_size", "threads", "memory_limit_mb"):
        value = getattr(training, key)
        require(f"training.{key}", value, "an integer >= 1", when=value >= 1)
    engine = training.engine
    require_one_of("training.engine", engine, ENGINES)
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
    require_one_of("training.precision", precision, PRECISIONS)
    if precision == "mixed_float16" and config.optimizer.get("use_ema"):
        raise RequestError(
            "training.precision=mixed_float16 scales the loss with an optimizer of Keras that "
            "keeps no averages: leave out optimizer.use_ema, or use mixed_bfloat16"
        )
    for key in ("early_stopping", "schedule"):
        node = getattr(training, key)
        holds = not node or has_target(node)
        require(f"training.{key}", node, "empty or have a _target_", when=holds)
    for key, node in training.augmentation.items():
        require_target(f"training.augmentation.{key}", node)


def _check_callbacks(config: Config) -> None:
    training = config.training
    for key, node in training.callbacks.items():
        require_target(f"training.callbacks.{key}", node)
        if node["_target_"] == "keras.callbacks.SwapEMAWeights":
            raise RequestError(
                f"training.callbacks.{key}: leave SwapEMAWeights out; under optimizer.use_ema=true "
                "the averaged weights are evaluated and saved without it"
            )
        if node["_target_"] == "keras.callbacks.ReduceLROnPlateau" and training.schedule:
            raise RequestError(
                f"training.callbacks.{key}: ReduceLROnPlateau sets the learning rate, which "
                "training/schedule sets too; use training/schedule=constant, or leave it out"
            )
        _check_monitor(f"training.callbacks.{key}", node, config)
    if training.early_stopping:
        _check_monitor("training.early_stopping", training.early_stopping, config)


def _check_tracking(config: Config) -> None:
    name = config.tracking.experiment
    holds = bool(name.strip()) and len(name) <= MOST_OF_EXPERIMENT
    require("tracking.experiment", name, f"1 to {MOST_OF_EXPERIMENT} characters", when=holds)
    for key, node in config.tracking.loggers.items():
        require_target(f"loggers={key}", node)


def _check_metrics(metrics: Mapping[str, MetricConfig]) -> None:
    refuse_shared_names("metrics", metrics)
    for name, node in metrics.items():
        what = f"metrics.{name}"
        if name == "loss" or "/" in name:
            raise RequestError(f"{what}: a metric's name must have no slash and must not be loss")
        given = node.function if node.scorer is None else node.scorer
        holds = (node.function is None) != (node.scorer is None)
        require(what, given, "given with one of function and scorer", when=holds)
        if node.function is not None:
            require_target(f"{what}.function", node.function)
        require_one_of(f"{what}.needs", node.needs, ("labels", "probabilities", "values"))
        require_one_of(f"{what}.direction", node.direction, ("higher", "lower"))
        holds = bool(node.tasks) and set(node.tasks) <= set(tasks.TASKS)
        require(f"{what}.tasks", node.tasks, f"some of {', '.join(tasks.TASKS)}", when=holds)
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
    known = tasks.metrics_of_each_epoch(config.metrics)
    if (waiting := monitor.removeprefix("val_")) in config.metrics and waiting not in known:
        raise RequestError(
            f"{name}.monitor={monitor}: {waiting} is computed only at the end; "
            f"++metrics.{waiting}.each_epoch=true computes it after each epoch"
        )
    metrics = known or ["accuracy", "rmse"]  # without a choice, those of the tasks
    running = [name for name in metrics if name == "accuracy"]
    logs = ["loss", *running, "learning_rate", "val_loss", *(f"val_{name}" for name in metrics)]
    require(f"{name}.monitor", monitor, f"one of {', '.join(logs)}", when=monitor in logs)
    if config.split.name == "none" and monitor.startswith("val_"):
        raise RequestError(
            f"{name}.monitor={monitor} needs a validation partition, but split=none leaves none"
        )

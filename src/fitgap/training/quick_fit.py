"""``fitgap.fit``: instead of ``model.fit``, each epoch in one compiled function.

It takes whatever Keras model a person has compiled, with its arguments, its callbacks and its
History. The engine of an experiment's runs is `fitgap.training.engines.compiled`.
"""

import logging
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fitgap.errors import RequestError
from fitgap.training import quick_data, quick_program
from fitgap.training.engines.keras_fit import acts_on_batches
from fitgap.training.quick_program import Logs

MEMORY_LIMIT_BYTES = 2**32  # as training.memory_limit_mb has it
DEFAULT_BATCH_SIZE = 32  # model.fit's

# Beginnings of lines in errors of Keras and TensorFlow that say nothing of what is wrong.
_WITHOUT_MEANING = ("Exception encountered", "Graph execution error", "[[", "<stack traces")

_logger = logging.getLogger("fitgap")


def fit(
    model: keras.Model,
    x: Any = None,
    y: Any = None,
    *,
    batch_size: int | None = None,
    epochs: int = 1,
    verbose: str | int = "auto",
    callbacks: Any = None,
    validation_split: float = 0.0,
    validation_data: Any = None,
    shuffle: bool | str = True,
    class_weight: Mapping[int, float] | None = None,
    sample_weight: Any = None,
    initial_epoch: int = 0,
    steps_per_epoch: int | None = None,
    validation_steps: int | None = None,
    validation_batch_size: int | None = None,
    validation_freq: int | Sequence[int] = 1,
) -> keras.callbacks.History:
    """Train a compiled Keras model as ``model.fit`` does, in less time.

    The batches are those of ``model.fit``, in its order: under the same
    ``keras.utils.set_random_seed``, a model compiled with ``jit_compile=False`` ends with the same
    bits. XLA is used where the model allows it and consists of layers that are fast in its loop.

    What cannot go into one compiled epoch is left to ``model.fit``, and a line of the logger
    ``fitgap`` says why: data that are not arrays or are larger than 4 GB, callbacks that act
    between batches, ``run_eagerly``, numbers of steps, a distribution strategy, another backend.

    Parameters
    ----------
    model
        Compiled.
    x, y, batch_size, epochs, verbose, callbacks, validation_split, validation_data, shuffle, \
class_weight, sample_weight, initial_epoch, steps_per_epoch, validation_steps, \
validation_batch_size, validation_freq
        As ``model.fit`` has them.

    Returns
    -------
    keras.callbacks.History
        With the keys of ``model.fit``.

    Raises
    ------
    RequestError
        If the model is not compiled, an argument has no meaning, arrays differ in their number of
        rows, or model, loss and data do not fit each other.
    """
    arguments = {key: value for key, value in locals().items() if key != "model"}
    if not isinstance(model, keras.Model):
        raise RequestError(f"fitgap.fit needs a keras.Model, got {type(model).__name__}")
    if not model.compiled:
        raise RequestError("fitgap.fit needs a compiled model; call model.compile(...) first")
    validation = () if validation_data is None else validation_data
    _check(arguments)
    reason = _why_not(model, arguments, of_arrays=(x, y, sample_weight, validation))
    if reason:
        _logger.warning("fitgap.fit: model.fit trains here, since %s", reason)
        return model.fit(**arguments)
    train, validation = quick_data.parts(
        (x, y, sample_weight),
        validation,
        validation_split=validation_split,
        class_weight=class_weight,
    )
    _train(model, train, validation, arguments)
    return model.history


def _train(
    model: keras.Model,
    train: tuple[Any, ...],
    validation: tuple[Any, ...],
    arguments: Mapping[str, Any],
) -> None:
    """Train by compiled epochs, with the arguments of `fit`."""
    size = arguments["batch_size"] or DEFAULT_BATCH_SIZE
    data = quick_data.tensors(train)
    validation_tensors = quick_data.tensors(validation) if validation else None
    with refused_if_unfit("fitgap.fit"):
        program = quick_program.program_of(
            model,
            batch_size=size,
            evaluation_size=arguments["validation_batch_size"] or size,
            make_for=data,
        )
    count = quick_data.num_rows(train)
    order_of_epoch = quick_data.orders(count, shuffle=bool(arguments["shuffle"]))
    listeners = keras.callbacks.CallbackList(
        arguments["callbacks"],
        add_history=True,
        add_progbar=arguments["verbose"] != 0,
        verbose=arguments["verbose"],
        epochs=arguments["epochs"],
        steps=math.ceil(count / size),
        model=model,
    )

    def epoch_logs(epoch: int) -> Logs:
        model.reset_metrics()
        listeners.on_epoch_begin(epoch)
        with refused_if_unfit("fitgap.fit"):
            last_step = program.run_epoch(data, order_of_epoch())
        logs = quick_program.epoch_logs(model, last_step)
        if validation_tensors is not None and _is_due(epoch + 1, arguments["validation_freq"]):
            listeners.on_test_begin()
            model.reset_metrics()
            with refused_if_unfit("fitgap.fit, validation_data"):
                last_step = program.evaluate(validation_tensors)
            found = quick_program.epoch_logs(model, last_step)
            listeners.on_test_end(found)
            logs |= {f"val_{name}": value for name, value in found.items()}
        return logs

    epochs = range(arguments["initial_epoch"], arguments["epochs"])
    _run_epochs(model, epoch_logs, epochs, listeners=listeners)


def _run_epochs(
    model: keras.Model,
    epoch_logs: Callable[[int], Logs],
    epochs: range,
    *,
    listeners: keras.callbacks.CallbackList,
) -> None:
    """Do what ``model.fit`` does around its epochs, and notify the listeners."""
    model.stop_training = False
    listeners.on_train_begin()
    logs: Logs | None = None
    for epoch in epochs:
        logs = epoch_logs(epoch)
        listeners.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    if isinstance(model.optimizer, keras.optimizers.Optimizer):
        model.optimizer.finalize_variable_values(model.trainable_weights)
    listeners.on_train_end(logs)


def evaluate(model: keras.Model, x: Any, y: Any, *, batch_size: int) -> dict[str, float]:
    """Return what ``model.evaluate(x, y, return_dict=True)`` returns, in less time.

    Parameters
    ----------
    model
        Compiled, and called before: its weights and metrics are there.
    x, y
        Arrays, or structures of arrays as the model takes them.
    batch_size
        Rows of one step.
    """
    if _why_not(model, {}, of_arrays=(x, y)):
        return dict(model.evaluate(x, y, batch_size=batch_size, verbose=0, return_dict=True))
    data = quick_data.tensors((x, y, None))
    program = quick_program.program_of(model, batch_size=batch_size, evaluation_size=batch_size)
    model.reset_metrics()
    return quick_program.epoch_logs(model, program.evaluate(data))


@contextmanager
def refused_if_unfit(what: str) -> Iterator[None]:
    """Say in one line, where Keras and TensorFlow use many, that a model does not fit its data.

    Raises
    ------
    RequestError
        In the place of their error.
    """
    try:
        yield
    except (ValueError, tf.errors.InvalidArgumentError) as error:
        plain = re.sub(r"\x1b\[\d*m", "", str(error))  # Keras writes parts of it bold
        lines = [line.strip() for line in plain.splitlines()]
        telling = [line for line in lines if line and not line.startswith(_WITHOUT_MEANING)]
        # TensorFlow's reason stands behind the operation's stack, Keras's before its arguments.
        from_tensorflow = isinstance(error, tf.errors.OpError)
        reason = (telling[-1] if from_tensorflow else telling[0]) if telling else str(error)
        raise RequestError(
            f"{what}: model, loss and data do not fit each other: {reason}"
        ) from error


def _check(arguments: Mapping[str, Any]) -> None:
    """Raise `RequestError` if an argument has no meaning, which Keras may not notice."""
    for name in ("epochs", "batch_size", "validation_batch_size"):
        value = arguments[name]
        if value is not None and (not isinstance(value, int | np.integer) or value < 1):
            raise RequestError(f"{name} must be a whole number from 1 on, got {value!r}")
    class_weight, validation = arguments["class_weight"], arguments["validation_data"]
    if class_weight is not None and not isinstance(class_weight, Mapping):
        raise RequestError(
            f"class_weight must be a mapping from class numbers to weights, got {class_weight!r}"
        )
    if _is_array(validation):
        raise RequestError("validation_data must be a pair (x, y), got one array")
    for callback in keras.tree.flatten(arguments["callbacks"] or []):
        if not isinstance(callback, keras.callbacks.Callback | keras.callbacks.CallbackList):
            raise RequestError(f"callbacks must be Keras's, got {callback!r}")


def _why_not(
    model: keras.Model, arguments: Mapping[str, Any], *, of_arrays: tuple[Any, ...]
) -> str:
    """Say in a few words why a model cannot be trained by compiled epochs; nothing if it can."""
    return next(chain(_hindrances(model), _refused(arguments), _unfit(of_arrays)), "")


def _hindrances(model: keras.Model) -> Iterator[str]:
    if keras.backend.backend() != "tensorflow":
        yield f"Keras runs on {keras.backend.backend()}"
    if model.run_eagerly:
        yield "the model is compiled with run_eagerly=True"
    if tf.distribute.has_strategy() or getattr(model, "_distribute_strategy", None) is not None:
        yield "a distribution strategy is in use"
    if getattr(keras.config, "max_epochs", lambda: None)() is not None:
        yield "keras.config limits the epochs"


def _refused(arguments: Mapping[str, Any]) -> Iterator[str]:
    for name in ("steps_per_epoch", "validation_steps"):
        if arguments.get(name) is not None:
            yield f"{name} is given"
    if arguments.get("shuffle") == "batch":
        yield "shuffle='batch' is asked for"
    callbacks = arguments.get("callbacks") or []
    if isinstance(callbacks, keras.callbacks.CallbackList):
        yield "callbacks is a CallbackList"
        return
    for callback in keras.tree.flatten(callbacks):
        if _acts_on_batches(callback):
            yield f"{type(callback).__name__} acts between batches"


def _unfit(arrays: tuple[Any, ...]) -> Iterator[str]:
    flat = [array for array in keras.tree.flatten(arrays) if array is not None]
    size = 0
    for array in flat:
        if not _is_array(array):
            yield f"{type(array).__name__} is not an array of numbers"
        size += math.prod(array.shape) * tf.as_dtype(array.dtype).size
    if size > MEMORY_LIMIT_BYTES:
        yield f"the arrays take {size / 2**30:.1f} GB"
    if not flat:
        yield "there are no arrays"


def _acts_on_batches(callback: keras.callbacks.Callback) -> bool:
    if type(callback) is keras.callbacks.ProgbarLogger:
        return False
    if type(callback) is keras.callbacks.ModelCheckpoint and callback.save_freq == "epoch":
        return False
    of_tests = ("on_test_batch_begin", "on_test_batch_end")
    base = keras.callbacks.Callback
    return acts_on_batches(callback) or any(
        getattr(type(callback), hook) is not getattr(base, hook) for hook in of_tests
    )


def _is_array(array: Any) -> bool:
    if isinstance(array, np.ndarray):
        return array.dtype.kind in "buif" and array.ndim > 0
    return isinstance(array, tf.Tensor) and (array.dtype.is_floating or array.dtype.is_integer)


def _is_due(epoch: int, frequency: int | Sequence[int]) -> bool:
    return epoch % frequency == 0 if isinstance(frequency, int) else epoch in frequency

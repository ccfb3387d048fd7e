"""The compiled epoch of ``fitgap.fit``: Keras's own train step, for all batches in one function."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary, ref

import keras
import numpy as np
import tensorflow as tf

from fitgap.training.engines.choice import is_fast_in_xla

Logs = dict[str, Any]


@dataclass(frozen=True)
class Program:
    """The functions compiled around a model as it was compiled by Keras at the time."""

    made_for: tuple[Any, ...]
    run_epoch: Callable[[Any, tf.Tensor], Logs]
    evaluate: Callable[[Any], Logs]


_programs: WeakKeyDictionary[keras.Model, dict[tuple[int, int], Program]] = WeakKeyDictionary()


def program_of(
    model: keras.Model, *, batch_size: int, evaluation_size: int, make_for: Any = None
) -> Program:
    """Return the compiled functions of a model; those of an earlier call if nothing has changed.

    Parameters
    ----------
    model
        Compiled.
    batch_size
        Of training.
    evaluation_size
        Batch size of the evaluation.
    make_for
        Training data; their shapes decide the variables that the model still lacks. None if it
        lacks none.
    """
    known = _programs.setdefault(model, {})
    program = known.get((batch_size, evaluation_size))
    if program is None or not _same(program.made_for, _compiled_state(model)):
        if make_for is not None:
            _make_variables(model, make_for)
        run_epoch, evaluate = _compile(ref(model), batch_size, evaluation_size)
        program = Program(_compiled_state(model), run_epoch, evaluate)
        known[batch_size, evaluation_size] = program
    return program


def _compiled_state(model: keras.Model) -> tuple[Any, ...]:
    """Return what a traced step depends on: ``compile`` makes new metrics, and what is frozen."""
    return (model.optimizer, *model.metrics, *(v.trainable for v in model.variables))


def _same(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))


def _make_variables(model: keras.Model, data: Any) -> None:
    """Have Keras make what is missing of weights, metrics and optimizer: a loop's body cannot.

    A step is traced for that and not executed, so that nothing changes.
    """
    specification = keras.tree.map_structure(
        lambda tensor: tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype), data
    )
    tf.function(model.train_step, autograph=False).get_concrete_function(specification)


def _compile(
    model_of: "ref[keras.Model]", batch_size: int, evaluation_size: int
) -> tuple[Callable[[Any, tf.Tensor], Logs], Callable[[Any], Logs]]:
    model = _alive(model_of)
    # What the call of a subclassed model does besides its layers' work, nobody can see.
    is_layers_alone = isinstance(model, keras.Sequential) or type(model).__name__ == "Functional"
    xla = bool(model.jit_compile) and is_layers_alone and is_fast_in_xla(model)

    def run_epoch(data: Any, order: tf.Tensor) -> Logs:
        model = _alive(model_of)

        def step(start: tf.Tensor, size: int | tf.Tensor) -> Logs:
            rows = tf.slice(order, [start], [size])
            batch = keras.tree.map_structure(lambda tensor: tf.gather(tensor, rows), data)
            return dict(model.train_step(batch))

        last = _take_steps(
            step,
            count=order.shape[0],
            size=batch_size,
            sizes_are_known=xla,
            last_apart=_has_own_step(model, "train_step"),
        )
        return dict(model.get_metrics_result()) if last is None else last

    def evaluate(data: Any) -> Logs:
        model = _alive(model_of)

        def step(start: tf.Tensor, size: int | tf.Tensor) -> Logs:
            def rows(tensor: tf.Tensor) -> tf.Tensor:
                rank = len(tensor.shape)
                first = [start, *[0] * (rank - 1)]
                return tf.slice(tensor, first, [size, *[-1] * (rank - 1)])

            return dict(model.test_step(keras.tree.map_structure(rows, data)))

        last = _take_steps(
            step,
            count=keras.tree.flatten(data)[0].shape[0],
            size=evaluation_size,
            sizes_are_known=False,
            last_apart=_has_own_step(model, "test_step"),
        )
        return dict(model.get_metrics_result()) if last is None else last

    # TensorFlow counts how often a function is traced by its code, which all models have in common,
    # and would warn of the fifth one; a partial has none, and is counted for itself.
    return (
        tf.function(functools.partial(run_epoch), jit_compile=xla, autograph=False),
        tf.function(functools.partial(evaluate), autograph=False),
    )


def _take_steps(
    step: Callable[[tf.Tensor, int | tf.Tensor], Logs],
    *,
    count: int,
    size: int,
    sizes_are_known: bool,
    last_apart: bool,
) -> Logs | None:
    """Take a step for every batch, in a loop of the graph.

    Parameters
    ----------
    step
        Takes the first row of a batch and their number.
    count, size
        Of all rows; of the rows of a batch, of which the last may have fewer.
    sizes_are_known
        Whether each step must know its number of rows, as XLA's must. Keras's own steps do not
        know it where the last batch is smaller, and other arithmetic rounds otherwise.
    last_apart
        Whether the last step stands behind the loop, for what it returns.

    Returns
    -------
    dict or None
        What the last step returned, where it stands behind the loop.
    """
    full, rest = divmod(count, size)
    if rest and not sizes_are_known:
        looped = full if last_apart else full + 1

        def of_unknown_size(i: tf.Tensor) -> Logs:
            return step(i * size, tf.minimum(size, count - i * size))

        # The number that comes out of the loop is not known to be constant, else the size were.
        after = _loop(of_unknown_size, looped)
        return of_unknown_size(after) if last_apart else None
    looped = full - 1 if last_apart and not rest else full

    def of_full_size(i: tf.Tensor) -> Logs:
        return step(i * size, size)

    _loop(of_full_size, looped)
    if looped * size == count:
        return None
    return step(tf.constant(looped * size), count - looped * size)


def _loop(step: Callable[[tf.Tensor], Logs], times: int) -> tf.Tensor:
    """Take numbered steps in a loop of the graph, and return the number of the next."""

    def body(i: tf.Tensor) -> list[tf.Tensor]:
        step(i)
        return [i + 1]

    [after] = tf.while_loop(lambda i: i < times, body, [tf.constant(0)])
    return after


def _alive(model_of: "ref[keras.Model]") -> keras.Model:
    model = model_of()
    assert model is not None
    return model


def _has_own_step(model: keras.Model, name: str) -> bool:
    return getattr(type(model), name) is not getattr(keras.Model, name)


def epoch_logs(model: keras.Model, last_step: Logs) -> Logs:
    """Return an epoch's logs as Keras does: the metrics' results, or those of a step of one's own.

    Parameters
    ----------
    model
        Just trained for an epoch.
    last_step
        What the last step returned; the result, if its names differ from those of the metrics.

    Returns
    -------
    dict
        Numbers by name.
    """
    results = model.get_metrics_result()
    found = results if results.keys() == last_step.keys() else last_step
    return {name: np.asarray(value).tolist() for name, value in found.items()}

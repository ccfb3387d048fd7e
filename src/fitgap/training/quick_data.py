"""The data of ``fitgap.fit``: its arrays checked, split, weighted and turned into tensors."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fitgap.errors import RequestError


def parts(
    train: tuple[Any, ...],
    validation: tuple[Any, ...],
    *,
    validation_split: float,
    class_weight: Mapping[int, float] | None,
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return inputs, targets and weights to train and to validate on.

    Parameters
    ----------
    train
        ``x``, ``y`` and ``sample_weight`` of `fitgap.fit`.
    validation
        Its ``validation_data``; () if there is none.
    validation_split
        The share of the last rows that is split off if there is no ``validation``; 0 for none.
    class_weight
        By class number; None if all weigh the same.

    Returns
    -------
    train, validation
        ``validation`` is () if there is nothing to validate on.

    Raises
    ------
    RequestError
        If lengths differ, a part would be empty, or an argument does not fit the others.
    """
    require_equal_lengths("x, y, sample_weight", train)
    if validation_split and not validation:
        train, validation = _split_off(train, validation_split)
    require_equal_lengths("validation_data", validation)
    if class_weight is None:
        return train, validation
    x, y, weights = train
    if weights is not None:
        raise RequestError("fitgap.fit takes class_weight or sample_weight, not both")
    return (x, y, _weights_of_classes(y, class_weight)), validation


def require_equal_lengths(name: str, arrays: Any) -> None:
    """Raise a `RequestError` unless arrays have equally many rows, at least one.

    Parameters
    ----------
    name
        Of the arguments that have them, for the message.
    arrays
        In any nesting; None counts as no array.
    """
    lengths = [int(a.shape[0]) for a in keras.tree.flatten(arrays) if a is not None]
    if 0 in lengths:
        raise RequestError(f"{name} must have rows, got none")
    if len(set(lengths)) > 1:
        raise RequestError(
            f"{name} must have the same number of rows, got {', '.join(map(str, lengths))}"
        )


def _split_off(arrays: tuple[Any, ...], share: float) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Part the last share of the rows from the others, as Keras does before it shuffles."""
    if not 0 < share < 1:
        raise RequestError(f"validation_split must be between 0 and 1, got {share}")
    first = math.floor(num_rows(arrays) * (1 - share))
    if first in (0, num_rows(arrays)):
        raise RequestError(
            f"validation_split={share} leaves one of the two parts of {num_rows(arrays)} rows empty"
        )

    def part(rows: slice) -> tuple[Any, ...]:
        return tuple(
            keras.tree.map_structure(lambda a: None if a is None else a[rows], each)
            for each in arrays
        )

    return part(slice(None, first)), part(slice(first, None))


def _weights_of_classes(y: Any, class_weight: Mapping[int, float]) -> Any:
    """Return the weight of each row: that of its class, 1 for classes that are not named."""
    if keras.tree.is_nested(y):
        raise RequestError("class_weight is for models with one output")
    labels = np.asarray(y)
    if labels.ndim > 1:
        labels = labels.argmax(axis=-1) if labels.shape[-1] != 1 else labels[..., 0]
    classes, of_row = np.unique(np.round(labels).astype(np.int64), return_inverse=True)
    weights = np.array([class_weight.get(int(number), 1.0) for number in classes])
    return weights[of_row].astype(np.float32)


def tensors(arrays: tuple[Any, ...]) -> Any:
    """Return inputs, targets and weights as a step takes them: tensors, floats of Keras's type."""

    def tensor(array: Any) -> tf.Tensor:
        is_float = tf.as_dtype(array.dtype).is_floating
        return tf.convert_to_tensor(array, keras.config.floatx() if is_float else None)

    x, y, weights = (*arrays, None, None)[:3]
    packed = keras.utils.pack_x_y_sample_weight(x, y, weights)
    packed = packed if isinstance(packed, tuple) else (packed,)
    return tuple(_map_arrays(tensor, each) for each in packed)


def _map_arrays(function: Callable[[Any], Any], structure: Any) -> Any:
    mapped = keras.tree.map_structure(lambda a: None if a is None else function(a), structure)
    return keras.tree.lists_to_tuples(mapped) if isinstance(mapped, list) else mapped


def orders(count: int, *, shuffle: bool) -> Callable[[], tf.Tensor]:
    """Return a function that returns the order of the next epoch's rows.

    Keras draws it in a ``tf.data`` pipeline with TensorFlow's global seed. The same draw in a
    pipeline of the same form gives the same order: under one seed, that of every epoch.

    Parameters
    ----------
    count
        Number of rows.
    shuffle
        False: the rows as they are.

    Returns
    -------
    callable
        Returns int64 of shape (count,).
    """
    if not shuffle:
        order = tf.range(count, dtype=tf.int64)
        return lambda: order

    def permutation(_: tf.Tensor) -> tf.Tensor:
        return tf.random.shuffle(tf.range(count, dtype=tf.int64))

    drawn = tf.data.Dataset.range(1).map(permutation)
    return lambda: next(iter(drawn))


def num_rows(arrays: Any) -> int:
    """Return the number of rows of arrays in any nesting."""
    return int(next(a for a in keras.tree.flatten(arrays) if a is not None).shape[0])

"""Data that the user's function returns: arrays, or batches or samples that come to an end.

The function is called each time that the data are needed; its values decide what a run is, as
those of a file do. Its own code counts besides.
"""

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitgap.config import targets
from fitgap.config.schema import PARTS, FunctionConfig
from fitgap.data import array_values, arrays
from fitgap.data.parts import Parts, SplitColumns
from fitgap.errors import RequestError

MOST_BYTES = 16 * 2**30  # of what is yielded: more is taken for a stream without an end
_FORMS = (
    "must return (x, y), (x, y, x_test, y_test), ((x, y), (x_test, y_test)), a mapping of names to "
    "arrays, or what yields pairs of x and y: for the training part, or (train, test) of them"
)

Arrays = dict[str, NDArray[Any]]


def files(config: FunctionConfig) -> list[Path]:
    """Return no file: what the function reads is not known."""
    del config
    return []


def read(
    config: FunctionConfig, *, memory_limit: int | None, key: str, columns: SplitColumns
) -> Parts:
    """Call the function and make the parts from what it returns.

    Parameters
    ----------
    config
        ``function``, ``keys`` and ``layout``.
    memory_limit
        Not used: what a function returns is in memory.
    key, columns
        See `fitgap.data.arrays.to_parts`.

    Raises
    ------
    RequestError
        If there is no such function, it fails, or returns something else.
    """
    del memory_limit  # it is all in memory by now
    target = str(config.function["_target_"])
    settings = {name: value for name, value in config.function.items() if name != "_target_"}
    function = targets.locate(target)
    if not callable(function):
        raise RequestError(f"dataset.function: {target} must be a function")
    try:
        found = _arrays_of(function(**settings))
        stored = {name: array_values.stored(array) for name, array in found.items()}
        return arrays.to_parts(stored, config, memory_limit=None, key=key, columns=columns)
    except RequestError as error:
        raise RequestError(f"dataset.function={target}: {error}") from error
    except Exception as error:  # a person's function runs, which may raise anything
        described = targets.describe_failure(error)
        raise RequestError(f"dataset.function={target} failed: {described}") from error


def _arrays_of(returned: Any) -> Arrays:
    if isinstance(returned, Mapping):
        return {str(name): np.asarray(value) for name, value in returned.items()}
    if _is_stream(returned):
        return _pair("train", returned)
    if not isinstance(returned, tuple | list) or len(returned) not in (2, 3, 4):
        raise RequestError(f"it {_FORMS}; got {type(returned).__name__}")
    if all(_is_stream(each) or _is_pair(each) for each in returned) and len(returned) < 4:
        names = ("train", "test") if len(returned) == 2 else PARTS
        parts = [_pair(name, each) for name, each in zip(names, returned, strict=True)]
        return {name: array for part in parts for name, array in part.items()}
    if len(returned) == 3:
        raise RequestError(f"it {_FORMS}; got three values")
    roles = ("x_train", "y_train", "x_test", "y_test")
    return {name: np.asarray(value) for name, value in zip(roles, returned, strict=False)}


def _is_pair(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2


def _is_stream(value: Any) -> bool:
    """Tell a ``tf.data.Dataset`` or a generator from an array."""
    return hasattr(value, "element_spec") or hasattr(value, "__next__")


def _pair(part: str, value: Any) -> Arrays:
    x, y = _collected(value) if _is_stream(value) else map(np.asarray, value)
    return {f"x_{part}": x, f"y_{part}": y}


def _collected(stream: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return all that is yielded: batches joined, or samples stacked.

    They are batches where x and y are of the same length.
    """
    pairs = _checked(stream)
    first = next(pairs, None)
    if first is None:
        raise RequestError("it yields nothing")
    are_batches = first[0].ndim > 0 and first[1].ndim > 0 and len(first[0]) == len(first[1])
    inputs, targets, size = [], [], 0
    for x, y in itertools.chain([first], pairs):
        inputs.append(x)
        targets.append(y)
        size += x.nbytes + y.nbytes
        if size > MOST_BYTES:
            raise RequestError(f"it yields more than {MOST_BYTES / 2**30:g} GiB; it must end")
    join = np.concatenate if are_batches else np.stack
    return join(inputs), join(targets)


def _checked(stream: Any) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    cardinality = getattr(stream, "cardinality", None)
    if cardinality is not None and int(cardinality()) == -1:  # tf.data.INFINITE_CARDINALITY
        raise RequestError("it never stops yielding; leave out repeat()")
    for each in stream:
        if not isinstance(each, tuple | list) or len(each) != 2:
            raise RequestError(f"it must yield pairs of x and y, got {type(each).__name__}")
        yield np.asarray(each[0]), np.asarray(each[1])

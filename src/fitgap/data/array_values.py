"""What the values of arrays are, by their type, shape and range, and what is done to them.

Bytes in the shape of images stay as they are, for a network whose first layer divides them by
255; all other numbers become float32, for a network whose first layer normalises them.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitgap.config.schema import ArraysConfig
from fitgap.data import disk_arrays
from fitgap.data.disk_arrays import Images
from fitgap.errors import RequestError


@dataclass(frozen=True)
class Stored:
    """An array that has been found, and is read when it is needed.

    Attributes
    ----------
    shape, dtype
        As stored.
    blocks
        Called, gives the rows in order, some at a time.
    is_streamable
        Whether ``blocks`` needs no more memory than its rows.
    mapped
        The array in its file, which all processes share, where nobody changes that file.
    """

    shape: tuple[int, ...]
    dtype: "np.dtype[Any]"
    blocks: Callable[[], Iterator[NDArray[Any]]]
    is_streamable: bool = True
    mapped: NDArray[Any] | None = None


def stored(array: NDArray[Any], *, stays: bool = False) -> Stored:
    """Return an array in memory, or one that NumPy maps from a file, as found.

    Parameters
    ----------
    array
        With its rows along the first axis.
    stays
        Whether it is mapped from a file that nobody changes.
    """
    return Stored(
        array.shape,
        array.dtype,
        lambda: disk_arrays.blocks(array),
        mapped=array if stays and array.flags.c_contiguous else None,
    )


def refuse_objects(name: str, array: Stored) -> None:
    """Raise a `RequestError` if an array holds Python objects.

    Parameters
    ----------
    name
        Of the array, for the message.
    array
        As found in a file.
    """
    if array.dtype.hasobject:
        raise RequestError(
            f"{name} holds Python objects, which are never loaded; save {name}.astype(str) or "
            f"{name}.astype(float) in its place"
        )


def check_form(name: str, array: Stored, config: ArraysConfig) -> None:
    """Raise a `RequestError` if an array cannot be inputs, because of its type or shape.

    Parameters
    ----------
    name
        Of the array, for the message.
    array
        As found in a file.
    config
        Of the dataset; ``layout`` is used.
    """
    refuse_objects(name, array)
    shape = array.shape
    if array.dtype.kind not in "uifb":
        is_text = array.dtype.kind in "US"
        way_out = "; columns of text are read from a table (dataset=table)" if is_text else ""
        raise RequestError(f"{name} must hold numbers, got {array.dtype}{way_out}")
    if len(shape) not in (1, 2, 3, 4) or 0 in shape[1:]:
        raise RequestError(
            f"{name} must be of shape (n, height, width), (n, height, width, channels), "
            f"(n, features) or (n, steps, channels), got {shape}"
        )
    if config.layout == "sequences" and len(shape) != 3:
        raise RequestError(
            f"dataset.layout=sequences needs {name} of shape (n, steps, channels), got {shape}"
        )
    if config.layout == "tokens" and len(shape) != 2:
        raise RequestError(f"dataset.layout=tokens needs {name} of shape (n, length), got {shape}")
    if len(shape) != 4:
        return
    first = config.layout == "channels_first"
    if shape[1 if first else 3] not in (1, 2, 3, 4):
        hint = ""
        if not first and config.layout is None and shape[1] in (1, 3, 4):
            hint = "; channels in its second axis are read with dataset.layout=channels_first"
        axis = "second" if first else "last"
        raise RequestError(
            f"{name} must have its 1, 3 or 4 channels in its {axis} axis, got shape {shape}{hint}"
        )


@dataclass(frozen=True)
class Form:
    """What is done to the values of all inputs.

    ``scale`` multiplies them before they become bytes.
    """

    dtype: "np.dtype[Any]"
    scale: float = 1.0
    channels_first: bool = False
    notes: tuple[str, ...] = ()

    def shape(self, stored_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the values once `apply` has seen them."""
        if len(stored_shape) == 1:
            return (*stored_shape, 1)
        if self.channels_first and len(stored_shape) == 4:
            n, channels, height, width = stored_shape
            return (n, height, width, channels)
        return stored_shape

    def is_as_stored(self, array: Stored) -> bool:
        """Tell whether the values stay as they are."""
        return (array.dtype, array.shape) == (self.dtype, self.shape(array.shape))

    def apply(self, block: NDArray[Any]) -> NDArray[Any]:
        """Return some rows as a network gets them."""
        if self.channels_first and block.ndim == 4:
            block = np.moveaxis(block, 1, 3)
        if self.dtype == np.uint8:
            if block.dtype != np.uint8:
                block = np.rint(block.astype(np.float64) * self.scale).astype(np.uint8)
        else:
            with np.errstate(over="ignore"):
                block = block.astype(self.dtype)
        return np.ascontiguousarray(block[:, None] if block.ndim == 1 else block)


def form_of(inputs: Mapping[str, Stored], config: ArraysConfig, roles: Mapping[str, str]) -> Form:
    """Decide from the inputs of all parts together how their values are read.

    Parameters
    ----------
    inputs
        By part: ``train``, and ``val`` and ``test`` if there are any.
    config
        Of the dataset; ``layout`` is used.
    roles
        The name of the array that is ``x_train``, and so on, for messages.
    """
    float32 = Form(np.dtype(np.float32), channels_first=config.layout == "channels_first")
    uint8 = replace(float32, dtype=np.dtype(np.uint8))
    rank = len(next(iter(inputs.values())).shape)
    is_image = rank in (3, 4) and config.layout != "sequences"
    if is_image and all(each.dtype == np.uint8 for each in inputs.values()):
        return uint8
    facts = [_range_of(roles[f"x_{part}"], each) for part, each in inputs.items()]
    if not is_image:
        return _tokens(float32, facts) if config.layout == "tokens" else float32
    lowest = min(fact.lowest for fact in facts)
    highest = max(fact.highest for fact in facts)
    whole = all(fact.is_whole for fact in facts)
    shown = f"x_train: {inputs['train'].dtype} images from {lowest:g} to {highest:g}"
    form, done = float32, "normalised"
    if lowest >= 0 and whole and 1 < highest <= 255:
        form, done = uint8, "taken as bytes"
    elif lowest >= 0 and highest <= 1 and all(fact.are_bytes for fact in facts):
        form, done = replace(uint8, scale=255.0), "taken as bytes divided by 255"
    return replace(form, notes=(f"{shown}: {done}{_way_to_sequences(inputs['train'].shape)}",))


def _way_to_sequences(shape: tuple[int, ...]) -> str:
    """Say how else an array is read that could as well be sequences: images are mostly square."""
    if len(shape) != 3 or shape[1] == shape[2]:
        return ""
    return (
        f"; if these are not images but sequences of {shape[1]} steps, with {shape[2]} numbers "
        "each, choose dataset.layout=sequences"
    )


def _tokens(form: Form, facts: Sequence["_Range"]) -> Form:
    lowest = min(fact.lowest for fact in facts)
    highest = max(fact.highest for fact in facts)
    if not all(fact.is_whole for fact in facts) or not 0 <= lowest <= highest < 2**24:
        raise RequestError(
            "dataset.layout=tokens needs whole numbers from 0 to 16777215, got values from "
            f"{lowest:g} to {highest:g}"
        )
    return replace(form, dtype=np.dtype(np.int32))


@dataclass(frozen=True)
class _Range:
    lowest: float
    highest: float
    is_whole: bool
    are_bytes: bool  # as multiples of 1/255


def _range_of(name: str, array: Stored) -> _Range:
    lowest, highest, is_whole, are_bytes, first = np.inf, -np.inf, True, True, 0
    for block in array.blocks():
        with np.errstate(over="ignore"):
            values = block.astype(np.float32)
        finite = np.isfinite(values)
        if not finite.all():
            position = tuple(int(i) for i in np.argwhere(~finite)[0])
            where = ", ".join(map(str, (first + position[0], *position[1:])))
            wrong = block[position].item()
            way_out = " (float32 ends at 3.4e38)" if np.isfinite(wrong) else ""
            if np.isnan(wrong) and block.ndim == 2:
                way_out = "; fill missing values, or save a table: dataset=table fills them"
            raise RequestError(
                f"{name} must hold finite numbers: {name}[{where}] is {wrong}{way_out}"
            )
        if block.size:
            lowest, highest = min(lowest, values.min()), max(highest, values.max())
            is_whole = is_whole and bool((values == np.rint(values)).all())
            as_bytes = values * np.float32(255)
            are_bytes = are_bytes and bool((np.abs(as_bytes - np.rint(as_bytes)) < 1e-3).all())
        first += len(block)
    return _Range(float(lowest), float(highest), is_whole, are_bytes)


def loaded(array: Stored, form: Form) -> Images:
    """Return the values of an array in memory, or mapped from its file if they are used unchanged.

    Parameters
    ----------
    array
        As found in a file.
    form
        How the values are read.
    """
    if array.mapped is not None and form.is_as_stored(array):
        return disk_arrays.DiskRows(array.mapped)
    x = np.empty(form.shape(array.shape), form.dtype)
    first = 0
    for block in array.blocks():
        x[first : first + len(block)] = form.apply(block)
        first += len(block)
    return x


def streamed(array: Stored, form: Form, *, name: str, key: str) -> Images:
    """Return the values of an array from a file of the cache, which is written if it is missing.

    Parameters
    ----------
    array
        As found in a file.
    form
        How the values are read.
    name
        Of the array, for the message.
    key
        Stands for the content of the file that has the array.

    Raises
    ------
    RequestError
        If the array is stored column by column.
    """
    if not array.is_streamable:
        raise RequestError(
            f"{name} is stored column by column and too large for training.memory_limit_mb; "
            "save np.ascontiguousarray of it"
        )
    digest = hashlib.sha256(f"{key} {form}".encode()).hexdigest()
    path = disk_arrays.cache_file(f"{digest}.npy")
    if not path.is_file():
        rows = (form.apply(block) for block in array.blocks())
        disk_arrays.write(path, rows, shape=form.shape(array.shape), dtype=form.dtype)
    return disk_arrays.read(path, into_memory=False)

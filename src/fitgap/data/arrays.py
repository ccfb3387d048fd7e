"""From named arrays, whatever file they stand in, to the parts of a dataset.

Which array is which follows from its name (`role_of`) or from ``dataset.keys``. What its values
are follows from their type, shape and range, and is said: bytes in the shape of images stay as
they are, for a network whose first layer divides them by 255; all other numbers become float32,
for a network whose first layer normalises them.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitgap.config.checks import did_you_mean
from fitgap.config.schema import ArraysConfig
from fitgap.data import disk_arrays
from fitgap.data.disk_arrays import Images
from fitgap.data.labels import Part, Parts, RawLabels, SplitColumns
from fitgap.data.times import as_times
from fitgap.errors import RequestError

PARTS = ("train", "val", "test")
ROLES = tuple(f"{kind}_{part}" for part in PARTS for kind in ("x", "y"))
_PART_WORDS = {
    "train": ("train", "training", "tr"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "te"),
}
_KIND_WORDS = {
    "x": ("x", "xs", "image", "images", "img", "imgs", "data", "feature", "features", "input",
          "inputs", "pixels", "samples"),
    "y": ("y", "ys", "label", "labels", "target", "targets", "class", "classes", "output",
          "outputs"),
}  # fmt: skip
# Xtrain, ytest
_WRITTEN_TOGETHER = re.compile(
    rf"^([xy])(?=(?:{'|'.join(word for words in _PART_WORDS.values() for word in words)})$)"
)


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


def role_of(name: str) -> str | None:
    """Return what an array is by its name, if it is a common one.

    >>> [role_of(name) for name in ("X", "train_labels", "y_val", "testImages", "Xtr", "ids")]
    ['x_train', 'y_train', 'y_val', 'x_test', 'x_train', None]
    """
    words = re.findall(r"[A-Za-z][a-z]*|[A-Z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name))
    words = [
        piece for word in words for piece in _WRITTEN_TOGETHER.sub(r"\1 ", word.lower()).split()
    ]
    kinds = [kind for kind, known in _KIND_WORDS.items() if words and set(words) & set(known)]
    parts = [part for part, known in _PART_WORDS.items() if set(words) & set(known)]
    known = {w for group in (_KIND_WORDS, _PART_WORDS) for all_of in group.values() for w in all_of}
    if set(words) - known or len(kinds) != 1 or len(parts) > 1:
        return None
    return f"{kinds[0]}_{parts[0] if parts else 'train'}"


def find_roles(names: Sequence[str], keys: Mapping[str, str] | None) -> dict[str, str]:
    """Return the name of the array in each role.

    Parameters
    ----------
    names
        Of all arrays of a file.
    keys
        ``dataset.keys``: the names of some, or all, by role; None: by their names alone.

    Raises
    ------
    RequestError
        If x_train or y_train is not found, one of a pair is missing, or two names fit one role.
    """
    roles = dict(keys or {})
    for asked, name in roles.items():
        if name not in names:
            raise RequestError(
                f"dataset.keys.{asked}={name}: the file has {listed(names)}"
                f"{did_you_mean(name, names)}"
            )
    for name in names:
        role = role_of(name)
        if role is None or name in roles.values() or (keys and role in keys):
            continue
        if role in roles:
            raise RequestError(
                f"{roles[role]} and {name} could both be {role}; say which with "
                f"'dataset.keys={{{role}: {name}}}'"
            )
        roles[role] = name
    needed = {"x_train", "y_train"} | {
        f"{kind}_{part}"
        for part in PARTS
        for kind in "xy"
        if f"x_{part}" in roles or f"y_{part}" in roles
    }
    missing = [role for role in ROLES if role in needed and role not in roles]
    if missing:
        raise RequestError(
            f"{missing[0]} is missing: the file has {listed(names)}; name the "
            f"array with 'dataset.keys={{{missing[0]}: NAME}}'"
        )
    return roles


def listed(names: Iterable[str]) -> str:
    """Return the names of arrays as a message shows them: some, and none at length.

    >>> listed(["X", "y" * 50]), listed([])
    ('X, yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy…', 'no array')
    """
    names = list(names)
    shown = [name if len(name) <= 40 else f"{name[:39]}…" for name in names[:10]]
    return ", ".join([*shown, *(["..."] if len(names) > 10 else [])]) or "no array"


def to_parts(
    found: Mapping[str, Stored],
    config: ArraysConfig,
    *,
    memory_limit: int | None,
    key: str,
    columns: SplitColumns,
) -> Parts:
    """Make a dataset's parts of named arrays.

    Parameters
    ----------
    found
        By name.
    config
        ``keys`` and ``layout`` are used.
    memory_limit
        In bytes, for all inputs together, which stay on disk if they exceed it; None: no limit.
    key
        Of the file's contents, for a name in the cache.
    columns
        Arrays of groups and of times; they are those of the training part, ``NAME_val`` and
        ``NAME_test`` of the others.

    Raises
    ------
    RequestError
        If an array is missing, of objects, of a wrong shape, or a value is not finite.
    """
    roles = find_roles(list(found), config.keys)
    notes = _unused(found, roles, columns)
    inputs = {part: found[roles[f"x_{part}"]] for part in PARTS if f"x_{part}" in roles}
    for part, each in inputs.items():
        _check_form(roles[f"x_{part}"], each, config)
    form = _form_of(inputs, config, roles)
    notes += form.notes
    size = sum(int(np.prod(each.shape)) * form.dtype.itemsize for each in inputs.values())
    streams = memory_limit is not None and size > memory_limit
    if streams and "val" in inputs:
        raise RequestError(
            "arrays with a validation part are read into memory, but exceed "
            "training.memory_limit_mb; raise it"
        )
    parts: dict[str, Part] = {}
    for part, each in inputs.items():
        name = roles[f"x_{part}"]
        read = _streamed if streams else _loaded
        x = read(each, form, name=name, key=f"{key} {name}")
        labels_name = roles[f"y_{part}"]
        labels = _all_of(labels_name, found[labels_name])
        if labels.ndim == 2 and labels.shape[0] == 1 and len(x) > 1:
            labels = labels[0]  # a row, as MATLAB writes it
        groups, order = (
            _column(found, column, setting, part=part, count=len(x))
            for setting, column in (("group", columns.group), ("order", columns.order))
        )
        parts[part] = Part(x, labels, labels_name, groups=groups, order=order)
    train = parts["train"]
    if "val" in parts:
        train = _joined(train, parts["val"])
    return Parts(train, parts.get("test"), notes)


def _unused(
    found: Mapping[str, Stored], roles: Mapping[str, str], columns: SplitColumns
) -> tuple[str, ...]:
    used = {*roles.values()}
    used |= {f"{c}{s}" for c in (columns.group, columns.order) for s in ("", "_val", "_test") if c}
    unused = [name for name in found if name not in used]
    if not unused:
        return ()
    return (f"not used: the arrays {listed(unused)} (dataset.keys names those that are)",)


def _column(
    found: Mapping[str, Stored], column: str | None, setting: str, *, part: str, count: int
) -> RawLabels | None:
    if column is None:
        return None
    if column not in found:
        raise RequestError(
            f"split.{setting}={column} is no array of the file, which has {listed(found)}"
            f"{did_you_mean(column, found)}"
        )
    name = column if part == "train" else f"{column}_{part}"
    if name not in found:
        return None
    values = _all_of(name, found[name]).reshape(-1)
    if len(values) != count:
        raise RequestError(f"split.{setting}={name} has {len(values)} values for {count} samples")
    return values.astype(np.str_) if setting == "group" else as_times(name, values)


def _joined(train: Part, val: Part) -> Part:
    """Return one part of the training images and, after them, those of the validation part."""
    if train.x.shape[1:] != val.x.shape[1:]:
        raise RequestError(
            f"x_val of shape {val.x.shape} does not fit x_train of shape {train.x.shape}"
        )
    if train.labels.shape[1:] != val.labels.shape[1:]:
        raise RequestError(
            f"y_val of shape {val.labels.shape} does not fit y_train of {train.labels.shape}"
        )
    columns = [
        None if first is None or second is None else np.concatenate([first, second])
        for first, second in ((train.groups, val.groups), (train.order, val.order))
    ]
    return replace(
        train,
        x=np.concatenate([np.asarray(train.x), np.asarray(val.x)]),
        labels=np.concatenate([train.labels, val.labels]),
        is_val=np.arange(len(train.x) + len(val.x)) >= len(train.x),
        groups=columns[0],
        order=columns[1],
    )


def _all_of(name: str, each: Stored) -> RawLabels:
    _refuse_objects(name, each)
    if not each.shape:
        raise RequestError(f"{name} is a single value; there must be one for each sample")
    blocks = list(each.blocks())
    return np.concatenate(blocks) if blocks else np.empty(each.shape, each.dtype)


def _refuse_objects(name: str, each: Stored) -> None:
    if each.dtype.hasobject:
        raise RequestError(
            f"{name} holds Python objects, which are never loaded; save {name}.astype(str) or "
            f"{name}.astype(float) in its place"
        )


def _check_form(name: str, each: Stored, config: ArraysConfig) -> None:
    _refuse_objects(name, each)
    shape = each.shape
    if each.dtype.kind not in "uifb":
        raise RequestError(f"{name} must hold numbers, got {each.dtype}")
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
class _Form:
    """What is done to the values of all inputs.

    ``scale`` multiplies them before they become bytes.
    """

    dtype: "np.dtype[Any]"
    scale: float = 1.0
    channels_first: bool = False
    notes: tuple[str, ...] = ()

    def shape(self, stored_shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(stored_shape) == 1:
            return (*stored_shape, 1)
        if self.channels_first and len(stored_shape) == 4:
            n, channels, height, width = stored_shape
            return (n, height, width, channels)
        return stored_shape

    def is_as_stored(self, each: Stored) -> bool:
        """Tell whether the values stay as they are."""
        return (each.dtype, each.shape) == (self.dtype, self.shape(each.shape))

    def apply(self, block: NDArray[Any]) -> NDArray[Any]:
        if self.channels_first and block.ndim == 4:
            block = np.moveaxis(block, 1, 3)
        if self.dtype == np.uint8:
            if block.dtype != np.uint8:
                block = np.rint(block.astype(np.float64) * self.scale).astype(np.uint8)
        else:
            with np.errstate(over="ignore"):
                block = block.astype(self.dtype)
        return np.ascontiguousarray(block[:, None] if block.ndim == 1 else block)


def _form_of(inputs: Mapping[str, Stored], config: ArraysConfig, roles: Mapping[str, str]) -> _Form:
    """Find out what the values are, of all parts alike."""
    float32 = _Form(np.dtype(np.float32), channels_first=config.layout == "channels_first")
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
    if lowest < 0:
        return replace(float32, notes=(f"{shown}: normalised",))
    if whole and 1 < highest <= 255:
        return replace(uint8, notes=(f"{shown}: taken as bytes",))
    if highest <= 1 and all(fact.are_bytes for fact in facts):
        said = f"{shown}: taken as bytes divided by 255"
        return replace(uint8, scale=255.0, notes=(said,))
    return replace(float32, notes=(f"{shown}: normalised",))


def _tokens(form: _Form, facts: Sequence["_Range"]) -> _Form:
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


def _range_of(name: str, each: Stored) -> _Range:
    lowest, highest, is_whole, are_bytes, first = np.inf, -np.inf, True, True, 0
    for block in each.blocks():
        with np.errstate(over="ignore"):
            values = block.astype(np.float32)
        finite = np.isfinite(values)
        if not finite.all():
            position = tuple(int(i) for i in np.argwhere(~finite)[0])
            where = ", ".join(map(str, (first + position[0], *position[1:])))
            wrong = block[position].item()
            limit = " (float32 ends at 3.4e38)" if np.isfinite(wrong) else ""
            raise RequestError(
                f"{name} must hold finite numbers: {name}[{where}] is {wrong}{limit}"
            )
        if block.size:
            lowest, highest = min(lowest, values.min()), max(highest, values.max())
            is_whole = is_whole and bool((values == np.rint(values)).all())
            as_bytes = values * np.float32(255)
            are_bytes = are_bytes and bool((np.abs(as_bytes - np.rint(as_bytes)) < 1e-3).all())
        first += len(block)
    return _Range(float(lowest), float(highest), is_whole, are_bytes)


def _loaded(each: Stored, form: _Form, *, name: str, key: str) -> Images:
    del name, key
    if each.mapped is not None and form.is_as_stored(each):
        return disk_arrays.DiskRows(each.mapped)
    x = np.empty(form.shape(each.shape), form.dtype)
    first = 0
    for block in each.blocks():
        x[first : first + len(block)] = form.apply(block)
        first += len(block)
    return x


def _streamed(each: Stored, form: _Form, *, name: str, key: str) -> Images:
    if not each.is_streamable:
        raise RequestError(
            f"{name} is stored column by column and too large for training.memory_limit_mb; "
            "save np.ascontiguousarray of it"
        )
    digest = hashlib.sha256(f"{key} {form}".encode()).hexdigest()
    path = disk_arrays.cache_file(f"{digest}.npy")
    if not path.is_file():
        rows = (form.apply(block) for block in each.blocks())
        disk_arrays.write(path, rows, shape=form.shape(each.shape), dtype=form.dtype)
    return disk_arrays.read(path, into_memory=False)

"""From named arrays, whatever file contains them, to the parts of a dataset.

Which array is which is found out by `fitgap.data.array_roles`, what their values are by
`fitgap.data.array_values`.
"""

from collections.abc import Mapping

import numpy as np

from fitgap.config.checks import did_you_mean
from fitgap.config.schema import PARTS, ArraysConfig
from fitgap.data import array_values
from fitgap.data.array_roles import find_roles, listed
from fitgap.data.array_values import Stored
from fitgap.data.parts import Part, Parts, RawLabels, SplitColumns
from fitgap.data.times import as_times
from fitgap.errors import RequestError
from fitgap.unicode_text import is_no_unicode


def to_parts(
    found: Mapping[str, Stored],
    config: ArraysConfig,
    *,
    memory_limit: int | None,
    key: str,
    columns: SplitColumns,
) -> Parts:
    """Make a dataset's parts from named arrays.

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
        array_values.check_form(roles[f"x_{part}"], each, config)
    form = array_values.form_of(inputs, config, roles)
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
        x = (
            array_values.streamed(each, form, name=name, key=f"{key} {name}")
            if streams
            else array_values.loaded(each, form)
        )
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
            f"split.{setting}={column} is not an array of the file, which has {listed(found)}"
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
    return train.followed_by(val)


def _all_of(name: str, each: Stored) -> RawLabels:
    array_values.refuse_objects(name, each)
    if not each.shape:
        raise RequestError(f"{name} is a single value; there must be one for each sample")
    blocks = list(each.blocks())
    values = np.concatenate(blocks) if blocks else np.empty(each.shape, each.dtype)
    if values.dtype.kind == "U" and is_no_unicode(values).any():
        raise RequestError(f"{name} holds characters that are no Unicode")
    return values

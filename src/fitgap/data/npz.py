"""Arrays of one's own: ``x_train``, ``y_train`` and perhaps ``x_test``, ``y_test`` in one file.

uint8 values are images (or bytes) for a network whose first layer divides them by 255. Any other
numbers are features: they become float32, for a network whose first layer normalises them.
"""

import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fitgap.config.schema import NpzConfig
from fitgap.data import disk_arrays
from fitgap.data.disk_arrays import Images
from fitgap.data.labels import Part, SplitColumns
from fitgap.errors import RequestError

_NEEDED = ("x_train", "y_train")
_OPTIONAL = ("x_test", "y_test")


def files(config: NpzConfig) -> list[Path]:
    """Return the file, having made sure that it exists."""
    path = Path(config.path).expanduser()
    if not path.is_file():
        raise RequestError(f"dataset.path must be an existing .npz file, got {config.path}")
    return [path]


def read(
    config: NpzConfig, *, memory_limit: int | None, key: str, columns: SplitColumns
) -> tuple[Part, Part | None]:
    """Read training part and test part, onto disk where they exceed the memory limit.

    Parameters
    ----------
    config
        Its path is used.
    memory_limit
        In bytes, for all images together; None: no limit.
    key
        Of the file's contents, for a name in the cache.

    Raises
    ------
    RequestError
        If the file is damaged, an array is missing, unknown, of objects or of a wrong shape, or
        a value is not finite.
    """
    columns.refuse("arrays have no columns")
    [path] = files(config)
    try:
        with zipfile.ZipFile(path) as archive:
            held = {name.removesuffix(".npy") for name in archive.namelist()}
            _check_names(held)
            names = [name for name in (*_NEEDED, *_OPTIONAL) if name in held]
            headers = {name: _header(archive, name) for name in names}
            size = sum(_nbytes(headers[name]) for name in names if name.startswith("x"))
            streams = memory_limit is not None and size > memory_limit
            parts = []
            for part in ("train", "test") if "x_test" in held else ("train",):
                name = f"x_{part}"
                x = (
                    _streamed(archive, name, headers[name], key=f"{key} {name}")
                    if streams
                    else _loaded(archive, name)
                )
                with archive.open(f"y_{part}.npy") as file:
                    labels = np.lib.format.read_array(file, allow_pickle=False)
                parts.append(Part(x, labels, f"y_{part}"))
    except RequestError as error:
        raise RequestError(f"dataset.path={config.path}: {error}") from error
    except zipfile.BadZipFile as error:
        raise RequestError(
            f"dataset.path={config.path} is no .npz file, or a damaged one: {error}"
        ) from error
    except Exception as error:
        # A damaged file can raise nearly anything: zlib.error, EOFError, ValueError.
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise RequestError(f"dataset.path={config.path} cannot be read: {reason}") from error
    return parts[0], parts[1] if len(parts) > 1 else None


def _check_names(held: set[str]) -> None:
    missing = [name for name in _NEEDED if name not in held]
    if len(held & set(_OPTIONAL)) == 1:
        missing += [name for name in _OPTIONAL if name not in held]
    unknown = sorted(held - {*_NEEDED, *_OPTIONAL})
    if missing or unknown:
        wrong = f"{missing[0]} is missing" if missing else f"{unknown[0]} is not known"
        raise RequestError(
            f"the arrays must be x_train, y_train and, if there are any, x_test and y_test; {wrong}"
        )


Header = tuple[tuple[int, ...], bool, "np.dtype[Any]"]


def _header(archive: zipfile.ZipFile, name: str) -> Header:
    with archive.open(f"{name}.npy") as file:
        shape, fortran_order, dtype = _read_header(file)
    if dtype.hasobject:
        raise RequestError(f"{name} holds Python objects, which are not loaded; save numbers")
    if name.startswith("x"):
        _check_form(name, shape, dtype)
    return shape, fortran_order, dtype


def _read_header(file: IO[bytes]) -> Header:
    version = np.lib.format.read_magic(file)
    reads = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in reads:
        raise ValueError(f"version {version} of NumPy's format is not known")
    shape, fortran_order, dtype = reads[version](file)
    return shape, fortran_order, dtype


def _check_form(name: str, shape: tuple[int, ...], dtype: "np.dtype[Any]") -> None:
    if dtype.kind not in "uifb":
        raise RequestError(f"{name} must hold numbers, got {dtype}")
    if len(shape) not in (2, 3, 4) or 0 in shape[1:]:
        raise RequestError(
            f"{name} must be of shape (n, height, width), (n, height, width, channels) or "
            f"(n, features), got {shape}"
        )
    if len(shape) == 4 and shape[3] not in (1, 3, 4):
        raise RequestError(
            f"{name} must have its 1, 3 or 4 channels in its last axis, got shape {shape}"
        )


def _target(dtype: "np.dtype[Any]") -> "np.dtype[Any]":
    return np.dtype(np.uint8) if dtype == np.uint8 else np.dtype(np.float32)


def _nbytes(header: Header) -> int:
    shape, _, dtype = header
    return int(np.prod(shape)) * _target(dtype).itemsize


def _loaded(archive: zipfile.ZipFile, name: str) -> Images:
    with archive.open(f"{name}.npy") as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
    return np.ascontiguousarray(_converted(name, array, first=0))


def _streamed(archive: zipfile.ZipFile, name: str, header: Header, *, key: str) -> Images:
    shape, fortran_order, dtype = header
    if fortran_order:
        raise RequestError(
            f"{name} is stored column by column and too large for training.memory_limit_mb; "
            "save np.ascontiguousarray of it"
        )
    path = disk_arrays.cache_file(f"{hashlib.sha256(key.encode()).hexdigest()}.npy")
    if not path.is_file():
        rows = _stored_rows(archive, name, shape, dtype)
        disk_arrays.write(path, rows, shape=shape, dtype=_target(dtype))
    return disk_arrays.read(path, into_memory=False)


def _stored_rows(
    archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], dtype: "np.dtype[Any]"
) -> Iterator[NDArray[Any]]:
    row_bytes = int(np.prod(shape[1:])) * dtype.itemsize
    rows = max(1, disk_arrays.BLOCK_BYTES // row_bytes)
    with archive.open(f"{name}.npy") as file:
        _read_header(file)
        for first in range(0, shape[0], rows):
            count = min(rows, shape[0] - first)
            content = file.read(count * row_bytes)
            array = np.frombuffer(content, dtype).reshape(count, *shape[1:])
            yield _converted(name, array, first=first)


def _converted(name: str, array: NDArray[Any], *, first: int) -> NDArray[Any]:
    """Return uint8 as it is and other numbers as float32, if they are finite as that."""
    if array.dtype == np.uint8:
        return array
    with np.errstate(over="ignore"):
        values = array.astype(np.float32)
    finite = np.isfinite(values)
    if not finite.all():
        position = tuple(int(i) for i in np.argwhere(~finite)[0])
        where = ", ".join(map(str, (first + position[0], *position[1:])))
        raise RequestError(
            f"{name} must hold finite numbers: {name}[{where}] is {array[position].item()}"
        )
    return values

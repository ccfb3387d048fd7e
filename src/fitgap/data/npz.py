"""The user's arrays: a ``.npz`` file, two ``.npy`` files of inputs and labels, a folder of them.

`fitgap.data.arrays` finds the arrays by their names and prepares their values.
"""

import contextlib
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fitgap.config.schema import NpzConfig
from fitgap.data import array_values, arrays, disk_arrays, zip_bombs
from fitgap.data.array_values import Stored
from fitgap.data.parts import Parts, SplitColumns
from fitgap.errors import RequestError, first_line
from fitgap.trust.text import plain

MOST_WITHOUT_BYTES = 10_000_000  # rows that no bytes of a file stand for


def files(config: NpzConfig) -> list[Path]:
    """Return the file or files, having made sure that they exist."""
    found = []
    for setting, value in (("path", config.path), ("label_path", config.label_path)):
        if value is None:
            continue
        path = Path(value).expanduser()
        if setting == "path" and (of_folder := sorted(path.glob("*.npy"))):
            return of_folder
        is_known = path.suffix.lower() in (".npz", ".npy") or zipfile.is_zipfile(path)
        if not path.is_file() or not is_known:
            raise RequestError(
                f"dataset.{setting} must be an existing .npz or .npy file, got {value}"
            )
        found.append(path)
    if found[0].suffix.lower() == ".npy" and len(found) == 1:
        raise RequestError(
            f"dataset.path={config.path} holds one array; name the file of its labels with "
            "dataset.label_path=..."
        )
    return found


def read(config: NpzConfig, *, memory_limit: int | None, key: str, columns: SplitColumns) -> Parts:
    """Read the parts, onto disk where they exceed the memory limit.

    Parameters
    ----------
    config
        Paths, ``keys``, ``layout``.
    memory_limit
        In bytes, for all inputs together; None: no limit.
    key
        Of the file's contents, for a name in the cache.
    columns
        See `fitgap.data.arrays.to_parts`.

    Raises
    ------
    RequestError
        If a file is damaged, or its arrays are none of a dataset.
    """
    paths = files(config)
    with contextlib.ExitStack() as opened:
        try:
            if config.label_path is None and paths[0].suffix == ".npy":  # of a folder
                found = {path.stem: _npy(path) for path in paths}
            elif len(paths) == 2:
                found = {"x_train": _npy(paths[0]), "y_train": _npy(paths[1])}
            else:
                archive = opened.enter_context(zipfile.ZipFile(paths[0]))
                zip_bombs.refuse(paths[0], sum(each.file_size for each in archive.infolist()))
                members = [each for each in archive.infolist() if each.filename.endswith(".npy")]
                found = {_name(each): _member(archive, each) for each in members}
            return arrays.to_parts(
                found, config, memory_limit=memory_limit, key=key, columns=columns
            )
        except RequestError as error:
            raise RequestError(f"dataset.path={config.path}: {error}") from error
        except zipfile.BadZipFile as error:
            raise RequestError(
                f"dataset.path={config.path} is not a .npz file, or is a damaged one: "
                f"{plain(str(error), most=200)}"  # zipfile repeats what it read
            ) from error
        except Exception as error:
            # A damaged file can raise nearly anything: zlib.error, EOFError, ValueError.
            raise RequestError(
                f"dataset.path={config.path} cannot be read: {first_line(error)}"
            ) from error


def _npy(path: Path) -> Stored:
    with path.open("rb") as file:
        _, _, dtype = _read_header(file)
    if dtype.hasobject:  # an array of them cannot be mapped
        return Stored((), dtype, lambda: iter(()))
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    return array_values.stored(array, stays=disk_arrays.is_kept(path))


def _name(member: zipfile.ZipInfo) -> str:
    return member.filename.removesuffix(".npy")


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Stored:
    with archive.open(member) as file:
        shape, fortran_order, dtype = _read_header(file)
        actual = member.file_size - file.tell()
    declared = math.prod(shape) * dtype.itemsize
    if declared != actual and not dtype.hasobject:
        raise RequestError(
            f"{_name(member)} is damaged: shape {shape} of {dtype} is {declared} bytes, and it has "
            f"{actual}"
        )

    def whole() -> Iterator[NDArray[Any]]:
        with archive.open(member) as file:
            yield np.lib.format.read_array(file, allow_pickle=False)

    def rows() -> Iterator[NDArray[Any]]:
        row_bytes = int(np.prod(shape[1:])) * dtype.itemsize
        count = max(1, disk_arrays.BLOCK_BYTES // max(1, row_bytes))
        with archive.open(member) as file:
            _read_header(file)
            for first in range(0, shape[0], count):
                block = min(count, shape[0] - first)
                content = file.read(block * row_bytes)
                yield np.frombuffer(content, dtype).reshape(block, *shape[1:])

    if fortran_order or not shape or dtype.itemsize == 0:
        return Stored(shape, dtype, whole, is_streamable=not fortran_order)
    return Stored(shape, dtype, rows)


Header = tuple[tuple[int, ...], bool, "np.dtype[Any]"]


def _read_header(file: IO[bytes]) -> Header:
    version = np.lib.format.read_magic(file)
    reads = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in reads:
        raise ValueError(f"version {version} of NumPy's format is not known")
    shape, fortran_order, dtype = reads[version](file)
    if math.prod(shape) * dtype.itemsize == 0 and max(shape, default=0) > MOST_WITHOUT_BYTES:
        raise ValueError(f"an array of shape {shape} of {dtype} has no bytes")
    return shape, fortran_order, dtype

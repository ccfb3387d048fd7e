"""Arrays too large for memory: rows of a file, read when they are needed.

Code that takes images takes these as well, if it reads some rows at a time. The system
keeps what was read as long as it has memory to spare, and takes it back when it has not.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fitgap.config import project

BLOCK_BYTES = 2**24


class Images(Protocol):
    """Images or feature vectors, in memory or on disk: uint8 or float32, one per row."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, height, width), (n, height, width, channels) or (n, features)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the values: uint8 or float32."""

    @property
    def nbytes(self) -> int:
        """The size of all values in bytes."""

    def __len__(self) -> int: ...

    def __getitem__(self, key: Any, /) -> Any: ...


class DiskRows:
    """Some rows of an array in a file; a slice or an array of indices reads them into memory.

    Parameters
    ----------
    array
        Of the whole file, as ``np.load(path, mmap_mode="r")`` opens it.
    rows
        int64 indices of the rows that belong; None: all.
    """

    def __init__(self, array: NDArray[Any], rows: NDArray[np.int64] | None = None) -> None:
        self._array = array
        self._rows = np.arange(len(array)) if rows is None else rows

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, as for an array."""
        return (len(self._rows), *self._array.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the values."""
        return self._array.dtype

    @property
    def nbytes(self) -> int:
        """The size of these rows in bytes."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        return np.array(self._array[self._rows[key]])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        del copy  # reading is copying
        return np.asarray(self[:], dtype=dtype)

    def select(self, rows: NDArray[np.int64]) -> "DiskRows":
        """Return some of these rows, still on disk."""
        return DiskRows(self._array, self._rows[rows])


def select(x: Images, rows: NDArray[Any]) -> Images:
    """Return some rows: a copy if they are in memory, indices if they are on disk.

    Parameters
    ----------
    x
        Samples along the first axis.
    rows
        Their int64 indices; shape (n,).
    """
    selected: Images = x.select(rows) if isinstance(x, DiskRows) else x[rows]
    return selected


def blocks(x: Images) -> Iterator[NDArray[Any]]:
    """Return all rows in order, a few megabytes at a time."""
    size = max(1, BLOCK_BYTES // max(1, x.nbytes // max(1, len(x))))
    for start in range(0, len(x), size):
        yield np.ascontiguousarray(x[start : start + size])


def cache_file(name: str) -> Path:
    """Return the place of a file that can be made again at any time."""
    return project.state_folder() / "data" / name


def is_kept(path: Path) -> bool:
    """Tell whether a file is fitgap's own, named after what it holds: nobody changes it."""
    return path.absolute().is_relative_to(cache_file("").absolute())


def write(
    path: Path, parts: Iterator[NDArray[Any]], *, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> None:
    """Write an array part by part as a ``.npy`` file, which appears when it is complete.

    Parameters
    ----------
    path
        Its folder is made.
    parts
        Rows in order, together as many as ``shape`` says.
    shape, dtype
        Of the whole.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        unfinished = Path(folder) / path.name
        with unfinished.open("wb") as file:
            header = {
                "descr": np.lib.format.dtype_to_descr(dtype),
                "fortran_order": False,
                "shape": shape,
            }
            np.lib.format.write_array_header_1_0(file, header)
            for part in parts:
                file.write(np.ascontiguousarray(part, dtype).data)
        unfinished.replace(path)


def read(path: Path, *, into_memory: bool) -> Images:
    """Open an array that `write` wrote.

    Parameters
    ----------
    path
        Of a ``.npy`` file.
    into_memory
        Whether all of it is read now, instead of being mapped.
    """
    if into_memory:
        array: NDArray[Any] = np.load(path, allow_pickle=False)
        return array
    return DiskRows(np.load(path, mmap_mode="r", allow_pickle=False))

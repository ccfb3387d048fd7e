"""Arrays of a ``.mat`` file of version 4 to 7.2, written as ``.npz``; a program of its own.

``python -m fitgap.data.mat_file FILE COPY`` is what `fitgap.data.mat` starts.
"""

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitgap.console import warn
from fitgap.data import zip_bombs
from fitgap.errors import RequestError, first_line

REFUSED, UNREADABLE = 2, 3  # exit codes; stderr says why
PREFIX = "array_"  # of the copy's names: an array may be called as a parameter of `numpy.savez`
# Of a value, by what SciPy calls its type; of others 8.
_BYTES = {"single": 4, "int32": 4, "uint32": 4, "int16": 2, "uint16": 2, "int8": 1, "uint8": 1}
_BYTES |= {"logical": 1}


def main(path: Path, copy: Path) -> None:
    """Write the arrays of ``path`` to ``copy``."""
    found = {f"{PREFIX}{name}": array for name, array in _arrays(path).items()}
    np.savez(copy, allow_pickle=False, **found)


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of numbers and of texts; what holds other arrays is left out."""
    from scipy.io import loadmat, whosmat

    sizes = [math.prod(shape) * _BYTES.get(kind, 8) for _, shape, kind in whosmat(path)]
    zip_bombs.refuse(path, sum(sizes))
    loaded = loadmat(path, struct_as_record=True)
    found = {name: value for name, value in loaded.items() if not name.startswith("__")}
    only = next(iter(found.values()), None)
    if len(found) == 1 and isinstance(only, np.ndarray) and only.dtype.names and only.size == 1:
        found = {name: only[name].item() for name in only.dtype.names}  # of a single struct
    arrays = {name: _plain(path, value) for name, value in found.items()}
    return {name: array for name, array in arrays.items() if not array.dtype.hasobject}


def _plain(path: Path, value: Any) -> NDArray[Any]:
    """Return a cell array of texts as an array of text, a sparse matrix as one of all values."""
    if hasattr(value, "toarray"):
        zip_bombs.refuse(path, math.prod(value.shape) * value.dtype.itemsize)
        value = value.toarray()
    array: NDArray[Any] = np.asarray(value)
    if array.dtype.kind == "U":  # MATLAB fills the rows of a matrix of characters with spaces
        return np.char.rstrip(array)
    if array.dtype == object and all(
        isinstance(cell, np.ndarray) and cell.dtype.kind == "U" and cell.size <= 1
        for cell in array.reshape(-1)
    ):
        cells = ["".join(cell.reshape(-1).tolist()) for cell in array.reshape(-1)]
        zip_bombs.refuse(path, 4 * len(cells) * max(map(len, cells), default=0))
        return np.array(cells, np.str_)
    return array


if __name__ == "__main__":
    try:
        main(*map(Path, sys.argv[1:]))
    except RequestError as error:
        warn(str(error))
        sys.exit(REFUSED)
    except Exception as error:  # a damaged file may trip SciPy anywhere
        warn(first_line(error))
        sys.exit(UNREADABLE)

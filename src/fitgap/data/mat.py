"""Arrays of MATLAB: one ``.mat`` file, of version 4 to 7.2 or of 7.3, which is HDF5."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitgap.config.schema import PARTS, MatConfig
from fitgap.data import array_roles, array_values, arrays, zip_bombs
from fitgap.data.parts import Parts, SplitColumns
from fitgap.errors import RequestError, first_line

Arrays = dict[str, NDArray[Any]]

_HDF5 = b"\x89HDF\r\n\x1a\n"
# Of a value, by what SciPy calls its type; of others 8.
_BYTES = {"single": 4, "int32": 4, "uint32": 4, "int16": 2, "uint16": 2, "int8": 1, "uint8": 1}
_BYTES |= {"logical": 1}
_MOST_CHARACTERS = 10_000  # of a label


def files(config: MatConfig) -> list[Path]:
    """Return the file, having made sure that it exists."""
    path = Path(config.path).expanduser()
    if not path.is_file():
        raise RequestError(f"dataset.path must be an existing .mat file, got {config.path}")
    return [path]


def read(config: MatConfig, *, memory_limit: int | None, key: str, columns: SplitColumns) -> Parts:
    """Read the parts; see `fitgap.data.arrays.to_parts`.

    An array of inputs whose last axis counts the samples, as MATLAB's users often have it, is
    turned, and that is said.

    Raises
    ------
    RequestError
        If it is no such file, or its arrays are none of a dataset.
    """
    [path] = files(config)
    try:
        found = _of_hdf5(path) if _is_hdf5(path) else _of_older(path)
    except RequestError as error:
        raise RequestError(f"dataset.path={config.path}: {error}") from error
    except Exception as error:  # a damaged file may trip SciPy or HDF5 anywhere
        raise RequestError(
            f"dataset.path={config.path} is no .mat file: {first_line(error)}"
        ) from error
    try:
        found, notes = _turned(found, array_roles.find_roles(list(found), config.keys))
        parts = arrays.to_parts(
            {name: array_values.stored(array) for name, array in found.items()},
            config,
            memory_limit=memory_limit,
            key=key,
            columns=columns,
        )
    except RequestError as error:
        raise RequestError(f"dataset.path={config.path}: {error}") from error
    return parts.with_notes(notes)


def _is_hdf5(path: Path) -> bool:
    """Tell whether a file is of version 7.3: HDF5 behind 512 bytes of MATLAB's own."""
    with path.open("rb") as file:
        return file.read(512 + len(_HDF5))[512:] == _HDF5


def _of_older(path: Path) -> Arrays:
    from scipy.io import loadmat, whosmat

    sizes = [math.prod(shape) * _BYTES.get(kind, 8) for _, shape, kind in whosmat(path)]
    zip_bombs.refuse(path, sum(sizes))
    loaded = loadmat(path, struct_as_record=True)
    found = {name: value for name, value in loaded.items() if not name.startswith("__")}
    only = next(iter(found.values()), None)
    if len(found) == 1 and isinstance(only, np.ndarray) and only.dtype.names and only.size == 1:
        found = {name: only[name].item() for name in only.dtype.names}  # of a single struct
    return {name: _plain(path, value) for name, value in found.items()}


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
        return np.array(cells, np.str_)
    return array


def _of_hdf5(path: Path) -> Arrays:
    """Return the arrays of version 7.3: numbers, and cell arrays of texts.

    What lies in another file is left out, as are structs.
    """
    import h5py

    found = {}
    with h5py.File(path, "r") as file:
        for name in file:
            node = file[name] if isinstance(file.get(name, getlink=True), h5py.HardLink) else None
            if not isinstance(node, h5py.Dataset) or node.external or node.is_virtual:
                continue
            zip_bombs.refuse(path, math.prod(node.shape) * node.dtype.itemsize)
            # HDF5 has MATLAB's axes in the order of C, that is the other way round.
            found[name] = node[()].T
            if node.dtype == h5py.ref_dtype:
                found[name] = np.array([_text(file[each]) for each in found[name].reshape(-1)])
    return found


def _text(node: Any) -> str:
    """Return one cell's text, which is stored as the numbers of its characters."""
    if node.attrs.get("MATLAB_class") != b"char" or node.size > _MOST_CHARACTERS:
        raise ValueError("a cell holds something other than a text")
    characters: bytes = node[()].astype("<u2").T.tobytes()
    return characters.decode("utf-16-le")


def _turned(found: Arrays, roles: dict[str, str]) -> tuple[Arrays, tuple[str, ...]]:
    notes = []
    turned = dict(found)
    for part in PARTS:
        if f"x_{part}" not in roles:
            continue
        name = roles[f"x_{part}"]
        x, count = found[name], max(found[roles[f"y_{part}"]].shape, default=0)
        if x.ndim > 1 and len(x) != count == x.shape[-1]:
            turned[name] = np.moveaxis(x, -1, 0)
            notes.append(f"{name} of shape {x.shape}: its last axis counts the samples")
    return turned, tuple(notes)

"""Arrays of MATLAB: one ``.mat`` file, of version 4 to 7.2 or of 7.3, which is HDF5."""

import math
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitgap.config.schema import PARTS, MatConfig
from fitgap.data import array_roles, array_values, arrays, mat_file, zip_bombs
from fitgap.data.parts import Parts, SplitColumns
from fitgap.errors import RequestError, about, first_line

Arrays = dict[str, NDArray[Any]]

HDF5 = b"\x89HDF\r\n\x1a\n"
_MOST_CHARACTERS = 10_000  # of a label
_MOST_CELLS = 10_000_000  # of a cell array


def files(config: MatConfig) -> list[Path]:
    """Return the file, having made sure that it exists."""
    path = Path(config.path).expanduser()
    if not path.is_file():
        raise RequestError(f"dataset.path must be an existing .mat file, got {config.path}")
    return [path]


def read(config: MatConfig, *, memory_limit: int | None, key: str, columns: SplitColumns) -> Parts:
    """Read the parts of a dataset from a ``.mat`` file.

    In MATLAB, the last axis often counts the samples. An array of inputs like that is transposed,
    and a note says so.

    Parameters
    ----------
    config
        ``path``, ``keys`` and ``layout``.
    memory_limit, key, columns
        See `fitgap.data.arrays.to_parts`.

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
            f"dataset.path={config.path} is not a .mat file: {first_line(error)}"
        ) from error
    with about(f"dataset.path={config.path}"):
        found, notes = _turned(found, array_roles.find_roles(list(found), config.keys))
        parts = arrays.to_parts(
            {name: array_values.stored(array) for name, array in found.items()},
            config,
            memory_limit=memory_limit,
            key=key,
            columns=columns,
        )
    return parts.with_notes(notes)


def _is_hdf5(path: Path) -> bool:
    """Tell whether a file is of version 7.3: HDF5 behind 512 bytes of MATLAB's own."""
    with path.open("rb") as file:
        return file.read(512 + len(HDF5))[512:] == HDF5


def _of_older(path: Path) -> Arrays:
    """Return the arrays of a version before 7.3, read by another process.

    SciPy's reader is compiled code without bounds: some damaged files end the process.
    """
    with tempfile.TemporaryDirectory(prefix="fitgap-") as folder:
        copy = Path(folder) / "arrays.npz"
        command = [sys.executable, "-m", mat_file.__name__, str(path), str(copy)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == mat_file.REFUSED:
            raise RequestError(done.stderr.strip())
        if done.returncode == mat_file.UNREADABLE:
            raise ValueError(done.stderr.strip())
        if done.returncode:
            raise ValueError("it is damaged, SciPy cannot read it to its end")
        with np.load(copy, allow_pickle=False) as read:
            return {name.removeprefix(mat_file.PREFIX): read[name] for name in read.files}


def _of_hdf5(path: Path) -> Arrays:
    """Return the arrays of version 7.3: numbers, and cell arrays of texts.

    What lies in another file is left out, as are structs and whatever else is no number.
    """
    import h5py

    found = {}
    with h5py.File(path, "r") as file:
        nodes = {
            name: file[name]
            for name in file
            if isinstance(file.get(name, getlink=True), h5py.HardLink)
        }
        arrays = {name: node for name, node in nodes.items() if _is_within(node)}
        sizes = [math.prod(node.shape) * node.dtype.itemsize for node in arrays.values()]
        zip_bombs.refuse(path, sum(sizes))
        for name, node in arrays.items():
            if h5py.check_ref_dtype(node.dtype) is h5py.Reference:
                found[name] = _texts(node, path)
            elif not node.dtype.hasobject:
                # HDF5 has MATLAB's axes in the order of C, that is the other way round.
                found[name] = node[()].T
    return found


def _is_within(node: Any) -> bool:
    """Tell whether this is an array, and one that lies in its own file."""
    import h5py

    return isinstance(node, h5py.Dataset) and not node.external and not node.is_virtual


def _texts(cells: Any, path: Path) -> NDArray[np.str_]:
    """Return the texts of a cell array, which refers to one array of characters for each.

    Cells may refer to the same one, which is read once.
    """
    import h5py

    if cells.size > _MOST_CELLS:
        raise RequestError(f"a cell array has {cells.size} texts, more than {_MOST_CELLS}")
    by_place: dict[int, str] = {}
    places = []
    for reference in cells[()].T.reshape(-1):
        node = h5py.h5r.dereference(reference, cells.file.id)
        place = h5py.h5o.get_info(node).addr
        places.append(place)
        if place not in by_place:
            by_place[place] = _text(cells.file[reference])
            zip_bombs.refuse(path, 4 * cells.size * len(by_place[place]))
    return np.array([by_place[place] for place in places])


def _text(node: Any) -> str:
    """Return one cell's text, which is stored as the numbers of its characters."""
    is_text = _is_within(node) and node.attrs.get("MATLAB_class") == b"char"
    if not is_text or node.size > _MOST_CHARACTERS:
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

"""Arrays of MATLAB: one ``.mat`` file of version 4 to 7.2."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitgap.config.schema import MatConfig
from fitgap.data import arrays
from fitgap.data.labels import Parts, SplitColumns
from fitgap.errors import RequestError


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
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    [path] = files(config)
    try:
        loaded = loadmat(path, struct_as_record=True)
    except NotImplementedError as error:
        raise RequestError(
            f"dataset.path={config.path} is of MATLAB's version 7.3; save it with save(..., '-v7')"
        ) from error
    except (MatReadError, ValueError, TypeError, OSError, EOFError) as error:
        reason = str(error).partition("\n")[0]
        raise RequestError(f"dataset.path={config.path} is no .mat file: {reason}") from error
    found = {name: _plain(array) for name, array in loaded.items() if not name.startswith("__")}
    try:
        found, notes = _turned(found, arrays.find_roles(list(found), config.keys))
        parts = arrays.to_parts(
            {name: arrays.stored(array) for name, array in found.items()},
            config,
            memory_limit=memory_limit,
            key=key,
            columns=columns,
        )
    except RequestError as error:
        raise RequestError(f"dataset.path={config.path}: {error}") from error
    return parts.with_notes(notes)


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    """Return a cell array of texts as an array of text."""
    if array.dtype == object and all(
        isinstance(cell, np.ndarray) and cell.dtype.kind == "U" and cell.size <= 1
        for cell in array.reshape(-1)
    ):
        cells = ["".join(cell.reshape(-1).tolist()) for cell in array.reshape(-1)]
        return np.array(cells, np.str_)
    return array


def _turned(
    found: dict[str, NDArray[Any]], roles: dict[str, str]
) -> tuple[dict[str, NDArray[Any]], tuple[str, ...]]:
    notes = []
    turned = dict(found)
    for part in arrays.PARTS:
        if f"x_{part}" not in roles:
            continue
        name = roles[f"x_{part}"]
        x, count = found[name], max(found[roles[f"y_{part}"]].shape, default=0)
        if x.ndim > 1 and len(x) != count == x.shape[-1]:
            turned[name] = np.moveaxis(x, -1, 0)
            notes.append(f"{name} of shape {x.shape}: its last axis counts the samples")
    return turned, tuple(notes)

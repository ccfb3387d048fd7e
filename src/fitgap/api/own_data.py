"""What ``Study(data=...)`` takes, as settings of the config group ``dataset``.

Arrays and tables in memory become files in the project folder that are named after what they
hold: every process of a sweep reads the same file, and the same data are the same experiment
tomorrow.
"""

import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fitgap.api import own_functions
from fitgap.api.hydra_language import literal
from fitgap.commands import settings_help
from fitgap.config import project
from fitgap.config.checks import did_you_mean
from fitgap.data import disk_arrays, readers, table_file
from fitgap.errors import RequestError
from fitgap.trust.text import is_existing_path, plain

if TYPE_CHECKING:
    import pandas as pd

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
FORMS = (
    "a dataset's name or settings, arrays (x, y), (x, y, x_test, y_test) or ((x, y), (x_test, "
    "y_test)), a DataFrame with label=..., a path, the paths of two .npy files, or a function that "
    "returns data"
)


def overrides(data: Any, *, label: str | Sequence[str] | None) -> list[str]:
    """Return the overrides that choose the data of a study.

    Parameters
    ----------
    data
        See `FORMS`; None: what the project's settings say.
    label
        Name of a table's column of labels; several, where each row has several targets.

    Raises
    ------
    RequestError
        If it is none of these, arrays differ in their number of rows, or the project folder
        cannot be written.
    """
    if label is not None and not (_is_frame(data) or isinstance(data, str | Path)):
        raise RequestError("label names a column of a table, but data is not a table")
    if data is None:
        return []
    if callable(data):
        data = {"name": "function", "function": own_functions.of_data(data)}
    if isinstance(data, Mapping):
        return _of_settings(dict(data))
    if isinstance(data, str | Path):
        return _of_name_or_path(data, label=label)
    if _is_frame(data):
        return _of_frame(data, label=label)
    if isinstance(data, tuple | list) and len(data) == 2 and _are_paths(data):
        path, label_path = (Path(each).expanduser().absolute() for each in data)
        return _of_settings({"name": "npz", "path": path, "label_path": label_path})
    if isinstance(data, tuple) and len(data) == 2 and all(map(_is_pair, data)):
        data = (*data[0], *data[1])  # ((x, y), (x_test, y_test)), as Keras's datasets are
    if isinstance(data, tuple | list) and len(data) in (2, 4):
        return _of_settings({"name": "npz", "path": _save_arrays(data)})
    raise RequestError(f"data must be {FORMS}, got {type(data).__name__}")


def _of_frame(frame: "pd.DataFrame", *, label: Any) -> list[str]:
    if frame.columns.nlevels > 1:
        raise RequestError(
            "data: the columns of the DataFrame have names of several levels; join them: "
            "frame.columns = ['_'.join(map(str, name)) for name in frame.columns]"
        )
    frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
    several = isinstance(label, list | tuple)
    names = [str(name) for name in label] if several else [str(label)]
    if not names or not set(names) <= set(frame.columns):
        columns = ", ".join(frame.columns)
        raise RequestError(f"label must name a column of the table, got {label}", columns)
    if nested := table_file.nested_columns(frame):
        raise RequestError(
            f"data: the cells of the column {nested[0]!r} are lists or structs; make a column of "
            "each number in them, or drop the column"
        )
    path = _save_table(frame)
    return _of_settings({"name": "csv", "path": path, "label": names if several else names[0]})


def _of_settings(settings: dict[str, Any]) -> list[str]:
    if "name" not in settings:
        raise RequestError(
            "data: the settings of a dataset need its name; arrays are given as (x, y)"
        )
    name = settings.pop("name")
    words = [f"dataset={literal(name, key='data')}"]
    return words + [
        f"dataset.{key}={literal(value, key=f'data.{key}')}" for key, value in settings.items()
    ]


def _of_name_or_path(data: str | Path, *, label: str | Sequence[str] | None) -> list[str]:
    options = settings_help.groups()["dataset"]
    if isinstance(data, str) and data in options:
        return [f"dataset={data}"]
    path = Path(data).expanduser()
    if not is_existing_path(str(path)):
        raise RequestError(
            f"data={plain(str(data), most=100)!r} is neither a dataset nor a path that exists"
            f"{did_you_mean(str(data), options)}",
            f"Datasets: {', '.join(options)}",
        )
    name = readers.name_for(path)
    if name is None:
        raise RequestError(
            f"data={str(data)!r} must be a folder or end in {', '.join(readers.BY_ENDING)}; "
            "for another ending, give data={'name': ..., 'path': ...}"
        )
    if path.suffix.lower() == ".npy":
        raise RequestError(
            f"data={str(data)!r} holds one array; give the files of inputs and labels: "
            f"data=({str(data)!r}, 'labels.npy')"
        )
    if label is not None and name != "table":
        raise RequestError(f"label names a column of a table, but data={str(data)!r} is not one")
    settings: dict[str, Any] = {"name": name, "path": path.absolute()}
    return _of_settings(settings | ({} if label is None else {"label": label}))


def _are_paths(data: Any) -> bool:
    return all(isinstance(each, str | Path) for each in data)


def _is_pair(data: Any) -> bool:
    return isinstance(data, tuple) and len(data) == 2


def _is_frame(data: Any) -> bool:
    return type(data).__name__ == "DataFrame" and hasattr(data, "to_csv")


def _save_arrays(data: Any) -> Path:
    arrays = {name: _array(name, each) for name, each in zip(ARRAYS, data, strict=False)}
    for name in set(arrays) & {"x_train", "x_test"}:
        arrays[name] = _as_networks_take_it(arrays[name])
    for x, y in (("x_train", "y_train"), ("x_test", "y_test")):
        if x in arrays and (arrays[x].ndim == 0 or len(arrays[x]) != len(np.atleast_1d(arrays[y]))):
            rows = [len(np.atleast_1d(arrays[name])) for name in (x, y)]
            raise RequestError(
                "data: inputs and labels must have the same number of rows, got "
                f"{rows[0]} and {rows[1]}"
            )
    digest = hashlib.sha256()
    for name, array in arrays.items():
        digest.update(f"{name}{array.shape}{array.dtype.str}".encode())
        digest.update(np.ascontiguousarray(array).data if array.size else b"")

    def write(folder: Path) -> None:
        for name, array in arrays.items():
            np.save(folder / name, array, allow_pickle=False)

    return _keep(digest.hexdigest()[:16], write)


def _array(name: str, given: Any) -> NDArray[Any]:
    """Return an array of numbers or text; text and numbers may come as objects, as of pandas."""
    if np.ma.is_masked(given):
        raise RequestError(f"data: {name} has masked values; fill them, or leave the rows out")
    try:
        array = np.asarray(given)
    except ValueError as error:  # NumPy's words are about arrays of sequences
        raise RequestError(f"data: {name} must have rows of one length") from error
    if array.dtype == object:
        kinds = {type(value) for value in array.flat}
        if kinds == {str}:
            return array.astype(str)
        if not all(issubclass(kind, int | float | np.number | np.bool_) for kind in kinds):
            foreign = sorted(kind.__name__ for kind in kinds)
            raise RequestError(
                f"data: {name} holds Python objects ({', '.join(foreign)}); give numbers or text"
            )
        array = np.array(array.tolist())  # still objects, if a number is too large
    if array.dtype.kind not in "biufcSU":
        raise RequestError(f"data: {name} must hold numbers or text, got {array.dtype}")
    return array


def _as_networks_take_it(x: NDArray[Any]) -> NDArray[Any]:
    """Return doubles as float32, as every process would have them, so that all can share them."""
    if x.dtype != np.float64:
        return x
    with np.errstate(over="ignore"):
        narrow = x.astype(np.float32)
    return narrow if np.array_equal(np.isfinite(narrow), np.isfinite(x)) else x


def _save_table(frame: "pd.DataFrame") -> Path:
    text = frame.to_csv(index=False).encode()
    name = f"{hashlib.sha256(text).hexdigest()[:16]}.csv"
    return _keep(name, lambda folder: (folder / name).write_bytes(text), inside=name)


def _keep(name: str, write: Callable[[Path], Any], *, inside: str = "") -> Path:
    """Return the path of a file or folder of the cache, which is written if it does not exist.

    Parameters
    ----------
    name
        In the cache: of a folder or, with ``inside``, of a file.
    write
        Takes an empty folder, and writes into it.
    inside
        Name of the file to keep of the folder; empty: all of it.
    """
    path = disk_arrays.cache_file(name)
    if path.exists():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as unfinished:
            folder = Path(unfinished) / name
            folder.mkdir()
            write(folder)
            (folder / inside).rename(path)
    except OSError as error:
        if path.exists():  # another process was faster
            return path
        raise RequestError(
            f"the project folder {project.folder()} cannot be written: {error.strerror}"
        ) from error
    return path

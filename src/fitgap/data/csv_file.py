"""A table of one's own: a column with the labels, numbers in all others.

The numbers are features, which become float32. With ``dataset.image_shape`` they are pixels from
0 to 255, row by row of the image, which become uint8.
"""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fitgap.config.checks import did_you_mean
from fitgap.config.schema import CsvConfig
from fitgap.data.labels import Part, Parts, RawLabels, SplitColumns
from fitgap.errors import RequestError

if TYPE_CHECKING:
    import pandas as pd


def files(config: CsvConfig) -> list[Path]:
    """Return the file of the training part and, if there is one, of the test part."""
    found = []
    for setting, value in (("path", config.path), ("test_path", config.test_path)):
        if value is None:
            continue
        path = Path(value).expanduser()
        if not path.is_file():
            raise RequestError(f"dataset.{setting} must be an existing .csv file, got {value}")
        found.append(path)
    return found


def read(config: CsvConfig, *, memory_limit: int | None, key: str, columns: SplitColumns) -> Parts:
    """Read training part and test part into memory; a table is never streamed.

    Parameters
    ----------
    config
        Paths, the label's column, the shape of the images.
    memory_limit, key
        Of readers that stream.

    Raises
    ------
    RequestError
        If a file cannot be read, a column is missing, or a cell is empty, text or out of range;
        the message names its row (from 1, below the line of names) and its column.
    """
    del memory_limit, key
    paths = files(config)
    frames = [_frame(path, config.label) for path in paths]
    parts = []
    for path, frame in zip(paths, frames, strict=True):
        try:
            _check_columns(frame, frames[0], config.label)
            labels = _labels(frame, config.label)
            groups, order = (
                split_column(frame, name, setting)
                for setting, name in (("group", columns.group), ("order", columns.order))
            )
            not_features = {config.label, columns.group, columns.order}
            x = _values(frame[[c for c in frame.columns if c not in not_features]], config)
        except RequestError as error:
            raise RequestError(f"{path}: {error}") from error
        names = [f"{path.name}, row {row}" for row in range(1, len(frame) + 1)]
        name = f"column {config.label!r} of {path.name}"
        parts.append(Part(x, labels, name, names, groups=groups, order=order))
    return Parts(parts[0], parts[1] if len(parts) > 1 else None)


def _frame(path: Path, label: str) -> "pd.DataFrame":
    import pandas as pd

    try:
        header = pd.read_csv(path, encoding="utf-8-sig", header=None, nrows=1, dtype=str)
        columns = [str(name) for name in header.iloc[0]]
        if len(set(columns)) < len(columns):
            twice = next(name for name in columns if columns.count(name) > 1)
            raise ValueError(f"there are two columns {twice!r}")
        # Labels stay text, so that a class may be called NA; elsewhere only nothing is missing.
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # cells beyond the columns
            return pd.read_csv(
                path,
                encoding="utf-8-sig",
                low_memory=False,
                index_col=False,
                dtype={label: str},
                keep_default_na=False,
                na_values={column: [""] for column in columns if column != label},
            )
    except (ValueError, OSError, pd.errors.ParserWarning) as error:
        reason = " ".join(str(error).split())
        raise RequestError(f"{path} cannot be read as CSV: {reason}") from error


def _check_columns(frame: "pd.DataFrame", first: "pd.DataFrame", label: str) -> None:
    columns = [str(column) for column in frame.columns]
    if label not in columns:
        nearest = did_you_mean(label, columns)
        shown = ", ".join(columns[:8]) + (", ..." if len(columns) > 8 else "")
        raise RequestError(f"dataset.label={label} is no column of {shown}{nearest}")
    if len(columns) < 2:
        raise RequestError(f"there must be a column besides {label!r}")
    if list(frame.columns) != list(first.columns):
        raise RequestError("the columns must be those of dataset.path, in the same order")
    if len(frame) == 0:
        raise RequestError("there are no rows")


def _labels(frame: "pd.DataFrame", label: str) -> RawLabels:
    """Return the labels as numbers if they all are numbers, else as text."""
    cells = frame[label].tolist()
    text: RawLabels = np.array([cell.strip() if isinstance(cell, str) else "" for cell in cells])
    try:
        return text.astype(np.float64)
    except ValueError:
        return text


def _values(frame: "pd.DataFrame", config: CsvConfig) -> NDArray[Any]:
    import pandas as pd

    for column in frame.columns:
        cells = frame[column]
        numbers = cells if pd.api.types.is_numeric_dtype(cells) else _numbers(cells)
        wrong = ~np.isfinite(numbers.to_numpy(np.float64))
        if wrong.any():
            row = int(wrong.argmax())
            raise _wrong_cell(row, str(column), cells.tolist()[row], "a finite number")
    values: NDArray[np.float64] = frame.to_numpy(np.float64)
    if config.image_shape is None:
        with np.errstate(over="ignore"):
            features: NDArray[Any] = values.astype(np.float32)
        _refuse_cells(frame, values, ~np.isfinite(features), "a number that float32 holds")
        return features
    height, width = config.image_shape
    if values.shape[1] != height * width:
        raise RequestError(
            f"dataset.image_shape={config.image_shape} needs {height * width} columns of pixels, "
            f"got {values.shape[1]}"
        )
    outside = (values != np.rint(values)) | (values < 0) | (values > 255)
    _refuse_cells(frame, values, outside, "a pixel: a whole number from 0 to 255")
    return values.astype(np.uint8).reshape(-1, height, width)


def split_column(frame: "pd.DataFrame", name: str | None, setting: str) -> RawLabels | None:
    """Return the column of ``split.group`` as it is, or of ``split.order`` as numbers or dates.

    Raises
    ------
    RequestError
        If there is no such column, or one of its cells is no number and no date.
    """
    import pandas as pd

    if name is None:
        return None
    known = [str(column) for column in frame.columns]
    if name not in known:
        shown = ", ".join(known[:8]) + (", ..." if len(known) > 8 else "")
        raise RequestError(
            f"split.{setting}={name} is no column of {shown}{did_you_mean(name, known)}"
        )
    cells = frame[name]
    if setting == "group":
        groups: RawLabels = cells.astype(str).to_numpy(np.str_)
        return groups
    if not pd.api.types.is_numeric_dtype(cells):
        cells = pd.to_datetime(cells, errors="coerce", format="ISO8601")
    if cells.isna().any():
        row = int(cells.isna().to_numpy().argmax())
        raise _wrong_cell(
            row, name, frame[name].tolist()[row], "a number or a date as 2024-05-31 (split.order)"
        )
    values: RawLabels = cells.to_numpy()
    return values


def _numbers(cells: "pd.Series[Any]") -> "pd.Series[Any]":
    import pandas as pd

    return pd.to_numeric(cells, errors="coerce")


def _refuse_cells(
    frame: "pd.DataFrame", values: NDArray[np.float64], wrong: NDArray[np.bool_], allowed: str
) -> None:
    if wrong.any():
        row, column = (int(i) for i in np.argwhere(wrong)[0])
        raise _wrong_cell(row, str(frame.columns[column]), values[row, column].item(), allowed)


def _wrong_cell(row: int, column: str, cell: object, allowed: str) -> RequestError:
    is_missing = isinstance(cell, float) and np.isnan(cell)
    got = "nothing" if is_missing else repr(cell)
    return RequestError(f"row {row + 1}, column {column!r} must be {allowed}, got {got}")

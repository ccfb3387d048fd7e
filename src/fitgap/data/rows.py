"""Rows of a table as a saved network takes them: for each column by its name, numbers or text.

A copy of this file stands beside every recorded network that takes rows, as the module
``fitgap_rows`` by which MLflow's pyfunc flavour opens it, also where fitgap is not installed. So it
imports nothing of fitgap.
"""

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import keras
    import pandas as pd

# What stands in cells that hold nothing, as pandas and R write it.
MISSING = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "null", "NULL", "None", "<NA>", "?")

SIGNS = "$€£¥₩%"
GROUPING = ",'’ \u00a0\u2009\u202f"  # between thousands: commas, apostrophes, spaces
# As people write quantities: $1,234.50 or 12 % or −3 € or 1 234.
_QUANTITY = re.compile(
    rf"[{SIGNS}]?\s?([-+−]?)\s?[{SIGNS}]?\s?"
    rf"(\d+|\d{{1,3}}(?P<between>[{GROUPING}])\d{{3}}(?:(?P=between)\d{{3}})*)"
    rf"(\.\d+)?\s?[{SIGNS}]?"
)

Inputs = dict[str, NDArray[Any]]


def texts_of(column: "pd.Series[Any]") -> NDArray[np.str_]:
    """Return cells as text, stripped; "" where nothing is; whole numbers without a decimal point.

    Shape (n,). A column of whole numbers with gaps is one of floats in pandas.
    """
    missing = column.isna().tolist()
    cells = [
        "" if nothing else str(int(cell) if _is_whole_float(cell) else cell).strip()
        for cell, nothing in zip(column.tolist(), missing, strict=True)
    ]
    return np.array(cells, np.str_)


def _is_whole_float(cell: object) -> bool:
    return isinstance(cell, float) and cell.is_integer()


def numbers_of(cells: NDArray[np.str_]) -> NDArray[np.float64]:
    """Return cells as numbers, booleans as 0 and 1; NaN where they are none; shape (n,).

    The signs of currencies and of percent are left out, and so is what stands between thousands.

    >>> numbers_of(np.array(["$1,234.50", "7 %", "−2", "1 234 567", "1,23"])).tolist()
    [1234.5, 7.0, -2.0, 1234567.0, nan]
    """
    import pandas as pd

    lowered = np.char.lower(cells)
    if len(cells) and np.isin(lowered, ("true", "false", "")).all():
        return np.where(lowered == "", np.nan, (lowered == "true").astype(np.float64))
    numbers = pd.to_numeric(pd.Series(cells.astype(object)), errors="coerce")
    values: NDArray[np.float64] = numbers.to_numpy(np.float64, copy=True)
    for i in np.flatnonzero(np.isnan(values) & (cells != "")).tolist():
        if found := _QUANTITY.fullmatch(cells[i]):
            sign, digits, between, decimals = found.groups(default="")
            values[i] = float(sign.replace("−", "-") + digits.replace(between, "") + decimals)
    return values


def inputs_of(rows: "pd.DataFrame", model: "keras.Model") -> Inputs:
    """Return the columns that a network takes, by their names.

    Parameters
    ----------
    rows
        A column for each input; others are not looked at. Missing: empty, None, NaN, `MISSING`.
    model
        Its inputs are named; those of numbers are float32, those of text are strings.

    Returns
    -------
    dict
        float32, NaN where nothing is, or object (text, "" where nothing is); shape (n,) each.

    Raises
    ------
    ValueError
        If a column is not there, or a cell of numbers is none; the message names it.
    """
    import pandas as pd

    frame = pd.DataFrame(rows)
    columns = {str(name): name for name in frame.columns}
    made: Inputs = {}
    for name, takes in named_inputs(model).items():
        if name not in columns:
            raise ValueError(f"there is no column {name!r}, which the network takes")
        column = frame[columns[name]]
        is_text = takes.dtype == "string"
        made[name] = texts_of(column).astype(object) if is_text else _as_numbers(column, name)
    return made


@contextmanager
def any_names() -> Iterator[None]:
    """Keep Keras from warning of a column with a slash, which a key may have, but not a name."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="When providing `inputs` as a dict")
        yield


def named_inputs(model: "keras.Model") -> Mapping[str, Any]:
    """Return a network's inputs by the names of the columns; none if it takes an array."""
    inputs = getattr(model, "input", None)
    return inputs if isinstance(inputs, dict) else {}


def _as_numbers(column: "pd.Series[Any]", name: str) -> NDArray[np.float32]:
    if column.dtype.kind in "iufb" and isinstance(column.dtype, np.dtype):
        return np.asarray(column, np.float32)
    texts = texts_of(column)
    is_missing = np.isin(texts, MISSING)
    numbers = numbers_of(np.where(is_missing, "", texts))
    wrong = np.isnan(numbers) & ~is_missing
    if wrong.any():
        row = int(wrong.argmax())
        cell = str(texts[row])
        raise ValueError(f"row {row + 1}, column {name!r} must be a number, got {cell!r}")
    return numbers.astype(np.float32)


class _Rows:
    """A network that takes a DataFrame; what MLflow's pyfunc flavour calls."""

    def __init__(self, model: "keras.Model") -> None:
        self._model = model

    def get_raw_model(self) -> "keras.Model":
        return self._model

    def predict(self, rows: "pd.DataFrame", params: Mapping[str, Any] | None = None) -> Any:
        del params
        return self._model.predict(inputs_of(rows, self._model), verbose=0)


def _load_pyfunc(path: str) -> _Rows:
    """Open a recorded network: the function by which MLflow loads any flavour."""
    import mlflow.tensorflow

    with any_names():
        return _Rows(mlflow.tensorflow._load_pyfunc(path).get_raw_model())

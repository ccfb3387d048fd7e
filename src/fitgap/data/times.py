"""Times that order rows: numbers, dates or text."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fitgap.data.parts import RawLabels
from fitgap.data.rows import numbers_of
from fitgap.errors import RequestError


def as_times(name: str, values: RawLabels, *, names: Sequence[str] = ()) -> RawLabels:
    """Return times as numbers or dates, which text can be too.

    Parameters
    ----------
    name
        Of the column, for messages.
    values
        Of shape (n,): numbers, dates, or text of either kind, dates as ISO 8601 has them.
    names
        What messages call each row; empty: its number.

    Raises
    ------
    RequestError
        If it is something else, or a value is missing.
    """
    times = _of_texts(values.astype(np.str_)) if values.dtype.kind in "US" else values
    if times.dtype.kind not in "biufM":
        raise RequestError(f"split.order={name} must hold numbers or dates such as 2024-05-31")
    wrong = np.isnat(times) if times.dtype.kind == "M" else ~np.isfinite(times)
    if wrong.any():
        row = int(wrong.argmax())
        raise RequestError(
            f"split.order={name}: {names[row] if names else f'{name}[{row}]'} must be a number or "
            f"a date such as 2024-05-31, got {str(values[row])!r}"
        )
    return times


def _of_texts(texts: NDArray[np.str_]) -> RawLabels:
    """Return numbers, NaN for what is none, if most texts are; else dates, NaT for what is none."""
    import pandas as pd

    numbers = numbers_of(texts)
    if np.isfinite(numbers).mean() > 0.5:
        return numbers
    cells = pd.Series(texts.astype(object))
    dates = pd.to_datetime(cells, errors="coerce", format="ISO8601", utc=True)  # of any time zone
    times: RawLabels = dates.dt.tz_localize(None).to_numpy()
    return times

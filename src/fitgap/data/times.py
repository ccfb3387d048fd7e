"""Times that order rows, of whatever kind they come in."""

import contextlib

import numpy as np
from numpy.typing import NDArray

from fitgap.errors import RequestError


def as_times(name: str, values: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return times as numbers or dates, which text can be too.

    Parameters
    ----------
    name
        Of the column, for messages.
    values
        Of shape (n,): numbers, dates, or text of either kind, dates as 2024-05-31.

    Raises
    ------
    RequestError
        If it is something else, or a value is missing.
    """
    times = values
    if times.dtype.kind in "US":
        for kind in (np.float64, np.datetime64):
            with contextlib.suppress(ValueError):
                times = times.astype(np.str_).astype(kind)
                break
    if times.dtype.kind not in "biufM":
        raise RequestError(f"split.order={name} must hold numbers or dates as 2024-05-31")
    wrong = np.isnat(times) if times.dtype.kind == "M" else ~np.isfinite(times)
    if wrong.any():
        position = int(wrong.argmax())
        raise RequestError(f"split.order={name} has no time at {name}[{position}]")
    return times

"""Tables of text, and how figures stand in them."""

from collections.abc import Sequence
from dataclasses import dataclass

from fitgap_lab.benchmark.results import spread


@dataclass(frozen=True)
class Table:
    """Text in rows and columns; the first column is words, the others are figures."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def number(value: float) -> str:
    """Return a figure with three significant digits and no exponent.

    >>> [number(value) for value in (0.4123, 3.456, 45.67, 812.3)]
    ['0.412', '3.46', '45.7', '812']
    """
    size = abs(value)
    decimals = 3 if size < 1 else 2 if size < 10 else 1 if size < 100 else 0
    return f"{value:.{decimals}f}"


def median_and_range(values: Sequence[float], *, unit: str = "") -> tuple[str, str]:
    """Return the cells of some measurements: their median, and the smallest to the largest.

    >>> median_and_range([3.0, 1.0, 2.0], unit=" x")
    ('2.00 x', '1.00 to 3.00')
    """
    found = spread(values)
    return f"{number(found.median)}{unit}", f"{number(found.low)} to {number(found.high)}"

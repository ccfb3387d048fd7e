"""Tables of text, and how figures stand in them."""

from dataclasses import dataclass

from fitgap_lab.benchmark.results import Spread


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


def span(values: Spread) -> str:
    """Return a range, smallest to largest."""
    return f"{number(values.low)} to {number(values.high)}"

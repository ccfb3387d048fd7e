"""How a table is written down: separator, decimal sign, encoding; found once for each file."""

import contextlib
import csv
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitgap.data import encodings
from fitgap.data.parts import Format
from fitgap.data.rows import GROUPING, SIGNS

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_NAMES = {**SEPARATORS, " ": "spaces"}
_SIGN = rf"[-+−{SIGNS}\s]*"  # before and behind a number; `numbers_of` leaves it out
_SPACE = f"[{GROUPING.replace(',', '.')}]"  # between thousands, where the comma is decimal
_GROUPED = rf"{_SIGN}\d{{1,3}}(\.\d{{3}})+(,\d+)?{_SIGN}"
_WITH_COMMA = rf"{_SIGN}\d+({_SPACE}\d{{3}})*,\d+{_SIGN}"
_WITH_POINT = rf"{_SIGN}\d+([{GROUPING}]\d{{3}})*\.\d+{_SIGN}"
_THOUSANDS = rf"{_SIGN}\d{{1,3}}(,\d{{3}})+{_SIGN}"
_MOST_CELLS = 1000  # of a column that are looked at


def recorded_format(values: Mapping[str, Any]) -> Format:
    """Return the format that a record names, as far as it is one that is found out.

    Any other was set by a person, and stands among the settings.
    """
    known = {"separator": _NAMES, "decimal": (".", ","), "encoding": encodings.KNOWN}
    return Format(
        **{name: str(values[name]) for name in known if values.get(name) in [*known[name]]}
    )


def name_of(separator: str) -> str:
    """Return what messages call a separator, in the plural."""
    return _NAMES.get(separator, repr(separator))


def suffix_of(path: Path) -> str:
    """Return the ending of a file's name, without that of its compression."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


def without_quoted(line: str) -> str:
    """Return a line without what stands in quotation marks, where any sign may be."""
    return re.sub(r'"[^"]*"', "", line)


def rows(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines of a table, without the spaces behind a separator.

    A cell may be longer than Python's reader allows, although pandas reads it. The lines end there.

    Parameters
    ----------
    text
        Of the whole file.
    separator
        Of the columns.

    Yields
    ------
    number : int
        Of the line, from 1; of the last one, if a cell goes over several lines.
    cells : list of str
        Of the line.
    """
    skips = separator in SEPARATORS and separator != "\t"
    reader = csv.reader(io.StringIO(text), delimiter=separator, skipinitialspace=skips)
    with contextlib.suppress(csv.Error):
        for row in reader:
            yield reader.line_num, row


def separator_of(text: str, path: Path, *, usual: str) -> str:
    """Return the character that separates the columns of a text.

    Parameters
    ----------
    text
        Of the whole file.
    path
        Of the file; ``.tsv`` means tabs.
    usual
        Returned if the first line has none of `SEPARATORS`.

    Returns
    -------
    str
        The most frequent one in the first line.
    """
    if suffix_of(path) == ".tsv":
        return "\t"
    first = without_quoted(text.lstrip("\n").partition("\n")[0])
    if any(sign in first for sign in SEPARATORS):
        return max(SEPARATORS, key=first.count)
    counts = {len(line.split()) for line in text.strip().splitlines()[:20]}
    return " " if len(counts) == 1 and counts != {1} else usual


def decimal_of(cells: Mapping[str, NDArray[np.str_]], separator: str, *, usual: str) -> str:
    """Return the decimal sign of the numbers in a table.

    If columns are separated by commas, "1,234" is one thousand two hundred and thirty-four, and
    only cells such as "1,5" show a decimal comma.

    Parameters
    ----------
    cells
        Text by column.
    separator
        Of the columns.
    usual
        Returned if no number shows the sign.
    """
    some = [cell for column in cells.values() for cell in column[:_MOST_CELLS].tolist()]
    with_comma = [cell for cell in some if "," in cell and re.fullmatch(_WITH_COMMA, cell)]
    if separator == ",":
        with_comma = [cell for cell in with_comma if not re.fullmatch(_THOUSANDS, cell)]
        if not with_comma:
            return usual
    with_point = [
        cell
        for cell in some
        if "." in cell and re.fullmatch(_WITH_POINT, cell) and not re.fullmatch(_GROUPED, cell)
    ]
    if not with_comma and not with_point:
        return usual
    return "," if len(with_comma) > len(with_point) else "."


def with_point(column: NDArray[np.str_]) -> NDArray[np.str_]:
    """Return a column of decimal commas with decimal points, and without points of thousands."""
    is_number = matches(column, rf"{_SIGN}(\d|{_SPACE})*\d,\d+([eE][-+]?\d+)?{_SIGN}")
    is_grouped = matches(column, _GROUPED)
    has_point = np.char.find(column, ".") >= 0
    if (is_grouped | ~has_point).all():  # 1.234 is one thousand here
        is_number = is_number | is_grouped
    pointed = np.char.replace(np.char.replace(column, ".", ""), ",", ".")
    return np.where(is_number, pointed, column)


def matches(column: NDArray[np.str_], pattern: str) -> NDArray[np.bool_]:
    """Return for each cell whether a regular expression matches all of it.

    Parameters
    ----------
    column
        Text; shape (n,).
    pattern
        The regular expression.
    """
    compiled = re.compile(pattern)
    return np.array([compiled.fullmatch(cell) is not None for cell in column.tolist()], np.bool_)

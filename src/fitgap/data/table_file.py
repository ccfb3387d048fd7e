"""From a file of a table to its cells as text: separator, encoding, decimal sign are found out.

What was found is said, and each has a setting that says otherwise. Parquet files say all of it
themselves.
"""

import contextlib
import csv
import gzip
import io
import re
import warnings
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fitgap.config.schema import TableConfig
from fitgap.data import zip_bombs
from fitgap.data.rows import MISSING, texts_of
from fitgap.errors import RequestError, first_line

if TYPE_CHECKING:
    import pandas as pd

Cells = dict[str, NDArray[np.str_]]

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")  # the marks with which such a file begins
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_NAMES = {**_SEPARATORS, " ": "spaces"}
_SIGN = r"[-+−$€£¥₩%\s]*"  # before and behind a number; `numbers_of` leaves it out
_GROUPED = (
    rf"{_SIGN}\d{{1,3}}(\.\d{{3}})+(,\d+)?{_SIGN}"  # by thousands, where the comma is decimal
)


class Table(NamedTuple):
    """What a file holds.

    Attributes
    ----------
    cells
        Text by column, stripped; numbers with a decimal point; "" for what is missing.
    notes
        What was found out, a line each.
    decimal
        The file's decimal sign.
    """

    cells: Cells
    notes: list[str]
    decimal: str


def read(
    path: Path, config: TableConfig, *, targets: Sequence[str], usual_decimal: str = "."
) -> Table:
    """Read a file.

    Parameters
    ----------
    path
        CSV in the wide sense, or Parquet.
    config
        ``separator``, ``decimal``, ``encoding``, ``header`` say what else is found out;
        ``missing`` names further cells that hold nothing.
    targets
        The columns of ``dataset.label``, whose cells stay as they are.
    usual_decimal
        The decimal sign of a file that shows none: 1.234 alone may be more than one thousand.

    Raises
    ------
    RequestError
        If it cannot be read, has no names of columns or two of the same.
    """
    if path.suffix.lower() in (".parquet", ".pq"):
        return _parquet(path, config, targets)
    try:
        content = _content(path)
    except (OSError, EOFError, zlib.error) as error:
        raise RequestError(f"{path} cannot be read: {error}") from error
    if config.encoding is None and not content.startswith(_UTF_16) and b"\0" in content[:4096]:
        raise RequestError(
            f"{path} is no text: save it as CSV, unpack it, or say how its text is written, as "
            "dataset.encoding=utf-16-le"
        )
    try:
        text, encoding = _decoded(content, config.encoding)
    except (UnicodeError, LookupError) as error:
        raise RequestError(f"{path} cannot be read: {error} (dataset.encoding)") from error
    text, said_separator = _lines_of(text)
    separator = config.separator or said_separator or _separator(text, path)
    header = [name.strip() for name in next((row for _, row in _rows(text, separator) if row), [])]
    if not header:
        raise RequestError(f"{path} cannot be read as CSV: it has no line of column names")
    if all(re.fullmatch("'.+'", name) for name in header):
        header = [name[1:-1] for name in header]
    has_header = _has_header(header, config, targets, path)
    names = header if has_header else [f"column_{i}" for i in range(1, len(header) + 1)]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise RequestError(f"{path} cannot be read as CSV: there are two columns {twice[0]!r}")
    cells = _parsed(text, separator, names, has_header=has_header, path=path)
    _refuse_mixed_separators(text, separator, cells, path)
    decimal = config.decimal or _decimal(cells, separator) or usual_decimal
    notes = []
    if separator != "," and _suffix(path) != ".tsv":
        notes.append(f"{path.name}: columns are separated by {_NAMES.get(separator, separator)}")
    if decimal == ",":
        cells = {name: _with_point(column) for name, column in cells.items()}
        notes.append(f"{path.name}: numbers have a decimal comma (dataset.decimal)")
    if encoding not in ("utf-8", "utf-8-sig"):
        notes.append(f"{path.name}: read as {encoding} (dataset.encoding)")
    return Table(_emptied(cells, config, targets), notes, decimal)


def is_missing(column: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Tell which cells hold nothing."""
    missing: NDArray[np.bool_] = column == ""
    return missing


def matches(column: NDArray[np.str_], pattern: str) -> NDArray[np.bool_]:
    """Tell which cells are wholly of a regular expression."""
    compiled = re.compile(pattern)
    return np.array([compiled.fullmatch(cell) is not None for cell in column.tolist()], np.bool_)


def _suffix(path: Path) -> str:
    """Return the ending of a file's name, without that of its compression."""
    name = path.name.lower()
    return Path(name.removesuffix(".gz")).suffix


def _content(path: Path) -> bytes:
    """Return a file's bytes, decompressed where gzip compressed them."""
    content = path.read_bytes()
    if not content.startswith(b"\x1f\x8b"):
        return content
    with gzip.open(path) as file:
        content = file.read(max(zip_bombs.MUCH_BYTES, zip_bombs.MOST_RATIO * len(content)) + 1)
    zip_bombs.refuse(path, len(content))
    return content


def _decoded(content: bytes, encoding: str | None) -> tuple[str, str]:
    if encoding is None:
        if content.startswith(_UTF_16):
            encoding = "utf-16"
        else:
            try:
                return content.decode("utf-8-sig"), "utf-8"
            except UnicodeDecodeError:
                encoding = "latin-1"
    return content.decode(encoding), encoding


def _lines_of(text: str) -> tuple[str, str | None]:
    """Return text whose lines end in a way that all readers know, and the separator it names.

    Excel takes the separator from a first line ``sep=;``; old programs end lines with a carriage
    return alone.
    """
    if "\n" not in text:
        text = text.replace("\r", "\n")
    first, _, others = text.partition("\n")
    if found := re.fullmatch(r'"?sep=(.)"?\r?', first):
        return f"\n{others}", found[1]  # the other lines keep their numbers
    return text, None


def _rows(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the cells of each line; skip spaces behind a separator.

    They end before a cell that is longer than Python's reader takes; pandas takes it.
    """
    skips = separator in _SEPARATORS and separator != "\t"
    reader = csv.reader(io.StringIO(text), delimiter=separator, skipinitialspace=skips)
    with contextlib.suppress(csv.Error):
        for row in reader:
            yield reader.line_num, row


def _refuse_mixed_separators(text: str, separator: str, cells: Cells, path: Path) -> None:
    """Refuse a table in which other lines have another separator than the first."""
    *others, last = cells
    if not others or not is_missing(cells[last]).any():
        return
    signs = [sign for sign in _SEPARATORS if sign != separator]
    for line, row in _rows(text, separator):
        found = [sign for sign in signs if len(row) == 1 and row[0].count(sign) == len(others)]
        if found:
            raise RequestError(
                f"{path}: the first line is separated by {_NAMES.get(separator, separator)}, but "
                f"line {line} by {_NAMES[found[0]]} ({row[0][:40]!r}); use one separator"
            )


def _separator(text: str, path: Path) -> str:
    if _suffix(path) == ".tsv":
        return "\t"
    first = re.sub(r'"[^"]*"', "", text.lstrip("\n").partition("\n")[0])
    if not any(first.count(sign) for sign in _SEPARATORS):
        lines = [line.strip() for line in text.strip().splitlines()[:20]]
        counts = {line.count(" ") for line in lines}
        if len(lines) > 1 and len(counts) == 1 and counts != {0}:
            return " "
    return max(_SEPARATORS, key=first.count)


def _has_header(
    header: Sequence[str], config: TableConfig, targets: Sequence[str], path: Path
) -> bool:
    if config.header is not None:
        return config.header
    are_numbers = [bool(re.fullmatch(r"-?\d+([.,]\d+)?([eE][-+]?\d+)?", name)) for name in header]
    if header and sum(are_numbers) * 2 >= len(header) and not set(targets) <= set(header):
        raise RequestError(
            f"{path}: the first line looks like data ({', '.join(header[:4])}), not like a header "
            "of column names; add one, or say dataset.header=false, which names the columns "
            "column_1, column_2, ..."
        )
    return True


def _parsed(
    text: str, separator: str, names: Sequence[str], *, has_header: bool, path: Path
) -> Cells:
    import pandas as pd

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # cells beyond the columns
            frame = pd.read_csv(
                io.StringIO(text),
                sep=separator,
                header=0 if has_header else None,
                names=list(names),
                dtype=str,
                keep_default_na=False,
                index_col=False,
                skipinitialspace=separator in _SEPARATORS and separator != "\t",
                engine="c",
            )
    except (ValueError, OSError, pd.errors.ParserWarning) as error:
        reason = " ".join(str(error).split())
        if found := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", reason):
            expected, line, saw = found.groups()
            reason = (
                f"line {line} has {saw} cells, those before {expected}; take out what stands "
                f"before the header, and quote a cell that holds {_NAMES.get(separator, separator)}"
            )
        if reason.startswith("Length of header or names"):
            reason = _longer_row(text, separator, names) or reason
        raise RequestError(f"{path} cannot be read as CSV: {reason}") from error
    return {
        name: np.char.strip(frame[name].fillna("").to_numpy().astype(np.str_)) for name in names
    }


def _longer_row(text: str, separator: str, names: Sequence[str]) -> str | None:
    """Say which is the first row of more cells than there are names."""
    for line, row in _rows(text, separator):
        if len(row) > len(names):
            return (
                f"the first line has {len(names)} cells, line {line} has {len(row)}; name "
                f"all {len(row)} columns in the first line, or remove it and say "
                "dataset.header=false, which names them column_1, column_2, ..."
            )
    return None


def _decimal(cells: Cells, separator: str) -> str:
    """Return the decimal sign that the numbers show; "" if they show none."""
    if separator == ",":
        return "."
    with_comma = with_point = 0
    for column in cells.values():
        some = column[:1000]
        with_comma += int(matches(some, rf"{_SIGN}\d+(\.\d{{3}})*,\d+{_SIGN}").sum())
        has_point = matches(some, rf"{_SIGN}\d+(,\d{{3}})*\.\d+{_SIGN}")
        with_point += int((has_point & ~matches(some, _GROUPED)).sum())
    if with_comma == with_point == 0:
        return ""
    return "," if with_comma > with_point else "."


def _with_point(column: NDArray[np.str_]) -> NDArray[np.str_]:
    """Return a column of decimal commas with decimal points, and without points of thousands."""
    is_number = matches(column, rf"{_SIGN}[\d.]*\d,\d+([eE][-+]?\d+)?{_SIGN}")
    is_grouped = matches(column, _GROUPED)
    has_point = np.char.find(column, ".") >= 0
    if (is_grouped | ~has_point).all():  # 1.234 is one thousand here
        is_number = is_number | is_grouped
    pointed = np.char.replace(np.char.replace(column, ".", ""), ",", ".")
    return np.where(is_number, pointed, column)


def _emptied(cells: Cells, config: TableConfig, targets: Sequence[str]) -> Cells:
    """Return the same cells with "" in the place of whatever else says that nothing is there.

    A class may be called NA, and a text may be that word, so that both stay as they are.
    """
    words = [*MISSING, *(str(word) for word in config.missing or ())]
    kept = {*targets, *config.text_columns}
    return {
        name: column if name in kept else np.where(np.isin(column, words), "", column)
        for name, column in cells.items()
    }


def _parquet(path: Path, config: TableConfig, targets: Sequence[str]) -> Table:
    import pandas as pd

    try:
        frame = pd.read_parquet(path)
    except Exception as error:  # a damaged file may trip Arrow anywhere
        raise RequestError(f"{path} cannot be read as Parquet: {first_line(error)}") from error
    nested = nested_columns(frame)
    cells = {str(name): texts_of(frame[name]) for name in frame.columns if name not in nested}
    notes = [
        f"column {str(name)!r} is left out: its cells are lists or structs; make a column of each "
        "number in them"
        for name in nested
    ]
    return Table(_emptied(cells, config, targets), notes, ".")


def nested_columns(frame: "pd.DataFrame") -> list[Any]:
    """Return the names of the columns in which some cell holds several values."""

    def is_nested(cell: object) -> bool:
        return isinstance(cell, list | tuple | dict | np.ndarray)

    return [
        name
        for name, column in frame.items()
        if column.dtype == object and column.map(is_nested).any()
    ]

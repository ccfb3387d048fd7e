"""From a file of a table to its cells as text.

How the file is written is found out (`fitgap.data.table_format`, `fitgap.data.encodings`) and said,
and each of it has a setting that says otherwise. Parquet files say all of it themselves.
"""

import contextlib
import csv
import gzip
import io
import re
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fitgap.config.schema import TableConfig
from fitgap.data import encodings, regular_files, table_format, zip_bombs
from fitgap.data.encodings import Decoded
from fitgap.data.parts import PLAIN, Format
from fitgap.data.rows import MISSING, texts_of
from fitgap.data.table_format import SEPARATORS, name_of, without_quoted
from fitgap.errors import RequestError, first_line

if TYPE_CHECKING:
    import pandas as pd

Cells = dict[str, NDArray[np.str_]]

_OTHER_FILES = {  # by what they begin with
    b"PK\x03\x04": "an Excel workbook or another archive: save it as CSV, or unpack it",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook: save it as CSV",
    b"PAR1": "a Parquet file: name it .parquet",
    b"BZh": "packed by bzip2: unpack it",
    b"\xfd7zXZ": "packed by xz: unpack it",
    b"\x28\xb5\x2f\xfd": "packed by zstd: unpack it",
    b"%PDF": "a PDF document: save its table as CSV",
    b"SQLite format 3": "an SQLite database: export its table as CSV",
    b"version https://git-lfs": "a pointer of Git LFS: fetch the file with 'git lfs pull'",
    b"<": "a page of HTML or XML: save its table as CSV",
    b"{": "JSON: save it as CSV, for example with pandas.read_json(...).to_csv(...)",
    b"[{": "JSON: save it as CSV, for example with pandas.read_json(...).to_csv(...)",
}


class Table(NamedTuple):
    """What a file holds.

    Attributes
    ----------
    cells
        Text by column, stripped; numbers with a decimal point; "" for what is missing.
    notes
        What was found out, a line each.
    format
        How the file is written.
    """

    cells: Cells
    notes: list[str]
    format: Format


def read(
    path: Path, config: TableConfig, *, targets: Sequence[str], usual: Format = PLAIN
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
    usual
        How an earlier file of the same kind is written, for what this one does not show: 1.234
        alone may be more than one thousand.

    Raises
    ------
    RequestError
        If it cannot be read, has no names of columns or two of the same.
    """
    if path.suffix.lower() in (".parquet", ".pq"):
        return _parquet(path, config, targets)
    decoded = _decoded(path, config.encoding, usual.encoding)
    text, named_separator = _lines_of(decoded.text)
    separator = (config.separator or "").replace("\\t", "\t") or named_separator
    separator = separator or table_format.separator_of(text, path, usual=usual.separator)
    if separator == " ":  # one or more of them
        text = "\n".join(re.sub(" +", " ", line.strip()) for line in text.splitlines())
    names, has_header = _names(text, separator, config, targets, path)
    cells = _parsed(text, separator, names, has_header=has_header, path=path)
    _refuse_mixed_separators(text, separator, cells, path)
    decimal = config.decimal or table_format.decimal_of(cells, separator, usual=usual.decimal)
    notes = []
    if separator != "," and table_format.suffix_of(path) != ".tsv":
        notes.append(f"{path.name}: columns are separated by {name_of(separator)}")
    if decimal == ",":
        cells = {name: table_format.with_point(column) for name, column in cells.items()}
        notes.append(f"{path.name}: numbers have a decimal comma (dataset.decimal)")
    notes += decoded.notes(path.name)
    found = Format(separator, decimal, decoded.encoding)
    return Table(_emptied(cells, config, targets), notes, found)


def is_missing(column: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Tell which cells hold nothing."""
    missing: NDArray[np.bool_] = column == ""
    return missing


def _content(path: Path) -> bytes:
    """Return a file's bytes, decompressed where gzip compressed them."""
    content = path.read_bytes()
    if not content.startswith(b"\x1f\x8b"):
        return content
    with gzip.open(path) as file:
        content = file.read(max(zip_bombs.MUCH_BYTES, zip_bombs.MOST_RATIO * len(content)) + 1)
    zip_bombs.refuse(path, len(content))
    return content


def _decoded(path: Path, encoding: str | None, usual: str) -> Decoded:
    regular_files.refuse_others(path)
    try:
        content = _content(path)
    except (OSError, EOFError, zlib.error) as error:
        raise RequestError(f"{path} cannot be read: {error}") from error
    if kind := next((kind for mark, kind in _OTHER_FILES.items() if content.startswith(mark)), ""):
        raise RequestError(f"{path} is no table but {kind}")
    try:
        (decoded,) = encodings.decoded([content], encoding=encoding, usual=usual)
    except (UnicodeError, LookupError) as error:
        raise RequestError(f"{path} cannot be read: {error} (dataset.encoding)") from error
    if encoding is None and "\0" in decoded.text[:4096]:
        raise RequestError(
            f"{path} is no text: save it as CSV, unpack it, or say how its text is written, as "
            "dataset.encoding=utf-16-le"
        )
    return decoded


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
    skips = separator in SEPARATORS and separator != "\t"
    reader = csv.reader(io.StringIO(text), delimiter=separator, skipinitialspace=skips)
    with contextlib.suppress(csv.Error):
        for row in reader:
            yield reader.line_num, row


def _names(
    text: str, separator: str, config: TableConfig, targets: Sequence[str], path: Path
) -> tuple[list[str], bool]:
    """Return the names of the columns, and whether the first line holds them."""
    rows = (row for _, row in _rows(text, separator) if row)
    header = [name.strip() for name in next(rows, [])]
    if not header:
        raise RequestError(f"{path} cannot be read as CSV: it has no line of column names")
    if all(re.fullmatch("'.+'", name) for name in header):
        header = [name[1:-1] for name in header]
    numbered = [f"column_{i}" for i in range(1, len(header) + 1)]
    if not _has_header(header, config, targets, path):
        return numbered, False
    if header.count("") > 1:  # one alone holds the names of rows
        header = [name or number for name, number in zip(header, numbered, strict=True)]
    _refuse_repeated(header, path, "the first line")
    return header, True


def _refuse_repeated(names: Sequence[str], path: Path, place: str) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise RequestError(
            f"{path} cannot be read: there are two columns {twice[0]!r}; give one of them another "
            f"name in {place}"
        )


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


def _refuse_mixed_separators(text: str, separator: str, cells: Cells, path: Path) -> None:
    """Refuse a table in which a line has other separators than the first."""
    *others, last = cells
    if not others or not is_missing(cells[last]).any():
        return
    lines = text.split("\n")
    for line, row in _rows(text, separator):
        if len(row) > len(others):
            continue
        plain = without_quoted(lines[line - 1])
        if len(row) > 1:
            plain = re.sub(r"(?<=\d),(?=\d)", "", plain)  # decimal commas
        missing = len(others) + 1 - len(row)
        found = [sign for sign in SEPARATORS if sign != separator and plain.count(sign) == missing]
        if found:
            also = "" if len(row) == 1 else f"{name_of(separator)} and "
            raise RequestError(
                f"{path}: the first line is separated by {name_of(separator)}, but line {line} by "
                f"{also}{name_of(found[0])} ({lines[line - 1][:40]!r}); use one separator"
            )


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
                skipinitialspace=separator in SEPARATORS and separator != "\t",
                engine="c",
            )
    except (ValueError, OSError, pd.errors.ParserWarning) as error:
        reason = _reason(" ".join(str(error).split()), text, separator, names)
        raise RequestError(f"{path} cannot be read as CSV: {reason}") from error
    return {
        name: np.char.strip(frame[name].fillna("").to_numpy().astype(np.str_)) for name in names
    }


def _reason(message: str, text: str, separator: str, names: Sequence[str]) -> str:
    """Return what is wrong with a file, in words that name the line."""
    if found := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", message):
        expected, line, saw = found.groups()
        return (
            f"line {line} has {saw} cells, those before {expected}; take out what stands before "
            f"the header, and quote a cell that holds {name_of(separator)}"
        )
    if found := re.search(r"EOF inside string starting at row (\d+)", message):
        return f"a quotation mark in line {int(found[1]) + 1} has none that ends its cell"
    if not message.startswith("Length of header or names"):
        return message
    first, *others = [(line, row) for line, row in _rows(text, separator) if row]
    longer = ((line, len(row)) for line, row in others if len(row) > len(names))
    line, saw = next(longer, (0, 0))
    shown = text.split("\n")[first[0] - 1].strip()
    signs = [sign for sign in SEPARATORS if sign in without_quoted(shown)]
    if len(signs) > 1 and saw == 1 + sum(map(without_quoted(shown).count, signs)):
        return (
            f"the first line mixes {' and '.join(map(name_of, signs))} ({shown[:40]!r}), line "
            f"{line} has {saw} cells separated by {name_of(separator)}; use one separator"
        )
    if len(names) == 1:
        return (
            f"the first line ({shown[:40]!r}) has 1 cell, line {line} has {saw}; remove all lines "
            "before the one with the names of the columns"
        )
    return (
        f"the first line has {len(names)} cells, line {line} has {saw}; name all {saw} columns in "
        "the first line, or remove it and say dataset.header=false, which names them column_1, "
        "column_2, ..."
    )


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
    from pyarrow import parquet

    try:
        _refuse_repeated(parquet.read_schema(path).names, path, "the file")
        frame = pd.read_parquet(path)
    except RequestError:
        raise
    except Exception as error:  # a damaged file may trip Arrow anywhere
        raise RequestError(f"{path} cannot be read as Parquet: {first_line(error)}") from error
    nested = nested_columns(frame)
    cells = {str(name): texts_of(frame[name]) for name in frame.columns if name not in nested}
    notes = [
        f"column {str(name)!r} is left out: its cells are lists or structs; make a column of each "
        "number in them"
        for name in nested
    ]
    return Table(_emptied(cells, config, targets), notes, PLAIN)


def nested_columns(frame: "pd.DataFrame") -> list[Any]:
    """Return the names of the columns in which some cell holds several values."""

    def is_nested(cell: object) -> bool:
        return isinstance(cell, list | tuple | dict | np.ndarray)

    return [
        name
        for name, column in frame.items()
        if column.dtype == object and column.map(is_nested).any()
    ]

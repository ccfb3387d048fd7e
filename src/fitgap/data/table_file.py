"""From a file of a table to its cells as text.

How the file is written is found out (`fitgap.data.table_format`, `fitgap.data.encodings`) and said,
and each of it has a setting that says otherwise. Parquet files say all of it themselves.
"""

import csv
import gzip
import io
import re
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fitgap.config.schema import TableConfig
from fitgap.data import encodings, regular_files, table_errors, table_format, zip_bombs
from fitgap.data.encodings import Decoded
from fitgap.data.parts import PLAIN, Format
from fitgap.data.rows import MISSING, texts_of
from fitgap.data.table_format import SEPARATORS, name_of
from fitgap.errors import RequestError, first_line

if TYPE_CHECKING:
    import pandas as pd

Cells = dict[str, NDArray[np.str_]]


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
    *others, last = cells
    if others and is_missing(cells[last]).any():
        table_errors.refuse_mixed_separators(text, separator, path, num_columns=len(cells))
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
    table_errors.refuse_other_kinds(content, path)
    try:
        (decoded,) = encodings.decoded([content], encoding=encoding, usual=usual)
    except (ValueError, LookupError) as error:
        raise RequestError(f"{path} cannot be read: {error} (dataset.encoding)") from error
    if encoding is None and "\0" in decoded.text[:4096]:
        raise RequestError(
            f"{path} is not text: save it as CSV, unpack it, or say how its text is written, "
            "such as dataset.encoding=utf-16-le"
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


def _names(
    text: str, separator: str, config: TableConfig, targets: Sequence[str], path: Path
) -> tuple[list[str], bool]:
    """Return the names of the columns, and whether the first line holds them."""
    rows = (row for _, row in table_format.rows(text, separator) if row)
    header = [name.strip() for name in next(rows, [])]
    if not header:
        limit = csv.field_size_limit()
        what = "it has no line of column names"
        if text.strip():
            what = f"a name in the first line has more than {limit} letters"
        raise RequestError(f"{path} cannot be read as CSV: {what}")
    if all(re.fullmatch("'.+'", name) for name in header):
        header = [name[1:-1] for name in header]
    numbered = [f"column_{i}" for i in range(1, len(header) + 1)]
    if not _has_header(header, config, targets, path):
        return numbered, False
    if header.count("") > 1:  # one alone holds the names of rows
        header = [name or number for name, number in zip(header, numbered, strict=True)]
    table_errors.refuse_repeated(header, path, "the first line")
    return header, True


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
                skipinitialspace=separator in SEPARATORS and separator != "\t",
                engine="c",
            )
    except (ValueError, OSError, pd.errors.ParserWarning) as error:
        message = " ".join(str(error).split())
        reason = table_errors.explain(message, text, separator, names=names)
        raise RequestError(f"{path} cannot be read as CSV: {reason}") from error
    cells = {name: frame[name].fillna("").to_numpy() for name in names}
    for name, column in cells.items():
        _refuse_wide(name, column, path)
    return {name: np.char.strip(column.astype(np.str_)) for name, column in cells.items()}


def _refuse_wide(name: str, column: NDArray[Any], path: Path) -> None:
    """Raise a `RequestError` if one cell is so long that its column would fill the memory.

    NumPy gives every text of an array the room of the longest.
    """
    longest = max((len(cell) for cell in column if isinstance(cell, str | bytes)), default=0)
    room = 4 * longest * len(column)
    if room > zip_bombs.MUCH_BYTES and room > zip_bombs.MOST_RATIO * path.stat().st_size:
        raise RequestError(
            f"{path}: column {name!r} has a cell of {longest} letters, and with {len(column)} rows "
            f"it would take {room / 2**30:.0f} GB: shorten that cell"
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
        file = parquet.read_metadata(path)
        table_errors.refuse_repeated(file.schema.to_arrow_schema().names, path, "the file")
        groups = [file.row_group(i).total_byte_size for i in range(file.num_row_groups)]
        zip_bombs.refuse(path, max(8 * file.num_rows * file.num_columns, sum(groups)))
        frame = pd.read_parquet(path)
        if any(name is not None for name in frame.index.names):  # a column of the file, to others
            frame = frame.reset_index()
    except RequestError:
        raise
    except Exception as error:  # a damaged file may trip Arrow anywhere
        raise RequestError(f"{path} cannot be read as Parquet: {first_line(error)}") from error
    nested = nested_columns(frame)
    for name in frame.columns:
        if frame[name].dtype.kind == "O":
            _refuse_wide(str(name), frame[name].to_numpy(), path)
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

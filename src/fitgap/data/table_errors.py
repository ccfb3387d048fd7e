"""What is wrong with a file that is no readable table, in words that say what to do.

Nothing here decides how a table is read, only which error a person gets.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from fitgap.config.checks import did_you_mean
from fitgap.data.table_format import SEPARATORS, name_of, rows, without_quoted
from fitgap.errors import RequestError

_OTHER_KINDS = {  # of files, by what they begin with
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


def refuse_other_kinds(content: bytes, path: Path) -> None:
    """Refuse a file that is no table by what it begins with, such as an Excel workbook.

    Parameters
    ----------
    content
        Of the file, decompressed.
    path
        Of the file, for the message.

    Raises
    ------
    RequestError
        Naming the kind of file, and how to make a table of it.
    """
    kind = next((kind for mark, kind in _OTHER_KINDS.items() if content.startswith(mark)), None)
    if kind is not None:
        raise RequestError(f"{path} is not a table but {kind}")


def unknown_column(
    named: str, name: str, columns: Iterable[str], *, way_out: str = ""
) -> RequestError:
    """Return the error that a setting names a column which a table does not have.

    Parameters
    ----------
    named
        The setting with the name, as the message has it, such as ``dataset.label=kind``.
    name
        Of the column.
    columns
        The names of the columns that the table has.
    way_out
        What to do, as the end of the message; empty: the nearest name, if one is near.
    """
    names = list(columns)
    shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    way_out = way_out or did_you_mean(name, names)
    return RequestError(f"{named} is not a column of {shown}{way_out}")


def refuse_repeated(names: Sequence[str], path: Path, place: str) -> None:
    """Refuse a table with two columns of the same name.

    Parameters
    ----------
    names
        Of the columns.
    path
        Of the file, for the message.
    place
        Where the file has the names, for the message.

    Raises
    ------
    RequestError
        Naming the first such column.
    """
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise RequestError(
            f"{path} cannot be read: there are two columns {twice[0]!r}; give one of them another "
            f"name in {place}"
        )


def refuse_mixed_separators(text: str, separator: str, path: Path, *, num_columns: int) -> None:
    """Refuse a table in which a line is separated by another character than the first line.

    Such a line has too few cells, but pandas reads it without an error.

    Parameters
    ----------
    text
        Of the whole file.
    separator
        Of the first line.
    path
        Of the file, for the message.
    num_columns
        How many cells the first line has.

    Raises
    ------
    RequestError
        Naming the line, and the separator it has.
    """
    lines = text.split("\n")
    for line, row in rows(text, separator):
        if len(row) >= num_columns:
            continue
        plain = without_quoted(lines[line - 1])
        if len(row) > 1:
            plain = re.sub(r"(?<=\d),(?=\d)", "", plain)  # decimal commas
        missing = num_columns - len(row)
        found = [sign for sign in SEPARATORS if sign != separator and plain.count(sign) == missing]
        if found:
            also = "" if len(row) == 1 else f"{name_of(separator)} and "
            raise RequestError(
                f"{path}: the first line is separated by {name_of(separator)}, but line {line} by "
                f"{also}{name_of(found[0])} ({lines[line - 1][:40]!r}); use one separator"
            )


def explain(message: str, text: str, separator: str, *, names: Sequence[str]) -> str:
    """Return what is wrong with a table that pandas cannot read, in words that name the line.

    Parameters
    ----------
    message
        Of pandas's error, on one line.
    text
        Of the whole file.
    separator
        Of the columns.
    names
        Of the columns, from the first line.

    Returns
    -------
    str
        The message itself if it is not one of those that are known.
    """
    if found := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", message):
        expected, line, saw = found.groups()
        return (
            f"line {line} has {saw} cells, those before {expected}; remove what is before "
            f"the header, and quote a cell that holds {name_of(separator)}"
        )
    if found := re.search(r"EOF inside string starting at row (\d+)", message):
        return f"a quotation mark in line {int(found[1]) + 1} has none that ends its cell"
    if not message.startswith("Length of header or names"):
        return message
    first, *others = [(line, row) for line, row in rows(text, separator) if row]
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

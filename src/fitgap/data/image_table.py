"""The table beside images, ``metadata.csv``: their classes, groups and times, by file."""

import csv
import io
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fitgap.data import encodings, regular_files, table_format
from fitgap.errors import RequestError

NAME = "metadata.csv"
_FILE_COLUMNS = ("file_name", "filename", "file", "image", "path")
_LABEL_COLUMNS = ("label", "class", "category")

Row = Mapping[str, str]


@dataclass(frozen=True)
class ImageTable:
    """Rows by the name of their file, relative to the table's folder.

    Attributes
    ----------
    shown
        What messages call the table.
    columns
        Their names.
    rows
        By file.
    label_column
        None: it says no classes.
    notes
        What a person should know of how it was read, a line each.
    """

    shown: str
    columns: Sequence[str]
    rows: Mapping[str, Row]
    label_column: str | None
    notes: Sequence[str] = ()

    def rows_of(self, names: Sequence[str]) -> list[Row]:
        """Return the row of each file; one of another folder may be named without that folder.

        Raises
        ------
        RequestError
            If one has none, or two would share theirs.
        """
        found: dict[str, str] = {}
        for name in names:
            named = name if name in self.rows else name.rpartition("/")[2]
            if named not in self.rows:
                first = next(iter(self.rows), None)
                others = f"; its first row is for {first!r}" if first else ""
                raise RequestError(f"{self.shown} has no row for {name}{others}")
            if named in found:
                raise RequestError(
                    f"{self.shown} names {named!r}, which may be {found[named]} or {name}; write "
                    "the folder before the name"
                )
            found[named] = name
        return [self.rows[named] for named in found]

    def labels(self, names: Sequence[str]) -> list[str]:
        """Return the classes of some files, which must be all that the table names."""
        assert self.label_column is not None
        found = [row[self.label_column] for row in self.rows_of(names)]
        known = {part for name in names for part in (name, name.rpartition("/")[2])}
        if absent := [name for name in self.rows if name not in known]:
            raise RequestError(f"{self.shown} names {absent[0]!r}, which is not beside it")
        if "" in found:
            raise RequestError(f"{self.shown} has no label for {names[found.index('')]!r}")
        return [unicodedata.normalize("NFC", label) for label in found]


def read(path: Path, *, shown: str) -> ImageTable | None:
    """Read a table beside images.

    Parameters
    ----------
    path
        Of the table.
    shown
        Its name in messages.

    Returns
    -------
    ImageTable or None
        None if there is no such file, or it has no column with the names of images.

    Raises
    ------
    RequestError
        If it cannot be read, or has two rows for one file.
    """
    regular_files.refuse_others(path)
    if not path.is_file():
        return None
    try:
        (decoded,) = encodings.decoded([path.read_bytes()])
        separator = table_format.separator_of(decoded.text, path, usual=",")
        table = csv.DictReader(io.StringIO(decoded.text, newline=""), delimiter=separator)
        lines = list(table)
        columns = [str(name) for name in table.fieldnames or ()]
    except (OSError, UnicodeError, csv.Error) as error:
        raise RequestError(f"{shown} cannot be read: {error}") from error
    if repeated := [name for name, times in Counter(columns).items() if name and times > 1]:
        raise RequestError(f"{shown} has two columns {repeated[0]!r}")
    if longer := [i for i, line in enumerate(lines, 1) if any(line.get(None, ()))]:
        raise RequestError(f"{shown}: row {longer[0]} has more cells than there are columns")
    file_column, label_column = (
        next((name for name in columns if name.strip().lower() in known), None)
        for known in (_FILE_COLUMNS, _LABEL_COLUMNS)
    )
    if file_column is None:
        return None
    rows: dict[str, Row] = {}
    for line in lines:
        row = {name: (line.get(name) or "").strip() for name in columns}
        name = row[file_column].replace("\\", "/").removeprefix("./")  # as Windows writes paths
        if rows.setdefault(name, row) != row:
            raise RequestError(f"{shown} has two rows for {name!r}, which differ")
    notes = decoded.notes(shown, way_out="save it as UTF-8")
    return ImageTable(shown, columns, rows, label_column, notes)

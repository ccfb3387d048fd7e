"""What every reader of the user's data returns: parts, labels, what their columns are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fitgap.data.disk_arrays import Images, select
from fitgap.errors import RequestError

Labels = NDArray[np.int64]
RawLabels = NDArray[np.generic]


@dataclass(frozen=True)
class Format:
    """How a file of text is written; the record keeps that of the file a network learned from.

    Attributes
    ----------
    separator
        What stands between cells.
    decimal
        ``.`` or ``,``.
    encoding
        A codec of Python.
    """

    separator: str = ","
    decimal: str = "."
    encoding: str = "utf-8"


PLAIN = Format()


@dataclass(frozen=True)
class SplitColumns:
    """The names of the columns ``split.group`` and ``split.order``, if these are set."""

    group: str | None = None
    order: str | None = None

    def refuse(self, reason: str) -> None:
        """Raise a `RequestError` if a column is named for data that have no columns."""
        for setting, name in (("group", self.group), ("order", self.order)):
            if name is not None:
                raise RequestError(f"split.{setting}={name}: {reason}")


@dataclass(frozen=True)
class Words:
    """What the numbers of a text stand for.

    Attributes
    ----------
    known
        The word of each number, from `fitgap.data.texts.FIRST_WORD` on.
    most
        How many of them a network may know.
    column
        What the texts are called if they are in a table.
    """

    known: tuple[str, ...]
    most: int
    column: str


@dataclass(frozen=True)
class Column:
    """A column of a table that is a feature: numbers, categories or texts.

    Attributes
    ----------
    name
        Its name in the table.
    categories
        Of categories: their names.
    embed_dim
        If the network learns a vector for each category or word: how many numbers it has.
    words
        Of texts: what the numbers of their words stand for.
    length
        How many columns of ``x`` hold it: of texts as many as words are used of each.
    """

    name: str
    categories: tuple[str, ...] | None = None
    embed_dim: int | None = None
    words: Words | None = None
    length: int = 1

    @property
    def is_number(self) -> bool:
        """Whether it holds numbers."""
        return self.categories is None and self.words is None


def by_column(
    x: NDArray[np.float32], columns: Sequence[Column]
) -> Iterator[tuple[Column, NDArray[np.float32]]]:
    """Yield each column of an unencoded table with its values.

    Parameters
    ----------
    x
        Numbers, and numbers of categories and words; float32 of shape (n, values).
    columns
        In the order of ``x``. A column of texts takes as many values as its texts have words.

    Yields
    ------
    column, values
        Shape (n,), for texts (n, length).
    """
    start = 0
    for column in columns:
        values = x[:, start : start + column.length]
        yield column, values[:, 0] if column.words is None else values
        start += column.length


@dataclass(frozen=True, eq=False)
class Part:
    """Images and their labels as a reader found them.

    Attributes
    ----------
    x
        See `Images`.
    labels
        Of shape (n,) or (n, 1): text or whole numbers, not yet checked.
    labels_name
        What a message calls the labels, such as ``y_train``.
    names
        What a message calls each image, such as its file; empty: its number.
    is_val
        bool of shape (n,): what the data bring as their validation part, at the end of the
        training part; None: they bring none.
    groups, order
        Of shape (n,): the values of the columns ``split.group`` and ``split.order``.
    outputs
        The names of the columns of ``labels``, where there are several and they have names.
    columns
        Of a table: what the columns of ``x`` are. A missing value is NaN there, a category its
        number.
    is_quantity
        Whether whole numbers are a quantity all the same, and no classes.
    """

    x: Images
    labels: RawLabels
    labels_name: str
    names: Sequence[str] = ()
    is_val: NDArray[np.bool_] | None = None
    groups: RawLabels | None = None
    order: RawLabels | None = None
    outputs: Sequence[str] = ()
    is_quantity: bool = False
    columns: tuple[Column, ...] = ()

    def numbered(self, y: Labels, *, array: str) -> "NumberedPart":
        """Return the same samples with what a network learns of each.

        Parameters
        ----------
        y
            See `NumberedPart`.
        array
            What messages call the samples that have no names.
        """
        names = self.names or row_names(array, len(self.x))
        return NumberedPart(self.x, y, names, self.is_val, self.groups, self.order)

    def followed_by(self, val: "Part") -> "Part":
        """Return one part of these samples and, after them, those of the validation part."""
        groups, order = (
            None if first is None or second is None else np.concatenate([first, second])
            for first, second in ((self.groups, val.groups), (self.order, val.order))
        )
        n = len(self.x) + len(val.x)
        return replace(
            self,
            x=np.concatenate([np.asarray(self.x), np.asarray(val.x)]),
            labels=np.concatenate([self.labels, val.labels]),
            names=[*self.names, *val.names],
            is_val=np.arange(n) >= len(self.x),
            groups=groups,
            order=order,
        )


@dataclass(frozen=True)
class Parts:
    """What a reader found.

    Attributes
    ----------
    train
        The training part and, at its end, the validation part if the data bring one.
    test
        None: it is held out.
    notes
        What a person should know of how the data were read, a line each.
    words
        Of texts: what the numbers in ``x`` stand for.
    format
        Of a table or texts: how the file is written.
    """

    train: Part
    test: Part | None
    notes: tuple[str, ...] = ()
    words: "Words | None" = None
    format: Format = PLAIN

    def with_notes(self, notes: Sequence[str]) -> "Parts":
        """Return the same parts with further notes."""
        return replace(self, notes=(*self.notes, *notes))


@dataclass(frozen=True, eq=False)
class NumberedPart:
    """Images and what a network learns of each.

    Attributes
    ----------
    x
        Images: uint8 of shape (n, height, width) or (n, height, width, channels), never scaled
        here. Or features: float32, mostly of shape (n, features). In memory, or a
        `fitgap.data.disk_arrays.DiskRows`.
    y
        Of classes, int64 of shape (n,), class numbers from 0; of numbers, float32 of shape (n,)
        or (n, outputs); of label sets, uint8 of shape (n, labels), 0 and 1.
    names, is_val, groups, order
        As of `Part`.
    rows
        Of samples that were selected: int64 positions among all that the reader found; None: these
        are all, in order.
    """

    x: Images
    y: Labels
    names: Sequence[str] = ()
    is_val: NDArray[np.bool_] | None = None
    groups: RawLabels | None = None
    order: RawLabels | None = None
    rows: NDArray[np.int64] | None = None

    def select(self, rows: NDArray[np.int64]) -> "NumberedPart":
        """Return some of the images; each must have a name, since their numbers change."""
        return NumberedPart(
            x=select(self.x, rows),
            y=self.y[rows],
            names=[self.names[row] for row in rows.tolist()],
            is_val=None if self.is_val is None else self.is_val[rows],
            groups=None if self.groups is None else self.groups[rows],
            order=None if self.order is None else self.order[rows],
            rows=self.places_of(rows),
        )

    def places_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where some of these samples are among all that the reader found."""
        return rows if self.rows is None else self.rows[rows]


def row_names(array: str, n: int) -> list[str]:
    """Return names for images without names: array and row, such as ``x_train[3]``."""
    return [f"{array}[{row}]" for row in range(n)]

"""The columns of a table as a network takes them: gaps filled, categories as columns of 0 and 1.

Where a network learns a vector for each category, the column becomes one of numbers from 0:
unknown, the categories, missing. A column of texts becomes as many columns as words are used of
each text; they hold the ranks of the words. The network's first layer takes both
(`fitgap.models.embeddings`).

Medians and known categories are those of the training partition alone. A number that is missing
becomes the median, and another column says so; a category that the training partition has not is
a row of zeros. A table of numbers without gaps stays as it is.

Training goes on over what is made here, once. In the saved model `fitgap.models.row_layers` does
the same to rows as a person has them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fitgap.data import texts
from fitgap.data.datasets import Dataset
from fitgap.data.parts import Column, Words, by_column
from fitgap.data.splits import Split

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ColumnEncoding:
    """How one column is encoded.

    Attributes
    ----------
    column
        Its name and kind.
    fill
        Stands for a missing number: the median.
    categories
        The numbers of the categories that the training partition has, each a column of its own;
        of texts, the numbers of the words that are known, the most frequent first.
    marks_missing
        Whether a further column says that the value is missing.
    """

    column: Column
    fill: float
    categories: tuple[int, ...]
    marks_missing: bool

    def apply(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the columns that the network gets; shape (n, its number of them)."""
        if self.column.words is not None:
            ranks = _ranks(self.column.words, self.categories)
            return ranks[values.astype(np.int64)].astype(np.float32)
        missing = np.isnan(values)
        if self.column.embed_dim is not None:
            known = np.array(self.categories, np.float32)
            place = np.searchsorted(known, values)  # they ascend; NaN is behind all
            is_known = np.append(known, np.nan)[place] == values
            number = np.where(is_known, place + 1, 0)
            if self.marks_missing:
                number = np.where(missing, len(known) + 1, number)
            return number.astype(np.float32)[:, np.newaxis]
        if self.column.categories is None:
            made = [np.where(missing, np.float32(self.fill), values)]
        else:
            made = [(values == number).astype(np.float32) for number in self.categories]
        if self.marks_missing:
            made.append(missing.astype(np.float32))
        if not made:
            return np.zeros((len(values), 0), np.float32)
        return np.stack(made, axis=1)

    @property
    def width(self) -> int:
        """How many columns the network gets."""
        if self.column.embed_dim is not None:
            return self.column.length
        numbers = 1 if self.column.categories is None else len(self.categories)
        return numbers + self.marks_missing


@dataclass(frozen=True)
class Embedded:
    """Columns of the network's input that hold numbers of categories or of words.

    Attributes
    ----------
    position
        Of the first column, from 0.
    input_dim, output_dim
        How many categories or words have a number, and how many numbers stand for each; the
        parameters of ``keras.layers.Embedding``.
    length
        How many columns there are: 1 for categories, one for each word of a text.
    """

    position: int
    input_dim: int
    output_dim: int
    length: int = 1


def learn(x: NDArray[np.float32], columns: Sequence[Column]) -> tuple[ColumnEncoding, ...]:
    """Learn from the training partition how each column is encoded.

    Parameters
    ----------
    x
        float32 of shape (n, columns): numbers, and the numbers of categories and words; NaN is
        missing.
    columns
        What they are.
    """
    learned = []
    for column, values in by_column(x, columns):
        if column.words is not None:
            known = _known_words(values.astype(np.int64), column.words)
            learned.append(ColumnEncoding(column, 0.0, known, marks_missing=False))
            continue
        missing = np.isnan(values)
        present = values[~missing]
        is_number = column.is_number
        learned.append(
            ColumnEncoding(
                column=column,
                fill=float(np.median(present)) if is_number and len(present) else 0.0,
                categories=() if is_number else tuple(np.unique(present).astype(int).tolist()),
                marks_missing=bool(missing.any()),
            )
        )
    return tuple(learned)


def encode(x: NDArray[np.float32], learned: Sequence[ColumnEncoding]) -> NDArray[np.float32]:
    """Encode the columns of a table for the network.

    Parameters
    ----------
    x
        See `fitgap.data.parts.by_column`; float32 of shape (n, values).
    learned
        How each column is encoded, from the training partition.

    Returns
    -------
    array of float32
        Shape (n, features).
    """
    values_of = by_column(x, [each.column for each in learned])
    made = [each.apply(values) for each, (_, values) in zip(learned, values_of, strict=True)]
    return np.ascontiguousarray(np.concatenate(made, axis=1))


def _known_words(numbers: NDArray[np.integer[Any]], words: Words) -> tuple[int, ...]:
    """Return the numbers of the most frequent words, the most frequent first."""
    first = texts.FIRST_WORD
    counts = np.bincount(numbers.reshape(-1), minlength=len(words.known) + first)[first:]
    # Of equals, in the order of the words, in which they are numbered.
    ranked = np.argsort(-counts, kind="stable")[: words.most]
    return tuple((ranked[counts[ranked] > 0] + first).tolist())


def _ranks(words: Words, known: Sequence[int]) -> NDArray[np.int32]:
    """Return what the network gets for each number of a word: its rank, or the unknown word."""
    first = texts.FIRST_WORD
    ranks = np.full(len(words.known) + first, texts.UNKNOWN, np.int32)
    ranks[texts.PADDING] = texts.PADDING
    ranks[np.array(known, np.int64)] = np.arange(len(known)) + first
    return ranks


@dataclass(frozen=True, eq=False)
class Preprocessing:
    """What was learned of the training partition, and some rows as they were before.

    Attributes
    ----------
    columns
        What becomes of each column of a table.
    example
        The first rows of the test part.
    words
        Of texts: the words that are known, the most frequent first.
    """

    columns: tuple[ColumnEncoding, ...]
    example: "pd.DataFrame"
    words: Words | None = None

    @property
    def embedded(self) -> tuple[Embedded, ...]:
        """The columns that the network's first layer makes vectors of."""
        found, position = [], 0
        for each in self.columns:
            if each.column.embed_dim is not None:
                # Besides those that are known, there is the unknown one, and missing or padding.
                others = 1 + (each.marks_missing or each.column.words is not None)
                input_dim = len(each.categories) + others
                found.append(
                    Embedded(position, input_dim, each.column.embed_dim, each.column.length)
                )
            position += each.width
        return tuple(found)


def encoded(dataset: Dataset, split: Split) -> tuple[Dataset, Preprocessing | None]:
    """Return a dataset as the network takes it, and what was learned for its encoding.

    Parameters
    ----------
    dataset
        As read.
    split
        Only samples of its training partition are learned from.

    Returns
    -------
    dataset : Dataset
        The same one if it is neither a table nor texts.
    learned : Preprocessing or None
        None if the dataset is the same.
    """
    if dataset.words:
        return _encoded_texts(dataset, split, dataset.words)
    if not dataset.columns:
        return dataset, None
    learned = learn(np.asarray(dataset.x_train)[split.train], dataset.columns)
    made = replace(
        dataset,
        train=replace(dataset.train, x=encode(np.asarray(dataset.x_train), learned)),
        test=replace(dataset.test, x=encode(np.asarray(dataset.x_test), learned)),
        notes=(*dataset.notes, *unseen_categories(dataset, split)),
    )
    return made, Preprocessing(learned, rows_of(np.asarray(dataset.x_test[:3]), dataset.columns))


def unseen_categories(dataset: Dataset, split: Split) -> tuple[str, ...]:
    """Say which categories of a table the training partition does not have, a line a column.

    Parameters
    ----------
    dataset, split
        A table as it was read, and how its training part is divided.
    """
    if not dataset.columns:
        return ()
    x = np.asarray(dataset.x_train)
    parts = {"train": x[split.train], "val": x[split.val], "test": np.asarray(dataset.x_test)}
    found = []
    values_of = zip(*(by_column(part, dataset.columns) for part in parts.values()), strict=True)
    for (column, train), *others in values_of:
        if column.categories is None:
            continue
        unseen = np.concatenate([values[~np.isin(values, train)] for _, values in others])
        unseen = unseen[~np.isnan(unseen)].astype(int)
        if len(unseen):
            shown = ", ".join(repr(column.categories[i]) for i in np.unique(unseen)[:3])
            found.append(
                f"column {column.name!r}: {len(unseen)} rows of val and test have a category that "
                f"no row of the training partition has ({shown}); the network cannot know it"
            )
    return tuple(found)


def _encoded_texts(dataset: Dataset, split: Split, words: Words) -> tuple[Dataset, Preprocessing]:
    """Give the most frequent words of the training partition the numbers of their rank."""
    known = _known_words(np.asarray(dataset.x_train)[split.train], words)
    ranks = _ranks(words, known)
    learned = replace(words, known=tuple(words.known[i - texts.FIRST_WORD] for i in known))
    made = replace(
        dataset,
        train=replace(dataset.train, x=ranks[np.asarray(dataset.x_train)]),
        test=replace(dataset.test, x=ranks[np.asarray(dataset.x_test)]),
        words=learned,
    )
    example = texts_of(np.asarray(dataset.x_test[:3]), words)
    return made, Preprocessing((), example, learned)


def texts_of(x: NDArray[np.int32], words: Words) -> "pd.DataFrame":
    """Return texts from the numbers of their words, as a table of one column.

    Parameters
    ----------
    x
        Numbers of words, padded; int32 of shape (n, length).
    words
        What the numbers stand for.
    """
    import pandas as pd

    return pd.DataFrame({words.column: _joined_words(x, words)})


def _joined_words(x: NDArray[np.integer[Any]], words: Words) -> list[str]:
    first = texts.FIRST_WORD
    return [" ".join(words.known[number - first] for number in row if number >= first) for row in x]


def as_given(x: Any, dataset: Dataset) -> Any:
    """Return samples of a dataset as its saved network takes them: rows of a table, or texts.

    Parameters
    ----------
    x
        Samples as the dataset has them, along the first axis.
    dataset
        Says whether it is a table, texts or neither.
    """
    if dataset.words:
        return texts_of(x, dataset.words)
    return rows_of(x, dataset.columns) if dataset.columns else x


def rows_of(x: NDArray[np.float32], columns: Sequence[Column]) -> "pd.DataFrame":
    """Return a table's rows as they were before categories had numbers.

    Parameters
    ----------
    x
        float32 of shape (n, columns), as a `Dataset` has them.
    columns
        What they are.
    """
    import pandas as pd

    made: dict[str, Sequence[str | None] | NDArray[np.float32]] = {}
    for column, values in by_column(x, columns):
        if column.words is not None:
            made[column.name] = _joined_words(values.astype(np.int64), column.words)
        elif (names := column.categories) is not None:
            made[column.name] = [None if np.isnan(one) else names[int(one)] for one in values]
        else:
            made[column.name] = values
    return pd.DataFrame(made)

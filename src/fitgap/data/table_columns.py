"""Which columns of a table are features, and whether they hold numbers or categories."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fitgap.config.checks import did_you_mean
from fitgap.config.schema import TableConfig
from fitgap.data import table_errors, texts
from fitgap.data.labels import natural_key
from fitgap.data.parts import Column, SplitColumns, Words
from fitgap.data.rows import numbers_of
from fitgap.data.table_file import Cells, is_missing
from fitgap.data.table_format import SEPARATORS, matches
from fitgap.errors import RequestError

# A column of numbers may hold so many cells of text before it is taken as one of text; any number
# of them, if they are a word or two among many numbers, as a dash in the place of what is missing.
_FEW_TEXTS = 0.1
_FEW_WORDS, _MANY_NUMBERS = 2, 20
_MOST_CATEGORIES = 1000  # of a column that is not embedded
_FEWEST_ROWS = 20  # below, "different in every row" says nothing
_UNNAMED = "label"  # the target, where dataset.label is left out
_TARGETS = ("target", "class", "y", "labels", "species", "outcome", "category", "diagnosis")
_MONTH = r"(?i:(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*)"
_DAY = (
    r"\d{4}[-/]\d{1,2}[-/]\d{1,2}|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}"
    rf"|\d{{1,2}}[ -]{_MONTH}[ -]\d{{2,4}}|{_MONTH} \d{{1,2}},? \d{{4}}"
)
_CLOCK = r"\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?( ?[AaPp]\.?[Mm]\.?)?"
_DATE = rf"({_DAY})([ T]\d{{1,2}}:\d{{2}}.*)?"


@dataclass(frozen=True)
class File:
    """One file's cells as text, what messages call it, and its rows' numbers, from 1."""

    path: Path
    cells: Cells
    rows: NDArray[np.int64]

    def name_of(self, row: int) -> str:
        """Return what messages call the row at a position, from 0."""
        return f"{self.path.name}, row {self.rows[row]}"


def check_columns(file: File, first: File, targets: Sequence[str]) -> None:
    """Refuse a file that lacks the targets, the rows, or the columns of the first file.

    Parameters
    ----------
    file
        The file to check.
    first
        The first file of the dataset.
    targets
        The columns of ``dataset.label``.
    """
    names = list(file.cells)
    for target in targets:
        if target not in names:
            raise table_errors.unknown_column(
                f"dataset.label={target}", target, names, way_out=_way_out(target, names)
            )
    if len(names) <= len(targets):
        raise RequestError(f"there must be a column besides {', '.join(map(repr, targets))}")
    if set(names) != set(first.cells):
        odd = sorted(set(names) ^ set(first.cells))[0]
        raise RequestError(
            f"{file.path.name} must have the columns of {first.path.name}, but {odd!r} is in one "
            "only"
        )
    if len(file.cells[names[0]]) == 0:
        raise RequestError(f"{file.path.name}: there are no rows")


def _way_out(target: str, names: Sequence[str]) -> str:
    """Return what to do where no column has the name of the target."""
    if len(names) == 1:
        return "; if that is more than one column, name what separates them: dataset.separator"
    for name in names:
        if target in re.split("|".join(map(re.escape, SEPARATORS)), name):
            return f"; the first line has another separator in {name!r}: use one separator"
    is_misspelt = difflib.get_close_matches(target, names, cutoff=0.75)
    if target == _UNNAMED and not is_misspelt:  # nobody named one
        likely = next((name for name in names if name.lower() in _TARGETS), names[-1])
        return f"; name the column of the target, for example dataset.label={likely}"
    return did_you_mean(target, names)


def choose(
    file: File, config: TableConfig, targets: Sequence[str], columns: SplitColumns
) -> tuple[list[str], list[str]]:
    """Choose the columns of a table that are features.

    Parameters
    ----------
    file
        The first file of the dataset.
    config
        ``columns``, ``drop``, ``categories``, ``embed`` and ``text_columns`` are used.
    targets
        The columns of ``dataset.label``, which are no features.
    columns
        Those of ``split.group`` and ``split.order``, which are no features.

    Returns
    -------
    chosen : list of str
        The names of the features, in the order of the file.
    notes : list of str
        Why other columns are left out.

    Raises
    ------
    RequestError
        If a named column does not exist, or no feature is left.
    """
    cells = file.cells
    named = {setting: getattr(config, setting) for setting in _SETTINGS}
    for setting, names in (named | {"text": config.text_columns}).items():
        for name in names or ():
            if name not in cells:
                raise table_errors.unknown_column(f"dataset.{setting}: {name!r}", name, cells)
    if config.columns is not None:
        wrong = [name for name in config.columns if name in targets]
        if wrong:
            raise RequestError(f"dataset.columns: {wrong[0]!r} is the target (dataset.label)")
        return list(config.columns), []
    not_features = {*targets, columns.group, columns.order, *(config.drop or ())}
    chosen = [name for name in cells if name not in not_features]
    if config.image_shape is not None:
        return chosen, []
    reasons = {
        name: _why_not(
            name, file, targets, embeds=name in (*(config.embed or ()), *config.text_columns)
        )
        for name in chosen
    }
    kept = [name for name in chosen if not reasons[name]]
    if not kept:
        return _kept_nevertheless(reasons, cells)
    return kept, [
        f"column {name!r} is left out: {reason} (dataset.columns names those that count)"
        for name, reason in reasons.items()
        if reason
    ]


def _kept_nevertheless(reasons: Mapping[str, str], cells: Cells) -> tuple[list[str], list[str]]:
    """Return the columns that can be learned from where each has a reason to be left out."""
    kept = [name for name in reasons if not _why_no_categories(cells[name])]
    if kept:
        return kept, [
            f"column {name!r} is kept, since no other is left, but {reasons[name]}" for name in kept
        ]
    of_texts = next((name for name in reasons if _holds_sentences(cells[name])), None)
    if of_texts is not None:
        raise RequestError(
            f"no column is left to learn from; {of_texts!r} holds texts: "
            f"'dataset.text=[{of_texts}]' learns from their words"
        )
    first = next(iter(reasons.items()), None)
    why = f": {first[0]!r} is left out, since {first[1]}" if first else ""
    raise RequestError(f"no column is left to learn from{why} (dataset.columns, dataset.drop)")


_SETTINGS = ("columns", "drop", "categories", "embed")


def _why_not(name: str, each: File, targets: Sequence[str], *, embeds: bool) -> str:
    column = each.cells[name]
    if leak := _leak(column, [each.cells[target] for target in targets]):
        return leak
    if len(column) < _FEWEST_ROWS or embeds:
        return ""
    numbers = numbers_of(column)
    if not np.isfinite(numbers).all():
        reason = _why_no_categories(column)
        is_of_texts = bool(reason) and _holds_sentences(column)
        way_out = f"; 'dataset.text=[{name}]' learns from its words" if is_of_texts else ""
        return f"{reason}{way_out}"
    if len(np.unique(numbers)) == len(column):
        # Rows without a target may be left out between them.
        counts_rows = len(np.unique(numbers - each.rows)) == 1
        if counts_rows or (np.diff(np.sort(numbers)) == 1).all():
            return "it is a row number, different in every row"
        if name.strip().lower() in ("id", "index", ""):
            return "it is an index, different in every row"
    return ""


def _leak(column: NDArray[np.str_], targets: Sequence[NDArray[np.str_]]) -> str:
    if any(bool((column == target).all()) for target in targets):
        return "it is a copy of the target (leak)"
    if len(column) >= _FEWEST_ROWS and any(_is_renamed(column, target) for target in targets):
        return "it is the target under other names (leak)"
    return ""


def _is_renamed(column: NDArray[np.str_], target: NDArray[np.str_]) -> bool:
    """Tell whether each value of a column stands for one of the target, and the other way round."""
    values, targets = np.unique(column), np.unique(target)
    # Where a target hardly repeats, as a quantity, any column of other numbers would be so.
    if not 1 < len(targets) == len(values) <= len(column) / 2:
        return False
    return len(np.unique(np.char.add(np.char.add(column, "\x1f"), target))) == len(values)


def _why_no_categories(column: NDArray[np.str_]) -> str:
    count, distinct = len(column), len(np.unique(column))
    present = column[~is_missing(column)]
    if len(present) == 0:
        return "it is empty"
    if are_numbers(present) or _foreign_in(present):
        return ""
    if distinct == count:
        return "it is different in every row, as an identifier is"
    if distinct > max(50, count / 2):
        return f"its {distinct} different texts in {count} rows are no categories"
    return ""


def _holds_sentences(column: NDArray[np.str_]) -> bool:
    """Tell whether the cells of a column have three words or more on average."""
    present = column[~is_missing(column)].tolist()
    return bool(present) and sum(len(cell.split()) for cell in present) >= 3 * len(present)


def kinds_of(
    read_files: Sequence[File], chosen: Sequence[str], config: TableConfig
) -> tuple[Column, ...]:
    """Decide from all parts together whether each feature holds numbers, categories or texts.

    Parameters
    ----------
    read_files
        All files of the dataset.
    chosen
        The names of the features.
    config
        ``categories``, ``embed``, ``text_columns`` and ``image_shape`` are used.

    Raises
    ------
    RequestError
        If a column is neither, or is of another kind than the settings say.
    """
    for setting, names in (("embed", config.embed or ()), ("text", config.text_columns)):
        if others := [name for name in names if name not in chosen]:
            raise RequestError(
                f"dataset.{setting}: {others[0]!r} is not one of the columns that are "
                f"used, which are {', '.join(chosen[:8])}{', ...' if len(chosen) > 8 else ''} "
                "(dataset.columns)"
            )
    return tuple(_kind_of(name, read_files, config) for name in chosen)


def _kind_of(name: str, read_files: Sequence[File], config: TableConfig) -> Column:
    everything = np.concatenate([each.cells[name] for each in read_files])
    if name in config.text_columns:
        return _of_texts(name, everything, config)
    present = everything[~is_missing(everything)]
    embeds = name in (config.embed or ())
    if not embeds and name not in (config.categories or ()):
        is_number = np.isfinite(numbers_of(present))
        if is_number.all() or config.image_shape is not None:
            return Column(name)
        if are_numbers(present):
            _refuse_text(read_files, name)
        if found := _foreign_in(present):
            ways_out = {
                "dates": f"take it as the time of a row with split.order={name}, or add columns of "
                "its parts that matter, such as the month",
                "times of day": f"take it as categories with 'dataset.categories=[{name}]', or add "
                "columns of its parts that matter, such as the hour",
                "decimal commas": "write its numbers with a point, as other columns have them, or "
                f"take it as categories with 'dataset.categories=[{name}]'",
            }
            raise RequestError(
                f"column {name!r} holds {found} ({present[0]}), which a network cannot learn from: "
                f"leave it out with 'dataset.drop=[{name}]', {ways_out[found]}"
            )
    values = sorted(np.unique(present).tolist(), key=natural_key)
    if len(values) > _MOST_CATEGORIES and not embeds:
        raise RequestError(
            f"column {name!r} has {len(values)} categories, more than {_MOST_CATEGORIES}: "
            f"learn a vector for each with 'dataset.embed=[{name}]', or leave it out with "
            f"'dataset.drop=[{name}]'"
        )
    return Column(name, tuple(values), config.embed_dim if embeds else None)


def are_numbers(present: NDArray[np.str_]) -> bool:
    """Tell whether cells are numbers, but for a few cells or words.

    Parameters
    ----------
    present
        Text that is not missing; shape (n,).
    """
    is_number = np.isfinite(numbers_of(present))
    return bool(is_number.mean() >= 1 - _FEW_TEXTS) or (
        len(np.unique(present[~is_number])) <= _FEW_WORDS
        and len(np.unique(present[is_number])) > _MANY_NUMBERS
    )


def _foreign_in(present: NDArray[np.str_]) -> str:
    """Return what the cells of a column are that a network cannot take; nothing, if it can.

    Decimal commas are read as such where the file has no points (`fitgap.data.table_format`).
    """
    if not len(present):
        return ""
    forms = {"dates": _DATE, "times of day": _CLOCK, "decimal commas": r"-?\d+,\d+"}
    found = (
        kind for kind, form in forms.items() if matches(present, form).mean() >= 1 - _FEW_TEXTS
    )
    return next(found, "")


def _of_texts(name: str, cells: NDArray[np.str_], config: TableConfig) -> Column:
    divided = [texts.words_of(cell) for cell in cells.tolist()]
    known = tuple(sorted({word for words in divided for word in words}))
    if not known:
        raise RequestError(f"dataset.text: no cell of the column {name!r} contains a word")
    length = min(config.length, max(map(len, divided)))
    words = Words(known, most=config.vocabulary, column=name)
    return Column(name, embed_dim=config.embed_dim, words=words, length=length)


def _refuse_text(read_files: Sequence[File], name: str) -> None:
    for each in read_files:
        column = each.cells[name]
        wrong = ~np.isfinite(numbers_of(column)) & ~is_missing(column)
        if wrong.any():
            row = int(wrong.argmax())
            raise RequestError(
                f"{each.name_of(row)}, column {name!r} must be a finite number, as in "
                f"the other rows, got {str(column[row])!r}",
                f"Correct the cell, count it as missing with 'dataset.missing=[{column[row]}]', "
                f"leave the column out with 'dataset.drop=[{name}]' or treat it as categories with "
                f"'dataset.categories=[{name}]'",
            )

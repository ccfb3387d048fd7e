"""The user's own table: its rows are samples, one column or several the target.

Which columns are features, and of which kind, says `fitgap.data.table_columns`. What is missing
stays missing: what is done about it, and about categories, is learned from the training partition
(`fitgap.data.preprocessing`). With ``dataset.image_shape`` the columns are pixels from 0 to 255,
row by row of the image.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fitgap.config.schema import TableConfig
from fitgap.data import table_columns, table_errors, table_file, texts
from fitgap.data.parts import PLAIN, Column, Format, Part, Parts, RawLabels, SplitColumns, by_column
from fitgap.data.rows import GROUPING, MISSING, SIGNS, numbers_of
from fitgap.data.table_columns import File
from fitgap.data.table_file import is_missing
from fitgap.data.times import as_times
from fitgap.errors import RequestError, about

if TYPE_CHECKING:
    import pandas as pd

# A whole-number target with more values than this, and than a twentieth of its rows, is a
# quantity: ages, prices, counts.
_MOST_CLASSES, _ROWS_PER_CLASS = 20, 20


def files(config: TableConfig) -> list[Path]:
    """Return the file of the training part and, if there are any, of the other parts."""
    found = []
    for setting, value in _paths(config).items():
        path = Path(value).expanduser()
        if not path.is_file():
            raise RequestError(f"dataset.{setting} must be an existing file, got {value}")
        found.append(path)
    return found


def _paths(config: TableConfig) -> dict[str, str]:
    named = {"path": config.path, "val_path": config.val_path, "test_path": config.test_path}
    return {setting: value for setting, value in named.items() if value is not None}


def read(
    config: TableConfig, *, memory_limit: int | None, key: str, columns: SplitColumns
) -> Parts:
    """Read the parts into memory; a table is never streamed.

    Parameters
    ----------
    config
        Paths, the target, which columns count.
    memory_limit, key
        Of readers that stream.
    columns
        Are no features, unless ``dataset.columns`` names them.

    Raises
    ------
    RequestError
        If a file cannot be read, a column is missing, or a cell is what its column is not;
        the message names its row (from 1, below the line of names) and its column.
    """
    del memory_limit, key
    targets = [config.label] if isinstance(config.label, str) else list(config.label)
    notes: list[str] = []
    read_files: dict[str, File] = {}
    form = PLAIN
    for setting, path in zip(_paths(config), files(config), strict=True):
        found = table_file.read(path, config, targets=targets, usual=form)
        count = len(next(iter(found.cells.values()), ()))
        read_files[setting] = File(path, found.cells, np.arange(1, count + 1))
        notes += found.notes
        form = found.format if setting == "path" else form
    first = read_files["path"]
    with about(f"dataset.path={config.path}"):
        for each in read_files.values():
            table_columns.check_columns(each, first, targets)
        for setting, each in read_files.items():
            read_files[setting], left_out = _with_targets(each, targets, config)
            notes += left_out
        chosen, left_out = table_columns.choose(read_files["path"], config, targets, columns)
        notes += left_out
        kinds = table_columns.kinds_of(list(read_files.values()), chosen, config)
        parts = {
            setting: _part(each, kinds, config, targets, columns)
            for setting, each in read_files.items()
        }
    notes += _signs_left_out(read_files["path"], kinds)
    notes += _mixed(kinds, config)
    if columns.group is not None and (blank := int((first.cells[columns.group] == "").sum())):
        notes.append(
            f"the column {columns.group!r} of split.group is empty in {blank} rows, which count as "
            "one group"
        )
    train = parts["path"]
    notes += _classes_called_missing(train.labels)
    if _is_quantity(train.labels, config):
        count = len(np.unique(train.labels))
        notes.append(
            f"the target {targets[0]!r} has {count} different numbers: a quantity (regression); "
            "dataset.task=classes says otherwise"
        )
        train = replace(train, is_quantity=True)
    if "val_path" in parts:
        val = parts["val_path"]
        if (train.labels.dtype.kind == "U") != (val.labels.dtype.kind == "U"):
            raise RequestError("the targets of dataset.path and dataset.val_path differ in type")
        train = train.followed_by(val)
    notes += _missing_values(train)
    return Parts(train, parts.get("test_path"), tuple(notes), format=form)


def read_rows(
    path: Path, config: TableConfig, *, usual: Format
) -> tuple["pd.DataFrame", list[str]]:
    """Read the rows of a file without targets, for prediction: text by column.

    Parameters
    ----------
    path
        Of the file.
    config
        Of the dataset that the network learned from.
    usual
        How the file is written that the network learned from.

    Returns
    -------
    rows : DataFrame
        One column of texts for each column of the file.
    notes : list of str
        How the file is written, if it is written in another way.

    Raises
    ------
    RequestError
        If it cannot be read.
    """
    import pandas as pd

    found = table_file.read(path, config, targets=(), usual=usual)
    frame = pd.DataFrame({name: column.astype(object) for name, column in found.cells.items()})
    return frame, found.notes if found.format != usual else []


def _part(
    each: File,
    kinds: Sequence[Column],
    config: TableConfig,
    targets: Sequence[str],
    columns: SplitColumns,
) -> Part:
    names = [each.name_of(row) for row in range(len(each.rows))]
    labels = _labels(each, targets, config)
    for setting, name in (("group", columns.group), ("order", columns.order)):
        if name is not None and name not in each.cells:
            raise table_errors.unknown_column(f"split.{setting}={name}", name, each.cells)
    groups = None if columns.group is None else each.cells[columns.group]
    order = (
        None
        if columns.order is None
        else as_times(columns.order, each.cells[columns.order], names=names)
    )
    x = np.concatenate([_values(each, column) for column in kinds], axis=1)
    labels_name = ", ".join(f"column {target!r}" for target in targets)
    labels_name = f"{labels_name} of {each.path.name}"
    if config.image_shape is not None:
        pixels = _pixels(x, each, kinds, config.image_shape)
        return Part(pixels, labels, labels_name, names, groups=groups, order=order)
    outputs = tuple(targets) if len(targets) > 1 else ()
    if labels.ndim == 1 and labels.dtype.kind == "f":
        outputs = tuple(targets)
    return Part(
        x,
        labels,
        labels_name,
        names,
        groups=groups,
        order=order,
        outputs=outputs,
        columns=tuple(kinds),
    )


def _values(each: File, column: Column) -> NDArray[np.float32]:
    """Return a column's values; shape (n, length)."""
    cells = each.cells[column.name]
    if column.words is not None:
        number = {word: i for i, word in enumerate(column.words.known, start=texts.FIRST_WORD)}
        divided = [texts.words_of(cell) for cell in cells.tolist()]
        return texts.as_numbers(divided, number, length=column.length).astype(np.float32)
    if column.categories is not None:
        number = {category: i for i, category in enumerate(column.categories)}
        numbers = [number.get(cell, np.nan) for cell in cells.tolist()]
        return np.array(numbers, np.float32)[:, np.newaxis]
    with np.errstate(over="ignore"):
        values = numbers_of(cells).astype(np.float32)
    wrong = ~np.isfinite(values) & ~is_missing(cells)
    if wrong.any():
        row = int(wrong.argmax())
        raise RequestError(
            f"{each.name_of(row)}, column {column.name!r} must be a number that "
            f"float32 holds, got {str(cells[row])!r}"
        )
    return values[:, np.newaxis]


def _with_targets(
    each: File, targets: Sequence[str], config: TableConfig
) -> tuple[File, list[str]]:
    """Leave out the rows without a target, with a note, or refuse them."""
    own = [str(word) for word in config.missing or ()]
    is_left_out = np.zeros(len(each.rows), np.bool_)
    for target in targets:
        cells = each.cells[target]
        blank = np.isin(cells, [*MISSING, *own])
        _refuse_infinite(each, target, is_given=~blank)
        if blank.all() or not np.isfinite(numbers_of(cells[~blank])).all():
            # A class may be called NA, unless dataset.missing names it.
            blank = np.isin(cells, ["", *own])
        if blank.all() or (blank.any() and not config.skip_unreadable):
            row = int(blank.argmax())
            cell = f" ({cells[row]!s})" if cells[row] else ""
            way_out = "" if blank.all() else ": leave them out with dataset.skip_unreadable=true"
            raise RequestError(
                f"column {target!r} is the target, but {each.name_of(row)} is "
                f"empty{cell}; {int(blank.sum())} of {len(cells)} rows are{way_out}"
            )
        is_left_out |= blank
    if not is_left_out.any():
        return each, []
    if is_left_out.all():
        raise RequestError(f"{each.path.name}: no row has all targets ({', '.join(targets)})")
    kept = ~is_left_out
    cells_kept = {name: column[kept] for name, column in each.cells.items()}
    return File(each.path, cells_kept, each.rows[kept]), [
        f"left out: {int(is_left_out.sum())} of {len(kept)} rows of {each.path.name}, whose target "
        f"({', '.join(targets)}) is missing"
    ]


def _refuse_infinite(each: File, target: str, *, is_given: NDArray[np.bool_]) -> None:
    """Refuse a target of numbers, some of which are infinite or larger than any number."""
    numbers = numbers_of(each.cells[target])
    infinite = np.isinf(numbers) & is_given
    if infinite.any() and not np.isnan(numbers[is_given]).any():
        row = int(infinite.argmax())
        raise RequestError(
            f"column {target!r} is the target and must hold finite numbers, but "
            f"{each.name_of(row)} is {each.cells[target][row]!s}"
        )


def _labels(each: File, targets: Sequence[str], config: TableConfig) -> RawLabels:
    """Return the targets as numbers if they all are numbers, else as text."""
    if len(targets) > 1:
        return np.stack([_numbers(each, target) for target in targets], axis=1)
    texts = each.cells[targets[0]]
    if np.isin(np.char.lower(texts), ("true", "false")).all():
        return texts
    numbers = numbers_of(texts)
    is_number = np.isfinite(numbers)
    if is_number.all():
        return texts if config.task != "numbers" and _are_ids(texts, numbers) else numbers
    is_quantity = len(np.unique(numbers[is_number])) > _MOST_CLASSES and table_columns.are_numbers(
        texts
    )
    if config.task == "numbers" or (config.task is None and is_quantity):
        row = int((~is_number).argmax())
        raise RequestError(
            f"column {targets[0]!r} is the target and holds numbers, but {each.name_of(row)} is "
            f"{str(texts[row])!r}: correct it, leave such rows out with "
            f"'dataset.missing=[{texts[row]}]' dataset.skip_unreadable=true, or treat all as "
            "classes with dataset.task=classes"
        )
    return texts


def _are_ids(texts: NDArray[np.str_], numbers: NDArray[np.float64]) -> bool:
    """Tell whether numbers are so large that different ones become one as floats."""
    is_large = np.abs(numbers) >= 2.0**53
    return len(np.unique(texts[is_large])) > len(np.unique(numbers[is_large]))


def _numbers(each: File, target: str) -> NDArray[np.float64]:
    """Return one of several targets: numbers, or 0 and 1 for no and yes."""
    cells = each.cells[target]
    lowered = np.char.lower(cells)
    if np.isin(lowered, ("yes", "no")).all():
        return np.where(lowered == "yes", 1.0, 0.0)
    numbers = numbers_of(cells)
    wrong = ~np.isfinite(numbers)
    if wrong.any():
        row = int(wrong.argmax())
        raise RequestError(
            f"each of several targets must hold numbers, or say yes or no, true or false; "
            f"{each.name_of(row)}, column {target!r} is {str(cells[row])!r}"
        )
    return numbers


def _signs_left_out(each: File, kinds: Sequence[Column]) -> list[str]:
    """Say which columns of numbers have signs that `numbers_of` leaves out."""
    found = {}
    signs = {*SIGNS, *GROUPING}
    for column in kinds:
        cells = each.cells[column.name].tolist()
        if column.is_number and not signs.isdisjoint("".join(cells)):
            found[column.name] = next(cell for cell in cells if not signs.isdisjoint(cell))
    if not found:
        return []
    shown = ", ".join(f"{name} ({cell})" for name, cell in [*found.items()][:6])
    return [f"numbers are read without signs of currency, of percent and of thousands: {shown}"]


def _mixed(kinds: Sequence[Column], config: TableConfig) -> list[str]:
    """Say which columns hold numbers and texts, and are taken as categories unasked."""
    asked = {*(config.categories or ()), *(config.embed or ())}
    notes = []
    for column in kinds:
        if column.categories is None or column.name in asked:
            continue
        is_number = np.isfinite(numbers_of(np.array(column.categories)))
        if is_number.any() and not is_number.all():
            text = column.categories[int((~is_number).argmax())]
            notes.append(
                f"column {column.name!r} holds {is_number.sum()} numbers and "
                f"{(~is_number).sum()} texts (such as {text!r}): each is taken as a category"
            )
    return notes


def _classes_called_missing(labels: RawLabels) -> list[str]:
    """Say which classes have a name that mostly means that nothing is there."""
    if labels.ndim != 1 or labels.dtype.kind != "U":
        return []
    names, counts = np.unique(labels[np.isin(labels, MISSING)], return_counts=True)
    return [
        f"the target is {name!s} in {count} rows, which is taken as a class; if it means that the "
        f"target is missing, leave those rows out: 'dataset.missing=[{name!s}]' "
        "dataset.skip_unreadable=true"
        for name, count in zip(names.tolist(), counts.tolist(), strict=True)
    ]


def _missing_values(train: Part) -> list[str]:
    """Say how many values each column of the training part lacks."""
    by_name = by_column(np.asarray(train.x), train.columns)
    missing = {column.name: int(np.isnan(values).sum()) for column, values in by_name}
    counts = [f"{name} {count}" for name, count in missing.items() if count]
    if not counts:
        return []
    return [
        f"missing values: {', '.join(counts[:6])}{', ...' if len(counts) > 6 else ''}; "
        "filled by the training partition's median, or a category of their own"
    ]


def _is_quantity(labels: RawLabels, config: TableConfig) -> bool:
    if config.task is not None or labels.dtype.kind != "f" or labels.ndim != 1:
        return False
    if (labels != np.rint(labels)).any():
        return True
    distinct = len(np.unique(labels))
    if config.test_path is None and distinct > max(2, len(labels) / 2):
        return True  # some stand in one row only: as classes, they could not be tested
    return distinct > _MOST_CLASSES and distinct > len(labels) / _ROWS_PER_CLASS


def _pixels(
    values: NDArray[np.float32],
    each: File,
    kinds: Sequence[Column],
    image_shape: Sequence[int],
) -> NDArray[np.uint8]:
    height, width = image_shape
    if values.shape[1] != height * width:
        raise RequestError(
            f"dataset.image_shape={list(image_shape)} needs {height * width} columns of pixels, "
            f"got {values.shape[1]}"
        )
    right = (values == np.rint(values)) & (values >= 0) & (values <= 255)
    if not right.all():
        row, column = (int(i) for i in np.argwhere(~right)[0])
        cell = str(each.cells[kinds[column].name][row])
        raise RequestError(
            f"{each.name_of(row)}, column {kinds[column].name!r} must be a pixel: a "
            f"whole number from 0 to 255, got {cell or 'nothing'}"
        )
    return values.astype(np.uint8).reshape(-1, height, width)

"""A table of one's own: its rows are samples, one column or several the target.

Columns of numbers stay numbers, text becomes categories, and what is missing stays missing: what
is done about both is learned from the training partition (`fitgap.data.preprocessing`). With
``dataset.image_shape`` the columns are pixels from 0 to 255, row by row of the image.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fitgap.config.checks import did_you_mean
from fitgap.config.schema import TableConfig
from fitgap.data import table_file
from fitgap.data.labels import Column, Part, Parts, RawLabels, SplitColumns, natural_key
from fitgap.data.rows import numbers_of
from fitgap.data.table_file import Cells, is_missing
from fitgap.errors import RequestError

if TYPE_CHECKING:
    import pandas as pd

# A column of numbers may hold so many cells of text before it is taken as one of text.
_FEW_TEXTS = 0.1
# A whole-number target with more values than this, and than a twentieth of its rows, is a
# quantity: ages, prices, counts.
_MOST_CLASSES, _ROWS_PER_CLASS = 20, 20
_FEWEST_ROWS = 20  # below, "different in every row" says nothing
_DATE = r"\s*(\d{4}[-/]\d{1,2}[-/]\d{1,2}|\d{1,2}[./-]\d{1,2}[./-]\d{2,4})([ T]\d{1,2}:\d{2}.*)?\s*"


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


@dataclass(frozen=True)
class _File:
    """One file's cells as text, and what messages call it."""

    path: Path
    cells: Cells


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
    read_files = {}
    for setting, path in zip(_paths(config), files(config), strict=True):
        cells, said = table_file.read(path, config, targets=targets)
        read_files[setting] = _File(path, cells)
        notes += said
    first = read_files["path"]
    try:
        for each in read_files.values():
            _check_columns(each, first, targets)
        chosen, said = _choose(first.cells, config, targets, columns)
        notes += said
        kinds = _kinds(list(read_files.values()), chosen, config)
        parts = {
            setting: _part(each, kinds, config, targets, columns)
            for setting, each in read_files.items()
        }
    except RequestError as error:
        raise RequestError(f"dataset.path={config.path}: {error}") from error
    train = parts["path"]
    if _is_quantity(train.labels, config):
        count = len(np.unique(train.labels))
        notes.append(
            f"the target {targets[0]!r} has {count} different numbers: a quantity (regression); "
            "dataset.task=classes says otherwise"
        )
        train = replace(train, is_quantity=True)
    if "val_path" in parts:
        train = _joined(train, parts["val_path"])
    missing = {c.name: int(np.isnan(train.x[:, i]).sum()) for i, c in enumerate(train.columns)}
    if any(missing.values()):
        said = [f"{name} {count}" for name, count in missing.items() if count]
        notes.append(
            f"missing values: {', '.join(said[:6])}{', ...' if len(said) > 6 else ''}; filled by "
            "the training partition's median, or a category of their own"
        )
    return Parts(train, parts.get("test_path"), tuple(notes))


def read_rows(path: Path, config: TableConfig) -> "pd.DataFrame":
    """Read the rows of a file whose targets nobody knows, as `read` does: text by column.

    Raises
    ------
    RequestError
        If it cannot be read.
    """
    import pandas as pd

    cells, _ = table_file.read(path, config, targets=())
    return pd.DataFrame({name: column.astype(object) for name, column in cells.items()})


def _check_columns(each: _File, first: _File, targets: Sequence[str]) -> None:
    names = list(each.cells)
    shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    for target in targets:
        if target not in names:
            raise RequestError(
                f"dataset.label={target} is no column of {shown}{did_you_mean(target, names)}"
            )
    if len(names) <= len(targets):
        raise RequestError(f"there must be a column besides {', '.join(map(repr, targets))}")
    if set(names) != set(first.cells):
        odd = sorted(set(names) ^ set(first.cells))[0]
        raise RequestError(
            f"{each.path.name} must have the columns of {first.path.name}, but {odd!r} is in one "
            "only"
        )
    if len(each.cells[names[0]]) == 0:
        raise RequestError(f"{each.path.name}: there are no rows")


def _choose(
    cells: Cells, config: TableConfig, targets: Sequence[str], columns: SplitColumns
) -> tuple[list[str], list[str]]:
    """Return the columns that are features, and why others are none."""
    for setting in ("columns", "drop", "categories"):
        for name in getattr(config, setting) or ():
            if name not in cells:
                raise RequestError(
                    f"dataset.{setting}: {name!r} is no column of {', '.join(list(cells)[:8])}"
                    f"{did_you_mean(name, list(cells))}"
                )
    if config.columns is not None:
        wrong = [name for name in config.columns if name in targets]
        if wrong:
            raise RequestError(f"dataset.columns: {wrong[0]!r} is the target (dataset.label)")
        return list(config.columns), []
    not_features = {*targets, columns.group, columns.order, *(config.drop or ())}
    chosen = [name for name in cells if name not in not_features]
    if config.image_shape is not None:
        return chosen, []
    reasons = {name: _why_not(name, cells, targets) for name in chosen}
    kept = [name for name in chosen if not reasons[name]]
    if not kept:
        return chosen, []
    return kept, [
        f"column {name!r} is left out: {reason} (dataset.columns names those that count)"
        for name, reason in reasons.items()
        if reason
    ]


def _why_not(name: str, cells: Cells, targets: Sequence[str]) -> str:
    column = cells[name]
    if any(bool((column == cells[target]).all()) for target in targets):
        return "it is a copy of the target (leak)"
    if len(column) < _FEWEST_ROWS:
        return ""
    numbers = numbers_of(column)
    if not np.isfinite(numbers).all():
        return _why_no_categories(column)
    if len(np.unique(numbers)) == len(column):
        if (np.diff(np.sort(numbers)) == 1).all():
            return "it is a row number, different in every row"
        if name.strip().lower() in ("id", "index", ""):
            return "it is an index, different in every row"
    return ""


def _why_no_categories(column: NDArray[np.str_]) -> str:
    count, distinct = len(column), len(np.unique(column))
    present = column[~is_missing(column)]
    if len(present) == 0:
        return "it is empty"
    is_number = np.isfinite(numbers_of(present)).mean() >= 1 - _FEW_TEXTS
    if is_number or table_file.matches(present, _DATE).mean() >= 1 - _FEW_TEXTS:
        return ""
    if distinct == count:
        return "it is different in every row, as an identifier is"
    if distinct > max(50, count / 2):
        return f"its {distinct} different texts in {count} rows are no categories"
    return ""


def _kinds(
    read_files: Sequence[_File], chosen: Sequence[str], config: TableConfig
) -> tuple[Column, ...]:
    """Find out whether each column holds numbers or categories, of all parts alike."""
    kinds = []
    for name in chosen:
        columns = [each.cells[name] for each in read_files]
        everything = np.concatenate(columns)
        present = everything[~is_missing(everything)]
        wanted = name in (config.categories or ())
        numbers = numbers_of(present)
        is_number = np.isfinite(numbers)
        if not wanted and (is_number.all() or config.image_shape is not None):
            kinds.append(Column(name))
            continue
        if not wanted and is_number.mean() >= 1 - _FEW_TEXTS:
            _refuse_text(read_files, name)
        if not wanted and table_file.matches(present, _DATE).mean() >= 1 - _FEW_TEXTS:
            raise RequestError(
                f"column {name!r} holds dates ({present[0]}), which are no features as they are: "
                f"leave it out with 'dataset.drop=[{name}]', take it as the time of a row with "
                f"split.order={name}, or add columns of what of it counts (month, hour)"
            )
        values = sorted(np.unique(present).tolist(), key=natural_key)
        if len(values) > _MOST_CATEGORIES:
            raise RequestError(
                f"column {name!r} has {len(values)} categories, more than {_MOST_CATEGORIES}: "
                f"leave it out with 'dataset.drop=[{name}]'"
            )
        kinds.append(Column(name, tuple(values)))
    return tuple(kinds)


_MOST_CATEGORIES = 1000


def _refuse_text(read_files: Sequence[_File], name: str) -> None:
    for each in read_files:
        column = each.cells[name]
        wrong = ~np.isfinite(numbers_of(column)) & ~is_missing(column)
        if wrong.any():
            row = int(wrong.argmax())
            raise RequestError(
                f"{each.path.name}, row {row + 1}, column {name!r} must be a finite number, as in "
                f"the other rows, got {str(column[row])!r}\nMend the cell, count it as missing "
                f"with 'dataset.missing=[{column[row]}]', leave the column out with "
                f"'dataset.drop=[{name}]' or take it as categories with "
                f"'dataset.categories=[{name}]'"
            )


def _part(
    each: _File,
    kinds: Sequence[Column],
    config: TableConfig,
    targets: Sequence[str],
    columns: SplitColumns,
) -> Part:
    count = len(each.cells[targets[0]])
    names = [f"{each.path.name}, row {row}" for row in range(1, count + 1)]
    labels = _labels(each, targets)
    groups = None if columns.group is None else _of_split(each.cells, columns.group, "group")
    order = None if columns.order is None else _times(each, columns.order)
    x = np.stack([_values(each, column) for column in kinds], axis=1)
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


def _values(each: _File, column: Column) -> NDArray[np.float32]:
    cells = each.cells[column.name]
    if column.categories is not None:
        number = {category: i for i, category in enumerate(column.categories)}
        return np.array([number.get(cell, np.nan) for cell in cells.tolist()], np.float32)
    with np.errstate(over="ignore"):
        values = numbers_of(cells).astype(np.float32)
    wrong = ~np.isfinite(values) & ~is_missing(cells)
    if wrong.any():
        row = int(wrong.argmax())
        raise RequestError(
            f"{each.path.name}, row {row + 1}, column {column.name!r} must be a number that "
            f"float32 holds, got {str(cells[row])!r}"
        )
    return values


def _labels(each: _File, targets: Sequence[str]) -> RawLabels:
    """Return the targets as numbers if they all are numbers, else as text."""
    for target in targets:
        blank = each.cells[target] == ""
        if blank.any():
            raise RequestError(
                f"column {target!r} is the target, but {each.path.name}, row "
                f"{int(blank.argmax()) + 1} is empty"
            )
    texts = np.stack([each.cells[target] for target in targets], axis=1)
    texts = texts[:, 0] if len(targets) == 1 else texts
    lowered = np.char.lower(texts)
    if np.isin(lowered, ("true", "false")).all():
        return texts if len(targets) == 1 else (lowered == "true").astype(np.int64)
    numbers = numbers_of(texts.reshape(-1)).reshape(texts.shape)
    return numbers if np.isfinite(numbers).all() else texts


def _is_quantity(labels: RawLabels, config: TableConfig) -> bool:
    if config.task is not None or labels.dtype.kind != "f" or labels.ndim != 1:
        return False
    if (labels != np.rint(labels)).any():
        return True
    distinct = len(np.unique(labels))
    return distinct > _MOST_CLASSES and distinct > len(labels) / _ROWS_PER_CLASS


def _of_split(cells: Cells, name: str, setting: str) -> RawLabels:
    if name not in cells:
        raise RequestError(
            f"split.{setting}={name} is no column of {', '.join(list(cells)[:8])}"
            f"{did_you_mean(name, list(cells))}"
        )
    column: RawLabels = cells[name]
    return column


def _times(each: _File, name: str) -> RawLabels:
    """Return a column as numbers or, if it holds none, as dates."""
    import pandas as pd

    _of_split(each.cells, name, "order")
    cells = each.cells[name]
    numbers = numbers_of(cells)
    if np.isfinite(numbers).all():
        return numbers
    times = pd.to_datetime(pd.Series(cells.astype(object)), errors="coerce", format="ISO8601")
    if times.isna().any():
        row = int(times.isna().to_numpy().argmax())
        raise RequestError(
            f"split.order={name}: {each.path.name}, row {row + 1} must be a number or a date as "
            f"2024-05-31, got {str(cells[row])!r}"
        )
    values: RawLabels = times.to_numpy()
    return values


def _pixels(
    values: NDArray[np.float32],
    each: _File,
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
            f"{each.path.name}, row {row + 1}, column {kinds[column].name!r} must be a pixel: a "
            f"whole number from 0 to 255, got {cell or 'nothing'}"
        )
    return values.astype(np.uint8).reshape(-1, height, width)


def _joined(train: Part, val: Part) -> Part:
    if (train.labels.dtype.kind == "U") != (val.labels.dtype.kind == "U"):
        raise RequestError("the targets of dataset.path and dataset.val_path differ in type")
    x = np.concatenate([np.asarray(train.x), np.asarray(val.x)])
    return replace(
        train,
        x=x,
        labels=np.concatenate([train.labels, val.labels]),
        names=[*train.names, *val.names],
        is_val=np.arange(len(x)) >= len(train.x),
        groups=_both(train.groups, val.groups),
        order=_both(train.order, val.order),
    )


def _both(first: RawLabels | None, second: RawLabels | None) -> RawLabels | None:
    if first is None or second is None:
        return None
    both: RawLabels = np.concatenate([first, second])
    return both

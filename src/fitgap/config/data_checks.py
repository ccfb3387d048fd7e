"""Ranges and combinations of the settings of a dataset and its split."""

from collections.abc import Mapping, Sequence

from fitgap.config.checks import (
    check_seed,
    is_number,
    require,
    require_one_of,
    require_share,
    require_target,
)
from fitgap.config.schema import (
    ARRAY_ROLES,
    ArraysConfig,
    DatasetConfig,
    FunctionConfig,
    ImageFolderConfig,
    OwnConfig,
    SplitConfig,
    TableConfig,
    TextsConfig,
)
from fitgap.config.tasks import TASKS
from fitgap.errors import RequestError


def check_dataset(dataset: DatasetConfig) -> None:
    """Raise a `RequestError` for the first wrong setting of a dataset."""
    classes = dataset.classes
    if classes is not None and (len(set(classes)) != len(classes) or len(classes) < 2):
        raise RequestError(f"dataset.classes must be two or more different numbers, got {classes}")
    holds = dataset.task in (None, *TASKS)
    require("dataset.task", dataset.task, f"null or {' or '.join(TASKS)}", when=holds)
    if isinstance(dataset, OwnConfig):
        require_share("dataset.test_fraction", dataset.test_fraction)
        check_seed("dataset.test_seed", dataset.test_seed)
    if isinstance(dataset, ArraysConfig):
        _check_arrays(dataset)
    if isinstance(dataset, FunctionConfig):
        require_target("dataset.function", dataset.function)
    if isinstance(dataset, ImageFolderConfig):
        _check_size("dataset.image_size", dataset.image_size)
        channels = dataset.channels
        require("dataset.channels", channels, "1 (grey) or 3 (RGB)", when=channels in (1, 3))
        bits = dataset.bits
        require("dataset.bits", bits, "8 to 16, or null", when=bits is None or 8 <= bits <= 16)
    if isinstance(dataset, TextsConfig | TableConfig):
        for setting in ("length", "vocabulary"):
            value = getattr(dataset, setting)
            require(f"dataset.{setting}", value, "1 or more", when=value >= 1)
    if isinstance(dataset, TableConfig):
        _check_names("dataset.label", dataset.label)
        if dataset.text is not None:
            _check_names("dataset.text", dataset.text)
            both = [name for name in dataset.text_columns if name in (dataset.embed or ())]
            require("dataset.text", dataset.text, "none of dataset.embed", when=not both)
        separator = dataset.separator
        is_one = separator is None or len(separator.replace("\\t", "\t")) == 1
        require("dataset.separator", separator, "one character, or \\t for a tab", when=is_one)
        if dataset.decimal is not None:
            require_one_of("dataset.decimal", dataset.decimal, (".", ","))
        require("dataset.embed_dim", dataset.embed_dim, "1 or more", when=dataset.embed_dim >= 1)
        if dataset.image_shape is not None:
            _check_size("dataset.image_shape", dataset.image_shape)
            for setting in ("embed", "text"):
                value = getattr(dataset, setting)
                require(f"dataset.{setting}", value, "null for images", when=not value)


_LAYOUTS = ("channels_last", "channels_first", "sequences", "tokens")


def _check_arrays(dataset: ArraysConfig) -> None:
    keys, layout = dataset.keys, dataset.layout
    if keys is not None:
        valid = isinstance(keys, Mapping) and all(isinstance(name, str) for name in keys.values())
        require("dataset.keys", keys, "a mapping, such as {x_train: X, y_train: y}", when=valid)
        for role in keys:
            allowed = ", ".join(ARRAY_ROLES)
            require("dataset.keys", role, f"a mapping of {allowed}", when=role in ARRAY_ROLES)
    if layout is not None:
        require_one_of("dataset.layout", layout, _LAYOUTS)


def _check_names(setting: str, value: object) -> None:
    names = [value] if isinstance(value, str) else value
    valid = isinstance(names, list) and bool(names) and all(isinstance(name, str) for name in names)
    require(setting, value, "a column's name or a list of names", when=valid)


_MOST_PIXELS = 10_000  # a side


def _check_size(name: str, size: Sequence[int]) -> None:
    holds = len(size) == 2 and all(0 < n <= _MOST_PIXELS for n in size)
    require(name, size, f"[height, width] in pixels, at most {_MOST_PIXELS}", when=holds)


_SPLITS = ("holdout", "kfold", "given", "none")


def check_split(split: SplitConfig) -> None:
    """Raise a `RequestError` for the first wrong setting of a split."""
    require_one_of("split.name", split.name, _SPLITS)
    share = split.train_fraction
    in_range = is_number(share) and 0 < share <= 1
    require("split.train_fraction", share, "a number in (0, 1]", when=in_range)
    if split.name == "holdout":
        require_share("split.validation_fraction", split.validation_fraction)
    if split.name in ("holdout", "kfold"):
        check_seed("split.seed", split.seed)
    if split.name == "kfold":
        folds, fold = split.folds, split.fold
        require("split.folds", folds, "an integer >= 2", when=folds is not None and folds >= 2)
        valid = fold is not None and folds is not None and 0 <= fold < folds
        require("split.fold", fold, f"an integer from 0 to {(folds or 2) - 1}", when=valid)
    _check_order(split)


def _check_order(split: SplitConfig) -> None:
    if split.order is None:
        return
    if split.name == "kfold":
        raise RequestError(
            "split.order belongs to split=holdout: folds would train on what is newer than their "
            "validation partition"
        )
    if split.stratify:
        raise RequestError("split.order and split.stratify=true contradict each other")
    if split.group is not None:
        raise RequestError("split.order and split.group cannot be used together")

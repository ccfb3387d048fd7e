"""Which settings differ between runs, and how they are named: parameters in, columns out."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import cast

from fitgap.comparison.replicates import REPLICATE_KEYS
from fitgap.config.parameters import without_volatile
from fitgap.store import StoredRun

# Parameters that follow from the settings and the data; they are no settings themselves.
DERIVED = (
    "steps_per_epoch",
    "parameter_count",
    "train_samples",
    "val_samples",
    "test_samples",
    "most_frequent_class_share",
    "engine",
    "engine_reason",
    "metrics",
)
# What runs were before a setting existed.
BEFORE = {
    **dict.fromkeys(
        [
            f"dataset.{name}"
            for name in (
                *("task", "keys", "layout", "label_path", "val_path", "columns", "drop"),
                *("categories", "embed", "text", "missing", "separator", "decimal", "encoding"),
                *("header", "bits"),
            )
        ],
        "null",
    ),
    "dataset.embed_dim": "8",
    "dataset.length": "200",
    "dataset.vocabulary": "10000",
    "dataset.skip_unreadable": "false",
    **dict.fromkeys([f"split.{name}" for name in ("folds", "fold", "group", "order")], "null"),
    "split.train_fraction": "1.0",
    "training.class_weight": "null",
    "training.precision": "float32",
}
GROUPS = ("dataset", "split", "architecture", "optimizer", "loss")  # options that have a name

ENGINE = "training.engine"
OF_CLASS = "._target_"  # ends the name of a setting that is a class's or a function's import path
LIBRARIES = ("keras.", "fitgap.")  # whose classes are known by their own name

Setting = str | int | float | bool | list[object] | None


def deciding_keys(runs: Sequence[StoredRun]) -> tuple[str, ...]:
    """Return, sorted, the settings in which any two runs differ that are no replicates."""
    names = dict.fromkeys(set().union(*(run.params for run in runs)))
    decide = sorted(
        key for key in without_volatile(names) if key not in (*DERIVED, *REPLICATE_KEYS)
    )
    # What `auto` chose follows from the other settings, so it tells nothing where all left it so.
    varying = [key for key in decide if _differ(run.params.get(key) for run in runs)]
    return tuple(key for key in varying if _differ(setting_of(run, key) for run in runs))


def _differ(values: Iterator[str | None]) -> bool:
    first = next(values)
    return any(value != first for value in values)


def setting_of(run: StoredRun, key: str) -> str | None:
    """Return the stored value of one setting; None if the run has no such setting.

    Parameters
    ----------
    run
        A recorded run.
    key
        As it is recorded, such as ``optimizer.name``.
    """
    # `auto` is not a setting of its own: it is whatever engine it chose.
    if key == ENGINE and "engine" in run.params:
        return run.params["engine"]
    return run.params.get(key, BEFORE.get(key))


def settings_of(run: StoredRun, keys: Iterable[str]) -> tuple[str | None, ...]:
    """Return the stored values of several settings, as `setting_of` gives each.

    Parameters
    ----------
    run
        A recorded run.
    keys
        As they are recorded.
    """
    params = run.params
    return tuple(
        [params[key] if key in params and key != ENGINE else setting_of(run, key) for key in keys]
    )


def value_of(run: StoredRun, name: str) -> str | None:
    """Return the stored value of a setting by the name that its column has, such as ``optimizer``.

    Parameters
    ----------
    run
        A recorded run.
    name
        Of the column.
    """
    return setting_of(run, key_of(name))


def key_of(name: str) -> str:
    """Return the setting that a column shows.

    >>> key_of("optimizer"), key_of("training.epochs")
    ('optimizer.name', 'training.epochs')
    """
    return f"{name}.name" if name in GROUPS else name


def others_than(varied: Sequence[str], keys: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that are not in ``varied`` and do not belong to an option in it.

    >>> others_than(["optimizer"], ["optimizer", "optimizer.learning_rate", "training.epochs"])
    ('training.epochs',)
    """
    return tuple(
        key for key in keys if not any(key == one or key.startswith(f"{one}.") for one in varied)
    )


def differing_keys(
    variants: Sequence[tuple[str | None, ...]], *, decide: Sequence[str]
) -> tuple[str, ...]:
    """Return the settings that get a column, as they say more than the name of their option.

    An option brings many settings with it (adam has betas, sgd has none). They say no more than its
    name, and get a column only if they differ under one name. The same holds for the settings of a
    schedule or a callback, whose name is that of its class.

    Parameters
    ----------
    variants
        By group of runs, the value of each setting, in the order of ``decide``.
    decide
        The recorded settings that distinguish groups.
    """
    position = {key: i for i, key in enumerate(decide)}
    shown: list[str] = []
    for key, i in position.items():
        group = key.partition(".")[0]
        owner = f"{group}.name" if group in GROUPS else f"{key.rpartition('.')[0]}{OF_CLASS}"
        name_at = position.get(owner)
        if name_at is None or key == owner:
            if len({variant[i] for variant in variants}) > 1:
                shown.append(group if name_at is not None and group in GROUPS else key)
            continue
        under_name: dict[str | None, set[str | None]] = {}
        for variant in variants:
            under_name.setdefault(variant[name_at], set()).add(variant[i])
        if any(len(values) > 1 for values in under_name.values()):
            shown.append(key)
    order = {group: i for i, group in enumerate(GROUPS)}
    return tuple(sorted(shown, key=lambda key: (order.get(key.partition(".")[0], len(order)), key)))


def parse(value: str) -> Setting:
    """Return a setting from the string that MLflow keeps of it.

    >>> parse("[100]"), parse("0.001"), parse("relu"), parse("null")
    ([100], 0.001, 'relu', None)
    """
    if value in ("null", "true", "false") or value.startswith("["):
        with suppress(ValueError, RecursionError):
            return cast(Setting, json.loads(value))
    # Text that merely can be read as a number, as 1_000 or nan, stays text.
    if "_" not in value:
        for kind in (int, float):
            with suppress(ValueError, OverflowError):  # a number of hundreds of digits is no float
                number = kind(value)
                return number if math.isfinite(number) else value
    return value


def show(value: Setting) -> str:
    """Return a setting as a person would write it in YAML or on the command line.

    >>> show(None), show(True), show([256, 128]), show("adam")
    ('null', 'true', '[256, 128]', 'adam')
    """
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return str(value)


def show_shortly(value: Setting, *, key: str = "") -> str:
    """Return a setting as a table or chart names it: four digits of a float, a class's own name.

    A person's own function keeps its whole import path, as a sweep's lines show it: two that
    differ may have one name, such as two versions of a notebook's function.

    Parameters
    ----------
    value
        As parsed from the record.
    key
        As it is recorded; a key ``..._target_`` has an import path.

    Examples
    --------
    >>> show_shortly(0.000123456789), show_shortly(0.001), show_shortly(123456)
    ('0.0001235', '0.001', '123456')
    >>> show_shortly("keras.optimizers.schedules.CosineDecay", key="training.schedule._target_")
    'CosineDecay'
    >>> show_shortly("models.residual", key="architecture._target_")
    'models.residual'
    """
    if key.endswith(OF_CLASS) and show(value).startswith(LIBRARIES):
        return show(value).rpartition(".")[2]
    return f"{value:.4g}" if isinstance(value, float) else show(value)

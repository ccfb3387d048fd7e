"""Settings as the parameters of a run: by dotted names, as texts, and which decide its bits.

Plain values only, so that what reads a record needs neither Hydra nor the schema.
"""

import json
import posixpath
import re
from collections.abc import Mapping
from typing import Any

# Settings that name, place or track a run but decide none of its bits.
VOLATILE = (
    "name",
    "tags",
    "tracking",
    "dataset.allow_duplicates",
    "dataset.data_dir",
    "dataset.label_path",
    "dataset.path",
    "dataset.test_path",
    "dataset.val_path",
    "architecture.title",
)


_RECORDABLE = re.compile(r"[/\w.\- :]{1,250}")  # as mlflow.utils.validation


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested settings to dotted keys.

    Lists of numbers stay whole. So does a mapping with a key that MLflow does not take in a name,
    such as one of class names.

    Parameters
    ----------
    nested
        Settings.
    prefix
        Of all keys, ending in a dot.

    Examples
    --------
    >>> flatten({"training": {"epochs": 5}, "seed": 0, "weights": {"C++": 2}})
    {'training.epochs': 5, 'seed': 0, 'weights': {'C++': 2}}
    """
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and all(is_recordable(f"{path}.{name}") for name in value):
            flat |= flatten(value, f"{path}.")
        elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            flat |= flatten({str(i): item for i, item in enumerate(value)}, f"{path}.")
        else:
            flat[path] = value
    return flat


def is_recordable(name: str) -> bool:
    """Whether MLflow takes a name for a parameter or a tag.

    >>> is_recordable("tags.question"), is_recordable("tags.a+b"), is_recordable("tags/../b")
    (True, False, False)
    """
    return bool(_RECORDABLE.fullmatch(name)) and posixpath.normpath(name) == name


def to_text(value: Any) -> str:
    """Return a setting as the record keeps it: text as it is, anything else as JSON.

    >>> to_text("adam"), to_text(None), to_text([100])
    ('adam', 'null', '[100]')
    """
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def without_volatile(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flattened settings that decide a run's bits, without the volatile ones."""
    return {
        key: value
        for key, value in flat.items()
        if not any(key == name or key.startswith(f"{name}.") for name in VOLATILE)
    }

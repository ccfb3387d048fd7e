"""From keyword arguments of Python to overrides in Hydra's language, as a command line has them.

A value is a setting's value or, in a sweep, a list of values to go through.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_type_hints

from fitgap.config.checks import did_you_mean
from fitgap.config.options import is_group
from fitgap.config.quoting import quoted
from fitgap.config.schema import OPEN_GROUPS, PRESETS, Config
from fitgap.errors import RequestError
from fitgap.trust.text import plain

SHORT = {
    "epochs": "training.epochs",
    "batch_size": "training.batch_size",
    "learning_rate": "optimizer.learning_rate",
}
# What Hydra's language has in keys, some of it after an escape.
_KEY = re.compile(r"[\w/\-\\+.$%*@?|()\[\]{}:=, ]+", re.ASCII)
# Settings of the study, which a run cannot choose otherwise.
_OF_STUDY = {
    "dataset": "Study(data=...); one of its settings: overrides=['dataset.drop=[name]']",
    "tracking": "Study(name, uri=...)",
}


def overrides(settings: Mapping[str, Any], *, sweeps: bool) -> list[str]:
    """Return the overrides that some settings make.

    Parameters
    ----------
    settings
        By their config names or `SHORT`. A mapping holds the settings of a section, its ``name``
        the option of a group.
    sweeps
        Whether a list, a range or another iterable is a choice of values. A tuple is a value.

    Raises
    ------
    RequestError
        If there is no such setting, or a value that no setting can have.

    Examples
    --------
    >>> overrides({"optimizer": ["sgd", "adam"], "epochs": 3, "seed": range(2)}, sweeps=True)
    ['optimizer=sgd,adam', 'training.epochs=3', 'seed=0,1']
    """
    known = [*get_type_hints(Config), *PRESETS, *SHORT]
    words: list[str] = []
    for name, value in settings.items():
        if name in _OF_STUDY:
            raise RequestError(f"{name} is the study's: {_OF_STUDY[name]}")
        if name not in known:
            raise RequestError(
                f"{name}: there is no such setting{did_you_mean(name, known)}",
                f"Settings: {', '.join(known)}",
            )
        words += _words(SHORT.get(name, name), value, sweeps=sweeps)
    return words


def _words(key: str, value: Any, *, sweeps: bool) -> list[str]:
    if isinstance(value, Mapping) and _is_section(key) and "_target_" not in value:
        of_section = dict(value)
        option = of_section.pop("name", None)
        words = [] if option is None else _words(key, option, sweeps=sweeps)
        for name, item in of_section.items():
            words += _words(f"{key}.{name}", item, sweeps=sweeps)
        return words
    chosen = [*value] if sweeps and _is_choice(value) else [value]
    if not chosen:
        raise RequestError(f"{key} must have at least one value, got an empty list")
    texts = ",".join(literal(item, key=key) for item in chosen)
    group = key.replace(".", "/")
    is_mapping = any(isinstance(item, Mapping) for item in chosen)
    if is_group(group) and not is_mapping:
        return [f"{group}={texts}"]
    is_open = is_mapping or key.partition(".")[0] in OPEN_GROUPS
    return [f"{'++' if is_open else ''}{key}={texts}"]


def _is_section(key: str) -> bool:
    """Tell settings that have names of their own from a setting whose value is a mapping."""
    kind: Any = Config
    for name in key.split("."):
        kind = get_type_hints(kind).get(name) if dataclasses.is_dataclass(kind) else None
    return dataclasses.is_dataclass(kind) or is_group(key.replace(".", "/"))


def _is_choice(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | tuple | Mapping)


def literal(value: Any, *, key: str) -> str:
    r"""Return a value in Hydra's language of overrides.

    Parameters
    ----------
    value
        A number, text, path, list, mapping or None; NumPy's numbers are taken as Python's.
    key
        The setting's name, for error messages and for what its keys may contain.

    Raises
    ------
    RequestError
        If the value is of another type.

    Examples
    --------
    >>> [literal(v, key="k") for v in (None, True, 0.1, "adam", "two words", (1, 2), {"a": "b"})]
    ['null', 'true', '0.1', 'adam', "'two words'", '[1,2]', '{a:b}']
    >>> literal({0: 1, "T-shirt/top": 2, "ankle boot": 3}, key="training.class_weight")
    '{0:1,T-shirt/top:2,ankle\\ boot:3}'
    """
    if hasattr(value, "item") and not getattr(value, "shape", (1,)):
        value = value.item()  # NumPy's numbers
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str | Path):
        return _text(str(value))
    if isinstance(value, Mapping):
        pairs = (f"{_key(k, key=key)}:{literal(v, key=key)}" for k, v in value.items())
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, list | tuple | range):
        return "[" + ",".join(literal(item, key=key) for item in value) + "]"
    raise RequestError(
        f"{key} must be a number, text, a list, a mapping or null, got {type(value).__name__}"
    )


def _key(name: object, *, key: str) -> str:
    """Return a mapping's key, for which Hydra's language has escapes but no quotes."""
    text = str(name)
    if not _KEY.fullmatch(text):
        raise RequestError(
            f"{key}: {plain(repr(text), most=100)} cannot be a key here; for a class, give its "
            "number"
        )
    return re.sub(r"([\\()\[\]{}:=, ])", r"\\\1", text)


def _text(text: str) -> str:
    # What reads as a number or a word of Hydra's own is text all the same, since it was text.
    is_word = text.lower() in ("null", "true", "false", "nan", "inf")
    is_plain = text.isascii() and text.isidentifier() and not is_word
    return text if is_plain else quoted(text)

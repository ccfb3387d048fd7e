"""The settings that a run's record holds, from text to plain values of the schema's types."""

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any, get_type_hints

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fitgap.config import settings
from fitgap.config.schema import Config
from fitgap.errors import RequestError, first_line
from fitgap.trust.allowed_classes import MOST_DEPTH
from fitgap.trust.text import shown

MOST_CHARACTERS = 1_000_000  # of a file of settings
MOST_DIGITS = 4_300  # of a number, as Python has it


def read(text: str, *, what: str) -> dict[str, Any]:
    """Return a file of settings as plain values; nothing of it is made or run.

    Parameters
    ----------
    text
        YAML: mappings, lists, texts, numbers, booleans, null.
    what
        Where it comes from, for the message.

    Raises
    ------
    RequestError
        If it is anything else, refers to itself, or is larger than any experiment's.
    """
    if len(text) > MOST_CHARACTERS:
        raise RequestError(f"{what} has more than {MOST_CHARACTERS} characters")
    try:
        depth = 0  # libyaml takes minutes for a text of a hundred thousand brackets
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise RequestError(f"{what} refers to itself, which settings must not")
            if isinstance(event, yaml.ScalarEvent) and _is_endless_number(event.value):
                raise RequestError(
                    f"{what} cannot be read: a number has more than {MOST_DIGITS} digits"
                )
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > MOST_DEPTH:
                raise RequestError(f"{what} is nested deeper than {MOST_DEPTH} levels")
        plain = yaml.load(text, Loader=yaml.CSafeLoader)
    except RequestError:
        raise
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        reason = " ".join(str(error).split())[:200]
        raise RequestError(f"{what} cannot be read: {reason}") from error
    if not isinstance(plain, dict) or not all(isinstance(key, str) for key in plain):
        raise RequestError(f"{what} holds no settings")
    return plain


def _is_endless_number(text: str) -> bool:
    """Tell whether YAML would take the square of a number's length to read it."""
    return len(text) > MOST_DIGITS and not text.strip("+-0123456789abcdefxoABCDEFXO_:.")


def check_types(plain: Mapping[str, Any], *, what: str) -> None:
    """Check that settings, without those that do not exist any more, fit the schema's types.

    Raises
    ------
    RequestError
        Naming the first one that does not.
    """
    hints = get_type_hints(Config)
    for name, value in plain.items():
        schema = hints.get(name)
        if name == "dataset" and isinstance(value, Mapping):
            schema = settings.dataset_schema(value.get("name"))
        of_settings = is_dataclass(schema) or name in ("architecture", "optimizer")
        if of_settings and not isinstance(value, Mapping):
            raise RequestError(f"{what}: {name} must be settings, got {shown(value)}")
        if is_dataclass(schema):
            try:
                OmegaConf.merge(OmegaConf.structured(schema), dict(value))
            except OmegaConfBaseException as error:
                raise RequestError(f"{what}: {name}: {first_line(error)}") from error
    seed = plain.get("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise RequestError(f"{what}: seed must be an integer, got {shown(seed)}")

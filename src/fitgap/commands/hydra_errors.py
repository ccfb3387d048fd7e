"""What Hydra found wrong with a command, in a line or two, with the nearest right name."""

import re
import shlex
from collections.abc import Sequence

from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf.errors import OmegaConfBaseException

from fitgap.commands import settings_help
from fitgap.config import project
from fitgap.config.checks import did_you_mean
from fitgap.config.quoting import quoted
from fitgap.config.schema import OWN_DATASETS
from fitgap.trust.text import is_existing_path


def is_wrong_request(error: BaseException) -> bool:
    """Whether an error says that the request cannot be composed."""
    return isinstance(error, HydraException | OmegaConfBaseException) or _has_no_name(error)


def _has_no_name(error: BaseException) -> bool:
    # Hydra's answer to group=3 and to group=null; it does not say which group.
    return isinstance(error, ValueError) and str(error).startswith("Config group override")


def describe(error: BaseException) -> str:
    """Say in one or two lines what Hydra found wrong, with the nearest right name."""
    if _has_no_name(error):
        return f"group=option needs the option's name ({error})"
    if isinstance(error, MissingConfigException) and error.options is not None:
        return _describe_option(str(error.missing_cfg_file), error.options)
    cause = error.__cause__
    if isinstance(error, ConfigCompositionException) and isinstance(cause, OmegaConfBaseException):
        return _describe_setting(cause)
    if isinstance(error, OverrideParseException):
        if "=" not in str(error.override):
            return f"{error.override}: no value; a setting is written NAME=VALUE, without spaces"
        reason = [line for line in str(error).splitlines() if "override" not in line]
        return f"{error.override}: cannot be read: {' '.join(reason)}{_as_text(error.override)}"
    return _describe_text(str(error))


def _describe_text(text: str) -> str:
    """Say what Hydra found wrong if the type of its error does not show it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    ambiguous = re.match(r"Ambiguous value for argument '(.*)'", lines[0])
    if ambiguous:
        several = f"{ambiguous[1]}: several values make a sweep; add -m (a list is written [a,b])"
        return f"{several}{_as_text(ambiguous[1])}"
    if listed := re.match(r"In '.*': Could not load '(.+)/(.+)'", lines[0]):  # metrics=[a,b]
        return _no_such_option(listed[1], listed[2], settings_help.groups().get(listed[1], []))
    unknown = re.match(r"Could not override '(?:[^@']*@)?([^']+)'", lines[0])
    if unknown:
        return f"{unknown[1]}: there is no such group or setting"
    return "\n".join(lines[:2])


def _describe_option(file: str, options: Sequence[str]) -> str:
    """Say that ``conf/`` has no such file, and what to write if a person's own data were meant."""
    group, _, option = file.rpartition("/")
    path = file.removeprefix("dataset/")
    if path != file and is_existing_path(path):
        kinds = ", ".join(sorted(set(OWN_DATASETS) - {"function"}))
        return (
            f"dataset={path}: there is no such option; for your own data say their kind\n"
            f"dataset=KIND dataset.path={shlex.quote(path)}, where KIND is one of {kinds}"
        )
    given = {each.stem for each in (project.given_config_dir() / group).glob("*.yaml")}
    return _no_such_option(group, option, [name for name in options if name not in given])


def _no_such_option(group: str, option: str, options: Sequence[str]) -> str:
    return (
        f"{group}={option}: there is no such option{did_you_mean(option, options)}\n"
        f"Options of {group}: {', '.join(options)}"
    )


def _as_text(override: str) -> str:
    """Return how to write a value that is meant as plain text."""
    key, sign, value = override.partition("=")
    if not value:
        return ""
    word = key + sign + quoted(value.strip())
    # In double quotes it is easier to read, where the shell changes nothing between them.
    for_shell = shlex.quote(word) if set(word) & set('"$`\\!') else f'"{word}"'
    return f"\nAs plain text: {for_shell}"


def _describe_setting(error: OmegaConfBaseException) -> str:
    key = str(error.full_key)
    node, reason = error.parent_node, str(error).splitlines()[0]
    if node is None or "not in" not in reason:
        return _describe_type(key, reason)
    prefix, _, last = key.rpartition(".")
    usual = _SHORT_NAMES.get(last, "")
    if usual and prefix in ("", usual.rpartition(".")[0]):
        return f"{key}: there is no such setting; did you mean {usual}?"
    names = node.keys() if hasattr(node, "keys") else ()
    candidates = settings_help.groups() if "/" in last else map(str, names)
    nearest = did_you_mean(last, candidates, prefix=f"{prefix}." if prefix else "")
    if prefix == "loss":
        nearest += f"; an argument of the loss function is set with +loss.function.{last}=VALUE"
    return f"{key}: there is no such setting{nearest}"


def _describe_type(key: str, reason: str) -> str:
    """Say which type a setting must have, in the words of all other checks of settings."""
    for pattern, allowed in _TYPES:
        if found := re.search(pattern, reason):
            value = found["value"]
            given = repr(value) if found.groupdict().get("type") == "str" else value
            return f"{key} must be {allowed}, got {given}{_WAYS_OUT.get(key, '')}"
    if "is not Optional" in reason:
        return f"{key} must have a value, got null"
    if "Cannot assign" in reason and (group := key.replace(".", "/")) in settings_help.groups():
        return f"{key} has options: choose one of them with {group}=NAME"
    return f"{key}: {reason}"


# What OmegaConf says of a wrong type.
_OF_TYPE = r"Value '(?P<value>.*)' of type '(?P<type>\w+)' could not be converted to "
_TYPES = (
    (_OF_TYPE + "Integer", "an integer"),
    (_OF_TYPE + "Float", "a number"),
    (r"Value '(?P<value>.*)' is not a valid bool \(type (?P<type>\w+)\)", "true or false"),
    (r"(?P<value>\w+) is not a ListConfig", "a list, such as [28,28]"),
    (r"Cannot convert 'list' to string: '(?P<value>\[.*\])'", "text"),
)
# What is said where a setting of the wrong type is meant for another option.
_WAYS_OUT = {
    "dataset.label": (
        "; texts with several labels each (columns of 0 and 1) need "
        "dataset=table dataset.text=COLUMN"
    )
}

# What other libraries call settings that have a group here.
_SHORT_NAMES = {
    "batch_size": "training.batch_size",
    "engine": "training.engine",
    "epochs": "training.epochs",
    "learning_rate": "optimizer.learning_rate",
    "lr": "optimizer.learning_rate",
    "momentum": "optimizer.momentum",
    "units": "architecture.units",
    "dropout": "architecture.dropout",
    "target": "dataset.label",
    "targets": "dataset.label",
    "validation_split": "split.validation_fraction",
    "n_splits": "split.folds",
}

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
from omegaconf import Container
from omegaconf.errors import OmegaConfBaseException

from fitgap.config import project
from fitgap.config.checks import did_you_mean
from fitgap.config.quoting import quoted


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
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        given = {path.stem for path in (project.given_config_dir() / group).glob("*.yaml")}
        return _no_such_option(group, option, [name for name in error.options if name not in given])
    cause = error.__cause__
    if isinstance(error, ConfigCompositionException) and isinstance(cause, OmegaConfBaseException):
        return _describe_setting(cause)
    if isinstance(error, OverrideParseException):
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
        folders = (root / listed[1] for root in project.config_dirs())
        files = (path for folder in folders for path in folder.glob("*.yaml"))
        return _no_such_option(listed[1], listed[2], sorted({path.stem for path in files}))
    unknown = re.match(r"Could not override '(?:[^@']*@)?([^']+)'", lines[0])
    if unknown:
        return f"{unknown[1]}: there is no such group or setting"
    return "\n".join(lines[:2])


def _no_such_option(group: str, option: str, options: Sequence[str]) -> str:
    return (
        f"{group}={option}: there is no such option{did_you_mean(option, options)}\n"
        f"Options of {group}: {', '.join(options)}"
    )


def _as_text(override: str) -> str:
    """Say how a value is typed that is meant as plain text."""
    key, sign, value = override.partition("=")
    if not value:
        return ""
    word = key + sign + quoted(value.strip())
    # In double quotes it is easier to read, where the shell changes nothing between them.
    for_shell = shlex.quote(word) if set(word) & set('"$`\\!') else f'"{word}"'
    return f"\nAs plain text: {for_shell}"


def _describe_setting(error: OmegaConfBaseException) -> str:
    key = str(error.full_key)
    if error.parent_node is None or not _is_unknown(error):
        reason = str(error).splitlines()[0]
        if found := re.search(r"(\w+) is not a ListConfig", reason):  # OmegaConf's word for a list
            reason = f"must be a list, such as [28,28], got {found[1]}"
        return f"{key}: {reason}"
    prefix, _, last = key.rpartition(".")
    if not prefix and last in _SHORT_NAMES:
        return f"{key}: there is no such setting; did you mean {_SHORT_NAMES[last]}?"
    candidates = _groups() if "/" in last else [str(name) for name in _keys(error.parent_node)]
    nearest = did_you_mean(last, candidates, prefix=f"{prefix}." if prefix else "")
    return f"{key}: there is no such setting{nearest}"


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
}


def _is_unknown(error: OmegaConfBaseException) -> bool:
    return "not in" in str(error).splitlines()[0]


def _keys(node: Container) -> Sequence[str]:
    return list(node) if isinstance(node, dict) or hasattr(node, "keys") else []


def _groups() -> list[str]:
    folders = {
        path.parent.relative_to(root).as_posix()
        for root in project.config_dirs()
        for path in root.rglob("*.yaml")
    }
    return sorted(folders - {"."})

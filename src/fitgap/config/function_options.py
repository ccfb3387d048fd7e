"""Options of a config group for a function that is named by its import path or given in Python.

They are files of the project folder's own ``.fitgap/options``, so that every process finds them.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from fitgap.config import project, state_files
from fitgap.config.options import has_option
from fitgap.config.schema import OPEN_GROUPS
from fitgap.errors import RequestError

_IMPORT_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


def settings_of(group: str, name: str, function: Mapping[str, Any]) -> dict[str, Any]:
    """Return an option as its YAML file has it.

    Parameters
    ----------
    group
        One of `fitgap.config.schema.OPEN_GROUPS`.
    name
        What comparisons call it.
    function
        Its ``_target_`` and settings.
    """
    if group == "loss":
        return {"name": name, "labels": "auto", "function": dict(function)}
    return {"name": name, **function}


def names_function(group: str, value: object) -> bool:
    """Tell whether an option has the form of an import path; whether it exists is not checked.

    Parameters
    ----------
    group
        Of the option; some groups take no functions.
    value
        The option as given.
    """
    return group in OPEN_GROUPS and isinstance(value, str) and bool(_IMPORT_PATH.fullmatch(value))


def offer_importable(group: str, value: str) -> bool:
    """Make an option of an import path, as of ``architecture=models.residual``.

    Parameters
    ----------
    group
        Of the override, such as ``architecture``.
    value
        The option that is asked for.

    Returns
    -------
    bool
        Whether it is such a path; what it names is imported later, when it is used.
    """
    if not names_function(group, value) or has_option(group, value):
        return False
    name = value.rpartition(".")[2]
    write(group, value, settings_of(group, name, {"_target_": value}))
    return True


def write(group: str, option: str, settings: Mapping[str, Any]) -> None:
    """Write an option's file, unless it holds these settings already.

    Parameters
    ----------
    group
        Of the option.
    option
        Its name.
    settings
        Its content.

    Raises
    ------
    RequestError
        If the project folder cannot be written.
    """
    text = "# Written by fitgap for a function that was named or handed over.\n"
    text += yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True)
    write_text(project.given_config_dir() / group / f"{option}.yaml", text)


def write_text(path: Path, text: str) -> None:
    """Write a file of the project folder as a whole, unless it holds this text already.

    Raises
    ------
    RequestError
        If the project folder cannot be written.
    """
    try:
        if path.exists() and path.read_text(encoding="utf-8") == text:
            return
        state_files.replace(path, text)
    except OSError as error:
        raise RequestError(
            f"the project folder {project.folder()} cannot be written: {error.strerror}"
        ) from error

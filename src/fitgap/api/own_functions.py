"""Functions handed over in Python, as options of a config group that every process finds.

A function of a module goes by its name. One of a notebook or of the script itself is written to
a module of the project folder that is named after its source, so that workers import it without
running the script anew, and the same source is the same experiment tomorrow.
"""

import ast
import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from fitgap.config import fingerprints, own_code, project, targets
from fitgap.errors import RequestError

GROUPS = ("architecture", "optimizer")


def with_options(settings: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return settings in which functions are replaced by the names of options.

    Parameters
    ----------
    settings
        Values of the groups `GROUPS` may be options' names, functions, classes,
        ``functools.partial`` of them, or mappings with ``_target_``; or lists of these.

    Returns
    -------
    tuple
        The settings, and what of the functions lives in this process alone.

    Raises
    ------
    RequestError
        If something is neither a name nor callable.
    """
    replaced = dict(settings)
    here_only: list[str] = []
    for group in GROUPS:
        if group not in settings:
            continue
        value = settings[group]
        if isinstance(value, list | tuple):
            replaced[group] = [_option(group, item, here_only) for item in value]
        else:
            replaced[group] = _option(group, value, here_only)
    return replaced, tuple(here_only)


def of_data(value: Any) -> dict[str, Any]:
    """Return the settings of ``dataset=function`` for a function that returns data.

    Parameters
    ----------
    value
        A function, or a ``functools.partial`` of one.

    Raises
    ------
    RequestError
        If its source cannot be had: nobody could then tell which data were used.
    """
    here_only: list[str] = []
    target, settings = _function_of("data", value, here_only)
    if here_only:
        raise RequestError(
            f"data: {here_only[0]} has no source that could be kept; define it by def at the top "
            "of a module or cell"
        )
    return {"_target_": target, **settings}


def _option(group: str, value: Any, here_only: list[str]) -> Any:
    if isinstance(value, str) or (isinstance(value, Mapping) and "_target_" not in value):
        return value
    target, settings = _function_of(group, value, here_only)
    name = str(settings.pop("name", target.rpartition(".")[2].strip("<>")))
    return _write_option(group, name, {"_target_": target, "name": name, **settings})


def _function_of(what: str, value: Any, here_only: list[str]) -> tuple[str, dict[str, Any]]:
    """Return the name by which a function is imported, and the settings that come with it."""
    function, settings = value, {}
    if isinstance(value, Mapping):
        settings = {key: item for key, item in value.items() if key != "_target_"}
        function = value["_target_"]
    elif isinstance(value, functools.partial):
        if value.args:
            raise RequestError(f"{what}: a partial function may bind arguments by name only")
        function, settings = value.func, dict(value.keywords)
    if isinstance(function, str):
        return function, settings
    if callable(function):
        return _target(function, here_only), settings
    raise RequestError(
        f"{what} must be an option's name or a function, got {type(function).__name__}"
    )


def _target(function: Callable[..., Any], here_only: list[str]) -> str:
    """Return the name by which a function is imported; one that cannot be is known here only."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "<")
    if module and module != "__main__" and "<" not in name:
        targets.locate(f"{module}.{name}")
        return f"{module}.{name}"
    registered = targets.register(function)
    code = own_code.code_of([registered])
    text = code.texts.get(own_code.GIVEN_FILE, "")
    short = name.rpartition(".")[2]
    if code.unknown or not _defines(text, short):
        here_only.append(short.strip("<>"))
        return registered
    stem = f"given_{fingerprints.fingerprint(text)[:12]}"
    _write(project.given_code_dir() / f"{stem}.py", text)
    project.make_importable()
    return f"{stem}.{short}"


def _defines(text: str, name: str) -> bool:
    try:
        body = ast.parse(text).body
    except SyntaxError:
        return False
    return any(getattr(node, "name", None) == name for node in body)


def _write_option(group: str, name: str, node: dict[str, Any]) -> str:
    try:
        canonical = json.dumps(node, sort_keys=True)
    except TypeError as error:
        raise RequestError(f"{group}={name}: its settings must be plain values: {error}") from error
    stem = "".join(c if c.isalnum() else "_" for c in name)
    option = f"{stem}_{hashlib.sha256(canonical.encode()).hexdigest()[:8]}"
    text = "# Written by fitgap for a function that was handed over in Python.\n"
    text += yaml.safe_dump(json.loads(canonical), sort_keys=False, allow_unicode=True)
    _write(project.given_config_dir() / group / f"{option}.yaml", text)
    return option


def _write(path: Path, text: str) -> None:
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.name}.new")
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        raise RequestError(
            f"the project folder {project.folder()} cannot be written: {error.strerror}"
        ) from error

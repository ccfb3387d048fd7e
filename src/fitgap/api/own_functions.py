"""Functions and objects that were given in Python, as options that every process finds.

A function of a module is recorded by its name. A function of a notebook or of the script itself is
written to a module of the project folder that is named after its source, so that workers import it
without running the script again, and the same source is the same experiment tomorrow. A Keras
object is recorded by its class and settings.
"""

import ast
import dataclasses
import functools
import hashlib
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fitgap.config import fingerprints, function_options, own_code, project, targets
from fitgap.config.schema import OPEN_GROUPS, MetricConfig
from fitgap.errors import RequestError

_KERAS_MODULES = ("optimizers", "losses", "metrics")


def with_options(settings: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return settings in which functions are replaced by the names of options.

    Parameters
    ----------
    settings
        Values of ``architecture``, ``optimizer`` and ``loss`` may be options' names, import paths,
        functions, classes, ``functools.partial`` of them, objects of Keras's, or mappings with
        ``_target_``; or lists of these. One of ``metrics`` may also be a mapping of the settings
        that its file in ``conf/metrics`` would have, with its ``name``.

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
    for group in OPEN_GROUPS:
        if group in settings:
            value = settings[group]
            replaced[group] = (
                [_option(group, item, here_only) for item in value]
                if isinstance(value, list | tuple)
                else _option(group, value, here_only)
            )
    if "metrics" in settings:
        replaced["metrics"] = _metrics(settings["metrics"], here_only)
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
        If its source cannot be read: nobody could then know which data were used.
    """
    here_only: list[str] = []
    target, settings = _function_of("data", value, here_only)
    if here_only:
        raise RequestError(
            f"data: {here_only[0]} has no source that can be kept; define it with def at the top "
            "of a module or cell"
        )
    return {"_target_": target, **settings}


def _option(group: str, value: Any, here_only: list[str]) -> Any:
    if isinstance(value, str):
        function_options.offer_importable(group, value)
        return value
    if isinstance(value, Mapping) and "_target_" not in value:
        return value
    target, settings = _function_of(group, value, here_only)
    if not settings and function_options.names_function(group, target):
        # As on the command line, and as a comparison shows it: two functions may have one name.
        function_options.offer_importable(group, target)
        return target
    short = target.rpartition(".")[2].strip("<>")
    name = str(settings.pop("name", short))
    option = function_options.settings_of(group, name, {"_target_": target, **settings})
    is_known_by_name = name != short or target.startswith("keras.")
    return _write_option(group, name if is_known_by_name else target, option)


def _metrics(given: Any, here_only: list[str]) -> Any:
    """Return the names of the metrics' options; those that are settings become options."""
    if isinstance(given, Mapping) and "name" not in given:
        return given  # changed settings of metrics, by their names
    items = given if isinstance(given, list | tuple) else [given]
    return tuple(item if isinstance(item, str) else _metric(item, here_only) for item in items)


def _metric(given: Any, here_only: list[str]) -> str:
    known = {field.name for field in dataclasses.fields(MetricConfig)}
    if not isinstance(given, Mapping) or not {"name"} < set(given) <= known | {"name"}:
        raise RequestError(
            "metrics must be options' names, or mappings with a name and some of "
            f"{', '.join(sorted(known))}, got {given!r}"
        )
    node = dict(given)
    name = str(node.pop("name"))
    if node.get("function") is not None:
        target, settings = _function_of("metrics", node["function"], here_only)
        node["function"] = {"_target_": target, **settings}
    return _write_option("metrics", name, {name: node})


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
    if public := _name_in_keras(type(function)):
        return public, settings | _settings_of_object(function)
    if _is_built(function):
        raise RequestError(
            f"{what}: a {type(function).__name__} that is already built cannot be used; give the "
            "function that makes it, because each run begins with its own weights"
        )
    if callable(function):
        return _name_in_keras(function) or _target(function, here_only), settings
    raise RequestError(
        f"{what} must be an option's name or a function, got {type(function).__name__}"
    )


def _name_in_keras(kind: Any) -> str | None:
    """Return the public name of a class of Keras's that a run can be made of, or None."""
    keras = sys.modules.get("keras")  # without it nobody can hand such a class over
    name = getattr(kind, "__name__", "")
    found = (
        module
        for module in _KERAS_MODULES
        if getattr(getattr(keras, module, None), name, None) is kind
    )
    return next((f"keras.{module}.{name}" for module in found), None)


def _is_built(value: Any) -> bool:
    """Tell whether it is a layer or a model of Keras's."""
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(value, keras.layers.Layer)


def _settings_of_object(value: Any) -> dict[str, Any]:
    """Return the arguments that an object of Keras was built with, without default values."""
    parameters = inspect.signature(type(value)).parameters
    config = value.get_config()
    if isinstance(config.get("learning_rate"), Mapping):
        raise RequestError(
            "an optimizer's schedule is a separate setting: training={'schedule': 'cosine'}"
        )
    return {
        key: float(str(np.float32(item))) if isinstance(item, float) else item  # kept in float32
        for key, item in config.items()
        if key in parameters and key != "name" and item != parameters[key].default
    }


def _target(function: Callable[..., Any], here_only: list[str]) -> str:
    """Return a function's import path, or, if it has none, a name that only this process knows."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "<")
    if module and module != "__main__" and "<" not in name:
        if targets.locate(f"{module}.{name}") != function:  # of a class method, each is new
            raise RequestError(
                f"{module}.{name} is not the function that was given: define it with def at the "
                "top of a module, and give that one"
            )
        return f"{module}.{name}"
    registered = targets.register(function)
    code = own_code.code_of([registered])
    text = code.texts.get(own_code.GIVEN_FILE, "")
    short = name.rpartition(".")[2]
    if code.unknown or not _defines(text, short):
        here_only.append(short.strip("<>"))
        return registered
    stem = f"given_{fingerprints.fingerprint(text)[:12]}"
    function_options.write_text(project.given_code_dir() / f"{stem}.py", text)
    project.make_importable()
    return f"{stem}.{short}"


def _defines(text: str, name: str) -> bool:
    try:
        body = ast.parse(text).body
    except SyntaxError:
        return False
    return any(getattr(node, "name", None) == name for node in body)


def _write_option(group: str, name: str, settings: dict[str, Any]) -> str:
    """Write an option under a name of its own, and return that."""
    try:
        canonical = json.dumps(settings, sort_keys=True)
    except TypeError as error:
        raise RequestError(f"{group}={name}: its settings must be plain values: {error}") from error
    stem = "".join(c if c.isalnum() or c == "." else "_" for c in name)
    option = f"{stem}_{hashlib.sha256(canonical.encode()).hexdigest()[:8]}"
    function_options.write(group, option, json.loads(canonical))
    return option

"""What a ``_target_`` names: a function or class of a module, or one that was given in Python."""

import importlib
import linecache
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fitgap.config import edited_code
from fitgap.config.checks import did_you_mean
from fitgap.config.modules import is_library, is_own_module, split_target
from fitgap.errors import RequestError, first_line

_given: dict[str, Callable[..., Any]] = {}


def register(function: Callable[..., Any]) -> str:
    """Make a function known to this process, and return the target that names it.

    Parameters
    ----------
    function
        Also one of ``__main__``, of a notebook, one made inside another function, or an object
        that can be called. Two of one name, such as two lambdas, get targets of their own.
    """
    module = getattr(function, "__module__", None) or "__main__"
    name = getattr(function, "__qualname__", None) or f"<{type(function).__name__}>"
    target, number = f"{module}.{name}", 1
    while _given.get(target, function) is not function:
        number += 1
        end = ">" if name.endswith(">") else ""
        target = f"{module}.{name.removesuffix('>')}_{number}{end}"
    _given[target] = function
    return target


def given(target: str) -> Callable[..., Any] | None:
    """Return the function that was registered under a target, or None."""
    return _given.get(target)


def is_own(target: str) -> bool:
    """Tell whether a target names own code; without importing it."""
    if target in _given:
        return True
    module, _ = split_target(target)
    return module is not None and is_own_module(module)


def locate(target: str) -> Any:
    """Return what a target names, importing its module.

    Raises
    ------
    RequestError
        If there is no such module or name in it, or the module fails while it is imported.
    """
    if target in _given:
        return _given[target]
    parts = target.split(".")
    found: Any = None
    for end in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:end])
        try:
            found = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name and (name == error.name or name.startswith(f"{error.name}.")):
                continue
            raise _failed(target, error) from error
        except Exception as error:  # a person's module runs, which may raise anything
            raise _failed(target, error) from error
        for i in range(end, len(parts)):
            if not hasattr(found, parts[i]):
                place = ".".join(parts[:i])
                nearest = did_you_mean(parts[i], dir(found))
                raise RequestError(f"{target} does not exist: {place} has no {parts[i]}{nearest}")
            found = getattr(found, parts[i])
        edited_code.remember_imported()
        return found
    folders = "the project folder and what is installed"
    raise RequestError(f"{target} does not exist: there is no module {parts[0]} in {folders}")


def _failed(target: str, error: Exception) -> RequestError:
    return RequestError(f"{target} cannot be imported: {describe_failure(error)}")


def describe_failure(error: BaseException) -> str:
    """Return an exception in one line, with the line of the user's code that raised it."""
    kind = type(error).__name__
    described = f"{kind}: {first_line(error)}" if str(error).strip() else kind
    place = _own_line(error)
    return f"{described} ({place})" if place else described


def _own_line(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_shown(error.filename)}, line {error.lineno}"
    found = ""
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not is_library(Path(code.co_filename)) and not code.co_filename.startswith("<frozen"):
            line = linecache.getline(code.co_filename, traceback.tb_lineno).strip()
            found = f"{_shown(code.co_filename)}, line {traceback.tb_lineno}"
            found += f": {line}" if line else ""
        traceback = traceback.tb_next
    return found


def _shown(file: str) -> str:
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file

"""What each check of a setting is made of: the form of its message, and the nearest right name."""

import difflib
import itertools
import sys
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, TypeGuard

from fitgap.errors import RequestError


def require(name: str, value: object, allowed: str, *, when: bool) -> None:
    """Raise a `RequestError` in the form of all settings' errors, unless a value is allowed.

    Parameters
    ----------
    name
        Of the setting.
    value
        As given.
    allowed
        What is allowed, in words, after "must be".
    when
        Whether the value is allowed.
    """
    if not when:
        raise RequestError(f"{name} must be {allowed}, got {value!r}")


def require_one_of(name: str, value: object, allowed: Iterable[str]) -> None:
    """Raise a `RequestError` unless a setting is one of some words."""
    words = tuple(allowed)
    require(name, value, " or ".join(words), when=value in words)


def require_target(name: str, node: object) -> None:
    """Raise a `RequestError` unless a setting has a ``_target_``."""
    require(name, node, "given with a _target_", when=has_target(node))


def require_share(name: str, value: object) -> None:
    """Raise a `RequestError` unless a setting is a number between 0 and 1."""
    inside = is_number(value) and 0 < value < 1
    require(name, value, "a number in (0, 1)", when=inside)


def did_you_mean(name: str, candidates: Iterable[str], *, prefix: str = "") -> str:
    """Return the nearest right name as the end of an error message, or nothing if none is near.

    >>> did_you_mean("epoch", ["epochs", "batch_size"], prefix="training.")
    '; did you mean training.epochs?'
    >>> did_you_mean("resnet", ["dense", "residual"])
    '; did you mean residual?'
    """
    nearest = max(candidates, key=lambda candidate: _similarity(name, candidate), default="")
    return f"; did you mean {prefix}{nearest}?" if _similarity(name, nearest) >= 0.5 else ""


def _similarity(name: str, candidate: str) -> float:
    """Return how near two names are, from 0 to 1: of equal beginnings more so, as Winkler has it.

    W. E. Winkler (1990), "String comparator metrics and enhanced decision rules in the
    Fellegi-Sunter model of record linkage".
    """
    ratio = difflib.SequenceMatcher(None, candidate, name).ratio()
    equal = itertools.takewhile(
        lambda pair: pair[0] == pair[1], zip(name, candidate[:4], strict=False)
    )
    return ratio + 0.1 * len(list(equal)) * (1 - ratio)


def refuse_unknown(prefix: str, given: Iterable[str], schema: Any) -> None:
    """Raise a `RequestError` for the first name that is not a field of a dataclass.

    Parameters
    ----------
    prefix
        Of the names in messages, such as ``training.``.
    given
        The names.
    schema
        The dataclass.
    """
    known = [each.name for each in fields(schema)]
    for name in given:
        if name not in known:
            nearest = did_you_mean(name, known, prefix=prefix)
            raise RequestError(f"{prefix}{name}: there is no such setting{nearest}")


def is_number(value: object) -> TypeGuard[float]:
    """Tell whether a setting is an int or float that is finite as a float (a bool is neither).

    >>> is_number(5), is_number(float("nan")), is_number(10**400)
    (True, False, False)
    """
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) <= sys.float_info.max  # unlike `math.isfinite`, it takes any int


def has_target(node: object) -> bool:
    """Tell whether a setting has a ``_target_``."""
    return isinstance(node, Mapping) and isinstance(node.get("_target_"), str)


def check_seed(name: str, seed: int | None) -> None:
    """Raise a `RequestError` for a seed that NumPy does not take."""
    # The bound is NumPy's, which takes a seed from 32 bits.
    valid = isinstance(seed, int) and 0 <= seed < 2**32
    require(name, seed, "an integer from 0 to 4294967295", when=valid)

"""From an exception to an exit code and a line or two on the terminal.

0: all is well. 1: a run failed. 2: the request was wrong and nothing was started.
"""

import difflib
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from omegaconf import Container
from omegaconf.errors import OmegaConfBaseException

from fitgap.errors import RequestError

OK, FAILED, WRONG_REQUEST = 0, 1, 2
INTERRUPTED = 130  # 128 + SIGINT, as shells count

# Asked before `run_command` sets it for Hydra's sake.
_SHOWS_TRACEBACK = os.environ.get("HYDRA_FULL_ERROR") == "1"


def run_command(command: Callable[[], int | None]) -> NoReturn:
    """Run a script's main function and leave with the exit code that fits its outcome.

    Parameters
    ----------
    command
        Returns an exit code, or None for 0.
    """
    # Hydra would otherwise print errors its own way and leave with 1 for all of them.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        code = command() or OK
    except (Exception, KeyboardInterrupt) as error:
        code = report(error)
    sys.exit(code)


def report(error: BaseException) -> int:
    """Print an error in a line or two on stderr and return its exit code.

    The traceback comes before it if the person set ``HYDRA_FULL_ERROR=1``.
    """
    if _SHOWS_TRACEBACK:
        traceback.print_exception(error)
    if isinstance(error, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    if isinstance(error, RequestError):
        print(f"error: {error}", file=sys.stderr)
        return WRONG_REQUEST
    if isinstance(error, HydraException | OmegaConfBaseException):
        print(f"error: {describe(error)}", file=sys.stderr)
        return WRONG_REQUEST
    print(f"failed: {type(error).__name__}: {error}", file=sys.stderr)
    return FAILED


def describe(error: HydraException | OmegaConfBaseException) -> str:
    """Say in one or two lines what Hydra found wrong, with the nearest right name."""
    if isinstance(error, MissingConfigException) and error.options is not None:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        return (
            f"{group}={option}: there is no such option{_nearest(option, error.options)}\n"
            f"Options of {group}: {', '.join(error.options)}"
        )
    cause = error.__cause__
    if isinstance(error, ConfigCompositionException) and isinstance(cause, OmegaConfBaseException):
        key = str(cause.full_key)
        if cause.parent_node is not None and _is_unknown(cause):
            siblings = [str(name) for name in _keys(cause.parent_node)]
            prefix, _, last = key.rpartition(".")
            nearest = _nearest(last, siblings, prefix=f"{prefix}." if prefix else "")
            return f"{key}: there is no such setting{nearest}"
        return f"{key}: {str(cause).splitlines()[0]}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    unknown = re.match(r"Could not override '(?:[^@']*@)?([^']+)'", lines[0])
    if unknown:
        return f"{unknown[1]}: there is no such group or setting"
    return "\n".join(lines[:2])


def _is_unknown(error: OmegaConfBaseException) -> bool:
    return "not in" in str(error).splitlines()[0]


def _keys(node: Container) -> Sequence[str]:
    return list(node) if isinstance(node, dict) or hasattr(node, "keys") else []


def _nearest(name: str, candidates: Sequence[str], *, prefix: str = "") -> str:
    matches = difflib.get_close_matches(name, candidates, n=1, cutoff=0.5)
    return f"; did you mean {prefix}{matches[0]}?" if matches else ""

"""From an exception to an exit code and a line or two on the terminal.

0: all is well. 1: a run failed. 2: the request was wrong and nothing was started.
"""

import argparse
import os
import re
import resource
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import Container
from omegaconf.errors import OmegaConfBaseException

from fitgap.commands.overrides import quoted
from fitgap.config import project
from fitgap.config.checks import did_you_mean
from fitgap.errors import RequestError
from fitgap.trust.text import plain, without_secrets

OK, FAILED, WRONG_REQUEST = 0, 1, 2
LEAST_FILES = 128  # that a process must be allowed to have open; training needs some twenty
INTERRUPTED, TERMINATED = 130, 143  # 128 + the signal's number, as shells count

# Asked before `run_command` sets it for Hydra's sake.
_MOST_OF_TRACEBACK = 1_000_000  # characters
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
        _need_files()
        code = command() or OK
        sys.stdout.flush()
    except SystemExit as end:
        if not isinstance(end.__context__, BrokenPipeError):
            raise
        code = _end_without_reader()  # rich's answer to it is exit code 1
    except BrokenPipeError:
        code = _end_without_reader()
    except BaseException as error:
        code = report(error)
    sys.exit(code)


def _need_files() -> None:
    """Raise `RequestError` where a process may open too few files.

    SQLite, Vega and others then fail each in its own way, some without a word of the cause.
    """
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY in (allowed, most) or allowed >= LEAST_FILES:
        return
    if most < LEAST_FILES:
        raise RequestError(
            f"this process may open {most} files at once, and fitgap needs {LEAST_FILES}: "
            f"ulimit -n {LEAST_FILES}"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (LEAST_FILES, most))


def _end_without_reader() -> int:
    """Answer that `command | head` has closed the pipe: nobody misses what is not read."""
    # Python would complain once more while it exits.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return OK


def count(text: str) -> int:
    """Return a number of the command line, for argparse; 1 or more."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, got {number}")
    return number


def report(error: BaseException) -> int:
    """Print an error in a line or two on stderr and return its exit code.

    The traceback comes before it if the person set ``HYDRA_FULL_ERROR=1``.
    """
    if _SHOWS_TRACEBACK:
        told = "".join(traceback.format_exception(error))
        print(without_secrets(plain(told, most=_MOST_OF_TRACEBACK)), end="", file=sys.stderr)
    if isinstance(error, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    if not isinstance(error, Exception):  # raised by the handler of SIGTERM
        print("terminated", file=sys.stderr)
        return TERMINATED
    if isinstance(error, RequestError):
        _say("error", str(error))
        return WRONG_REQUEST
    if isinstance(error, HydraException | OmegaConfBaseException):
        _say("error", describe(error))
        return WRONG_REQUEST
    if isinstance(error, ValueError) and str(error).startswith("Config group override"):
        # Hydra's answer to group=3 and to group=null; it does not say which group.
        _say("error", f"group=option needs the option's name ({error})")
        return WRONG_REQUEST
    _say("failed", f"{type(error).__name__}: {error}")
    return FAILED


def _say(word: str, message: str) -> None:
    """Print a message on stderr, its first word red where a terminal shows colours."""
    message = without_secrets(plain(message))
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.text import Text

        # Rich follows NO_COLOR and TERM=dumb. Text, since a message is not Rich's markup.
        text = Text.assemble((f"{word}:", "bold red"), " ", message)
        Console(stderr=True).print(text, soft_wrap=True)
    else:
        print(f"{word}: {message}", file=sys.stderr)


def describe(error: HydraException | OmegaConfBaseException) -> str:
    """Say in one or two lines what Hydra found wrong, with the nearest right name."""
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
    """Say what Hydra found wrong where its error is of no kind that tells."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    ambiguous = re.match(r"Ambiguous value for argument '(.*)'", lines[0])
    if ambiguous:
        several = f"{ambiguous[1]}: several values make a sweep; add -m (a list is written [a,b])"
        return f"{several}{_as_text(ambiguous[1])}"
    if listed := re.match(r"In '.*': Could not load '(.+)/(.+)'", lines[0]):  # metrics=[a,b]
        files = (path for root in project.config_dirs() for path in (root / listed[1]).iterdir())
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
            reason = f"must be a list, as [28,28], got {found[1]}"
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

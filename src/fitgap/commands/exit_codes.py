"""From an exception to an exit code and a line or two on the terminal.

0: all is well. 1: a run failed. 2: the request was wrong and nothing was started.
"""

import errno
import os
import resource
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from fitgap.console import warn
from fitgap.errors import RequestError
from fitgap.tracking.termination import sigterm_raises
from fitgap.trust.text import plain, without_secrets

OK, FAILED, WRONG_REQUEST = 0, 1, 2
LEAST_FILES = 128  # that a process must be allowed to have open; training needs some twenty
INTERRUPTED, TERMINATED = 130, 143  # 128 + the signal's number, as shells count

_MOST_OF_MESSAGE = 2_000  # characters: names of a record or of data can be endless
_MOST_OF_NAME = 60  # characters
_MOST_OF_TRACEBACK = 1_000_000  # characters
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
        _need_files()
        with sigterm_raises():
            code = command() or OK
        sys.stdout.flush()
    except SystemExit as end:
        if not isinstance(end.__context__, BrokenPipeError):
            raise
        code = _end_without_reader()  # rich's answer to it is exit code 1
        if isinstance(end.__cause__, BrokenPipeError):  # it has ended a run, which failed
            code = FAILED
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
    """Return the exit code if ``command | head`` has closed the pipe, which is no error."""
    # Python would complain once more while it exits.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return OK


def report(error: BaseException) -> int:
    """Print an error in a line or two on stderr and return its exit code.

    The traceback comes before it if the person set ``HYDRA_FULL_ERROR=1``.
    """
    if _SHOWS_TRACEBACK:
        trace = "".join(traceback.format_exception(error))
        warn(without_secrets(plain(trace, most=_MOST_OF_TRACEBACK)).rstrip("\n"))
    if isinstance(error, KeyboardInterrupt):
        warn("interrupted")
        return INTERRUPTED
    if not isinstance(error, Exception):  # raised by the handler of SIGTERM
        warn("terminated")
        return TERMINATED
    if isinstance(error, RequestError):
        _say("error", str(error))
        return WRONG_REQUEST
    from fitgap.commands import hydra_errors  # here, since most commands do without Hydra

    if hydra_errors.is_wrong_request(error):
        _say("error", hydra_errors.describe(error))
        return WRONG_REQUEST
    if reason := _impossible_name(error):
        _say("error", reason)
        return WRONG_REQUEST
    _say("failed", f"{type(error).__name__}: {error}")
    return FAILED


def _impossible_name(error: Exception) -> str:
    """Return what is wrong with a name that no file or no record can have; else nothing."""
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        name = plain(str(error.filename), most=_MOST_OF_NAME)
        return f"no file can have a name of so many letters: {name}"
    if isinstance(error, UnicodeEncodeError) and error.reason.startswith("surrogates"):
        name = plain(error.object[max(0, error.start - 20) : error.end + 20])
        return f"a name has characters that are no Unicode: {name}"
    return ""


def _say(word: str, message: str) -> None:
    """Print a message on stderr, its first word red where a terminal shows colours."""
    message = plain(without_secrets(plain(message)), most=_MOST_OF_MESSAGE)
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.text import Text

        # Rich follows NO_COLOR and TERM=dumb. Text, since a message is not Rich's markup.
        text = Text.assemble((f"{word}:", "bold red"), " ", message)
        Console(stderr=True).print(text, soft_wrap=True)
    else:
        warn(f"{word}: {message}")

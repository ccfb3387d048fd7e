"""Too little memory, reported as such: libraries report it in many ways."""

import errno
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager

from fitgap.errors import OutOfMemoryError, first_line

# What is said of a library that cannot be loaded for want of memory.
_NOT_LOADED = ("failed to map segment from shared object", "Cannot allocate memory")
# TensorFlow's words, in a line among those on its graph.
_ALLOCATION = re.compile(r"OOM when allocating.*?(?= on /job:|$)", re.MULTILINE)


@contextmanager
def named_when_short(what: str, kind: type[Exception]) -> Iterator[None]:
    """Turn any error that comes of too little memory into one that says so.

    Parameters
    ----------
    what
        Needs the memory; the message begins with it.
    kind
        Of the error that is raised in place of such an error.
    """
    try:
        yield
    except Exception as error:  # libraries report it by many errors
        cause = _shortage(error)
        if cause is None or isinstance(error, OutOfMemoryError):
            raise
        raise kind(f"{what} needs more memory than {_allowed()} ({_reason(cause)})") from error


def limit() -> int | None:
    """Return how many bytes this process may address (``ulimit -v``); None for any number."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if allowed == resource.RLIM_INFINITY else allowed


def _allowed() -> str:
    allowed = limit()
    return "there is" if allowed is None else f"the {allowed / 1e9:.1f} GB of 'ulimit -v'"


def _reason(error: BaseException) -> str:
    found = _ALLOCATION.search(str(error))
    return found[0] if found else first_line(error)


def _shortage(error: BaseException | None) -> BaseException | None:
    """Return the error, or what it was caused by or met, that says that memory is short."""
    while error is not None:
        if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
            return error
        if isinstance(error, OSError) and error.errno == errno.ENOMEM:
            return error
        if isinstance(error, ImportError) and any(word in str(error) for word in _NOT_LOADED):
            return error
        error = error.__cause__ or error.__context__
    return None

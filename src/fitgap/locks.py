"""Locks between processes, which the operating system releases when their holder dies."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from fitgap.errors import RequestError

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


def lock_of(path: Path) -> FileLock:
    """Return the lock that a file stands for, not yet held."""
    # In its place, one that is a file's existence would outlive a killed process.
    return FileLock(path, fallback_to_soft=False)


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold a lock, waiting while another process does.

    Raises
    ------
    RequestError
        If its folder cannot be written, or its file system has no locks.
    """
    lock = lock_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise RequestError(why_not(path.parent, error)) from error
    try:
        yield
    finally:
        lock.release()


def why_not(folder: Path, error: OSError) -> str:
    """Return in words why a lock in a folder cannot be taken.

    Parameters
    ----------
    folder
        Of the lock's file.
    error
        That taking it raised.
    """
    reason = error.strerror or str(error)
    if error.errno in _NO_LOCKS:
        return (
            f"{folder} is on a file system without locks ({reason}), which fitgap needs so that "
            "two processes do not train the same run; use a folder on another disk"
        )
    return f"{folder} cannot be written: {reason}"

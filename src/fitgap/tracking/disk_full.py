"""A full disk, reported as such: libraries report it in many ways and far from the cause."""

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fitgap.errors import DiskFullError

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def named_when_full(folder: Path) -> Iterator[None]:
    """Turn any error that comes of a full disk into one that names the folder.

    Parameters
    ----------
    folder
        Where record and checkpoints go. The other one that may be meant is that of temporary
        files; the one with less room is named.

    Raises
    ------
    DiskFullError
        In place of such an error.
    """
    try:
        yield
    except Exception as error:  # libraries report a full disk by many errors
        if isinstance(error, DiskFullError) or not is_full(error):
            raise
        folders = [_existing(folder), Path(tempfile.gettempdir())]
        least = min(folders, key=lambda place: shutil.disk_usage(place).free)
        raise DiskFullError(
            f"the disk of {least} is full ({shutil.disk_usage(least).free // 1024} KiB free); "
            "when there is room again, the same command continues from the last checkpoint"
        ) from error


def is_full(error: BaseException | None) -> bool:
    """Tell whether an error, or one it was caused by or met, says that a disk or quota is full."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        if "database or disk is full" in str(error):  # SQLite's words, whoever passes them on
            return True
        error = error.__cause__ or error.__context__
    return False


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder

"""Refuse pipes and devices where a file is expected: reading them would wait for ever."""

from pathlib import Path

from fitgap.errors import RequestError


def refuse_others(path: Path) -> None:
    """Raise a `RequestError` if something other than a file or a folder is at a path."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise RequestError(
            f"{path} is not a regular file but a pipe or a device; save what it gives as a file"
        )

"""Small files that are replaced as a whole, such as what one command remembers for the next.

Several processes may read and write them at the same time.
"""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fitgap.config import project


def read(name: str) -> dict[str, Any]:
    """Return what a file remembers: what is missing or damaged is computed again."""
    try:
        entries = json.loads((project.state_folder() / name).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return entries if isinstance(entries, dict) else {}


def write(name: str, entries: Mapping[str, Any]) -> None:
    """Replace what a file remembers; where nothing can be written, it is computed each time."""
    with contextlib.suppress(OSError):
        replace(project.state_folder() / name, json.dumps(entries))


def replace(path: Path, text: str) -> None:
    """Write a file as a whole, so that no process ever reads half of it.

    Raises
    ------
    OSError
        If its folder cannot be written, or the disk is full; the file is as it was then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # In a folder of its own: another process may write the same file now.
    with TemporaryDirectory(dir=path.parent, prefix=".") as unfinished:
        new = Path(unfinished) / path.name
        new.write_text(text, encoding="utf-8")
        new.replace(path)

"""Small files of the state folder in which one command remembers for the next what takes long."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fitgap.config import project


def read(name: str) -> dict[str, Any]:
    """Return what a file remembers: what is missing or damaged is computed again."""
    try:
        entries = json.loads((project.state_folder() / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return entries if isinstance(entries, dict) else {}


def write(name: str, entries: Mapping[str, Any]) -> None:
    """Replace a file as a whole, so that no process ever reads half of it."""
    path = project.state_folder() / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=name, delete=False) as file:
            json.dump(entries, file)
        Path(file.name).replace(path)
    except OSError:
        pass  # where nothing can be written, it is computed each time

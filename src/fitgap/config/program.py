"""The name of the command ``fitgap`` in messages."""

import functools
import shlex
import shutil
import sys
from pathlib import Path


@functools.cache
def name(folder: Path | None = None) -> str:
    """Return how to call ``fitgap`` in a shell, from a folder or from the present one.

    That is ``fitgap`` where the PATH leads to this environment's, else the path to it, as
    ``.venv/bin/fitgap``; of an environment without it, ``python -m fitgap`` in full.
    """
    script = Path(sys.executable).with_name("fitgap")
    on_path = shutil.which("fitgap")
    if on_path is not None and Path(on_path) == script:
        return "fitgap"
    if not script.exists():
        return f"{shlex.quote(sys.executable)} -m fitgap"
    here = folder or Path.cwd()
    return shlex.quote(str(script.relative_to(here) if script.is_relative_to(here) else script))

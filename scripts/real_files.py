"""Train on the real files of docs/REAL_FILES.md, and print what comes out as rows of its table.

``python scripts/real_files.py FOLDER [WORD ...]``: FOLDER has the packages, unpacked as that page
says; with words, only commands that contain one of them are run.
"""

import contextlib
import io
import os
import re
import shlex
import sqlite3
import sys
import tempfile
from pathlib import Path

from fitgap.commands.main import main as fitgap

PAGE = Path(__file__).parents[1] / "docs" / "REAL_FILES.md"
ALWAYS = ("optimizer=adam", "training.epochs=30")


def commands() -> list[str]:
    """Return the commands of the page's table."""
    return re.findall(r"^\| `(dataset=[^`]+)` \|", PAGE.read_text(encoding="utf-8"), re.M)


def outcome(command: str) -> str:
    """Train as a row says; return the figures of the validation partition, or the refusal."""
    said = io.StringIO()
    with tempfile.TemporaryDirectory() as record:
        uri = f"tracking.uri=sqlite:///{record}/runs.db"
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            sys.argv = ["fitgap", "train", *shlex.split(command), *ALWAYS, uri]
            try:
                fitgap()
            except SystemExit as end:
                code = end.code
        if code:
            return f"exit code {code}: {' '.join(said.getvalue().split())}"
        with contextlib.closing(sqlite3.connect(f"{record}/runs.db")) as database:
            found = dict(database.execute("SELECT key, value FROM latest_metrics").fetchall())
    name = next(key for key in found if key.startswith("baseline/")).partition("/")[2]
    return f"{name} {found[f'val/{name}']:.3g}, baseline {found[f'baseline/{name}']:.3g}"


def main(folder: str, *words: str) -> None:
    """Run the rows, one after the other, in the folder."""
    chosen = commands()
    os.chdir(folder)
    for command in chosen:
        if not words or any(word in command for word in words):
            print(f"| `{command}` | {outcome(command)} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

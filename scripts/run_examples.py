"""Run the notebooks of examples/ and keep what they show in them.

Each runs in an empty folder, as a person's first project does; in what it shows, that folder is
called /home/me/project. What TensorFlow prints about the machine, if Keras is imported before
fitgap, is left out.
"""

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from fitgap.commands import exit_codes
from fitgap.config.project import CHECKOUT, VARIABLE

SHOWN = "/home/me/project"
CELL_SECONDS = 300


def main() -> None:
    """Run one notebook after the other, and say where it is."""
    os.environ |= {
        # So that the commands that are printed begin with `fitgap`, not with a path.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    for path in sorted((CHECKOUT / "examples").glob("*.ipynb")):
        book = nbformat.read(path, as_version=4)
        with tempfile.TemporaryDirectory(prefix="fitgap-") as folder:
            os.environ[VARIABLE] = folder
            resources = {"metadata": {"path": folder}}
            NotebookClient(
                book, timeout=CELL_SECONDS, resources=resources, record_timing=False
            ).execute()
        for cell in book.cells:
            if cell.cell_type == "code":
                cell.outputs = [one for one in cell.outputs if one.get("name") != "stderr"]
        path.write_text(nbformat.writes(book).replace(folder, SHOWN) + "\n", encoding="utf-8")
        print(path)


if __name__ == "__main__":
    exit_codes.run_command(main)

"""The examples of docs/API.md and the notebooks of examples/ do what they say."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
ABOUT_THE_MACHINE = re.compile(r"I0000 |WARNING: All log messages before absl|To enable the follow")


@pytest.mark.slow  # seven runs and two models
def test_the_examples_of_the_page_run_one_after_the_other(tmp_path):
    page = (ROOT / "docs" / "API.md").read_text(encoding="utf-8")
    script = tmp_path / "page.py"
    script.write_text("\n".join(re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)))
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning:fitgap", str(script)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(tmp_path),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "comparison.html").is_file()


@pytest.mark.slow  # each starts a kernel, and TensorFlow in it
@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.ipynb")), ids=lambda p: p.stem)
def test_a_notebook_runs_and_says_nothing_that_it_should_not(path, tmp_path, monkeypatch):
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    book = nbformat.read(path, as_version=4)
    NotebookClient(book, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in book.cells for output in cell.get("outputs", ())]
    # TensorFlow's own lines about the machine come where Keras is imported before fitgap.
    said = "".join(o["text"] for o in outputs if o.get("name") == "stderr")
    assert [line for line in said.splitlines() if not ABOUT_THE_MACHINE.match(line)] == []
    shown = [o for o in outputs if o["output_type"] in ("execute_result", "display_data")]
    assert shown
    assert [each for each in shown if not each["data"].get("text/plain", "picture").strip()] == []
    if path.stem.startswith("1_"):
        (progress,) = (o["data"]["text/plain"] for o in shown if "[1/" in str(o["data"]))
        assert [line[0] for line in progress.splitlines()] == ["["] * 6
        tables = [o["data"] for o in shown if "text/html" in o["data"]]
        assert "adam" in "".join(map(str, tables))
    if path.stem.startswith("5_"):
        assert shown[-1]["data"]["text/plain"] == "True"


def environment(folder: Path) -> dict[str, str]:
    """Return an environment in which a person works in a folder of her own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    kept.pop("FITGAP_SWEEP", None)
    return kept | {"FITGAP_PROJECT": str(folder), "PYTHONPATH": str(SOURCE)}

"""The links to MLflow's UI: a table for each experiment of ours, printed without waiting."""

import json
import subprocess
import sys

import pytest

from fitgap.config import project
from fitgap.tracking import mlflow_ui, setup

SCRIPT = project.CHECKOUT / "scripts" / "ui.py"
# The last step, becoming MLflow's server, is left out.
WITHOUT_SERVER = """
import os, runpy, sys
os.execve = lambda *_: None
script, *arguments = sys.argv[1:]
sys.argv = [script, *arguments]
try:
    runpy.run_path(script, run_name="__main__")
finally:
    print(sorted({"mlflow", "tensorflow"} & set(sys.modules)))
"""


@pytest.fixture
def said(tracking_uri):
    """Return what scripts/ui.py says of a store with an experiment of ours and MLflow's own."""
    setup.prepare(tracking_uri, "내 실험")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            WITHOUT_SERVER,
            str(SCRIPT),
            "--uri",
            tracking_uri,
            "--port",
            "5999",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.splitlines()


def test_links_are_printed_for_our_experiments_without_importing_mlflow(said):
    links = [line for line in said if "http://" in line]
    assert links == [f"  내 실험: {mlflow_ui.link('1', server='http://127.0.0.1:5999')}"]
    assert said[-1] == "[]"


def test_experiment_holds_the_view_that_the_link_names(tracking_uri):
    from mlflow import MlflowClient

    number = setup.prepare(tracking_uri, "fitgap")
    tags = MlflowClient(tracking_uri).get_experiment(number).tags
    view = json.loads(tags[f"mlflow.sharedViewState.{mlflow_ui.VIEW_KEY}"])
    assert "metrics.`gap/accuracy`" in view["selectedColumns"]
    assert f"viewStateShareKey={mlflow_ui.VIEW_KEY}&" in mlflow_ui.link(number, server="http://a")

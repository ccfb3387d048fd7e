"""The links to MLflow's UI: a table for each experiment of ours, printed without waiting."""

import json
import signal
import socket
import subprocess
import sys

import psutil
import pytest

from fitgap.config import project
from fitgap.config.schema import MetricConfig
from fitgap.tracking import mlflow_ui, setup

SCRIPT = project.CHECKOUT / "scripts" / "ui.py"
# The last step, MLflow's server, is left out.
WITHOUT_SERVER = """
import runpy, sys
from fitgap.tracking import mlflow_ui
mlflow_ui.serve = lambda *_, when_ready, **__: when_ready() or 0
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

    accuracy = {"accuracy": MetricConfig(direction="higher")}
    number = setup.prepare(tracking_uri, "fitgap", metrics=accuracy)
    tags = MlflowClient(tracking_uri).get_experiment(number).tags
    view = json.loads(tags[f"mlflow.sharedViewState.{mlflow_ui.VIEW_KEY}"])
    assert "metrics.`gap/accuracy`" in view["selectedColumns"]
    assert view["searchFilter"] == "tags.`fitgap.role` = 'run'"
    address = mlflow_ui.link(number, server="http://a")
    assert f"viewStateShareKey={mlflow_ui.VIEW_KEY}&" in address
    assert address.endswith("&workflowType=machine_learning")


def test_the_views_columns_and_charts_begin_with_the_metric_and_its_gap():
    view = json.loads(mlflow_ui.view("rmse", higher_is_better=False, group_by=["optimizer.name"]))
    shown = [name for name in view["columnOrder"] if name in view["selectedColumns"]]
    assert shown[:3] == ["metrics.`val/rmse`", "metrics.`gap/rmse`", "metrics.`train/rmse`"]
    assert set(shown) == set(view["selectedColumns"])
    assert "params.`dataset.name`" in shown
    # MLflow orders sections by name unless they say that a person has.
    assert view["isAccordionReordered"]
    sections = [section["name"] for section in view["compareRunSections"]]
    assert sections == ["val", "gap", "train"]
    assert {chart["metricSectionId"]: chart["metricKey"] for chart in view["compareRunCharts"]} == {
        section["uuid"]: f"{section['name']}/rmse" for section in view["compareRunSections"]
    }


def test_the_view_is_sorted_by_the_experiments_own_metric(tracking_uri):
    from mlflow import MlflowClient

    rmse = {"rmse": MetricConfig(direction="lower")}
    number = setup.prepare(tracking_uri, "prices", metrics=rmse)
    view = json.loads(MlflowClient(tracking_uri).get_experiment(number).tags[mlflow_ui.VIEW_TAG])
    assert (view["orderByKey"], view["orderByAsc"]) == ("metrics.`val/rmse`", True)
    assert "accuracy" not in json.dumps(view)


def test_a_port_in_use_is_told_before_an_address_is_printed(tracking_uri):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, str(SCRIPT), "--uri", tracking_uri, "--port", str(port)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stdout) == (2, "")
    assert f"--port {port}: Address already in use" in done.stderr
    assert len(done.stderr.splitlines()) == 1


SERVED = """
import sys
from fitgap.tracking import mlflow_ui
mlflow_ui.sys.executable = sys.argv[1]  # in the place of Python, with MLflow
mlflow_ui.READY_SECONDS = 1.0
sys.exit(mlflow_ui.serve("sqlite:///x.db", host="127.0.0.1", port=1))
"""
# A server with a worker, neither of which ends when the terminal does.
STUBBORN = """#!/bin/sh
trap "" HUP
echo "[MLflow] Security middleware enabled with default settings" >&2
sleep 1000 &
echo $! >&2
wait
"""


@pytest.mark.parametrize("ending", [signal.SIGHUP, signal.SIGTERM])
def test_the_server_ends_with_the_terminal(tmp_path, ending):
    program = tmp_path / "server"
    program.write_text(STUBBORN)
    program.chmod(0o755)
    command = [sys.executable, "-c", SERVED, str(program)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        worker = int(process.stderr.readline())  # without the server's advice before it
        process.send_signal(ending)
        assert process.wait(timeout=30) == 0
    assert not psutil.pid_exists(worker) or psutil.Process(worker).status() == "zombie"

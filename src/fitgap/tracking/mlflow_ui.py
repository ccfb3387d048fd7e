"""MLflow's UI: the table that it opens with, the link to that, and its server."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import IO

from fitgap.console import warn

ADVICE = "[MLflow] Security middleware enabled"
READY_SECONDS = 60.0  # a slow machine; what takes longer shows itself what is wrong
END_SECONDS = 3.0  # what has not ended by then is killed
# MLflow's UI takes it from a link, as ?viewStateShareKey=fitgap.
VIEW_KEY = "fitgap"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW_KEY}"  # of an experiment
# Have the UI open on training runs instead of on language models: the experiment's own tag, and a
# word of the address, for the menu around it.
TRAINING_MODE = "workflowType=machine_learning"
KIND_TAG = {"mlflow.experimentKind": "custom_model_development"}
# Sections of the charts that come first; by name, as MLflow has them, the baseline would.
_FIRST_CHARTS = ("val", "gap", "train")
_NAME_COLUMN = "attributes.`Run Name`"
_NAME_PIXELS = 360  # two settings and a seed; MLflow's 190 hold some 20 letters
_SETTINGS = ("dataset.name", "architecture.name", "optimizer.name", "seed")


def view(metric: str, *, higher_is_better: bool, group_by: Sequence[str] = ()) -> str:
    """Return an experiment's view for MLflow's UI, the value of `VIEW_TAG`.

    Parameters
    ----------
    metric
        The primary one, without a partition.
    higher_is_better
        Of it: the best run comes first.
    group_by
        Parameters whose values make a group in table and charts, which show means over seeds; none:
        single runs.
    """
    figures = dict.fromkeys([f"val/{metric}", f"gap/{metric}", f"train/{metric}", "val/loss"])
    settings = dict.fromkeys([*group_by, *_SETTINGS])
    keys = [{"mode": "param", "groupByData": name} for name in group_by]
    columns = [
        *(f"metrics.`{name}`" for name in figures),
        *(f"params.`{name}`" for name in settings),
    ]
    # Without the sweeps' parents. Sorted by a metric, runs are not hidden under those.
    shown = {
        "searchFilter": "tags.`fitgap.role` = 'run'",
        "orderByKey": f"metrics.`val/{metric}`",
        "orderByAsc": not higher_is_better,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "selectedColumns": columns,
        # By name, as MLflow has them, the gap would come before what it is the gap of.
        "columnOrder": [_NAME_COLUMN, "runDateAndNestInfo", *columns],
        "columnWidths": {_NAME_COLUMN: _NAME_PIXELS},
        "compareRunSections": [
            {"uuid": part, "name": part, "display": True, "isReordered": True}
            for part in _FIRST_CHARTS
        ],
        # Of the primary metric. MLflow makes lines of them where there is more than one step, and
        # adds those of the other metrics.
        "compareRunCharts": [
            {
                "uuid": f"{part}/{metric}",
                "type": "BAR",
                "metricKey": f"{part}/{metric}",
                "displayName": metric,
                "metricSectionId": part,
                "isGenerated": True,
                "deleted": False,
            }
            for part in _FIRST_CHARTS
        ],
        "isAccordionReordered": True,
    }
    grouped = {"aggregateFunction": "average", "groupByKeys": keys}
    return json.dumps(shown | ({"groupBy": grouped} if keys else {}))


def browser_address(uri: str) -> str:
    """Return a server's address for a browser, which asks for name and password itself.

    >>> browser_address("https://ada:secret@mlflow.example/lab/")
    'https://mlflow.example/lab'
    """
    # Greedy on purpose: a password with an unescaped @ or / in it must not leak its tail.
    return re.sub(r"://.*@", "://", uri).partition("?")[0].rstrip("/")


def link(experiment_id: str, *, server: str) -> str:
    """Return the address of an experiment's table; its charts are at compareRunsMode=CHART.

    Parameters
    ----------
    experiment_id
        MLflow's.
    server
        As ``http://127.0.0.1:5000``.
    """
    view = f"viewStateShareKey={VIEW_KEY}&compareRunsMode=TABLE&{TRAINING_MODE}"
    return f"{server}/#/experiments/{experiment_id}/runs?{view}"


def serve(uri: str, *, host: str, port: int, when_ready: Callable[[], None] = lambda: None) -> int:
    """Run MLflow's UI for a database until Ctrl-C, SIGTERM or the terminal's end.

    Parameters
    ----------
    uri
        The database's.
    host, port
        Where it listens.
    when_ready
        Called once it answers.

    Returns
    -------
    int
        MLflow's exit code if it ended by itself, else 0.
    """
    words = [sys.executable, "-m", "mlflow", "ui", "--host", host, "--port", str(port)]
    words += ["--uvicorn-opts", "--log-level warning"]
    # In the environment, since a URI may hold a password and every user can list arguments.
    environment = os.environ | {
        "MLFLOW_BACKEND_STORE_URI": uri,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # six processes that nothing here uses
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "PYTHONWARNINGS": "ignore",  # MLflow's, of what its libraries will remove
    }
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.default_int_handler)
    process = errors = None
    try:
        # What goes wrong is on the other stream; this one has MLflow's remarks on its settings.
        process = subprocess.Popen(
            words,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        assert process.stderr is not None
        errors = threading.Thread(target=_pass_on, args=(process.stderr,), daemon=True)
        errors.start()
        _wait_until_ready(process, host=host, port=port)
        when_ready()
        return process.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        _end_children()  # also one that was not named yet when the signal came
        if process is not None:
            process.wait()
        if errors is not None:
            errors.join(END_SECONDS)  # what it said as it ended


def _pass_on(errors: IO[str]) -> None:
    """Show the server's errors, without the line that advises to open it to other machines."""
    for line in errors:
        if not line.startswith(ADVICE):
            warn(line.rstrip("\n"))


def _wait_until_ready(process: subprocess.Popen[str], *, host: str, port: int) -> None:
    """Return when a server answers, has ended, or took `READY_SECONDS`."""
    last = time.monotonic() + READY_SECONDS
    while process.poll() is None and time.monotonic() < last:
        with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
            return
        time.sleep(0.2)


def _end_children() -> None:
    """End what this process started: uvicorn takes the terminal's end for a wish to reload."""
    import psutil

    processes = psutil.Process().children(recursive=True)
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(processes, timeout=END_SECONDS)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()

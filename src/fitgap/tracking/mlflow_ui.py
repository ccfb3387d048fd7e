"""MLflow's UI: the table that it opens with, the link to that, and its server."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from types import FrameType

END_SECONDS = 3.0  # what has not ended by then is killed
# MLflow's UI takes it from a link, as ?viewStateShareKey=fitgap.
VIEW_KEY = "fitgap"
_COLUMNS = {
    "params": ("architecture.name", "optimizer.name", "seed"),
    "metrics": ("val/accuracy", "gap/accuracy", "train/accuracy", "val/loss"),
}
# Best first. Sorted by a metric, a sweep's runs are not hidden under their parent.
_VIEW = {
    "orderByKey": "metrics.`val/accuracy`",
    "orderByAsc": False,
    "startTime": "ALL",
    "lifecycleFilter": "Active",
    "selectedColumns": [f"{kind}.`{name}`" for kind, names in _COLUMNS.items() for name in names],
}


def experiment_tags() -> dict[str, str]:
    """Return the tags of an experiment that hold its view for MLflow's UI."""
    return {
        # Has the UI open on training runs instead of on language models.
        "mlflow.experimentKind": "custom_model_development",
        f"mlflow.sharedViewState.{VIEW_KEY}": json.dumps(_VIEW),
    }


def link(experiment_id: str, *, server: str) -> str:
    """Return the address of an experiment's table; its charts are at compareRunsMode=CHART.

    Parameters
    ----------
    experiment_id
        MLflow's.
    server
        As ``http://127.0.0.1:5000``.
    """
    view = f"viewStateShareKey={VIEW_KEY}&compareRunsMode=TABLE"
    return f"{server}/#/experiments/{experiment_id}/runs?{view}"


def serve(uri: str, *, host: str, port: int) -> int:
    """Run MLflow's UI for a database until Ctrl-C, SIGTERM or the terminal's end.

    Parameters
    ----------
    uri
        The database's.
    host, port
        Where it listens.

    Returns
    -------
    int
        MLflow's exit code if it ended by itself, else 0.
    """
    words = [sys.executable, "-m", "mlflow", "ui", "--host", host, "--port", str(port)]
    # In the environment, since a URI may hold a password and every user can list arguments.
    environment = os.environ | {
        "MLFLOW_BACKEND_STORE_URI": uri,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # six processes that nothing here uses
    }
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, _stop)
    with subprocess.Popen(words, env=environment) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            _end_all(process.pid)


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _end_all(pid: int) -> None:
    """End a process and its descendants: uvicorn takes the terminal's end for a wish to reload."""
    import psutil

    try:
        parent = psutil.Process(pid)
        processes = [*parent.children(recursive=True), parent]
    except psutil.NoSuchProcess:
        return
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(processes, timeout=END_SECONDS)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()

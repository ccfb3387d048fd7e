"""Open MLflow's UI for the database that the runs are recorded in, on loopback."""

import argparse
import os
import sys

from fitgap import store
from fitgap.commands.exit_codes import run_command
from fitgap.tracking import mlflow_ui

UNUSED = "Default"  # MLflow's own experiment: nothing is recorded there unless a person asks


def main() -> None:
    """Say where the UI is and become its server; Ctrl-C ends it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uri", help="where the runs are (default: as in training)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=5000, help="port to listen on (%(default)s)")
    arguments = parser.parse_args()
    uri = store.resolve_uri(arguments.uri)
    store.check(uri)
    if uri.startswith("http"):
        print(f"the tracking server has the UI: {store.redact(uri)}")
        _print_links(uri, server=store.redact(uri).rstrip("/"))
        return
    print(f"runs of {store.redact(uri)}")
    print("In about ten seconds, until Ctrl-C (compareRunsMode=CHART instead of TABLE: charts):")
    _print_links(uri, server=f"http://{arguments.host}:{arguments.port}")
    sys.stdout.flush()
    command = [sys.executable, "-m", "mlflow", "ui"]
    listen = ["--host", arguments.host, "--port", str(arguments.port)]
    # In the environment, since a URI may hold a password and every user can list arguments.
    environment = os.environ | {
        "MLFLOW_BACKEND_STORE_URI": uri,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # six processes that nothing here uses
    }
    os.execve(sys.executable, [*command, *listen], environment)  # noqa: S606 - no shell is wanted


def _print_links(uri: str, *, server: str) -> None:
    for name, number in store.experiments(uri).items():
        # Made by MLflow, it has no such view.
        if name != UNUSED or store.find_runs(uri, experiment=name):
            print(f"  {name}: {mlflow_ui.link(number, server=server)}")


if __name__ == "__main__":
    run_command(main)

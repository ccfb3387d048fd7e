"""Open MLflow's UI for the database that the runs are recorded in, on loopback."""

import argparse
import os
import sys

from fitgap import store
from fitgap.cli import run_command


def main() -> int:
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
        return 0
    print(f"runs of {store.redact(uri)}")
    print(f"http://{arguments.host}:{arguments.port} in about ten seconds; Ctrl-C ends it")
    sys.stdout.flush()
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri]
    listen = ["--host", arguments.host, "--port", str(arguments.port)]
    os.execv(sys.executable, [*command, *listen])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    run_command(main)

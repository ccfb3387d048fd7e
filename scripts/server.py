"""Serve MLflow over a PostgreSQL of its own, on loopback, until Ctrl-C."""

import argparse
from pathlib import Path

from fitgap import config
from fitgap.cli import run_command
from fitgap.record import server


def main() -> None:
    """Parse the arguments and run both servers."""
    folder = config.PROJECT_ROOT / ".fitgap" / "server"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=5000, help="port to listen on (%(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="MLflow's processes (%(default)s)")
    parser.add_argument(
        "--folder", type=Path, default=folder, help="database, artifacts, logs (%(default)s)"
    )
    arguments = parser.parse_args()
    server.serve(
        arguments.folder, host=arguments.host, port=arguments.port, workers=arguments.workers
    )


if __name__ == "__main__":
    run_command(main)

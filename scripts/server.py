"""Serve MLflow over a PostgreSQL of its own, on loopback, until Ctrl-C."""

import argparse
from pathlib import Path

from fitgap.commands.exit_codes import run_command
from fitgap.config import project
from fitgap.tracking import postgres_server


def main() -> None:
    """Parse the arguments and run both servers."""
    folder = project.state_folder() / "server"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=5000, help="port to listen on (%(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="MLflow's processes (%(default)s)")
    parser.add_argument(
        "--folder", type=Path, default=folder, help="database, artifacts, logs (%(default)s)"
    )
    arguments = parser.parse_args()
    postgres_server.serve(
        arguments.folder, host=arguments.host, port=arguments.port, workers=arguments.workers
    )


if __name__ == "__main__":
    run_command(main)

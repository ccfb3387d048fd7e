"""An MLflow server over a database in a folder, for the chaos test to kill and start again."""

import subprocess
import sys
import time
from pathlib import Path

import psutil

from fitgap import store
from fitgap.errors import RequestError
from fitgap.tracking.postgres_server import free_port

SERVER_SECONDS = 120.0  # for a server to come up, on a busy machine


class Server:
    """An MLflow server over a database in a folder, that can be killed and comes back."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self.uri = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._back_at = 0.0

    def __enter__(self) -> "Server":
        """Start it; it makes its database."""
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.kill(away=0)

    def wait(self) -> None:
        """Start it if it is away, and wait until it answers."""
        if self._process is None:
            self._start()
        deadline = time.monotonic() + SERVER_SECONDS
        while True:
            try:
                return store.check(self.uri)
            except RequestError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def kill(self, *, away: float) -> None:
        """Kill it with its workers; it comes back after so many seconds."""
        if self._process is not None:
            group = psutil.Process(self._process.pid)
            for process in (*group.children(recursive=True), group):
                process.kill()
            self._process.wait()
            self._process = None
        self._back_at = time.monotonic() + away

    def come_back(self) -> None:
        """Start it again if it is time."""
        if self._process is None and time.monotonic() >= self._back_at:
            self._start()

    def _start(self) -> None:
        with (self._folder / "server.txt").open("ab") as output:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
                    *("--host", "127.0.0.1", "--port", str(self._port)),
                    *("--backend-store-uri", database_uri(self._folder)),
                    *("--artifacts-destination", str(self._folder / "mlartifacts")),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


def database_uri(folder: Path) -> str:
    """Return the URI of the database in a folder."""
    return f"sqlite:///{folder / 'mlflow.db'}"

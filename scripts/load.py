"""Record artificial runs by many workers at once, to see how many a tracking server can take.

Without --uri, a server with its own PostgreSQL is started in a temporary folder, as `fitgap server`
does, and its processor time is measured, too.
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil

from fitgap import experiment, store
from fitgap.commands.exit_codes import run_command
from fitgap.errors import RequestError
from fitgap.tracking import setup
from fitgap.tracking.postgres_server import free_port
from fitgap.trust import text_tables
from fitgap_lab.arguments import count
from fitgap_lab.benchmark import generated_runs
from fitgap_lab.composition import settings_of
from fitgap_lab.load import workers

START_SECONDS = 300.0
EXPERIMENT = generated_runs.EXPERIMENT


def main() -> None:
    """Read the command line, record, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--workers", type=count, default=64, metavar="N", help="threads (%(default)s)"
    )
    parser.add_argument(
        "--runs", type=count, default=2000, metavar="N", help="in all (%(default)s)"
    )
    parser.add_argument(
        "--seconds", type=count, default=600, metavar="N", help="longest time (%(default)s)"
    )
    parser.add_argument("--uri", help="an existing store, instead of a new server")
    parser.add_argument(
        "--server-workers",
        type=count,
        default=2,
        metavar="N",
        help="processes of MLflow (%(default)s)",
    )
    parser.add_argument(
        "--filled", type=int, default=0, metavar="N", help="runs that the store has before (0)"
    )
    arguments = parser.parse_args()
    if arguments.filled and arguments.uri:
        raise RequestError(
            "--filled fills the server that is started; it cannot be used with --uri"
        )
    with contextlib.ExitStack() as stack:
        server = None
        uri = arguments.uri
        if uri is None:
            uri, server = stack.enter_context(_server(arguments.server_workers, arguments.filled))
        settings = settings_of(["dataset=digits", f"tracking.experiment={EXPERIMENT}"])
        planned = replace(experiment.plan(settings), uri=uri)
        before = _processor_seconds(server), time.process_time()
        load = workers.record_runs(
            planned,
            workers=arguments.workers,
            runs=arguments.runs,
            seconds=arguments.seconds,
        )
        spent = _processor_seconds(server), time.process_time()
    if not load.runs:
        raise RequestError(f"no run was recorded: {load.failures[0]}")
    print(f"{load.runs} runs by {arguments.workers} workers in {load.elapsed:.0f} s: ", end="")
    print(f"{load.runs / load.elapsed:.2f} runs a second, {len(load.failures)} failed")
    for name in spent[0]:
        used = spent[0][name] - before[0][name]
        print(f"processor of {name}: {1000 * used / load.runs:.0f} ms a run")
    print(f"processor of the workers: {1000 * (spent[1] - before[1]) / load.runs:.0f} ms a run")
    rows = [
        [stage, *(f"{1000 * value:.0f}" for value in _percentiles(values))]
        for stage, values in load.seconds.items()
    ]
    print(text_tables.to_markdown(("stage", "median ms", "95 % ms", "largest ms"), rows), end="")
    for reason in sorted(set(load.failures))[:5]:
        print(f"failed: {reason}")


def _percentiles(values: list[float]) -> tuple[float, float, float]:
    ordered = sorted(values)
    return statistics.median(ordered), ordered[int(0.95 * (len(ordered) - 1))], ordered[-1]


@contextlib.contextmanager
def _server(processes: int, filled: int) -> Iterator[tuple[str, psutil.Process]]:
    """Serve MLflow over a PostgreSQL in a temporary folder until the block is left."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="fitgap-load-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL runs as a user of its own where this is root
        command = [sys.executable, "-m", "fitgap", "server", f"--folder={folder / 'server'}"]
        command += [f"--port={port}", f"--workers={processes}"]
        with (folder / "said.txt").open("wb") as said:
            # S603: every word of the command is ours but two numbers and a temporary folder.
            process = subprocess.Popen(  # noqa: S603
                command, stdout=said, stderr=said, cwd=folder, env=os.environ | {"PWD": name}
            )
        uri = f"http://127.0.0.1:{port}"
        try:
            _wait_for(uri, process, folder / "said.txt")
            if filled:
                setup.prepare(uri, EXPERIMENT)  # by the server, which keeps the artifacts
                generated_runs.fill(_database(folder / "server"), runs=filled)
            yield uri, psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait()


def _database(folder: Path) -> str:
    """Return the URI of the PostgreSQL that serves a folder of `fitgap server`."""
    os.environ["PGPASSWORD"] = (folder / "password").read_text()
    port = (folder / "postgres" / "postmaster.pid").read_text().split()[3]
    return f"postgresql+psycopg2://mlflow@127.0.0.1:{port}/mlflow"


def _wait_for(uri: str, process: "subprocess.Popen[bytes]", said: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            return store.check(uri)
        except RequestError:
            time.sleep(0.5)  # nothing tells when a server begins to answer but asking it
    raise RequestError(f"the server did not start: {said.read_text(errors='replace')[-500:]}")


def _processor_seconds(server: psutil.Process | None) -> dict[str, float]:
    """Return what MLflow's server and PostgreSQL used so far, those that ended included."""
    used = {"MLflow's server": 0.0, "PostgreSQL": 0.0}
    if server is None:
        return {}
    for process in server.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            own = times.user + times.system + times.children_user + times.children_system
            used["PostgreSQL" if "postgres" in process.name() else "MLflow's server"] += own
    return used


if __name__ == "__main__":
    run_command(main)

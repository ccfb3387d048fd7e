"""Many workers on one store, and a server that goes away: no error, nothing lost, nothing double.

The servers are real: MLflow's over PostgreSQL by scripts/server.py, and over SQLite.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from fitgap import store
from fitgap.config.project import CHECKOUT
from fitgap.errors import RequestError
from fitgap.tracking import outbox
from fitgap.tracking import postgres_server as server

ALL = ("RUNNING", "FINISHED", "FAILED", "KILLED")
TRAIN = CHECKOUT / "scripts" / "train.py"
WORKERS, RUNS, STEPS, KEYS = 8, 3, 25, 8
START_SECONDS = 240.0

# What a worker does besides training: its whole record, with a model of the size of nothing.
RECORD = f"""
import sys, tempfile
from pathlib import Path
from hydra import compose, initialize_config_dir
import mlflow
from fitgap import processes
from fitgap.config import project, settings as config
from fitgap.tracking import descriptions, run_writer as tracking, setup as preparation
from fitgap.tracking.outbox import Operation

uri, worker = sys.argv[1:]
with initialize_config_dir(str(project.CONFIG_DIR), version_base="1.3"):
    settings = config.from_hydra(compose("train"))
for number in range({RUNS}):
    role = {{"fitgap.role": "run"}}
    description = descriptions.RunDescription(f"{{worker}}.{{number}}", {{}}, role)
    experiment_id = preparation.prepare(uri, "many")
    with tracking.open_run(
        settings, description, uri=uri, experiment_id=experiment_id
    ) as record, tempfile.TemporaryDirectory() as folder:
        for step in range(1, {STEPS} + 1):
            metrics = {{f"metric/{{key}}": key + step / 1000 for key in range({KEYS})}}
            record.log_metrics(metrics, step=step)
            if step % 10 == 0:
                record.flush()
        files, model = Path(folder) / "files", Path(folder) / "model"
        files.mkdir()
        model.mkdir()
        (files / "history.csv").write_text(description.name)
        mlflow.models.Model().save(str(model / "MLmodel"))
        record.log_artifacts(files)
        record._delivery.send(
            Operation("model", {{"experiment_id": experiment_id, "again": False}}, model)
        )
"""


def record_with_eight_workers(uri):
    """Have eight processes record at once and return their outputs."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", RECORD, uri, str(number)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(WORKERS)
    ]
    said = [worker.communicate(timeout=500)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * WORKERS, said
    assert not any(said), said


def assert_complete(uri):
    runs = store.find_runs(uri, experiment="many", statuses=ALL)
    assert len(runs) == WORKERS * RUNS == len({run.name for run in runs})
    assert {run.status for run in runs} == {"FINISHED"}
    keys = [f"metric/{key}" for key in range(KEYS)]
    histories = store.metric_histories(uri, run_ids=[run.run_id for run in runs], keys=keys)
    expected = {
        f"metric/{key}": {step: key + step / 1000 for step in range(1, STEPS + 1)}
        for key in range(KEYS)
    }
    for history in histories.values():
        assert history == expected


@pytest.mark.slow
def test_eight_workers_begin_on_a_fresh_sqlite_file(tmp_path):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    record_with_eight_workers(uri)
    assert_complete(uri)


class Server:
    """A server as a process that can be killed and started again."""

    def __init__(self, command, log, port, environment=None):
        self.address = f"http://127.0.0.1:{port}"
        self._command, self._log = command, log
        self._environment = {**os.environ, **(environment or {})}
        self.process = None

    def start(self):
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
                urllib.request.urlopen(f"{self.address}/health", timeout=5).close()
                return
            assert self.process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.2)

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def postgres_server():
    """Start scripts/server.py in a folder that PostgreSQL's user may enter, and end it."""
    try:
        server.programs_folder()
    except RequestError as error:
        pytest.skip(str(error))
    pytest.importorskip("psycopg2")
    with tempfile.TemporaryDirectory(prefix="fitgap-server-") as folder:
        Path(folder).chmod(0o755)
        port = server.free_port()
        script = CHECKOUT / "scripts" / "server.py"
        arguments = ["--port", str(port), "--folder", f"{folder}/server"]
        running = Server([sys.executable, str(script), *arguments], Path(folder) / "log", port)
        running.folder = Path(folder) / "server"
        running.log = Path(folder) / "log"
        running.start()
        try:
            yield running
        finally:
            running.process.send_signal(signal.SIGINT)
            running.process.wait(60)


@pytest.mark.slow
def test_eight_workers_on_postgresql_and_ctrl_c_ends_it_all(postgres_server):
    record_with_eight_workers(postgres_server.address)
    assert_complete(postgres_server.address)

    password = (postgres_server.folder / "password").read_text()
    assert (postgres_server.folder / "password").stat().st_mode & 0o777 == 0o600
    for log in (*postgres_server.folder.glob("*.log"), postgres_server.log):
        assert password not in log.read_text()
    inside = psutil.Process(postgres_server.process.pid).children(recursive=True)
    assert any("postgres" in process.name() for process in inside)
    assert not any(password in " ".join(process.cmdline()) for process in inside)
    assert list((postgres_server.folder / "artifacts").rglob("history.csv"))
    # Runs and models have a pool each in every process of MLflow.
    taken = 2 * sum(int(number) for number in server._POOL.values())
    (most,) = {
        int(word.partition("=")[2])
        for process in inside
        for word in process.cmdline()
        if word.startswith("-cmax_connections=")
    }
    assert most > taken

    postgres_server.process.send_signal(signal.SIGINT)
    assert postgres_server.process.wait(60) == 0
    _, alive = psutil.wait_procs(inside, timeout=10)
    assert alive == []
    # And once more on what is there.
    postgres_server.start()
    assert len(store.find_runs(postgres_server.address, experiment="many")) == WORKERS * RUNS


def test_without_postgresql_one_line_names_debians_package(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr(server, "_DEBIAN", tmp_path)
    with pytest.raises(RequestError, match="apt-get install postgresql") as caught:
        server.serve(tmp_path / "server", host="127.0.0.1", port=server.free_port(), workers=1)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "server").exists()


def test_the_newest_of_debians_versions_is_used(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr(server, "_DEBIAN", tmp_path)
    for version in ("9.6", "15", "17"):
        (tmp_path / version / "bin").mkdir(parents=True)
        (tmp_path / version / "bin" / "initdb").touch()
    assert server.programs_folder() == tmp_path / "17" / "bin"


def test_a_port_in_use_is_refused_before_anything_starts(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(RequestError, match="cannot be used"):
            server.serve(
                tmp_path / "server", host="127.0.0.1", port=taken.getsockname()[1], workers=1
            )
    assert not (tmp_path / "server").exists()


@pytest.fixture
def sqlite_server(tmp_path):
    """Start MLflow's server over an SQLite file, and end it."""
    port = server.free_port()
    command = [sys.executable, "-m", "mlflow", "server", f"--port={port}", "--workers=1"]
    command += ["--serve-artifacts", f"--artifacts-destination={tmp_path / 'artifacts'}"]
    environment = {
        "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{tmp_path / 'server.db'}",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    running = Server(command, tmp_path / "server.log", port, environment)
    running.start()
    yield running
    if running.process.poll() is None:
        running.kill()


EPOCHS = 30
SETTINGS = ("architecture=dense_batch_norm_dropout", "training.xla=false")
OF_EPOCHS = ("train/accuracy", "train/loss", "val/accuracy", "val/loss", "running/loss")


def begin(uri, *arguments, epochs=EPOCHS):
    of_run = [*SETTINGS, f"training.epochs={epochs}", f"tracking.uri={uri}"]
    return subprocess.Popen(
        [sys.executable, str(TRAIN), *arguments, *of_run],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for_a_run(uri, process):
    """Wait until a run has its parameters, so that it trains."""
    while True:
        assert process.poll() is None, process.stdout.read()
        for run in store.find_runs(uri, experiment="fitgap", statuses=("RUNNING",)):
            if "parameter_count" in run.params:
                return run
        time.sleep(0.2)


def assert_whole(uri, run, epochs=EPOCHS):
    """Every metric of every epoch once, the parameters, the files and one model that loads."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    assert run.status == "FINISHED"
    for key in (*OF_EPOCHS, "learning_rate"):
        history = client.get_metric_history(run.run_id, key)
        assert sorted(metric.step for metric in history) == list(range(1, epochs + 1)), key
    assert run.params["training.epochs"] == str(epochs)
    assert "test/accuracy" in run.metrics
    files = {file.path for file in client.list_artifacts(run.run_id)}
    assert {"config.yaml", "history.csv"} <= files
    (output,) = client.get_run(run.run_id).outputs.model_outputs
    model = client.get_logged_model(output.model_id)
    assert str(model.status) == "READY"
    files = {file.path for file in client.list_logged_model_artifacts(model.model_id)}
    assert {"MLmodel", "data"} <= files


def scores_of(uri, run):
    """Return every figure that depends on the weights, by metric and step."""
    (histories,) = store.metric_histories(
        uri, run_ids=[run.run_id], keys=[*OF_EPOCHS, "test/accuracy", "test/loss"]
    ).values()
    return histories


@pytest.mark.slow
def test_a_run_that_ends_while_its_server_is_away_is_recorded_by_the_next_command(sqlite_server):
    uri = sqlite_server.address
    process = begin(uri)
    run = wait_for_a_run(uri, process)
    sqlite_server.kill()
    said, _ = process.communicate(timeout=500)
    assert process.returncode == 0, said
    assert "does not answer; the run goes on, its record waits" in said
    assert f"run {run.run_id} has ended; " in said

    refused = begin(uri)  # nothing starts while the server is away
    said, _ = refused.communicate(timeout=500)
    assert refused.returncode == 2
    assert "does not answer" in said

    sqlite_server.start()
    again = begin(uri)
    said, _ = again.communicate(timeout=500)
    assert again.returncode == 0, said
    assert f"parts of run {run.run_id} that waited" in said
    assert f"already finished: run {run.run_id}" in said
    (ended,) = store.find_runs(uri, experiment="fitgap", statuses=ALL)
    assert_whole(uri, ended)


@pytest.mark.slow
def test_a_run_killed_while_its_record_waits_goes_on_as_if_nothing_had_happened(
    sqlite_server, tmp_path
):
    epochs = 400  # half a minute: what was not sent is put aside every few seconds
    uri = sqlite_server.address
    process = begin(uri, epochs=epochs)
    run = wait_for_a_run(uri, process)
    sqlite_server.kill()
    waiting = outbox.folder_for(uri) / run.run_id
    while len(list(waiting.glob("*.json"))) < 2:  # the second, of a server that is still away
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.05)
    process.kill()
    process.communicate(timeout=60)

    sqlite_server.start()
    again = begin(uri, epochs=epochs)
    said, _ = again.communicate(timeout=500)
    assert again.returncode == 0, said
    assert f"parts of run {run.run_id} that waited" in said
    (ended,) = store.find_runs(uri, experiment="fitgap", statuses=ALL)
    assert ended.run_id == run.run_id
    assert_whole(uri, ended, epochs=epochs)
    assert not waiting.exists()

    undisturbed = f"sqlite:///{tmp_path / 'undisturbed.db'}"
    whole = begin(undisturbed, epochs=epochs)
    said, _ = whole.communicate(timeout=500)
    assert whole.returncode == 0, said
    (alone,) = store.find_runs(undisturbed, experiment="fitgap")
    assert scores_of(uri, ended) == scores_of(undisturbed, alone)


@pytest.mark.slow
def test_a_sweep_whose_server_is_away_for_thirty_seconds_is_whole(sqlite_server):
    uri = sqlite_server.address
    process = begin(uri, "-m", "seed=0,1,2,3")
    wait_for_a_run(uri, process)
    sqlite_server.kill()
    time.sleep(30)
    sqlite_server.start()
    said, _ = process.communicate(timeout=500)
    assert process.returncode == 0, said
    runs = store.find_runs(uri, experiment="fitgap", statuses=ALL)
    (parent,) = [run for run in runs if run.tags["fitgap.role"] == "sweep"]
    assert parent.status == "FINISHED"
    children = [run for run in runs if run is not parent]
    assert {run.params["seed"] for run in children} == set("0123")
    assert len(children) == 4
    for run in children:
        assert_whole(uri, run)

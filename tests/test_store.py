"""Reading a record that MLflow itself wrote, and refusing what cannot be one."""

import http.server
import json
import math
import os
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import warnings
from contextlib import closing, contextmanager

import pytest

from fitgap import store
from fitgap.config import project
from fitgap.errors import RequestError
from fitgap.store import base, database
from fitgap.store import server as store_server

HEAVY = {"mlflow", "tensorflow", "keras", "sklearn", "pandas", "scipy.stats"}
COMPARE = project.CHECKOUT / "scripts" / "compare.py"


@contextmanager
def mlflows_own_warnings_ignored():
    """MLflow uses parts of SQLAlchemy that are deprecated; that is not ours to fail on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(scope="session")
def written_record(tmp_path_factory):
    """Return a database made by MLflow's client: three experiments, six runs, some deleted."""
    path = tmp_path_factory.mktemp("record") / "mlflow.db"
    with mlflows_own_warnings_ignored():
        write_record(f"sqlite:///{path}")
    return path


def write_record(uri):
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, RunTag

    client = MlflowClient(uri)
    experiments = [client.create_experiment(name) for name in ("fitgap", "빈 실험", "deleted")]
    client.delete_experiment(experiments[2])
    # Name, status, seed, and the values of val/accuracy by step.
    for start, (name, status, seed, values) in enumerate(
        [
            ("첫 번째", "FINISHED", 0, [0.25, 0.75]),
            ("second", "FINISHED", 1, [0.5]),
            ("third", "FAILED", 2, [math.nan]),
            ("fourth", "KILLED", 3, [math.inf, -math.inf]),
            ("fifth", "RUNNING", 4, []),
            ("deleted", "FINISHED", 5, [0.9]),
        ]
    ):
        run_id = client.create_run(
            experiments[0], start_time=1_000 + start, run_name=name
        ).info.run_id
        params = {"seed": seed, "optimizer.name": "adam", "architecture.units": [100], "name": name}
        tags = {"fitgap.role": "run", "fitgap.identity": f"it's {seed}"}
        client.log_batch(
            run_id,
            metrics=[
                Metric("val/accuracy", value, 1, step) for step, value in enumerate(values, start=1)
            ],
            params=[Param(key, str(value)) for key, value in params.items()],
            tags=[RunTag(key, value) for key, value in tags.items()],
        )
        if status != "RUNNING":
            client.set_terminated(run_id, status=status)
        if name == "deleted":
            client.delete_run(run_id)


@pytest.fixture
def record(written_record, tmp_path):
    """Return the URI of a copy of the record, one's own."""
    return f"sqlite:///{shutil.copy(written_record, tmp_path / 'mlflow.db')}"


ALL = ("FINISHED", "FAILED", "KILLED", "RUNNING")


def test_a_run_is_read_as_it_was_logged(record):
    run = store.find_runs(record, experiment="fitgap")[-1]
    assert (run.name, run.status, run.start_time) == ("첫 번째", "FINISHED", 1_000)
    assert run.params == {
        "seed": "0",
        "optimizer.name": "adam",
        "architecture.units": "[100]",
        "name": "첫 번째",
    }
    assert run.metrics == {"val/accuracy": 0.75}  # the latest
    assert run.tags["fitgap.identity"] == "it's 0"


def test_metrics_that_are_not_finite_come_back_as_they_were_logged(record):
    runs = store.find_runs(record, experiment="fitgap", statuses=("FAILED", "KILLED"))
    values = {run.name: run.metrics["val/accuracy"] for run in runs}
    assert math.isnan(values["third"])
    assert values["fourth"] == -math.inf


@pytest.mark.parametrize(
    ("statuses", "names"),
    [
        (("FINISHED",), ["second", "첫 번째"]),
        (("RUNNING", "FAILED"), ["fifth", "third"]),
        (ALL, ["fifth", "fourth", "third", "second", "첫 번째"]),
        ((), []),
    ],
)
def test_runs_of_the_asked_statuses_come_newest_first_without_deleted_ones(record, statuses, names):
    found = store.find_runs(record, experiment="fitgap", statuses=statuses)
    assert [run.name for run in found] == names


def test_only_runs_with_all_the_tags_are_found(record):
    def find(**tags):
        return [
            run.name
            for run in store.find_runs(
                record,
                experiment="fitgap",
                tags={f"fitgap.{key}": value for key, value in tags.items()},
            )
        ]

    assert find(identity="it's 1") == ["second"]
    assert find(identity="it's 1", role="run") == ["second"]
    assert find(identity="it's 1", role="sweep") == []


def test_experiments_that_are_not_deleted_are_named(record):
    assert list(store.experiments(record)) == ["Default", "fitgap", "빈 실험"]


@pytest.mark.parametrize("experiment", ["빈 실험", "deleted", "unknown"])
def test_no_runs_where_there_are_none(record, experiment):
    assert store.find_runs(record, experiment=experiment) == []


def test_reading_a_missing_file_creates_none(tmp_path):
    uri = f"sqlite:///{tmp_path / 'missing.db'}"
    assert store.find_runs(uri, experiment="fitgap") == []
    assert store.experiments(uri) == {}
    store.check(uri)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_holds_no_runs(tmp_path):
    path = tmp_path / "a b%#.db"
    path.touch()
    assert store.find_runs(f"sqlite:///{path}", experiment="fitgap") == []
    assert path.stat().st_size == 0


def test_reading_changes_no_byte_and_leaves_no_file(record, tmp_path):
    path = tmp_path / "mlflow.db"
    before = path.read_bytes()
    store.check(record)
    store.find_runs(record, experiment="fitgap")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.usefixtures("record")
def test_a_database_is_opened_so_that_nothing_can_be_written(tmp_path):
    connection = database.open_read_only(tmp_path / "mlflow.db")
    try:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("DELETE FROM runs")
    finally:
        connection.close()


KILLED_WRITER = """
import os, signal, sqlite3, sys

database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA cache_size = 1")  # what is changed goes to the file before its commit
database.execute("BEGIN")
database.execute("UPDATE runs SET status = 'FAILED'")
database.execute("CREATE TABLE large AS SELECT randomblob(1000000)")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_runs_are_read_after_a_writer_was_killed(record, tmp_path):
    path = tmp_path / "mlflow.db"
    before = path.read_bytes()
    killed = subprocess.run([sys.executable, "-c", KILLED_WRITER, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert path.with_name("mlflow.db-journal").exists()
    assert path.read_bytes() != before
    assert len(store.find_runs(record, experiment="fitgap")) == 2
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_runs_are_read_while_another_process_writes(record, tmp_path):
    writer = sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)
    try:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE runs SET status = 'FINISHED'")
        assert len(store.find_runs(record, experiment="fitgap")) == 2
    finally:
        writer.close()


def test_the_client_and_the_tables_give_the_same_runs(record, monkeypatch):
    # MLflow's client on the same database stands in for a server; small pages, to need several.
    monkeypatch.setattr(store_server, "PAGE", 1)
    monkeypatch.setattr(store_server, "check", lambda _uri: None)
    asked = {"experiment": "fitgap", "statuses": ("FINISHED", "KILLED", "RUNNING")}
    for tags in ({}, {"fitgap.role": "run"}, {"fitgap.identity": "it's 1"}):
        with mlflows_own_warnings_ignored():
            found = store_server.find_runs(record, tags=tags, **asked)
        assert found == database.find_runs(record, tags=tags, **asked)
        assert found
    with mlflows_own_warnings_ignored():
        names = store_server.experiments(record)
    assert names == store.experiments(record)


@pytest.mark.parametrize(
    ("given", "environment", "expected"),
    [
        ("http://given", "http://environment", "http://given"),
        (None, "http://environment", "http://environment"),
        (None, "", "sqlite:////project/mlflow.db"),
        ("", None, "sqlite:////project/mlflow.db"),
    ],
)
def test_the_record_is_where_said_first(monkeypatch, given, environment, expected):
    monkeypatch.setenv(project.VARIABLE, "/project")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if environment is not None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", environment)
    assert store.resolve_uri(given) == expected


ADDRESSES = {
    "http://ada:secret@host:5000": "http://host:5000",
    "http://token1secret@host": "http://host",
    "https://host/a?b=1": "https://host/a?b=1",
    "postgresql://ada@db/mlflow": "postgresql://ada@db/mlflow",
    "postgresql+psycopg://ada:se/cr@et@host/db": "postgresql+psycopg://ada@host/db",
    "postgresql://:secret@host/db": "postgresql://host/db",
    "mysql://host/db?user=ada&password=secret&ssl=1": "mysql://host/db?user=ada&ssl=1",
    "mysql://host/db?password=secret": "mysql://host/db",
    "sqlite:////a b@c/m.db": "sqlite:////a b@c/m.db",
}


@pytest.mark.parametrize("uri", ADDRESSES)
def test_a_printed_command_finds_the_store_and_tells_no_password(uri, monkeypatch):
    monkeypatch.setattr(base, "_OF_SHELL", None)
    assert shlex.split(store.option(uri)) == ["--uri", ADDRESSES[uri]]
    monkeypatch.setattr(base, "_OF_SHELL", uri)
    printed = f"echo {store.option(uri)}"
    assert "secret" not in printed
    shell = ["/bin/sh", "-c", printed]
    same = {"MLFLOW_TRACKING_URI": uri}
    done = subprocess.run(shell, env=same, capture_output=True, text=True, check=True)
    assert done.stdout == f"--uri {uri}\n"
    if uri != ADDRESSES[uri]:
        assert subprocess.run(shell, env={}, capture_output=True, check=False).returncode != 0


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://ada:secret@host:5000", "http://***@host:5000"),
        ("postgresql+psycopg://ada:se/cr@et@host/db", "postgresql+psycopg://***@host/db"),
        ("mysql://host/db?user=ada&password=secret&ssl=1", "mysql://host/db?user=***&password=***&ssl=1"),
        ("http://host:5000", "http://host:5000"),
        ("sqlite:////home/a:b@c/mlflow.db", "sqlite:////home/a:b@c/mlflow.db"),
    ],
)  # fmt: skip
def test_credentials_are_not_shown(uri, shown):
    assert store.redact(uri) == shown


@pytest.mark.parametrize(
    "uri", ["./mlruns", "/mlruns", "file:///mlruns", "ftp://host", "sqlite://", "sqlite:mlflow.db"]
)
def test_what_mlflow_does_not_take_is_refused_with_what_it_does(uri):
    with pytest.raises(RequestError, match="sqlite:///"):
        store.check(uri)
    with pytest.raises(RequestError, match="sqlite:///"):
        store.find_runs(uri, experiment="fitgap")


def test_a_database_in_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(RequestError, match="missing does not exist"):
        store.check(f"sqlite:///{tmp_path}/missing/mlflow.db")


@pytest.mark.parametrize("what", ["text", "folder"])
def test_what_is_no_sqlite_database_is_refused_and_left_alone(tmp_path, what):
    path = tmp_path / "mlflow.db"
    if what == "text":
        path.write_text("not a database, however long the text may be")
    else:
        path.mkdir()
    for ask in (store.check, store.experiments):
        with pytest.raises(RequestError, match=r"names .*mlflow\.db"):
            ask(f"sqlite:///{path}")


DAMAGES = {
    "all but its head": lambda content: content[:100] + bytes(20_000),
    "cut off in the middle": lambda content: content[: len(content) // 2],
    "pages in the middle": lambda content: (
        content[:4096] + bytes(len(content) // 2) + content[4096 + len(content) // 2 :]
    ),
    "noise in the middle": lambda content: (
        content[:4096] + b"\xa7" * (len(content) // 2) + content[4096 + len(content) // 2 :]
    ),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_database_is_refused_and_left_alone(damage, record, tmp_path):
    path = tmp_path / "mlflow.db"
    path.write_bytes(damage(path.read_bytes()))
    damaged = path.read_bytes()
    for ask in (store.experiments, lambda uri: store.find_runs(uri, experiment="fitgap")):
        with pytest.raises(RequestError, match="cannot be used"):
            ask(record)
    assert path.read_bytes() == damaged


def test_a_database_that_another_process_keeps_locked_is_named(record, tmp_path, monkeypatch):
    monkeypatch.setattr(database, "LOCK_SECONDS", 0.05)
    with closing(sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(RequestError, match=r"mlflow\.db cannot be used: database is locked"):
            store.find_runs(record, experiment="fitgap")


@pytest.mark.parametrize("name", ["mlflow.db", "."])
def test_what_cannot_be_written_to_is_refused(record, tmp_path, monkeypatch, name):
    # Permissions do not bind root, as whom containers run tests.
    closed = tmp_path / name
    monkeypatch.setattr(
        database.os, "access", lambda path, mode: path != closed or not mode & os.W_OK
    )
    with pytest.raises(RequestError, match="not writable"):
        store.check(record)


def test_an_unreachable_database_is_refused_without_its_password():
    with pytest.raises(RequestError) as caught:
        store.check("postgresql://ada:secret@127.0.0.1:1/mlflow")
    assert "secret" not in str(caught.value)


def test_a_server_that_is_not_there_is_refused_at_once():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        uri = f"http://ada:secret@127.0.0.1:{unused.getsockname()[1]}"
        start = time.monotonic()
        with pytest.raises(RequestError, match="does not answer") as caught:
            store.check(uri)
    assert time.monotonic() - start < 5
    assert "secret" not in str(caught.value)


def test_a_server_that_never_answers_is_given_up(monkeypatch):
    for module in (base, store_server):
        monkeypatch.setattr(module, "ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(RequestError, match="answer"):
            store.check(uri)


def test_what_obeys_no_timeout_of_its_own_is_given_up(monkeypatch):
    monkeypatch.setattr(base, "ANSWER_SECONDS", 0.05)
    answer = threading.Event()
    with pytest.raises(RequestError, match="the driver did not answer"):
        base.in_time(lambda: answer.wait(10), what="the driver")
    answer.set()


@pytest.fixture
def web_server():
    """Return a function that starts a web server with one answer for everything."""
    servers = []

    def start(status, body):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"<html>"), (200, b"[]"), (404, b""), (500, b"{}")],
    ids=["page", "list", "not found", "broken"],
)
def test_a_server_that_is_not_mlflow_is_refused(web_server, status, body):
    with pytest.raises(RequestError, match="MLflow server"):
        store.check(web_server(status, body))


@pytest.mark.parametrize(("status", "body"), [(200, b'{"experiments": []}'), (401, b"")])
def test_a_server_that_answers_is_taken(web_server, status, body):
    store.check(web_server(status, body))


def run_compare(*arguments):
    return subprocess.run(
        [sys.executable, "-X", "importtime", str(COMPARE), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_compare_answers_from_a_database_without_heavy_imports(record):
    done = run_compare("--uri", record, "--format", "json")
    assert done.returncode == 0
    (group,) = json.loads(done.stdout)
    assert (group["group"], group["n"]) == ({}, 2)
    assert group["metrics"]["val/accuracy"]["mean"] == 0.625
    imported = {
        line.rpartition("|")[2].strip()
        for line in done.stderr.splitlines()
        if line.startswith("import time:")
    }
    assert "sqlalchemy" in imported
    assert not imported & HEAVY


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--experiment", "fitgep"], "did you mean 'fitgap'"),
        (["--experiment", "빈 실험"], "has no finished run"),
        (["--sort", "val/acuracy"], "did you mean val/accuracy"),
        (["--limit", "-1"], "not in the range x>=0"),
    ],
)
def test_compare_refuses_a_wrong_request(record, arguments, message):
    done = run_compare("--uri", record, *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_compare_says_how_to_make_the_first_runs(tmp_path):
    done = run_compare("--uri", f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert done.returncode == 2
    assert " train -m optimizer=sgd,adam" in done.stderr

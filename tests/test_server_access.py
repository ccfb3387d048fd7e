"""Who can reach fitgap's server: what it prints is where it listens, and accounts if asked for."""

import base64
import re
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from fitgap import store
from fitgap.commands import server as command
from fitgap.commands import ui
from fitgap.config.project import CHECKOUT
from fitgap.errors import RequestError
from fitgap.tracking import postgres_server

SEARCH = "api/2.0/mlflow/experiments/search?max_results=5"


@pytest.mark.parametrize("of", [command.command, ui.command], ids=["server", "ui"])
def test_servers_listen_on_loopback_unless_told(of):
    (host,) = [option for option in of.params if option.name == "host"]
    assert host.default == "127.0.0.1"


@pytest.mark.parametrize(
    "address", ["https://ada:p@ss/w?rd@mlflow.example/lab", "https://mlflow.example/lab/?token=x"]
)
def test_links_to_a_server_work_and_hold_no_secret(address, monkeypatch):
    monkeypatch.setattr(store, "check", lambda _: None)
    monkeypatch.setattr(store, "experiments", lambda _: {"digits": "7"})
    done = CliRunner().invoke(ui.command, ["--uri", address])
    assert done.exit_code == 0, done.output
    first, second = done.output.splitlines()
    assert first.endswith(" https://mlflow.example/lab")
    assert second.startswith("  digits: https://mlflow.example/lab/#/experiments/7/runs?")
    assert not re.search(r"\*|@|p@ss|token", done.output)


def test_who_may_use_the_server_is_said(tmp_path):
    said = postgres_server.access_note(tmp_path, "127.0.0.1", auth=False)
    assert "everyone on this machine" in said
    assert "--auth" in said
    assert "0.0.0.0's network" in postgres_server.access_note(tmp_path, "0.0.0.0", auth=False)


def test_accounts_are_in_files_that_nobody_else_reads(tmp_path):
    pytest.importorskip("flask_wtf")
    first = postgres_server.accounts(tmp_path)
    for name in (postgres_server.AUTH_FILE, "cookie_key", "accounts.db"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    text = (tmp_path / postgres_server.AUTH_FILE).read_text()
    assert len(re.search(r"admin_password = (\S+)", text)[1]) >= 32
    assert postgres_server.accounts(tmp_path) == first
    assert (tmp_path / postgres_server.AUTH_FILE).read_text() == text


def test_a_taken_port_is_told_before_anything_starts(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = CliRunner().invoke(
            command.command, ["--port", str(port), "--folder", str(tmp_path / "server")]
        )
    assert f"--port {port} of 127.0.0.1 cannot be used" in str(done.exception)
    assert not (tmp_path / "server").exists()


@pytest.fixture
def entered_folder():
    """Give a folder that PostgreSQL's user may enter: pytest's own are closed to others."""
    with tempfile.TemporaryDirectory(prefix="fitgap-server-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def certificate(tmp_path):
    """Return the files of a certificate for 127.0.0.1 that nobody else signed, and of its key."""
    files = tmp_path / "cert file.pem", tmp_path / "key file.pem"
    words = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=127.0.0.1 -addext"
    command = ["openssl", *words.split(), "subjectAltName=IP:127.0.0.1"]
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    subprocess.run(
        [*command, "-out", files[0], "-keyout", files[1]], check=True, capture_output=True
    )
    return files


def test_a_certificate_that_does_not_serve_is_told_before_anything_starts(tmp_path, certificate):
    wrong = tmp_path / "no.pem"
    wrong.write_text("no certificate")
    words = ["--folder", str(tmp_path / "server"), "--certfile", str(certificate[0]), "--keyfile"]
    done = CliRunner().invoke(command.command, [*words, str(wrong)])
    assert isinstance(done.exception, RequestError)
    assert "cannot be used" in str(done.exception)
    alone = CliRunner().invoke(command.command, words[:-1])
    assert "belong together" in alone.output
    assert not (tmp_path / "server").exists()


@pytest.mark.slow
# Python's ssl leaves the socket that it wraps to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.parametrize("is_encrypted", [False, True], ids=["http", "https"])
def test_what_is_printed_is_what_listens_and_accounts_are_asked_for(
    entered_folder, certificate, is_encrypted
):
    try:
        postgres_server.programs_folder()
    except RequestError as error:
        pytest.skip(str(error))
    pytest.importorskip("flask_wtf")
    pytest.importorskip("psycopg2")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    served = entered_folder / "server"
    scheme = "https" if is_encrypted else "http"
    context = ssl.create_default_context(cafile=certificate[0])
    encrypted = ["--certfile", str(certificate[0]), "--keyfile", str(certificate[1])]
    words = [
        *(encrypted if is_encrypted else []),
        "--auth",
        "--port",
        str(port),
        "--workers",
        "1",
        "--folder",
        str(served),
    ]
    log = entered_folder / "said"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, str(CHECKOUT / "scripts" / "server.py"), *words], stdout=output
        )
    try:
        deadline = time.monotonic() + 240
        while "train on it" not in log.read_text() and time.monotonic() < deadline:
            time.sleep(0.5)
        address = re.search(r"MLflow on (https?://\S+),", log.read_text())[1]
        assert address == f"{scheme}://127.0.0.1:{port}"
        listening = {
            (connection.laddr.ip, connection.laddr.port)
            for child in psutil.Process(process.pid).children(recursive=True)
            for connection in child.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        }
        assert ("127.0.0.1", port) in listening
        assert {ip for ip, _ in listening} == {"127.0.0.1"}
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{address}/{SEARCH}", timeout=60, context=context)
        assert refused.value.code == 401
        refused.value.close()
        text = (served / postgres_server.AUTH_FILE).read_text()
        password = re.search(r"admin_password = (\S+)", text)[1]
        assert password not in log.read_text()
        request = urllib.request.Request(f"{address}/{SEARCH}")
        token = base64.b64encode(f"{postgres_server.ADMIN}:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {token}")
        with urllib.request.urlopen(request, timeout=60, context=context) as answer:
            assert answer.status == 200
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(150)  # each of its two servers has half a minute to end by itself

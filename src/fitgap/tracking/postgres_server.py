"""An MLflow server with its own PostgreSQL, on this machine, for sweeps with many workers.

Everything it keeps lies in one folder: the database's files, the artifacts, the logs. PostgreSQL
listens on loopback only, under a password that this module makes and hands on in the environment,
so that no command line and no log contains it.
"""

import importlib.util
import logging
import os
import pwd
import secrets
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fitgap.console import say
from fitgap.errors import RequestError

DATABASE = USER = "mlflow"
START_SECONDS = 180.0  # MLflow's own imports take most of it on a busy machine
STOP_SECONDS = 30.0
# A process of MLflow's server answers 40 requests at once; with SQLAlchemy's 15 connections some of
# them fail after half a minute of waiting. Runs and models have a pool each.
_POOL = {"MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": "20", "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": "20"}
_MOST_CONNECTIONS = 2 * 40
_OTHER_CONNECTIONS = 20  # PostgreSQL's own, and whoever looks at it
# MLflow keeps its connections open, under which a database cannot be renamed.
_DISCONNECT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'unfinished'"
# Debian keeps them out of PATH.
_DEBIAN = Path("/usr/lib/postgresql")
AUTH_FILE, ADMIN = "basic_auth.ini", "admin"
LOOPBACK = ("127.0.0.1", "::1", "localhost")


Tls = tuple[Path, Path]  # the files of a certificate and of its private key, both PEM


def serve(
    folder: Path, *, host: str, port: int, workers: int, auth: bool = False, tls: Tls | None = None
) -> None:
    """Run both servers until Ctrl-C, SIGTERM or the end of one of them.

    Parameters
    ----------
    folder
        Where they keep everything; made if need be.
    host, port
        Where MLflow listens.
    workers
        Processes of MLflow's server.
    auth
        Whether MLflow asks for an account's password.
    tls
        Certificate and key for https; None: http.

    Raises
    ------
    RequestError
        If certificate and key do not fit, PostgreSQL is not installed or cannot be started, the
        port is taken, or MLflow does not come up.
    """
    if tls is not None:
        _require_certificate(tls)
    _require_free(host, port)
    programs = programs_folder()
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with (
            _postgres(folder, programs, connections=_MOST_CONNECTIONS * workers) as (database, uri),
            _mlflow(
                folder, uri, host=host, port=port, workers=workers, auth=auth, tls=tls
            ) as server,
        ):
            address = _address(host, port, tls)
            say(f"MLflow on {address}, its runs and artifacts in {folder}; Ctrl-C ends it")
            say(access_note(folder, host, auth=auth))
            say(f"train on it: tracking=server tracking.uri={address}")
            while database.poll() is None and server.poll() is None:
                time.sleep(0.5)
            name = "PostgreSQL" if server.poll() is None else "MLflow's server"
            raise RequestError(f"{name} has ended by itself; see the logs in {folder}")
    except KeyboardInterrupt:
        say("stopped")


def _address(host: str, port: int, tls: Tls | None) -> str:
    return f"{'http' if tls is None else 'https'}://{host}:{port}"


def _require_certificate(tls: Tls) -> None:
    certificate, key = tls
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        raise RequestError(
            f"--certfile {certificate} and --keyfile {key} cannot be used: {error}"
        ) from error


def _require_free(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise RequestError(f"--port {port} of {host} cannot be used: {error}") from error


def programs_folder() -> Path:
    """Return the folder of PostgreSQL's programs, the newest of Debian's if there are several."""
    on_path = shutil.which("initdb")
    versions = [path for path in _DEBIAN.glob("*/bin") if (path / "initdb").exists()]
    if on_path is None and not versions:
        raise RequestError("PostgreSQL is not installed; on Debian: apt-get install postgresql")
    if on_path is not None:
        return Path(on_path).resolve().parent
    return max(versions, key=lambda path: float(path.parent.name))


@contextmanager
def _postgres(
    folder: Path, programs: Path, *, connections: int
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run the folder's PostgreSQL, made at first, and give its process and the store's URI."""
    os.environ["PGPASSWORD"] = _password(folder / "password")
    data = folder / "postgres"
    if not (data / "PG_VERSION").exists():
        _initialise(data, programs, folder)
    status = [str(programs / "pg_ctl"), "status", f"--pgdata={data}"]
    if subprocess.run(status, capture_output=True, check=False, **_owner()).returncode == 0:
        pid = (data / "postmaster.pid").read_text().split()[0]
        raise RequestError(f"another server is using {data} (PostgreSQL's process {pid})")
    port = free_port()
    command = [
        str(programs / "postgres"),
        f"-D{data}",
        f"-cport={port}",
        "-clisten_addresses=127.0.0.1",
        "-cunix_socket_directories=",
        f"-cmax_connections={connections + _OTHER_CONNECTIONS}",
    ]
    with _running(command, folder / "postgres.log", end=signal.SIGINT, **_owner()) as process:
        at = f"postgresql+psycopg2://{USER}@127.0.0.1:{port}"
        _wait(process, lambda: _create_database(at), log=folder / "postgres.log")
        yield process, f"{at}/{DATABASE}"


def _password(path: Path) -> str:
    if not path.exists():
        with open(path, "w", opener=_for_this_user) as file:
            file.write(secrets.token_urlsafe())
    return path.read_text()


def _initialise(data: Path, programs: Path, folder: Path) -> None:
    """Make PostgreSQL's files; they appear as a whole, so an interrupted beginning leaves none."""
    owner = _owner()
    unfinished = data.with_suffix(".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    password = unfinished / "password"
    password.write_text(os.environ["PGPASSWORD"])
    made = unfinished / "data"
    made.mkdir(mode=0o700)
    if owner:
        for path in (unfinished, made, password):
            shutil.chown(path, **owner)
    command = [
        str(programs / "initdb"),
        f"--pgdata={made}",
        f"--username={USER}",
        f"--pwfile={password}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, **owner)
    if done.returncode != 0:
        reason = (done.stderr.strip() or done.stdout).splitlines()[-1]
        raise RequestError(f"PostgreSQL's files cannot be made in {folder}: {reason}")
    made.replace(data)
    shutil.rmtree(unfinished)


def _owner() -> dict[str, Any]:
    """Return as whom PostgreSQL runs: as this user, but not as root, which it refuses."""
    if os.geteuid() != 0:
        return {}
    try:
        pwd.getpwnam("postgres")
    except KeyError as error:
        raise RequestError("PostgreSQL does not run as root; use another account") from error
    return {"user": "postgres", "group": "postgres"}


def _create_database(at: str) -> None:
    """Create the database and MLflow's tables in it, unless they are there.

    Once and here: MLflow's workers, at it together, would disturb each other.
    """
    import sqlalchemy as sa

    try:
        engine = sa.create_engine(f"{at}/postgres", isolation_level="AUTOCOMMIT")
    except ModuleNotFoundError as error:
        raise RequestError(
            "the server needs the extra 'server', which is not installed: make setup-extras"
        ) from error
    with engine.connect() as connection:
        names = connection.execute(sa.text("SELECT datname FROM pg_database")).scalars()
        if DATABASE in set(names):
            return
        # Under another name until it is whole: MLflow does not mend half of its tables.
        connection.execute(sa.text("DROP DATABASE IF EXISTS unfinished"))
        connection.execute(sa.text("CREATE DATABASE unfinished"))
        _create_tables(f"{at}/unfinished")
        connection.execute(sa.text(_DISCONNECT))
        connection.execute(sa.text(f"ALTER DATABASE unfinished RENAME TO {DATABASE}"))


def _create_tables(uri: str) -> None:
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # a line for each step
    from mlflow import MlflowClient

    MlflowClient(uri).get_experiment_by_name("Default")


@contextmanager
def _mlflow(
    folder: Path, uri: str, *, host: str, port: int, workers: int, auth: bool, tls: Tls | None
) -> Iterator[subprocess.Popen[bytes]]:
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        f"--host={host}",
        f"--port={port}",
        f"--workers={workers}",
        "--serve-artifacts",
        f"--artifacts-destination={folder / 'artifacts'}",
        *(["--app-name=basic-auth"] if auth else []),
        *([f"--uvicorn-opts={_of_uvicorn(tls)}"] if tls else []),
    ]
    environment = _POOL | os.environ
    environment["MLFLOW_BACKEND_STORE_URI"] = uri
    environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # six processes not used here
    if auth:
        environment |= accounts(folder)
    log = folder / "mlflow.log"
    with _running(command, log, end=signal.SIGTERM, env=environment) as process:
        _wait(process, lambda: _ask(f"{_address(host, port, tls)}/health"), log=log)
        yield process


def _of_uvicorn(tls: Tls) -> str:
    """Return what MLflow hands on to uvicorn, split as a shell would."""
    certificate, key = (path.absolute() for path in tls)
    return shlex.join([f"--ssl-certfile={certificate}", f"--ssl-keyfile={key}"])


def accounts(folder: Path) -> dict[str, str]:
    """Create the files of MLflow's accounts if they do not exist; return its variables for them.

    Raises
    ------
    RequestError
        If what MLflow needs for them is not installed.
    """
    if importlib.util.find_spec("flask_wtf") is None:
        raise RequestError("--auth needs MLflow's accounts: pip install 'mlflow[auth]'")
    settings = folder / AUTH_FILE
    if not settings.exists():
        text = (
            "[mlflow]\n"
            "default_permission = READ\n"
            f"database_uri = sqlite:///{folder / 'accounts.db'}\n"
            f"admin_username = {ADMIN}\n"
            f"admin_password = {secrets.token_urlsafe()}\n"
            "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
            "grant_default_workspace_access = false\n"
        )
        with open(settings, "w", opener=_for_this_user) as file:
            file.write(text)
    # MLflow would make it readable for all.
    with open(folder / "accounts.db", "a", opener=_for_this_user):
        pass
    return {
        "MLFLOW_AUTH_CONFIG_PATH": str(settings),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": _password(folder / "cookie_key"),
    }


def access_note(folder: Path, host: str, *, auth: bool) -> str:
    """Return a line that says who may use the server.

    Parameters
    ----------
    folder
        Of the server's files.
    host
        The address that it listens on.
    auth
        Whether it requires accounts.
    """
    if auth:
        return f"it requires an account: {ADMIN}; its password is in {folder / AUTH_FILE}"
    where = "this machine" if host in LOOPBACK else f"{host}'s network"
    return f"everyone on {where} may use it; --auth makes it require accounts (docs/SECURITY.md)"


def _for_this_user(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)


def _ask(address: str) -> None:
    # Whether it listens is asked, on this machine; who it is, clients ask.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    # S310: urllib opens files too; the address is http or https, made by `_address`.
    with urllib.request.urlopen(address, timeout=5, context=context):  # noqa: S310
        pass


@contextmanager
def _running(
    command: Sequence[str], log: Path, *, end: signal.Signals, **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program with its output in a file, and end it and its children afterwards."""
    with log.open("ab") as output:
        # In a session of its own: Ctrl-C on the terminal would end both at once, and in disorder.
        process = subprocess.Popen(
            command, stdout=output, stderr=output, start_new_session=True, **options
        )
    try:
        yield process
    finally:
        process.send_signal(end)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(process: subprocess.Popen[bytes], ready: Callable[[], None], *, log: Path) -> None:
    """Wait until a program that was started serves."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return ready()
        except RequestError:
            raise
        except Exception as error:  # each library says in its own way that nobody listens yet
            if process.poll() is not None or time.monotonic() > deadline:
                raise RequestError(f"{process.args!r} does not start, see {log}") from error
        time.sleep(0.5)


def free_port() -> int:
    """Return a port of this machine on which no program listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

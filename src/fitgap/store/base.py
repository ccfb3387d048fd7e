"""What a record of runs is and where it is, for the modules that read one."""

import math
import os
import re
import shlex
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fitgap.config import project
from fitgap.errors import RequestError, StoreAwayError
from fitgap.tag_names import IDENTITY_TAG

DATABASES = ("sqlite", "postgresql", "mysql", "mssql")  # the dialects MLflow itself takes
ALLOWED = "sqlite:///path/to/mlflow.db, another database's URI, or http(s)://host:port"
ANSWER_SECONDS = 8.0  # who needs longer for a trivial request is as good as absent
VARIABLE = "MLFLOW_TRACKING_URI"
_OF_SHELL = os.environ.get(VARIABLE)  # before a command sets it for what it starts
_SECRET_PART = re.compile(r"(?i)(?:pass\w*|pwd|token|secret)=")  # of a query
LARGEST = 1.7976931348623157e308  # what MLflow stores for an infinite metric

EPOCHS = "running/loss"  # logged once per epoch, unlike the figures of the saved weights

# By run id, metric and step, the steps in ascending order.
Histories = dict[str, dict[str, dict[int, float]]]


@dataclass(frozen=True, slots=True)
class StoredRun:
    """One run as the record has it.

    Attributes
    ----------
    run_id, name, status
        As MLflow shows them; ``status`` is FINISHED, FAILED, KILLED, RUNNING or SCHEDULED.
    start_time
        Milliseconds since 1970 (UTC).
    params
        Values as MLflow keeps them: ``str`` of what was logged.
    metrics
        The latest value of each.
    tags
        All of them, MLflow's own (``mlflow.*``) among them.
    artifact_uri
        Where its files are.
    end_time
        As ``start_time``; None while it runs.
    """

    run_id: str
    name: str
    status: str
    start_time: int
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    artifact_uri: str = ""
    end_time: int | None = None

    @property
    def identity(self) -> str:
        """SHA-256 over all that decided its bits; empty if it does not say."""
        return self.tags.get(IDENTITY_TAG, "")

    @property
    def ending(self) -> tuple[str, int | None]:
        """What distinguishes the times that a run ended: one that failed can end again."""
        return self.run_id, self.end_time


def resolve_uri(uri: str | None) -> str:
    """Return where the record is: ``uri``, ``$MLFLOW_TRACKING_URI``, or the project's own file."""
    chosen = uri or os.environ.get(VARIABLE) or _own_file()
    prefix, _, path = chosen.partition(":///")
    # A worker of a sweep may have another working folder.
    return f"{prefix}:///{Path(path).absolute()}" if prefix == "sqlite" and path else chosen


def use_in_mlflow(uri: str) -> None:
    """Make MLflow use a record in this process, without the variable that it sets for others.

    By it, the next study would take this record for the one that the person chose for all.
    """
    import mlflow

    before = os.environ.get(VARIABLE)
    mlflow.set_tracking_uri(uri)
    os.environ.pop(VARIABLE, None)
    if before is not None:
        os.environ[VARIABLE] = before


def _own_file() -> str:
    return f"sqlite:///{project.folder() / 'mlflow.db'}"


def option(uri: str) -> str:
    """Return what a printed command needs to find a record: nothing, or `` --uri ...``.

    Without it, a command takes the environment's, which the reader's terminal may not have.
    """
    return "" if uri == _own_file() else f" --uri {as_word(uri)}"


def as_word(uri: str) -> str:
    """Return the URI as a word of a printed command: one that works, and that tells no secret.

    Where the person's shell has the URI with its password, its variable stands for it. Otherwise
    the password is left out, which MLflow and the databases take from variables and files of
    their own as well.

    >>> as_word("postgresql://ada:secret@db.example/mlflow"), as_word("http://ada:secret@host:5000")
    ('postgresql://ada@db.example/mlflow', 'http://host:5000')
    """
    bare = _without_password(uri)
    if bare != uri and uri == _OF_SHELL:
        return f'"${{{VARIABLE}:?}}"'  # says so where another shell has no such variable
    return shlex.quote(bare)


def _without_password(uri: str) -> str:
    if uri.startswith("sqlite"):
        return uri
    # To a server, a name alone can be a token; a database needs the name beside its password.
    name = "" if uri.lower().startswith("http") else r"[^/:@]*(?=[:@])"
    bare = re.sub(rf"://({name}).*@", lambda found: f"://{found[1]}{'@' * bool(found[1])}", uri)
    address, _, query = bare.partition("?")
    kept = [part for part in query.split("&") if part and not _SECRET_PART.match(part)]
    return f"{address}?{'&'.join(kept)}" if kept else address


def redact(uri: str) -> str:
    """Return the URI fit to be shown: credentials replaced by ``***``.

    >>> redact("postgresql://ada:secret@db.example/mlflow")
    'postgresql://***@db.example/mlflow'
    """
    if uri.startswith("sqlite"):
        return uri
    # Greedy on purpose: a password with an unescaped @ or / in it must not leak its tail.
    shown = re.sub(r"://.*@", "://***@", uri)
    return re.sub(r"(?i)([?&](?:user|pass\w*|pwd|token|secret)=)[^&]*", r"\1***", shown)


def kind_of(uri: str) -> str:
    """Tell ``sqlite``, ``database`` and ``server`` apart; refuse everything else."""
    scheme = uri.partition(":")[0].lower() if "://" in uri else ""
    if scheme in ("http", "https"):
        return "server"
    dialect = scheme.partition("+")[0]
    if dialect == "sqlite":
        return "sqlite"
    if dialect in DATABASES:
        return "database"
    why = " (MLflow no longer takes runs in plain folders)" if scheme in ("", "file") else ""
    raise RequestError(f"tracking.uri must be {ALLOWED}, got {redact(uri)!r}{why}")


def in_time(action: Callable[[], object], *, what: str) -> None:
    """Run ``action``, but give up on it after `ANSWER_SECONDS`.

    Neither name resolution nor most database drivers obey a timeout, so the waiting is done
    here; the thread left behind is a daemon and does not keep the process alive.
    """
    failure: list[Exception] = []

    def run() -> None:
        try:
            action()
        except Exception as error:  # raised below, in the thread that waits
            failure.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(ANSWER_SECONDS)
    if thread.is_alive():
        raise StoreAwayError(f"{what} did not answer within {ANSWER_SECONDS:.0f} s")
    if failure:
        raise failure[0]


def number_of(stored: float) -> float:
    """Return a stored metric as the float that was logged."""
    return math.copysign(math.inf, stored) if abs(stored) >= LARGEST else float(stored)

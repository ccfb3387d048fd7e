"""Reading MLflow's record: whether it can be used, which runs it holds.

Databases are read without importing MLflow, so that an answer takes a second instead of four; a
tracking server is asked through MLflow's client. Nothing here writes: `fitgap.tracking.run_writer`
does.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from fitgap.errors import RequestError
from fitgap.store import artifacts
from fitgap.store.base import (
    EPOCHS,
    Histories,
    StoredRun,
    as_word,
    kind_of,
    option,
    redact,
    resolve_uri,
    use_in_mlflow,
)

__all__ = [
    "EPOCHS",
    "Histories",
    "StoredRun",
    "artifact_text",
    "as_word",
    "check",
    "experiments",
    "find_run",
    "find_runs",
    "kind_of",
    "last_metric_times",
    "metric_histories",
    "option",
    "redact",
    "resolve_uri",
    "use_in_mlflow",
]

ANY_STATUS = ("RUNNING", "FINISHED", "FAILED", "KILLED", "SCHEDULED")
MOST_TEXT = 50_000_000  # bytes of a text that a run has recorded
RUN_ID_LENGTH = 32


class Reader(Protocol):
    """What a module that reads one kind of store provides."""

    def check(self, uri: str) -> None: ...

    def experiments(self, uri: str) -> dict[str, str]: ...

    def find_runs(
        self, uri: str, *, experiment: str, statuses: Sequence[str], tags: Mapping[str, str]
    ) -> list[StoredRun]: ...

    def metric_histories(
        self, uri: str, *, run_ids: Sequence[str], keys: Sequence[str]
    ) -> Histories: ...

    def last_metric_times(
        self, uri: str, *, run_ids: Sequence[str], key: str
    ) -> dict[str, int]: ...


def check(uri: str) -> None:
    """Check, within about ten seconds, that runs can be recorded at ``uri``.

    Raises
    ------
    RequestError
        If the server or database does not answer, the file is no SQLite database or not
        writable, its folder does not exist, or the URI is of a kind MLflow does not take.
    """
    _reader(uri).check(uri)


def experiments(uri: str) -> dict[str, str]:
    """Return the ids of the experiments that are not deleted, by name, sorted; of no file, none."""
    return dict(sorted(_reader(uri).experiments(uri).items()))


def find_runs(
    uri: str,
    *,
    experiment: str,
    statuses: Sequence[str] = ("FINISHED",),
    tags: Mapping[str, str] | None = None,
) -> list[StoredRun]:
    """Return an experiment's runs that are not deleted, newest first.

    Parameters
    ----------
    uri
        Where the record is; see `resolve_uri`.
    experiment
        Its name.
    statuses
        Runs in any other status are left out.
    tags
        Tags and the values a run must have for them.

    Returns
    -------
    list of StoredRun
        Empty if there is no such file or experiment: reading never creates one.

    Raises
    ------
    RequestError
        If the record cannot be read.
    """
    return _reader(uri).find_runs(
        uri, experiment=experiment, statuses=statuses, tags=dict(tags or {})
    )


def find_run(uri: str, run_id: str) -> StoredRun:
    """Return a run of any experiment and of any status.

    Parameters
    ----------
    uri
        Of the store.
    run_id
        MLflow's id, or the beginning of it.

    Raises
    ------
    RequestError
        If there is none, or several begin so.
    """
    found = [
        run
        for name in experiments(uri)
        for run in find_runs(uri, experiment=name, statuses=ANY_STATUS)
        if run_id and run.run_id.startswith(run_id)
    ]
    if len(found) != 1:
        many = f"{len(found)} run ids begin like this" if found else "no run id begins like this"
        raise RequestError(f"run {run_id!r} in {redact(uri)}: {many}")
    return found[0]


def metric_histories(uri: str, *, run_ids: Sequence[str], keys: Sequence[str]) -> Histories:
    """Return the values that metrics had over the steps of runs.

    Parameters
    ----------
    uri
        Where the record is; see `resolve_uri`.
    run_ids
        Of which runs. On a tracking server every run and metric is a request.
    keys
        Names of metrics.

    Returns
    -------
    dict
        By run id, metric and step (the steps ascending). A metric that a run never logged is
        absent; every run id is there.

    Raises
    ------
    RequestError
        If the record cannot be read.
    """
    return _reader(uri).metric_histories(uri, run_ids=list(dict.fromkeys(run_ids)), keys=list(keys))


def last_metric_times(uri: str, *, run_ids: Sequence[str], key: str) -> dict[str, int]:
    """Return when runs logged the latest value of a metric.

    Parameters
    ----------
    uri
        Where the record is; see `resolve_uri`.
    run_ids
        Of which runs.
    key
        Name of the metric.

    Returns
    -------
    dict
        Milliseconds since 1970 (UTC) by run id; without the runs that never logged it.

    Raises
    ------
    RequestError
        If the record cannot be read.
    """
    return _reader(uri).last_metric_times(uri, run_ids=run_ids, key=key)


def artifact_text(run: StoredRun, name: str, *, uri: str) -> str | None:
    """Return a text file of a run's artifacts, or None if there is no such file.

    Parameters
    ----------
    run
        A recorded run.
    name
        Of the file, relative to the run's artifacts.
    uri
        Of the store.

    Raises
    ------
    RequestError
        If the file cannot be fetched from where the artifacts are.
    """
    with artifacts.local_file(run, name, uri=uri) as file:
        return _text(file, run) if file.exists() else None


def _text(file: Path, run: StoredRun) -> str:
    """Return a record's text: of a file of bounded size, since anybody may have written it."""
    try:
        if not file.is_file() or file.stat().st_size > MOST_TEXT:
            raise RequestError(f"{file.name} of run {run.run_id} is no file of up to 50 MB")
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise RequestError(f"{file.name} of run {run.run_id} cannot be read: {error}") from error


def _reader(uri: str) -> Reader:
    # Here, so that what is wrong with settings is said without SQLAlchemy.
    from fitgap.store import database, server

    return server if kind_of(uri) == "server" else database

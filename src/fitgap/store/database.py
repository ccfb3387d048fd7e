"""Reading runs from the tables of MLflow's database, in a handful of bulk queries.

Only SELECTs on columns that have been the same since MLflow 1.x: MLflow's own client builds its
objects run by run, and importing it takes longer than the whole answer should.
"""

import functools
import json
import math
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, make_url

from fitgap.errors import RequestError, first_line
from fitgap.store import moved_database
from fitgap.store.base import ALLOWED, Histories, StoredRun, in_time, kind_of, number_of, redact
from fitgap.trust.text import line

PAGE = 10_000  # rows per fetch
RUNS_PER_QUERY = 500  # a statement takes a limited number of values; the least is SQLite's 999
LOCK_SECONDS = 30.0  # another process may be writing a run's metrics
SQLITE_HEADER = b"SQLite format 3\x00"


def _table(name: str, columns: str) -> sa.TableClause:
    return sa.table(name, *map(sa.column, columns.split()))


_HEAD = ("run_uuid", "name", "status", "start_time", "end_time", "artifact_uri")
_EXPERIMENTS = _table("experiments", "experiment_id name lifecycle_stage")
_RUNS = _table("runs", f"{' '.join(_HEAD)} experiment_id lifecycle_stage")
_PARAMS = _table("params", "run_uuid key value")
_TAGS = _table("tags", "run_uuid key value")
_METRICS = _table("latest_metrics", "run_uuid key value is_nan timestamp")
_HISTORY = _table("metrics", "run_uuid key value is_nan step timestamp")


def check(uri: str) -> None:
    """Raise `RequestError` unless runs can be written there."""
    if kind_of(uri) == "sqlite":
        _check_writable(_path_of(uri))
    else:
        _check_answer(uri)


def experiments(uri: str) -> dict[str, str]:
    """Return the ids of the experiments that are not deleted, by name."""
    with _connected(uri) as connection:
        if connection is None:
            return {}
        active = _EXPERIMENTS.c.lifecycle_stage == "active"
        columns = sa.select(_EXPERIMENTS.c.name, _EXPERIMENTS.c.experiment_id)
        return {name: str(number) for name, number in connection.execute(columns.where(active))}


def find_runs(
    uri: str, *, experiment: str, statuses: Sequence[str], tags: Mapping[str, str]
) -> list[StoredRun]:
    """Return an experiment's runs, newest first; see `fitgap.store.find_runs`."""
    with _connected(uri) as connection:
        if connection is None:
            return []
        return _read(connection, experiment=experiment, statuses=statuses, tags=tags)


def metric_histories(uri: str, *, run_ids: Sequence[str], keys: Sequence[str]) -> Histories:
    """Return the values by step; see `fitgap.store.metric_histories`."""
    histories: Histories = {run_id: {} for run_id in run_ids}
    with _connected(uri) as connection:
        if connection is None:
            return histories
        for start in range(0, len(run_ids), RUNS_PER_QUERY):
            columns = ("run_uuid", "key", "step", "value", "is_nan")
            statement = (
                sa.select(*(_HISTORY.c[name] for name in columns))
                .where(
                    _HISTORY.c.run_uuid.in_(run_ids[start : start + RUNS_PER_QUERY]),
                    _HISTORY.c.key.in_(keys),
                )
                # A step that was logged twice has the value logged last.
                .order_by(_HISTORY.c.step, _HISTORY.c.timestamp)
            )
            result = connection.execute(statement, execution_options={"yield_per": PAGE})
            for page in result.partitions():
                for run_id, key, step, value, is_nan in page:
                    by_step = histories[run_id].setdefault(key, {})
                    by_step[step] = math.nan if is_nan else number_of(value)
    return histories


def last_metric_times(uri: str, *, run_ids: Sequence[str], key: str) -> dict[str, int]:
    """Return when a metric came last; see `fitgap.store.last_metric_times`."""
    with _connected(uri) as connection:
        if connection is None:
            return {}
        rows = connection.execute(
            sa.select(_METRICS.c.run_uuid, _METRICS.c.timestamp).where(
                _METRICS.c.run_uuid.in_(list(run_ids)), _METRICS.c.key == key
            )
        )
        return {run_id: timestamp for run_id, timestamp in rows}  # noqa: C416 (rows are no tuples)


def _check_answer(uri: str) -> None:
    engine = _engine(uri)

    def ask() -> None:
        with engine.connect() as connection:
            connection.execute(sa.select(1))

    try:
        in_time(ask, what=f"the database {redact(uri)}")
    except sa.exc.SQLAlchemyError as error:
        raise _unusable(uri, error) from error
    finally:
        engine.dispose()


def _engine(uri: str) -> sa.Engine:
    # A pool would keep connections open after the answer was given.
    try:
        if kind_of(uri) == "sqlite":
            path = _path_of(uri)
            return sa.create_engine(
                URL.create("sqlite"), creator=lambda: open_read_only(path), poolclass=sa.NullPool
            )
        return sa.create_engine(make_url(uri), poolclass=sa.NullPool)
    except ModuleNotFoundError as error:
        raise RequestError(
            f"tracking.uri={redact(uri)} needs the Python package {error.name!r}; install it"
        ) from error
    except (sa.exc.ArgumentError, ValueError) as error:
        raise RequestError(f"tracking.uri must be {ALLOWED}, got {redact(uri)!r}") from error


def _unusable(uri: str, error: sa.exc.SQLAlchemyError) -> RequestError:
    cause = first_line(getattr(error, "orig", None) or error)
    return RequestError(f"the database {redact(uri)} cannot be used: {cause}")


@contextmanager
def _connected(uri: str) -> Iterator[Connection | None]:
    """Open a database for reading; None if it does not exist or MLflow never wrote to it."""
    if kind_of(uri) == "sqlite":
        if not _path_of(uri).exists():
            yield None
            return
        moved_database.correct_paths(_path_of(uri).absolute())
    else:
        _check_answer(uri)
    engine = _engine(uri)
    try:
        with engine.connect() as connection:
            yield connection if sa.inspect(connection).has_table("experiments") else None
    except sa.exc.SQLAlchemyError as error:
        raise _unusable(uri, error) from error
    finally:
        engine.dispose()


def _read(
    connection: Connection, *, experiment: str, statuses: Sequence[str], tags: Mapping[str, str]
) -> list[StoredRun]:
    of_experiment = sa.select(_EXPERIMENTS.c.experiment_id).where(
        _EXPERIMENTS.c.name == experiment, _EXPERIMENTS.c.lifecycle_stage == "active"
    )
    conditions = [
        _RUNS.c.experiment_id.in_(of_experiment),
        _RUNS.c.lifecycle_stage == "active",
        _RUNS.c.status.in_(list(statuses)),
    ]
    for key, value in tags.items():
        tagged = sa.select(_TAGS.c.run_uuid).where(_TAGS.c.key == key, _TAGS.c.value == value)
        conditions.append(_RUNS.c.run_uuid.in_(tagged))
    heads = connection.execute(
        sa.select(*(_RUNS.c[name] for name in _HEAD))
        .where(*conditions)
        .order_by(_RUNS.c.start_time.desc(), _RUNS.c.run_uuid)
    ).all()
    if not heads:
        return []
    runs = {
        head.run_uuid: StoredRun(
            run_id=head.run_uuid,
            name=line(head.name or ""),
            status=head.status,
            start_time=head.start_time or 0,
            params={},
            metrics={},
            tags={},
            artifact_uri=head.artifact_uri or "",
            end_time=head.end_time,
        )
        for head in heads
    }
    _fill(runs, connection, chosen=sa.select(_RUNS.c.run_uuid).where(*conditions))
    return list(runs.values())


def _fill(runs: Mapping[str, StoredRun], connection: Connection, *, chosen: sa.Select[Any]) -> None:
    """Give the runs their settings, tags and metrics."""
    shared = _Shared()
    # A run that ends between two of the queries has rows, but no head: it is not part of this.
    for table, texts_of in ((_PARAMS, attrgetter("params")), (_TAGS, attrgetter("tags"))):
        for run_id, keys, values in _texts(connection, table, chosen=chosen):
            if run_id in runs:
                shown = (map(shared.__getitem__, some) for some in (keys, values))
                texts_of(runs[run_id]).update(zip(*shown, strict=True))
    wanted = (_METRICS.c[name] for name in ("run_uuid", "key", "value", "is_nan"))
    statement = sa.select(*wanted).where(_METRICS.c.run_uuid.in_(chosen))
    for run_id, key, value, is_nan in _rows(connection, statement):
        if run_id in runs:
            runs[run_id].metrics[shared[key]] = math.nan if is_nan else number_of(value)


def _texts(
    connection: Connection, table: sa.TableClause, *, chosen: sa.Select[Any]
) -> Iterator[tuple[str, Sequence[str], Sequence[str]]]:
    """Yield runs with keys and their values of a table; a run may come several times."""
    run_id, key, value = table.c.run_uuid, table.c.key, table.c.value
    if connection.dialect.name != "sqlite":
        statement = sa.select(run_id, key, value).where(run_id.in_(chosen))
        yield from ((run, (one,), (text,)) for run, one, text in _rows(connection, statement))
        return
    # A row for each run instead of each text takes less than half the time.
    keys, values = sa.func.json_group_array(key), sa.func.json_group_array(value)
    together = sa.select(run_id, keys, values).where(run_id.in_(chosen)).group_by(run_id)
    parsed = functools.lru_cache(json.loads)  # most runs have the same keys
    for run, some, texts in _rows(connection, together):
        yield run, parsed(some), json.loads(texts)


def _rows(connection: Connection, statement: sa.Select[Any]) -> Iterator[Any]:
    # The driver's own tuples: SQLAlchemy's rows take longer to make than these to read. No
    # `yield_per`, which puts the first of them into a buffer of its own.
    cursor = connection.execute(statement).cursor
    while page := cursor.fetchmany(PAGE):
        yield from page


class _Shared(dict[str, str]):
    """The texts of a record as they may be shown, by the text that was recorded.

    Thousands of runs repeat the same few keys and values: one string object each keeps the whole
    record of a large sweep small.
    """

    def __missing__(self, text: str) -> str:
        shown = self[text] = line(text)
        return shown


def _path_of(uri: str) -> Path:
    """Return the file that an ``sqlite:///`` URI names; a relative one is relative to here."""
    database = make_url(uri).database
    if not database or database == ":memory:" or database.startswith("file:"):
        raise RequestError(f"tracking.uri must name a file, as sqlite:///mlflow.db, got {uri!r}")
    return Path(database)


def _check_writable(path: Path) -> None:
    """Raise `RequestError` unless the file is, or can become, a database to write to."""
    folder = path.parent
    if not folder.is_dir():
        raise RequestError(f"tracking.uri names {path}, but the folder {folder} does not exist")
    # SQLite puts its journal beside the file, so the folder has to be writable even if the
    # file exists.
    if not os.access(folder, os.W_OK | os.X_OK):
        raise RequestError(f"tracking.uri names {path}, but the folder {folder} is not writable")
    if not path.exists():
        return
    _require_database(path)
    if not os.access(path, os.R_OK | os.W_OK):
        raise RequestError(f"tracking.uri names {path}, which is not writable")


def open_read_only(path: Path) -> sqlite3.Connection:
    """Open an existing file for reading only: a wrong path must not leave an empty database.

    Where a writer was killed, the first to read takes back what that one had half written. SQLite
    would not do it for a connection in its mode ``ro``, and could not read either.
    """
    _require_database(path)
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=LOCK_SECONDS, isolation_level=None
    )
    connection.execute("PRAGMA query_only = ON")
    return connection


def _require_database(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(len(SQLITE_HEADER))
    except OSError as error:
        raise RequestError(f"tracking.uri names {path}: {error.strerror}") from error
    # An empty file is what SQLite itself leaves before the first write.
    if start not in (b"", SQLITE_HEADER):
        raise RequestError(f"tracking.uri names {path}, which is not an SQLite database")

"""What is needed before a run can be recorded: the store, the experiment, no dead runs."""

import logging
import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import mlflow
from mlflow.entities import Experiment
from sqlalchemy import Engine, event
from sqlalchemy.engine import make_url

from fitgap import heavy_imports, locks, processes, store
from fitgap.config import project
from fitgap.config.schema import MetricConfig
from fitgap.errors import RequestError
from fitgap.store import moved_database
from fitgap.tag_names import FAILURE_TAG, SWEEP_TAG
from fitgap.tracking import delivery, mlflow_ui, outbox


def prepare(uri: str, experiment: str, *, metrics: Mapping[str, MetricConfig] = {}) -> str:
    """Create the store and the experiment if they do not exist, and return the experiment's id.

    The first use of an empty database migrates its schema, which several processes at once would
    break. A lock lets one of them do it.

    Parameters
    ----------
    uri
        Of the store.
    experiment
        The name of MLflow's experiment.
    metrics
        Of the runs; by the first one, MLflow's page shows a new experiment.
    """
    path = sqlite_path(uri)
    if path is None:
        return delivery.retry_while_away(lambda: _prepared(uri, experiment, metrics), uri=uri)
    lock = path.with_name(path.name + ".lock")
    try:
        lock.touch()
    except OSError as error:
        raise RequestError(
            f"tracking.uri names {path}, which cannot be written: {error}"
        ) from error
    # MLflow tells of the tables it makes in a new database, line by line, and of an error on pages
    # before it raises it.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    # With its first client, MLflow imports all that its database needs.
    with locks.held(lock), heavy_imports.paused_garbage_collection():
        if not path.exists():
            _create_database(path)
        return _prepared(uri, experiment, metrics)


def _create_database(path: Path) -> None:
    """Make MLflow's tables in a file that appears as a whole: a half-made one stays broken."""
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    _try_locks(unfinished)

    def never_wait_for_the_disk(connection: sqlite3.Connection, _record: object) -> None:
        for _, _, file in connection.execute("PRAGMA database_list").fetchall():
            if Path(file).name == unfinished.name:  # not what another thread opens meanwhile
                connection.execute("PRAGMA synchronous = OFF")

    # MLflow makes it in some hundred transactions, of which none has to outlive a crash.
    event.listen(Engine, "connect", never_wait_for_the_disk)
    try:
        mlflow.MlflowClient(f"sqlite:///{unfinished}").get_experiment_by_name("Default")
    finally:
        event.remove(Engine, "connect", never_wait_for_the_disk)
    with unfinished.open("rb+") as file:
        os.fsync(file.fileno())
    unfinished.replace(path)


def _try_locks(path: Path) -> None:
    """Refuse a file system on which SQLite, which nobody else uses here yet, gets no lock."""
    try:
        with closing(sqlite3.connect(path, timeout=1)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            connection.rollback()
    except sqlite3.OperationalError as error:
        path.unlink(missing_ok=True)
        raise RequestError(
            f"{path.parent} is on a file system without the locks that SQLite needs ({error}), "
            "such as some NFS: name a database elsewhere with tracking.uri=sqlite:///PATH"
        ) from error


def _prepared(uri: str, experiment: str, metrics: Mapping[str, MetricConfig]) -> str:
    delivery.deliver_waiting(uri)
    experiment_id = _experiment_id(uri, experiment, metrics)
    end_dead_runs(uri, experiment)
    return experiment_id


def end_dead_runs(
    uri: str, experiment: str, *, dead_host: str | None = None, dead_sweep: str | None = None
) -> None:
    """Mark runs KILLED that say RUNNING while their process is gone.

    A kill that cannot be caught leaves them so. They can still be gone on with. A run of which
    something waits to be sent is left alone: its end may be among it.

    Parameters
    ----------
    uri, experiment
        Where the runs are.
    dead_host
        A host that a person knows to be gone: from here, its processes cannot be looked at.
    dead_sweep
        Run id of a sweep whose workers have all ended.
    """
    waiting = {box.folder.name for box in outbox.waiting(uri)}
    for run in store.find_runs(uri, experiment=experiment, statuses=("RUNNING",)):
        if run.run_id in waiting:
            continue
        on_dead_host = dead_host is not None and run.tags.get(processes.HOST_TAG) == dead_host
        in_dead_sweep = dead_sweep is not None and run.tags.get(SWEEP_TAG) == dead_sweep
        is_declared_dead = in_dead_sweep or (on_dead_host and not processes.can_be_seen(run.tags))
        if is_declared_dead or processes.is_gone(run.tags):
            client = delivery.client_for(uri)
            client.set_tag(run.run_id, FAILURE_TAG, "its process ended without a message")
            client.set_terminated(run.run_id, "KILLED")


def sqlite_path(uri: str) -> Path | None:
    """Return the file of an SQLite store, absolute; None for any other store."""
    url = make_url(uri) if uri.startswith("sqlite") else None
    return Path(url.database).absolute() if url is not None and url.database else None


def _experiment_id(uri: str, name: str, metrics: Mapping[str, MetricConfig]) -> str:
    client = delivery.client_for(uri)
    found = client.get_experiment_by_name(name)
    if found is None or found.lifecycle_stage == "deleted":
        try:
            return _create_or_restore(client, found, uri=uri, name=name, metrics=metrics)
        except mlflow.MlflowException:
            # Of several that use a server first only one gets it done; the others find it there.
            found = client.get_experiment_by_name(name)
            if found is None or found.lifecycle_stage == "deleted":
                raise
    return str(found.experiment_id)


def _create_or_restore(
    client: mlflow.MlflowClient,
    found: Experiment | None,
    *,
    uri: str,
    name: str,
    metrics: Mapping[str, MetricConfig],
) -> str:
    if found is not None:
        client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)
    location = None  # a tracking server knows best
    if store.kind_of(uri) != "server":
        location = (project.record_folder(uri) / moved_database.FOLDER).as_uri()
    tags = dict(mlflow_ui.KIND_TAG)
    if metrics:
        metric, described = next(iter(metrics.items()))
        higher = described.direction == "higher"
        tags[mlflow_ui.VIEW_TAG] = mlflow_ui.view(metric, higher_is_better=higher)
    return str(client.create_experiment(name, artifact_location=location, tags=tags))

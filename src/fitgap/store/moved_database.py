"""A database that was moved to another folder, with its artifacts beside it.

MLflow keeps the places of artifacts as absolute paths. Where the files lie beside the database, and
not where it says, the paths in the database follow them, so that MLflow's own UI and client find
them too and new runs' files land beside it.
"""

import contextlib
import functools
import sqlite3
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

FOLDER = "mlartifacts"  # beside a database that fitgap made
LOOKED_AT = 50  # runs of an experiment, the newest first; one whose files are here tells enough
# Where MLflow keeps a place below an experiment's.
_PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
_LOCK_SECONDS = 30.0


@functools.lru_cache(maxsize=64)
def correct_paths(database: Path) -> None:
    """Correct the paths in a database so that they name the files beside it, if these are its own.

    Parameters
    ----------
    database
        An existing SQLite file, absolute. One that cannot be written stays as it is.
    """
    artifacts = database.with_name(FOLDER)
    if not artifacts.is_dir():
        return
    address = f"{database.as_uri()}?mode=rw"
    with (
        contextlib.suppress(sqlite3.Error),  # no tables yet, or read-only
        contextlib.closing(sqlite3.connect(address, uri=True, timeout=_LOCK_SECONDS)) as connection,
    ):
        for former in _former_places(connection, artifacts):
            with connection:
                for table, column in _PLACES:
                    _replace(connection, table, column, former, artifacts.as_uri())


def _former_places(connection: sqlite3.Connection, artifacts: Path) -> list[str]:
    """Return the places of experiments whose runs' files lie beside the database instead."""
    found = connection.execute("SELECT experiment_id, artifact_location FROM experiments")
    former: list[str] = []
    for number, place in found.fetchall():
        if not str(place).startswith("file:") or place == artifacts.as_uri() or place in former:
            continue
        folder = Path(url2pathname(urlsplit(place).path))
        if folder.name != FOLDER or (folder.exists() and folder.samefile(artifacts)):
            continue
        runs = connection.execute(
            "SELECT run_uuid FROM runs WHERE experiment_id = ? ORDER BY start_time DESC LIMIT ?",
            (number, LOOKED_AT),
        )
        if any((artifacts / run_id).is_dir() for (run_id,) in runs.fetchall()):
            former.append(place)
    return former


def _replace(
    connection: sqlite3.Connection, table: str, column: str, former: str, now: str
) -> None:
    # A database of an earlier MLflow lacks some of the tables.
    with contextlib.suppress(sqlite3.OperationalError):
        connection.execute(
            f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608 (own names)
            f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
            (now, len(former) + 1, former, len(former) + 1, f"{former}/"),
        )

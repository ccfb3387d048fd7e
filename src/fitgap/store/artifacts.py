"""The files of a run: where they are on this machine, or fetched from elsewhere."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fitgap.errors import RequestError, first_line
from fitgap.store.base import StoredRun


def local_folder(artifact_uri: str) -> Path | None:
    """Return the folder of a run's files, or None if they are not in the file system."""
    try:
        parts = urlsplit(artifact_uri)
    except ValueError:  # whoever fetches from there says what is wrong
        return None
    return Path(unquote(parts.path)) if parts.scheme in ("", "file") else None


@contextmanager
def local_file(run: StoredRun, name: str, *, uri: str) -> Iterator[Path]:
    """Give the path of a run's file; one that lies elsewhere is fetched until the block is left.

    MLflow is imported only then, since that takes seconds.

    Parameters
    ----------
    run
        Of the record.
    name
        Of the file; one in the file system may be absent.
    uri
        Of the record.

    Raises
    ------
    RequestError
        If the file cannot be fetched, or is a pipe, a device or a folder.
    """
    if (folder := local_folder(run.artifact_uri)) is not None:
        path = folder / name
        if path.exists() and not path.is_file():  # a pipe would be waited for, a device never ends
            raise RequestError(f"{name} of run {run.run_id} is no file")
        yield path
        return
    from mlflow.artifacts import download_artifacts

    address = f"{run.artifact_uri.rstrip('/')}/{name}"
    with tempfile.TemporaryDirectory(prefix="fitgap-") as fetched:
        try:
            path = download_artifacts(artifact_uri=address, dst_path=fetched, tracking_uri=uri)
        except Exception as error:  # the record names the place, and each kind of it has its errors
            reason = first_line(error)
            raise RequestError(f"{name} of run {run.run_id} cannot be fetched: {reason}") from error
        yield Path(path)

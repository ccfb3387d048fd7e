"""Where an interrupted run continues: its claim, and its state after the last whole epoch.

Both lie beside the store, under a name made of store, experiment and identity. The claim is a
lock of the operating system, which the death of its holder releases, however it died. The
checkpoint is one file of arrays, replaced as a whole, so it is never half written.
"""

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from fitgap import locks
from fitgap.config import project
from fitgap.console import say
from fitgap.trust import archives

# How NumPy says that a file is not, or no longer, an archive of arrays.
_DAMAGED = (
    ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError, RecursionError,
    NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def path_for(identity: str, *, uri: str, experiment: str) -> Path:
    """Return the path, without suffix, that a run's claim and checkpoint share.

    Parameters
    ----------
    identity
        SHA-256 of the experiment, in hex digits.
    uri
        Of the store.
    experiment
        MLflow's experiment.
    """
    place = hashlib.sha256(f"{uri} {experiment}".encode()).hexdigest()
    return project.record_folder(uri) / ".fitgap" / "runs" / f"{identity[:32]}-{place[:8]}"


@contextmanager
def claim(path: Path) -> Iterator[None]:
    """Hold the claim to train a run, waiting while another process holds it.

    Raises
    ------
    RequestError
        If its folder cannot be written, or has no locks.
    """
    with locks.held(path.with_suffix(".lock")):
        yield


@dataclass(frozen=True)
class Checkpoint:
    """All that the rest of a training depends on.

    Attributes
    ----------
    epochs
        The figures so far, as plain dicts.
    state
        The engine's arrays: weights, optimizer, random states.
    callbacks
        Per callback, its attributes that are plain values or lists of arrays.
    stopped
        Whether a callback had asked to stop.
    """

    epochs: Sequence[Mapping[str, Any]]
    state: Sequence[NDArray[Any]]
    callbacks: Sequence[Mapping[str, Any]]
    stopped: bool


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint in the place of the one before it.

    Parameters
    ----------
    path
        From `path_for`.
    checkpoint
        Its arrays go in as they are, all else as JSON.
    """
    arrays = {f"state.{i}": array for i, array in enumerate(checkpoint.state)}
    callbacks: list[dict[str, Any]] = []
    for i, attributes in enumerate(checkpoint.callbacks):
        plain = {}
        for name, value in attributes.items():
            if isinstance(value, list) and value and isinstance(value[0], np.ndarray):
                arrays |= {f"callback.{i}.{name}.{j}": array for j, array in enumerate(value)}
            else:
                plain[name] = value
        callbacks.append(plain)
    about = {"epochs": checkpoint.epochs, "callbacks": callbacks, "stopped": checkpoint.stopped}
    # In memory first: the archive's many small writes cost more than the arrays.
    archive = io.BytesIO()
    np.savez(archive, allow_pickle=False, about=np.array(json.dumps(about)), **arrays)
    path.parent.mkdir(parents=True, exist_ok=True)  # somebody may have removed it meanwhile
    unfinished = path.with_suffix(".part")
    # A link in its place, which an archive of a store can bring along, would be written through.
    unfinished.unlink(missing_ok=True)
    with unfinished.open("xb") as file:
        # Not `getbuffer`: if the disk is full, the error would keep a view of it open.
        file.write(archive.getvalue())
    unfinished.replace(path.with_suffix(".npz"))


def load(path: Path) -> Checkpoint | None:
    """Read a checkpoint, or return None where there is none that can be read.

    A power cut can damage a file that was replaced as a whole; the training then starts again.
    """
    file = path.with_suffix(".npz")
    try:
        with _opened(file) as opened:
            return _checkpoint(archives.read_arrays(opened))
    except FileNotFoundError:
        return None
    except _DAMAGED as error:
        say(f"{file} is damaged ({error}); the training starts again")
        return None


def _opened(file: Path) -> IO[bytes]:
    """Open a checkpoint; a pipe in its place would be waited for, a device read for ever."""
    if file.exists() and not file.is_file():
        raise ValueError("it is no file")
    return file.open("rb")


def _checkpoint(arrays: dict[str, NDArray[Any]]) -> Checkpoint:
    """Return the checkpoint that an archive's arrays make; raise one of `_DAMAGED` if none."""
    about = _about(arrays.pop("about"))
    state = []
    for key, array in arrays.items():  # in the order they were written
        if key.startswith("state."):
            state.append(array)
        else:
            _, i, rest = key.split(".", maxsplit=2)
            name = rest.rpartition(".")[0]
            about["callbacks"][int(i)].setdefault(name, []).append(array)
    return Checkpoint(about["epochs"], state, about["callbacks"], about["stopped"])


def _about(array: NDArray[Any]) -> dict[str, Any]:
    if array.dtype.kind != "U" or array.ndim:
        raise ValueError("its description is no text")
    about = json.loads(str(array))
    are_lists = all(
        isinstance(about[key], list) and all(isinstance(item, dict) for item in about[key])
        for key in ("epochs", "callbacks")
    )
    are_lists = are_lists and all(
        isinstance(epoch.get(part) or {}, dict)
        for epoch in about["epochs"]
        for part in ("train", "val")
    )
    if not are_lists or not isinstance(about["stopped"], bool):
        raise ValueError("its description is of another form")
    return cast("dict[str, Any]", about)


def epochs_done(path: Path) -> int:
    """Return how many epochs a checkpoint holds; 0 where there is none that can be read."""
    return len(_epochs(path))


def last_epoch(path: Path) -> tuple[int, dict[str, float], dict[str, float]] | None:
    """Return number, training and validation figures of a checkpoint's last epoch.

    Its arrays are not read. None where there is no checkpoint that can be read.
    """
    epochs = _epochs(path)
    if not epochs:
        return None
    train, val = (dict(epochs[-1].get(part) or {}) for part in ("train", "val"))
    return len(epochs), train, val


def _epochs(path: Path) -> list[Mapping[str, Any]]:
    try:
        with _opened(path.with_suffix(".npz")) as opened:
            about = _about(archives.read_arrays(opened, only="about")["about"])
    except (FileNotFoundError, *_DAMAGED):
        return []
    epochs: list[Mapping[str, Any]] = about["epochs"]
    return epochs


def remove(path: Path) -> None:
    """Remove the checkpoint of a run that has ended, and what a kill left of writing one."""
    path.with_suffix(".npz").unlink(missing_ok=True)
    path.with_suffix(".part").unlink(missing_ok=True)

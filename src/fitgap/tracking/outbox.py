"""What could not be sent to a tracking server, kept on disk in order until it can be.

One folder per run: an operation is a numbered JSON file, its files a folder of the same number
beside it. Each appears as a whole, by renaming. A lock tells whether some process still has the
run in its hands; its death releases it. Nothing here knows MLflow; `fitgap.tracking.delivery` does.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fitgap import locks
from fitgap.config import project


@dataclass(frozen=True)
class Operation:
    """One thing to record of a run, such that doing it twice has the effect of doing it once.

    Attributes
    ----------
    kind
        See `fitgap.tracking.delivery`.
    content
        As JSON would have it.
    files
        A folder whose files belong to it, or None.
    """

    kind: str
    content: Mapping[str, Any]
    files: Path | None = None


class Outbox:
    """The operations of one run that wait, oldest first.

    Parameters
    ----------
    folder
        From `folder_for`; made when something has to wait.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = locks.lock_of(folder / "lock")

    def __len__(self) -> int:
        return len(self._documents())

    def __iter__(self) -> Iterator[tuple[Path, Operation]]:
        for path in self._documents():
            document = json.loads(path.read_text(encoding="utf-8"))
            files = path.with_suffix(".files")
            yield (
                path,
                Operation(document["kind"], document["content"], files if files.exists() else None),
            )

    def append(self, operation: Operation) -> None:
        """Keep an operation, and copies of its files, behind those that wait."""
        self.folder.mkdir(parents=True, exist_ok=True)
        documents = self._documents()
        number = int(documents[-1].stem) + 1 if documents else 1
        path = self.folder / f"{number:06}.json"
        if operation.files is not None:
            unfinished = path.with_suffix(".part")
            shutil.rmtree(unfinished, ignore_errors=True)
            shutil.copytree(operation.files, unfinished)
            unfinished.replace(path.with_suffix(".files"))
        # The document last: an operation without its files never appears.
        unfinished = path.with_suffix(".new")
        unfinished.write_text(json.dumps({"kind": operation.kind, "content": operation.content}))
        unfinished.replace(path)

    def remove(self, path: Path) -> None:
        """Forget an operation that was delivered, and the folder with the last of them."""
        path.unlink()
        shutil.rmtree(path.with_suffix(".files"), ignore_errors=True)
        if not self._documents():
            shutil.rmtree(self.folder, ignore_errors=True)

    def _documents(self) -> list[Path]:
        return sorted(self.folder.glob("*.json"))


def folder_for(uri: str) -> Path:
    """Return the folder of all that waits for a store."""
    place = hashlib.sha256(uri.rstrip("/").encode()).hexdigest()[:16]
    return project.state_folder() / "outbox" / place


def waiting(uri: str) -> list[Outbox]:
    """Return what waits for a store, by run; each one's folder has the run's id for a name."""
    return [
        Outbox(folder)
        for folder in sorted(folder_for(uri).glob("*"))
        if folder.is_dir() and folder.suffix == "" and any(folder.glob("*.json"))
    ]

"""Which module reads a dataset, and the state of its files, as a key."""

import hashlib
import importlib.metadata
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from fitgap.config import own_code
from fitgap.config.schema import DatasetConfig, FunctionConfig, OwnConfig
from fitgap.data import (
    array_values,
    arrays,
    function,
    idx,
    image_folder,
    images,
    mat,
    npz,
    published,
    table,
    table_file,
    texts,
)
from fitgap.errors import RequestError

_READERS: dict[str, Any] = {
    "csv": table,
    "function": function,
    "idx": idx,
    "image_folder": image_folder,
    "mat": mat,
    "npz": npz,
    "table": table,
    "texts": texts,
}


# The modules that read a dataset, one for each kind.
READERS = tuple(module.__name__ for module in (*_READERS.values(), published))


def reader(config: DatasetConfig) -> ModuleType:
    """Return the module that reads a dataset."""
    found: ModuleType = _READERS.get(config.name, published)
    return found


def settings_as_json(config: DatasetConfig) -> str:
    """Return the settings that decide what is loaded, as JSON."""
    return json.dumps(asdict(replace(config, allow_duplicates=False)), sort_keys=True)


def cache_key(config: OwnConfig) -> str:
    """Return what stands for the arrays that a reader makes, before any is held out."""
    as_read = replace(config, classes=None, test_fraction=0.0, test_seed=0)
    digest = hashlib.sha256(f"{file_stats(as_read)}".encode())
    for module in (array_values, arrays, images, table_file, _READERS[config.name]):
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()


def fingerprint(config: DatasetConfig) -> str | None:
    """Return a cheap key that changes when the source's files change, or None without a file.

    Path, size and modification time stand for the bytes, as they do for git and make, so that
    an unchanged dataset's digest need not be computed again.
    """
    if isinstance(config, FunctionConfig):
        return None  # the same code may return other values
    if config.name == "digits":
        published.data_dir(config)  # one that does not exist is a mistake here too
        return f"{settings_as_json(config)} {importlib.metadata.version('scikit-learn')}"
    return file_stats(config)


def file_stats(config: DatasetConfig) -> str | None:
    """Return path, size and time of each file of a dataset, with its settings; None without any."""
    if isinstance(config, FunctionConfig):
        code = own_code.code_of([str(config.function["_target_"])])
        return f"{settings_as_json(config)} {code.fingerprints} {code.data_files}"
    if isinstance(config, OwnConfig):
        # Images are decoded by Pillow, into a file that is kept.
        version = importlib.metadata.version("pillow")
        found: Sequence[Path] | None = _READERS[config.name].files(config)
        if config.path == str(found[0] if found else "") and Path(config.path).stat().st_size == 0:
            raise RequestError(f"dataset.path={config.path} is an empty file: it has 0 bytes")
    else:
        version = ""
        found = published.find(config.name, published.data_dir(config))
    if found is None:
        return None
    try:
        # A broken link has no file: it is told when it is read.
        at = [(path, path.stat() if path.exists() else path.lstat()) for path in found]
    except OSError as error:
        raise RequestError(f"{error.filename} was removed while it was read") from error
    stats = [(str(path), stat.st_size, stat.st_mtime_ns) for path, stat in at]
    return f"{settings_as_json(config)} {version} {stats}"

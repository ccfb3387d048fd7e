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
from fitgap.config.schema import DatasetConfig, FunctionConfig, ImageFolderConfig, OwnConfig
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
    regular_files,
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


BY_ENDING = {
    **dict.fromkeys((".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet", ".pq"), "table"),
    **dict.fromkeys((".npz", ".npy"), "npz"),
    ".mat": "mat",
    ".zip": "image_folder",
}
# The modules that read a dataset, one for each kind.
READERS = tuple(module.__name__ for module in (*_READERS.values(), published))


def reader(config: DatasetConfig) -> ModuleType:
    """Return the module that reads a dataset."""
    found: ModuleType = _READERS.get(config.name, published)
    return found


def name_for(path: Path) -> str | None:
    """Return the name of the dataset that reads a path, by its ending or what is in its folder."""
    if not path.is_dir():
        endings = "".join(path.suffixes[-2:]).lower(), path.suffix.lower()
        return next((BY_ENDING[ending] for ending in endings if ending in BY_ENDING), None)
    if any(path.glob("*idx[1-4]-ubyte*")):
        return "idx"
    if any(path.glob("*.npy")):
        return "npz"
    texts = (*path.glob("*/*.txt"), *path.glob("*/*/*.txt"))
    are_images = any(file.suffix.lower() in images.SUFFIXES for file in path.glob("*/*"))
    return "texts" if texts and not are_images else "image_folder"


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
        found: Sequence[Path] | None = _files(config)
    else:
        version = ""
        found = published.find(config.name, published.data_dir(config))
    if found is None:
        return None
    for path in found:
        regular_files.refuse_others(path)
    try:
        # A broken link has no file: it is told when it is read.
        at = [(path, path.stat() if path.exists() else path.lstat()) for path in found]
    except OSError as error:
        raise RequestError(f"{error.filename} was removed while it was read") from error
    # Of a folder of images, all that cannot be read are listed together.
    lists_them = isinstance(config, ImageFolderConfig) and Path(config.path).expanduser().is_dir()
    empty = [path for path, stat in at if stat.st_size == 0 and not lists_them]
    if empty:
        raise RequestError(f"{empty[0]} is an empty file: it has 0 bytes")
    stats = [(str(path), stat.st_size, stat.st_mtime_ns) for path, stat in at]
    return f"{settings_as_json(config)} {version} {stats}"


def _files(config: OwnConfig) -> Sequence[Path]:
    """Return the files of a dataset; where they are none of it, say which reader takes them."""
    path = Path(config.path).expanduser()
    regular_files.refuse_others(path)
    try:
        found: Sequence[Path] = _READERS[config.name].files(config)
    except RequestError as error:
        name = name_for(path) if path.exists() else None
        if name is None or _READERS[name] is _READERS[config.name]:
            raise
        raise RequestError(f"{error}; did you mean dataset={name}?") from error
    return found

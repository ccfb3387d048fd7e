"""IDX files, such as MNIST's: a folder of images and labels, with or without gzip."""

import gzip
import math
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitgap.config.schema import IdxConfig
from fitgap.data import array_values, arrays, zip_bombs
from fitgap.data.parts import Parts, SplitColumns
from fitgap.errors import RequestError, about

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MOST_SIZES = 8  # of an array; a message names all of them
_PARTS = {"train": ("train",), "val": ("val", "dev"), "test": ("test", "t10k")}
_KINDS = {"x": ("image", "data", "feature"), "y": ("label", "target", "class")}
_FILE = re.compile(r"(-idx\d|\.idx\d?-?|\bidx\d)|ubyte", re.IGNORECASE)


def files(config: IdxConfig) -> list[Path]:
    """Return the folder's IDX files, sorted by name."""
    return list(_find(config).values())


def read(config: IdxConfig, *, memory_limit: int | None, key: str, columns: SplitColumns) -> Parts:
    """Read the parts of a dataset from IDX files.

    Parameters
    ----------
    config
        ``path``, ``keys`` and ``layout``.
    memory_limit, key, columns
        See `fitgap.data.arrays.to_parts`.

    Raises
    ------
    RequestError
        If the folder has no such files, one is damaged, or one of a pair is missing.
    """
    found = {}
    for role, path in _find(config).items():
        try:
            found[role] = array_values.stored(read_idx(path))
        except (ValueError, OSError, EOFError, struct.error, zlib.error) as error:
            raise RequestError(f"dataset=idx: {path} cannot be read: {error}") from error
    with about(f"dataset.path={config.path}"):
        return arrays.to_parts(found, config, memory_limit=memory_limit, key=key, columns=columns)


def read_idx(path: Path) -> NDArray[Any]:
    """Return the array of an IDX file: magic (0, 0, type, rank), the sizes, the values.

    Raises
    ------
    ValueError, struct.error, zlib.error, OSError
        If it is no such file, or a packed one would unpack to an absurd size.
    """
    with path.open("rb") as raw:
        is_packed = raw.read(2) == b"\x1f\x8b"
    with gzip.open(path) if is_packed else path.open("rb") as file:
        zeros, element_type, rank = struct.unpack(">HBB", file.read(4))
        if zeros != 0 or element_type not in _TYPES:
            raise ValueError("not an IDX file")
        if rank > MOST_SIZES:
            raise ValueError(f"it has {rank} sizes, more than {MOST_SIZES}")
        sizes = struct.unpack(f">{rank}I", file.read(4 * rank))
        dtype = np.dtype(_TYPES[element_type])
        promised = math.prod(sizes) * dtype.itemsize
        if is_packed:
            zip_bombs.refuse(path, promised)
        # No more is asked for than there is: memory is taken for what is asked for.
        content = file.read(promised + 1 if is_packed else min(promised + 1, path.stat().st_size))
    if len(content) != promised:
        than = "more than" if len(content) > promised else f"only {len(content)} of"
        raise ValueError(f"it holds {than} the {promised} bytes that its sizes {sizes} need")
    values = np.frombuffer(content, dtype).reshape(sizes)
    return values.astype(dtype.newbyteorder("="))


def _find(config: IdxConfig) -> dict[str, Path]:
    folder = Path(config.path).expanduser()
    if not folder.is_dir():
        raise RequestError(f"dataset.path must be an existing folder of IDX files, got {folder}")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if not path.is_file() or not _FILE.search(path.name) or path.name.startswith("."):
            continue
        name = path.name.lower()
        parts = [part for part, words in _PARTS.items() if any(w in name for w in words)]
        kinds = [kind for kind, words in _KINDS.items() if any(w in name for w in words)]
        if len(parts) > 1 or len(kinds) != 1:
            raise RequestError(
                f"dataset.path={config.path}: {path.name} must say in its name whether it holds "
                "images or labels, such as train-images-idx3-ubyte"
            )
        role = f"{kinds[0]}_{parts[0] if parts else 'train'}"
        if role in found:
            # Packed and unpacked, side by side.
            if path.name == f"{found[role].name}.gz":
                continue
            raise RequestError(
                f"dataset.path={config.path}: {found[role].name} and {path.name} are both {role}"
            )
        found[role] = path
    if not found:
        raise RequestError(
            f"dataset.path={config.path} has no IDX files, such as train-images-idx3-ubyte.gz"
        )
    return found

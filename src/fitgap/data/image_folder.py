"""Images of one's own: a folder per class, or ``train/`` and ``test/`` with such folders.

Folders are named after their classes, in any language. The images are decoded once, into a file
of the cache; who changes a file, adds one or asks for another size has them decoded anew.
"""

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fitgap.config.schema import ImageFolderConfig
from fitgap.data import disk_arrays
from fitgap.data.disk_arrays import Images
from fitgap.data.images import SUFFIXES, read_image
from fitgap.data.labels import Part, Parts, SplitColumns
from fitgap.errors import RequestError

# What systems leave in folders unasked, besides hidden files.
_LITTER = ("Thumbs.db", "desktop.ini")
# What others call a part that is split off here.
_VALIDATION = {"val", "valid", "validation", "dev"}
_MOST_NAMED = 5


@dataclass(frozen=True)
class _Found:
    """The images of one part: their files, classes and what messages call them."""

    paths: list[Path]
    labels: list[str]
    names: list[str]


class UnreadableImagesError(RequestError):
    """Some images cannot be read.

    Attributes
    ----------
    reasons
        One line for each.
    """

    def __init__(self, folder: str, reasons: list[str], *, total: int) -> None:
        self.reasons = reasons
        named = "; ".join(reasons[:_MOST_NAMED])
        more = f"; and {len(reasons) - _MOST_NAMED} more" if len(reasons) > _MOST_NAMED else ""
        super().__init__(
            f"dataset.path={folder}: {len(reasons)} of {total} images cannot be read: {named}{more}"
        )


def files(config: ImageFolderConfig) -> list[Path]:
    """Return all images of all parts, in order.

    Raises
    ------
    RequestError
        If the folder does not exist or is laid out otherwise.
    """
    return [path for part in _find(config) for path in part.paths]


def read(
    config: ImageFolderConfig, *, memory_limit: int | None, key: str, columns: SplitColumns
) -> Parts:
    """Read training part and test part, keeping them on disk where they exceed the memory limit.

    Parameters
    ----------
    config
        Folder, size and channels.
    memory_limit
        In bytes, for all images together; None: no limit.
    key
        Of the files' contents and the settings, for the name in the cache.

    Raises
    ------
    RequestError
        If the folder is laid out otherwise, or images cannot be read.
    """
    columns.refuse("a folder of images has no columns")
    found = _find(config)
    shape = (*config.image_size, *([3] if config.channels == 3 else []))
    paths = [path for part in found for path in part.paths]
    images = _decoded(config, paths, shape, key, memory_limit)
    parts = []
    first = 0
    for part, labels_name in zip(found, ("train", "test"), strict=False):
        rows = np.arange(first, first + len(part.paths))
        x = disk_arrays.select(images, rows) if len(found) > 1 else images
        parts.append(Part(x, np.array(part.labels), labels_name, part.names))
        first += len(part.paths)
    return Parts(parts[0], parts[1] if len(parts) > 1 else None)


def _decoded(
    config: ImageFolderConfig,
    paths: list[Path],
    shape: tuple[int, ...],
    key: str,
    memory_limit: int | None,
) -> Images:
    total = len(paths) * int(np.prod(shape))
    fits = memory_limit is None or total <= memory_limit
    path = disk_arrays.cache_file(f"{key}.npy")
    if not path.is_file():
        whole_shape, uint8 = (len(paths), *shape), np.dtype(np.uint8)
        try:
            disk_arrays.write(path, _decode(config, paths, shape), shape=whole_shape, dtype=uint8)
        except OSError as error:
            if not fits:
                raise RequestError(
                    f"dataset.path={config.path}: {total / 2**20:.0f} MB of images exceed "
                    f"training.memory_limit_mb, and {path.parent} cannot be written: "
                    f"{error.strerror}"
                ) from error
            # A read-only checkout decodes them each time.
            return np.stack(list(_decode(config, paths, shape)))
    return disk_arrays.read(path, into_memory=fits)


def _decode(
    config: ImageFolderConfig, paths: list[Path], shape: tuple[int, ...]
) -> Iterator[NDArray[np.uint8]]:
    """Read all images; those that cannot be read are told together, at the end."""
    folder = Path(config.path).expanduser()
    reasons = []
    for path in paths:
        try:
            yield read_image(path, shape=shape)
        except RequestError as error:
            reasons.append(str(error).replace(str(path), path.relative_to(folder).as_posix()))
    if reasons:
        raise UnreadableImagesError(config.path, reasons, total=len(paths))


def _find(config: ImageFolderConfig) -> list[_Found]:
    folder = Path(config.path).expanduser()
    if not folder.is_dir():
        raise RequestError(f"dataset.path must be an existing folder, got {config.path}")
    try:
        top, beside = _entries(folder)
        if {entry.name for entry in top} in ({"train"}, {"train", "test"}):
            parts = sorted((Path(entry.path) for entry in top), reverse=True)
            return [_find_part(part, folder) for part in parts]
        others = {entry.name for entry in top} - {"train", "test"}
        if len(others) < len(top) and others <= _VALIDATION:
            raise RequestError(
                "its parts must be train/ and, if there is one, test/; a validation part is split "
                f"off the training part (split.*). Got {', '.join(e.name + '/' for e in top)}"
            )
        return [_find_part(folder, folder, entries=(top, beside))]
    except OSError as error:
        raise RequestError(f"dataset.path={config.path}: {error}") from error
    except RequestError as error:
        raise RequestError(f"dataset.path={config.path}: {error}") from error


Entries = tuple[list["os.DirEntry[str]"], list["os.DirEntry[str]"]]


def _find_part(part: Path, folder: Path, *, entries: Entries | None = None) -> _Found:
    classes, beside = entries or _entries(part)
    place = "" if part == folder else f" in {part.name}/"
    if beside:
        raise RequestError(
            f"{_relative(beside[0], folder)} lies beside the folders; "
            "every image must be in the folder of its class"
        )
    if len(classes) < (1 if part.name == "test" and part != folder else 2):
        got = f"only {classes[0].name!r}" if classes else "none"
        raise RequestError(f"there must be a folder for each of two or more classes{place}, {got}")
    found = _Found([], [], [])
    for entry in classes:
        folders, images = _entries(Path(entry.path))
        if folders:
            raise RequestError(f"{_relative(folders[0], folder)} is a folder within a class")
        if not images:
            raise RequestError(f"the folder {_relative(entry, folder)} of a class is empty")
        for image in images:
            name = _relative(image, folder)
            if not name.lower().endswith(SUFFIXES):
                raise RequestError(f"{name} is no image ({', '.join(SUFFIXES)})")
            found.paths.append(Path(image.path))
            # Some systems take accents apart in file names: train/ and test/ must still agree.
            found.labels.append(unicodedata.normalize("NFC", entry.name))
            found.names.append(name)
    return found


def _entries(folder: Path) -> Entries:
    """Return the folders and the files of a folder by name, without hidden ones and litter."""
    with os.scandir(folder) as scanned:
        shown = [e for e in scanned if not e.name.startswith(".") and e.name not in _LITTER]
    ordered = sorted(shown, key=lambda entry: entry.name)
    return [e for e in ordered if e.is_dir()], [e for e in ordered if not e.is_dir()]


def _relative(entry: "os.DirEntry[str]", folder: Path) -> str:
    return Path(entry.path).relative_to(folder).as_posix()

"""Images of one's own: a folder per class, or ``train/``, ``val/``, ``test/`` with such folders.

Folders are named after their classes, in any language. Images that lie in one folder have their
classes in a table beside them, ``metadata.csv``. The images are decoded once, into a file
of the cache; who changes a file, adds one or asks for another size has them decoded anew.
"""

import hashlib
import os
import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitgap.config.schema import ImageFolderConfig
from fitgap.data import disk_arrays, image_table, zipped
from fitgap.data.disk_arrays import Images
from fitgap.data.images import SUFFIXES, brightest, read_image
from fitgap.data.labels import Part, Parts, SplitColumns
from fitgap.data.times import as_times
from fitgap.errors import RequestError

# What systems leave in folders unasked, besides hidden files; and what people write about images.
_LITTER = {"thumbs.db", "desktop.ini", "__macosx", "@eadir", "lost+found", "$recycle.bin"}
_ABOUT = {"readme", "license", "licence", "copying", "copyright", "notice", "attribution"}
_ABOUT |= {"authors", "credits", "changelog", "metadata"}
_PARTS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
# A column that every folder of images has: a file's name up to the first of these.
_PREFIX, _PREFIX_ENDS = "prefix", re.compile(r"[_\-. ]")
_MOST_NAMED = 5


@dataclass(frozen=True)
class _Found:
    """The images of one part: their files, classes and what messages call them.

    ``rows`` are those of the table beside the images, one for each image, empty without one;
    ``tables`` is its file.
    """

    paths: list[Path] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    rows: list[image_table.Row] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)

    def without(self, broken: Collection[Path]) -> "_Found":
        """Return the same without some images."""
        kept = [i for i, path in enumerate(self.paths) if path not in broken]
        return _Found(
            [self.paths[i] for i in kept],
            [self.labels[i] for i in kept],
            [self.names[i] for i in kept],
            self.ignored,
            [self.rows[i] for i in kept],
            self.tables,
        )

    def column(self, name: str, setting: str) -> list[str]:
        """Return a column of the table beside the images, or the beginnings of files' names."""
        if all(name in row for row in self.rows):
            return [row[name] for row in self.rows]
        if name == _PREFIX:
            return [_PREFIX_ENDS.split(path.name)[0] for path in self.paths]
        columns = ", ".join(self.rows[0]) if self.rows and self.rows[0] else "no table"
        raise RequestError(
            f"split.{setting}={name}: the images have {columns}; a file {image_table.NAME} beside "
            f"them can have the columns file_name and {name}, and split.{setting}={_PREFIX} takes "
            "what stands in the files' names before the first _, - or space"
        )


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
            f"dataset.path={folder}: {len(reasons)} of {total} images cannot be read: "
            f"{named}{more}\n"
            "Mend or remove them, or leave them out with dataset.skip_unreadable=true"
        )


def files(config: ImageFolderConfig) -> list[Path]:
    """Return all images of all parts, in order, and the tables that say their classes.

    Raises
    ------
    RequestError
        If the folder does not exist or is laid out otherwise.
    """
    if zipped.is_zip(config.path):
        return [Path(config.path).expanduser()]
    return [path for part in _find(config).values() for path in (*part.paths, *part.tables)]


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
    found = _find(config)
    shape = (*config.image_size, *([3] if config.channels == 3 else []))
    notes = []
    ignored = sorted({name for part in found.values() for name in part.ignored})
    if ignored:
        shown = ", ".join(ignored[:_MOST_NAMED]) + (", ..." if len(ignored) > _MOST_NAMED else "")
        notes.append(f"ignored, since they are no images: {len(ignored)} files ({shown})")
    if config.skip_unreadable:
        found, said = _readable(config, found, shape)
        notes += said
    paths = [path for part in found.values() for path in part.paths]
    images = _decoded(config, paths, shape, key, memory_limit)
    numbers = {part: len(each.paths) for part, each in found.items()}
    first_of_test = len(paths) - numbers.get("test", 0)
    train = [found[part] for part in ("train", "val") if part in found]
    whole = Part(
        disk_arrays.select(images, np.arange(first_of_test)) if "test" in found else images,
        np.array([label for part in train for label in part.labels]),
        "train",
        [name for part in train for name in part.names],
        is_val=np.arange(first_of_test) >= numbers["train"] if "val" in found else None,
        **_split_columns(train, columns),
    )
    if "test" not in found:
        return Parts(whole, None, tuple(notes))
    part = found["test"]
    x_test = disk_arrays.select(images, np.arange(first_of_test, len(paths)))
    columns_of_test = _split_columns([part], columns)
    test = Part(x_test, np.array(part.labels), "test", part.names, **columns_of_test)
    return Parts(whole, test, tuple(notes))


def _split_columns(parts: Sequence[_Found], columns: SplitColumns) -> dict[str, Any]:
    groups, order = (
        np.array([value for part in parts for value in part.column(name, setting)])
        if name is not None
        else None
        for setting, name in (("group", columns.group), ("order", columns.order))
    )
    assert columns.order is not None or order is None
    times = None if order is None else as_times(str(columns.order), order)
    return {"groups": groups, "order": times}


def _readable(
    config: ImageFolderConfig, found: dict[str, _Found], shape: tuple[int, ...]
) -> tuple[dict[str, _Found], list[str]]:
    """Leave out the images that cannot be read, and say which."""
    folder = _root(config)
    broken = {}
    for part in found.values():
        for path in part.paths:
            try:
                read_image(path, shape=shape, bits=config.bits)
            except RequestError as error:
                broken[path] = str(error).replace(str(path), path.relative_to(folder).as_posix())
    if not broken:
        return found, []
    kept = {name: part.without(broken.keys()) for name, part in found.items()}
    if lost := sorted({*found["train"].labels} - {*kept["train"].labels}):
        raise RequestError(f"dataset.path={config.path}: no image of {lost[0]!r} can be read")
    total = sum(len(part.paths) for part in found.values())
    shown = "; ".join(list(broken.values())[:_MOST_NAMED])
    said = f"left out: {len(broken)} of {total} images, which cannot be read: {shown}"
    return kept, [said]


def _decoded(
    config: ImageFolderConfig,
    paths: list[Path],
    shape: tuple[int, ...],
    key: str,
    memory_limit: int | None,
) -> Images:
    total = len(paths) * int(np.prod(shape))
    fits = memory_limit is None or total <= memory_limit
    names = hashlib.sha256("".join(map(str, paths)).encode()).hexdigest()[:16]
    path = disk_arrays.cache_file(f"{key}{f'-{names}' if config.skip_unreadable else ''}.npy")
    if not path.is_file():
        _check_bits(config, paths)
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


def _check_bits(config: ImageFolderConfig, paths: list[Path]) -> None:
    """Ask for ``dataset.bits`` where images of 16 bits leave the upper ones unused."""
    if config.bits is not None or not paths or brightest(paths[0]) is None:
        return
    most = max(value for path in paths if (value := brightest(path)) is not None)
    if most < 2**14:
        used = next(bits for bits in (8, 10, 12, 14) if most < 2**bits)
        raise RequestError(
            f"dataset.path={config.path}: the images of 16 bits have no value above {most}: say "
            f"how many bits they use (dataset.bits={used}), or that they are dark (dataset.bits=16)"
        )


def _decode(
    config: ImageFolderConfig, paths: list[Path], shape: tuple[int, ...]
) -> Iterator[NDArray[np.uint8]]:
    """Read all images; those that cannot be read are told together, at the end."""
    folder = _root(config)
    reasons = []
    for path in paths:
        try:
            yield read_image(path, shape=shape, bits=config.bits)
        except RequestError as error:
            reasons.append(str(error).replace(str(path), path.relative_to(folder).as_posix()))
    if reasons:
        raise UnreadableImagesError(config.path, reasons, total=len(paths))


def _root(config: ImageFolderConfig) -> Path:
    """Return the folder: of an archive its files', and the inner one where one wraps all."""
    folder = Path(config.path).expanduser()
    if zipped.is_zip(config.path):
        folder = zipped.unpacked(folder)
    elif not folder.is_dir():
        raise RequestError(
            f"dataset.path must be an existing folder, or a .zip file of one, got {config.path}"
        )
    while True:
        try:
            inside = _not_ignored(folder)
            is_wrapped = (
                len(inside) == 1
                and not (folder / image_table.NAME).exists()
                and inside[0].is_dir(follow_symlinks=False)
                and inside[0].name.lower() not in _PARTS["train"]
                and any(each.is_dir() for each in _not_ignored(Path(inside[0].path)))
            )
        except OSError as error:
            raise RequestError(f"dataset.path={config.path}: {error}") from error
        if not is_wrapped:
            return folder
        folder = Path(inside[0].path)


def _find(config: ImageFolderConfig) -> dict[str, _Found]:
    """Return the images of each part: train and, if there are any, val and test."""
    folder = _root(config)
    try:
        top, beside, ignored = _entries(folder, folder)
        parts = {
            part: Path(entry.path)
            for part, names in _PARTS.items()
            for entry in top
            if entry.name.lower() in names
        }
        if "train" in parts and len(parts) == len(top):
            found = {part: _find_part(path, folder) for part, path in parts.items()}
        else:
            found = {"train": _find_part(folder, folder, entries=(top, beside, []))}
        tables = {_shown(table, folder) for part in found.values() for table in part.tables}
        found["train"].ignored.extend(name for name in ignored if name not in tables)
        return found
    except OSError as error:
        raise RequestError(f"dataset.path={config.path}: {error}") from error
    except RequestError as error:
        raise RequestError(f"dataset.path={config.path}: {error}") from error


Entries = tuple[list["os.DirEntry[str]"], list["os.DirEntry[str]"], list[str]]


def _find_part(part: Path, folder: Path, *, entries: Entries | None = None) -> _Found:
    classes, beside, ignored = entries or _entries(part, folder)
    table_file = part / image_table.NAME
    shown = _shown(table_file, folder)
    table = image_table.read(table_file, shown=shown)
    found = _Found(ignored=[name for name in ignored if table is None or name != shown])
    has_labels = table is not None and table.label_column is not None
    if table_file.exists() and beside and not has_labels:
        raise RequestError(f"{shown} must have the columns file_name and label")
    if beside and not has_labels:
        raise RequestError(
            f"{_relative(beside[0], folder)} lies beside the folders; "
            "every image must be in the folder of its class, or have a row in a metadata.csv of "
            "the columns file_name and label"
        )
    is_train = part == folder or part.name.lower() in _PARTS["train"]
    if not has_labels and len(classes) < (2 if is_train else 1):
        place = "" if part == folder else f" in {part.name}/"
        got = f"only {classes[0].name!r}" if classes else "none"
        raise RequestError(f"there must be a folder for each of two or more classes{place}, {got}")
    _take(found, beside, "", folder)
    for entry in classes:
        folders, images, ignored = _entries(Path(entry.path), folder)
        found.ignored.extend(ignored)
        if folders:
            raise RequestError(f"{_relative(folders[0], folder)} is a folder within a class")
        if not images:
            raise RequestError(
                f"the folder {_relative(entry, folder)} of a class is empty; remove it, or rename "
                f"it to .{entry.name}, which leaves it out"
            )
        # Some systems take accents apart in file names: train/ and test/ must still agree.
        _take(found, images, unicodedata.normalize("NFC", entry.name), folder)
    if table is None:
        found.rows.extend({} for _ in found.paths)
        return found
    names = [_shown(path, part) for path in found.paths]
    if has_labels:
        found.labels[:] = table.labels(names)
    found.rows.extend(table.rows_of(names))
    found.tables.append(table_file)
    return found


def _take(found: _Found, images: Sequence["os.DirEntry[str]"], label: str, folder: Path) -> None:
    for image in images:
        name = _relative(image, folder)
        if not name.lower().endswith(SUFFIXES):
            raise RequestError(f"{name} is no image ({', '.join(SUFFIXES)})")
        found.paths.append(Path(image.path))
        found.labels.append(label)
        found.names.append(name)


def _entries(folder: Path, root: Path) -> Entries:
    """Return the folders and the files of a folder by name, and what is ignored of it.

    Raises
    ------
    RequestError
        If a link leads out of the root, or something is no regular file.
    """
    folders, files, ignored = [], [], []
    with os.scandir(folder) as scanned:
        for entry in scanned:
            if _is_ignored(entry):
                ignored.append(_relative(entry, root))
                continue
            name = _relative(entry, root)
            # A broken one is told with the images that cannot be read.
            is_broken = entry.is_symlink() and not Path(entry.path).exists()
            target = Path(os.path.realpath(entry.path))
            if entry.is_symlink() and not is_broken and not target.is_relative_to(root.resolve()):
                raise RequestError(
                    f"{name} is a link that leads out of the folder, to {target}; copy the image "
                    "in its place"
                )
            if is_broken or entry.is_file():
                files.append(entry)
            elif entry.is_dir():
                folders.append(entry)
            else:
                raise RequestError(f"{name} is neither a file nor a folder")
    by_name = attrgetter("name")
    return sorted(folders, key=by_name), sorted(files, key=by_name), ignored


def _not_ignored(folder: Path) -> list["os.DirEntry[str]"]:
    with os.scandir(folder) as scanned:
        return [entry for entry in scanned if not _is_ignored(entry)]


def _is_ignored(entry: "os.DirEntry[str]") -> bool:
    return _is_litter(entry.name) or (_is_about(entry.name) and not entry.is_dir())


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name.lower() in _LITTER


def _is_about(name: str) -> bool:
    lowered = name.lower()
    return lowered.partition(".")[0] in _ABOUT and not lowered.endswith(SUFFIXES)


def _relative(entry: "os.DirEntry[str]", folder: Path) -> str:
    return _shown(Path(entry.path), folder)


def _shown(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()

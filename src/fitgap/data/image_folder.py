"""Images of one's own: a folder per class, or ``train/``, ``val/``, ``test/`` with such folders.

Folders are named after their classes, in any language. Images that lie in one folder have their
classes in a table beside them, ``metadata.csv``. The images are decoded once, into a file
of the cache; who changes a file, adds one or asks for another size has them decoded anew.
"""

import csv
import hashlib
import os
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fitgap.config.schema import ImageFolderConfig
from fitgap.data import disk_arrays, zipped
from fitgap.data.disk_arrays import Images
from fitgap.data.images import SUFFIXES, read_image
from fitgap.data.labels import Part, Parts, SplitColumns
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
# A table of classes beside the images, and what its columns may be called.
_TABLE = "metadata.csv"
_FILE_COLUMNS = ("file_name", "filename", "file", "image", "path")
_LABEL_COLUMNS = ("label", "class", "category")
_MOST_NAMED = 5


@dataclass(frozen=True)
class _Found:
    """The images of one part: their files, classes and what messages call them.

    ``tables`` are the files that say the classes, where folders do not.
    """

    paths: list[Path] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)

    def without(self, broken: Collection[Path]) -> "_Found":
        """Return the same without some images."""
        kept = [i for i, path in enumerate(self.paths) if path not in broken]
        return _Found(
            [self.paths[i] for i in kept],
            [self.labels[i] for i in kept],
            [self.names[i] for i in kept],
            self.ignored,
            self.tables,
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
    columns.refuse("a folder of images has no columns")
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
    )
    if "test" not in found:
        return Parts(whole, None, tuple(notes))
    x_test = disk_arrays.select(images, np.arange(first_of_test, len(paths)))
    test = Part(x_test, np.array(found["test"].labels), "test", found["test"].names)
    return Parts(whole, test, tuple(notes))


def _readable(
    config: ImageFolderConfig, found: dict[str, _Found], shape: tuple[int, ...]
) -> tuple[dict[str, _Found], list[str]]:
    """Leave out the images that cannot be read, and say which."""
    folder = _root(config)
    broken = {}
    for part in found.values():
        for path in part.paths:
            try:
                read_image(path, shape=shape)
            except RequestError as error:
                broken[path] = str(error).replace(str(path), path.relative_to(folder).as_posix())
    if not broken:
        return found, []
    total = sum(len(part.paths) for part in found.values())
    shown = "; ".join(list(broken.values())[:_MOST_NAMED])
    said = f"left out: {len(broken)} of {total} images, which cannot be read: {shown}"
    return {name: part.without(broken.keys()) for name, part in found.items()}, [said]


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
    folder = _root(config)
    reasons = []
    for path in paths:
        try:
            yield read_image(path, shape=shape)
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
    place = "" if part == folder else f" in {part.name}/"
    table = part / _TABLE
    if beside and not classes and table.is_file():
        return _of_table(table, beside, folder, ignored)
    if beside:
        raise RequestError(
            f"{_relative(beside[0], folder)} lies beside the folders; "
            "every image must be in the folder of its class, or all beside a metadata.csv of "
            "the columns file_name and label"
        )
    is_train = part == folder or part.name.lower() in _PARTS["train"]
    if len(classes) < (2 if is_train else 1):
        got = f"only {classes[0].name!r}" if classes else "none"
        raise RequestError(f"there must be a folder for each of two or more classes{place}, {got}")
    found = _Found(ignored=list(ignored))
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
        for image in images:
            name = _relative(image, folder)
            if not name.lower().endswith(SUFFIXES):
                raise RequestError(f"{name} is no image ({', '.join(SUFFIXES)})")
            found.paths.append(Path(image.path))
            # Some systems take accents apart in file names: train/ and test/ must still agree.
            found.labels.append(unicodedata.normalize("NFC", entry.name))
            found.names.append(name)
    return found


def _of_table(
    table: Path, beside: Sequence["os.DirEntry[str]"], folder: Path, ignored: Sequence[str]
) -> _Found:
    """Return the images of one folder, each with the class that the table beside them says."""
    shown = _shown(table, folder)
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeError, csv.Error) as error:
        raise RequestError(f"{shown} cannot be read: {error}") from error
    names = list(rows[0]) if rows else []
    chosen = [
        next((name for name in names if name and name.strip().lower() in known), None)
        for known in (_FILE_COLUMNS, _LABEL_COLUMNS)
    ]
    if None in chosen:
        raise RequestError(
            f"{shown} must have the columns file_name and label, and a row for each image; it has "
            f"{', '.join(map(str, names)) or 'no rows'}"
        )
    file_column, label_column = map(str, chosen)
    labels: dict[str, str] = {}
    for row in rows:
        name = (row[file_column] or "").strip()
        label = unicodedata.normalize("NFC", (row[label_column] or "").strip())
        if not label:
            raise RequestError(f"{shown} has no label for {name!r}")
        if labels.get(name, label) != label:
            raise RequestError(f"{shown} has two labels for {name!r}")
        labels[name] = label
    found = _Found(ignored=[name for name in ignored if name != shown], tables=[table])
    for image in beside:
        name = _relative(image, folder)
        if not name.lower().endswith(SUFFIXES):
            raise RequestError(f"{name} is no image ({', '.join(SUFFIXES)})")
        if image.name not in labels:
            raise RequestError(f"{shown} has no row for {image.name}")
        found.paths.append(Path(image.path))
        found.labels.append(labels.pop(image.name))
        found.names.append(name)
    if labels:
        raise RequestError(f"{shown} names {next(iter(labels))!r}, which is not beside it")
    return found


def _entries(folder: Path, root: Path) -> Entries:
    """Return the folders and the files of a folder by name, and what is ignored of it.

    Raises
    ------
    RequestError
        If a link is broken or leads out of the root, or something is no regular file.
    """
    shown, ignored = [], []
    with os.scandir(folder) as scanned:
        for entry in scanned:
            if _is_ignored(entry):
                ignored.append(_relative(entry, root))
                continue
            name = _relative(entry, root)
            if entry.is_symlink():
                target = Path(entry.path).resolve()
                if not target.exists():
                    raise RequestError(f"{name} is a broken link to {Path(entry.path).readlink()}")
                if not target.is_relative_to(root.resolve()):
                    raise RequestError(
                        f"{name} is a link that leads out of the folder, to {target}; copy the "
                        "image in its place"
                    )
            if not entry.is_dir() and not entry.is_file():
                raise RequestError(f"{name} is neither a file nor a folder")
            shown.append(entry)
    ordered = sorted(shown, key=lambda entry: entry.name)
    folders = [entry for entry in ordered if entry.is_dir()]
    return folders, [entry for entry in ordered if not entry.is_dir()], ignored


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

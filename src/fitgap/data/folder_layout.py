"""Where the images of a folder are, and of which part and class: by folders, or by a table.

A folder per class, or ``train/``, ``val/``, ``test/`` with such folders; images that lie in one
folder have their classes in a table beside them, ``metadata.csv``.
"""

import os
import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path

from fitgap.config.schema import ImageFolderConfig
from fitgap.data import image_table, zipped
from fitgap.data.images import SUFFIXES
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


@dataclass(frozen=True)
class ImageFiles:
    """The images of one part: their files, classes and what messages call them.

    ``rows`` are those of the table beside the images, one for each image, empty without one;
    ``tables`` is its file. ``merged`` are the folders whose class another folder has too.
    ``strays`` and ``empty`` are left out: files that are no images, and folders that hold nothing;
    so are files ``beside`` the folders of the parts. ``notes`` say how the table was read.
    """

    paths: list[Path] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    rows: list[image_table.Row] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    merged: list[str] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def without(self, broken: Collection[Path]) -> "ImageFiles":
        """Return the same without some images."""
        kept = [i for i, path in enumerate(self.paths) if path not in broken]
        return replace(
            self,
            paths=[self.paths[i] for i in kept],
            labels=[self.labels[i] for i in kept],
            names=[self.names[i] for i in kept],
            rows=[self.rows[i] for i in kept],
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


def root_of(config: ImageFolderConfig) -> Path:
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


def find(config: ImageFolderConfig) -> dict[str, ImageFiles]:
    """Return the images of each part: train and, if there are any, val and test."""
    folder = root_of(config)
    try:
        top, beside, ignored = _entries(folder, folder)
        parts = {
            part: Path(entry.path)
            for part, names in _PARTS.items()
            for entry in top
            if entry.name.lower() in names
        }
        if "train" in parts and len(parts) == len(top):
            found = {part: _find_part(path, folder, config) for part, path in parts.items()}
            found["train"].beside.extend(_relative(entry, folder) for entry in beside)
        else:
            top_alone: Entries = (top, beside, [])
            found = {"train": _find_part(folder, folder, config, entries=top_alone)}
        tables = {_shown(table, folder) for part in found.values() for table in part.tables}
        found["train"].ignored.extend(name for name in ignored if name not in tables)
        return found
    except (OSError, RequestError) as error:
        raise RequestError(f"dataset.path={config.path}: {error}") from error


Entries = tuple[list["os.DirEntry[str]"], list["os.DirEntry[str]"], list[str]]


def _find_part(
    part: Path, folder: Path, config: ImageFolderConfig, *, entries: Entries | None = None
) -> ImageFiles:
    classes, beside, ignored = entries or _entries(part, folder)
    table_file = part / image_table.NAME
    shown = _shown(table_file, folder)
    table = image_table.read(table_file, shown=shown)
    found = ImageFiles(ignored=[name for name in ignored if table is None or name != shown])
    has_labels = table is not None and table.label_column is not None
    first = next((entry for entry in beside if _is_image(entry.name)), None)
    if first and not has_labels:
        if table_file.exists():
            raise RequestError(f"{shown} must have the columns file_name and label")
        raise RequestError(
            f"{_relative(first, folder)} lies beside the folders; "
            "every image must be in the folder of its class, or have a row in a metadata.csv of "
            "the columns file_name and label"
        )
    is_train = part == folder or part.name.lower() in _PARTS["train"]
    if not has_labels and len(classes) < (2 if is_train else 1):
        place = "" if part == folder else f" in {part.name}/"
        got = f"got only {classes[0].name!r}" if classes else "got none"
        raise RequestError(f"there must be a folder for each of two or more classes{place}, {got}")
    _take(found, beside, "", folder, config)
    for entry in classes:
        _take_class(found, entry, folder, config)
    if table is None:
        found.rows.extend({} for _ in found.paths)
        return found
    names = [_shown(path, part) for path in found.paths]
    if has_labels:
        found.labels[:] = table.labels(names)
    found.rows.extend(table.rows_of(names))
    found.tables.append(table_file)
    found.notes.extend(table.notes)
    return found


def _take_class(
    found: ImageFiles, entry: "os.DirEntry[str]", folder: Path, config: ImageFolderConfig
) -> None:
    folders, images, ignored = _entries(Path(entry.path), folder)
    found.ignored.extend(ignored)
    if folders:
        raise RequestError(
            f"{_relative(folders[0], folder)} is a folder within the class {entry.name!r}; put "
            "all images of a class directly into its folder, or name the folder of the classes "
            "as dataset.path"
        )
    if config.skip_unreadable and all(map(_is_placeholder, images)):
        found.empty.append(_relative(entry, folder))
        return
    if not images:
        raise RequestError(
            f"the folder {_relative(entry, folder)} of a class is empty; remove it, or rename "
            f"it to .{entry.name}, which leaves it out"
        )
    # Some systems take accents apart in file names: train/ and test/ must still agree.
    label = unicodedata.normalize("NFC", entry.name)
    if label in found.labels:
        found.merged.append(_relative(entry, folder))
    _take(found, images, label, folder, config)


def _take(
    found: ImageFiles,
    files: Sequence["os.DirEntry[str]"],
    label: str,
    folder: Path,
    config: ImageFolderConfig,
) -> None:
    images = [file for file in files if _is_image(file.name)]
    strays = [_relative(file, folder) for file in files if not _is_image(file.name)]
    if strays and not config.skip_unreadable:
        raise RequestError(
            f"{strays[0]} is not an image ({', '.join(SUFFIXES)}); remove it, or leave such files "
            "out with dataset.skip_unreadable=true"
        )
    if strays and not images and label:
        raise RequestError(f"no file in the folder of the class {label!r} is an image: {strays[0]}")
    found.strays.extend(strays)
    for image in images:
        name = _relative(image, folder)
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
                raise RequestError(f"{name} is neither a file nor a folder; remove it")
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
    return lowered.partition(".")[0] in _ABOUT and not _is_image(name)


def _is_placeholder(entry: "os.DirEntry[str]") -> bool:
    """Tell whether a file is there only so that its folder is."""
    return not _is_image(entry.name) and entry.stat(follow_symlinks=False).st_size == 0


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _relative(entry: "os.DirEntry[str]", folder: Path) -> str:
    return _shown(Path(entry.path), folder)


def _shown(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()

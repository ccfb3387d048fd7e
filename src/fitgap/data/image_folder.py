"""The user's own images, which `fitgap.data.folder_layout` finds.

They are decoded once, into a file of the cache; who changes a file, adds one or asks for another
size has them decoded anew.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitgap.config.schema import ImageFolderConfig
from fitgap.data import disk_arrays, folder_layout, zipped
from fitgap.data.disk_arrays import Images
from fitgap.data.folder_layout import ImageFiles
from fitgap.data.images import brightest, read_image
from fitgap.data.parts import Part, Parts, SplitColumns
from fitgap.data.times import as_times
from fitgap.errors import RequestError
from fitgap.trust.text import line

_MOST_NAMED = 5


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
            f"{named}{more}",
            "Repair or remove them, or leave them out with dataset.skip_unreadable=true",
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
    return [
        path for part in folder_layout.find(config).values() for path in (*part.paths, *part.tables)
    ]


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
    found = folder_layout.find(config)
    shape = (*config.image_size, *([3] if config.channels == 3 else []))
    parts = found.values()
    notes = [
        *_counted("ignored, since they are no images: {} files", [p.ignored for p in parts]),
        *_counted("left out, since they are no images: {} files", [p.strays for p in parts]),
        *_counted("left out, since they hold nothing: {} folders", [p.empty for p in parts]),
        *_counted(
            f"left out, since they are beside the folders {', '.join(found)}: {{}} files",
            [p.beside for p in parts],
        ),
    ]
    notes += [
        f"{name}: another folder of the same name, with its accents stored otherwise (Unicode), is "
        "the same class"
        for part in found.values()
        for name in part.merged
    ]
    notes += [note for part in found.values() for note in part.notes]
    if config.skip_unreadable:
        found, left_out = _readable(config, found, shape)
        notes += left_out
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


def _counted(phrase: str, names_of_parts: Sequence[Sequence[str]]) -> list[str]:
    names = sorted({name for names in names_of_parts for name in names})
    more = ", ..." if len(names) > _MOST_NAMED else ""
    shown = ", ".join(names[:_MOST_NAMED])
    return [f"{phrase.format(len(names))} ({shown}{more})"] if names else []


def _split_columns(parts: Sequence[ImageFiles], columns: SplitColumns) -> dict[str, Any]:
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
    config: ImageFolderConfig, found: dict[str, ImageFiles], shape: tuple[int, ...]
) -> tuple[dict[str, ImageFiles], list[str]]:
    """Leave out the images that cannot be read, and say which."""
    folder = folder_layout.root_of(config)
    broken = {}
    for part in found.values():
        for path in part.paths:
            try:
                read_image(path, shape=shape, bits=config.bits)
            except RequestError as error:
                broken[path] = _reason(error, path, folder)
    if not broken:
        return found, []
    kept = {name: part.without(broken.keys()) for name, part in found.items()}
    if lost := sorted({*found["train"].labels} - {*kept["train"].labels}):
        raise RequestError(f"dataset.path={config.path}: no image of {lost[0]!r} can be read")
    total = sum(len(part.paths) for part in found.values())
    shown = "; ".join(list(broken.values())[:_MOST_NAMED])
    note = f"left out: {len(broken)} of {total} images, which cannot be read: {shown}"
    return kept, [note]


def _reason(error: RequestError, path: Path, folder: Path) -> str:
    """Return why an image cannot be read, with its name within the folder."""
    within = path.relative_to(folder).as_posix()
    return str(error).replace(line(str(path)), line(within))


def _decoded(
    config: ImageFolderConfig,
    paths: list[Path],
    shape: tuple[int, ...],
    key: str,
    memory_limit: int | None,
) -> Images:
    total = len(paths) * int(np.prod(shape))
    fits = memory_limit is None or total <= memory_limit
    names = hashlib.sha256(os.fsencode("".join(map(str, paths)))).hexdigest()[:16]
    path = disk_arrays.cache_file(f"{key}-{names}.npy")
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
    folder = folder_layout.root_of(config)
    reasons = []
    for path in paths:
        try:
            yield read_image(path, shape=shape, bits=config.bits)
        except RequestError as error:
            reasons.append(_reason(error, path, folder))
    if reasons:
        raise UnreadableImagesError(config.path, reasons, total=len(paths))

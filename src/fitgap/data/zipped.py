"""A folder of images in a zip file, which is checked and unpacked once."""

import hashlib
import shutil
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from fitgap.data import disk_arrays, zip_bombs
from fitgap.errors import RequestError, about
from fitgap.trust.text import plain


def is_zip(path: str) -> bool:
    """Tell whether a path names a zip file, from its name."""
    return path.lower().endswith(".zip")


def unpacked(path: Path) -> Path:
    """Return the folder that holds an archive's files, unpacked in the cache.

    Where the archive holds a single folder, that one.

    Raises
    ------
    RequestError
        If it is no zip file, a name leads out of it, or it would unpack to an absurd size.
    """
    if not path.is_file():
        raise RequestError(f"dataset.path must be an existing folder or .zip file, got {path}")
    stat = path.stat()
    stamp = f"{path.absolute()} {stat.st_size} {stat.st_mtime_ns}"
    folder = disk_arrays.cache_file(hashlib.sha256(stamp.encode()).hexdigest()[:32])
    if not folder.is_dir():
        _unpack(path, folder)
    while True:
        inside = [entry for entry in folder.iterdir() if entry.name != "__MACOSX"]
        if len(inside) != 1 or not inside[0].is_dir():
            return folder
        folder = inside[0]


def _unpack(path: Path, folder: Path) -> None:
    """Unpack an archive into a folder, which appears as a whole."""
    try:
        with zipfile.ZipFile(path) as archive:
            _check(path, archive)
            files = [member for member in archive.infolist() if not member.is_dir()]
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent) as unfinished:
                whole = Path(unfinished) / folder.name
                whole.mkdir()
                for member in files:
                    _copy(archive, member, whole / member.filename)
                whole.rename(folder)
    except RequestError:
        raise
    except OSError as error:
        reason = error.strerror or error
        raise RequestError(f"dataset.path={path} cannot be unpacked: {reason}") from error
    except Exception as error:  # a damaged archive trips zipfile, zlib, bz2 or lzma anywhere
        reason = plain(str(error), most=200)  # zipfile repeats what it read
        raise RequestError(f"dataset.path={path} is not a readable .zip file: {reason}") from error


def _copy(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as source, target.open("wb") as file:
        shutil.copyfileobj(source, file)


def _check(path: Path, archive: zipfile.ZipFile) -> None:
    for member in archive.infolist():
        name = PurePosixPath(member.filename.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts or ":" in member.filename.partition("/")[0]:
            raise RequestError(
                f"dataset.path={path}: {member.filename!r} leads out of the archive; it is not "
                "unpacked"
            )
    with about(f"dataset.path={path}"):
        zip_bombs.refuse(path, sum(member.file_size for member in archive.infolist()))

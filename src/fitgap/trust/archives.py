"""Archives of a record, read member by member: bounded in number, name and size.

An archive of a few kilobytes can say that it holds terabytes, and a member can name a file outside
of the folder it is unpacked to. Nothing is unpacked before the archive's own list was looked at.
"""

import errno
import math
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from tokenize import TokenError
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fitgap.unicode_text import is_no_unicode

MOST_MEMBERS = 10_000
# Arrays of zeros are packed to a thousandth; a bomb says a million.
MOST_RATIO = 2_000
SMALL = 1_000_000  # bytes that any member may have
MUCH_BYTES, MOST_RATIO_OF_MUCH = 2**28, 500
MOST_LENGTH = 2**31  # of an array's side
# Neither NumPy nor Keras packs by another; bzip2 and LZMA have errors of their own.
_KNOWN_PACKING = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_READ_HEADER = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def check(archive: zipfile.ZipFile) -> None:
    """Check what a zip archive says of its members.

    Raises
    ------
    ValueError
        If there are too many, one has a name of more than one file or leads out of a folder, is
        encrypted, or would unpack to many times its size.
    """
    members = archive.infolist()
    if len(members) > MOST_MEMBERS:
        raise ValueError(f"it has {len(members)} members, more than {MOST_MEMBERS}")
    names = [member.filename for member in members]
    if len(set(names)) != len(names):
        raise ValueError("two of its members have one name")
    for member in members:
        name = member.filename
        path = name.replace("\\", "/")
        if path.startswith("/") or ".." in path.split("/") or ":" in path:
            raise ValueError(f"a member leads out of the archive: {name[:80]!r}")
        if member.compress_type not in _KNOWN_PACKING:
            raise ValueError(f"{name[:80]!r} is packed in a way that is not read")
        if member.flag_bits & 1:
            raise ValueError(f"{name[:80]!r} is encrypted")
        if member.file_size > max(SMALL, MOST_RATIO * member.compress_size):
            raise ValueError(f"{name[:80]!r} would unpack to {member.file_size} bytes")
    unpacked = sum(member.file_size for member in members)
    if unpacked > max(
        MUCH_BYTES, MOST_RATIO_OF_MUCH * sum(member.compress_size for member in members)
    ):
        raise ValueError(f"its members would unpack to {unpacked} bytes")


def read_arrays(file: IO[bytes], *, only: str | None = None) -> dict[str, NDArray[Any]]:
    """Read an archive of NumPy arrays, as ``numpy.savez`` writes it; numbers and texts only.

    Parameters
    ----------
    file
        Opened to be read.
    only
        The name of the one array to read; None reads all.

    Raises
    ------
    ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile, zlib.error, NotImplementedError
        If it is none, or an array is larger than its member.
    """
    with _places_in_the_file(), zipfile.ZipFile(file) as archive:
        check(archive)
        return {
            member.filename.removesuffix(".npy"): _read_array(archive, member)
            for member in archive.infolist()
            if only is None or member.filename == f"{only}.npy"
        }


@contextmanager
def _places_in_the_file() -> Iterator[None]:
    """Say that an archive is damaged where its list names a place that no file has."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise ValueError("its list of members is damaged") from error
    except struct.error as error:
        raise ValueError(str(error)) from error


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in _READ_HEADER:
            raise ValueError(f"an array has a format of its own: {version}")
        try:
            shape, _, dtype = _READ_HEADER[version](file)
        except (TokenError, SyntaxError) as error:  # NumPy reads it as Python's source
            raise ValueError(f"the header of {member.filename[:80]!r} is damaged") from error
    # NumPy makes the array before it reads it: its header must not promise more than there is.
    if not all(0 <= length <= MOST_LENGTH for length in shape) or dtype.itemsize == 0:
        raise ValueError(f"the header of {member.filename[:80]!r} has an impossible shape or type")
    if dtype.hasobject or math.prod(shape) * dtype.itemsize > member.file_size:
        raise ValueError(f"the header of {member.filename[:80]!r} is not that of its array")
    with archive.open(member) as file:
        array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    if dtype.kind == "U" and is_no_unicode(array).any():
        raise ValueError(f"{member.filename[:80]!r} holds text that is no Unicode")
    return array

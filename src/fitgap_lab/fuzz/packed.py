"""Packed files as their parts, so that what is inside can be damaged under right checksums."""

import gzip
import io
import zipfile
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike

LARGEST = 1_000_000  # bytes of a part that is worth damaging

Parts = Mapping[str, bytes]


class NotPackedError(Exception):
    """The bytes cannot be unpacked, or are too many afterwards."""


def archive(members: Mapping[str, bytes | str]) -> bytes:
    """Return a zip file of these members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return file.getvalue()


def npz(**arrays: ArrayLike) -> bytes:
    """Return an NPZ file of these arrays."""
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **{k: np.asarray(v) for k, v in arrays.items()})
    return file.getvalue()


def unpacked(whole: bytes) -> tuple[Parts, Callable[[Parts], bytes]]:
    """Return the parts of a zip or gzip file, each by its name, and what packs them again.

    Raises
    ------
    NotPackedError
        The bytes are neither, are damaged, or have a part that is too large.
    """
    try:
        if whole.startswith(b"PK\x03"):
            with zipfile.ZipFile(io.BytesIO(whole)) as opened:
                parts = {name: _small(opened.open(name).read) for name in opened.namelist()}
            if parts:
                return parts, archive
        elif whole.startswith(b"\x1f\x8b"):
            content = _small(gzip.GzipFile(fileobj=io.BytesIO(whole)).read)
            return {"": content}, lambda parts: gzip.compress(parts[""], mtime=0)
    except Exception as error:  # damage trips zipfile, zlib, bz2 or lzma anywhere
        raise NotPackedError from error
    raise NotPackedError


def _small(read: Callable[[int], bytes]) -> bytes:
    content = read(LARGEST + 1)
    if len(content) > LARGEST:
        raise NotPackedError
    return content

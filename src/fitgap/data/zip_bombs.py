"""Refuse archives that would unpack to far more than their size, and fill a disk or the memory."""

from pathlib import Path

from fitgap.errors import RequestError

# Images hardly shrink, and deflate makes a thousandth of zeros. What is small unpacked may shrink
# as it likes: an array that is mostly zeros does.
MUCH_BYTES, MOST_RATIO = 2**30, 500
MOST_SHOWN = 2**60  # bytes; a header of few bytes can promise a number of a thousand digits


def refuse(path: Path, unpacked: int) -> None:
    """Raise a `RequestError` if a file would unpack to much, and to many times its size.

    Parameters
    ----------
    path
        Of the packed file.
    unpacked
        Bytes that it says it holds.
    """
    packed = path.stat().st_size
    if unpacked > MUCH_BYTES and unpacked > MOST_RATIO * packed:
        shown = min(unpacked, MOST_SHOWN) / 2**20
        raise RequestError(
            f"{path.name} of {packed / 2**20:.1f} MB would unpack to {shown:.0f} MB: "
            "it is taken for a zip bomb and is not unpacked"
        )

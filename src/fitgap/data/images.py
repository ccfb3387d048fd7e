"""From an image file to the uint8 array that a network takes; which files a folder offers.

One conversion for all, so that a network meets a person's images as it met its training images:

- the first frame, turned as its EXIF orientation says;
- 16 bits a channel become 8 (white stays white, black stays black);
- what is transparent is laid on white, as a page would show it;
- grey or RGB, whichever is asked for (ITU-R 601's weights from colour to grey);
- the whole image is resized to the height and width asked for, its proportions given up, by
  Pillow's antialiased bilinear filter. An image of that size already is not resampled.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fitgap.errors import RequestError

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")  # no other decoder is offered a file
SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff")
_ALLOWED = "PNG, JPEG, WebP, BMP, GIF or TIFF"


def read_image(path: Path, *, shape: tuple[int, ...], bits: int | None = None) -> NDArray[np.uint8]:
    """Read an image file as the array that a network takes.

    Parameters
    ----------
    path
        PNG, JPEG, WebP, BMP, GIF (its first frame) or TIFF, whatever its name; any size and mode
        (grey, RGB, RGBA, palette, CMYK, 1, 8 or 16 bits).
    shape
        (height, width) or (height, width, 1) for grey, (height, width, 3) for RGB.
    bits
        ``dataset.bits``: how many bits the values of an image of 16 bits use; None: all 16.

    Returns
    -------
    ndarray
        uint8 of that shape.

    Raises
    ------
    RequestError
        If there is no such file, it is none of these formats, or it is damaged; the message
        names the file.
    """
    from PIL import Image, ImageOps

    channels = [*shape[2:]]
    if len(shape) < 2 or channels not in ([], [1], [3]):
        raise RequestError(
            f"images can be read as grey (1 channel) or RGB (3), not as shape {tuple(shape)}"
        )
    height, width = shape[:2]
    with _errors_of(path), Image.open(path, formats=FORMATS) as opened:
        if opened.mode == "F":  # which range they have, nobody says
            raise RequestError(f"the image {path} holds fractions; save it with 8 or 16 bits")
        image = _opaque(_eight_bits(ImageOps.exif_transpose(opened), bits or 16))
        image = image.convert("RGB" if channels == [3] else "L")
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    array: NDArray[np.uint8] = np.asarray(image, np.uint8).reshape(shape)
    return array


def brightest(path: Path) -> int | None:
    """Return the largest value of an image of 16 bits; None for any other or damaged image."""
    from PIL import Image

    try:
        with _errors_of(path), Image.open(path, formats=FORMATS) as opened:
            return int(np.asarray(opened).max()) if opened.mode.startswith("I") else None
    except RequestError:  # told by who reads it
        return None


def find_images(folder: Path) -> list[Path]:
    """Return the images directly in a folder, sorted by name; hidden files are left out.

    Raises
    ------
    RequestError
        If it cannot be read or holds none.
    """
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise RequestError(f"the folder {folder} cannot be read: {error.strerror}") from error
    found = [
        path
        for path in entries
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    ]
    if not found:
        raise RequestError(
            f"the folder {folder} holds no image itself ({', '.join(SUFFIXES)}); "
            "folders within it are not searched"
        )
    return found


def _eight_bits(image: "Image.Image", bits: int) -> "Image.Image":
    """Return an image of 8 bits a channel; Pillow would cut larger grey values off at 255."""
    from PIL import Image

    if not image.mode.startswith("I"):
        return image
    grey = np.asarray(image).astype(np.float64)
    return Image.fromarray(np.rint(grey * (255 / (2**bits - 1))).clip(0, 255).astype(np.uint8))


def _opaque(image: "Image.Image") -> "Image.Image":
    from PIL import Image

    if not image.has_transparency_data:
        return image
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)


@contextmanager
def _errors_of(path: Path) -> Iterator[None]:
    """Turn what Pillow raises of a file into one error that names it."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except UnidentifiedImageError as error:
        raise RequestError(f"{path} is not an image ({_ALLOWED})") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise RequestError(f"the image {path} is too large: {error}") from error
    except FileNotFoundError as error:
        if path.is_symlink():
            raise RequestError(f"{path} is a broken link to {path.readlink()}") from error
        raise RequestError(f"the image {path} cannot be read: {error.strerror}") from error
    except RequestError:
        raise
    except OSError as error:
        raise RequestError(f"the image {path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # a damaged file may trip a decoder anywhere
        raise RequestError(f"the image {path} is damaged: {error}") from error

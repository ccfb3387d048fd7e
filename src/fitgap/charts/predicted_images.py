"""Images as a network got them, each with the class it sees and, if known, the true one."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
from numpy.typing import NDArray

from fitgap.charts import labels, marks
from fitgap.charts.picture import Picture

MOST_IMAGES = 100  # of a picture: more are too small to see
PER_ROW = 5
SIDE, LINE, BETWEEN = 150, 14, 16  # units of an image, of a line of text, of the room between two
LETTER = 6  # units of a letter's width


@dataclass(frozen=True, eq=False)
class Shown:
    """An image and the texts beside it; equal only to itself.

    Attributes
    ----------
    pixels
        Of shape (height, width) or (height, width, 3): uint8, or floats of any range.
    lines
        What stands above it; as many for each image of a picture.
    is_right
        Whether its class was found; None where it is not known.
    is_ink
        Whether high values of grey are drawn dark, as ink on paper.
    """

    pixels: NDArray[np.generic]
    lines: Sequence[str]
    is_right: bool | None = None
    is_ink: bool = False


def draw(images: Sequence[Shown], *, per_row: int = PER_ROW, side: int = SIDE) -> Picture:
    """Draw the first `MOST_IMAGES` images.

    Parameters
    ----------
    images
        At least one.
    per_row
        How many images a row has.
    side
        Of an image, in units of 1/96 inch.
    """
    rows: list[dict[str, Any]] = []
    texts: list[dict[str, Any]] = []
    above = LINE * len(images[0].lines)
    height = above + side + BETWEEN
    for i, one in enumerate(images[:MOST_IMAGES]):
        left, top = i % per_row * (side + BETWEEN), i // per_row * height
        rows.append({"x": left + side / 2, "y": top + above + side / 2, "url": _address(one)})
        colour = {None: "ink", True: "group-1", False: "group-2"}[one.is_right]
        for number, text in enumerate(one.lines):
            at = {"x": left, "y": top + (number + 0.5) * LINE}
            texts.append(
                at
                | {"text": labels.shortened(text, most=(side + BETWEEN) // LETTER), "kind": colour}
            )
    across = min(len(rows), per_row) * (side + BETWEEN)
    down = -(-len(rows) // per_row) * height
    x = alt.X("x:Q", axis=None, scale=alt.Scale(domain=[0, across]))
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[down, 0]))
    pictures = (
        marks.of_rows(rows)
        .mark_image(width=side, height=side, aria=False)
        .encode(x=x, y=y, url="url:N")
    )
    roles = ["ink", "group-1", "group-2"]
    captions = (
        marks.of_rows(texts)
        .mark_text(align="left")
        .encode(
            x=x,
            y=y,
            text="text:N",
            color=alt.Color("kind:N", scale=alt.Scale(domain=roles, range=roles), legend=None),
        )
    )
    return Picture(alt.layer(pictures, captions).properties(width=across, height=down))


def _address(image: Shown) -> str:
    pixels = np.atleast_2d(image.pixels.squeeze())  # a vector is a strip
    if pixels.dtype != np.uint8:
        low, high = float(pixels.min()), float(pixels.max())
        scaled = (pixels.astype(np.float64) - low) / ((high - low) or 1.0)
        pixels = np.round(255 * scaled).astype(np.uint8)
    if image.is_ink and pixels.ndim == 2:
        pixels = 255 - pixels
    # Made larger here, since a picture's reader would smooth the few pixels.
    times = max(1, 2 * SIDE // max(pixels.shape[:2]))
    return png_address(pixels.repeat(times, axis=0).repeat(times, axis=1))


def png_address(pixels: NDArray[np.uint8]) -> str:
    """Return an image as the address of a PNG file that stands within a page or picture.

    Parameters
    ----------
    pixels
        uint8 of shape (height, width[, channels]).
    """
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.atleast_2d(pixels.squeeze())).save(file, format="png")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()

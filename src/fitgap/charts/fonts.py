"""The fonts of pictures, and which letters no installed one has."""

import io
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from fitgap.console import escaped, warn

# On a page, the reader's.
FONT = "system-ui, 'Noto Sans', 'Noto Sans CJK KR', 'Apple SD Gothic Neo', sans-serif"
# The fonts inside a picture of pixels have to be named, and be there.
FILE_FONT = "Noto Sans, DejaVu Sans, Liberation Sans, Arial, sans-serif"
# Of Chinese, Japanese and Korean letters; what draws would else take the first font that has them,
# with serifs or not.
EAST_ASIAN_FONT = (
    "Noto Sans CJK KR, Apple SD Gothic Neo, Malgun Gothic, NanumGothic, Noto Sans CJK JP, "
    f"Noto Sans CJK SC, Microsoft YaHei, {FILE_FONT}"
)
_FIRST_LOOKED_FOR = 0x1100  # Latin, Greek, Cyrillic, Arabic ... letters stand below
_IN_NO_FONT = "\U0010fffd"  # a code point that Unicode leaves without a letter for good
_CELL = 24  # units of a letter when looked at

_warned_of: set[str] = set()


def font_of(spec: Mapping[str, Any]) -> str:
    """Return the fonts of a picture of pixels, by the letters of its texts."""
    letters = {letter for text in _texts(spec) for letter in text}
    wide = any(unicodedata.east_asian_width(letter) in "WF" for letter in letters)
    return EAST_ASIAN_FONT if wide else FILE_FONT


def warn_of_missing_letters(spec: Mapping[str, Any]) -> None:
    """Say once that no installed font has some of a picture's letters."""
    letters = {
        letter for text in _texts(spec) for letter in text if ord(letter) >= _FIRST_LOOKED_FOR
    }
    letters -= _warned_of
    if not letters or not (missing := _without_font(sorted(letters))):
        return
    _warned_of.update(missing)
    shown = "".join(sorted(missing)[:12])
    warn(
        f"warning: no installed font has {shown}; the picture shows boxes instead. Install one "
        "(fonts-noto-cjk has Chinese, Japanese and Korean), or write an .svg or .html file, which "
        "uses the fonts of the machine that shows it.",
    )


def _without_font(letters: list[str]) -> set[str]:
    """Return the letters that are drawn as one that no font has.

    So the answer is that of what draws the picture, whatever fonts it finds and wherever.
    """
    import numpy as np
    import vl_convert
    from PIL import Image

    texts = "".join(
        f'<text x="{i * _CELL + 2}" y="{_CELL - 6}">&#{ord(letter)};</text>'
        for i, letter in enumerate([_IN_NO_FONT, *letters])
    )
    width = (len(letters) + 1) * _CELL
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{_CELL}" '
        f'font-size="16" font-family="{FILE_FONT}">{texts}</svg>'
    )
    pixels = np.asarray(Image.open(io.BytesIO(vl_convert.svg_to_png(svg))).convert("LA"))
    missing, *cells = np.split(pixels, len(letters) + 1, axis=1)
    return {
        letter for letter, cell in zip(letters, cells, strict=True) if np.array_equal(cell, missing)
    }


def drawable(part: Any) -> Any:
    """Return a specification in which what SVG cannot hold, or would obey, is shown as it is."""
    if isinstance(part, str):
        return escaped(part)
    if isinstance(part, Mapping):
        return {name: drawable(value) for name, value in part.items()}
    if isinstance(part, list | tuple):
        return [drawable(value) for value in part]
    return part


def _texts(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    elif isinstance(part, Mapping):
        for value in part.values():
            yield from _texts(value)
    elif isinstance(part, list | tuple):
        for value in part:
            yield from _texts(value)

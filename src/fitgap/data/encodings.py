"""From the bytes of texts to their characters: in which encoding they are.

UTF-8, and what begins with the mark of another Unicode encoding, is certain. All else is a guess
from the bytes; it is said together with some of the words that it makes of them.
"""

import codecs
import re
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

_MARKS = {  # that of UTF-32 begins with that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
WESTERN = "cp1252"  # Windows's latin-1
# Of one other script each.
_OTHERS = ["cp949", "cp932", "gb18030", "big5", "euc_jp", "cp1251", "koi8_r"]
_OTHERS += ["cp1253", "cp1255", "cp1256", "cp874"]
KNOWN = ("utf-8", *dict.fromkeys(_MARKS.values()), WESTERN, "latin-1", *_OTHERS)
_SIGNS = "ŠšŽžŒœŸ°µ€£§’‘“”–—…®©²³½¼«»·º\xa0ª¿¡×"  # that Western texts have besides letters
_LETTERS = rb"[\xc0-\xff" + _SIGNS.encode(WESTERN) + rb"]"
_BEYOND = rb"[\x80-\xff]"
# One alone, or two beside a letter of ASCII, as in Größe.
_OF_WESTERN_TEXT = re.compile(
    rb"(?<!%b)(?:%b|(?<=[A-Za-z])%b{2}|%b{2}(?=[A-Za-z]))(?!%b)"
    % (_BEYOND, _LETTERS, _LETTERS, _LETTERS, _BEYOND)
)
_MOST_BYTES = 50_000  # of the lines that a guess looks at
_WORD = re.compile(r"[^\W\d_]*[^\x00-\x7f\s]\w*")
_MOST_WORDS = 3
_EXAMPLES = ("cp949", "cp932", "gb18030", "cp1250")  # Korean, Japanese, Chinese, Polish and Czech


class Decoded(NamedTuple):
    """A text, the codec of Python that decoded it, and whether that was a guess."""

    text: str
    encoding: str
    is_guess: bool = False

    def notes(self, name: str, *, way_out: str = "") -> list[str]:
        """Return what a person should know about the encoding, in one line; UTF-8 needs none.

        Parameters
        ----------
        name
            Of the file.
        way_out
            What to do if the guess is wrong, where no setting takes the encoding.
        """
        if self.encoding == "utf-8":
            return []
        if not self.is_guess:
            return [f"{name}: read as {self.encoding} (dataset.encoding)"]
        words = dict.fromkeys(islice((match[0] for match in _WORD.finditer(self.text)), 1000))
        others = [encoding for encoding in _EXAMPLES if encoding != self.encoding]
        named = f"name the encoding with dataset.encoding, for example {', '.join(others)}"
        return [
            f"{name} is not UTF-8: read as {self.encoding}, which gives words such as "
            f"{', '.join([*words][:_MOST_WORDS])}; if they are wrong, {way_out or named}"
        ]


def decoded(
    contents: Sequence[bytes], *, encoding: str | None = None, usual: str = "utf-8"
) -> list[Decoded]:
    """Decode texts of one source, such as a file, or the files of a folder.

    Parameters
    ----------
    contents
        Their bytes.
    encoding
        What a person says of all of them; None: it is found out.
    usual
        The encoding of earlier texts of the same kind; it comes before a guess.

    Raises
    ------
    UnicodeError, LookupError
        If one is no text in that encoding, or there is no such encoding.
    """
    certain = [_certain(content, encoding) for content in contents]
    others = [content for content, each in zip(contents, certain, strict=True) if each is None]
    guess = _guess(others, usual) if others else ""
    return [
        each or Decoded(content.decode(guess), guess, is_guess=True)
        for content, each in zip(contents, certain, strict=True)
    ]


def _certain(content: bytes, encoding: str | None) -> Decoded | None:
    marked = next((name for mark, name in _MARKS.items() if content.startswith(mark)), None)
    if encoding or marked:
        named = encoding or marked or ""
        return Decoded(content.decode(named), named)
    try:
        return Decoded(content.decode("utf-8-sig"), "utf-8")
    except UnicodeDecodeError:
        return None


def _guess(contents: Sequence[bytes], usual: str) -> str:
    """Return the first encoding in which all contents are text; of latin-1, any bytes are."""
    for encoding in (usual, _likeliest(contents), WESTERN):
        try:
            for content in contents:
                content.decode(encoding)
        except UnicodeDecodeError:
            continue
        return encoding
    return "latin-1"


def _likeliest(contents: Sequence[bytes]) -> str:
    """Return what the bytes beyond ASCII look like.

    In most Western languages they stand alone between letters of ASCII. There charset-normalizer
    cannot tell the languages from each other; the other scripts it can.
    """
    import charset_normalizer

    lines: list[bytes] = []
    size = 0
    for line in (line for content in contents for line in content.splitlines()):
        if size < _MOST_BYTES and not line.isascii():
            lines.append(line)
            size += len(line)
    sample = b"\n".join(lines)
    runs = re.findall(_BEYOND + rb"+", sample)
    if 2 * len(_OF_WESTERN_TEXT.findall(sample)) >= len(runs):
        return WESTERN
    best = charset_normalizer.from_bytes(sample, cp_isolation=_OTHERS, threshold=0.5).best()
    return best.encoding if best else WESTERN

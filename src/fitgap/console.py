"""Where fitgap speaks to a person: every line that it prints goes through here, at once."""

import re
import sys

MOST_CHARACTERS = 10_000  # of a text that a record or data hold

# C0 and C1 controls but tab and newline; marks that change the direction of what follows; line
# separators; invisible characters; what is no character, or half of one.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff"
    "\ud800-\udfff]"
)


def escaped(text: str) -> str:
    r"""Return text without what a terminal obeys, which shows as what it is instead.

    >>> escaped("sgd \x1b[2J")
    'sgd \\x1b[2J'
    """
    if text.isprintable() and text.isascii():
        return text
    return _UNSAFE.sub(lambda found: ascii(found[0])[1:-1], text)


def one_line(text: str) -> str:
    r"""Return text as `escaped` does, without line breaks and tabs.

    >>> one_line("sgd\nto continue: x")
    'sgd\\nto continue: x'
    """
    return escaped(text).replace("\n", "\\n").replace("\t", "\\t")


def shortened(text: str, *, most: int = MOST_CHARACTERS) -> str:
    """Return text that is not endless.

    >>> shortened("a" * 9, most=4)
    'aaa…'
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"


def say(text: str = "") -> None:
    """Print lines on standard output."""
    print(escaped(text), flush=True)


def warn(text: str) -> None:
    """Print lines on standard error: warnings, errors, and what is not the command's answer."""
    print(escaped(text), file=sys.stderr, flush=True)

"""Text as a value in Hydra's language of overrides."""

import re


def quoted(text: str) -> str:
    r"""Return text as a quoted value, from which Hydra reads the same text.

    A backslash is itself unless a quote follows.

    >>> print(quoted(r"a\b"), quoted("it's"), quoted("x\\"))
    'a\b' 'it\'s' 'x\\'
    """
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", text)
    escaped = re.sub(r"(\\+)\Z", r"\1\1", escaped)
    return f"'{escaped}'"

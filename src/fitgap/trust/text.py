"""Text of a record as it may be shown: no control characters, no secrets, not endless.

A name can hold commands for a terminal, turn the direction of a line, or be a megabyte long; a
setting can hold a password. HTML is escaped by its template, Markdown by `report.text_tables`.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MOST_CHARACTERS = 10_000
MOST_DIGITS = 19  # of a whole number of 64 bits
HIDDEN = "***"
FEWEST_OF_SECRET = 8  # characters of an environment variable that is hidden wherever it appears

# C0 and C1 controls but tab and newline; marks that change the direction of what follows; line
# separators; invisible characters; what is no character, or half of one.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff"
    "\ud800-\udfff]"
)
_SECRET_NAME = re.compile(
    r"(?i)(^|[._\-/\s])(pass(word|wd|phrase)?|pwd|secrets?|token|api[_\-]?key|secret[_\-]?key|"
    r"access[_\-]?key([_\-]id)?|private[_\-]?key|credentials?|authorization)$"
)
_ASSIGNED = re.compile(
    r"(?i)((?:password|passwd|passphrase|secret|token|api[_\-]?key|secret[_\-]?key|"
    r"access[_\-]?key|private[_\-]?key)[\"']?\s*[:=]\s*)"
    r"(\"[^\"\n]{4,}\"|'[^'\n]{4,}'|[^\s\"',;&()\[\]{}]{4,}(?=[\s\"',;&)\]}]|$))"
)
_IN_QUERIES = r"[\w\-]{0,40}(?:sig|signature|token|credential|secret|password|key)[\w\-]{0,40}"
_PRIVATE_KEY = r"-----BEGIN [A-Z ]*PRIVATE KEY-----"
# No pattern takes longer than the text is long: a difference may hold a line of a megabyte.
_LOOKS_SECRET = (
    (re.compile(r"(?<=://)[^\s/?#\"'@]{0,400}:\S{0,400}@"), f"{HIDDEN}@"),  # user:password@host
    (re.compile(rf"(?i)([?&]{_IN_QUERIES}=)[^&\s\"'#]+"), rf"\1{HIDDEN}"),  # a signed address
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=\-]{12,}"), rf"\1 {HIDDEN}"),
    # Tokens that tell by their beginning what they are: AWS's, GitHub's, GitLab's, Hugging Face's,
    # Slack's, OpenAI's; signed JSON.
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), HIDDEN),
    (re.compile(r"\b(?:gh[pousr]_|github_pat_|glpat-|hf_|xox[abprs]-|sk-)[\w\-]{16,}"), HIDDEN),
    (re.compile(r"\beyJ[\w\-]{8,}\.[\w\-]{8,}\.[\w\-]*"), HIDDEN),
    (re.compile(rf"{_PRIVATE_KEY}.*?(?:-----END [A-Z ]*KEY-----|\Z)", re.DOTALL), HIDDEN),
)


def plain(text: str, *, most: int = MOST_CHARACTERS) -> str:
    r"""Return text that a terminal, a table or a page shows as what it is.

    >>> plain("sgd \x1b[2J"), plain("a" * 9, most=4)
    ('sgd \\x1b[2J', 'aaa…')
    """
    if len(text) > most:
        text = f"{text[: most - 1]}…"
    if text.isprintable() and text.isascii():
        return text
    return _UNSAFE.sub(lambda found: ascii(found[0])[1:-1], text)


def cell(value: object) -> object:
    """Return a value that a spreadsheet takes for a value, never for a formula.

    >>> cell("=1+1"), cell("-0.5"), cell(-0.5)
    ("'=1+1", '-0.5', -0.5)
    """
    if not isinstance(value, str) or not value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def whole_number(value: str | None) -> int | None:
    """Return a recorded number of things; None where a record has none, or an absurd one.

    >>> whole_number("60000"), whole_number("many"), whole_number(None)
    (60000, None, None)
    """
    return int(value) if value and len(value) < MOST_DIGITS and value.isdecimal() else None


def without_secrets(text: str) -> str:
    """Return text without passwords, tokens and signed addresses.

    >>> without_secrets("postgresql://ada:secret@db/x password=hunter22")
    'postgresql://***@db/x password=***'
    """
    for secret in _secrets_of_environment():
        text = text.replace(secret, HIDDEN)
    for pattern, instead in _LOOKS_SECRET:
        text = pattern.sub(instead, text)
    return _ASSIGNED.sub(rf"\1{HIDDEN}", text)


def _secrets_of_environment() -> list[str]:
    """Return the values of environment variables with the name of a secret, the longest first.

    Not what may be a common word, as in ``POSTGRES_PASSWORD=postgres``; nor a file or folder, as
    in ``GOOGLE_APPLICATION_CREDENTIALS`` and ``PWD``.
    """
    named = {value for name, value in os.environ.items() if is_secret_name(name)}
    found = (one for one in named if len(one) >= FEWEST_OF_SECRET and not one.isalpha())
    return sorted((one for one in found if not _is_path(one)), key=len, reverse=True)


def _is_path(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # too long for a file's name, or no text of a path at all
        return False


def is_secret_name(name: str) -> bool:
    """Tell whether a setting or tag is by its name something to be hidden.

    >>> is_secret_name("tags.api_key"), is_secret_name("dataset.max_tokens")
    (True, False)
    """
    return _SECRET_NAME.search(name) is not None


def scrub(node: Any, name: str = "") -> Any:
    """Return nested settings without secrets, by their names and by what they look like."""
    if isinstance(node, Mapping):
        return {key: scrub(value, str(key)) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [scrub(value, name) for value in node]
    if isinstance(node, str):
        return HIDDEN if node and is_secret_name(name) else without_secrets(node)
    return node

"""Text of a record as it may be shown: no control characters, no secrets, not endless.

A name can hold commands for a terminal, turn the direction of a line, or be a megabyte long; a
setting can hold a password. HTML is escaped by its template.
"""

import functools
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fitgap.console import MOST_CHARACTERS, escaped, one_line, shortened

MOST_SHOWN = 80  # of a value in a message
MOST_DIGITS = 19  # of a whole number of 64 bits
HIDDEN = "***"
FEWEST_OF_SECRET = 8  # characters of a secret that is hidden wherever it appears
FEWEST_DIGITS = 6  # of a number that is one: shorter ones count something

# A token of a vocabulary is none: Keras's `oov_token` and `mask_token`, and those of transformers.
_OF_VOCABULARY = ("bos", "class", "cls", "end", "eos", "mask", "oov", "pad", "sep", "start", "unk")
_SECRET_NAME = re.compile(
    r"(?i)(^|[._\-/\s]|(?-i:(?<=[a-z])(?=[A-Z]))|(?=password))"
    r"(pass(word|wd|phrase)?|pwd|secrets?|"
    + "".join(f"(?<!{word}_)" for word in _OF_VOCABULARY)
    + r"token|api[_\-]?key|secret[_\-]?key|"
    r"access[_\-]?key([_\-]id)?|private[_\-]?key|credentials?|authorization)"
    r"($|\.(?!(.*\.)?_target_$))"
)
_ASSIGNED = re.compile(
    r"(?i)((?:password|passwd|passphrase|\bpwd|secret|token|api[_\-]?key|secret[_\-]?key|"
    r"access[_\-]?key(?:[_\-]id)?|account[_\-]?key|private[_\-]?key|credentials|authorization)"
    r"[\"']?\s*[:=]\s*)"
    r"(\"[^\"\n]{4,}\"|'[^'\n]{4,}'|[^\s\"',;&()\[\]{}]{4,}(?=[\s\"',;&)\]}]|$))"
)
_IN_QUERIES = r"[\w\-]{0,40}(?:sig|signature|token|credential|secret|password|key)[\w\-]{0,40}"
_PRIVATE_KEY = r"-----BEGIN [A-Z ]*PRIVATE KEY-----"
# No pattern takes longer than the text is long: a difference may hold a line of a megabyte.
_LOOKS_SECRET = (
    (re.compile(r"(?<=://)[^\s/?#\"'@]{0,400}:\S{0,400}@"), f"{HIDDEN}@"),  # user:password@host
    (re.compile(rf"(?i)([?&]{_IN_QUERIES}=)[^&\s\"'#]+"), rf"\1{HIDDEN}"),  # a signed address
    # As curl and other programs take one, and as ~/.netrc has it.
    (re.compile(r"(\bcurl\b[^\n]{0,400}?\s(?:-u|--user)[ =]?)[^\s:]{1,400}:\S+"), rf"\1{HIDDEN}"),
    (
        re.compile(r"(?i)(--(?:password|passwd|token|api-key|secret)\s+)[^\s\-]\S{3,}"),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"(?i)(\blogin\s+\S{1,400}\s+password\s+)\S+"), rf"\1{HIDDEN}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=\-]{12,}"), rf"\1 {HIDDEN}"),
    # Tokens that tell by their beginning what they are: AWS's, GitHub's, GitLab's, Hugging Face's,
    # Slack's, OpenAI's; signed JSON.
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), HIDDEN),
    (re.compile(r"\b(?:gh[pousr]_|github_pat_|glpat-|hf_|xox[abprs]-|sk-)[\w\-]{16,}"), HIDDEN),
    (re.compile(r"\beyJ[\w\-]{8,}\.[\w\-]{8,}\.[\w\-]*"), HIDDEN),
    (re.compile(rf"{_PRIVATE_KEY}.*?(?:-----END [A-Z ]*KEY-----|\Z)", re.DOTALL), HIDDEN),
)

_ESCAPE = re.compile(r"\\(?:[nrt]|x[0-9a-f]{2}|u[0-9a-f]{4})")

_of_settings: set[str] = set()  # of this process; see `remember_secrets`


def plain(text: str, *, most: int = MOST_CHARACTERS) -> str:
    r"""Return text that a terminal, a table or a page shows as what it is.

    >>> plain("sgd \x1b[2J"), plain("a" * 9, most=4)
    ('sgd \\x1b[2J', 'aaa…')
    """
    return escaped(shortened(text, most=most))


def line(text: str, *, most: int = MOST_CHARACTERS) -> str:
    r"""Return text as `plain` does, on one line: a name cannot begin a line of its own.

    Such a line could pass for one of fitgap's, as the command with which a sweep continues.

    >>> line("sgd\nto continue: x"), line("a" * 9, most=4)
    ('sgd\\nto continue: x', 'aaa…')
    """
    return one_line(shortened(text, most=most))


def is_as_recorded(text: str) -> bool:
    r"""Tell whether a text that `line` returned is surely the one that was recorded.

    >>> is_as_recorded("[64, 32]"), is_as_recorded(line("a\nb")), is_as_recorded(line("a" * 20_000))
    (True, False, False)
    """
    return _ESCAPE.search(text) is None and len(text) < MOST_CHARACTERS


def shown(value: object) -> str:
    """Return a value of a record as an error message shows it: on one line, and not too long."""
    return plain(repr(value), most=MOST_SHOWN)


def markdown(text: str) -> str:
    r"""Return text that Markdown shows as it is.

    >>> print(markdown("dense_relu_100 <b> _x_ x_test[1] [a](https://b)"))
    dense_relu_100 &lt;b> \_x\_ x_test[1] [a\](https://b)
    """
    # A bracket alone makes no link.
    marked = re.sub(r"([\\`*|]|\](?=[(\[]))", r"\\\1", text).replace("<", "&lt;")
    # Within a word an underscore is one; the usual names stay readable in the source.
    return re.sub(r"(?<!\w)_|_(?!\w)", r"\_", marked)


def markdown_code(text: str) -> str:
    r"""Return text as code in a line of Markdown, whatever backquotes are in it.

    >>> print(markdown_code("fitgap compare"), markdown_code("a`b"))
    `fitgap compare` `` a`b ``
    """
    text = line(text)
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence, room = "`" * (longest + 1), " " * bool(longest)
    return f"{fence}{room}{text}{room}{fence}"


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
    for secret in sorted(_secrets_of_environment() | _of_settings, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    for pattern, instead in _LOOKS_SECRET:
        text = pattern.sub(instead, text)
    return _ASSIGNED.sub(rf"\1{HIDDEN}", text)


def _secrets_of_environment() -> set[str]:
    """Return the values of environment variables with the name of a secret."""
    named = {v for k, v in os.environ.items() if is_secret_name(k) or k.endswith("_KEY")}
    return {value for value in named if _is_told_from_words(value)}


def _is_told_from_words(value: str) -> bool:
    """Tell whether a secret may be hidden wherever it stands.

    Not what may be a common word, as in ``POSTGRES_PASSWORD=postgres``; nor a file or folder, as
    in ``GOOGLE_APPLICATION_CREDENTIALS`` and ``PWD``.
    """
    return len(value) >= FEWEST_OF_SECRET and not value.isalpha() and not is_existing_path(value)


def is_existing_path(text: str) -> bool:
    """Tell whether a text, however long, is the path of a file or folder that exists."""
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # too long for a file's name, or no text of a path at all
        return False


@functools.lru_cache(maxsize=4096)  # a run asks fifty times for each variable of the environment
def is_secret_name(name: str) -> bool:
    """Tell whether a setting or tag is by its name something to be hidden.

    So is what stands below such a name, but for the class that takes it.

    >>> is_secret_name("tags.api_key"), is_secret_name("dataset.max_tokens")
    (True, False)
    """
    return _SECRET_NAME.search(name) is not None


def scrub(node: Any, name: str = "") -> Any:
    """Return nested settings without secrets, by their names and by what they look like."""
    if isinstance(node, Mapping):
        return {k: scrub(value, f"{name}.{k}" if name else str(k)) for k, value in node.items()}
    if isinstance(node, list | tuple):
        return [scrub(value, name) for value in node]
    if isinstance(node, str):
        return HIDDEN if node and is_secret_name(name) else without_secrets(node)
    return HIDDEN if _is_long_number(node) and is_secret_name(name) else node


def remember_secrets(node: Any) -> None:
    """Have `without_secrets` hide what settings hold under the names of secrets, wherever it is.

    What takes a password may repeat it in the message of an exception.
    """
    hidden = scrub(node)
    waiting = [(node, hidden)]
    while waiting:
        one, shown = waiting.pop()
        if isinstance(one, Mapping):
            waiting += [(value, shown[key]) for key, value in one.items()]
        elif isinstance(one, list | tuple):
            waiting += zip(one, shown, strict=True)
        elif shown == HIDDEN and _is_told_from_words(str(one)):
            _of_settings.add(str(one))


def _is_long_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and len(f"{value:.0f}") >= FEWEST_DIGITS

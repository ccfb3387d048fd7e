"""Rows of text as CSV and as a Markdown table."""

import csv
import io
import re
from collections.abc import Iterable, Sequence

from fitgap.trust.text import cell


def to_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return lines of comma-separated values; None is left empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([cell(value) for value in header])
    writer.writerows([cell(value) for value in row] for row in rows)
    return text.getvalue()


def to_markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    r"""Return a table in the Markdown of GitHub and pandoc; text in it stays text.

    >>> print(to_markdown(["#", "optimizer"], [["1 *", "a|b"]]), end="")
    | # | optimizer |
    |---|---|
    | 1 \* | a\|b |
    """
    lines = [_line(header), "|" + "---|" * len(header), *map(_line, rows)]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    r"""Return text that Markdown shows as it is.

    >>> print(escape("dense_relu_100 <b> _x_"))
    dense_relu_100 &lt;b> \_x\_
    """
    escaped = re.sub(r"([\\\\`*|\[\]])", r"\\\1", text).replace("<", "&lt;")
    # Within a word an underscore is one; the usual names stay readable in the source.
    return re.sub(r"(?<!\w)_|_(?!\w)", r"\_", escaped)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(escape(" ".join(cell.split())) for cell in cells) + " |"

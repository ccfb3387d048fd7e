"""Rows of text as CSV and as a Markdown table."""

import csv
import io
from collections.abc import Iterable, Sequence

from fitgap.trust.text import cell, markdown


def to_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return lines of comma-separated values; None is left empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([cell(value) for value in header])
    writer.writerows([cell(value) for value in row] for row in rows)
    return text.getvalue()


def to_markdown(header: Sequence[str], rows: Iterable[Sequence[str]], *, align: str = "") -> str:
    r"""Return a table in the Markdown of GitHub and pandoc; text in it stays text.

    Parameters
    ----------
    header, rows
        As many cells in each.
    align
        ``l`` or ``r`` for each column, to the left or to the right; empty: all to the left.

    Examples
    --------
    >>> print(to_markdown(["optimizer", "n"], [["a|b *", "3"]], align="lr"), end="")
    | optimizer | n |
    |---|---:|
    | a\|b \* | 3 |
    """
    rule = "".join("---:|" if side == "r" else "---|" for side in align or "l" * len(header))
    lines = [_line(header), f"|{rule}", *map(_line, rows)]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(markdown(" ".join(cell.split())) for cell in cells) + " |"

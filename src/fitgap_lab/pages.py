"""What the lab's programs write into pages of the documentation: tables, versions."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from fitgap import identity


def marks(name: str) -> tuple[str, str]:
    """Return the lines of a page between which a table of this name stands."""
    return f"<!-- {name}: start -->", f"<!-- {name}: end -->"


def replace_table(page: Path, name: str, table: str) -> None:
    """Put a table between its marks of a page."""
    start, end = marks(name)
    text = page.read_text(encoding="utf-8")
    before, after = text.partition(start)[0], text.partition(end)[2]
    page.write_text(f"{before}{start}\n{table}{end}{after}", encoding="utf-8")


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, words: Sequence[int]) -> str:
    """Return rows of plain text as Markdown.

    Parameters
    ----------
    headers, rows
        Cells, as they are to stand in the page.
    words
        The columns, from 0, that hold words; the others hold figures, which stand on the right.

    Examples
    --------
    >>> print(table(["way", "s"], [["fit", "1.5"]], words=[0]))
    | way | s |
    | --- | ---: |
    | fit | 1.5 |
    """
    rule = ["---" if column in words else "---:" for column in range(len(headers))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (headers, rule, *rows))


def versions() -> str:
    """Return the versions of the libraries that do the arithmetic, in a line."""
    return ", ".join(f"{name} {version}" for name, version in identity.versions().items())

"""Run the code of a Markdown page, so that what the page shows is what the code does."""

import doctest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_FENCE = "```"


def code_blocks(markdown: str) -> Iterator[tuple[int, str]]:
    r"""Yield each fenced block of Python and the number of its first line, from 1.

    >>> list(code_blocks("text\n```python\nx = 1\n```\n"))
    [(3, 'x = 1\n')]
    """
    first_line, lines, language = 0, list[str](), None
    for number, line in enumerate(markdown.splitlines(), start=1):
        if not line.startswith(_FENCE):
            lines.append(line)
        elif language is None:
            language, first_line, lines = line.removeprefix(_FENCE), number + 1, []
        else:
            if language == "python":
                yield first_line, "\n".join(lines) + "\n"
            language = None


def run(page: Path) -> dict[str, Any]:
    """Execute a page's blocks of Python in order; what they define is there for later ones.

    A block with prompts (``>>>``) is a doctest: what it prints must be what the page shows.

    Returns
    -------
    dict
        What the page has defined.

    Raises
    ------
    AssertionError
        With the page's line, if an output is not the one shown.
    """
    namespace: dict[str, Any] = {"__name__": page.stem}
    parser = doctest.DocTestParser()
    for first_line, block in code_blocks(page.read_text(encoding="utf-8")):
        if ">>>" not in block:
            # Newlines before the block make the lines of a traceback those of the page.
            code = compile("\n" * (first_line - 1) + block, str(page), "exec")
            exec(code, namespace)  # noqa: S102 - the page is our own
            continue
        test = parser.get_doctest(block, namespace, page.name, str(page), first_line - 1)
        failures: list[str] = []
        doctest.DocTestRunner(verbose=False).run(test, out=failures.append, clear_globs=False)
        if failures:
            raise AssertionError("".join(failures))
        namespace.update(test.globs)  # a doctest works on a copy
    return namespace

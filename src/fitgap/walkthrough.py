"""Run the code of a Markdown page, and draw the pictures of docs/HOW_A_NETWORK_LEARNS.md.

The pictures are drawn from what the page itself has computed, so that text, code and pictures
cannot tell different stories.
"""

import doctest
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from fitgap.config import PROJECT_ROOT
from fitgap.figures import BLUE, GREY, ORANGE

PAGE = PROJECT_ROOT / "docs" / "HOW_A_NETWORK_LEARNS.md"

_FENCE = "```"


def code_blocks(markdown: str) -> Iterator[tuple[int, str]]:
    """Yield each fenced block of Python and the number of its first line, from 1.

    >>> list(code_blocks("text\\n```python\\nx = 1\\n```\\n"))
    [(3, 'x = 1\\n')]
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
            exec(code, namespace)  # noqa: S102: the page is this project's own
            continue
        test = parser.get_doctest(block, namespace, page.name, str(page), first_line - 1)
        said: list[str] = []
        doctest.DocTestRunner(verbose=False).run(test, out=said.append, clear_globs=False)
        if said:
            raise AssertionError("".join(said))
        namespace.update(test.globs)  # a doctest works on a copy
    return namespace


def figures(namespace: Mapping[str, Any]) -> dict[str, Figure]:
    """Draw the pictures from what the page has computed, by the names of their files."""
    return {
        "walkthrough_batch": _batch(namespace),
        "walkthrough_slope": _slope(namespace),
        "walkthrough_epoch": _epoch(namespace),
        "walkthrough_probabilities": _probabilities(namespace),
    }


def _batch(page: Mapping[str, Any]) -> Figure:
    figure = Figure(figsize=(8, 2.4))
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.92, hspace=0.35, wspace=0.05)
    for axes, image, label in zip(
        figure.subplots(2, 16).flat, page["images"], page["labels"], strict=False
    ):
        axes.imshow(image, cmap="gray_r")
        axes.set_title(str(label), fontsize=10, pad=3)
        axes.set_axis_off()
    return figure


def _slope(page: Mapping[str, Any]) -> Figure:
    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axes = figure.subplots()
    weight = float(page["K1"][13 * 28 + 14, 0])
    changes = np.linspace(-1.5, 1.5, 61)
    losses = [page["loss_with"](change) for change in changes]
    tangent = page["loss_with"](0) + page["slope"] * changes
    axes.plot(weight + changes, losses, color=BLUE, label="loss of the batch")
    axes.plot(weight + changes, tangent, "--", color=ORANGE, label=f"slope {page['slope']:.4f}")
    axes.plot(weight, page["loss_with"](0), "o", color=GREY, label="where it stands")
    axes.set(xlabel="weight from pixel (13, 14) to unit 0", ylabel="loss")
    axes.legend(frameon=False)
    return figure


def _epoch(page: Mapping[str, Any]) -> Figure:
    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.plot(range(1, len(page["losses"]) + 1), page["losses"], color=BLUE, linewidth=1)
    axes.axhline(np.log(10), color=GREY, linestyle="--", label="guessing: log 10")
    axes.set(xlabel="batch", ylabel="loss before its update", ylim=(0, None))
    axes.legend(frameon=False)
    return figure


def _probabilities(page: Mapping[str, Any]) -> Figure:
    figure = Figure(figsize=(8, 2.8), layout="constrained")
    picture, before, after = figure.subplots(1, 3, width_ratios=(1, 2, 2))
    image, label = page["images"][0], int(page["labels"][0])
    picture.imshow(image, cmap="gray_r")
    picture.set_title(f"label {label}")
    picture.set_axis_off()
    learned = page["network"].predict(page["images"][:1])[0]
    for axes, title, shown in (
        (before, "initial weights", page["probabilities"][0]),
        (after, "after one epoch", learned),
    ):
        colours = [ORANGE if digit == label else BLUE for digit in range(10)]
        axes.bar(range(10), shown, color=colours)
        axes.set(title=title, xlabel="class", ylabel="probability", ylim=(0, 1))
        axes.set_xticks(range(10))
    return figure

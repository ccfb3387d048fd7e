"""What a person sees of a run while it trains: a bar in a terminal or notebook, else lines."""

import html
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fitgap.console import say
from fitgap.evaluation.figures import figure_text
from fitgap.training.events import Observer, Start

_EPOCH = re.compile(r"epoch (?P<number>\d+)/(?P<total>\d+)  (?P<text>.*)")


def observer(*, quiet: bool) -> Observer:
    """Return what shows a run's epochs where the process is.

    Parameters
    ----------
    quiet
        Show nothing: in a sweep, where several runs share the terminal, each has its one line
        at the end.
    """
    if quiet:
        return Observer()
    if is_notebook():
        return NotebookBar()
    return TerminalBar() if sys.stdout.isatty() else Lines()


def is_notebook() -> bool:
    """Tell whether this process is a notebook's kernel, which shows more than text."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel")


@contextmanager
def nothing_displayed() -> Iterator[None]:
    """Keep a notebook from showing the empty output that Keras's summary leaves there."""
    if not is_notebook():
        yield
        return
    from IPython.utils.capture import capture_output

    with capture_output(stdout=False, stderr=False, display=True):
        yield


class Lines(Observer):
    """A line per epoch."""

    def on_start(self, start: Start) -> None:
        """Say after which epoch an interrupted run continues."""
        self._start, self._began = start, time.perf_counter()
        if start.done:
            say(f"continues after epoch {start.done} of {start.epochs}")

    def on_epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Print an epoch's line, unless that was done before an interruption."""
        if number > self._start.done:
            each = (time.perf_counter() - self._began) / (number - self._start.done)
            self._show(
                number, f"{figures(metrics)}  {each * (self._start.epochs - number):.0f} s left"
            )

    def _show(self, number: int, text: str) -> None:
        say(f"epoch {number}/{self._start.epochs}  {text}")


class NotebookBar(Lines):
    """One bar below the cell, which moves on."""

    def on_start(self, start: Start) -> None:
        """Show an empty bar, once there is something to show."""
        super().on_start(start)
        self._shown = Display()

    def _show(self, number: int, text: str) -> None:
        self._shown.bar(number, self._start.epochs, text)


class Display:
    """One output of a notebook's cell, which is replaced by what comes later."""

    def __init__(self) -> None:
        self._handle: Any = None

    def bar(self, number: int, total: int, text: str) -> None:
        """Show how many epochs are done, and a text beside the bar."""
        self._show(
            {
                "text/plain": f"epoch {number}/{total}  {text}",
                "text/html": f"<div>epoch {number}/{total} <progress value='{number}' "
                f"max='{total}'></progress> {html.escape(text)}</div>",
            }
        )

    def _show(self, forms: dict[str, str]) -> None:
        from IPython.display import display

        if self._handle is None:
            self._handle = display(forms, raw=True, display_id=True)
        else:
            self._handle.update(forms, raw=True)


class Relay:
    """Shows the lines of a run that another process trains: in a notebook, epochs as a bar."""

    def __init__(self) -> None:
        self._bar = Display() if is_notebook() else None

    def show(self, line: str) -> None:
        """Show a line that `Lines`, or a sweep, printed there."""
        epoch = _EPOCH.fullmatch(line)
        if self._bar is None or epoch is None:
            say(line)
        else:
            self._bar.bar(int(epoch["number"]), int(epoch["total"]), epoch["text"])


class TerminalBar(Observer):
    """One bar in a terminal, with the last epoch's figures."""

    def on_start(self, start: Start) -> None:
        """Show the bar."""
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        if start.done:
            say(f"continues after epoch {start.done} of {start.epochs}")
        self._bar = Progress(
            TextColumn("epoch"),
            MofNCompleteColumn(),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[figures]}", markup=False),
            TimeRemainingColumn(),
        )
        self._task = self._bar.add_task(
            start.name, total=start.epochs, completed=start.done, figures="compiling"
        )
        self._bar.start()

    def on_epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Move the bar on."""
        self._bar.update(self._task, completed=number, figures=figures(metrics))

    def on_end(self, metrics: Mapping[str, float] | None, step: int) -> None:
        """Leave the bar as it is."""
        del metrics, step
        self._bar.stop()


def figures(metrics: Mapping[str, float]) -> str:
    """Return an epoch's figures in one short phrase: loss, primary metric, its gap.

    The exact validation figures where there are any, else the exact training figures, else the
    running averages.

    >>> figures({"val/loss": 0.5, "val/accuracy": 0.75, "gap/loss": 0.25, "gap/accuracy": 0.125})
    'val loss 0.5000 acc 0.7500  gap +0.1250'
    """
    parts: dict[str, dict[str, float]] = {}
    for key, value in metrics.items():
        part, _, name = key.partition("/")
        parts.setdefault(part, {})[name] = value
    part = next(name for name in ("val", "train", "running") if name in parts)
    scores = parts[part]
    text = f"{part} loss {figure_text(scores['loss'])}"
    if (name := _primary(scores)) != "loss":
        text += f" {'acc' if name == 'accuracy' else name} {figure_text(scores[name])}"
    if part == "val" and (gaps := parts.get("gap")):
        text += f"  gap {figure_text(gaps[_primary(gaps)], sign='+')}"
    return text


def _primary(scores: Mapping[str, float]) -> str:
    """Return the metric that is shown besides the loss; the loss if there is none."""
    return next((name for name in scores if name != "loss"), "loss")

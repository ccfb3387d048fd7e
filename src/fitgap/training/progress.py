"""What a person sees of a run while it trains: a bar in a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from fitgap.training.loop import Epoch


class Observer(Protocol):
    """Hears of each epoch as it ends."""

    def __call__(self, epoch: "Epoch") -> None:
        """Take notice of an epoch's figures."""


@contextmanager
def show(name: str, *, epochs: int, done: int, quiet: bool) -> Iterator[Observer]:
    """Show a run's epochs until the block is left.

    Parameters
    ----------
    name
        Of the run.
    epochs
        How many there will be at most.
    done
        How many of them an interrupted run had behind it.
    quiet
        Show nothing: in a sweep, where several runs share the terminal, each has its one line
        at the end.
    """
    if done and not quiet:
        print(f"goes on after epoch {done} of {epochs}", flush=True)
    if quiet:
        yield lambda _: None
    elif sys.stdout.isatty():
        with _bar(name, epochs, done) as observer:
            yield observer
    else:
        started = time.perf_counter()
        yield lambda epoch: print(
            _line(epoch, epochs, (time.perf_counter() - started) / (epoch.number - done)),
            flush=True,
        )


@contextmanager
def _bar(name: str, epochs: int, done: int) -> Iterator[Observer]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("epoch"),
        MofNCompleteColumn(),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[figures]}", markup=False),
        TimeRemainingColumn(),
    ) as bar:
        task = bar.add_task(name, total=epochs, completed=done, figures="compiling")
        yield lambda epoch: bar.update(task, completed=epoch.number, figures=figures(epoch))


def _line(epoch: "Epoch", epochs: int, seconds_per_epoch: float) -> str:
    left = seconds_per_epoch * (epochs - epoch.number)
    return f"epoch {epoch.number}/{epochs}  {figures(epoch)}  {left:.0f} s left"


def figures(epoch: "Epoch") -> str:
    """Return an epoch's figures in one short phrase: loss, accuracy, gap.

    The exact validation figures where there are any, else the exact training figures, else the
    running averages.
    """
    if epoch.val is not None:
        text = f"val loss {epoch.val.loss:.4f} acc {epoch.val.accuracy:.4f}"
        if epoch.train is not None:
            text += f"  gap {epoch.train.accuracy - epoch.val.accuracy:+.4f}"
        return text
    name, scores = ("train", epoch.train) if epoch.train else ("running", epoch.running)
    return f"{name} loss {scores.loss:.4f} acc {scores.accuracy:.4f}"

"""What a person sees of a run while it trains: a bar in a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from fitgap.evaluation.scores import Scores, gap

if TYPE_CHECKING:
    from fitgap.training.loop import Epoch


class Observer(Protocol):
    """Hears of each epoch as it ends."""

    def __call__(self, epoch: "Epoch") -> None:
        """Take notice of an epoch's figures."""


@contextmanager
def show(
    name: str, *, epochs: int, done: int, quiet: bool, higher_is_better: Collection[str] = ()
) -> Iterator[Observer]:
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
    higher_is_better
        The metrics that are better the higher they are.
    """
    if done and not quiet:
        print(f"goes on after epoch {done} of {epochs}", flush=True)
    if quiet:
        yield lambda _: None
    elif sys.stdout.isatty():
        with _bar(name, epochs, done, higher_is_better) as observer:
            yield observer
    else:
        started = time.perf_counter()
        yield lambda epoch: print(
            _line(
                figures(epoch, higher_is_better=higher_is_better),
                epoch.number,
                epochs,
                (time.perf_counter() - started) / (epoch.number - done),
            ),
            flush=True,
        )


@contextmanager
def _bar(
    name: str, epochs: int, done: int, higher_is_better: Collection[str]
) -> Iterator[Observer]:
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
        yield lambda epoch: bar.update(
            task,
            completed=epoch.number,
            figures=figures(epoch, higher_is_better=higher_is_better),
        )


def _line(text: str, number: int, epochs: int, seconds_per_epoch: float) -> str:
    left = seconds_per_epoch * (epochs - number)
    return f"epoch {number}/{epochs}  {text}  {left:.0f} s left"


def figures(epoch: "Epoch", *, higher_is_better: Collection[str] = ()) -> str:
    """Return an epoch's figures in one short phrase: loss, primary metric, its gap.

    The exact validation figures where there are any, else the exact training figures, else the
    running averages.
    """
    if epoch.val is not None:
        text = f"val {_loss_and_primary(epoch.val)}"
        if epoch.train is not None:
            between = gap(epoch.train, epoch.val, higher_is_better=higher_is_better)
            text += f"  gap {between[_primary(between)]:+.4f}"
        return text
    name, scores = ("train", epoch.train) if epoch.train else ("running", epoch.running)
    return f"{name} {_loss_and_primary(scores)}"


def _primary(scores: Scores) -> str:
    """Return the metric that is told besides the loss; the loss where there is none."""
    return next((name for name in scores if name != "loss"), "loss")


def _loss_and_primary(scores: Scores) -> str:
    name = _primary(scores)
    shown = {"accuracy": "acc"}.get(name, name)
    other = "" if name == "loss" else f" {shown} {scores[name]:.4f}"
    return f"loss {scores.loss:.4f}{other}"

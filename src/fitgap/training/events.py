"""The events of a run, and what follows them: the record, the progress line, pruning, loggers.

A run begins, ends epochs, and ends. A class that follows it is an `Observer`; observers do not
change what is trained.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Start:
    """What is known about a run when it begins.

    Attributes
    ----------
    run_id, name
        The id and the name of its MLflow run.
    experiment
        The MLflow experiment.
    epochs
        How many there will be at most.
    done
        How many of them an interrupted run already has; they are reported again.
    settings
        The resolved settings by their dotted names, without secrets.
    folder
        Where reports go in the project folder.
    """

    run_id: str
    name: str
    experiment: str
    epochs: int
    done: int
    settings: Mapping[str, Any]
    folder: Path


class Observer:
    """Is notified of a run's events; a subclass defines methods for those that it needs."""

    def on_start(self, start: Start) -> None:
        """Handle the beginning or the continuation of the run."""

    def on_epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Handle the figures of an epoch.

        Parameters
        ----------
        number
            Of the epoch, from 1.
        metrics
            By the names of the record: ``train/loss``, ``val/accuracy``, ``gap/accuracy``, ... One
            that is undefined is absent.
        """

    def on_end(self, metrics: Mapping[str, float] | None, step: int) -> None:
        """Handle the end of the training.

        Parameters
        ----------
        metrics
            Figures of the saved weights, also on the test partition. None if the run failed or
            was stopped.
        step
            Their step in the record: after the last epoch if they belong to an earlier one.
        """


class Events(Observer):
    """Notifies several observers, in their order."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers
        self._started: list[Observer] = []
        self._is_over = False

    def on_start(self, start: Start) -> None:
        """Notify all observers that the run begins."""
        for observer in self._observers:
            observer.on_start(start)
            self._started.append(observer)

    def on_epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Notify all observers of an epoch."""
        for observer in self._started:
            observer.on_epoch(number, metrics)

    def on_end(self, metrics: Mapping[str, float] | None, step: int) -> None:
        """Notify, once, all observers that were notified of its beginning that the run is over."""
        if not self._is_over:
            self._is_over = True
            for observer in self._started:
                observer.on_end(metrics, step)


@contextmanager
def observed(observers: Sequence[Observer], start: Start) -> Iterator[Events]:
    """Notify observers of a run within the block, and of its end even if it fails.

    Parameters
    ----------
    observers
        Notified in this order.
    start
        What is known about the run when it begins.
    """
    events = Events(observers)
    try:
        events.on_start(start)
        yield events
    except BaseException:
        events.on_end(None, 0)
        raise

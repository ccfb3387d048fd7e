"""The events of a run, and who hears of them: the record, the progress line, pruning, loggers.

A run begins, ends epochs, and ends. Whatever wants to follow it is an `Observer`; none of them
changes what is trained.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Start:
    """What is known of a run as it begins.

    Attributes
    ----------
    run_id, name
        Of its MLflow run.
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
    """Hears of a run's events; a subclass takes those that it wants."""

    def on_start(self, start: Start) -> None:
        """Hear that the run begins, or goes on."""

    def on_epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Hear of an epoch's figures.

        Parameters
        ----------
        number
            Of the epoch, from 1.
        metrics
            By the names of the record: ``train/loss``, ``val/accuracy``, ``gap/accuracy``, ... One
            that is undefined is absent.
        """

    def on_end(self, metrics: Mapping[str, float] | None, step: int) -> None:
        """Hear that the training is over.

        Parameters
        ----------
        metrics
            Of the saved weights, test partition included; None where the run failed or was
            stopped.
        step
            At which the record has them: after the last epoch where they are an earlier one's.
        """


class Events(Observer):
    """Tells several observers, in their order."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers
        self._told: list[Observer] = []
        self._is_over = False

    def on_start(self, start: Start) -> None:
        """Tell all that the run begins."""
        for observer in self._observers:
            observer.on_start(start)
            self._told.append(observer)

    def on_epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Tell all of an epoch."""
        for observer in self._told:
            observer.on_epoch(number, metrics)

    def on_end(self, metrics: Mapping[str, float] | None, step: int) -> None:
        """Tell all that heard of the run's beginning that it is over, once."""
        if not self._is_over:
            self._is_over = True
            for observer in self._told:
                observer.on_end(metrics, step)


@contextmanager
def told(observers: Sequence[Observer], start: Start) -> Iterator[Events]:
    """Tell observers of a run within the block, and of its end also where it fails."""
    events = Events(observers)
    try:
        events.on_start(start)
        yield events
    except BaseException:
        events.on_end(None, 0)
        raise

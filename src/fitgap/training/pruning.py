"""Stopping a trial that falls behind: the bounds are the search's, the watching is the run's.

The search hands each trial, with its settings, the value it must reach by each epoch. So a run
needs no access to the search's memory, and is stopped at the same epoch wherever it runs.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from fitgap.evaluation.figures import figure_text
from fitgap.training.events import Observer


class PrunedError(Exception):
    """A run was stopped on purpose, because earlier trials were better at the same epoch."""


def bounds(
    histories: Sequence[Mapping[int, float]], *, epochs: int, startup_trials: int, warmup: int
) -> list[float | None]:
    """Return what a trial must reach by each epoch: the median of earlier trials.

    Parameters
    ----------
    histories
        Of each finished trial, its values by epoch, from 1.
    epochs
        How many a trial has at most.
    startup_trials
        With fewer finished trials, there are no bounds.
    warmup
        Epochs at the start without a bound.

    Returns
    -------
    list
        One per epoch; None where there is none.

    References
    ----------
    The rule is that of Vizier (Golovin et al. 2017) and of Optuna's ``MedianPruner``.
    """
    if len(histories) < startup_trials:
        return [None] * epochs
    found: list[float | None] = []
    for epoch in range(1, epochs + 1):
        values = [h[epoch] for h in histories if not math.isnan(h.get(epoch, math.nan))]
        found.append(None if epoch <= warmup or not values else statistics.median(values))
    return found


class Pruning(Observer):
    """Stops a run that is behind.

    Parameters
    ----------
    pruning
        ``metric``, ``direction`` and ``bounds``; None stops nothing.
    """

    def __init__(self, pruning: Mapping[str, Any] | None) -> None:
        self._pruning = pruning
        self._best = -math.inf

    def on_epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Compare the best figure so far with the epoch's bound.

        Raises
        ------
        PrunedError
            If it is behind. Not where a loss is no number any more: the run has diverged, which
            is worse.
        """
        has_diverged = any(
            name.endswith("/loss") and not math.isfinite(value) for name, value in metrics.items()
        )
        if self._pruning is None or has_diverged:
            return
        metric, limits = self._pruning["metric"], self._pruning["bounds"]
        sign = 1 if self._pruning["direction"] == "maximize" else -1
        value = metrics.get(metric, math.nan)  # absent where it is undefined
        self._best = self._best if math.isnan(value) else max(self._best, sign * value)
        limit = limits[number - 1] if number <= len(limits) else None
        if limit is not None and self._best < sign * limit:
            raise PrunedError(
                f"pruned: {metric} {figure_text(sign * self._best)} by epoch {number} is behind "
                f"the median {figure_text(limit)} of the trials before"
            )

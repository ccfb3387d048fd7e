"""The time that metrics take, printed if it is much: the person decides what to do about it.

Nothing is left out because of a time measured during a run: what it records may not depend on the
machine. Which metrics of `conf/metrics` wait for the end stands in their files.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fitgap.evaluation.metrics import Metric

# More than this share, and longer than this, is worth a word.
HIGH_SHARE, HIGH_SECONDS = 0.1, 10.0


@dataclass
class Spent:
    """Seconds of some epochs, and those that metrics with a pass of their own took of them."""

    epoch_seconds: float = 0.0
    metric_seconds: float = 0.0
    names: Sequence[str] = ()  # of these metrics


def deferred_metrics(metrics: Sequence[Metric]) -> list[str]:
    """Return a line for each metric that its file lets be computed only at the end."""
    return [
        f"{metric.name} takes long and is computed only at the end; "
        f"metrics.{metric.name}.each_epoch=true computes it after each epoch"
        for metric in metrics
        if metric.node.each_epoch is None and not metric.each_epoch
    ]


def say_if_high(spent: Spent, say: Callable[[str], None]) -> None:
    """Say what metrics took, and how one is computed at the end only."""
    seconds = spent.metric_seconds
    if not spent.names or seconds < max(HIGH_SECONDS, HIGH_SHARE * spent.epoch_seconds):
        return
    first = spent.names[0]
    say(
        f"{', '.join(spent.names)} took {seconds / spent.epoch_seconds:.0%} of the epochs' time "
        f"({seconds:.0f} s); +metrics.{first}.each_epoch=false computes {first} only at the end"
    )

"""What runs say of their own metrics: which is the primary one, and which way each is better."""

import functools
import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from fitgap.store import StoredRun

TAG = "fitgap.metrics"
PRIMARY = "accuracy"  # of runs that do not say
# Parts of the names that others give to metrics of which more is better.
_HIGHER = frozenset(
    ("accuracy", "acc", "auc", "score", "f1", "r2", "precision", "recall", "throughput")
)


@dataclass(frozen=True, slots=True)
class KnownMetric:
    """A metric as a run's record describes it.

    Attributes
    ----------
    name
        Without a partition.
    direction
        1 if higher is better, else -1.
    phrase
        What it is, for a reader.
    """

    name: str
    direction: int
    phrase: str = ""


def metrics_of(run: StoredRun) -> tuple[KnownMetric, ...]:
    """Return what a run says of its metrics, the primary one first; nothing in older records."""
    return _read(run.tags.get(TAG, ""))


@functools.lru_cache(maxsize=256)
def _read(text: str) -> tuple[KnownMetric, ...]:
    try:
        return tuple(
            KnownMetric(
                name=str(one["name"]),
                direction=1 if one["direction"] == 1 else -1,
                phrase=str(one.get("phrase", "")),
            )
            for one in json.loads(text or "[]")
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return ()  # another program's tag


def primary_metric(runs: Iterable[StoredRun]) -> str:
    """Return the primary metric of most of some runs, without a partition."""
    first = Counter(known[0].name for run in runs if (known := metrics_of(run)))
    return first.most_common(1)[0][0] if first else PRIMARY


def higher_is_better(metric: str, runs: Iterable[StoredRun] = ()) -> bool:
    """Tell the direction of a metric: what the runs say, and of others' metrics what the name says.

    Parameters
    ----------
    metric
        With its partition, as ``val/accuracy``; a gap is better the smaller it is.
    runs
        Of the record.

    Examples
    --------
    >>> higher_is_better("val/accuracy"), higher_is_better("gap/accuracy"), higher_is_better("mae")
    (True, False, False)
    """
    group, _, quantity = metric.rpartition("/")
    if group in ("gap", "test_gap") or quantity == "loss":
        return False
    for run in runs:
        for known in metrics_of(run):
            if known.name == quantity:
                return known.direction == 1
    return not _HIGHER.isdisjoint(re.split(r"[/_.\s]+", metric))

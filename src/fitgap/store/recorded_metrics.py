"""What runs say of their own metrics: which is the primary one, and which way each is better."""

import functools
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fitgap.store.base import StoredRun
from fitgap.tag_names import METRICS_TAG

PRIMARY = "accuracy"  # of runs that do not say
# Parts of the names that others give to metrics of which more is better.
_HIGHER = frozenset(
    ("accuracy", "acc", "auc", "score", "f1", "r2", "precision", "recall", "throughput")
)
_LOWER = frozenset(("loss", "error", "mae", "mse", "rmse", "gap", "perplexity"))


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
    bounds
        Its least and its largest possible value; None where there is none.
    is_share
        Whether it is a share of the samples, such as an accuracy: then the number of samples says
        how far chance may move it.
    """

    name: str
    direction: int
    phrase: str = ""
    bounds: tuple[float | None, float | None] = (None, None)
    is_share: bool = False

    @property
    def best(self) -> float | None:
        """The value that no network can beat; None where there is none."""
        return self.bounds[1] if self.direction > 0 else self.bounds[0]

    @property
    def worst(self) -> float | None:
        """The value that no network can fall below; None where there is none."""
        return self.bounds[0] if self.direction > 0 else self.bounds[1]


def metrics_of(run: StoredRun) -> tuple[KnownMetric, ...]:
    """Return what a run says of its metrics, the primary one first; nothing in older records."""
    return _read(run.tags.get(METRICS_TAG, ""))


@functools.lru_cache(maxsize=256)
def _read(text: str) -> tuple[KnownMetric, ...]:
    try:
        return tuple(_known(str(one["name"]), one) for one in json.loads(text or "[]"))
    except (ArithmeticError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return ()  # another program's tag


def _known(name: str, one: Mapping[str, Any]) -> KnownMetric:
    low, high = one.get("bounds") or (None, None)
    return KnownMetric(
        name=name,
        direction=1 if one["direction"] == 1 else -1,
        phrase=str(one.get("phrase", "")),
        bounds=(None if low is None else float(low), None if high is None else float(high)),
        is_share=bool(one.get("is_share", name == PRIMARY)),
    )


def primary_metric(runs: Iterable[StoredRun]) -> str:
    """Return the primary metric of most of some runs, without a partition."""
    first = Counter(known[0].name for run in runs if (known := metrics_of(run)))
    return first.most_common(1)[0][0] if first else PRIMARY


def known_metric(name: str, runs: Iterable[StoredRun] = ()) -> KnownMetric:
    """Return what is known about a metric: from the records of runs, otherwise from its name.

    Parameters
    ----------
    name
        Without a partition.
    runs
        The first whose record describes the metric decides.
    """
    for run in runs:
        for known in metrics_of(run):
            if known.name == name:
                return known
    if name == PRIMARY:
        return KnownMetric(name, 1, bounds=(0.0, 1.0), is_share=True)
    return KnownMetric(name, 1 if _has_word_of(_HIGHER, name) else -1)


def _has_word_of(words: frozenset[str], name: str) -> bool:
    return not words.isdisjoint(re.split(r"[/_.\s]+", name))


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
    known = known_metric(quantity, runs)
    return known.direction > 0 or _has_word_of(_HIGHER, group)


def direction_is_known(metric: str, runs: Iterable[StoredRun]) -> bool:
    """Tell whether it is known which direction of a metric is better, from its name or from runs.

    Parameters
    ----------
    metric
        With its partition.
    runs
        Whose records may describe the metric.

    Examples
    --------
    >>> direction_is_known("val/loss", []), direction_is_known("val/novelty", [])
    (True, False)
    """
    if _has_word_of(_HIGHER | _LOWER, metric):
        return True
    name = metric.rpartition("/")[2]
    return any(known.name == name for run in runs for known in metrics_of(run))

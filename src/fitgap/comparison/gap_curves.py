"""The gap of each group explained: verdict, the epoch from which it opens, the Pareto front.

Reads the curves that verdicts need; the arithmetic is `fitgap.comparison.verdicts`.
"""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from fitgap import store
from fitgap.comparison.estimates import Estimate
from fitgap.comparison.groups import Group, Section
from fitgap.comparison.verdicts import Curve, Verdict, beats, curve_over_seeds, judge, pareto_front
from fitgap.store import EPOCHS, Histories
from fitgap.store.recorded_metrics import KnownMetric


@dataclass(frozen=True, slots=True)
class Explained:
    """What the curves show about a group's gap.

    Attributes
    ----------
    verdict
        None without a validation partition, and of one run where only an accuracy, whose scatter
        follows from the number of images, has an interval.
    epoch
        Of the lowest validation loss, over the runs: from there on the gap in loss opens.
    on_front
        Whether no other group has both a better validation figure and a smaller gap.
    """

    verdict: Verdict | None
    epoch: Estimate | None
    on_front: bool


def explain(section: Section, *, uri: str, limit: int | None = None) -> list[Explained]:
    """Explain the gaps of a section's groups, in their order.

    Parameters
    ----------
    section
        Of a comparison.
    uri
        Where its runs' curves are.
    limit
        How many groups, from the first; None is all. The front is that of all groups anyway.
    """
    groups = section.groups[:limit]
    histories = store.metric_histories(
        uri,
        run_ids=[run.run_id for group in groups for run in group.runs],
        keys=["val/loss", EPOCHS],
    )
    return explain_from(section, histories, limit=limit)


def explain_from(
    section: Section, histories: Histories, *, limit: int | None = None
) -> list[Explained]:
    """Explain the gaps of a section's groups; like `explain`, from histories that were read before.

    Parameters
    ----------
    section
        Of a comparison.
    histories
        ``val/loss`` and `EPOCHS` of each run, by step.
    limit
        How many groups, from the first; None is all.
    """
    front = front_of(section)
    metric = section.known(section.metric)
    figures = (group.metrics.get(f"val/{metric.name}") for group in section.groups)
    best = max(
        (found for found in figures if found is not None and _has_interval(found, metric)),
        key=lambda found: metric.direction * found.mean,
        default=None,
    )
    return [
        Explained(
            verdict=_verdict(group, histories, metric=metric, best=best, images=section.images),
            epoch=group.metrics.get("best_epoch"),
            on_front=i in front,
        )
        for i, group in enumerate(section.groups[:limit])
    ]


def front_of(section: Section, metric: str = "") -> frozenset[int]:
    """Return the positions of the groups that no other beats in both validation figure and gap.

    One that is not shown to beat the baseline has no gap because it learned nothing: it is left
    out.

    Parameters
    ----------
    section
        Of a comparison.
    metric
        Whose figures, without a partition; none is the one that the section is about.
    """
    known = section.known(metric or section.metric)

    def score(group: Group) -> float:
        found = group.metrics.get(f"val/{known.name}")
        if found is None or not beats(
            found,
            _baseline(group, known),
            metric=known,
            images=section.images.get("val") or sys.maxsize,
        ):
            return math.nan
        return known.direction * found.mean

    return pareto_front(
        [(score(group), mean_of(group, f"gap/{known.name}")) for group in section.groups]
    )


def _baseline(group: Group, metric: KnownMetric) -> float | None:
    found = mean_of(group, f"baseline/{metric.name}")
    return found if math.isfinite(found) else None


def mean_of(group: Group, metric: str) -> float:
    """Return a metric's mean over the runs, NaN if none has it.

    Parameters
    ----------
    group
        Over whose runs the mean is.
    metric
        With its partition.
    """
    return group.metrics[metric].mean if metric in group.metrics else math.nan


def curve_of(group: Group, metric: str, histories: Histories) -> Curve:
    """Return a metric by epoch, over a group's runs.

    Parameters
    ----------
    group
        Its runs are averaged at each epoch.
    metric
        With its partition, such as ``val/loss``.
    histories
        Of all runs of the group, by step.
    """
    return curve_over_seeds([_by_epoch(histories[run.run_id], metric) for run in group.runs])


def _by_epoch(history: dict[str, dict[int, float]], metric: str) -> dict[int, float]:
    """Return a metric by epoch, without the saved weights' figures a step after the last one."""
    values, epochs = history.get(metric, {}), history.get(EPOCHS)
    return values if epochs is None else {e: value for e, value in values.items() if e in epochs}


def _has_interval(found: Estimate, metric: KnownMetric) -> bool:
    """Whether runs, or the number of images alone, say how far chance may move a figure."""
    return math.isfinite(found.mean) and (found.low is not None or metric.is_share)


def _verdict(
    group: Group,
    histories: Histories,
    *,
    metric: KnownMetric,
    best: Estimate | None,
    images: Mapping[str, int],
) -> Verdict | None:
    needed = tuple(f"{part}/{metric.name}" for part in ("gap", "train", "val"))
    if (
        best is None
        or not images.get("val")
        or not all(math.isfinite(mean_of(group, key)) for key in needed)
    ):
        return None
    gap, train, val = (group.metrics[key] for key in needed)
    if not _has_interval(gap, metric):
        return None
    lowest = [
        min(values.values())
        for run in group.runs
        if (values := _by_epoch(histories[run.run_id], "val/loss"))
    ]
    # Means over the seeds, of both: one seed with a loss near zero must not decide.
    base = fmean(lowest) if lowest else math.nan
    rise = mean_of(group, "val/loss") / base - 1 if base > 0 else 0.0
    loss = curve_of(group, "val/loss", histories)
    return judge(
        gap,
        metric=metric,
        train=train,
        val=val,
        best=best,
        images=images["val"],
        train_images=images.get("train"),
        loss=loss,
        rise=rise,
        baseline=_baseline(group, metric),
    )

"""The effect of each remedy against overfitting: changes from the baseline, within replicates.

The same replicate gives baseline and remedy the same split and batch order, so that much of what
scatters between replicates cancels out in their difference.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from fitgap.comparison.estimates import CONFIDENCE, Estimate, estimate, estimate_over_splits
from fitgap.comparison.replicates import grouped, overlap_of, split_of
from fitgap.comparison.sweep_results import require_validation
from fitgap.errors import RequestError
from fitgap.evaluation.figures import figure_text
from fitgap.store import StoredRun
from fitgap.store.recorded_metrics import KnownMetric, known_metric, primary_metric
from fitgap.trust import text_tables
from fitgap.trust.text import markdown

BASELINE = "none"
RULE = (
    "The largest gain on validation data first; remedies that are shown to be worse there come "
    "last. A smaller gap alone is no gain: a network that learns less has one, too."
)
SETTING = "remedy"  # that such a sweep varies
START = "train sweep=remedies"  # after the program's name
# Accuracies count images: over a few seeds their differences can be equal by chance, and a
# spread of nothing is then no certainty. Below this share of the baseline's figure they are equal
# but for float32's rounding.
NO_SPREAD = 1e-6


@dataclass(frozen=True, slots=True)
class Effect:
    """A remedy's figures and their changes against the baseline's, over the common replicates.

    Attributes
    ----------
    remedy
        Its name.
    val, gap
        Figures of its own runs, in the units of the metric.
    val_change, gap_change
        Differences to the baseline's run of the same replicate; for the baseline itself zero.
    better
        1 if validation data are shown to fare better than without it, -1 if worse, else 0.
    larger_gap
        1 if the gap is shown to be larger, -1 if smaller, else 0.
    """

    remedy: str
    val: Estimate
    gap: Estimate
    val_change: Estimate
    gap_change: Estimate
    better: int
    larger_gap: int

    @property
    def verdict(self) -> str:
        """What the two intervals say, in a few words."""
        if self.remedy == BASELINE:
            return "baseline"
        if not self.val_change.n:
            return "no finite figures"
        if self.val_change.n == 1:
            return "one replicate: no interval"
        return _VERDICTS[self.better, self.larger_gap]


_VERDICTS = {
    (1, -1): "better, smaller gap",
    (1, 0): "better",
    (1, 1): "better, larger gap",
    (0, -1): "smaller gap",
    (0, 0): "no difference shown",
    (0, 1): "larger gap",
    (-1, -1): "smaller gap, worse",
    (-1, 0): "worse",
    (-1, 1): "worse, larger gap",
}


def _shown_sign(change: Estimate, *, level: float) -> int:
    """Return 1 or -1 where the whole interval lies above or below zero, else 0."""
    if change.low is None or change.high is None:
        return 0
    if change.high - change.low < NO_SPREAD * abs(level):
        return 0
    return (change.low > 0) - (change.high < 0)


@dataclass(frozen=True, slots=True)
class RemedyEffects:
    """What a sweep over remedies has shown.

    Attributes
    ----------
    metric
        The primary metric of the runs, in which all figures are given.
    baseline
        The figures without a remedy.
    effects
        Of the remedies, the largest gain first.
    splits
        Of the data, that the baseline was trained on.
    """

    metric: KnownMetric
    baseline: Effect
    effects: tuple[Effect, ...]
    splits: int = 1

    @property
    def rows(self) -> tuple[Effect, ...]:
        """The baseline, then the remedies."""
        return (self.baseline, *self.effects)


# A remedy's runs, by what baseline and remedy share.
ByReplicate = Mapping[Hashable, StoredRun]


def effects(runs: Mapping[str, ByReplicate]) -> RemedyEffects:
    """Return the effect of every remedy on the runs' primary metric.

    Parameters
    ----------
    runs
        By remedy and replicate; a remedy counts by the replicates that it has in common with the
        baseline. Where they are of several splits, seeds are averaged within each, and an interval
        is over the splits (`fitgap.comparison.estimates.estimate_over_splits`).

    Raises
    ------
    RequestError
        If there is no baseline, no remedy shares a replicate with it, or there are no validation
        figures.
    """
    baseline = runs.get(BASELINE)
    if not baseline:
        raise RequestError(
            f"the sweep has no finished run of remedy={BASELINE}, the baseline; "
            f"there is: {', '.join(runs)}"
        )
    every = [run for of_remedy in runs.values() for run in of_remedy.values()]
    name = primary_metric(every)
    require_validation(name, every, for_what="remedies are judged on")
    metric = known_metric(name, every)
    # Two intervals a row are looked at, of every remedy: all hold at once (Bonferroni).
    confidence = 1 - (1 - CONFIDENCE) / max(2 * (len(runs) - 1), 1)
    overlap = overlap_of(every)
    found = {
        remedy: _effect(
            remedy, own, baseline, metric=metric, confidence=confidence, overlap=overlap
        )
        for remedy, own in runs.items()
        if own.keys() & baseline.keys()
    }
    if len(found) < 2:
        raise RequestError("no remedy has a finished run of a replicate that the baseline has too")
    first = found.pop(BASELINE)
    ranked = sorted(
        found.values(),
        key=lambda one: (one.better < 0, -metric.direction * one.val_change.mean, one.remedy),
    )
    splits = len({split_of(run) for run in baseline.values()})
    return RemedyEffects(metric, first, tuple(ranked), splits)


def _effect(
    remedy: str,
    own: ByReplicate,
    baseline: ByReplicate,
    *,
    metric: KnownMetric,
    confidence: float,
    overlap: float,
) -> Effect:
    common = [replicate for replicate in baseline if replicate in own]
    several = len({split_of(run) for run in baseline.values()}) > 1

    def values(of: ByReplicate, part: str) -> list[float]:
        return [of[replicate].metrics[f"{part}/{metric.name}"] for replicate in common]

    def over_replicates(found: Sequence[float]) -> Estimate:
        if not several:
            return estimate(found, confidence=confidence)
        pairs = grouped(zip(common, found, strict=True), lambda pair: split_of(baseline[pair[0]]))
        by_split = [[value for _, value in of_split] for of_split in pairs.values()]
        return estimate_over_splits(by_split, overlap=overlap, confidence=confidence)

    def change(part: str) -> Estimate:
        pairs = zip(values(own, part), values(baseline, part), strict=True)
        return over_replicates([after - before for after, before in pairs])

    val, gap = change("val"), change("gap")
    level = over_replicates(values(baseline, "val")).mean
    return Effect(
        remedy=remedy,
        val=over_replicates(values(own, "val")),
        gap=over_replicates(values(own, "gap")),
        val_change=val,
        gap_change=gap,
        better=metric.direction * _shown_sign(val, level=level),
        larger_gap=_shown_sign(gap, level=level),
    )


def to_markdown(found: RemedyEffects, *, title: str, missing: int) -> str:
    """Return the table with what a reader must know to believe it.

    Parameters
    ----------
    found
        From `effects`.
    title
        What was trained.
    missing
        Runs of the sweep that have not finished.
    """
    name = found.metric.name
    header = ("remedy", f"Δ val/{name}", f"Δ gap/{name}", f"val/{name}", f"gap/{name}", "n", "")
    rows = []
    for one in found.rows:
        changes = [
            "" if one is found.baseline else change.with_interval(sign="+")
            for change in (one.val_change, one.gap_change)
        ]
        own = (figure_text(one.val.mean), figure_text(one.gap.mean, sign="+"), str(one.val.n))
        rows.append([one.remedy, *changes, *own, one.verdict])
    table = text_tables.to_markdown(header, rows, align="lrrrrrl")
    below = map(markdown, notes(found, missing=missing))
    return "\n".join([f"## {markdown(title)}", "", table, *below, ""])


def notes(found: RemedyEffects, *, missing: int) -> list[str]:
    """Return what a reader must know about the figures, in one or two sentences each.

    Parameters
    ----------
    found
        The effects of the remedies.
    missing
        How many runs of the sweep have not finished.
    """
    wanted = "higher" if found.metric.direction > 0 else "lower"
    phrase = f" ({found.metric.phrase})" if found.metric.phrase else ""
    shared, scope = (
        ("seed", "seeds: it holds for these samples and this split")
        if found.splits == 1
        else (
            "split and seed",
            f"{found.splits} splits, seeds averaged within each, corrected for training sets that "
            "overlap (Nadeau and Bengio): it holds for data like these",
        )
    )
    sentences = [
        f"Changes are in {found.metric.name}{phrase}, of which {wanted} is better, against the "
        f"baseline's run of the same {shared}; in brackets, or half of it behind ±, their interval "
        f"by Student's t over {scope}.",
        RULE,
        f"The intervals of all {len(found.effects)} remedies hold at once (95 %, Bonferroni): "
        "if no remedy has an effect, at most one such table in twenty shows a difference.",
    ]
    if missing:
        sentences.append(f"Runs of the sweep that have not finished and do not count: {missing}.")
    if not_finite := sum(one.val.not_finite for one in found.rows):
        sentences.append(
            f"Runs whose figures are not finite numbers and do not count: {not_finite}."
        )
    return sentences

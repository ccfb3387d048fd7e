"""What each remedy against overfitting brought: changes against the baseline, paired over seeds.

The same seed gives baseline and remedy the same split and batch order, so that much of what
scatters between seeds cancels out in their difference.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fitgap.comparison.estimates import CONFIDENCE, Estimate, estimate
from fitgap.errors import RequestError
from fitgap.store import StoredRun

BASELINE = "none"
RULE = (
    "Largest change in validation accuracy first; remedies whose validation accuracy is shown to "
    "fall come last. A smaller gap alone is no gain: lost training accuracy brings it too."
)
SETTING = "remedy"  # that such a sweep varies
START = "train sweep=remedies"  # after the program's name
# Accuracies count images: over a few seeds their differences can be equal by chance, and a
# spread of nothing is then no certainty. Below this they are equal but for float32's rounding.
NO_SPREAD = 1e-6


@dataclass(frozen=True, slots=True)
class Effect:
    """A remedy's figures and their changes against the baseline's, over the common seeds.

    Attributes
    ----------
    remedy
        Its name.
    val, gap
        ``val/accuracy`` and ``gap/accuracy`` of its own runs, in [0, 1].
    val_change, gap_change
        Differences to the baseline's run of the same seed; for the baseline itself zero.
    """

    remedy: str
    val: Estimate
    gap: Estimate
    val_change: Estimate
    gap_change: Estimate

    @property
    def verdict(self) -> str:
        """What the two intervals say, in a few words."""
        if self.remedy == BASELINE:
            return "baseline"
        if self.val_change.n == 1:
            return "one seed: no interval"
        return _VERDICTS[direction(self.val_change), direction(self.gap_change)]


_VERDICTS = {
    (1, -1): "more accurate, smaller gap",
    (1, 0): "more accurate",
    (1, 1): "more accurate, larger gap",
    (0, -1): "smaller gap",
    (0, 0): "no difference shown",
    (0, 1): "larger gap",
    (-1, -1): "smaller gap, less accurate",
    (-1, 0): "less accurate",
    (-1, 1): "less accurate, larger gap",
}


def direction(change: Estimate) -> int:
    """Return 1 or -1 where the whole interval lies above or below zero, else 0."""
    if change.low is None or change.high is None or change.sd is None or change.sd < NO_SPREAD:
        return 0
    return (change.low > 0) - (change.high < 0)


def effects(runs: Mapping[str, Mapping[int, StoredRun]]) -> list[Effect]:
    """Return the baseline and then every remedy, the largest gain in validation accuracy first.

    Parameters
    ----------
    runs
        By remedy and seed; a remedy counts by the seeds that it has in common with the baseline.

    Raises
    ------
    RequestError
        If there is no baseline, no remedy shares a seed with it, or there are no validation
        figures.
    """
    baseline = runs.get(BASELINE)
    if not baseline:
        raise RequestError(
            f"the sweep has no finished run of remedy={BASELINE}, the baseline; "
            f"there is: {', '.join(runs)}"
        )
    for run in (run for by_seed in runs.values() for run in by_seed.values()):
        if "val/loss" in run.metrics and "gap/accuracy" not in run.metrics:
            raise RequestError(
                f"run {run.run_id} has no gap/accuracy: remedies are told in points of accuracy; "
                "for classes, put accuracy among the metrics"
            )
        if "gap/accuracy" not in run.metrics:
            raise RequestError(
                f"run {run.run_id} has no gap/accuracy: remedies are judged on a validation "
                "partition, which split=none leaves out"
            )
    # Two intervals a row are looked at, of every remedy: all hold at once (Bonferroni).
    confidence = 1 - (1 - CONFIDENCE) / max(2 * (len(runs) - 1), 1)
    found = {
        remedy: _effect(remedy, by_seed, baseline, confidence=confidence)
        for remedy, by_seed in runs.items()
        if by_seed.keys() & baseline.keys()
    }
    if len(found) < 2:
        raise RequestError("no remedy has a finished run of a seed that the baseline has too")
    first = found.pop(BASELINE)
    ranked = sorted(
        found.values(),
        key=lambda one: (direction(one.val_change) < 0, -one.val_change.mean, one.remedy),
    )
    return [first, *ranked]


def _effect(
    remedy: str,
    by_seed: Mapping[int, StoredRun],
    baseline: Mapping[int, StoredRun],
    *,
    confidence: float,
) -> Effect:
    seeds = sorted(by_seed.keys() & baseline.keys())

    def values(metric: str) -> list[float]:
        return [by_seed[seed].metrics[metric] for seed in seeds]

    def changes(metric: str) -> list[float]:
        before = [baseline[seed].metrics[metric] for seed in seeds]
        return [after - b for after, b in zip(values(metric), before, strict=True)]

    val, gap = changes("val/accuracy"), changes("gap/accuracy")
    return Effect(
        remedy=remedy,
        val=estimate(values("val/accuracy")),
        gap=estimate(values("gap/accuracy")),
        val_change=estimate(val, confidence=confidence),
        gap_change=estimate(gap, confidence=confidence),
    )


def to_markdown(found: Sequence[Effect], *, title: str, missing: int) -> str:
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
    lines = [
        f"## {title}",
        "",
        "| remedy | Δ val/accuracy | Δ gap/accuracy | val/accuracy | gap/accuracy | n | |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for one in found:
        is_baseline = one.remedy == BASELINE
        changes = [
            "" if is_baseline else points(change) for change in (one.val_change, one.gap_change)
        ]
        own = f"{one.val.mean:.4f} | {one.gap.mean:+.4f} | {one.val.n}"
        lines.append(f"| {one.remedy} | {' | '.join(changes)} | {own} | {one.verdict} |")
    return "\n".join([*lines, "", *notes(found, missing=missing), ""])


def notes(found: Sequence[Effect], *, missing: int) -> list[str]:
    """Return what a reader must know of the figures, a sentence or two each."""
    number = len(found) - 1
    told = [
        "Changes are in points of accuracy (hundredths), against the baseline's run of the same "
        "seed; in brackets, or half of it behind ±, their interval by Student's t over seeds: it "
        "holds for these images and this split.",
        RULE,
        f"The intervals of all {number} remedies hold at once (95 %, Bonferroni): where none does "
        "anything, a table like this calls any of them different in at most one of twenty cases.",
    ]
    if missing:
        told.append(f"Runs of the sweep that have not finished and do not count: {missing}.")
    return told


def points(change: Estimate, *, short: bool = False) -> str:
    """Return a change in points of accuracy with its interval, or half of its width if ``short``.

    >>> points(estimate([0.01, 0.01, 0.04]))
    '+2.00 [-2.30, +6.30]'
    >>> points(estimate([0.01, 0.01, 0.04]), short=True)
    '+2.00 ± 4.30'
    """
    mean = f"{100 * change.mean:+.2f}"
    if change.low is None or change.high is None:
        return mean
    if short:
        return f"{mean} ± {50 * (change.high - change.low):.2f}"
    return f"{mean} [{100 * change.low:+.2f}, {100 * change.high:+.2f}]"

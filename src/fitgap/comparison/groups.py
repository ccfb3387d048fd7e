"""Groups of runs, ranked: what a comparison is made of.

Runs that differ only in their seed, or in the seed or fold of their split, are one group; groups on
different data, or split by another rule, are never in one ranking. How runs become groups is in
`fitgap.comparison.ranking`; showing them belongs to `fitgap.report.terminal`.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

from fitgap.comparison.estimates import Estimate
from fitgap.comparison.images import MEASURED_ON, PARTITIONS
from fitgap.comparison.search_importances import Search
from fitgap.comparison.ties import AgainstBest
from fitgap.comparison.varying_settings import Setting
from fitgap.store import StoredRun
from fitgap.store.recorded_metrics import (
    KnownMetric,
    direction_is_known,
    higher_is_better,
    known_metric,
)

CHOSEN_BY = "val/"


@dataclass(frozen=True, slots=True)
class Group:
    """Runs that differ only in seed and split, or in all but the settings grouped by.

    Attributes
    ----------
    settings
        Of the settings that differ within the section, those that this group has.
    runs
        By seed; one per seed and split, unless other settings are averaged over.
    metrics
        By name; a metric that no run has is absent.
    against_best
        What the paired test says; None for the best group and for those that are not ranked.
    failed
        How many of its seeds have a FAILED run and no finished one.
    """

    settings: dict[str, Setting]
    runs: tuple[StoredRun, ...]
    metrics: Mapping[str, Estimate]
    against_best: AgainstBest | None = None
    failed: int = 0

    def has_figure(self, metric: str | None) -> bool:
        """Whether any run has a metric as a finite number."""
        found = self.metrics.get(metric or "")
        return found is not None and found.n > 0

    def is_complete(self, metric: str) -> bool:
        """Whether no seed failed and every run has a finite figure, or none at all, of a metric."""
        found = self.metrics.get(metric)
        return not self.failed and (found is None or not found.not_finite)


@dataclass(frozen=True)  # without slots, so that what is asked for each group is kept
class Section:
    """Groups on the same data, split by one rule: one ranking.

    Attributes
    ----------
    dataset, split
        Their names in the settings.
    dataset_digest, split_digest
        What the runs' tags say of the data; empty for runs without, and where there are several
        splits.
    settings
        What else sets this section's data or split apart from the others', as ``split.seed``.
    keys
        The settings that make the groups, in the order of their columns.
    sort
        The metric by which ``groups`` are ranked, best first; None if they are only listed.
    groups
        At least one.
    differing
        All settings that differ; ``keys`` are these unless a person grouped by others.
    images
        By partition (``train``, ``val``, ``test``), where all runs agree and there are any; of
        several splits the fewest.
    splits
        How many there are.
    overlap
        Validation images over training images.
    margin
        Differences within it are of no interest; None where the metric has none.
    primary
        The metric that the runs are about, without a partition.
    """

    dataset: str
    dataset_digest: str
    split: str
    split_digest: str
    settings: dict[str, Setting]
    keys: tuple[str, ...]
    sort: str | None
    groups: tuple[Group, ...]
    differing: tuple[str, ...] = ()
    images: dict[str, int] = field(default_factory=dict)
    splits: int = 1
    overlap: float = 0.0
    margin: float | None = None
    primary: str = "accuracy"

    def is_better_high(self, metric: str) -> bool:
        """Whether higher values of a metric are better, as its runs say."""
        return higher_is_better(metric, (run for group in self.groups for run in group.runs))

    def known(self, name: str) -> KnownMetric:
        """Return what the runs say of a metric, which is named without a partition."""
        return known_metric(name, (run for group in self.groups for run in group.runs))

    def is_share(self, metric: str) -> bool:
        """Whether a metric, named with its partition, is a share of that partition's samples."""
        partition, _, name = metric.partition("/")
        return partition in PARTITIONS and self.known(name).is_share

    @functools.cached_property
    def metric(self) -> str:
        """What texts and pictures are about, without a partition: the metric ranked by, if any.

        Ranked by the loss or by a metric of no partition, it is the runs' primary one.
        """
        partition, _, name = (self.sort or "").partition("/")
        if name and name != "loss" and partition in MEASURED_ON:
            return name
        present = {metric for group in self.groups for metric in group.metrics}
        found = sorted(one.partition("/")[2] for one in present if one.startswith("train/"))
        others = [one for one in found if one != "loss"]
        return self.primary if self.primary in others or not others else others[0]

    @property
    def is_margin_below_grain(self) -> bool:
        """Whether the margin is less than one image of the validation part, so none can show it."""
        images = self.images.get("val") if self.is_share(self.sort or "") else None
        return bool(self.margin and images and self.margin < 1 / images)

    @property
    def averages(self) -> bool:
        """Whether groups hold runs of different settings."""
        return not set(self.differing) <= {*self.keys}

    @functools.cached_property
    def has_winner(self) -> bool:
        """Whether the order is by a metric by which a person may choose.

        That is a figure of validation data of which it is known whether higher is better.
        """
        if self.sort is None or not self.sort.startswith(CHOSEN_BY):
            return False
        return direction_is_known(self.sort, (run for group in self.groups for run in group.runs))


@dataclass(frozen=True, slots=True)
class Comparison:
    """Groups ranked on each data and split.

    Attributes
    ----------
    sections
        Most runs first.
    notes
        What a reader must know to believe them.
    metrics
        Those asked for; none: the usual ones in a table, all of them elsewhere.
    searches
        Of the experiment.
    """

    sections: tuple[Section, ...]
    notes: tuple[str, ...]
    metrics: tuple[str, ...] = ()
    searches: tuple[Search, ...] = ()

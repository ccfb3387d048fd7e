"""What the runs say of each group against the first of a ranking: worse, equivalent, undecided.

The first was picked by the same runs, so every interval holds for all pairs of groups at once: in
95 of 100 rankings no group at all is wrongly called worse. The groups that are not called worse are
a confidence set of the best.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from scipy.special import ndtri, polygamma

from fitgap.comparison.estimates import (
    CONFIDENCE,
    SEEDS,
    SPLITS,
    half_width_of,
    standard_deviation,
    t_quantile,
)
from fitgap.comparison.estimates import IMAGES as AND_IMAGES
from fitgap.comparison.replicates import split_of
from fitgap.comparison.significance import NO_SPREAD, ROUNDING, Paired, paired
from fitgap.store import StoredRun

ALPHA = 1 - CONFIDENCE
POWER = 0.8  # with which the smallest difference that runs could show is meant
MOST_REPLICATES = 200  # nobody runs more; beyond that "no number of them" is the answer
MARGIN = 0.005  # half a point of accuracy
WORSE, EQUIVALENT, UNDECIDED = "worse", "equivalent", "undecided"

# A run's pair: what it shares with one run of the other group, its seed above all.
BlockOf = Callable[[StoredRun], Hashable]


@dataclass(frozen=True, slots=True)
class AgainstBest:
    """A group held against the first one, on the metric of the ranking.

    Attributes
    ----------
    common
        Replicates (with other settings averaged over: combinations of those and replicates) that
        both have.
    difference
        First minus this group over them, with the interval that holds for all pairs of the ranking
        at once; its p is of these two alone. None for fewer than two.
    word
        `WORSE`: the whole interval says that the first is better. `EQUIVALENT`: it lies within the
        margin. `UNDECIDED` otherwise. None where nothing can be tested.
    covers
        What the interval takes in: `fitgap.comparison.estimates.SEEDS`, ``IMAGES`` or ``SPLITS``.
    splits
        How many splits the common replicates are of.
    outperforms
        How probably the first beats this group on a new replicate; None where nothing is tested.
    smallest
        The difference that so many replicates would show four times in five; None likewise.
    error
        Standard error of the difference.
    needed
        How many replicates (splits, where there are several) in all would likely decide: None if
        it is decided, `math.inf` if no number of them would.
    """

    common: int
    difference: Paired | None
    word: str | None = None
    covers: str = SEEDS
    splits: int = 1
    outperforms: float | None = None
    smallest: float | None = None
    error: float | None = None
    needed: float | None = None

    @property
    def is_tie(self) -> bool | None:
        """Whether this group may be the best; None where that cannot be tested."""
        return None if self.word is None else self.word != WORSE


@dataclass(frozen=True, slots=True)
class Terms:
    """By what groups are held against the first.

    Attributes
    ----------
    metric, higher_is_better
        What is ranked by.
    block_of
        Gives what the two runs of a pair share.
    margin
        Differences within it are of no interest; None: no group is called equivalent.
    overlap
        Validation images over training images, for several splits.
    images
        On which the metric, an accuracy, was measured; None where it is none, or where the
        question is about these images only.
    these_images
        Whether splits, too, are taken as given: the interval is over seeds only.
    """

    metric: str
    higher_is_better: bool
    block_of: BlockOf
    margin: float | None = None
    overlap: float = 0.0
    images: int | None = None
    these_images: bool = False


@dataclass(frozen=True, slots=True)
class _Differences:
    """Paired differences, first minus other: one per unit (a split, or a seed of one split)."""

    units: dict[Hashable, float]
    common: int
    splits: int
    over_splits: bool
    image_variance: float


def against_best(groups: Sequence[Sequence[StoredRun]], terms: Terms) -> list[AgainstBest | None]:
    """Hold every group's runs against the first group's.

    Parameters
    ----------
    groups
        The runs of each, the best group first.
    terms
        By what.

    Returns
    -------
    list
        One per group; None for the first itself.

    Notes
    -----
    Of each pair the variance of its differences counts, or where that is larger one shrunk towards
    the variance of all (Smyth 2004, with half the prior degrees of freedom): two or three
    differences agree by chance too often. Bonferroni's correction over all ordered pairs. Among the
    procedures simulated (docs/LOG.md) this one holds about 5 % for 3 to 200 groups, unequal
    variances included, with the most power.
    """
    if not groups:
        return []
    sign = 1.0 if terms.higher_is_better else -1.0
    cells = [_cells(runs, terms) for runs in groups]
    differences = [_differences(cells[0], other, terms) for other in cells[1:]]
    pooled, prior = _pooled(cells, terms)
    pairs = max(len(groups) * (len(groups) - 1), 1)
    confidence = 1 - 2 * ALPHA / pairs
    return [
        None,
        *(
            _claim(found, terms, sign=sign, pooled=pooled, prior=prior, confidence=confidence)
            for found in differences
        ),
    ]


def by_block(runs: Sequence[StoredRun], *, metric: str, block_of: BlockOf) -> dict[Hashable, float]:
    """Return the mean of a metric in each block, of the runs that have it as a finite number."""
    values: dict[Hashable, list[float]] = {}
    for run in runs:
        if math.isfinite(value := run.metrics.get(metric, math.nan)):
            values.setdefault(block_of(run), []).append(value)
    return {block: math.fsum(found) / len(found) for block, found in values.items()}


def flattery(section_size: int, standard_error: float) -> float:
    """Return by how much, at most, the best of so many equal groups looks better than it is.

    Parameters
    ----------
    section_size
        Groups that are not told apart, the first among them.
    standard_error
        Of a difference between two of them.

    Notes
    -----
    The expected largest of k normal numbers (Blom's approximation) times the standard error of one.
    """
    if section_size < 2:
        return 0.0
    largest = float(ndtri((section_size - 0.375) / (section_size + 0.25)))
    return largest * standard_error / math.sqrt(2)


Cells = dict[tuple[Hashable, Hashable], float]  # the metric by split and block


def _cells(runs: Sequence[StoredRun], terms: Terms) -> Cells:
    return by_block(  # type: ignore[return-value]
        runs, metric=terms.metric, block_of=lambda run: (split_of(run), terms.block_of(run))
    )


def _differences(best: Cells, this: Cells, terms: Terms) -> _Differences:
    by_split: dict[Hashable, dict[Hashable, float]] = {}
    for split, block in best:
        if (split, block) in this:
            difference = best[split, block] - this[split, block]
            by_split.setdefault(split, {})[block] = difference
    common = sum(map(len, by_split.values()))
    over_splits = len(by_split) > 1 and not terms.these_images
    units = (
        {split: math.fsum(found.values()) / len(found) for split, found in by_split.items()}
        if over_splits
        else {block: value for found in by_split.values() for block, value in found.items()}
    )
    variance = 0.0
    if terms.images and not over_splits and not terms.these_images and common:
        # How many images only one of both got right is not recorded; at most all errors of both.
        errors = sum(1 - math.fsum(cells.values()) / len(cells) for cells in (best, this) if cells)
        mean = math.fsum(units.values()) / len(units)
        variance = max(errors - mean**2, 0.0) / terms.images
    return _Differences(units, common, len(by_split), over_splits, variance)


def _pooled(groups: Sequence[Cells], terms: Terms) -> tuple[float, float]:
    """Return the variance of a difference over all groups, and what it counts for in degrees.

    Over the groups that have all units, three at least: else there is nothing to learn from.
    """
    tables = []
    for cells in groups:
        splits = {split for split, _ in cells}
        if len(splits) > 1 and not terms.these_images:
            by_split: dict[Hashable, list[float]] = {}
            for (split, _), value in cells.items():
                by_split.setdefault(split, []).append(value)
            tables.append({split: math.fsum(v) / len(v) for split, v in by_split.items()})
        else:
            tables.append({block: value for (_, block), value in cells.items()})
    units = set(tables[0])
    complete = [table for table in tables if set(table) == units]
    k, n = len(complete), len(units)
    if k < 3 or n < 2:
        return 0.0, 0.0
    order = sorted(units, key=repr)
    rows = [[table[unit] for unit in order] for table in complete]
    of_group = [math.fsum(row) / n for row in rows]
    of_unit = [math.fsum(column) / k for column in zip(*rows, strict=True)]
    grand = math.fsum(of_group) / k
    squares = [
        math.fsum((x - mean - of_unit[j] + grand) ** 2 for j, x in enumerate(row))
        for row, mean in zip(rows, of_group, strict=True)
    ]
    pooled = 2 * math.fsum(squares) / ((k - 1) * (n - 1))
    if pooled <= 0:
        return 0.0, 0.0
    floor = NO_SPREAD * pooled
    logs = [math.log(max(square / (n - 1), floor)) for square in squares]
    excess = standard_deviation(logs) ** 2 - float(polygamma(1, (n - 1) / 2))
    most = float((k - 2) * (n - 1))
    prior = min(2 * _inverse_trigamma(excess), most) if excess > 0 else most
    return pooled, prior / 2


def _inverse_trigamma(value: float) -> float:
    found = 0.5 + 1 / value
    for _ in range(30):  # Newton's method (Smyth 2004, appendix)
        trigamma = float(polygamma(1, found))
        found += trigamma * (1 - trigamma / value) / float(polygamma(2, found))
    return found


def _claim(
    found: _Differences,
    terms: Terms,
    *,
    sign: float,
    pooled: float,
    prior: float,
    confidence: float,
) -> AgainstBest:
    values = list(found.units.values())
    n = len(values)
    covers = SPLITS if found.over_splits else AND_IMAGES if found.image_variance else SEEDS
    alone = paired(values)
    if alone is None:
        return AgainstBest(found.common, None, covers=covers, splits=found.splits)
    own = standard_deviation(values) ** 2
    shrunk = (prior * pooled + (n - 1) * own) / (prior + n - 1)
    variance = max(own, shrunk)
    degrees = prior + n - 1
    share = 1 / n + (terms.overlap if found.over_splits else 0.0)
    half_width = half_width_of(
        variance * share,
        degrees=degrees,
        image_variance=found.image_variance,
        confidence=confidence,
    )
    difference = Paired(alone.mean, alone.mean - half_width, alone.mean + half_width, alone.p, n)
    largest = max(map(abs, values))
    if variance <= (NO_SPREAD * largest) ** 2 and largest > ROUNDING:
        # The same difference every time says that figures are coarse, not that it is certain.
        return AgainstBest(found.common, difference, covers=covers, splits=found.splits)
    low, high = sorted((sign * difference.low, sign * difference.high))
    margin = terms.margin
    word = (
        WORSE
        if low > 0
        else EQUIVALENT
        if margin is not None and -margin < low and high < margin
        else UNDECIDED
    )
    error = math.sqrt(variance * share + found.image_variance)
    needed = None
    if word == UNDECIDED:
        needed = _needed(
            abs(difference.mean),
            variance,
            image_variance=found.image_variance,
            overlap=terms.overlap if found.over_splits else 0.0,
            degrees_per_unit=degrees / max(n - 1, 1),
            confidence=confidence,
            margin=margin,
            start=n,
        )
    return AgainstBest(
        common=found.common,
        difference=difference,
        word=word,
        covers=covers,
        splits=found.splits,
        outperforms=_probability(sign * difference.mean, variance, n=n, degrees=degrees),
        smallest=half_width + t_quantile(degrees, 2 * POWER - 1) * error,
        error=error,
        needed=needed,
    )


def _probability(mean: float, variance: float, *, n: int, degrees: float) -> float:
    """Return how probably the next difference is positive (predictive, Student's t)."""
    from scipy.special import stdtr

    spread = math.sqrt(variance * (1 + 1 / n))
    if not spread:
        return 0.5 if not mean else float(mean > 0)
    return float(stdtr(degrees, mean / spread))


def _needed(
    mean: float,
    variance: float,
    *,
    image_variance: float,
    overlap: float,
    degrees_per_unit: float,
    confidence: float,
    margin: float | None,
    start: int,
) -> float:
    """Return how many units would likely decide, if the difference is as large as it looks."""
    for n in range(start + 1, MOST_REPLICATES + 1):
        degrees = degrees_per_unit * (n - 1)
        part = variance * (1 / n + overlap)
        half_width = half_width_of(
            part, degrees=degrees, image_variance=image_variance, confidence=confidence
        )
        likely = t_quantile(degrees, 2 * POWER - 1) * math.sqrt(part + image_variance)
        if mean > half_width + likely or (margin and mean + half_width + likely < margin):
            return n
    return math.inf

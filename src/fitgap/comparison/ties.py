"""Each group compared with the first of a ranking: worse, equivalent or undecided.

The first was picked by the same runs, so every interval holds for all pairs of groups at once: in
95 of 100 rankings no group at all is wrongly called worse. The groups that are not called worse are
a confidence set of the best.
"""

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fitgap.comparison.distributions import ndtri, stdtr
from fitgap.comparison.estimates import (
    CONFIDENCE,
    IMAGES,
    SEEDS,
    SPLITS,
    half_width_of,
    standard_deviation,
    t_quantile,
)
from fitgap.comparison.paired_differences import (
    BlockOf,
    Differences,
    RightOf,
    differences_of,
    figures_of,
    units_of,
)
from fitgap.comparison.shrunken_variance import Prior, prior_of
from fitgap.comparison.significance import NO_SPREAD, ROUNDING, Paired, paired
from fitgap.store import StoredRun

ALPHA = 1 - CONFIDENCE
POWER = 0.8  # with which the smallest difference that runs could show is meant
MOST_REPLICATES = 200  # nobody runs more; beyond that "no number of them" is the answer
MARGIN = 0.005  # half a point of accuracy
WORSE, EQUIVALENT, UNDECIDED = "worse", "equivalent", "undecided"

MOST_BY_IMAGE = 50  # groups whose recorded predictions are read


@dataclass(frozen=True, slots=True)
class AgainstBest:
    """A group compared with the first one, on the metric of the ranking.

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
        it is decided or ``favours_this``, `math.inf` if no number of them would.
    favours_this
        Whether the whole interval says that this group is better. It ranks later all the same: a
        run of it failed, or the two do not have the same replicates.
    by_image
        Whether what the number of images leaves open is of recorded predictions, paired image by
        image; else, if ``covers`` says images at all, it is a bound.
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
    by_image: bool = False
    favours_this: bool = False

    @property
    def is_tie(self) -> bool | None:
        """Whether this group may be the best; None where that cannot be tested."""
        return None if self.word is None else self.word != WORSE


@dataclass(frozen=True, slots=True)
class Terms:
    """The rule by which groups are compared with the first.

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
    right_of
        Which validation images a run got right, None where it does not say; None: nobody is asked.
    """

    metric: str
    higher_is_better: bool
    block_of: BlockOf
    margin: float | None = None
    overlap: float = 0.0
    images: int | None = None
    these_images: bool = False
    right_of: RightOf | None = None


def against_best(groups: Sequence[Sequence[StoredRun]], terms: Terms) -> list[AgainstBest | None]:
    """Compare every group's runs with those of the first group.

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
    figures = [
        figures_of(
            runs,
            metric=terms.metric,
            block_of=terms.block_of,
            right_of=terms.right_of if terms.images is not None and place < MOST_BY_IMAGE else None,
        )
        for place, runs in enumerate(groups)
    ]
    prior = prior_of(
        [
            units_of(one.values, over_splits=one.splits > 1 and not terms.these_images)
            for one in figures
        ]
    )
    pairs = max(len(groups) * (len(groups) - 1), 1)
    confidence = 1 - 2 * ALPHA / pairs
    differences = (
        differences_of(figures[0], one, images=terms.images, these_images=terms.these_images)
        for one in figures[1:]
    )
    return [None, *(_claim(one, terms, prior=prior, confidence=confidence) for one in differences)]


def selection_bias(num_groups: int, standard_error: float) -> float:
    """Return how much too good the best of several equal groups looks on average, at most.

    Parameters
    ----------
    num_groups
        Groups that the runs cannot distinguish, the first one included.
    standard_error
        Of a difference between two of them.

    Notes
    -----
    The expected largest of k normal numbers (Blom's approximation) times the standard error of one.
    """
    if num_groups < 2:
        return 0.0
    largest = float(ndtri((num_groups - 0.375) / (num_groups + 0.25)))
    return largest * standard_error / math.sqrt(2)


def _claim(found: Differences, terms: Terms, *, prior: Prior, confidence: float) -> AgainstBest:
    values = list(found.units.values())
    n = len(values)
    covers = SPLITS if found.over_splits else IMAGES if found.image_variance else SEEDS
    plain = AgainstBest(
        found.common, None, covers=covers, splits=found.splits, by_image=found.by_image
    )
    overlap = terms.overlap if found.over_splits else 0.0
    alone = paired(values, overlap=overlap)
    if alone is None:
        return plain
    own = standard_deviation(values) ** 2
    variance = max(own, prior.shrunk(own, degrees=n - 1))
    degrees = prior.degrees + n - 1
    part = variance * (1 / n + overlap)
    half_width = half_width_of(
        part, degrees=degrees, image_variance=found.image_variance, confidence=confidence
    )
    difference = Paired(alone.mean, alone.mean - half_width, alone.mean + half_width, alone.p, n)
    plain = replace(plain, difference=difference)
    largest = max(map(abs, values))
    if variance <= (NO_SPREAD * largest) ** 2 and largest > ROUNDING:
        # The same difference every time says that figures are coarse, not that it is certain.
        return plain
    sign = 1.0 if terms.higher_is_better else -1.0
    low, high = sorted((sign * difference.low, sign * difference.high))
    margin = terms.margin
    if low > 0:
        word = WORSE
    elif margin is not None and -margin < low and high < margin:
        word = EQUIVALENT
    else:
        word = UNDECIDED
    error = math.sqrt(part + found.image_variance)
    needed = None
    favours_this = word == UNDECIDED and high < 0
    if word == UNDECIDED and not favours_this:
        needed = _needed(
            abs(difference.mean),
            variance,
            image_variance=found.image_variance,
            overlap=overlap,
            degrees_per_unit=degrees / max(n - 1, 1),
            confidence=confidence,
            margin=margin,
            start=n,
        )
    return replace(
        plain,
        word=word,
        outperforms=_probability(sign * difference.mean, variance, n=n, degrees=degrees),
        smallest=half_width + t_quantile(degrees, 2 * POWER - 1) * error,
        error=error,
        needed=needed,
        favours_this=favours_this,
    )


def _probability(mean: float, variance: float, *, n: int, degrees: float) -> float:
    """Return how probably the next difference is positive (predictive, Student's t)."""
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

    def decide(n: int) -> bool:
        degrees = degrees_per_unit * (n - 1)
        part = variance * (1 / n + overlap)
        half_width = half_width_of(
            part, degrees=degrees, image_variance=image_variance, confidence=confidence
        )
        likely = t_quantile(degrees, 2 * POWER - 1) * math.sqrt(part + image_variance)
        is_equivalent = margin is not None and mean + half_width + likely < margin
        return is_equivalent or mean > half_width + likely

    numbers = range(start + 1, MOST_REPLICATES + 1)
    place = bisect.bisect_left(numbers, True, key=decide)  # more units never decide less
    return numbers[place] if place < len(numbers) else math.inf

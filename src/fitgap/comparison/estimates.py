"""Mean, spread and interval of a few numbers. Only statistics: no runs, no settings."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from fitgap.comparison.distributions import stdtrit
from fitgap.evaluation.figures import decimals_for, figure_text

CONFIDENCE = 0.95
# What an interval takes in: how the figure would differ with other seeds, on other images of the
# same kind, with other splits.
SEEDS, IMAGES, SPLITS = "seeds", "seeds and images", "splits"
# Below this share of the mean a spread is rounding (figures are kept as float32): values are equal.
ROUNDING_SHARE = 1e-7


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a group's runs say about one metric.

    Attributes
    ----------
    mean
        Over the runs that have the metric as a finite number (over several splits: of the splits'
        means); NaN if none has.
    sd
        Sample standard deviation of the runs (n - 1 in the denominator); None for n = 1.
    low, high
        95 % interval of the mean by Student's t; None where there is none: for one value, and where
        all are the same, since a spread of nothing says that figures are coarse, not certain.
    n
        How many values the mean is over.
    not_finite
        How many runs have NaN or infinity for it: a mean over the others flatters the group.
    covers
        What the interval takes in: `SEEDS`, `IMAGES` or `SPLITS`.
    """

    mean: float
    sd: float | None
    low: float | None
    high: float | None
    n: int
    not_finite: int = 0
    covers: str = SEEDS

    @property
    def bounds(self) -> tuple[float, float]:
        """The interval's ends; the mean for both where there is no interval."""
        if self.low is None or self.high is None:
            return self.mean, self.mean
        return self.low, self.high

    @property
    def half_width(self) -> float | None:
        """Half the width of the interval; None where there is none."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    @property
    def is_constant(self) -> bool:
        """Whether several values are all the same except for rounding."""
        return self.sd is not None and self.sd <= ROUNDING_SHARE * abs(self.mean)

    def with_interval(self, *, sign: str = "") -> str:
        """Return the mean with its interval, if it has one.

        Parameters
        ----------
        sign
            ``"+"``: numbers above zero have a sign, too.

        Examples
        --------
        >>> estimate([0.01, 0.01, 0.04]).with_interval(sign="+")
        '+0.0200 [-0.0230, +0.0630]'
        """
        if self.low is None or self.high is None:
            return figure_text(self.mean, sign=sign)
        three = (self.mean, self.low, self.high)
        decimals = decimals_for(three)
        mean, low, high = (figure_text(one, decimals, sign=sign) for one in three)
        return f"{mean} [{low}, {high}]"


def estimate(
    values: Sequence[float], *, image_variance: float = 0.0, confidence: float = CONFIDENCE
) -> Estimate:
    """Return mean, spread and the interval of the mean.

    Parameters
    ----------
    values
        At least one, one per run; those that are not finite are counted, not averaged.
    image_variance
        Variance of the mean that the finite number of images leaves, however many seeds there
        are: p (1 - p) / images for an accuracy p. 0 leaves it out.
    confidence
        Of the interval.

    Notes
    -----
    Half the interval's width is √(t² · sd² / n + z² · image variance) with t the 0.975 quantile of
    Student's distribution with n - 1 degrees of freedom and z that of the normal distribution; see
    `half_width_of`. It assumes that runs of different seeds scatter normally.

    Examples
    --------
    >>> estimate([0.25, 0.5, 0.75]).sd
    0.25
    """
    finite = [value for value in values if math.isfinite(value)]
    n, not_finite = len(finite), len(values) - len(finite)
    if not finite:
        return Estimate(math.nan, None, None, None, 0, not_finite)
    mean = fmean(finite)
    if n == 1:
        return Estimate(mean, None, None, None, 1, not_finite)
    sd = standard_deviation(finite)
    half_width = half_width_of(
        sd**2 / n, degrees=n - 1, image_variance=image_variance, confidence=confidence
    )
    covers = IMAGES if image_variance else SEEDS
    low, high = _around(mean, half_width)
    return Estimate(mean, sd, low, high, n, not_finite, covers)


def estimate_over_splits(
    values: Sequence[Sequence[float]],
    *,
    overlap: float,
    not_finite: int = 0,
    image_variance: float = 0.0,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """Return the mean over splits of the data, with an interval for images like these.

    Parameters
    ----------
    values
        One sequence per split, at least one value in all (one per seed); the seeds of a split are
        averaged first. Those that are not finite are counted, not averaged; what is left of one
        split only has no interval, since its seeds say nothing of other splits.
    overlap
        Validation images over training images.
    not_finite
        Runs that were left out before; see `Estimate`.
    image_variance
        Of a partition that all splits share (the test set): p (1 - p) / images.
    confidence
        Of the interval.

    Notes
    -----
    mean ± t · √((1/J + overlap) · S²) with S² the variance of the J splits' means and J - 1
    degrees of freedom (Nadeau and Bengio 2003).
    """
    runs = [value for split in values for value in split if math.isfinite(value)]
    not_finite += sum(map(len, values)) - len(runs)
    finite = [[value for value in split if math.isfinite(value)] for split in values]
    means = [fmean(split) for split in finite if split]
    if len(means) < 2:
        alone = estimate(means or [math.nan])
        return replace(alone, not_finite=not_finite, covers=SPLITS)
    mean = fmean(means)
    variance = (1 / len(means) + overlap) * standard_deviation(means) ** 2
    half_width = half_width_of(
        variance, degrees=len(means) - 1, image_variance=image_variance, confidence=confidence
    )
    low, high = _around(mean, half_width)
    return Estimate(mean, standard_deviation(runs), low, high, len(runs), not_finite, SPLITS)


def estimate_within_splits(values: Sequence[Sequence[float]], *, not_finite: int = 0) -> Estimate:
    """Return the mean over splits, with an interval that holds for these splits and other seeds.

    The standard deviation within the splits is pooled.

    Parameters
    ----------
    values
        By split, one value per run; at least one run in each.
    not_finite
        How many further runs have no finite value.

    Returns
    -------
    Estimate
        Without bounds if no split has two runs.
    """
    means = [fmean(split) for split in values]
    mean = fmean(means)
    runs = [value for split in values for value in split]
    sd = standard_deviation(runs) if len(runs) > 1 else None
    degrees = len(runs) - len(means)
    if not degrees:
        return Estimate(mean, sd, None, None, len(runs), not_finite)
    squares = math.fsum(
        (value - middle) ** 2
        for split, middle in zip(values, means, strict=True)
        for value in split
    )
    pooled = squares / degrees
    variance = pooled * math.fsum(1 / len(split) for split in values) / len(means) ** 2
    half_width = half_width_of(variance, degrees=degrees)
    low, high = _around(mean, half_width)
    return Estimate(mean, sd, low, high, len(runs), not_finite)


def _around(mean: float, half_width: float) -> tuple[float, float] | tuple[None, None]:
    """Return an interval's ends, or none where its width is nothing but rounding."""
    if half_width <= ROUNDING_SHARE * abs(mean):
        return None, None
    return mean - half_width, mean + half_width


def standard_deviation(values: Sequence[float]) -> float:
    """Return the sample standard deviation of at least two values."""
    mean = fmean(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def half_width_of(
    variance: float,
    *,
    degrees: float,
    image_variance: float = 0.0,
    confidence: float = CONFIDENCE,
) -> float:
    """Return half the width of the interval of a mean.

    Parameters
    ----------
    variance
        Of the mean, estimated with ``degrees`` degrees of freedom.
    image_variance
        A second part of it that is as good as known.
    confidence
        Two-sided.

    Notes
    -----
    √((t · s)² + (z · image s)²): half widths of independent parts add up as squares (Zou and Donner
    2008). Never narrower than Student's interval of the estimated part, unlike Welch and
    Satterthwaite's, which covers .88 where two seeds agree by chance.
    """
    of_seeds = t_quantile(degrees, confidence) ** 2 * variance
    of_images = t_quantile(math.inf, confidence) ** 2 * image_variance
    return math.sqrt(of_seeds + of_images)


@functools.cache  # a large sweep asks for the same one or two of them tens of thousands of times
def t_quantile(degrees: float, confidence: float = CONFIDENCE) -> float:
    """Return the half-width of a two-sided interval by Student's t, in standard errors.

    Parameters
    ----------
    degrees
        Of freedom; infinity gives the normal distribution.
    confidence
        Of the interval, between 0 and 1.

    Examples
    --------
    >>> round(t_quantile(2), 3)
    4.303
    """
    return float(stdtrit(degrees, (1 + confidence) / 2))

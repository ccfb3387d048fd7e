"""Whether a difference can be believed: intervals of a share, paired tests.

Statistics only, no runs, no settings. Tests hold every function against `scipy.stats` and
statsmodels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from fitgap.comparison.distributions import bdtr, ndtri, stdtr
from fitgap.comparison.estimates import CONFIDENCE, standard_deviation, t_quantile

# Accuracies are kept as float32: differences that are equal in truth scatter by some 1e-7.
ROUNDING = 1e-7
NO_SPREAD = 1e-4  # of the largest difference


@dataclass(frozen=True, slots=True)
class Paired:
    """What differences within pairs say about the mean difference.

    Attributes
    ----------
    mean
        Of the differences.
    low, high
        Its interval by Student's t.
    p
        Of the paired t-test, two-sided. None if all differences are the same but not zero: a
        spread of nothing says that the figures are coarse, not that the difference is certain.
    n
        Pairs, >= 2.
    """

    mean: float
    low: float
    high: float
    p: float | None
    n: int

    @property
    def half_width(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2


def paired(
    differences: Sequence[float], *, confidence: float = CONFIDENCE, overlap: float = 0.0
) -> Paired | None:
    """Test whether the mean of paired differences is zero.

    Parameters
    ----------
    differences
        One per pair (a common seed), finite.
    confidence
        Of the interval.
    overlap
        Where pairs are splits of the same data: validation over training images.

    Returns
    -------
    Paired or None
        None for fewer than two pairs.

    Notes
    -----
    t = mean · √n / sd with n - 1 degrees of freedom (Student 1908): what is common to a pair, as
    the seed's initial weights, cancels out. It assumes that the differences scatter normally. Over
    splits the variance of the mean is (1/n + overlap) sd² (Nadeau and Bengio 2003).

    Examples
    --------
    >>> paired([0.01, 0.03]).n, paired([0.01]), paired([0.0, 0.0]).p
    (2, None, 1.0)
    """
    n = len(differences)
    if n < 2:
        return None
    mean = fmean(differences)
    largest = max(map(abs, differences))
    if largest <= ROUNDING:
        return Paired(mean, mean, mean, 1.0, n)
    sd = standard_deviation(differences)
    error = sd * math.sqrt(1 / n + overlap)
    half_width = t_quantile(n - 1, confidence) * error
    p = None
    if sd > NO_SPREAD * largest:
        p = 2 * float(stdtr(n - 1, -abs(mean) / error))
    return Paired(mean, mean - half_width, mean + half_width, p, n)


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the p-value of McNemar's exact test, two-sided.

    Parameters
    ----------
    only_first, only_second
        How many of the same images only the one model, and only the other, classified rightly.
        Images on which both are right or both wrong say nothing of a difference.

    Notes
    -----
    Were the models equally good, either kind would have probability 1/2: binomial.

    References
    ----------
    McNemar (1947); Dietterich (1998), "Approximate statistical tests for comparing supervised
    classification learning algorithms".

    Examples
    --------
    >>> round(mcnemar(1, 5), 5), mcnemar(0, 0)
    (0.21875, 1.0)
    """
    both = only_first + only_second
    if not both:
        return 1.0
    return min(1.0, 2 * float(bdtr(min(only_first, only_second), both, 0.5)))


def wilson(accuracy: float, *, images: int) -> tuple[float, float]:
    """Return the 95 % interval of an accuracy that follows from the number of images alone.

    Parameters
    ----------
    accuracy
        In [0, 1].
    images
        On which it was measured, >= 1.

    References
    ----------
    Wilson (1927). Unlike accuracy ± 1.96 standard errors it stays within [0, 1] and has a width
    at an accuracy of 1.

    Examples
    --------
    >>> [round(bound, 4) for bound in wilson(0.9, images=100)]
    [0.8256, 0.9448]
    """
    z = float(ndtri((1 + CONFIDENCE) / 2))
    squared = z * z / images
    middle = (accuracy + squared / 2) / (1 + squared)
    variance = accuracy * (1 - accuracy) / images + squared / (4 * images)
    half_width = z / (1 + squared) * math.sqrt(max(variance, 0.0))
    return max(middle - half_width, 0.0), min(middle + half_width, 1.0)

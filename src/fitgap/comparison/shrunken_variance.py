"""The variance of a difference over all groups of a ranking, where each pair has few of them."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fitgap.comparison.distributions import polygamma
from fitgap.comparison.significance import NO_SPREAD


@dataclass(frozen=True, slots=True)
class Prior:
    """The variance of a difference between two groups, estimated from all groups.

    Attributes
    ----------
    variance
        Of a difference.
    degrees
        What it counts for in degrees of freedom; 0 where there is nothing to learn from.
    """

    variance: float = 0.0
    degrees: float = 0.0

    def shrunk(self, own: float, *, degrees: float) -> float:
        """Return a pair's own variance, shrunk towards this one by the degrees of freedom.

        Parameters
        ----------
        own
            Variance of the pair's differences.
        degrees
            Of freedom, on which ``own`` rests.
        """
        return (self.degrees * self.variance + degrees * own) / (self.degrees + degrees)


def prior_of(groups: Sequence[Mapping[Hashable, float]]) -> Prior:
    """Estimate the variance from the groups that have all units of the first group.

    Parameters
    ----------
    groups
        A metric by unit (a split, or a seed of one split), of each group.

    Notes
    -----
    Empirical Bayes of the groups' residuals about the additive model of group and unit (Smyth
    2004), at half the prior degrees of freedom. It takes three groups and two units at least.
    """
    units = sorted(groups[0], key=repr)
    complete = [group for group in groups if group.keys() == groups[0].keys()]
    k, n = len(complete), len(units)
    if k < 3 or n < 2:
        return Prior()
    values = np.array([[group[unit] for unit in units] for group in complete])
    residuals = values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()
    squares = np.square(residuals).sum(1)
    pooled = 2 * float(squares.sum()) / ((k - 1) * (n - 1))
    if pooled <= 0:
        return Prior()
    logs = np.log(np.maximum(squares / (n - 1), NO_SPREAD * pooled))
    excess = float(logs.var(ddof=1) - polygamma(1, (n - 1) / 2))
    most = float((k - 2) * (n - 1))
    degrees = min(2 * _inverse_trigamma(excess), most) if excess > 0 else most
    return Prior(pooled, degrees / 2)


def _inverse_trigamma(value: float) -> float:
    found = 0.5 + 1 / value
    for _ in range(30):  # Newton's method (Smyth 2004, appendix)
        trigamma = float(polygamma(1, found))
        found += trigamma * (1 - trigamma / value) / float(polygamma(2, found))
    return found

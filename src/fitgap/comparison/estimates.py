"""What a handful of numbers says: mean, spread, interval. Statistics only, no runs, no settings."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import stdtrit  # scipy.stats has the same and takes a second to import

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a group's runs say about one metric.

    Attributes
    ----------
    mean
        Over the runs that have the metric as a finite number; NaN if none has.
    sd
        Sample standard deviation (n - 1 in the denominator); None for n = 1.
    low, high
        95 % interval of the mean by Student's t; None for n < 2.
    n
        How many values the mean is over.
    not_finite
        How many runs have NaN or infinity for it: a mean over the others flatters the group.
    """

    mean: float
    sd: float | None
    low: float | None
    high: float | None
    n: int
    not_finite: int = 0


def estimate(values: Sequence[float]) -> Estimate:
    """Return mean, spread and the 95 % interval of the mean.

    Parameters
    ----------
    values
        At least one, one per run; those that are not finite are counted, not averaged.

    Notes
    -----
    The interval is mean ± t · sd / √n with t the 0.975 quantile of Student's distribution with
    n - 1 degrees of freedom: it assumes that runs of different seeds scatter normally.

    Examples
    --------
    >>> estimate([0.25, 0.5, 0.75]).sd
    0.25
    """
    finite = [value for value in values if math.isfinite(value)]
    n, not_finite = len(finite), len(values) - len(finite)
    if not finite:
        return Estimate(math.nan, None, None, None, 0, not_finite)
    mean = math.fsum(finite) / n
    if n == 1:
        return Estimate(mean, None, None, None, 1, not_finite)
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in finite) / (n - 1))
    half_width = t_quantile(n - 1) * sd / math.sqrt(n)
    return Estimate(mean, sd, mean - half_width, mean + half_width, n, not_finite)


def higher_is_better(metric: str) -> bool:
    """Tell the direction of a metric from its name.

    >>> higher_is_better("val/accuracy"), higher_is_better("gap/accuracy")
    (True, False)
    """
    group, _, quantity = metric.rpartition("/")
    if group in ("gap", "test_gap"):
        return False
    return group == "throughput" or quantity.endswith(("accuracy", "score", "auc"))


@functools.cache  # a large sweep asks for the same one or two of them tens of thousands of times
def t_quantile(degrees: int, confidence: float = CONFIDENCE) -> float:
    """Return how many standard errors a two-sided interval by Student's t reaches.

    >>> round(t_quantile(2), 3)
    4.303
    """
    return float(stdtrit(degrees, (1 + confidence) / 2))

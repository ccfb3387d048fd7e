"""The rule of a race: which candidate is out, and when the race is over. No runs, no training.

Candidates run in rounds, each round the same replicate for all that are still in the race. After
each round every candidate is compared with the best so far. The intervals hold at all rounds at
once, so it does not matter when one looks or stops.

What has to be right is the verdict, so only the true best counts: the intervals of its differences
to all others hold at once, not those of all pairs. Then it is never out, but in `Rule.alpha` / 2 of
races; two that are equally the best do not end as one better than the other, but in alpha of races;
and where all pairs of those left are within the margin, so are those left to the best. Of several
that are equally the best, some may be out.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fitgap.comparison.significance import NO_SPREAD, ROUNDING
from fitgap.comparison.ties import EQUIVALENT, UNDECIDED

BETTER, OUT, FAILED = "better", "out", "failed"
# One over the variance of the differences that are expected, in standard deviations of a
# difference: they decide for which sizes the intervals are the narrowest, never whether they hold.
_PRIOR = 0.25


@dataclass(frozen=True, slots=True)
class Rule:
    """The rule that decides a race.

    Attributes
    ----------
    candidates
        How many there are at the start, two at least.
    margin
        Differences within it are of no interest.
    alpha
        Probability that the race's verdict is false, at most.
    higher_is_better
        Of the metric.
    """

    candidates: int
    margin: float
    alpha: float = 0.05
    higher_is_better: bool = True


@dataclass(frozen=True, slots=True)
class Standing:
    """The standing of a candidate.

    Attributes
    ----------
    candidate
        Its number, from 0.
    rounds
        In how many it ran to its end.
    mean
        Of its values; NaN if there are none.
    difference, low, high
        By how much it is worse than the best, with the interval; of the best itself, and where
        there is no interval yet, None.
    word
        `OUT`: behind another, so that it is not needed any more; or `FAILED`. `EQUIVALENT`: within
        the margin of the best. `UNDECIDED` otherwise. None: it is the best.
    """

    candidate: int
    rounds: int
    mean: float
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    word: str | None = None


class Race:
    """A race while it runs.

    Parameters
    ----------
    rule
        By what it is decided.
    """

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.racing = list(range(rule.candidates))
        self._values: list[list[float]] = [[] for _ in self.racing]
        self._out: dict[int, Standing] = {}
        self._overlap = 0.0

    @property
    def word(self) -> str:
        """The present verdict of the race.

        `BETTER`: one is left. `EQUIVALENT`: all that are left lie within the margin of each other,
        so of the best. `FAILED`: none is left. `UNDECIDED`: it has to go on.
        """
        if len(self.racing) < 2:
            return BETTER if self.racing else FAILED
        pairs = itertools.combinations(self.racing, 2)
        are_close = all(self._word(*self._difference(*pair)) == EQUIVALENT for pair in pairs)
        return EQUIVALENT if are_close else UNDECIDED

    def add_round(self, values: Mapping[int, float], *, overlap: float = 0.0) -> list[Standing]:
        """Add a round; return the candidates that drop out with it.

        Parameters
        ----------
        values
            The metric of each candidate that ran; one without a finite value is out.
        overlap
            Validation images over training images, where rounds are splits.
        """
        self._overlap = overlap
        out = []
        for candidate in self.racing:
            value = values.get(candidate, math.nan)
            if math.isfinite(value):
                self._values[candidate].append(value)
            else:
                out.append(self._standing(candidate, word=FAILED))
        self._leave(out)
        behind = [one for one in self._of_those_racing() if one.word == OUT]
        self._leave(behind)
        return out + behind

    def standings(self) -> list[Standing]:
        """Return all candidates: those racing, the best first, then those out, the last first."""
        return [*self._of_those_racing(), *reversed(self._out.values())]

    def _leave(self, out: Sequence[Standing]) -> None:
        self._out |= {one.candidate: one for one in out}
        self.racing = [one for one in self.racing if one not in self._out]

    def _standing(self, candidate: int, *, word: str | None) -> Standing:
        values = self._values[candidate]
        mean = math.fsum(values) / len(values) if values else math.nan
        return Standing(candidate, len(values), mean, word=word)

    def _of_those_racing(self) -> list[Standing]:
        sign = 1.0 if self.rule.higher_is_better else -1.0
        order = sorted(self.racing, key=lambda one: -sign * math.fsum(self._values[one]))
        if not order or not self._values[order[0]]:
            return [self._standing(one, word=UNDECIDED) for one in order]
        best = order[0]
        return [
            self._standing(best, word=None),
            *(self._against(best, one) for one in order[1:]),
        ]

    def _against(self, best: int, candidate: int) -> Standing:
        mean, half = self._difference(best, candidate)
        low, high = (None, None) if math.isinf(half) else (mean - half, mean + half)
        alone = self._standing(candidate, word=self._word(mean, half))
        return replace(alone, difference=mean, low=low, high=high)

    def _difference(self, first: int, second: int) -> tuple[float, float]:
        """Return by how much the first is better, and half the width of the interval."""
        pairs = zip(self._values[first], self._values[second], strict=True)
        sign = 1.0 if self.rule.higher_is_better else -1.0
        differences = [sign * (ours - theirs) for ours, theirs in pairs]
        if not differences:
            return math.nan, math.inf
        alpha = self.rule.alpha / (self.rule.candidates - 1)
        half = half_width_at_any_time(differences, alpha=alpha, overlap=self._overlap)
        return math.fsum(differences) / len(differences), half

    def _word(self, mean: float, half: float) -> str:
        if mean - half > 0:
            return OUT
        return EQUIVALENT if abs(mean) + half < self.rule.margin else UNDECIDED


def half_width_at_any_time(
    differences: Sequence[float], *, alpha: float, overlap: float = 0.0
) -> float:
    """Return half the width of a mean's interval that holds at every number of values at once.

    Parameters
    ----------
    differences
        Independent and normal, those that came so far; or, with ``overlap``, of splits that share
        training images.
    alpha
        Probability that the interval ever misses the mean, at most.
    overlap
        Validation images over training images.

    Returns
    -------
    float
        Infinity as long as there are too few, or they are all the same but not zero: that says
        that figures are coarse.

    Notes
    -----
    With S the sum of squares around the mean and g = (√((n + c) / c) / alpha)^(2/n), the square of
    it is (g - 1) S / (n (1 - g c / (n + c))): the means whose Bayes factor against a normal prior
    of the standardised effect, with variance 1/c, stays below 1 / alpha (Lai 1976; Wang and Ramdas
    2023). By Ville's inequality it ever exceeds that with probability alpha. The variance of a
    mean over splits is (1/n + overlap) instead of 1/n times theirs (Nadeau and Bengio 2003).

    Examples
    --------
    >>> half_width_at_any_time([0.01, 0.02], alpha=0.05)
    inf
    >>> round(half_width_at_any_time([0.01, 0.02, 0.03, 0.01, 0.02, 0.03], alpha=0.05), 4)
    0.0173
    """
    n = len(differences)
    if n < 2:
        return math.inf
    mean = math.fsum(differences) / n
    squares = math.fsum((value - mean) ** 2 for value in differences)
    growth = (math.sqrt((n + _PRIOR) / _PRIOR) / alpha) ** (2 / n)
    room = 1 - growth * _PRIOR / (n + _PRIOR)
    largest = max(map(abs, differences))
    is_coarse = squares <= (n - 1) * (NO_SPREAD * largest) ** 2 and largest > ROUNDING
    if room <= 0 or is_coarse:
        return math.inf
    return math.sqrt((growth - 1) * squares / (n * room) * (1 + n * overlap))

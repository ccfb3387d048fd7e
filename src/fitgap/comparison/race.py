"""The rule of a race: which candidate is out, and when the race is over. No runs, no training.

Candidates run in rounds, each round the same replicate for all that run in it. After each round
every candidate is compared with the best so far. The intervals hold at all rounds at once, so it
does not matter when one looks or stops, and what a pair has shown once stays shown: a candidate
that is within the margin of all others that are left rests.

What has to be right is the verdict, so only the true best counts: the intervals of its differences
to all others hold at once, not those of all pairs. Then it is never out, but in `Rule.alpha` / 2 of
races; two that are equally the best do not end as one better than the other, but in alpha of races;
and where all pairs of those left are within the margin, so are those left to the best. Of several
that are equally the best, some may be out.
"""

import functools
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np

from fitgap.comparison.significance import NO_SPREAD, ROUNDING
from fitgap.comparison.ties import EQUIVALENT, UNDECIDED

BETTER, OUT, FAILED = "better", "out", "failed"
# Over splits that overlap the intervals hold for so many rounds; more would hardly say more.
MOST_ROUNDS = 200
# Variance of the differences that are expected, in variances of a difference: it decides for which
# sizes the intervals are the narrowest, never whether they hold.
_PRIOR = 4.0
_SIMULATED = 40_000


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

    Attributes
    ----------
    racing
        Numbers of the candidates that are not out.
    """

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.racing = list(range(rule.candidates))
        # By the number of the round: not every candidate runs in each.
        self._values: list[dict[int, float]] = [{} for _ in self.racing]
        self._out: dict[int, Standing] = {}
        self._close: set[tuple[int, int]] = set()
        self._rounds = 0
        self._overlap = 0.0

    @property
    def undecided(self) -> list[int]:
        """Those that run in the next round: not within the margin of all others that are left."""
        open_pairs = set(itertools.combinations(self.racing, 2)) - self._close
        return sorted(set(itertools.chain.from_iterable(open_pairs)))

    @property
    def word(self) -> str:
        """The present verdict of the race.

        `BETTER`: one is left. `EQUIVALENT`: all that are left lie within the margin of each other,
        so of the best. `FAILED`: none is left. `UNDECIDED`: it has to go on.
        """
        if len(self.racing) < 2:
            return BETTER if self.racing else FAILED
        return UNDECIDED if self.undecided else EQUIVALENT

    def add_round(self, values: Mapping[int, float], *, overlap: float = 0.0) -> list[Standing]:
        """Add a round; return the candidates that drop out with it.

        Parameters
        ----------
        values
            The metric of each candidate that ran; one without a finite value has failed. One that
            had to run and did not is out: an earlier version, whose log this is, found it so.
        overlap
            Validation images over training images, where rounds are splits.
        """
        self._overlap = overlap
        due = set(self.undecided) | (values.keys() & set(self.racing))
        finite = {one for one in due if math.isfinite(values.get(one, math.nan))}
        for candidate in finite:
            self._values[candidate][self._rounds] = values[candidate]
        self._rounds += 1
        out = [
            self._standing(one, word=FAILED if one in values else OUT)
            for one in sorted(due - finite)
        ]
        self._leave(out)
        behind = [one for one in self._ranked(finite) if one.word == OUT]
        self._leave(behind)
        for pair in itertools.combinations(sorted(finite & set(self.racing)), 2):
            mean, half = self._difference(*pair)
            if abs(mean) + half < self.rule.margin:
                self._close.add(pair)
        return out + behind

    def standings(self) -> list[Standing]:
        """Return all candidates: those racing, the best first, then those out, the last first."""
        return [*self._ranked(self.racing), *reversed(self._out.values())]

    def _leave(self, out: Iterable[Standing]) -> None:
        self._out |= {one.candidate: one for one in out}
        self.racing = [one for one in self.racing if one not in self._out]

    def _standing(self, candidate: int, *, word: str | None) -> Standing:
        values = self._values[candidate].values()
        mean = math.fsum(values) / len(values) if values else math.nan
        return Standing(candidate, len(values), mean, word=word)

    def _ranked(self, candidates: Iterable[int]) -> list[Standing]:
        """Compare candidates with the best of them: whom none beats where both ran."""
        candidates = sorted(candidates)
        if not any(self._values[one] for one in candidates):
            return [self._standing(one, word=UNDECIDED) for one in candidates]
        best = max(
            candidates,
            key=lambda one: min(
                (self._mean_difference(one, other) for other in candidates if other != one),
                default=0.0,
            ),
        )
        others = sorted(
            (one for one in candidates if one != best),
            key=lambda one: self._mean_difference(best, one),
        )
        return [
            self._standing(best, word=None),
            *(self._against(best, one) for one in others),
        ]

    def _against(self, best: int, candidate: int) -> Standing:
        mean, half = self._difference(best, candidate)
        low, high = (None, None) if math.isinf(half) else (mean - half, mean + half)
        word = self._word(mean, half)
        if word == UNDECIDED and tuple(sorted((best, candidate))) in self._close:
            word = EQUIVALENT
        alone = self._standing(candidate, word=word)
        return replace(alone, difference=mean, low=low, high=high)

    def _difference(self, first: int, second: int) -> tuple[float, float]:
        """Return by how much the first is better, and half the width of the interval."""
        differences = self._differences(first, second)
        if not differences:
            return math.nan, math.inf
        alpha = self.rule.alpha / (self.rule.candidates - 1)
        half = half_width_at_any_time(differences, alpha=alpha, overlap=self._overlap)
        return fmean(differences), half

    def _mean_difference(self, first: int, second: int) -> float:
        return fmean(self._differences(first, second))

    def _differences(self, first: int, second: int) -> list[float]:
        """Return by how much the first is better, in each round in which both ran."""
        sign = 1.0 if self.rule.higher_is_better else -1.0
        ours, theirs = self._values[first], self._values[second]
        return [sign * (ours[number] - theirs[number]) for number in ours if number in theirs]

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
        Probability that the interval ever misses the mean, at most; with ``overlap``, within
        `MOST_ROUNDS` values.
    overlap
        Validation images over training images.

    Returns
    -------
    float
        Infinity as long as there are too few, or they are all the same but not zero: that says
        that figures are coarse.

    Notes
    -----
    The interval holds the means whose Bayes factor against a normal prior of the standardised
    effect, with variance p, stays below 1 / level (Lai 1976; Wang and Ramdas 2023). With S the sum
    of squares around the mean, v = 1/n + overlap, w = v + p and k = (√(w / v) / level)^(2/n), half
    its width is √((k - 1) S / (1/v - k/w)). The variance of a mean over splits is v instead of 1/n
    times theirs (Nadeau and Bengio 2003): what all splits have in common is drawn once.

    Without overlap the level is alpha: by Ville's inequality the Bayes factor ever exceeds
    1 / alpha with probability alpha. With it, see `_level`.

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
    variance = 1 / n + overlap
    with_prior = variance + _PRIOR
    growth = (math.sqrt(with_prior / variance) / _level(alpha, overlap)) ** (2 / n)
    room = 1 / variance - growth / with_prior
    largest = max(map(abs, differences))
    is_coarse = squares <= (n - 1) * (NO_SPREAD * largest) ** 2 and largest > ROUNDING
    if room <= 0 or is_coarse:
        return math.inf
    return math.sqrt((growth - 1) * squares / room)


def _level(alpha: float, overlap: float) -> float:
    """Return one over the Bayes factor that equal candidates ever exceed in alpha of races.

    What overlapping splits have in common is drawn once for a whole race, so their Bayes factor
    exceeds 1 / alpha less often than Ville's inequality allows. How often follows from the overlap
    alone, whatever the scale of the differences.
    """
    # Downwards: less overlap, a lower level, so that few of them are simulated.
    largest = _largest_log_factors(math.floor(100 * overlap) / 100) if overlap > 0 else ()
    exceeding = alpha * len(largest)
    # Three standard errors of the simulation on the safe side.
    rank = math.floor(exceeding - 3 * math.sqrt(exceeding))
    return max(alpha, math.exp(-largest[-rank])) if rank > 0 else alpha


@functools.cache
def _largest_log_factors(overlap: float) -> tuple[float, ...]:
    """Simulate two equal candidates; return the largest log Bayes factor of each race, sorted."""
    rng = np.random.default_rng(0)
    common = math.sqrt(overlap) * rng.standard_normal(_SIMULATED)
    mean, squares = np.zeros(_SIMULATED), np.zeros(_SIMULATED)
    largest = np.full(_SIMULATED, -math.inf)
    for n in range(1, MOST_ROUNDS + 1):
        step = rng.standard_normal(_SIMULATED) - mean
        mean += step / n
        squares += step**2 * (1 - 1 / n)
        if n > 1:
            variance = 1 / n + overlap
            effect = (mean + common) ** 2 / squares
            gain = np.log1p(effect / variance) - np.log1p(effect / (variance + _PRIOR))
            factor = n / 2 * gain - math.log(1 + _PRIOR / variance) / 2
            largest = np.maximum(largest, factor)
    return tuple(np.sort(largest).tolist())

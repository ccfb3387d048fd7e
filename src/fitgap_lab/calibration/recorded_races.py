"""Races of candidates whose runs over splits are recorded, against fixed designs of equal power.

The means and covariances of the recorded runs are taken as the truth, from which races and fixed
designs are simulated: how many runs does each take until every candidate is decided at a margin?
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from fitgap.comparison.paired_differences import by_block
from fitgap.comparison.race import BETTER
from fitgap.comparison.ranking import compare_experiment
from fitgap.comparison.replicates import split_of
from fitgap.comparison.ties import EQUIVALENT, UNDECIDED, WORSE
from fitgap.errors import RequestError
from fitgap.trust import text_tables
from fitgap_lab.calibration.races import MOST_SPLITS, compared, raced_over

HEADER = (
    "margin, points", "race: decided", "false", "runs",
    "fixed design: splits", "decided", "false", "runs", "share of the runs",
)  # fmt: skip
REPETITIONS = 200


@dataclass(frozen=True, slots=True)
class Candidates:
    """What is raced.

    Attributes
    ----------
    means
        True scores, the best first, shape (candidates,); a higher one is better.
    covariance
        Of their scores over splits, shape (candidates, candidates).
    overlap
        Validation images over training images.
    """

    means: NDArray[np.float64]
    covariance: NDArray[np.float64]
    overlap: float

    def draw(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return scores of shape (candidates, `MOST_SPLITS`)."""
        size = MOST_SPLITS
        return rng.multivariate_normal(self.means, self.covariance, size, method="svd").T


@dataclass(frozen=True, slots=True)
class Found:
    """Shares of the repetitions that decided every candidate, and that said something false."""

    decided: float
    false: float
    runs: float


def table(uri: str, experiment: str, margins: Sequence[float]) -> str:
    """Simulate races and fixed designs at each margin and return the table as Markdown.

    Raises
    ------
    RequestError
        If the experiment's runs are no candidates with at least three splits in common.
    """
    candidates = candidates_of(uri, experiment)
    rows = [_row(candidates, margin) for margin in margins]
    return text_tables.to_markdown(HEADER, rows)


def candidates_of(uri: str, experiment: str) -> Candidates:
    """Return the groups of a comparison as candidates; raises what `table` does."""
    sections = compare_experiment(uri, experiment=experiment).sections
    section = sections[0]
    metric = f"val/{section.primary}"
    scores = [by_block(group.runs, metric=metric, block_of=split_of) for group in section.groups]
    common = sorted(set.intersection(*map(set, scores)), key=repr)
    if len(sections) > 1 or len(scores) < 2 or len(common) < 3:
        raise RequestError(
            f"experiment {experiment!r} needs two groups of runs on the same data with at least "
            f"three common splits, got {len(scores)} groups with {len(common)} common splits"
        )
    values = np.array([[of_group[split] for split in common] for of_group in scores])
    if not section.is_better_high(metric):
        values = -values
    values = values[np.argsort(-values.mean(1))]
    return Candidates(values.mean(1), np.cov(values), section.overlap)


def _row(candidates: Candidates, margin: float) -> list[str]:
    race = raced(candidates, margin)
    for splits in range(3, MOST_SPLITS + 1):
        design = fixed(candidates, margin, splits=splits)
        if design.decided >= race.decided:
            break
    return [
        f"{100 * margin:g}",
        f"{race.decided:.2f}",
        f"{race.false:.3f}",
        f"{race.runs:.0f}",
        str(splits),
        f"{design.decided:.2f}",
        f"{design.false:.3f}",
        f"{design.runs:.0f}",
        f"{race.runs / design.runs:.2f}",
    ]


def raced(candidates: Candidates, margin: float) -> Found:
    """Race the candidates until they are decided, over at most `MOST_SPLITS` rounds."""
    rng = np.random.default_rng(0)
    decided = false = runs = 0
    for _ in range(REPETITIONS):
        race, taken = raced_over(candidates.draw(rng), margin=margin, overlap=candidates.overlap)
        runs += taken
        decided += race.word != UNDECIDED
        apart = max(
            (
                abs(candidates.means[a] - candidates.means[b])
                for a, b in combinations(race.racing, 2)
            ),
            default=0.0,
        )
        false += (race.word == BETTER and race.racing != [0]) or (
            race.word == EQUIVALENT and (apart > margin or 0 not in race.racing)
        )
    return Found(decided / REPETITIONS, false / REPETITIONS, runs / REPETITIONS)


def fixed(candidates: Candidates, margin: float, *, splits: int) -> Found:
    """Compare the same candidates over so many splits each, as ``fitgap compare`` does."""
    rng = np.random.default_rng(1)
    decided = false = 0
    for _ in range(REPETITIONS):
        values = candidates.draw(rng)[:, :splits]
        order, words = compared(values, margin=margin, overlap=candidates.overlap)
        behind = candidates.means[order[0]] - candidates.means[order[1:]]
        decided += UNDECIDED not in words and None not in words
        false += any(
            (word == WORSE and gap <= 0) or (word == EQUIVALENT and abs(gap) > margin)
            for word, gap in zip(words, behind, strict=True)
        )
    return Found(decided / REPETITIONS, false / REPETITIONS, splits * len(candidates.means))

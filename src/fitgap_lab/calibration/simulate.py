"""Rankings of made-up runs whose truth is known, put to the functions that real runs are put to.

An accuracy is the group's true one, plus what all groups of a split share (its images), what a
group and split share, and what the seed adds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fitgap.comparison.query import Query
from fitgap.comparison.ranking import compare
from fitgap.comparison.ties import WORSE
from fitgap.store import StoredRun
from fitgap.tag_names import SPLIT_TAG

VAL_IMAGES, TRAIN_IMAGES = 300, 1200


@dataclass(frozen=True, slots=True)
class Design:
    """What is simulated.

    Attributes
    ----------
    groups, splits, seeds
        How many of each.
    advantage
        By how much the first group is truly better than all others, in accuracy.
    spreads
        How unequal the groups' scatter is: the standard deviation of its logarithm.
    of_split, of_pair, of_seed
        Standard deviations of what all groups of a split share, of what a group adds to a split,
        and of a seed, in accuracy.
    """

    groups: int
    splits: int
    seeds: int
    advantage: float = 0.0
    spreads: float = 0.0
    of_split: float = 0.01
    of_pair: float = 0.005
    of_seed: float = 0.005

    @property
    def name(self) -> str:
        """In a few words."""
        return f"{self.groups} groups, {self.splits} x {self.seeds}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How often what was said was false, and how often what is true was said.

    Attributes
    ----------
    false
        Share of rankings in which a group as good as the best is called worse.
    covered
        Share of the groups' intervals that hold the true accuracy.
    shown
        Share of the truly worse groups that are called worse; NaN where there are none.
    """

    false: float
    covered: float
    shown: float


def simulate(
    design: Design, *, rankings: int, seed: int = 0, these_images: bool = False
) -> Outcome:
    """Compare made-up runs many times over.

    Parameters
    ----------
    design
        What is simulated.
    rankings
        How many.
    seed
        Of the random numbers.
    these_images
        As in `Query`: the interval over seeds alone.
    """
    rng = np.random.default_rng(seed)
    truth = np.full(design.groups, 0.85)
    truth[0] += design.advantage
    best = truth.max()
    false = covered = intervals = shown = worse = 0
    for _ in range(rankings):
        values = accuracies(design, truth, rng)
        (section,) = compare(made_up_runs(values), Query(these_images=these_images)).sections
        wrong = False
        for group in section.groups:
            true = truth[int(str(group.settings.get("training.epochs", 0)))]
            found = group.metrics["val/accuracy"]
            if found.low is not None and found.high is not None:
                intervals += 1
                covered += found.low <= true <= found.high
            called = group.against_best is not None and group.against_best.word == WORSE
            wrong |= called and true == best
            if true < best:
                worse += 1
                shown += called
        false += wrong
    return Outcome(
        false / rankings,
        covered / intervals if intervals else float("nan"),
        shown / worse if worse else float("nan"),
    )


def accuracies(
    design: Design, truth: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return accuracies of shape (groups, splits, seeds), given the groups' true ones."""
    k, splits, seeds = design.groups, design.splits, design.seeds
    scale = np.exp(design.spreads * rng.normal(size=(k, 1, 1)))
    return (
        truth[:, None, None]
        + design.of_split * rng.normal(size=(1, splits, 1))
        + design.of_pair * scale * rng.normal(size=(k, splits, 1))
        + design.of_seed * scale * rng.normal(size=(k, splits, seeds))
    )


def made_up_runs(values: NDArray[np.float64]) -> Sequence[StoredRun]:
    """Return runs of such validation accuracies, of shape (groups, splits, seeds)."""
    sizes = {"train_samples": str(TRAIN_IMAGES), "val_samples": str(VAL_IMAGES)}
    return [
        StoredRun(
            run_id=f"{group}-{split}-{seed}",
            name="",
            status="FINISHED",
            start_time=0,
            params={
                "dataset.name": "made",
                "split.name": "holdout",
                "split.seed": str(split),
                "seed": str(seed),
                "training.epochs": str(group),
                **sizes,
            },
            metrics={"val/accuracy": float(values[group, split, seed])},
            tags={SPLIT_TAG: str(split)},
        )
        for group in range(values.shape[0])
        for split in range(values.shape[1])
        for seed in range(values.shape[2])
    ]

"""Groups on one split whose every image is simulated: what pairing image by image claims.

Whether a network classifies an image rightly depends on how hard the image is for all networks, how
hard it is for this group's, on the seed, and on chance. Then the true accuracy is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from fitgap.comparison.paired_differences import RightOf
from fitgap.comparison.ties import MARGIN, WORSE, Terms, against_best
from fitgap.store import StoredRun
from fitgap.trust import text_tables
from fitgap_lab.calibration.simulate import made_up_runs

HEADER = (
    "groups x seeds, images", "accuracy", "any false claim", "coverage",
    "its width, points", "width by the bound", "2 points shown", "by the bound",
)  # fmt: skip
CASES = (
    (2, 2, 300, 0.9), (2, 3, 300, 0.9), (2, 10, 300, 0.9), (2, 3, 300, 0.98), (2, 3, 3000, 0.9),
    (2, 3, 12_000, 0.98), (10, 3, 300, 0.9), (10, 3, 3000, 0.9), (10, 5, 3000, 0.98),
)  # fmt: skip
OF_ALL, OF_GROUP, OF_SEED = 2.0, 0.5, 0.05  # standard deviations, where chance has 1
BETTER = 0.02


@dataclass(frozen=True, slots=True)
class Outcome:
    """Shares of rankings with a false word, of intervals that hold the truth, of worse ones shown.

    ``width`` is the median of the intervals' widths.
    """

    false: float
    covered: float
    width: float
    shown: float


def table(repetitions: int = 400) -> str:
    """Simulate every case and return the table as Markdown."""
    return text_tables.to_markdown(HEADER, [_row(*case, repetitions) for case in CASES])


def simulate(
    groups: int,
    seeds: int,
    images: int,
    accuracy: float,
    *,
    repetitions: int,
    better: float = 0.0,
    by_image: bool = True,
) -> Outcome:
    """Rank made-up groups over and over, the first of which is better by so much.

    Parameters
    ----------
    groups, seeds, images
        How many; one split.
    accuracy
        Of all groups but the first.
    repetitions
        How many rankings.
    better
        By how much the first is better, in accuracy.
    by_image
        Whether the recorded predictions are known; else the bound counts.
    """
    rng = np.random.default_rng(0)
    truth = np.full(groups, accuracy)
    truth[0] += better
    false = covered = shown = 0
    widths = []
    for _ in range(repetitions):
        right = _right(truth, seeds, images, rng)
        order = np.argsort(-right.mean((1, 2)), kind="stable")
        runs, right_of = _recorded(right[order])
        terms = Terms(
            "val/accuracy",
            True,
            lambda run: run.params["seed"],
            margin=MARGIN,
            images=images,
            right_of=right_of if by_image else None,
        )
        wrong = False
        for place, found in enumerate(against_best(runs, terms)):
            if found is None or found.difference is None:
                continue
            true = truth[order[0]] - truth[order[place]]
            covered += found.difference.low <= true <= found.difference.high
            widths.append(found.difference.high - found.difference.low)
            wrong |= found.word == WORSE and true <= 0
            shown += found.word == WORSE and true > 0
        false += wrong
    return Outcome(
        false / repetitions,
        covered / len(widths),
        float(np.median(widths)),
        shown / len(widths),
    )


def _right(
    truth: NDArray[np.float64], seeds: int, images: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Return which images were right, of shape (groups, seeds, images)."""
    groups = len(truth)
    level = ndtri(truth) * np.sqrt(1 + OF_ALL**2 + OF_GROUP**2 + OF_SEED**2)
    latent = (
        level[:, None, None]
        + OF_ALL * rng.normal(size=(1, 1, images))
        + OF_GROUP * rng.normal(size=(groups, 1, images))
        + OF_SEED * rng.normal(size=(groups, seeds, 1))
    )
    right: NDArray[np.bool_] = rng.random((groups, seeds, images)) < ndtr(latent)
    return right


def _recorded(right: NDArray[np.bool_]) -> tuple[Sequence[Sequence[StoredRun]], RightOf]:
    """Return the runs of each group, and what tells which images one got right."""
    of_run: dict[str, NDArray[np.bool_]] = {}
    groups = []
    for number, own in enumerate(right):
        runs = made_up_runs(own.mean(1)[None, None])
        of_run |= {f"{number}-{run.run_id}": one for run, one in zip(runs, own, strict=True)}
        groups.append([replace(run, run_id=f"{number}-{run.run_id}") for run in runs])
    return groups, lambda run: of_run[run.run_id]


def _row(groups: int, seeds: int, images: int, accuracy: float, repetitions: int) -> list[str]:
    def found(better: float, by_image: bool) -> Outcome:
        return simulate(
            groups, seeds, images, accuracy,
            repetitions=repetitions, better=better, by_image=by_image,
        )  # fmt: skip

    equal, bound = found(0.0, True), found(0.0, False)
    return [
        f"{groups} x {seeds}, {images:,}",
        f"{accuracy:g}",
        f"{equal.false:.3f}",
        f"{equal.covered:.3f}",
        f"{100 * equal.width:.1f}",
        f"{100 * bound.width:.1f}",
        f"{found(BETTER, True).shown:.2f}",
        f"{found(BETTER, False).shown:.2f}",
    ]

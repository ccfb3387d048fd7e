"""Races against fixed designs: how many runs each takes to show the same, at the same error."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fitgap.comparison.race import BETTER, Race, Rule
from fitgap.comparison.ties import EQUIVALENT, MARGIN, UNDECIDED, WORSE, Terms, against_best
from fitgap.trust import text_tables
from fitgap_lab.calibration.simulate import made_up_runs

Floats = NDArray[np.float64]

HEADER = (
    "behind the best, points", "overlap", "race: shown", "best out", "runs",
    "fixed design: splits", "shown", "runs", "share of the runs",
)  # fmt: skip
OF_SPLIT, OF_PAIR = 0.01, 0.007  # standard deviations: common to all candidates, of one
MOST_SPLITS = 60
CASES: tuple[tuple[tuple[float, ...], float], ...] = (
    ((0.02,), 0.0),
    ((0.01,), 0.0),
    ((0.01, 0.03), 0.0),
    ((0.01, 0.02, 0.03, 0.04, 0.05), 0.0),
    ((0.03, 0.05), 0.25),
    ((0.03, 0.04, 0.05, 0.06, 0.07), 0.25),
    ((0.04,) * 9, 0.25),
)


@dataclass(frozen=True, slots=True)
class Found:
    """Shares of the races or comparisons that showed the best, and that lost it; runs."""

    shown: float
    false: float
    runs: float


def table(repetitions: int = 200) -> str:
    """Simulate every case and return the table as Markdown."""
    return text_tables.to_markdown(HEADER, [_row(*case, repetitions=repetitions) for case in CASES])


EQUAL_HEADER = ("equal candidates", "overlap", "false verdict", "equivalent", "some out")
EQUAL, OVERLAPS, ROUNDS = (2, 3, 5, 10), (0.0, 0.25), 40


def equal_table(repetitions: int = 400) -> str:
    """Race equal candidates and return as Markdown how often the verdict is false."""
    rows = []
    for candidates, overlap in itertools.product(EQUAL, OVERLAPS):
        words, out = raced_equal(candidates, overlap=overlap, repetitions=repetitions)
        shares = (words.count(BETTER), words.count(EQUIVALENT), out)
        cells = [f"{share / repetitions:.3f}" for share in shares]
        rows.append([str(candidates), f"{overlap:g}", *cells])
    return text_tables.to_markdown(EQUAL_HEADER, rows)


def raced_equal(
    candidates: int, *, repetitions: int, overlap: float = 0.0
) -> tuple[list[str], int]:
    """Race equal candidates; return the verdicts, and in how many races one was out.

    To call one of them better than the others is false.
    """
    rng = np.random.default_rng(0)
    words, some_out = [], 0
    for _ in range(repetitions):
        values = _values([0.0] * (candidates - 1), rng, overlap=overlap)
        race, _ = raced_over(values[:, :ROUNDS], margin=MARGIN, overlap=overlap)
        words.append(race.word)
        some_out += len(race.racing) < candidates
    return words, some_out


def raced(behind: Sequence[float], *, overlap: float, repetitions: int) -> Found:
    """Race candidates of which the first is the best, by so much, over `MOST_SPLITS` rounds."""
    rng = np.random.default_rng(0)
    shown = false = runs = 0
    for _ in range(repetitions):
        values = _values(behind, rng, overlap=overlap)
        race, taken = raced_over(values, margin=MARGIN, overlap=overlap)
        runs += taken
        shown += race.word == BETTER and race.racing == [0]
        false += 0 not in race.racing
    return Found(shown / repetitions, false / repetitions, runs / repetitions)


def fixed(behind: Sequence[float], *, splits: int, overlap: float, repetitions: int) -> Found:
    """Compare the same candidates over so many splits each, as ``fitgap compare`` does."""
    rng = np.random.default_rng(1)
    shown = false = 0
    for _ in range(repetitions):
        values = _values(behind, rng, overlap=overlap)[:, :splits]
        order, words = compared(values, margin=MARGIN, overlap=overlap)
        shown += order[0] == 0 and set(words) == {WORSE}
        best = int(np.flatnonzero(order == 0)[0])
        false += best > 0 and words[best - 1] == WORSE
    return Found(shown / repetitions, false / repetitions, splits * len(values))


def raced_over(values: Floats, *, margin: float, overlap: float) -> tuple[Race, int]:
    """Race candidates until they are decided; return the race, and how many runs it took.

    Parameters
    ----------
    values
        Scores of shape (candidates, rounds); a higher one is better.
    margin, overlap
        As a race takes them.
    """
    race, runs = Race(Rule(len(values), margin)), 0
    for scores in values.T:
        runs += len(race.undecided)
        race.add_round({one: float(scores[one]) for one in race.undecided}, overlap=overlap)
        if race.word != UNDECIDED:
            break
    return race, runs


def compared(
    values: Floats, *, margin: float, overlap: float
) -> tuple[NDArray[np.intp], list[str | None]]:
    """Compare candidates as ``fitgap compare`` does; return their order, and words of all but one.

    Parameters
    ----------
    values
        Scores of shape (candidates, splits); a higher one is better.
    margin, overlap
        As in `Terms`.
    """
    terms = Terms("val/accuracy", True, lambda _: None, margin=margin, overlap=overlap)
    order = np.argsort(-values.mean(1))
    runs = [made_up_runs(values[[one], :, None]) for one in order]
    return order, [one.word for one in against_best(runs, terms) if one is not None]


def _row(behind: Sequence[float], overlap: float, *, repetitions: int) -> list[str]:
    race = raced(behind, overlap=overlap, repetitions=repetitions)
    for splits in range(3, MOST_SPLITS + 1):
        design = fixed(behind, splits=splits, overlap=overlap, repetitions=repetitions)
        if design.shown >= race.shown:
            break
    points = [f"{100 * one:g}" for one in behind]
    few = len(set(points)) > 1 or len(points) == 1
    return [
        ", ".join(points) if few else f"{points[0]} ({len(points)} times)",
        f"{overlap:g}",
        f"{race.shown:.2f}",
        f"{race.false:.3f}",
        f"{race.runs:.0f}",
        str(splits),
        f"{design.shown:.2f}",
        f"{design.runs:.0f}",
        f"{race.runs / design.runs:.2f}",
    ]


def _values(behind: Sequence[float], rng: np.random.Generator, *, overlap: float) -> Floats:
    """Return accuracies of shape (candidates, `MOST_SPLITS`).

    What splits that overlap have in common, because they share images, is drawn once.
    """
    truth = 0.9 - np.array([0.0, *behind])[:, None]
    shape = (len(truth), MOST_SPLITS)
    of_splits = OF_SPLIT * rng.normal(size=(1, MOST_SPLITS))
    of_images = math.sqrt(overlap) * OF_PAIR * rng.normal(size=(len(truth), 1))
    values: Floats = truth + of_splits + of_images + OF_PAIR * rng.normal(size=shape)
    return values

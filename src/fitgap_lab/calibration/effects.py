"""Main effects and remedies whose truth is known: how often something is said where nothing is."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fitgap.comparison import remedies
from fitgap.comparison.effects import main_effects
from fitgap.comparison.ranking import compare
from fitgap.store import StoredRun
from fitgap.trust import text_tables
from fitgap_lab.calibration.simulate import Design, accuracies, made_up_runs

Floats = NDArray[np.float64]

HEADER = (
    "levels of each setting", "splits x seeds", "nothing matters: any interval without zero",
    "pure interaction: any interval without zero", "4 points: shown",
)  # fmt: skip
CASES: tuple[tuple[tuple[int, ...], int, int], ...] = (
    ((6,), 1, 3), ((6,), 5, 2), ((2, 2), 1, 3), ((3, 3), 1, 3), ((3, 3), 5, 2), ((2, 2, 2), 5, 2),
    ((4, 4, 2), 5, 1),
)  # fmt: skip
SETTINGS = ("training.epochs", "training.batch_size", "training.class_weight")
INTERACTION, BETTER = 0.02, 0.04  # standard deviation; gain of a setting's first level


def table(repetitions: int = 400) -> str:
    """Simulate sweeps of every case and return as Markdown how often ``--effects`` is wrong."""
    rows = []
    for levels, splits, seeds in CASES:
        design = Design(int(np.prod(levels)), splits, seeds, of_pair=0.005 if splits > 1 else 0.0)
        nothing = told(levels, design, repetitions=repetitions)
        mixed = told(levels, design, interaction=INTERACTION, repetitions=repetitions)
        gain = told(levels, design, better=BETTER, repetitions=repetitions // 4)
        mixed_cell = f"{mixed.any_row:.3f}" if len(levels) > 1 else ""
        sizes = f"{splits} x {seeds}"
        name = " x ".join(map(str, levels))
        rows.append([name, sizes, f"{nothing.any_row:.3f}", mixed_cell, f"{gain.first_row:.2f}"])
    return text_tables.to_markdown(HEADER, rows)


@dataclass(frozen=True, slots=True)
class Told:
    """Shares of tables in which any row's interval lies off zero, and the first setting's."""

    any_row: float
    first_row: float


def told(
    levels: Sequence[int],
    design: Design,
    *,
    repetitions: int,
    interaction: float = 0.0,
    better: float = 0.0,
) -> Told:
    """Sweep made-up settings over and over, as ``fitgap compare --effects`` does.

    Parameters
    ----------
    levels
        How many values each setting has.
    design
        Of the runs; its groups are the combinations.
    repetitions
        How many sweeps.
    interaction
        Standard deviation of what combinations add, so that no setting has an effect of its own.
    better
        What the first level of the first setting adds.
    """
    rng = np.random.default_rng(0)
    names = SETTINGS[: len(levels)]
    combinations = list(np.ndindex(*levels))
    any_row = first_row = 0
    for _ in range(repetitions):
        added = rng.normal(0, interaction, tuple(levels))
        for axis in range(len(levels)):
            added = added - added.mean(axis, keepdims=True)
        added[0] += better
        runs = made_up_runs(accuracies(design, 0.85 + added.ravel(), rng))
        placed = [
            replace(run, params=run.params | dict(zip(names, map(str, place), strict=True)))
            for run in runs
            for place in [combinations[int(run.params["training.epochs"])]]
        ]
        (section,) = compare(placed).sections
        off = {
            effect.setting
            for effect in main_effects(section, metric="val/accuracy")
            if effect.span is not None and (effect.span.low > 0 or effect.span.high < 0)
        }
        any_row += bool(off)
        first_row += names[0] in off
    return Told(any_row / repetitions, first_row / repetitions)


REMEDIES_HEADER = ("gain of one remedy, points", "any claim", "a claim about that remedy")
REMEDIES, SPLITS, SEEDS = 10, 5, 2
GAINS = (0.0, 0.06, 0.09, 0.12)
# Standard deviations: of a split, of a remedy over splits, of a seed. Training sets that overlap
# correlate a remedy's figures by n_val / n.
OF_SPLIT, OF_REMEDY, OF_SEED, CORRELATION = 0.02, 0.01, 0.005, 0.2


def remedies_table(repetitions: int = 200) -> str:
    """Simulate tables of remedies and return as Markdown how often they show something."""
    rows = []
    for gain in GAINS:
        found = told_of_remedies(gain, repetitions=repetitions)
        shown = f"{found.first_row:.3f}" if gain else ""
        rows.append([f"{100 * gain:g}", f"{found.any_row:.3f}", shown])
    return text_tables.to_markdown(REMEDIES_HEADER, rows)


def told_of_remedies(gain: float, *, repetitions: int) -> Told:
    """Compare made-up remedies, the first of which brings a gain, with a baseline."""
    rng = np.random.default_rng(0)
    size = REMEDIES + 1
    any_row = first_row = 0
    for _ in range(repetitions):
        val = 0.8 + rng.normal(0, OF_SPLIT, (1, SPLITS, 1))
        val = val + rng.normal(0, OF_SEED, (size, SPLITS, SEEDS))
        own = rng.normal(0, OF_REMEDY, (size, SPLITS, 1))
        common = rng.normal(0, OF_REMEDY, (size, 1, 1))
        val += (1 - CORRELATION) ** 0.5 * own + CORRELATION**0.5 * common
        val[1] += gain
        found = remedies.effects(_by_remedy(val))
        words = {one.remedy for one in found.effects if one.better or one.larger_gap}
        any_row += bool(words)
        first_row += "1" in words
    return Told(any_row / repetitions, first_row / repetitions)


def _by_remedy(val: Floats) -> Mapping[str, Mapping[Hashable, StoredRun]]:
    """Return runs of accuracies of shape (remedies, splits, seeds), the baseline first."""
    found: dict[str, dict[Hashable, StoredRun]] = {}
    for run in made_up_runs(val):
        accuracy = run.metrics["val/accuracy"]
        name = run.params["training.epochs"]
        remedy = remedies.BASELINE if name == "0" else name
        whole = replace(run, metrics=run.metrics | {"gap/accuracy": 0.95 - accuracy})
        found.setdefault(remedy, {})[run.params["seed"], run.params["split.seed"]] = whole
    return found

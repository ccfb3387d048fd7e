"""The tables of what simulations and trainings found, for docs/COMPARISON.md (make calibrate)."""

import math
from collections.abc import Callable
from pathlib import Path

from fitgap.trust import text_tables
from fitgap_lab import pages
from fitgap_lab.calibration import effects, learning_curves, paired_images, races, trained
from fitgap_lab.calibration.simulate import Design, simulate

HEADER = (
    "groups, splits x seeds", "scatter", "any false claim", "coverage",
    "coverage over seeds alone", "4 points shown",
)  # fmt: skip
SIZES = ((2, 5, 2), (3, 5, 2), (10, 3, 1), (10, 5, 2), (10, 10, 1), (50, 5, 1), (200, 5, 1))
ONE_SPLIT = ((2, 1, 3), (10, 1, 3), (10, 1, 10), (50, 1, 3))
RUNS = 30_000  # a row's, about: rankings are fewer the larger they are
FEWEST, MOST = 60, 600


def table() -> str:
    """Simulate every row and return the table as Markdown."""
    rows = [
        _row(Design(groups, splits, seeds, spreads=spreads))
        for groups, splits, seeds in (*SIZES, *ONE_SPLIT)
        for spreads in (0.0, 0.5)
    ]
    return text_tables.to_markdown(HEADER, rows)


TABLES: dict[str, Callable[[], str]] = {
    "calibration": table,
    "paired images": paired_images.table,
    "races": races.table,
    "equal races": races.equal_table,
    "effects": effects.table,
    "remedies": effects.remedies_table,
    "learning curves": learning_curves.table,
    "trained networks": trained.table,
}


def write(page: Path) -> None:
    """Put the tables between their marks of the page."""
    for name, of in TABLES.items():
        pages.replace_table(page, name, of())


def _row(design: Design) -> list[str]:
    runs = design.groups * design.splits * design.seeds
    rankings = min(max(RUNS // runs, FEWEST), MOST)
    equal = simulate(design, rankings=rankings)
    seeds = simulate(design, rankings=FEWEST, these_images=True)
    better = Design(
        design.groups, design.splits, design.seeds, advantage=0.04, spreads=design.spreads
    )
    power = simulate(better, rankings=FEWEST, seed=1)
    return [
        design.name,
        "unequal" if design.spreads else "equal",
        _share(equal.false, rankings),
        f"{equal.covered:.2f}",
        "" if math.isnan(seeds.covered) else f"{seeds.covered:.2f}",
        f"{power.shown:.2f}",
    ]


def _share(share: float, rankings: int) -> str:
    error = (share * (1 - share) / rankings) ** 0.5
    return f"{share:.3f} ± {2 * error:.3f}"

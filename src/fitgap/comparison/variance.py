"""Where the variance of a figure comes from: seed, split and number of images.

A figure is its group's mean, plus what a split does to all groups, plus what it does to one group,
plus what the seed adds. The last three are random; their variances are estimated together, by
statsmodels' restricted maximum likelihood, as if they were the same in all groups.
"""

import math
import warnings
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from statistics import fmean

from fitgap.comparison.distributions import chdtri
from fitgap.comparison.estimates import CONFIDENCE
from fitgap.comparison.groups import Section
from fitgap.comparison.images import image_variance, shares_behind
from fitgap.comparison.replicates import split_of
from fitgap.comparison.significance import ROUNDING

SEED, IMAGES, SPLIT = "seed", "images", "split"
MOST_GROUPS = 50  # the first of a ranking: beyond that the fit takes long and hardly changes
RULE = (
    "How one run's figure would differ with another seed or another split, the settings equal "
    "(restricted maximum likelihood; all groups are taken to scatter alike). What the number of "
    "samples alone explains is at most p (1 − p) / samples; over several splits it is part of "
    "theirs."
)


@dataclass(frozen=True, slots=True)
class Components:
    """The variances that add up to that of one run's figure.

    Attributes
    ----------
    metric
        Of what.
    seed
        With another seed, the split equal.
    split
        With another split, the seed's part not counted; None for one split.
    common
        The part of ``split`` that all groups share; None for one group or one split.
    images
        At most so much is by the number of images alone; None for other metrics than accuracies.
    are_of_split
        Whether the images change with the split, so that ``images`` is part of ``split``.
    seeds_apart
        Whether some group has two seeds of a split; if not, ``seed`` holds also what a split does
        to single groups.
    groups, splits, runs
        Over how many.
    seed_degrees
        Degrees of freedom of ``seed``.
    averaged
        Over how many of the seed's draws the mean is by which a split is known.
    """

    metric: str
    seed: float
    split: float | None
    common: float | None
    images: float | None
    are_of_split: bool
    seeds_apart: bool
    groups: int
    splits: int
    runs: int
    seed_degrees: int
    averaged: float

    @property
    def parts(self) -> dict[str, float]:
        """What is known, without overlap, by source: `SEED`, `IMAGES`, `SPLIT`."""
        images, split = self.images, self.split
        if images is not None and split is not None and self.are_of_split:
            images = min(images, split)
            split -= images
        found = {SEED: self.seed, IMAGES: images, SPLIT: split}
        return {source: value for source, value in found.items() if value is not None}

    @property
    def seed_interval(self) -> tuple[float, float]:
        """95 % interval of the standard deviation over seeds."""
        return _interval(self.seed, self.seed_degrees)

    @property
    def split_interval(self) -> tuple[float, float] | None:
        """95 % interval of the standard deviation over splits, where there are several."""
        if self.split is None:
            return None
        # A split's mean scatters by this more than the split itself.
        more = self.seed / self.averaged
        low, high = _interval(self.split + more, self.splits - 1)
        return math.sqrt(max(low**2 - more, 0.0)), math.sqrt(max(high**2 - more, 0.0))


def components_of(section: Section, *, metric: str) -> Components | None:
    """Return where the variance of a metric comes from.

    Parameters
    ----------
    section
        Of a comparison; its first `MOST_GROUPS` groups count, with their finite figures.
    metric
        Of any name that runs have.

    Returns
    -------
    Components or None
        None where no group has two runs that differ, where runs of several settings are averaged,
        and if seed and split cannot be separated: one group with one seed per split.

    Notes
    -----
    y = group + split + split · group + seed; all but the first are random and normal (Searle,
    Casella and McCulloch 1992). Intervals are by χ²: of the seed's variance, and of that of the
    splits' means, from which what seeds leave of it is subtracted (Williams 1962).
    """
    groups = section.groups[:MOST_GROUPS]
    rows = [
        (place, split_of(run), value)
        for place, group in enumerate(groups)
        for run in group.runs
        if math.isfinite(value := run.metrics.get(metric, math.nan))
    ]
    numbers: dict[Hashable, int] = {}
    for _, split, _ in rows:
        numbers.setdefault(split, len(numbers))
    members = len({place for place, _, _ in rows})
    cells = len({(place, split) for place, split, _ in rows})
    splits, seeds_apart = len(numbers), len(rows) > cells
    degrees = len(rows) - cells if seeds_apart else len(rows) - members - splits + 1
    if not rows or degrees < 1 or section.averages:
        return None
    from_mean = _from_mean(rows, by_split=seeds_apart)
    if max(map(abs, from_mean)) <= ROUNDING:
        return None
    if splits == 1:
        found: Variances | None = (math.fsum(one**2 for one in from_mean) / degrees, 0.0, 0.0)
    else:
        table = [(place, numbers[split], value) for place, split, value in rows]
        found = _fit(table, seeds_apart=seeds_apart)
    if found is None:
        return None
    seed, common, single = found
    shares = shares_behind(metric, [run for group in groups for run in group.runs])
    of_images = [image_variance(group.runs, shares, images=section.images) for group in groups]
    return Components(
        metric=metric,
        seed=seed,
        split=common + single if splits > 1 else None,
        common=common if splits > 1 and members > 1 else None,
        images=fmean(of_images) if any(of_images) else None,
        are_of_split=not any(share.startswith("test/") for share in shares),
        seeds_apart=seeds_apart,
        groups=members,
        splits=splits,
        runs=len(rows),
        seed_degrees=degrees,
        averaged=len(rows) / (cells if seeds_apart else splits),
    )


Variances = tuple[float, float, float]  # of seed, split, and split within a group


def _from_mean(rows: Iterable[tuple[int, Hashable, float]], *, by_split: bool) -> list[float]:
    """Return each value's distance from the mean of its group, or of its group on its split."""
    cells: dict[Hashable, list[float]] = {}
    for place, split, value in rows:
        cells.setdefault((place, split if by_split else None), []).append(value)
    return [value - fmean(values) for values in cells.values() for value in values]


def _fit(rows: list[tuple[int, int, float]], *, seeds_apart: bool) -> Variances | None:
    import numpy as np
    import pandas as pd
    from statsmodels.regression.mixed_linear_model import MixedLM

    frame = pd.DataFrame(rows, columns=["group", "split", "value"])
    several = frame["group"].nunique() > 1
    spread = float(frame["value"].std())
    frame = frame.assign(value=(frame["value"] - frame["value"].mean()) / spread)
    with warnings.catch_warnings():
        # A variance of zero lies on the edge of what is allowed, and statsmodels warns of it.
        warnings.simplefilter("ignore")
        try:
            found = MixedLM.from_formula(
                "value ~ 0 + C(group)" if several else "value ~ 1",
                frame,
                groups="split",
                re_formula="1",
                vc_formula={"single": "0 + C(group)"} if several and seeds_apart else None,
            ).fit(reml=True)
        except (np.linalg.LinAlgError, ValueError, ZeroDivisionError):
            return None
    parts = [float(found.scale), float(found.cov_re.iloc[0, 0]), float(sum(found.vcomp))]
    if not all(map(math.isfinite, parts)):
        return None
    seed, common, single = (spread**2 * max(part, 0.0) for part in parts)
    return seed, common, single


def _interval(variance: float, degrees: int) -> tuple[float, float]:
    tail = (1 - CONFIDENCE) / 2
    # Quantiles of χ², by the upper tail.
    low, high = (math.sqrt(variance * degrees / chdtri(degrees, p)) for p in (tail, 1 - tail))
    return low, high


def in_words(found: Components) -> list[str]:
    """Return what follows for the next runs, a sentence each."""
    sentences = []
    of_split = 1 - found.seed / math.fsum(found.parts.values())
    if found.split is None:
        sentences.append("One split: what another one would change is not known (split.seed).")
    elif of_split > 0.5:
        sentences.append(
            f"{100 * of_split:.0f} % of the variance of {found.metric} comes from the split: more "
            "splits tell more than more seeds."
        )
    else:
        sentences.append(
            f"{100 * (1 - of_split):.0f} % of the variance of {found.metric} comes from the seed: "
            "more seeds of each split help."
        )
    if found.split and found.common is not None and found.seeds_apart:
        sentences.append(
            f"{100 * found.common / found.split:.0f} % of what splits change is common to all "
            "groups: differences within splits are free of it."
        )
    if found.split is not None and not found.seeds_apart:
        sentences.append(
            "There is one seed for each split, so the effect of a split on single groups counts as "
            "that of the seed (seed=0,1)."
        )
    return sentences

"""Where the variance comes from, as the rows of a table and as records."""

import math
from typing import Any

from fitgap.comparison.variance import IMAGES, SEED, SPLIT, Components, in_words
from fitgap.evaluation.figures import figure_text

HEADER = ("what differs", "standard deviation", "share")
NOTHING = (
    "The variance cannot be estimated: a group needs two seeds or splits whose figures differ."
)


def sentences(found: Components | None) -> list[str]:
    """Return in sentences what was found."""
    return in_words(found) if found else [NOTHING]


def rows(found: Components | None) -> list[tuple[str, str, str]]:
    """Return what differs, its standard deviation with the interval, and its share in the variance.

    The number of images is part of the split where there are several.
    """
    if found is None:
        return []
    parts = found.parts
    total = math.fsum(parts.values())

    def row(
        name: str, variance: float, interval: tuple[float, float] | None
    ) -> tuple[str, str, str]:
        known = (
            ""
            if interval is None
            else f" ({figure_text(interval[0])} to {figure_text(interval[1])})"
        )
        share = f"{100 * variance / total:.0f} %"
        return name, figure_text(math.sqrt(variance)) + known, share

    shown = [row("seed", found.seed, found.seed_interval)]
    if found.split is not None:
        shown.append(row(f"split ({found.splits})", found.split, found.split_interval))
    if found.images is not None:
        within = "of which " if found.are_of_split and found.split is not None else ""
        shown.append(row(f"{within}the number of samples, at most", parts[IMAGES], None))
    return shown


def records(found: Components | None) -> list[dict[str, Any]]:
    """Return one record for each of what differs, with everything by name."""
    if found is None:
        return []
    parts = found.parts
    total = math.fsum(parts.values())
    of_source = {SEED: found.seed, SPLIT: found.split, IMAGES: parts.get(IMAGES)}
    intervals = {SEED: found.seed_interval, SPLIT: found.split_interval}
    return [
        {
            "metric": found.metric,
            "source": source,
            "variance": variance,
            "sd": math.sqrt(variance),
            "sd_low": interval[0] if interval else None,
            "sd_high": interval[1] if interval else None,
            "share": variance / total,
            "groups": found.groups,
            "splits": found.splits,
            "runs": found.runs,
        }
        for source, variance in of_source.items()
        if variance is not None
        for interval in [intervals.get(source)]
    ]

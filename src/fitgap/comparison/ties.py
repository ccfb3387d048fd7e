"""Which groups are not told apart from the best: paired tests over common seeds, corrected.

A tie is no proof of equality: it says that these runs cannot show a difference.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from fitgap.comparison.significance import Paired, holm, paired
from fitgap.store import StoredRun

ALPHA = 0.05

# A run's pair: what it shares with one run of the other group, its seed above all.
BlockOf = Callable[[StoredRun], Hashable]


@dataclass(frozen=True, slots=True)
class AgainstBest:
    """A group held against the best one, on the metric of the ranking.

    Attributes
    ----------
    common
        Seeds (with other settings averaged over: combinations of those and seeds) that both have.
    difference
        Best minus this group over them; None for fewer than two.
    p_holm
        Its p-value, corrected for all groups tested in this ranking; None where there is none.
    first_is_better
        Whether the sign of the difference, in the metric's direction, agrees with the ranking.
    """

    common: int
    difference: Paired | None
    p_holm: float | None
    first_is_better: bool = True

    @property
    def is_tie(self) -> bool | None:
        """Whether the runs do not show this group to be worse, at 5 %; None where not testable.

        A group that is better than the first over their common seeds is never shown as worse: it
        ranks below only by seeds that it was not trained with.
        """
        if self.p_holm is None or self.difference is None:
            return None
        return self.p_holm >= ALPHA or not self.first_is_better


def against_best(
    groups: Sequence[Sequence[StoredRun]],
    *,
    metric: str,
    block_of: BlockOf,
    higher_is_better: bool = True,
) -> list[AgainstBest | None]:
    """Hold every group's runs against the first group's.

    Parameters
    ----------
    groups
        The runs of each, the best group first.
    metric
        By which they are ranked.
    block_of
        Gives what the two runs of a pair share.
    higher_is_better
        The metric's direction.

    Returns
    -------
    list
        One per group; None for the best itself.
    """
    if not groups:
        return []
    best = by_block(groups[0], metric=metric, block_of=block_of)
    compared = []
    for runs in groups[1:]:
        other = by_block(runs, metric=metric, block_of=block_of)
        differences = [best[block] - other[block] for block in best if block in other]
        compared.append((len(differences), paired(differences)))
    p_values = {
        i: one.p for i, (_, one) in enumerate(compared) if one is not None and one.p is not None
    }
    corrected = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    sign = 1 if higher_is_better else -1
    return [
        None,
        *(
            AgainstBest(n, found, corrected.get(i), found is None or sign * found.mean >= 0)
            for i, (n, found) in enumerate(compared)
        ),
    ]


def by_block(runs: Sequence[StoredRun], *, metric: str, block_of: BlockOf) -> dict[Hashable, float]:
    """Return the mean of a metric in each block, of the runs that have it as a finite number."""
    values: dict[Hashable, list[float]] = {}
    for run in runs:
        if math.isfinite(value := run.metrics.get(metric, math.nan)):
            values.setdefault(block_of(run), []).append(value)
    return {block: math.fsum(found) / len(found) for block, found in values.items()}

"""Main effects: by how much each setting of a sweep moves a metric, the other settings equal.

Runs that share all other settings and the seed are a block. A level's mean is taken over the
blocks that have every level, so that no level profits from company the others lack. The interval
of a setting's range is that of paired differences between its best and its worst level, over the
combinations of the other settings: the replicates of one combination are averaged first, since they
are no independent blocks where an effect differs between combinations. Where no other setting
differs it is over splits, seeds averaged first, or over the seeds of one split. Because levels and
settings are looked at together, it holds for all pairs of levels and all settings at once
(Bonferroni).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from fitgap.comparison.estimates import CONFIDENCE, Estimate, estimate
from fitgap.comparison.groups import Section
from fitgap.comparison.paired_differences import by_block
from fitgap.comparison.replicates import (
    OF_THE_SPLIT,
    REPLICATE_KEYS,
    grouped,
    overlap_of,
)
from fitgap.comparison.significance import ROUNDING, Paired, paired
from fitgap.comparison.varying_settings import (
    GROUPS,
    key_of,
    others_than,
    parse,
    settings_of,
    show,
    value_of,
)
from fitgap.store import StoredRun
from fitgap.store.recorded_metrics import higher_is_better

RULE = (
    "Runs that share all other settings and the replicate are a block; only blocks with every "
    "level of a setting count. A mean is over these blocks. What a setting moves is the difference "
    "between its best and its worst level, with a 95 % interval over the combinations of the other "
    "settings, replicates averaged first; where no other setting differs it is over splits, seeds "
    "averaged first (Nadeau and Bengio), or over seeds of one split. It "
    "holds for all pairs of levels and all settings at once (paired t, Bonferroni)."
)
UNSET = "not set"
Block = tuple[str | None, ...]  # the other settings, then what tells a replicate from others


@dataclass(frozen=True, slots=True)
class Level:
    """One value of a setting: its mean, and its distance from the mean of its blocks."""

    value: str
    mean: float
    deviation: Estimate


@dataclass(frozen=True, slots=True)
class Effect:
    """What a setting moves.

    Attributes
    ----------
    setting
        As its column is named.
    within
        The option whose setting it is, where options differ: ``sgd`` for its momentum; or "".
    metric
        What is moved.
    levels
        Best first; empty if no block has all levels, as where two settings only change together.
    span
        Higher mean minus lower mean, over blocks; None for fewer than two blocks, and where it is
        the same in all: that says that figures are coarse, not that the difference is certain.
    blocks, all_blocks
        How many blocks have every level, and how many there are.
    """

    setting: str
    within: str
    metric: str
    levels: tuple[Level, ...]
    span: Paired | None
    blocks: int
    all_blocks: int

    @property
    def name(self) -> str:
        """The setting, with the option it belongs to."""
        return f"{self.setting} ({self.within})" if self.within else self.setting

    @property
    def range(self) -> float:
        """The difference between the best and the worst mean; 0 without levels."""
        return abs(self.levels[0].mean - self.levels[-1].mean) if self.levels else 0.0


def main_effects(section: Section, *, metric: str) -> list[Effect]:
    """Return the effect of each setting that differs, the largest first.

    Parameters
    ----------
    section
        Of a comparison.
    metric
        Whose means are compared; runs without it count nowhere.
    """
    runs = [run for group in section.groups for run in group.runs]
    rows = [row for key in section.differing for row in _rows(key, runs, keys=section.differing)]
    effects = [
        _effect(key, some, keys=section.differing, metric=metric, within=within, rows=len(rows))
        for key, some, within in rows
    ]
    # What cannot be separated comes last; equal ranges keep the order of the columns.
    return sorted(effects, key=lambda effect: (not effect.levels, -effect.range))


def effect_metrics(section: Section) -> tuple[str, ...]:
    """Return the metrics worth showing: what is ranked by, the primary one and its gap."""
    present = {name for group in section.groups for name in group.metrics}
    usual = (f"val/{section.primary}", f"gap/{section.primary}")
    wanted = dict.fromkeys([*([section.sort] if section.sort else []), *usual])
    return tuple(name for name in wanted if name in present)


def _rows(
    key: str, runs: Sequence[StoredRun], *, keys: Sequence[str]
) -> list[tuple[str, Sequence[StoredRun], str]]:
    """Return a setting with its runs; an option's setting once for each option where it varies."""
    group, dot, _ = key.partition(".")
    if not (dot and group in GROUPS and group in keys):
        return [(key, runs, "")]
    of_option: dict[str, list[StoredRun]] = {}
    for run in runs:
        of_option.setdefault(value_of(run, group) or UNSET, []).append(run)
    return [
        (key, some, option)
        for option, some in sorted(of_option.items())
        if len({value_of(run, key) for run in some}) > 1
    ]


def _effect(
    key: str,
    runs: Sequence[StoredRun],
    *,
    keys: Sequence[str],
    metric: str,
    within: str,
    rows: int,
) -> Effect:
    others = others_than([key], keys)
    shared = [*map(key_of, others), *REPLICATE_KEYS]

    def block_of(run: StoredRun) -> Block:
        return settings_of(run, shared)

    members = grouped(runs, lambda run: value_of(run, key))
    cells = {
        value: by_block(some, metric=metric, block_of=block_of) for value, some in members.items()
    }
    everywhere = set.union(*map(set, cells.values()))
    # In a fixed order, or the last digits of sums would change from one start to the next.
    complete = sorted(set.intersection(*map(set, cells.values())), key=repr)
    if not complete:
        return Effect(key, within, metric, (), None, 0, len(everywhere))
    middle = {block: sum(cell[block] for cell in cells.values()) / len(cells) for block in complete}
    levels = [
        (
            value,
            Level(
                value=UNSET if value is None else show(parse(value)),
                mean=sum(cell[block] for block in complete) / len(complete),
                deviation=estimate([cell[block] - middle[block] for block in complete]),
            ),
        )
        for value, cell in cells.items()
    ]
    levels.sort(
        key=lambda pair: (pair[1].mean, pair[1].value), reverse=higher_is_better(metric, runs)
    )
    ends = sorted((levels[0], levels[-1]), key=lambda pair: pair[1].mean)
    low, high = (cells[value] for value, _ in ends)
    pairs = max(len(levels) * (len(levels) - 1) // 2, 1)
    units, overlap = _units(
        {block: high[block] - low[block] for block in complete}, runs, others=len(others)
    )
    span = paired(
        units,
        confidence=1 - (1 - CONFIDENCE) / (pairs * rows),
        overlap=overlap,
    )
    return Effect(
        setting=key,
        within=within,
        metric=metric,
        levels=tuple(level for _, level in levels),
        span=span if span is not None and span.high - span.low > ROUNDING else None,
        blocks=len(complete),
        all_blocks=len(everywhere),
    )


def _units(
    differences: Mapping[Block, float], runs: Sequence[StoredRun], *, others: int
) -> tuple[list[float], float]:
    """Return the differences that an interval is over, and how far their training sets overlap.

    They are averaged by combination of the other settings, the first of a block; of one such by
    split, the last of it; of one split they stand by themselves.
    """
    overlap = 0.0
    units = grouped(differences, lambda block: block[:others])
    if len(units) == 1:
        units = grouped(differences, lambda block: block[-len(OF_THE_SPLIT) :])
        overlap = overlap_of(runs)
    if len(units) == 1:
        return list(differences.values()), 0.0
    return [fmean([differences[block] for block in found]) for found in units.values()], overlap

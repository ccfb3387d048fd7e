"""One section of a comparison as a table that fits its terminal, readable without colour.

The widths are worked out here, on plain strings, and only then given to Rich: it would shrink
whatever is widest, which is the figures.
"""

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from fitgap.comparison.estimates import Estimate
from fitgap.comparison.groups import Group, Section
from fitgap.comparison.ties import EQUIVALENT, UNDECIDED, WORSE
from fitgap.comparison.varying_settings import GROUPS, OF_CLASS, show_shortly
from fitgap.evaluation.figures import DECIMALS, decimals_for, figure_text

FIT_SECONDS = "time/fit_seconds"
SECONDS_HEADER = "median fit\nseconds"
BEST, EQUAL, TIE, UNTESTED = "*", "~", "=", "?"
GUTTER = 2  # cells between columns
WIDEST_SETTING = 24  # cells; a longer value wraps
NARROWEST_MERGED = 16  # cells for the settings once they share a column, and a word more than that
WIDEST_WORD = 30  # cells; a longer word is broken
ABSENT = "-"


@dataclass(frozen=True, slots=True)
class _Column:
    header: str
    cells: tuple[str, ...]
    wraps: bool = False
    to_the_right: bool = False

    @property
    def title(self) -> str:
        return self.header.replace(".\n", ".").replace("\n", " ")

    @property
    def width(self) -> int:
        lines = (line for cell in (self.header, *self.cells) for line in cell.split("\n"))
        natural = max(map(cell_len, lines))
        return min(natural, WIDEST_SETTING) if self.wraps else natural


def table_of(section: Section, *, width: int, metrics: Sequence[str] = ()) -> Table:
    """Return the richest layout of a section that fits into ``width`` cells.

    Parameters
    ----------
    section
        Its groups become the rows, in their order.
    width
        Cells of the terminal; a wide character (Hangul, for one) takes two.
    metrics
        Shown after the one that is ranked by, instead of the usual ones.

    Returns
    -------
    rich.table.Table
        Rank, settings that differ, n and figures. What gives way where space is short: the
        seconds, then the columns of the settings (they share one), then the last figures.
    """
    ranks, settings = _ranks(section), _settings(section)
    counts = _counts(section)
    figures = [_figures(section, name) for name in figure_names(section, metrics)]
    layouts = [[*ranks, *settings, counts, *figures]]
    if not metrics and figures and figures[-1].header == SECONDS_HEADER:
        figures.pop()
        layouts.append([*ranks, *settings, counts, *figures])
    for columns in layouts:
        if _width(columns) <= width:
            return _table(columns, lines=False)
    # The first figure is what the ranking is by: it stays, whatever the width.
    merged = _merged(settings)
    longest = max(cell_len(word) for cell in merged.cells for word in cell.split())
    narrowest = max(NARROWEST_MERGED, min(longest, WIDEST_WORD)) + GUTTER
    while len(figures) > 1 and width - _width([*ranks, counts, *figures]) < narrowest:
        figures.pop()
    rest = width - _width([*ranks, counts, *figures]) - GUTTER
    return _table([*ranks, merged, counts, *figures], lines=True, merged_width=rest)


def columns_of(section: Section, *, metrics: Sequence[str] = ()) -> dict[str, tuple[str, ...]]:
    """Return all columns of a section, however wide, by header; for what wraps by itself."""
    columns = [*_ranks(section), *_settings(section), _counts(section)]
    columns += [_figures(section, name) for name in figure_names(section, metrics)]
    return {column.title: column.cells for column in columns}


def figure_names(section: Section, metrics: Sequence[str] = ()) -> list[str]:
    """Return the metrics with a column: that of the ranking, then the requested or usual ones."""
    present = {name for group in section.groups for name in group.metrics}
    name = section.primary
    usual = [f"val/{name}", f"gap/{name}", "val/loss"]
    if usual[0] not in present:  # the only unseen data is the test set
        usual = [f"train/{name}", f"test_gap/{name}", "train/loss"]
    shown = metrics or (*usual, FIT_SECONDS)
    wanted = dict.fromkeys([*([section.sort] if section.sort else []), *shown])
    return [name for name in wanted if name in present]


def mark_of(section: Section, group: Group) -> str:
    """Return the mark beside a group's rank: best, tied with it, or undecided.

    The first is marked as best only where all others are shown to be worse; where some are not,
    it is one of those.
    """
    if len(section.groups) == 1 or not section.has_winner or section.sort not in group.metrics:
        return ""
    of_word = {WORSE: "", EQUIVALENT: EQUAL, UNDECIDED: TIE, None: UNTESTED}
    if group.against_best is not None:
        return of_word[group.against_best.word]
    others = {one.against_best.word for one in section.groups if one.against_best}
    if None in others:
        return TIE if UNDECIDED in others else ""
    return TIE if UNDECIDED in others else EQUAL if EQUIVALENT in others else BEST


def label_of(group: Group) -> str:
    """Return a group's settings in one line: ``adam, training.epochs=5``."""
    if not group.settings:
        # Nothing differs; a person still wants to see what was run.
        names = (group.runs[0].params.get(f"{key}.name") for key in ("architecture", "optimizer"))
        return ", ".join(name for name in names if name) or "all runs"
    # The name of an option speaks for itself.
    return ", ".join(
        ("" if key in GROUPS else f"{_heading(key)}=") + show_shortly(value, key=key)
        for key, value in group.settings.items()
    )


def _heading(key: str) -> str:
    """Return a setting's name as a heading: a class speaks for what it is the class of.

    Of an option there is also the name, so both are called in full.
    """
    name = key.removesuffix(OF_CLASS)
    return key if name in GROUPS else name


def median_of(group: Group, metric: str) -> float | None:
    """Return a metric's median over a group's runs, None if no run has it."""
    values = [run.metrics[metric] for run in group.runs if metric in run.metrics]
    return statistics.median(values) if values else None


def _width(columns: Sequence[_Column]) -> int:
    return sum(column.width for column in columns) + GUTTER * (len(columns) - 1)


def _table(columns: Sequence[_Column], *, lines: bool, merged_width: int = 0) -> Table:
    # The box itself puts one cell between columns, the padding the others.
    table = Table(
        box=box.SIMPLE,
        padding=(0, GUTTER - 1, 0, 0),
        pad_edge=False,
        show_edge=False,
        show_lines=lines,
    )
    for column in columns:
        table.add_column(
            Text(column.header),
            overflow="fold",
            no_wrap=not column.wraps,
            justify="right" if column.to_the_right else "left",
            width=max(merged_width, 1) if lines and column.wraps else column.width,
        )
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*map(Text, row))
    return table


def _ranks(section: Section) -> list[_Column]:
    if section.sort is None:
        return []
    marks = [mark_of(section, group) for group in section.groups]
    width = 2 if any(marks) else 0
    ranks = (
        (str(rank) if group.has_figure(section.sort) else ABSENT) + f" {mark}".ljust(width)
        for rank, (group, mark) in enumerate(zip(section.groups, marks, strict=True), start=1)
    )
    longest = len(str(len(section.groups))) + width
    return [_Column("#", tuple(rank.rstrip().ljust(longest) for rank in ranks))]


def _counts(section: Section) -> _Column:
    """Return how many runs the ranked mean is over; of all metrics, where nothing is ranked."""
    ranked = [group.metrics.get(section.sort or "") for group in section.groups]
    return _Column(
        "n", tuple(count_of(group, one) for group, one in zip(section.groups, ranked, strict=True))
    )


def count_of(group: Group, found: Estimate | None) -> str:
    """Return how many runs a mean is over: ``3``, or ``2 of 3, 1 failed``."""
    n = len(group.runs) if found is None else found.n
    not_finite = 0 if found is None else found.not_finite
    if not group.failed and not not_finite:
        return str(n)
    missing = [f"{group.failed} failed"] if group.failed else []
    missing += [f"{not_finite} not finite"] if not_finite else []
    return f"{n} of {n + group.failed + not_finite}, {', '.join(missing)}"


def _settings(section: Section) -> list[_Column]:
    if section.keys:
        return [
            _Column(
                header=_heading(key).replace(".", ".\n"),
                cells=tuple(
                    show_shortly(group.settings[key], key=key) if key in group.settings else ABSENT
                    for group in section.groups
                ),
                wraps=True,
            )
            for key in section.keys
        ]
    # Nothing differs; a person still wants to see what was run.
    return [
        _Column(
            header=name,
            cells=tuple(
                group.runs[0].params.get(f"{name}.name", ABSENT) for group in section.groups
            ),
            wraps=True,
        )
        for name in ("architecture", "optimizer")
    ]


def _merged(columns: Sequence[_Column]) -> _Column:
    """Return one column in place of many: ``adam, learning_rate=0.01``."""
    keys = [column.title for column in columns]
    last_parts = [key.rpartition(".")[2] for key in keys]
    counted = Counter(last_parts)
    # The name of an option speaks for itself: `adam`, not `optimizer=adam`.
    labels = [
        "" if key in GROUPS else f"{last if counted[last] == 1 else key}="
        for key, last in zip(keys, last_parts, strict=True)
    ]
    cells = (
        ", ".join(
            f"{label}{cell}" for label, cell in zip(labels, row, strict=True) if cell != ABSENT
        )
        for row in zip(*(column.cells for column in columns), strict=True)
    )
    return _Column("settings", tuple(cells), wraps=True)


def _figures(section: Section, name: str) -> _Column:
    """Return mean ± half width of the interval, aligned at the decimal point."""
    if name == FIT_SECONDS:
        # Its spread is that of compilation and of what else the machine did: no interval.
        medians = [median_of(group, name) for group in section.groups]
        is_short = any(one is not None and one < 0.1 for one in medians)  # "0.0" would say nothing
        decimals = 2 if is_short else 1
        return _Column(
            SECONDS_HEADER,
            tuple(ABSENT if one is None else f"{one:.{decimals}f}" for one in medians),
            to_the_right=True,
        )
    found = [group.metrics.get(name) for group in section.groups]
    half_widths = [one.half_width if one else None for one in found]
    decimals = decimals_for(
        [one.mean for one in found if one],
        _decimals([half_width for half_width in half_widths if half_width]),
    )
    means = [
        figure_text(one.mean, decimals) if one and math.isfinite(one.mean) else ABSENT
        for one in found
    ]
    spreads = ["" if half is None else f" ± {figure_text(half, decimals)}" for half in half_widths]
    left, right = max(map(len, means)), max(map(len, spreads))
    cells = (
        f"{mean:>{left}}{spread:>{right}}" for mean, spread in zip(means, spreads, strict=True)
    )
    return _Column(name, tuple(cells))


def _decimals(half_widths: Sequence[float]) -> int:
    """Return how many decimals a column needs.

    The usual half width gets two significant digits, and the smallest at least one.
    """
    if not half_widths:
        return DECIMALS
    in_order = sorted(half_widths)
    usual, smallest = in_order[len(in_order) // 2], in_order[0]
    wanted = max(1 - math.floor(math.log10(usual)), -math.floor(math.log10(smallest)))
    return min(max(wanted, 0), DECIMALS)

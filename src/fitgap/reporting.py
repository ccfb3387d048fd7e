"""A comparison as text: tables for people, CSV and JSON for machines. No statistics here."""

import csv
import io
import json
import math
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.text import Text

from fitgap.comparison import Comparison, Group, Section
from fitgap.differences import show
from fitgap.estimates import higher_is_better
from fitgap.leaderboard import table_of

STATISTICS = ("mean", "sd", "low", "high")
DIGEST_SHOWN = 8  # characters; enough to tell a person's handful of data sets apart


def to_json(comparison: Comparison) -> str:
    """Return a list of groups, best first within a section, as indented JSON.

    Each is ``{"group": settings that differ, "n": runs, "runs": run ids, "metrics": {name:
    {"mean", "sd", "low", "high"}}}``. ``null`` stands for what does not exist (an interval where
    n = 1) or is not finite. A metric that only some of the runs have carries its own ``n``. With
    more than one section each group also has ``dataset`` and ``split``: name and digest.
    """
    several = len(comparison.sections) > 1
    groups = [
        (_plain_data(section) if several else {}) | _plain_group(group)
        for section in comparison.sections
        for group in section.groups
    ]
    return json.dumps(groups, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def to_csv(comparison: Comparison) -> str:
    """Return one line per group: settings, n, then mean, sd, low and high of every metric.

    What does not exist or is not finite is left empty. With more than one section the first
    columns name the data.
    """
    sections = comparison.sections
    groups = [group for section in sections for group in section.groups]
    keys = list(dict.fromkeys(key for section in sections for key in section.keys))
    names = sorted({name for group in groups for name in group.metrics})
    figures = [(name, statistic) for name in names for statistic in STATISTICS]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    several = len(sections) > 1
    of_data = ["dataset_name", "dataset_digest", "split_name", "split_digest"] if several else []
    writer.writerow([*of_data, *keys, "n", *("_".join(figure) for figure in figures)])
    for section in sections:
        data = [section.dataset, section.dataset_digest, section.split, section.split_digest]
        for group in section.groups:
            writer.writerow(
                [
                    *(data if several else []),
                    *(show(group.settings[key]) if key in group.settings else "" for key in keys),
                    len(group.runs),
                    *(_figure(group, name, statistic) for name, statistic in figures),
                ]
            )
    return text.getvalue()


def print_table(comparison: Comparison, *, console: Console, limit: int | None = None) -> None:
    """Print every section's ranking and the notes, no wider than the console.

    Parameters
    ----------
    comparison, console
        What to print, and where.
    limit
        Rows per section, the best ones; what is left out is counted. None is all.
    """
    # Text objects throughout: a setting such as [100] is not Rich's markup.
    for section in comparison.sections:
        runs = sum(len(group.runs) for group in section.groups)
        heading = f"{_data_name(section)}: runs {runs}, groups {len(section.groups)}"
        console.print(Text(heading, style="bold"))
        console.print()
        shown = replace(section, groups=section.groups[:limit])
        console.print(table_of(shown, width=console.width))
        console.print()
        hidden = len(section.groups) - len(shown.groups)
        more = f" Groups not shown: {hidden} (--limit 0 shows all)." if hidden else ""
        console.print(Text(_order(section) + more))
    if any(len(group.runs) > 1 for section in comparison.sections for group in section.groups):
        meaning = "mean ± half the width of its 95 % interval (Student's t) over n seeds"
        console.print(Text(f"Figures: {meaning}."))
    for note in comparison.notes:
        console.print(Text(f"Note: {note}"))


def _plain_data(section: Section) -> dict[str, Any]:
    return {
        "dataset": {"name": section.dataset, "digest": section.dataset_digest[:DIGEST_SHOWN]},
        "split": {"name": section.split, "digest": section.split_digest[:DIGEST_SHOWN]},
    }


def _plain_group(group: Group) -> dict[str, Any]:
    metrics: dict[str, dict[str, float | None]] = {}
    for name, found in group.metrics.items():
        metrics[name] = {statistic: _figure(group, name, statistic) for statistic in STATISTICS}
        if found.n != len(group.runs):
            metrics[name]["n"] = found.n
    return {
        "group": group.settings,
        "n": len(group.runs),
        "runs": [run.run_id for run in group.runs],
        "metrics": metrics,
    }


def _figure(group: Group, name: str, statistic: str) -> float | None:
    if name not in group.metrics:
        return None
    value: float | None = getattr(group.metrics[name], statistic)
    return value if value is not None and math.isfinite(value) else None


def _data_name(section: Section) -> str:
    parts = []
    for group, name, digest in (
        ("dataset", section.dataset, section.dataset_digest),
        ("split", section.split, section.split_digest),
    ):
        details = [
            f"{key.removeprefix(f'{group}.')}={show(value)}"
            for key, value in section.settings.items()
            if key.startswith(f"{group}.")
        ]
        details.append(digest[:DIGEST_SHOWN] or "no digest")
        parts.append(f"{group} {name or 'unknown'} ({', '.join(details)})")
    return ", ".join(parts)


def _order(section: Section) -> str:
    if section.sort is None:
        return "Not ranked."
    first = "highest" if higher_is_better(section.sort) else "lowest"
    return f"Sorted by {section.sort}, {first} first."

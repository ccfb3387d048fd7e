"""A comparison as text: tables for people and papers, CSV and JSON for machines."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.text import Text

from fitgap.comparison.groups import Comparison, Group, Section
from fitgap.comparison.images import image_interval
from fitgap.comparison.significance import wilson
from fitgap.comparison.varying_settings import show
from fitgap.evaluation.figures import with_half_width
from fitgap.report.claims import against_baseline, decision, method, method_in_short
from fitgap.report.leaderboard import BEST, EQUAL, TIE, UNTESTED, columns_of, mark_of, table_of
from fitgap.trust import text_tables
from fitgap.trust.text import markdown

STATISTICS = ("mean", "sd", "low", "high")
AGAINST_BEST = (
    "common", "mean", "low", "high", "p", "word", "covers", "outperforms", "smallest", "needed",
    "tie", "by_image",
)  # fmt: skip
DIGEST_SHOWN = 8  # characters; enough to tell a person's handful of data sets apart


def to_json(comparison: Comparison) -> str:
    """Return a list of groups, best first within a section, as indented JSON.

    Each is ``{"group": settings that differ, "n": runs, "runs": run ids, "metrics": {name:
    {"mean", "sd", "low", "high"}}}``. ``null`` stands for what does not exist (an interval where
    n = 1) or is not finite. A metric that only some of the runs have carries its own ``n``.
    ``image_intervals`` has, by share of images, Wilson's 95 % interval of each run, in the order of
    ``runs``. ``best_minus_this`` is the test against the first group, on the metric of the
    ranking: ``common`` replicates, ``mean`` difference with ``low`` and ``high``, ``p``, ``word``
    (worse, equivalent, undecided), ``covers`` (what the interval takes in), ``outperforms``,
    ``smallest``, ``needed``, ``tie``, ``by_image`` (whether what images leave open is paired image
    by image); null for the first itself and without a ranking. With more
    than one section each group
    also has ``dataset`` and ``split``: name and digest.
    """
    several = len(comparison.sections) > 1
    names = _metric_names(comparison)
    groups = [
        (_plain_data(section) if several else {}) | _plain_group(group, names=names)
        for section in comparison.sections
        for group in section.groups
    ]
    return json.dumps(groups, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def to_csv(comparison: Comparison) -> str:
    """Return one line per group: settings, n, then mean, sd, low and high of every metric.

    Shares of images also have the bounds of Wilson's interval of their mean on that many images
    (``_images_low``, ``_images_high``). Then follows the paired test against the best group. What
    does not exist or is not finite is left empty. With more than one section the first columns
    name the data.
    """
    sections = comparison.sections
    keys = list(dict.fromkeys(key for section in sections for key in section.keys))
    names = _metric_names(comparison)
    shares = [name for name in names if any(section.is_share(name) for section in sections)]
    figures = [(name, statistic) for name in names for statistic in STATISTICS]
    several = len(sections) > 1
    of_data = ["dataset_name", "dataset_digest", "split_name", "split_digest"] if several else []
    header = [
        *of_data,
        *keys,
        "n",
        *("_".join(figure) for figure in figures),
        *(f"{name}_images_{bound}" for name in shares for bound in ("low", "high")),
        *(f"best_minus_this_{part}" for part in AGAINST_BEST),
    ]
    rows = []
    for section in sections:
        data = [section.dataset, section.dataset_digest, section.split, section.split_digest]
        for group in section.groups:
            against = _against_best(group)
            rows.append(
                [
                    *(data if several else []),
                    *(show(group.settings[key]) if key in group.settings else "" for key in keys),
                    len(group.runs),
                    *(_figure(group, name, statistic) for name, statistic in figures),
                    *(bound for name in shares for bound in _of_images(section, group, name)),
                    *(against[part] if against else None for part in AGAINST_BEST),
                ]
            )
    return text_tables.to_csv(header, rows)


def to_markdown(comparison: Comparison, *, limit: int | None = None) -> str:
    """Return every section's ranking as a Markdown table, and below it what it means.

    Parameters
    ----------
    comparison
        What to show.
    limit
        Rows per section, the best ones; what is left out is counted. None is all.
    """
    parts = []
    for section in comparison.sections:
        shown = replace(section, groups=section.groups[:limit])
        columns = columns_of(shown, metrics=comparison.metrics)
        rows = list(zip(*columns.values(), strict=True))
        parts.append(f"**{markdown(heading_of(section))}**\n")
        parts.append(text_tables.to_markdown(list(columns), rows))
        sentences = [*_below(section, shown=len(shown.groups)), *_legend(section)]
        parts.append(" ".join(map(markdown, sentences)) + "\n")
    remarks = [*method(comparison), *(f"Note: {note}" for note in comparison.notes)]
    if remarks:
        parts.append("".join(f"- {markdown(remark)}\n" for remark in remarks))
    return "\n".join(parts)


def print_table(
    comparison: Comparison, *, console: Console, limit: int | None = None, explain: bool = False
) -> None:
    """Print every section's ranking and the notes, no wider than the console.

    Parameters
    ----------
    comparison, console
        What to print, and where.
    limit
        Rows per section, the best ones; what is left out is counted. None is all.
    explain
        Whether to explain how figures and tests are computed, instead of pointing to ``--explain``.
    """
    # Text objects throughout: a setting such as [100] is not Rich's markup.
    for section in comparison.sections:
        console.print(Text(heading_of(section), style="bold"))
        console.print()
        shown = replace(section, groups=section.groups[:limit])
        console.print(table_of(shown, width=console.width, metrics=comparison.metrics))
        console.print()
        for sentence in [*_below(section, shown=len(shown.groups)), *_legend(section)]:
            console.print(Text(sentence))
    for note in comparison.notes:
        console.print(Text(f"Note: {note}"))
    for sentence in method(comparison) if explain else method_in_short(comparison):
        console.print(Text(sentence))


def heading_of(section: Section) -> str:
    """Return the data a section is about, and how much of it there is."""
    runs = sum(len(group.runs) for group in section.groups)
    return f"{_data_name(section)}: runs {runs}, groups {len(section.groups)}"


def _below(section: Section, *, shown: int) -> list[str]:
    """Return the sentences below a ranking: its order and the first group's test figure."""
    hidden = len(section.groups) - shown
    more = f" Groups not shown: {hidden} (--limit 0 shows all)." if hidden else ""
    sentences = [_order(section) + more]
    if section.sort is None or not section.sort.startswith("val/"):
        return sentences  # nobody is the best there, so nobody's test figure is the winner's
    first = section.groups[0]
    name = section.metric
    if (test := first.metrics.get(f"test/{name}")) is not None and math.isfinite(test.mean):
        sentences.append(
            f"The first group's test {name}, not used to choose it: "
            f"{with_half_width(test.mean, test.half_width)} (n = {test.n})."
        )
    return sentences


def _legend(section: Section) -> list[str]:
    """Say what the marks beside the ranks mean, of those that occur."""
    marks = {mark_of(section, group) for group in section.groups}
    meaning = {
        BEST: f"{BEST} best: all others are shown to be worse.",
        EQUAL: f"{EQUAL} equivalent: no difference beyond the margin of {section.margin or 0:g}.",
        TIE: f"{TIE} undecided: the best is one of these.",
        UNTESTED: (
            f"{UNTESTED} cannot be tested: fewer than two replicates (seeds or splits) in common "
            "with the first, or the same difference in all."
        ),
    }
    found = [text for mark, text in meaning.items() if mark in marks]
    return [*([" ".join(found)] if found else []), *decision(section), *against_baseline(section)]


def _metric_names(comparison: Comparison) -> list[str]:
    groups = [group for section in comparison.sections for group in section.groups]
    present = sorted({name for group in groups for name in group.metrics})
    if not comparison.metrics:
        return present
    sorts = [section.sort for section in comparison.sections if section.sort]
    return list(dict.fromkeys([*sorts, *comparison.metrics]))


def _plain_data(section: Section) -> dict[str, Any]:
    return {
        "dataset": {"name": section.dataset, "digest": section.dataset_digest[:DIGEST_SHOWN]},
        "split": {"name": section.split, "digest": section.split_digest[:DIGEST_SHOWN]},
    }


def _plain_group(group: Group, *, names: Sequence[str]) -> dict[str, Any]:
    metrics: dict[str, dict[str, float | None]] = {}
    for name in names:
        if name in group.metrics:
            metrics[name] = {statistic: _figure(group, name, statistic) for statistic in STATISTICS}
            if group.metrics[name].n != len(group.runs):
                metrics[name]["n"] = group.metrics[name].n
    images = {}
    for name in metrics:
        found = [image_interval(run, name) for run in group.runs]
        if any(found):
            images[name] = [None if one is None else list(one) for one in found]
    return {
        "group": group.settings,
        "n": len(group.runs),
        "runs": [run.run_id for run in group.runs],
        "metrics": metrics,
        "image_intervals": images,
        "best_minus_this": _against_best(group),
    }


def _against_best(group: Group) -> dict[str, Any] | None:
    if (against := group.against_best) is None:
        return None
    found = against.difference
    return {
        "common": against.common,
        "mean": found.mean if found else None,
        "low": found.low if found else None,
        "high": found.high if found else None,
        "p": found.p if found else None,
        "word": against.word,
        "covers": against.covers,
        "outperforms": against.outperforms,
        "smallest": against.smallest,
        "needed": None if against.needed == math.inf else against.needed,
        "tie": against.is_tie,
        "by_image": against.by_image,
    }


def _of_images(section: Section, group: Group, name: str) -> tuple[float | None, float | None]:
    images = section.images.get(name.partition("/")[0])
    mean = _figure(group, name, "mean")
    if not images or mean is None or not 0 <= mean <= 1:
        return None, None
    return wilson(mean, images=images)


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
        several = group == "split" and section.splits > 1
        details.append(
            f"{section.splits} splits" if several else digest[:DIGEST_SHOWN] or "no digest"
        )
        parts.append(f"{group} {name or 'unknown'} ({', '.join(details)})")
    return ", ".join(parts)


def _order(section: Section) -> str:
    if section.sort is None:
        return "Not ranked."
    first = "highest" if section.is_better_high(section.sort) else "lowest"
    return f"Sorted by {section.sort}, {first} first."

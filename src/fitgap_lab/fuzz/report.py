"""What campaigns of `make fuzz` came to: the sums of all of them, as JSON and as a page."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path

from fitgap_lab import pages
from fitgap_lab.fuzz.campaign import Outcome

HEADERS = (
    "reader", "processor min", "inputs", "edges", "last new one at", "peak MB", "slowest s",
    "findings left",
)  # fmt: skip


def read_json(path: Path) -> dict[str, Outcome]:
    """Return what came of the campaigns before, by reader; nothing if there is no such file."""
    try:
        parts = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    names = {field.name for field in fields(Outcome)}
    return {part["reader"]: Outcome(**{name: part[name] for name in names}) for part in parts}


def write_json(outcomes: Mapping[str, Outcome], path: Path) -> None:
    """Write the sums."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = [asdict(outcome) for outcome in outcomes.values()]
    path.write_text(json.dumps(parts, indent=1) + "\n", encoding="utf-8")


def added(before: Mapping[str, Outcome], outcomes: Iterable[Outcome]) -> dict[str, Outcome]:
    """Return the sums of campaigns.

    The later one starts from the inputs that the earlier one kept, so that what it reaches
    includes what they reached.
    """
    sums = dict(before)
    for outcome in outcomes:
        reader = outcome.reader
        first = sums.get(reader)
        if first is None:
            sums[reader] = outcome
            continue
        is_further = outcome.edges > first.edges
        sums[reader] = replace(
            outcome,
            processor_seconds=first.processor_seconds + outcome.processor_seconds,
            inputs=first.inputs + outcome.inputs,
            edges=max(first.edges, outcome.edges),
            last_news=first.inputs + outcome.last_news if is_further else first.last_news,
            peak_mb=max(first.peak_mb, outcome.peak_mb),
            slowest_seconds=max(first.slowest_seconds, outcome.slowest_seconds),
        )
    return sums


def to_table(outcomes: Iterable[Outcome]) -> str:
    """Return the sums as a table of the page."""
    rows = [
        (
            one.reader,
            f"{one.processor_seconds / 60:.0f}",
            f"{one.inputs:,}",
            f"{one.edges:,}",
            f"{one.last_news:,}",
            f"{one.peak_mb:,}",
            str(one.slowest_seconds),
            "1" if one.finding else "0",
        )
        for one in outcomes
    ]
    return pages.table(HEADERS, rows, words=[0]) + "\n"

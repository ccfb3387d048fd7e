"""The benchmark's results as text: tables for a terminal, Markdown for the docs, JSON to keep.

A part of the benchmark (its epochs, its sweep, ...) carries the command, the machine and the date
of its measurement, so that parts measured at different times can stand in one file.
"""

import importlib.metadata
import json
import platform
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fitgap.errors import RequestError
from fitgap_lab import pages
from fitgap_lab.benchmark.cells import Table
from fitgap_lab.benchmark.processes import machine_cores
from fitgap_lab.benchmark.tables import Result, tables

if TYPE_CHECKING:
    from rich.console import Console

# In the order of the page.
PARTS = (
    "epochs",
    "grid",
    "sweep",
    "single",
    "tracking",
    "metrics",
    "startup",
    "views",
    "memory",
    "bounds",
)
LIBRARIES = ("tensorflow", "keras", "mlflow", "numpy")

INTRODUCTION = """\
# Benchmarks

This page compares the time and memory that fitgap needs with those of plain Keras.
`scripts/bench.py` measured them and wrote the page. The ways that are compared took turns: each
was measured once in each round. A ratio is the median of the ratios of the rounds, and a range
goes from the smallest value to the largest. Times are in seconds and are valid for the machine
that is named; the ratios depend less on the machine.
"""


@dataclass(frozen=True)
class Part:
    """One part of the benchmark, measured at one time.

    Attributes
    ----------
    name
        As ``--only`` knows it.
    command
        What was typed.
    machine
        Processor, system and versions.
    date
        ISO 8601, UTC.
    load
        What else the machine did when it began: its load average over a minute.
    results
        The measurements, plain.
    tables
        What is shown of them.
    """

    name: str
    command: str
    machine: str
    date: str
    load: float
    results: list[dict[str, Any]]
    tables: tuple[Table, ...]


def make_part(
    name: str, results: Sequence[Result], *, command: str, load: float, notes: Sequence[str] = ()
) -> Part:
    """Put results together with what must be known to read them.

    Parameters
    ----------
    name
        Of the part.
    results
        All of one type.
    command
        What was typed.
    load
        The machine's load average before the measurement.
    notes
        Added below the last table.
    """
    *others, last = tables(results)
    last = Table(last.title, last.columns, last.rows, (*last.notes, *notes))
    return Part(
        name=name,
        command=command,
        machine=machine(),
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        load=round(load, 2),
        results=[asdict(result) for result in results],
        tables=(*others, last),
    )


def machine() -> str:
    """Return processor, system and versions in a line."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)
    return (
        f"{_processor()}, cores: {machine_cores()}, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, {versions}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return platform.processor() or "unknown processor"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown processor"


def print_part(part: Part, *, console: "Console") -> None:
    """Print a part's tables, no wider than the console."""
    from rich.table import Table as RichTable
    from rich.text import Text

    for table in part.tables:
        shown = RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for i, column in enumerate(table.columns):
            justify = "right" if i else "left"
            shown.add_column(Text(column, style="bold"), justify=justify, no_wrap=i > 0)  # type: ignore[arg-type]
        for row in table.rows:
            shown.add_row(*(Text(cell) for cell in row))
        console.print()
        console.print(Text(table.title, style="bold"))
        console.print(shown)
        for note in table.notes:
            console.print(Text(note, style="dim"))


def to_markdown(
    parts: Mapping[str, Part], *, page: str = "", measured: Collection[str] | None = None
) -> str:
    """Return parts as one page.

    Parameters
    ----------
    parts
        By their names.
    page
        As it was. What it says of other parts stays as it is: they may be measured elsewhere.
    measured
        Names of the parts that replace what the page says; None: all.
    """
    replaced = parts if measured is None else measured
    pieces = re.split(r"^## ", page, flags=re.MULTILINE)[1:]
    kept = {piece.partition("\n")[0].lower(): f"## {piece.rstrip()}\n" for piece in pieces}
    sections = kept | {
        name: _section(part) for name, part in parts.items() if name in replaced or name not in kept
    }
    order = {name: i for i, name in enumerate(PARTS)}
    names = sorted(sections, key=lambda name: order.get(name, len(order)))
    return "\n".join([INTRODUCTION, *(sections[name] for name in names)])


def _section(part: Part) -> str:
    head = (
        f"## {part.name.capitalize()}\n\n`{part.command}`, {part.date}, load average before "
        f"it {part.load}; {part.machine}.\n"
    )
    return "\n".join([head, *map(_markdown_table, part.tables)])


def _markdown_table(table: Table) -> str:
    lines = [f"### {table.title}\n", pages.table(table.columns, table.rows, words=(0,))]
    return "\n".join([*lines, *(f"\n{note}" for note in table.notes)]) + "\n"


def to_json(parts: Mapping[str, Part]) -> str:
    """Return all parts, measurements and tables, as indented JSON."""
    plain = {name: asdict(part) for name, part in parts.items()}
    return json.dumps(plain, indent=1, ensure_ascii=False) + "\n"


def read_json(path: Path) -> dict[str, Part]:
    """Read what `to_json` wrote; nothing, if there is no such file.

    Raises
    ------
    RequestError
        If the file holds something else.
    """
    if not path.exists():
        return {}
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        return {name: _part(fields) for name, fields in plain.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise RequestError(
            f"--output {path} exists and is no result of this benchmark ({error}); "
            "name another file"
        ) from error


def _part(fields: dict[str, Any]) -> Part:
    shown = tuple(
        Table(
            table["title"],
            tuple(table["columns"]),
            tuple(tuple(row) for row in table["rows"]),
            tuple(table["notes"]),
        )
        for table in fields["tables"]
    )
    return Part(**{**fields, "tables": shown})

"""The benchmark's results as text: tables for a terminal, Markdown for the docs, JSON to keep.

A part of the benchmark (its epochs, its sweep, ...) carries the command, the machine and the date
of its measurement, so that parts measured at different times can stand in one file.
"""

import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fitgap.errors import RequestError
from fitgap_lab.benchmark.processes import machine_cores
from fitgap_lab.benchmark.results import (
    SETTLED_AFTER,
    CaseTimes,
    CommandTimes,
    Memory,
    MetricTimes,
    RecordTimes,
    Single,
    Spread,
    Sweep,
    growth,
    ratios,
    spread,
)

if TYPE_CHECKING:
    from rich.console import Console

LIBRARIES = ("tensorflow", "keras", "mlflow", "numpy")

INTRODUCTION = """\
# Benchmarks

What this project costs beside plain Keras, measured; `scripts/bench.py` wrote this page. Ways that
are compared took turns, one measurement each per round, and a ratio is the median of the rounds'
own ratios; ranges go from the smallest to the largest. Times are in seconds and hold for the
machine that is named; the ratios travel better.
"""


@dataclass(frozen=True)
class Table:
    """Text in rows and columns; the first column is words, the others are figures."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


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


Result = CaseTimes | Sweep | Single | RecordTimes | MetricTimes | CommandTimes | Memory


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


def tables(results: Sequence[Result]) -> list[Table]:
    """Return the tables that show some results of one type."""
    cases = [result for result in results if isinstance(result, CaseTimes)]
    if cases and cases[0].case.goal == 1.0:
        return [_grid_table(cases)]
    if cases:
        return [_epoch_table(case) for case in cases]
    commands = [result for result in results if isinstance(result, CommandTimes)]
    return [_startup_table(commands) if commands else _table(*results)]


def _table(result: Result) -> Table:
    if isinstance(result, Sweep):
        return _sweep_table(result)
    if isinstance(result, Single):
        return _single_table(result)
    if isinstance(result, MetricTimes):
        return _metrics_table(result)
    if isinstance(result, Memory):
        return _memory_table(result)
    assert isinstance(result, RecordTimes)
    return _tracking_table(result)


def _epoch_table(measured: CaseTimes) -> Table:
    case, baseline = measured.case, measured.baseline
    rows = []
    for times in measured.times:
        taken = spread(times.seconds)
        ratio = spread(ratios(baseline.seconds, times.seconds))
        rows.append(
            (
                times.variant,
                number(taken.median),
                span(taken),
                f"{number(ratio.median)} x",
                span(ratio),
                number(times.first_seconds),
            )
        )
    own, tuned = _way(measured, prefix="fitgap"), _way(measured, prefix="fit, tuned")
    notes = [
        f"{measured.images}. Ratios to '{baseline.variant}', the faster plain model.fit here. "
        "First: the first epoch, compilation included.",
        f"This engine: {own}; tuned: {tuned}.",
    ]
    if case.goal is not None:
        notes.append(f"Goal: at least {number(case.goal)} x.")
    notes += _against_jax(measured)
    return Table(
        f"An epoch of {case.architecture}, {case.optimizer}, batch {case.batch_size}",
        ("way", "median s", "range s", "speed", "range", "first s"),
        tuple(rows),
        tuple(notes),
    )


def _way(measured: CaseTimes, *, prefix: str) -> str:
    return next((t.way for t in measured.times if t.variant.startswith(prefix)), "not measured")


def _against_jax(measured: CaseTimes) -> list[str]:
    jax = [times for times in measured.times if times.variant.startswith("JAX")]
    if not jax:
        return []
    against = [
        f"{times.variant}: {number(spread(ratios(times.seconds, jax[0].seconds)).median)}"
        for times in measured.times
        if times.variant.startswith("fitgap")
    ]
    return [f"Time as a multiple of the JAX scan's (goal: at most 1.2): {'; '.join(against)}."]


def _grid_table(measured: Sequence[CaseTimes]) -> Table:
    engines = [t.variant for t in measured[0].times if t.variant.startswith("fitgap")]
    rows, worst = [], dict.fromkeys(engines, float("inf"))
    for case_times in measured:
        case, baseline = case_times.case, case_times.baseline
        cells = [case.architecture, str(case.batch_size), number(spread(baseline.seconds).median)]
        for times in case_times.times:
            if times.variant in worst:
                ratio = spread(ratios(baseline.seconds, times.seconds))
                worst[times.variant] = min(worst[times.variant], ratio.median)
                cells += [f"{number(ratio.median)} x", number(ratio.low)]
        rows.append(tuple(cells))
    lowest = "; ".join(f"{name}: {number(ratio)} x" for name, ratio in worst.items())
    headers = [text for name in engines for text in (name.removeprefix("fitgap, "), "lowest")]
    return Table(
        "Every architecture against model.fit, adam",
        ("architecture", "batch", "fit s", *headers),
        tuple(rows),
        (
            f"{measured[0].images}. Ratios to the faster of plain model.fit on float and on uint8 "
            "pixels, on all cores; lowest: of a single round.",
            f"Lowest median ratio (goal: at least 1 x): {lowest}.",
        ),
    )


def _sweep_table(sweep: Sweep) -> Table:
    own = sweep.times[0]
    rows = []
    for times in sweep.times:
        taken = spread(times.seconds)
        ratio = spread(ratios(times.seconds, own.seconds))
        rows.append(
            (
                times.variant,
                f"{times.measured_runs} of {times.total_runs}",
                number(taken.median),
                span(taken),
                f"{number(ratio.median)} x",
                span(ratio),
            )
        )
    notes = [
        f"dataset={sweep.dataset}, dense_relu_100, 6 optimizers by 4 seeds, 5 epochs, batch 32. "
        "From the start of the process to its end; time: as a multiple of this project's. "
        f"Rounds: {len(own.seconds)}.",
        "All start on a database that is set up. This project also records exact figures of every "
        "epoch and models.",
        "Goals: at least 12 x for logging by hand, 20 x for autolog.",
    ]
    if any(times.measured_runs < times.total_runs for times in sweep.times):
        notes.insert(
            1,
            "Where fewer runs were done, the missing ones count by the mean of those after the "
            "first; start, end and first run count once.",
        )
    return Table(
        f"A sweep of {own.total_runs} runs",
        ("way", "done", "median s", "range s", "time", "range"),
        tuple(rows),
        tuple(notes),
    )


def _single_table(single: Single) -> Table:
    plain = single.times[-1]
    rows = []
    for times in single.times:
        taken = spread(times.seconds)
        ratio = spread(ratios(plain.seconds, times.seconds))
        speed = f"{number(ratio.median)} x"
        rows.append((times.variant, number(taken.median), span(taken), speed, span(ratio)))
    return Table(
        "One command: a run of 5 epochs, from start to end",
        ("way", "median s", "range s", "speed", "range"),
        tuple(rows),
        (
            f"dataset={single.dataset}, dense_relu_100, adam, batch 32; rounds: "
            f"{len(plain.seconds)}. The first command makes its database and looks at the data; "
            "the second, of another seed, finds both there. The script starts on a database.",
            "Goals: at least 3.5 x, then 4.5 x.",
        ),
    )


def _tracking_table(measured: RecordTimes) -> Table:
    costs = [a - b for a, b in zip(measured.recorded, measured.unrecorded, strict=True)]
    shares = [100 * share for share in ratios(costs, measured.recorded)]
    lines: dict[str, Sequence[float]] = {
        "run with its record, s": measured.recorded,
        "the same without, s": measured.unrecorded,
        "difference, s": costs,
        "share of the run, %": shares,
    }
    rows = [
        (label, number(spread(values).median), span(spread(values)))
        for label, values in lines.items()
    ]
    return Table(
        "The record's share of a warm run of 5 epochs",
        ("what", "median", "range"),
        tuple(rows),
        (
            f"dataset={measured.dataset}, dense_relu_100, adam, batch 32; pairs in one process: "
            f"{len(costs)}. The record: parameters, metrics, data, pictures, model. "
            "Goal: at most 5 %.",
        ),
    )


def _metrics_table(measured: MetricTimes) -> Table:
    costs = [
        (several - default) / measured.epochs
        for several, default in zip(measured.several_seconds, measured.default_seconds, strict=True)
    ]
    lines: dict[str, Sequence[float]] = {
        "run with accuracy alone, s": measured.default_seconds,
        f"run with {len(measured.several)} metrics, s": measured.several_seconds,
        "time, as a multiple": ratios(measured.several_seconds, measured.default_seconds),
        "the others, of an epoch, s": costs,
    }
    return Table(
        "What metrics cost",
        ("what", "median", "range"),
        tuple(
            (label, number(spread(values).median), span(spread(values)))
            for label, values in lines.items()
        ),
        (
            f"dataset={measured.dataset}, dense_relu_100, adam, batch 32, epochs: "
            f"{measured.epochs}, nothing recorded; pairs in one process: {len(costs)}. "
            "The metrics, exact after each epoch on the training and the validation partition: "
            f"{', '.join(measured.several)}. "
            "accuracy alone comes with the loss; all others together take one more pass.",
        ),
    )


def _startup_table(measured: Sequence[CommandTimes]) -> Table:
    rows = [
        (
            times.command,
            number(spread(times.seconds).median),
            span(spread(times.seconds)),
            "yes" if times.imports_tensorflow else "no",
        )
        for times in measured
    ]
    return Table(
        "Commands that train nothing",
        ("command", "median s", "range s", "imports TensorFlow"),
        tuple(rows),
        (
            f"Whole commands, each {len(measured[0].seconds)} times. Goal: under 2 s, TensorFlow "
            "not imported.",
        ),
    )


def _memory_table(memory: Memory) -> Table:
    after = {1, SETTLED_AFTER, len(memory.megabytes)} | set(range(50, len(memory.megabytes), 50))
    rows = [
        (str(count), f"{memory.megabytes[count - 1]:.0f}")
        for count in sorted(after)
        if count <= len(memory.megabytes)
    ]
    grown = growth(memory.megabytes)
    verdict = f"no figure with {SETTLED_AFTER} runs or fewer" if grown is None else f"{grown:+.1%}"
    return Table(
        "Memory of one process over many runs",
        ("after runs", "resident MB"),
        tuple(rows),
        (
            "Small experiments on digits; six optimizers take turns, four seeds each.",
            f"Growth after the first {SETTLED_AFTER} runs (goal: at most 5 %): {verdict}.",
        ),
    )


def number(value: float) -> str:
    """Return a figure with three significant digits and no exponent.

    >>> [number(value) for value in (0.4123, 3.456, 45.67, 812.3)]
    ['0.412', '3.46', '45.7', '812']
    """
    size = abs(value)
    decimals = 3 if size < 1 else 2 if size < 10 else 1 if size < 100 else 0
    return f"{value:.{decimals}f}"


def span(values: Spread) -> str:
    """Return a range, smallest to largest."""
    return f"{number(values.low)} to {number(values.high)}"


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


def load_average() -> float:
    """Return the machine's load average over the last minute."""
    return os.getloadavg()[0]


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


def to_markdown(parts: Mapping[str, Part]) -> str:
    """Return all parts as one page."""
    blocks = [INTRODUCTION]
    for part in parts.values():
        blocks.append(
            f"## {part.name.capitalize()}\n\n`{part.command}`, {part.date}, load average before "
            f"it {part.load}; {part.machine}.\n"
        )
        blocks += [_markdown_table(table) for table in part.tables]
    return "\n".join(blocks)


def _markdown_table(table: Table) -> str:
    lines = [
        f"### {table.title}\n",
        _markdown_row(table.columns),
        _markdown_row(["---", *["---:"] * (len(table.columns) - 1)]),
        *(_markdown_row(row) for row in table.rows),
    ]
    return "\n".join([*lines, *(f"\n{note}" for note in table.notes)]) + "\n"


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


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

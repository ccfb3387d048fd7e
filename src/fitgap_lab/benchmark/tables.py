"""The benchmark's results as tables of text: a function for each kind of result."""

from collections.abc import Callable, Sequence
from typing import Any

from fitgap_lab.benchmark.bounds_tables import bounds_tables
from fitgap_lab.benchmark.cells import Table, median_and_range, number
from fitgap_lab.benchmark.results import (
    SETTLED_AFTER,
    Bounds,
    CaseTimes,
    CommandTimes,
    Memory,
    MetricTimes,
    RecordTimes,
    Single,
    Sweep,
    ViewCosts,
    growth,
    ratios,
    spread,
)

Result = (
    CaseTimes
    | Sweep
    | Single
    | RecordTimes
    | MetricTimes
    | CommandTimes
    | ViewCosts
    | Memory
    | Bounds
)


def tables(results: Sequence[Any]) -> list[Table]:
    """Return the tables that show some results, all of one kind of `Result`."""
    kind = type(results[0])
    if kind is Bounds:
        return bounds_tables(*results)
    if kind is CaseTimes and results[0].case.goal == 1.0:
        return [_grid_table(results)]
    if kind in _OF_ALL:
        return [_OF_ALL[kind](results)]
    return [_OF_EACH[kind](one) for one in results]


def _epoch_table(measured: CaseTimes) -> Table:
    case, baseline = measured.case, measured.baseline
    rows = [
        (
            times.variant,
            *median_and_range(times.seconds),
            *median_and_range(ratios(baseline.seconds, times.seconds), unit=" x"),
            number(times.first_seconds),
        )
        for times in measured.times
    ]
    own, tuned = _way(measured, prefix="fitgap"), _way(measured, prefix="fit, tuned")
    notes = [
        f"{measured.images}. Speed: relative to '{baseline.variant}', the faster plain "
        "model.fit here. First: the first epoch, including compilation.",
        f"fitgap's engine: {own}; tuned: {tuned}.",
        f"Goal: at least {number(case.goal)} x.",
        *_against_jax(measured),
    ]
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
    rows = [
        (
            times.variant,
            f"{times.measured_runs} of {times.total_runs}",
            *median_and_range(times.seconds),
            *median_and_range(ratios(times.seconds, own.seconds), unit=" x"),
        )
        for times in sweep.times
    ]
    notes = [
        f"dataset={sweep.dataset}, dense_relu_100, 6 optimizers by 4 seeds, 5 epochs, batch 32. "
        "Times are from the start of the process to its end; time: as a multiple of fitgap's. "
        f"Rounds: {len(own.seconds)}.",
        "All begin with a database that is already set up. fitgap also records models, and exact "
        "figures of every epoch.",
        "Goals: at least 12 x for logging by hand, 20 x for autolog.",
    ]
    if any(times.measured_runs < times.total_runs for times in sweep.times):
        notes.insert(
            1,
            "Where fewer runs were done, each missing run counts as the mean of the runs after the "
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
    rows = [
        (
            times.variant,
            *median_and_range(times.seconds),
            *median_and_range(ratios(plain.seconds, times.seconds), unit=" x"),
        )
        for times in single.times
    ]
    return Table(
        "One command: a run of 5 epochs, from start to end",
        ("way", "median s", "range s", "speed", "range"),
        tuple(rows),
        (
            f"dataset={single.dataset}, dense_relu_100, adam, batch 32; rounds: "
            f"{len(plain.seconds)}. The first command makes its database and checks the data; "
            "the second command, with another seed, finds both done. The script begins with a "
            "database.",
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
    return Table(
        "The record's share of a warm run of 5 epochs",
        ("what", "median", "range"),
        tuple((label, *median_and_range(values)) for label, values in lines.items()),
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
        tuple((label, *median_and_range(values)) for label, values in lines.items()),
        (
            f"dataset={measured.dataset}, dense_relu_100, adam, batch 32, epochs: "
            f"{measured.epochs}, nothing recorded; pairs in one process: {len(costs)}. "
            "The metrics, exact after each epoch on the training and the validation partition: "
            f"{', '.join(measured.several)}. "
            "Accuracy is computed together with the loss; all others together need one more pass.",
        ),
    )


def _startup_table(measured: Sequence[CommandTimes]) -> Table:
    rows = [
        (
            times.command,
            *median_and_range(times.seconds),
            "yes" if times.imports_tensorflow else "no",
        )
        for times in measured
    ]
    return Table(
        "Commands that train nothing",
        ("command", "median s", "range s", "imports TensorFlow"),
        tuple(rows),
        (
            f"Whole commands, each {len(measured[0].seconds)} times. Goal: 0.5 s for help and "
            "errors, under 2 s for the others, TensorFlow not imported.",
        ),
    )


def views_table(measured: Sequence[ViewCosts]) -> Table:
    """Return what comparisons and reports of several sizes take."""

    def seconds_and_memory(cost: tuple[float, float] | None) -> tuple[str, str]:
        return ("-", "-") if cost is None else (f"{cost[0]:.1f}", f"{cost[1]:.0f}")

    rows = [
        (
            f"{costs.runs:,}",
            f"{costs.database_megabytes:.1f}",
            *seconds_and_memory(costs.compare),
            *seconds_and_memory(costs.report),
            "-" if costs.page_megabytes is None else f"{costs.page_megabytes:.1f}",
        )
        for costs in measured
    ]
    return Table(
        "Comparing and reporting many runs",
        ("runs", "database MB", "compare s", "compare MB", "report s", "report MB", "page MB"),
        tuple(rows),
        (
            "Whole commands on artificial runs in SQLite; the fastest round.",
            "Goals: compare 10,000 in 2 s, 100,000 in 15 s and 1 GB; report 10,000 in 5 s.",
        ),
    )


def _memory_table(memory: Memory) -> Table:
    after = {1, SETTLED_AFTER, len(memory.megabytes)} | set(range(200, len(memory.megabytes), 200))
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
            "Runs of one epoch on digits, as a worker of a sweep trains them; six optimizers take "
            "turns, with four seeds each.",
            f"Growth after the first {SETTLED_AFTER} runs (goal: at most 5 %): {verdict}.",
        ),
    )


_OF_ALL: dict[type, Callable[[Sequence[Any]], Table]] = {
    CommandTimes: _startup_table,
    ViewCosts: views_table,
}
_OF_EACH: dict[type, Callable[[Any], Table]] = {
    CaseTimes: _epoch_table,
    Memory: _memory_table,
    MetricTimes: _metrics_table,
    RecordTimes: _tracking_table,
    Single: _single_table,
    Sweep: _sweep_table,
}

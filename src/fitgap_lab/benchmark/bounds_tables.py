"""Goals, what was reached of them, and what bounds them, as tables of text."""

from collections.abc import Iterator
from statistics import median

from fitgap_lab.benchmark.bounds import (
    BY_HAND,
    COMPILED,
    COMPOSED,
    DRAWN,
    IMPORTS,
    NEW_DATABASE,
    SAVED,
    TRAINED,
)
from fitgap_lab.benchmark.cells import Table, median_and_range, number
from fitgap_lab.benchmark.results import Bounds, CaseTimes, KernelTimes, ratios

BY_LOGGING, BY_AUTOLOG = 12.0, 20.0  # goals: so many times as fast
FIRST, SECOND = 3.5, 4.5
SHARE = 5.0  # percent


def bounds_tables(measured: Bounds) -> list[Table]:
    """Return what the parts take, the arithmetic of epochs, and the goals with their bounds."""
    return [_parts(measured), _arithmetic(measured), _goals(measured)]


def _parts(measured: Bounds) -> Table:
    return Table(
        "What a run is made of, at least",
        ("part", "median ms", "range ms"),
        tuple(
            (name, *median_and_range([1000 * one for one in seconds]))
            for name, seconds in measured.seconds.items()
        ),
        (
            "Imports are whole processes; all imports of a run are those of a worker of a sweep, "
            "with what MLflow needs for a database. "
            "Hydra: one composition, the first of a process not counted. Tracing and compiler: "
            "the first run of a process minus a later one. Warm epochs: "
            "dense_relu_100, adam, batch 32, without a record. By hand: one run, with all "
            "parameters in one call and all figures in another. Pictures: drawn by vl-convert "
            f"alone, from a finished specification. A recorded run makes {measured.commits} "
            "transactions that write.",
        ),
    )


def _arithmetic(measured: Bounds) -> Table:
    rows = [
        (
            _label(case, one),
            number(_epoch(case, one)),
            number(one.bare_seconds),
            number(one.flop / one.flop_rate),
            number(one.state_bytes / one.byte_rate),
            number(one.operations * one.operation_seconds),
        )
        for case, one in _of_cases(measured)
    ]
    rates = ", ".join(
        f"{one.flop_rate / 1e9:.0f} GFLOP/s with {_threads(one.threads)}"
        for one in measured.kernels[0]
    )
    return Table(
        "Epochs: what their arithmetic takes, s",
        ("network", "epoch", "steps", "FLOP", "bytes", "starts"),
        tuple(rows),
        (
            "Epoch: an epoch of fitgap's engine. Steps: its forward and backward passes and "
            "updates alone, with the same batch again and again, in one call. FLOP: the time that "
            "the matrix products and convolutions take at the best rate of a product of 2,048 rows "
            f"and columns ({rates}). Bytes: the time that weights, gradients and the optimizer's "
            "variables take at the rate of adding vectors as large as the weights. Starts: the "
            "time that starting the single operations takes, where XLA does not compile them into "
            "one program.",
        ),
    )


def _goals(measured: Bounds) -> Table:
    rows = [*_sweep_rows(measured), *_command_rows(measured), _record_row(measured)]
    rows += [
        (
            _label(case, one),
            _times(case.case.goal),
            _times(_fit(case) / _epoch(case, one)),
            _times(_fit(case) / one.bare_seconds),
            _times(_fit(case) / one.roofline),
        )
        for case, one in _of_cases(measured)
    ]
    return Table(
        "Goals, and what bounds them",
        ("what", "goal", "here", "parts alone", "roofline"),
        tuple(rows),
        (
            "Here: measured once, together with the parts; the sections above have several rounds. "
            "Parts alone: what would be reached if only the parts that are unavoidable took time. "
            "These are, for a sweep: all imports, a compilation for each of "
            f"{measured.optimizers} optimizers, and Hydra's settings, the training and the "
            "smallest record of each run, on all cores; for a command: imports, Hydra's settings, "
            "training, smallest record and pictures (the first command also makes its database and "
            "compiles); for a record: MLflow's client by "
            "hand, MLflow's save_model and two pictures (runs of a sweep have none); for an epoch: "
            "its steps alone, compared with the faster plain model.fit. Roofline: the larger of "
            "FLOP and bytes.",
        ),
    )


def _sweep_rows(measured: Bounds) -> list[tuple[str, ...]]:
    own, by_hand, autolog = measured.sweep.times
    least = (
        _median(measured, IMPORTS)
        + (measured.optimizers * _median(measured, COMPILED) + own.total_runs * _run(measured))
        / measured.cores
    )
    return [
        (
            f"{own.total_runs} runs, {name}",
            _times(goal),
            _times(median(ratios(other.seconds, own.seconds))),
            _times(median(other.seconds) / least),
            "-",
        )
        for name, goal, other in (
            ("logged by hand", BY_LOGGING, by_hand),
            ("autolog", BY_AUTOLOG, autolog),
        )
    ]


def _command_rows(measured: Bounds) -> list[tuple[str, ...]]:
    first, second, script = measured.single.times
    warm = _median(measured, IMPORTS) + _run(measured) + _median(measured, DRAWN)
    cold = warm + _median(measured, NEW_DATABASE) + _median(measured, COMPILED)
    return [
        (
            name,
            _times(goal),
            _times(median(ratios(script.seconds, own.seconds))),
            _times(median(script.seconds) / least),
            "-",
        )
        for name, goal, own, least in (
            ("first command", FIRST, first, cold),
            ("second command", SECOND, second, warm),
        )
    ]


def _record_row(measured: Bounds) -> tuple[str, ...]:
    recorded, without = measured.record.recorded, measured.record.unrecorded
    share = median([1 - b / a for a, b in zip(recorded, without, strict=True)])
    least = sum(_median(measured, name) for name in (BY_HAND, SAVED, DRAWN))
    return (
        "a record's share, %",
        f"{SHARE:.0f}",
        f"{100 * share:.1f}",
        f"{100 * least / (median(without) + least):.1f}",
        "-",
    )


def _run(measured: Bounds) -> float:
    return sum(_median(measured, name) for name in (COMPOSED, TRAINED, BY_HAND, SAVED))


def _median(measured: Bounds, name: str) -> float:
    return median(measured.seconds[name])


def _of_cases(measured: Bounds) -> Iterator[tuple[CaseTimes, KernelTimes]]:
    for case, kernels in zip(measured.epochs, measured.kernels, strict=True):
        for one in kernels:
            yield case, one


def _fit(case: CaseTimes) -> float:
    return median(case.baseline.seconds)


def _epoch(case: CaseTimes, one: KernelTimes) -> float:
    variant = f"fitgap, {_threads(one.threads)}"
    return next(median(times.seconds) for times in case.times if times.variant == variant)


def _label(case: CaseTimes, one: KernelTimes) -> str:
    return f"{case.case.architecture}, {_threads(one.threads)}"


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _times(ratio: float) -> str:
    return f"{number(ratio)} x"

"""What the benchmark measured, and the arithmetic on it: medians, ratios, what is left of a sweep.

No process is started here and nothing is shown.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

PLAIN_FIT = ("fit, float pixels", "fit, uint8 pixels")
SETTLED_AFTER = 50  # runs in one process after which its memory should have stopped growing


@dataclass(frozen=True)
class Spread:
    """A median with the smallest and the largest value."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Case:
    """One training whose epochs are timed.

    Attributes
    ----------
    architecture, optimizer
        Options of the config groups.
    batch_size
        Images per step.
    goal
        The least ratio to plain ``model.fit`` that the engine is to reach.
    jax
        Whether `fitgap_lab.benchmark.jax_worker` has the same training.
    """

    architecture: str
    optimizer: str
    batch_size: int
    goal: float
    jax: bool = False

    @property
    def overrides(self) -> list[str]:
        """The settings that make this case."""
        return [
            f"architecture={self.architecture}",
            f"optimizer={self.optimizer}",
            f"training.batch_size={self.batch_size}",
        ]


@dataclass(frozen=True)
class EpochTimes:
    """What one way of training took for a case.

    Attributes
    ----------
    variant
        Its name in the tables.
    way
        What it used: the engine with or without XLA, settings of ``compile``.
    build_seconds
        For network and optimizer.
    first_seconds
        Of the first epoch, in which everything is compiled.
    seconds
        Of each later epoch, one per round.
    """

    variant: str
    way: str
    build_seconds: float
    first_seconds: float
    seconds: tuple[float, ...]


@dataclass(frozen=True)
class CaseTimes:
    """All ways of training one case; ``images`` says what they were trained on."""

    case: Case
    images: str
    times: tuple[EpochTimes, ...]

    @property
    def baseline(self) -> EpochTimes:
        """Plain ``model.fit``: of its two forms, the one that is faster here."""
        plain = [times for times in self.times if times.variant in PLAIN_FIT]
        return min(plain, key=lambda times: statistics.median(times.seconds))


@dataclass(frozen=True)
class SweepTimes:
    """What one way of doing the whole sweep took.

    Attributes
    ----------
    variant
        Its name in the tables.
    total_runs
        Of the whole sweep.
    measured_runs
        How many of them were done each time.
    seconds
        For the whole sweep, start-up included, one per round; scaled up where fewer runs were
        done.
    """

    variant: str
    total_runs: int
    measured_runs: int
    seconds: tuple[float, ...]


@dataclass(frozen=True)
class Sweep:
    """The same sweep done in several ways, this project's first; ``dataset`` is its option."""

    dataset: str
    times: tuple[SweepTimes, ...]


@dataclass(frozen=True)
class SingleTimes:
    """Seconds of one way of doing one run, from a process's start to its end, one per round."""

    variant: str
    seconds: tuple[float, ...]


@dataclass(frozen=True)
class Single:
    """One run by commands and by a script, the script last; ``dataset`` is its option."""

    dataset: str
    times: tuple[SingleTimes, ...]


@dataclass(frozen=True)
class RecordTimes:
    """Seconds of warm runs with and without their record, in pairs, one per round."""

    dataset: str
    recorded: tuple[float, ...]
    unrecorded: tuple[float, ...]


@dataclass(frozen=True)
class MetricTimes:
    """Seconds of warm runs with the default metric alone and with several, in pairs.

    Attributes
    ----------
    dataset
        Its option.
    several
        The names of the metrics that stand against the default.
    epochs
        Of each run.
    default_seconds, several_seconds
        One per round.
    """

    dataset: str
    several: tuple[str, ...]
    epochs: int
    default_seconds: tuple[float, ...]
    several_seconds: tuple[float, ...]


@dataclass(frozen=True)
class CommandTimes:
    """Seconds of a whole command, one per round, and whether it imported TensorFlow."""

    command: str
    seconds: tuple[float, ...]
    imports_tensorflow: bool


@dataclass(frozen=True)
class ViewCosts:
    """What comparing and reporting some runs takes.

    Attributes
    ----------
    runs
        Of one database.
    database_megabytes, page_megabytes
        Of the files; None without a report.
    compare, report
        Seconds, and the largest resident memory in MB; None: not measured.
    """

    runs: int
    database_megabytes: float
    compare: tuple[float, float]
    report: tuple[float, float] | None
    page_megabytes: float | None


@dataclass(frozen=True)
class Memory:
    """Resident memory of one process after each of its runs, in units of 2**20 bytes."""

    megabytes: tuple[float, ...]


@dataclass(frozen=True)
class KernelTimes:
    """What the arithmetic of a case's epoch takes, without all that is around it.

    Attributes
    ----------
    threads
        Of TensorFlow.
    bare_seconds
        The epoch's steps on one batch, in one call: TensorFlow's kernels or XLA's program alone.
    flop, flop_rate
        Of the epoch's matrix products and convolutions; the best that a large product reaches, a
        second.
    state_bytes, byte_rate
        Of weights, gradients and the optimizer's slots that the epoch moves; the rate of adding
        vectors of the weights' size.
    operations, operation_seconds
        Started one by one in the epoch, none with XLA; what the start of one takes.
    """

    threads: int
    bare_seconds: float
    flop: float
    flop_rate: float
    state_bytes: float
    byte_rate: float
    operations: int
    operation_seconds: float

    @property
    def roofline(self) -> float:
        """The seconds that the epoch takes at least, at the best rates of this machine."""
        return max(self.flop / self.flop_rate, self.state_bytes / self.byte_rate)


@dataclass(frozen=True)
class Bounds:
    """What is measured of each goal, and of what it is made of.

    Attributes
    ----------
    epochs
        The cases by ways of training.
    kernels
        Of each of these cases, by numbers of threads.
    sweep, single, record
        The whole commands, and the warm runs with and without their record.
    seconds
        What their parts take, by name, one per round.
    commits
        Transactions of one recorded run that write.
    cores
        Of the machine.
    optimizers
        Of the sweep: each is compiled once.
    """

    epochs: tuple[CaseTimes, ...]
    kernels: tuple[tuple[KernelTimes, ...], ...]
    sweep: Sweep
    single: Single
    record: RecordTimes
    seconds: dict[str, tuple[float, ...]]
    commits: int
    cores: int
    optimizers: int


def spread(values: Sequence[float]) -> Spread:
    """Summarise measurements.

    >>> spread([3.0, 1.0, 2.0])
    Spread(median=2.0, low=1.0, high=3.0)
    """
    return Spread(statistics.median(values), min(values), max(values))


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> list[float]:
    """Divide the measurements of each round by one another.

    >>> ratios([8.0, 9.0], [2.0, 3.0])
    [4.0, 3.0]
    """
    return [a / b for a, b in zip(numerators, denominators, strict=True)]


def scale_up(lifetime: float, *, run_seconds: Sequence[float], total_runs: int) -> float:
    """Return what all runs of a sweep would take, by those that were done.

    Start, end and the first run, in which a library does what it does once, count once; the
    others by their mean.

    Parameters
    ----------
    lifetime
        Seconds that the process lived.
    run_seconds
        Of the runs it did, at least one.
    total_runs
        Of the sweep.

    Examples
    --------
    >>> scale_up(10.0, run_seconds=[4.0, 2.0, 1.0], total_runs=5)
    13.0
    """
    later = run_seconds[1:] or run_seconds
    missing = total_runs - len(run_seconds)
    return lifetime + missing * statistics.fmean(later)


def growth(megabytes: Sequence[float]) -> float | None:
    """Return by which share memory grew after `SETTLED_AFTER` runs; None for fewer runs.

    >>> growth([100.0] * 50 + [125.0])
    0.25
    """
    if len(megabytes) <= SETTLED_AFTER:
        return None
    return megabytes[-1] / megabytes[SETTLED_AFTER - 1] - 1

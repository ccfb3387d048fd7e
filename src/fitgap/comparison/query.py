"""A request for a comparison: which runs, by which metric ranked, by which settings grouped.

Names of settings and metrics are checked against the runs; errors show the nearest right name.
"""

import math
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from numbers import Real

from fitgap.comparison.varying_settings import GROUPS, Setting, parse, show, value_of
from fitgap.config.checks import did_you_mean
from fitgap.errors import RequestError
from fitgap.store import StoredRun

TEST_PREFIXES = ("test/", "test_gap/")
MOST_NAMED = 12  # values listed in an error message

_ORDERS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_CONDITION = re.compile(r"\s*([^<>=!]+?)\s*(<=|>=|!=|==|=|<|>)\s*(.*?)\s*", re.DOTALL)


def is_margin(value: object) -> bool:
    """Tell whether a value can be a margin: a finite number above 0."""
    return isinstance(value, Real) and 0 < float(value) < math.inf


@dataclass(frozen=True, slots=True)
class Query:
    """What is to be compared.

    Attributes
    ----------
    sort
        The metric to rank by; None is ``val/accuracy`` wherever there is a validation partition.
    where
        Conditions that every run must meet, as ``optimizer=adam,sgd`` or ``training.epochs>=5``.
        The name is that of a setting, of a group of options or of a metric.
    by
        Settings whose values make the groups, averaged over all other settings; none: runs that
        differ only in their seed are one group.
    sweep
        The parent run whose children are compared; None is all runs.
    metrics
        Those to be shown; none: the usual ones in a table, all of them elsewhere.
    margin
        Differences within it are of no interest, in the unit of the metric; None is half a point
        for an accuracy, and no margin for all else.
    these_images
        Whether intervals and tests are about these images and splits only: other seeds, nothing
        else.
    """

    sort: str | None = None
    where: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    sweep: str | None = None
    metrics: tuple[str, ...] = ()
    margin: float | None = None
    these_images: bool = False

    def __post_init__(self) -> None:
        if self.margin is not None and not is_margin(self.margin):
            raise RequestError(f"--margin must be a number above 0, got {self.margin}")


EVERYTHING = Query()


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition, its name resolved.

    Attributes
    ----------
    name
        Of a metric, or of a setting as a column is named (``optimizer``, ``training.epochs``).
    is_metric
        Which of both.
    comparison, value
        As written.
    """

    name: str
    is_metric: bool
    comparison: str
    value: str

    def holds(self, run: StoredRun) -> bool:
        """Tell whether a run meets it; a run without the setting or metric only meets ``!=``."""
        found = run.metrics.get(self.name) if self.is_metric else _parsed(run, self.name)
        if self.comparison in _ORDERS:
            number = _number(found)
            return number is not None and _ORDERS[self.comparison](number, float(self.value))
        return self._is_one_of(found) != (self.comparison == "!=")

    def _is_one_of(self, found: Setting) -> bool:
        values = [self.value]
        if not self.value.startswith("["):
            values += map(str.strip, self.value.split(","))
        return found is not None and any(_same(found, parse(value)) for value in values)


def conditions(where: Iterable[str], runs: Sequence[StoredRun]) -> list[Condition]:
    """Read conditions, with names that occur in the runs.

    Parameters
    ----------
    where
        As on the command line, such as ``optimizer=adam`` or ``training.epochs>=5``.
    runs
        Their settings and metrics are the known names.

    Raises
    ------
    RequestError
        If one cannot be read, names no setting or metric, or orders by something not a number.
    """
    found = []
    for text in where:
        match = _CONDITION.fullmatch(text)
        if not match or not match[3]:
            raise RequestError(
                f"--where must look like optimizer=adam or training.epochs>=5, got {text!r}"
            )
        name, comparison, value = match.groups()
        is_metric = any(name in run.metrics for run in runs)
        if is_metric:
            _refuse_ambiguous(name, runs, condition=f"{comparison}{value}")
        name = name if is_metric else setting_name(name, runs, option="--where")
        if comparison in _ORDERS and _number(parse(value)) is None:
            raise RequestError(f"--where {text}: {comparison} needs a number, got {value!r}")
        found.append(Condition(name, is_metric, comparison, value))
    return found


def _refuse_ambiguous(name: str, runs: Sequence[StoredRun], *, condition: str) -> None:
    """Raise `RequestError` if a metric has the name by which a person calls a setting."""
    settings = (key for run in runs for key in run.params if key.endswith(f".{name}"))
    setting = next(settings, None)
    if setting is not None:
        raise RequestError(
            f"--where {name}: that is a metric too, of the last epoch; for the setting write "
            f"{setting}{condition}"
        )


def setting_name(name: str, runs: Iterable[StoredRun], *, option: str) -> str:
    """Return the name under which a setting is shown: ``optimizer`` for ``optimizer.name``.

    Parameters
    ----------
    name
        As a person wrote it.
    runs
        Their settings are the known names.
    option
        Of the command that takes the name, for the message.

    Raises
    ------
    RequestError
        If no run has such a setting.
    """
    settings = dict.fromkeys(key for run in runs for key in run.params)
    group = name.removesuffix(".name")
    if group in GROUPS and f"{group}.name" in settings:
        return group
    if name in settings:
        return name
    known = [*settings, *(group for group in GROUPS if f"{group}.name" in settings)]
    ending = [key for key in settings if key.endswith(f".{name}")]
    nearest = f"; did you mean {ending[0]}?" if ending else did_you_mean(name, known)
    raise RequestError(f"{option} {name}: no run has such a setting{nearest}")


def require_metric(name: str, runs: Iterable[StoredRun], *, option: str) -> None:
    """Check that at least one run has a metric.

    Parameters
    ----------
    name
        With its partition.
    runs
        Those that are compared.
    option
        Of the command that takes the name, for the message.

    Raises
    ------
    RequestError
        If no run has it, with the nearest name and all others.
    """
    names = sorted({metric for run in runs for metric in run.metrics})
    if name not in names:
        raise RequestError(
            f"{option} {name}: no run has such a metric{did_you_mean(name, names)}",
            f"There is: {', '.join(names) or 'none'}",
        )


def nothing_left(found: Sequence[Condition], runs: Sequence[StoredRun]) -> RequestError:
    """Return the error for conditions that no run meets, with the values that there are.

    Parameters
    ----------
    found
        The conditions, which each run must meet together.
    runs
        All runs that were asked for, before any condition.
    """
    for one in found:
        if not any(one.holds(run) for run in runs):
            seen = {
                str(value) if one.is_metric else show(_parsed(run, one.name))
                for run in runs
                if (value := run.metrics.get(one.name) if one.is_metric else one.name) is not None
            }
            values = sorted(seen)[:MOST_NAMED]
            more = ", …" if len(seen) > MOST_NAMED else ""
            return RequestError(
                f"--where {one.name}{one.comparison}{one.value}: no run has that",
                f"{one.name} has the values: {', '.join(values)}{more}",
            )
    return RequestError("--where: no run meets all conditions, though each is met by some")


def _parsed(run: StoredRun, name: str) -> Setting:
    value = value_of(run, name)
    return None if value is None else parse(value)


def _same(one: Setting, other: Setting) -> bool:
    # In Python, True equals 1.
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _number(value: Setting) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)

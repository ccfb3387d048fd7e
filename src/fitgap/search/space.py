"""From Hydra's sweep syntax to a space to search; nothing here imports Optuna.

A choice, of values or of a group's options, stays a choice between texts; a range or an interval
of numbers has an order that the sampler can use.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep

from fitgap.errors import RequestError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Value = str | int | float

# Figures of other data or another draw are not to be compared: the best trial would be the one
# with the easiest images, or the luckiest seed.
NOT_SEARCHED = ("seed", "dataset", "split", "tracking", "name", "tags")


@dataclass(frozen=True)
class Dimension:
    """One searched setting.

    Attributes
    ----------
    key
        As on the command line, with its ``+`` where it has one.
    options
        The texts of a choice or range, in order; empty for an interval.
    low, high
        Bounds of an interval or range, both possible; None for a choice.
    step
        Between the numbers of a range; None for an interval of decimals.
    log
        Whether the sampler looks at orders of magnitude.
    is_integer
        Whether an interval or range is of whole numbers.
    """

    key: str
    options: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    step: float | None = None
    log: bool = False
    is_integer: bool = False

    @property
    def name(self) -> str:
        """The setting's name."""
        return self.key.lstrip("+")

    def distribution(self) -> "BaseDistribution":
        """Return Optuna's object for it."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.low is None or self.high is None:
            return CategoricalDistribution(self.options)
        if self.is_integer:
            step = int(self.step or 1)
            return IntDistribution(int(self.low), int(self.high), log=self.log, step=step)
        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def override(self, value: Value) -> str:
        """Return the override that gives the setting a proposed value."""
        if self.options and self.low is not None:
            # A range's own texts: adding up its step in binary would give 0.30000000000000004.
            value = min(self.options, key=lambda option: abs(float(option) - float(value)))
        text = value if isinstance(value, str) else repr(value)
        return f"{self.key}={text}"


def parse(overrides: Sequence[Override]) -> tuple[list[str], list[Dimension]]:
    """Divide a command's overrides into fixed ones and searched ones.

    Parameters
    ----------
    overrides
        Of the experiment; of two with the same key, the later counts.

    Returns
    -------
    fixed
        As on the command line.
    space
        In their order.

    Raises
    ------
    RequestError
        If nothing is searched, or something that must not be or cannot be.
    """
    last = {override.get_key_element(): override for override in overrides}
    fixed = [
        f"{key}={override.get_value_element_as_str()}"
        for key, override in last.items()
        if not override.is_sweep_override()
    ]
    space = [_dimension(override) for override in last.values() if override.is_sweep_override()]
    if not space:
        raise RequestError(
            "hydra/sweeper=optuna has nothing to search; give values to choose from, as "
            "optimizer=sgd,adam 'optimizer.learning_rate=tag(log, interval(1e-4, 1e-1))'"
        )
    return fixed, space


def short_override(override: str) -> str:
    """Return an override as a run's name shows it: four digits of a float.

    >>> short_override("optimizer.learning_rate=0.054024335514105515")
    'optimizer.learning_rate=0.05402'
    >>> short_override("optimizer=adam")
    'optimizer=adam'
    """
    key, _, value = override.partition("=")
    try:
        return f"{key}={float(value):.4g}" if "." in value or "e" in value else override
    except ValueError:
        return override


def _dimension(override: Override) -> Dimension:
    key = override.get_key_element()
    name = override.key_or_group
    if name.split(".")[0].split("/")[0] in NOT_SEARCHED:
        raise RequestError(
            f"{name}: a search cannot vary it, because all trials must have the same data and "
            "seed; fix it, and train the best trial again over several seeds"
        )
    sweep = override.value()
    log = "log" in getattr(sweep, "tags", set())
    if isinstance(sweep, IntervalSweep):
        return _interval(key, sweep, log=log)
    options = tuple(override.sweep_string_iterator())
    if len(set(options)) != len(options) or not options:
        raise RequestError(f"{name} must be different values, got {','.join(options)}")
    if isinstance(sweep, RangeSweep):
        return _range(key, sweep, tuple(sorted(options, key=float)), log=log)
    if log:
        raise RequestError(f"{name}: tag(log, ...) is for intervals and ranges, not for a choice")
    return Dimension(key, options)


def _interval(key: str, sweep: IntervalSweep, *, log: bool) -> Dimension:
    low, high = sweep.start, sweep.end
    assert low is not None
    assert high is not None
    shown = f"interval({low}, {high})"
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise RequestError(f"{key}: {shown} must go from a number up to a larger one")
    if log and low <= 0:
        raise RequestError(f"{key}: tag(log, {shown}) must start above 0")
    is_integer = isinstance(low, int) and isinstance(high, int)
    return Dimension(key, low=low, high=high, log=log, is_integer=is_integer)


def _range(key: str, sweep: RangeSweep, options: tuple[str, ...], *, log: bool) -> Dimension:
    low, high = float(options[0]), float(options[-1])
    is_integer = all(isinstance(n, int) for n in (sweep.start, sweep.stop, sweep.step))
    step = abs(float(sweep.step))
    if log and (step != 1 or not is_integer or low <= 0):
        raise RequestError(f"{key}: tag(log, range(...)) is for whole numbers from 1 in steps of 1")
    return Dimension(key, options, low, high, step, log, is_integer)

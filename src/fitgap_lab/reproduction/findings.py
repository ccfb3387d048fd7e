"""Whether what was printed, what is measured here and what plain Keras gives agree.

A published figure is one run of one notebook, so one draw from the distribution over seeds; the
measured runs say how wide that is.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from scipy.special import stdtrit

from fitgap.comparison.estimates import CONFIDENCE, Estimate, estimate
from fitgap.comparison.ties import EQUIVALENT, MARGIN, UNDECIDED
from fitgap.errors import RequestError
from fitgap_lab.reproduction.measurements import Measurement
from fitgap_lab.reproduction.published import PUBLISHED, Figure

NO_INTERVAL = "n = 1: no verdict"
LOSS_MARGIN = 0.05  # of plain Keras's mean loss; that of an accuracy is `ties.MARGIN`
COMPARED = tuple(
    f"{part}/{quantity}"
    for part in ("running", "train", "val", "test")
    for quantity in ("accuracy", "loss")
)


@dataclass(frozen=True)
class Finding:
    """A published figure beside the measured ones.

    Attributes
    ----------
    figure
        The published one.
    values
        One per seed; empty where no measured figure corresponds.
    measured
        Their mean and spread; None without values.
    low, high
        The interval in which the published figure is consistent, where there is one.
    verdict
        A phrase.
    """

    figure: Figure
    values: tuple[float, ...]
    measured: Estimate | None
    low: float | None
    high: float | None
    verdict: str

    @property
    def difference(self) -> float | None:
        """Measured mean less published figure."""
        return None if self.measured is None else self.measured.mean - self.figure.value


@dataclass(frozen=True)
class Agreement:
    """A mean of this package beside the mean of plain Keras.

    Attributes
    ----------
    preset, metric
        What was measured.
    ours, theirs
        Over the seeds of either.
    reach
        How far from zero the difference can be: the larger end of its 90 % interval (Welch). It
        lies below the margin exactly if both one-sided tests at 5 % say so; None where one has
        n = 1, or nothing scatters.
    p
        Of Welch's two-sided test that the means are equal; None likewise.
    """

    preset: str
    metric: str
    ours: Estimate
    theirs: Estimate
    reach: float | None
    p: float | None

    @property
    def margin(self) -> float:
        """Differences within it are of no interest."""
        is_loss = self.metric.endswith("loss")
        return LOSS_MARGIN * abs(self.theirs.mean) if is_loss else MARGIN

    @property
    def difference(self) -> float:
        """The difference of the means, positive where this package's is higher."""
        return self.ours.mean - self.theirs.mean

    @property
    def verdict(self) -> str:
        """Whether the means are shown to be equivalent within the margin, or else to differ."""
        if self.reach is None or self.p is None:
            return NO_INTERVAL if 1 in (self.ours.n, self.theirs.n) else "no verdict"
        if self.reach < self.margin:
            return EQUIVALENT
        return "differs" if self.p < 1 - CONFIDENCE else UNDECIDED


@dataclass(frozen=True)
class Reproduction:
    """All of it: what was measured, and what it says.

    Attributes
    ----------
    seeds
        How many were asked for.
    measured
        The finished runs of each preset; fewer than ``seeds`` where runs failed.
    findings
        In the order of `PUBLISHED`.
    agreements, bar_findings
        See `compare_all` and `find_in_progress_bars`; empty without figures of plain Keras.
    commands
        What makes this result again, in order.
    """

    seeds: int
    measured: Mapping[str, Sequence[Measurement]]
    findings: Sequence[Finding]
    agreements: Sequence[Agreement]
    bar_findings: Sequence[Finding]
    commands: Sequence[str]


def interval_factor(n: int) -> float:
    """Return how many standard deviations the interval reaches to either side of the mean.

    One further draw lies within ``mean ± factor * sd`` with 95 % probability, if seeds scatter
    normally: the prediction interval, which counts the uncertainty of both mean and sd.

    Parameters
    ----------
    n
        Measured seeds, >= 2.

    Examples
    --------
    >>> round(interval_factor(3), 2), round(interval_factor(10), 2)
    (4.97, 2.37)
    """
    return float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * math.sqrt(1 + 1 / n)


def judge(figure: Figure, values: Sequence[float]) -> Finding:
    """Set a published figure beside the measured ones.

    Parameters
    ----------
    figure
        The published one.
    values
        One per seed, at least one.

    Returns
    -------
    Finding
        ``consistent`` where the published value lies within the 95 % prediction interval,
        widened by half a unit of its last digit, else ``outside``. One seed gives no interval.
        Figures given as about, or after an unknown number of epochs, get an interval to look at
        but no verdict; a bound is counted seed by seed.
    """
    measured = estimate(values)
    low = high = None
    if measured.sd is not None and figure.kind != "above":
        half_width = interval_factor(measured.n) * measured.sd + figure.half_unit
        low, high = measured.mean - half_width, measured.mean + half_width
    if figure.kind == "above":
        verdict = f"{sum(value > figure.value for value in values)} of {len(values)}"
    elif figure.kind != "exact":
        verdict = "no verdict"
    elif low is None or high is None:
        verdict = NO_INTERVAL
    else:
        verdict = "consistent" if low <= figure.value <= high else "outside"
    return Finding(figure, tuple(values), measured, low, high, verdict)


def place(figure: Figure, curves: Sequence[Sequence[float]]) -> Finding:
    """Say in which epoch the mean of some accuracy curves first reaches a published figure.

    Parameters
    ----------
    figure
        Of an epoch that is not known.
    curves
        One per seed, of the same number of epochs.
    """
    means = [fmean(values) for values in zip(*curves, strict=True)]
    reached = [number for number, mean in enumerate(means, start=1) if mean >= figure.value]
    verdict = f"at epoch {reached[0]}" if reached else f"> epoch {len(means)}"
    return Finding(figure, (), None, None, None, verdict)


def find(measured: Mapping[str, Sequence[Measurement]]) -> list[Finding]:
    """Set every published figure beside what was measured; presets without runs are left out."""
    return [
        place(figure, [run.by_epoch[figure.metric] for run in runs])
        if figure.kind == "undated" and figure.epoch is not None
        else judge(figure, [run.value(figure) for run in runs])
        for figure in PUBLISHED
        if (runs := measured[figure.preset])
    ]


def compare(
    ours: Sequence[float], theirs: Sequence[float], *, preset: str, metric: str
) -> Agreement:
    """Compare the means of independent runs of this package and of plain Keras.

    Parameters
    ----------
    ours, theirs
        One value per seed, at least one each.
    preset, metric
        What they are.

    Examples
    --------
    >>> compare([0.97, 0.971, 0.972], [0.971, 0.972, 0.973], preset="", metric="").verdict
    'equivalent'

    References
    ----------
    Schuirmann (1987), two one-sided tests; Welch (1947); Lakens (2017), "Equivalence tests".
    """
    a, b = estimate(ours), estimate(theirs)
    reach = p = None
    if a.sd is not None and b.sd is not None and a.sd + b.sd > 0:
        from scipy.stats import ttest_ind

        test = ttest_ind(ours, theirs, equal_var=False)
        interval = test.confidence_interval(2 * CONFIDENCE - 1)
        reach, p = float(max(-interval.low, interval.high)), float(test.pvalue)
    return Agreement(preset, metric, a, b, reach, p)


def compare_all(
    measured: Mapping[str, Sequence[Measurement]], plain: Iterable[Mapping[str, Any]]
) -> list[Agreement]:
    """Compare the final figures of every preset that both have; see `read_plain_keras`."""
    theirs = list(plain)
    return [
        compare(
            [run.final[metric] for run in runs],
            [_last(run[metric]) for run in others],
            preset=preset,
            metric=metric,
        )
        for preset, runs in measured.items()
        if runs and (others := [run for run in theirs if run["preset"] == preset])
        for metric in COMPARED
        if metric in runs[0].final and metric in others[0]
    ]


def find_in_progress_bars(plain: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """Set the published training figures beside what plain Keras's progress bar would show.

    Parameters
    ----------
    plain
        From `read_plain_keras`; of each run the running averages, averaged once more over their
        epoch, as the progress bar of Keras 3 did until 2025.
    """
    runs = list(plain)
    findings = []
    for figure in PUBLISHED:
        metric = figure.metric.replace("running/", "progress_bar/")
        if figure.epoch is None or figure.kind != "exact":
            continue
        values = [
            run[metric][figure.epoch - 1]
            for run in runs
            if run["preset"] == figure.preset and len(run.get(metric, ())) >= figure.epoch
        ]
        if values:
            as_shown = replace(figure, metric=figure.metric.replace("running/", "bar/"))
            findings.append(judge(as_shown, values))
    return findings


def read_plain_keras(path: Path) -> list[dict[str, Any]]:
    """Read what ``scripts/plain_keras.py`` wrote: a list of runs, each with preset and metrics.

    Raises
    ------
    RequestError
        If the file is not such a list.
    """
    try:
        runs = json.loads(path.read_text(encoding="utf-8"))
        # Whatever is wrong with the file has to show before anything is trained.
        for run in runs:
            for metric in {key for key in run if "/" in key}:
                _last(run[metric])
            str(run["preset"]), int(run["seed"])
    except OSError as error:
        raise RequestError(f"--against {path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise RequestError(
            f"--against {path} must be what scripts/plain_keras.py writes ({error!r})"
        ) from error
    return list(runs)


def _last(value: Any) -> float:
    # A series by epoch, or one figure.
    return [float(number) for number in value][-1] if isinstance(value, list) else float(value)

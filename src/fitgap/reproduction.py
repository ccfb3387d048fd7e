"""The published experiments: what was printed, what is measured here, and whether they agree.

A published figure is one run of one notebook, so one draw from the distribution over seeds; the
measured runs say how wide that is. Training is the ordinary sweep's work, not this module's.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from scipy.special import stdtrit

from fitgap import config, experiment, store
from fitgap.errors import RequestError
from fitgap.estimates import CONFIDENCE, Estimate, estimate
from fitgap.experiment import Plan

FIRST_IMAGE = "P(7), image 0"  # probability of the class 7 for the first test image
NO_INTERVAL = "n = 1: no verdict"
COMPARED = tuple(
    f"{part}/{quantity}"
    for part in ("running", "train", "val", "test")
    for quantity in ("accuracy", "loss")
)


@dataclass(frozen=True)
class Figure:
    """One published figure.

    Attributes
    ----------
    preset
        The option of the config group ``experiment``.
    metric
        What it is in this project's words.
    printed
        The digits as published; a trailing zero counts.
    called
        What its source calls it.
    epoch
        From 1; None for the weights at the end.
    kind
        ``exact``: that value after that many epochs; ``about``: so its source says; ``above``:
        a lower bound; ``undated``: printed after a number of epochs that is not known.
    """

    preset: str
    metric: str
    printed: str
    called: str
    epoch: int | None = None
    kind: Literal["exact", "about", "above", "undated"] = "exact"

    @property
    def value(self) -> float:
        """The published number."""
        return float(self.printed)

    @property
    def half_unit(self) -> float:
        """Half a unit of the last printed digit: what rounding may have hidden."""
        exponent = Decimal(self.printed).as_tuple().exponent
        assert isinstance(exponent, int)
        return 0.5 * 10.0**exponent


def _by_epoch(preset: str, metric: str, *printed: str) -> list[Figure]:
    quantity = metric.rpartition("/")[2]
    return [
        Figure(preset, metric, text, f"training {quantity}, epoch {epoch}", epoch)
        for epoch, text in enumerate(printed, start=1)
    ]


_ONEHOT, _SPARSE = "mnist_dense_rmsprop_onehot", "mnist_dense_rmsprop_sparse"
_SIGMOID, _RELU, _ADAM = "fashion_dense_sigmoid", "fashion_dense_relu", "fashion_dense_adam"

# Where a notebook says "training accuracy", Keras's progress bar gave the running average.
PUBLISHED: tuple[Figure, ...] = (
    *_by_epoch(_ONEHOT, "running/accuracy", "0.9266", "0.9700", "0.9803", "0.9852", "0.9886"),
    *_by_epoch(_ONEHOT, "running/loss", "0.2540", "0.1016", "0.0678", "0.0496", "0.0375"),
    Figure(_ONEHOT, "test/accuracy", "0.9803", "test accuracy"),
    Figure(_SPARSE, "running/accuracy", "0.989", "training accuracy", epoch=5),
    Figure(_SPARSE, "test/accuracy", "0.979", "test accuracy", kind="about"),
    Figure(_SPARSE, FIRST_IMAGE, "0.999", "probability that the first image is a 7", kind="above"),
    *_by_epoch(_SIGMOID, "running/accuracy", "0.7516", "0.8455", "0.8626", "0.8725", "0.8792"),
    *_by_epoch(_SIGMOID, "running/loss", "0.7701", "0.4267", "0.3809", "0.3565", "0.3349"),
    Figure(_RELU, "val/accuracy", "0.8720", "validation accuracy", kind="undated"),
    Figure(_RELU, "val/loss", "0.4030", "validation loss", kind="undated"),
    *(
        Figure(
            _RELU,
            "running/accuracy",
            text,
            f"training accuracy, last fit, {epoch}",
            epoch,
            "undated",
        )
        for epoch, text in enumerate(("0.9004", "0.9041", "0.9099", "0.9085", "0.9118"), start=1)
    ),
    *_by_epoch(_ADAM, "running/accuracy", "0.7694", "0.8554", "0.8643", "0.8846", "0.8881"),
    Figure(_ADAM, "val/accuracy", "0.8697", "validation accuracy"),
    Figure(_ADAM, "val/loss", "0.3534", "validation loss"),
)
PRESETS = tuple(dict.fromkeys(figure.preset for figure in PUBLISHED))

_OFF_THE_BAR = (
    "The notebook's training figures look like those that the progress bar of Keras 3 printed "
    "until 2025: the running average, averaged once more over its epoch, so that the first epoch "
    "looks far worse than it was. --against FILE.json puts them beside such averages."
)
NOTES = {
    _ONEHOT: (
        "The printed losses of the first epochs are lower than today's Keras gives. Until 2.3 "
        "Keras divided by √v + ε in RMSprop, Keras 3 divides by √(v + ε), which slows weights with "
        "small gradients. optimizer.epsilon=1e-14 undoes that, for √ε is then the former 1e-7: "
        "over seeds 0 to 2 the running loss is then 0.2547, 0.1040, 0.0687, 0.0501, 0.0374, and "
        "every printed figure is consistent."
    ),
    _SIGMOID: _OFF_THE_BAR,
    _ADAM: _OFF_THE_BAR,
    _SPARSE: (
        "The source gives the test accuracy as about 0.979: its rounding is not known, so there "
        "is no verdict. For the bound > 0.999 the verdict counts the seeds above it."
    ),
    _RELU: (
        "No match is claimed here. The notebook's cells were run out of order: the network had "
        "been fitted before the printed fit began, so its number of epochs is not known. The "
        "published figures sit at about 8 to 12 epochs of plain Keras after set_random_seed, "
        "which repeats one batch order in every epoch; with a new order in each, as here, the "
        "mean running accuracy of seeds 0 to 2 passes 0.9004 in epoch 9 and 0.9118 in epoch 15. "
        'Measured are 10 epochs; "at epoch k" names the first whose mean reaches the printed one.'
    ),
}


@dataclass(frozen=True)
class Measurement:
    """One finished run of a preset.

    Attributes
    ----------
    run_id, seed
        Which one it is.
    final
        Metrics of the weights at the end.
    by_epoch
        The running averages, epoch by epoch.
    """

    run_id: str
    seed: int
    final: Mapping[str, float]
    by_epoch: Mapping[str, Sequence[float]]

    def value(self, figure: Figure) -> float:
        """Return what this run has where the source printed ``figure``."""
        if figure.epoch is None:
            return self.final[figure.metric]
        return self.by_epoch[figure.metric][figure.epoch - 1]


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
    limit
        Two standard errors of the difference of the means; None where one has n = 1.
    """

    preset: str
    metric: str
    ours: Estimate
    theirs: Estimate
    limit: float | None

    @property
    def difference(self) -> float:
        """The difference of the means, positive where this package's is higher."""
        return self.ours.mean - self.theirs.mean

    @property
    def verdict(self) -> str:
        """Whether the difference is within two standard errors."""
        if self.limit is None:
            return NO_INTERVAL
        return "agrees" if abs(self.difference) <= self.limit else "differs"


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
    means = [math.fsum(values) / len(values) for values in zip(*curves, strict=True)]
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
    >>> compare([1, 2, 3], [2, 3, 4], preset="", metric="").verdict
    'agrees'
    """
    a, b = estimate(ours), estimate(theirs)
    limit = None
    if a.sd is not None and b.sd is not None:
        limit = 2 * math.sqrt(a.sd**2 / a.n + b.sd**2 / b.n)
    return Agreement(preset, metric, a, b, limit)


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


def sweep_overrides(seeds: int, *, experiment_name: str) -> list[str]:
    """Return the arguments of ``scripts/train.py`` that train all presets over some seeds."""
    quoted = experiment_name.replace("\\", "\\\\").replace("'", "\\'")
    return [
        "-m",
        "hydra/launcher=joblib",
        f"experiment={','.join(PRESETS)}",
        f"seed={','.join(map(str, range(seeds)))}",
        f"tracking.experiment='{quoted}'",
    ]


def plans(seeds: int, *, experiment_name: str) -> dict[str, list[Plan]]:
    """Return the checked experiments of every preset, a seed each; train nothing.

    Raises
    ------
    RequestError
        If a dataset is not to be had.
    """
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(version_base="1.3", config_dir=str(config.CONFIG_DIR)):
        planned: dict[str, list[Plan]] = {}
        for preset in PRESETS:
            planned[preset] = []
            for seed in range(seeds):
                composed = compose("train", overrides=[f"experiment={preset}", f"seed={seed}"])
                settings = config.from_hydra(composed)
                settings.tracking.experiment = experiment_name
                planned[preset].append(experiment.plan(settings))
    return planned


def measure(planned: Mapping[str, Sequence[Plan]]) -> dict[str, list[Measurement]]:
    """Read from the record what the finished runs of some experiments measured.

    Parameters
    ----------
    planned
        From `plans`; an experiment without a finished run is left out.
    """
    first = next(iter(planned.values()))[0]
    runs: dict[str, store.StoredRun] = {}
    for run in store.find_runs(first.uri, experiment=first.config.tracking.experiment):
        runs.setdefault(run.tags.get("fitgap.identity", ""), run)  # the newest of each
    return {
        preset: [
            _measurement(runs[plan.identity], plan, preset=preset)
            for plan in of_preset
            if plan.identity in runs
        ]
        for preset, of_preset in planned.items()
    }


def _measurement(run: store.StoredRun, plan: Plan, *, preset: str) -> Measurement:
    figures = [figure for figure in PUBLISHED if figure.preset == preset]
    final = dict(run.metrics)
    if any(figure.metric == FIRST_IMAGE for figure in figures):
        final[FIRST_IMAGE] = _probability_of_7(run.run_id, uri=plan.uri)
    return Measurement(
        run_id=run.run_id,
        seed=plan.config.seed,
        final=final,
        by_epoch={
            metric: _history(run.run_id, metric, uri=plan.uri)
            for metric in sorted({figure.metric for figure in figures if figure.epoch is not None})
        },
    )


def _history(run_id: str, metric: str, *, uri: str) -> list[float]:
    from mlflow import MlflowClient

    history = MlflowClient(uri).get_metric_history(run_id, metric)
    return [entry.value for entry in sorted(history, key=lambda entry: entry.step)]


def _probability_of_7(run_id: str, *, uri: str) -> float:
    from fitgap import prediction, recorded

    run = recorded.open_run(run_id, uri=uri)
    model = prediction.load_model(run)
    found = prediction.predict_test_images(model, prediction.load_dataset(run), [0])
    return float(found.probabilities[0, found.class_names.index("7")])

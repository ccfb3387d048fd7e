"""Runs a race: rounds of a sweep, each one replicate of all candidates that are not decided yet.

The same race, started again, finds its finished runs in the record and continues after them.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from fitgap import experiment, store
from fitgap.comparison import race_log
from fitgap.comparison.estimates import SEEDS, SPLITS
from fitgap.comparison.images import images_of
from fitgap.comparison.race import FAILED, MOST_ROUNDS, Race, Rule, Standing
from fitgap.comparison.race_log import Log, Round
from fitgap.comparison.replicates import REPLICATE_KEYS, overlap_of
from fitgap.comparison.ties import MARGIN, UNDECIDED
from fitgap.config.parameters import flatten
from fitgap.config.schema import Config, MetricConfig
from fitgap.config.settings import to_plain
from fitgap.console import say
from fitgap.errors import RequestError
from fitgap.store import StoredRun
from fitgap.store.recorded_metrics import known_metric
from fitgap.sweep.plan import varying
from fitgap.tag_names import IDENTITY_TAG

Overrides = list[str]
# Trains what is not there yet of a grid: the overrides of each job, and the settings they make.
Train = Callable[[list[Overrides], list[Config]], object]


@dataclass(frozen=True, slots=True)
class Request:
    """A request for a race.

    Attributes
    ----------
    budget
        Runs that it may use, those found in the record among them.
    margin
        Differences within it are of no interest; None is half a point, of an accuracy.
    alpha
        Probability of a false verdict, at most.
    """

    budget: int = 60
    margin: float | None = None
    alpha: float = 0.05


def run(
    grid: Sequence[Overrides], settings: Sequence[Config], *, request: Request, train: Train
) -> Log:
    """Run a race until it is decided or the next round would exceed the budget.

    Parameters
    ----------
    grid
        The overrides of each candidate.
    settings
        What they make.
    request
        What is asked.
    train
        Runs a grid to its end; what fails is in the record.

    Raises
    ------
    RequestError
        If the requested race can decide nothing; then nothing was started.
    """
    _check(grid, settings, request)
    planned = [experiment.plan(config) for config in settings]
    primary = next(iter(planned[0].config.metrics))
    if len({next(iter(one.config.metrics)) for one in planned}) > 1:
        raise RequestError("race compares by one metric; the candidates' first metrics differ")
    metric = f"val/{primary}"
    rule = Rule(
        candidates=len(grid),
        margin=_margin(request.margin, planned[0].config.metrics[primary], metric=metric),
        alpha=request.alpha,
        higher_is_better=planned[0].config.metrics[primary].direction == "higher",
    )
    names = tuple(" ".join(varying(overrides, grid)) for overrides in grid)
    race = Race(rule)
    runs = 0
    covers = SPLITS if _has_splits(settings[0]) else SEEDS
    log = Log(names, metric, covers, rule, ())
    while (
        race.word == UNDECIDED
        and len(log.rounds) < MOST_ROUNDS
        and runs + len(race.undecided) <= request.budget
    ):
        words = replicate(settings[0], number=len(log.rounds))
        racing = race.undecided
        configs = [with_replicate(settings[one], words) for one in racing]
        overrides = [f"{key}={value}" for key, value in words.items()]
        say(f"round {len(log.rounds) + 1}: {' '.join(overrides)}")
        train([[*_without_replicate(grid[one]), *overrides] for one in racing], configs)
        found = _finished(configs)
        overlap = overlap_of(found.values()) if covers == SPLITS else 0.0
        values = {
            one: found[place].metrics.get(metric, math.nan) if place in found else math.nan
            for place, one in enumerate(racing)
        }
        out = race.add_round(values, overlap=overlap)
        log = replace(log, rounds=(*log.rounds, Round(values, overlap)))
        runs += len(racing)
        if len(log.rounds) == 1:
            _say_fine_margin(rule.margin, found.values(), primary=primary)
        _say_who_leaves(race, out, ran=racing, names=names)
        # After each round: a race that is interrupted can be drawn as far as it came.
        race_log.write(log, uri=planned[0].uri, experiment=planned[0].config.tracking.experiment)
    return log


def _say_who_leaves(
    race: Race, out: Iterable[Standing], *, ran: Iterable[int], names: Sequence[str]
) -> None:
    for one in out:
        failed = ", failed" if one.word == FAILED else ""
        say(f"  out: {names[one.candidate]}{failed}")
    if race.word == UNDECIDED:
        for resting in sorted(set(ran) & set(race.racing) - set(race.undecided)):
            say(f"  rests, within the margin of all others: {names[resting]}")


def _say_fine_margin(margin: float, runs: Iterable[StoredRun], *, primary: str) -> None:
    """Say it if a margin is less than one validation image."""
    runs = list(runs)
    images = images_of(runs, fewest=True).get("val")
    if images and known_metric(primary, runs).is_share and margin < 1 / images:
        say(
            f"the margin {margin:g} is less than one of {images:,} validation images: to show "
            "that no candidate is better by more takes very many rounds (--margin)",
        )


def replicate(config: Config, *, number: int) -> dict[str, int]:
    """Return the settings of a round's replicate.

    Parameters
    ----------
    config
        Of any candidate; its own seeds are those of the first round.
    number
        Of the round, from 0.
    """
    split = config.split
    words = {"seed": config.seed + number}
    if split.folds is not None and split.fold is not None and split.seed is not None:
        words["split.fold"] = (split.fold + number) % split.folds
        words["split.seed"] = split.seed + number // split.folds
    elif _has_splits(config) and split.seed is not None:
        words["split.seed"] = split.seed + number
    return words


def with_replicate(config: Config, words: dict[str, int]) -> Config:
    """Return settings with those of a replicate."""
    of_split = {key.removeprefix("split."): value for key, value in words.items() if "." in key}
    split = replace(config.split, **of_split)  # type: ignore[arg-type]
    return replace(config, seed=words["seed"], split=split)


def _has_splits(config: Config) -> bool:
    """Tell whether another seed makes another validation partition."""
    return config.split.name in ("holdout", "kfold") and config.split.order is None


def _finished(configs: Sequence[Config]) -> dict[int, StoredRun]:
    """Return the finished runs by the place of their settings; the newest of each."""
    planned = [experiment.plan(config) for config in configs]
    runs = store.find_runs(planned[0].uri, experiment=planned[0].config.tracking.experiment)
    by_identity = {run.tags.get(IDENTITY_TAG): run for run in reversed(runs)}
    return {
        place: by_identity[plan.identity]
        for place, plan in enumerate(planned)
        if plan.identity in by_identity
    }


def _check(grid: Sequence[Overrides], settings: Sequence[Config], request: Request) -> None:
    for key in REPLICATE_KEYS:
        given = {word for job in grid for word in job if word.lstrip("+").startswith(f"{key}=")}
        if len(given) > 1:
            raise RequestError(
                f"{key} is what race chooses, round by round; give it one value or none, "
                f"got {', '.join(sorted(given))}"
            )
    if len(grid) < 2:
        raise RequestError(
            "race needs at least two candidates, such as optimizer=sgd,adam; got one"
        )
    if request.margin is not None and not 0 < request.margin < math.inf:
        raise RequestError(f"the margin must be above 0, got {request.margin:g}")
    if not 0 < request.alpha < 0.5:
        raise RequestError(f"alpha must be above 0 and below 0.5, got {request.alpha:g}")
    if request.budget < len(grid):
        raise RequestError(
            f"the budget must be at least the number of candidates: {len(grid)} runs are one "
            f"round, got {request.budget}"
        )
    for name in ("dataset", "split"):
        if len({repr(getattr(config, name)) for config in settings}) > 1:
            raise RequestError(
                f"race compares candidates on the same data, but {name} differs between them"
            )
    if settings[0].split.name == "none":
        raise RequestError("race needs a validation partition, but split=none leaves none")
    plain = [flatten(to_plain(config)) for config in settings]
    for place, one in enumerate(plain):
        if one in plain[:place]:
            raise RequestError(f"two candidates are the same: {' '.join(grid[place])}")


def _margin(given: float | None, node: MetricConfig, *, metric: str) -> float:
    if given is not None:
        return given
    if node.is_share:
        return MARGIN
    raise RequestError(f"race by {metric} needs a margin: --margin, in the metric's unit")


def _without_replicate(overrides: Overrides) -> Overrides:
    keys = tuple(f"{key}=" for key in REPLICATE_KEYS)
    return [word for word in overrides if not word.lstrip("+").startswith(keys)]

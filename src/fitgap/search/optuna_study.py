"""What Optuna does in a search: propose, remember, rank. No run is started here.

A trial is written down when it has ended, and what is proposed next follows from the trials
before its batch, the search's seed and the trial's number alone. So a search that was
interrupted proposes the same again, and goes on as if nothing had happened.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fitgap import locks
from fitgap.errors import RequestError, first_line
from fitgap.experiment import Plan
from fitgap.search.settings import SearchSettings
from fitgap.search.space import Dimension
from fitgap.training import checkpoints

if TYPE_CHECKING:
    from collections.abc import Iterator

    import optuna
    from optuna.study import StudyDirection
    from optuna.trial import FrozenTrial

Parameters = Mapping[str, Any]
# What Optuna's reader of journals raises on a line that is none of its own.
_DAMAGE = (ValueError, KeyError, TypeError, AttributeError, AssertionError, RecursionError)
BATCH = "batch"  # a trial's attribute: the numbers of the first trial of its batch and of the next


@dataclass(frozen=True)
class Ended:
    """How a trial ended.

    Attributes
    ----------
    values
        One per metric; None where it failed or was pruned.
    was_pruned
        Whether it was stopped for falling behind.
    by_epoch
        The first metric by epoch, from 1.
    about
        Kept with the trial: run id, overrides, failure.
    """

    values: Sequence[float] | None
    was_pruned: bool = False
    by_epoch: Mapping[int, float] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)


def require_optuna() -> None:
    """Check that Optuna is installed, and let it print only warnings and errors.

    Raises
    ------
    RequestError
        If it is not.
    """
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise RequestError(
            "hydra/sweeper=optuna needs the extra 'search', which is not installed: "
            "make setup-extras, or pip install 'fitgap[search]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def path_for(base: Plan, *, settings: SearchSettings, space: Sequence[Dimension]) -> Path:
    """Return the file of a search: beside the store, named by all that decides its values."""
    beside = checkpoints.path_for("", uri=base.uri, experiment=base.config.tracking.experiment)
    decides = {
        "experiment": [base.uri, base.config.tracking.experiment],
        "base": base.identity,
        "space": [repr(dimension) for dimension in space],
        "metrics": [list(settings.metrics), settings.resolved_directions()],
        "sampler": [settings.sampler, settings.seed, settings.startup_trials],
    }
    digest = hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:12]
    return beside.parent.with_name("searches") / f"{settings.study or digest}.journal"


@contextmanager
def opened(path: Path, *, settings: SearchSettings) -> "Iterator[optuna.Study]":
    """Open a search's file, or begin it; one process at a time.

    Parameters
    ----------
    path
        Of a journal, which any of Optuna's tools reads; the study has the name of the file.
    settings
        Of the search.

    Raises
    ------
    RequestError
        If another process runs this search, or the file cannot be used or is damaged.
    """
    from filelock import Timeout

    lock = locks.lock_of(path.with_suffix(".lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RequestError(f"this search is being run by another process: {path}") from error
    except OSError as error:
        raise RequestError(locks.why_not(path.parent, error)) from error
    try:
        yield _study(path, settings)
    finally:
        lock.release()


def _study(path: Path, settings: SearchSettings) -> "optuna.Study":
    import optuna
    from optuna.storages.journal import JournalFileBackend

    try:
        _drop_unfinished_line(path)
        return optuna.create_study(
            study_name=path.stem,
            storage=optuna.storages.JournalStorage(JournalFileBackend(str(path))),
            directions=_directions(settings),
            load_if_exists=True,
        )
    except OSError as error:
        raise _unusable(path, error) from error
    except _DAMAGE as error:
        raise RequestError(
            f"the search's file {path} is damaged: {first_line(error)}\n"
            "If you move it away, the search starts again; recorded trials are not trained again"
        ) from error


def _unusable(path: Path, error: OSError) -> RequestError:
    return RequestError(f"the search's file {path} cannot be used: {error}")


def _drop_unfinished_line(path: Path) -> None:
    """Take back what a full disk or a kill let be written in part: Optuna would read no further.

    Each line is one operation, a trial among them, that nobody was told to be done.
    """
    if not path.exists():
        return
    with path.open("rb+") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)


def check_same(
    study: "optuna.Study", *, settings: SearchSettings, space: Sequence[Dimension]
) -> None:
    """Check that a named search has the same metrics and space as before; note them in a new one.

    Raises
    ------
    RequestError
        If metrics, directions or space are others than those of its trials.
    """
    sought = {
        "metrics": list(settings.metrics),
        "directions": settings.resolved_directions(),
        "space": {dimension.name: repr(dimension.distribution()) for dimension in space},
    }
    for name, now in sought.items():
        then = study.user_attrs.get(name)
        if then is None:
            study.set_user_attr(name, now)
        elif then != now:
            raise RequestError(
                f"hydra.sweeper.study={study.study_name} is a search with other {name}: "
                f"{then} then, {now} now\nGive another name, or none"
            )


def batch_of(trials: "Sequence[FrozenTrial]", *, size: int) -> range:
    """Return the numbers of the trials in the batch of the next trial.

    That may be one of which an earlier invocation has written down a part.
    """
    number = len(trials)
    if trials:
        start, stop = trials[-1].user_attrs[BATCH]
        if number < stop:
            return range(start, stop)
    return range(number, number + size)


def propose(
    trials: "Sequence[FrozenTrial]",
    batch: range,
    *,
    space: Sequence[Dimension],
    settings: SearchSettings,
) -> list[Parameters]:
    """Return the settings to try in each trial of a batch.

    Parameters
    ----------
    trials
        All that have ended; those of the batch itself are not looked at.
    batch
        The trials' numbers.
    space, settings
        Of the search.
    """
    import optuna

    study = optuna.create_study(directions=_directions(settings))
    study.add_trials(trials[: batch.start])
    distributions = {dimension.name: dimension.distribution() for dimension in space}
    proposals: list[Parameters] = []
    for number in batch:
        study.sampler = _sampler(settings, number)
        proposals.append(study.ask(distributions).params)
    return proposals


def _directions(settings: SearchSettings) -> "list[StudyDirection]":
    from optuna.study import StudyDirection

    return [StudyDirection[name.upper()] for name in settings.resolved_directions()]


def _sampler(settings: SearchSettings, number: int) -> "optuna.samplers.BaseSampler":
    from optuna.samplers import RandomSampler, TPESampler

    seed = int(np.random.SeedSequence([settings.seed, number]).generate_state(1)[0])
    if settings.sampler == "random":
        return RandomSampler(seed=seed)
    return TPESampler(seed=seed, n_startup_trials=settings.startup_trials)


def remember(
    study: "optuna.Study",
    ended: Ended,
    *,
    batch: range,
    parameters: Parameters,
    space: Sequence[Dimension],
) -> None:
    """Record a trial as complete, pruned or failed."""
    from optuna.trial import TrialState, create_trial

    state, values = TrialState.FAIL, None
    if ended.was_pruned:
        state = TrialState.PRUNED
    elif ended.values is not None and all(map(math.isfinite, ended.values)):
        state, values = TrialState.COMPLETE, list(ended.values)
    study.add_trial(
        create_trial(
            state=state,
            values=values,
            params=dict(parameters),
            distributions={dimension.name: dimension.distribution() for dimension in space},
            user_attrs={**ended.about, BATCH: [batch.start, batch.stop]},
            intermediate_values=dict(ended.by_epoch),
        )
    )


def finished_histories(trials: "Sequence[FrozenTrial]") -> list[dict[int, float]]:
    """Return the values by epoch of the trials that ran to their end."""
    from optuna.trial import TrialState

    return [dict(t.intermediate_values) for t in trials if t.state == TrialState.COMPLETE]


def importances(study: "optuna.Study", settings: SearchSettings) -> dict[str, dict[str, float]]:
    """Return, by metric and setting, the share of the metric's variation that a setting explains.

    Empty if too few trials have finished.

    References
    ----------
    Watanabe, Bansal, Hutter (2023), "PED-ANOVA", arXiv:2304.10255: Optuna's standard.
    """
    import optuna
    from optuna.trial import TrialState

    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < MIN_TRIALS_FOR_IMPORTANCES:
        return {}
    found = {}
    for i, metric in enumerate(settings.metrics):

        def value(trial: "FrozenTrial", i: int = i) -> float:
            return float(trial.values[i])

        if len({value(trial) for trial in complete}) > 1:
            target = value if len(settings.metrics) > 1 else None
            found[metric] = optuna.importance.get_param_importances(study, target=target)
    return found


MIN_TRIALS_FOR_IMPORTANCES = 8

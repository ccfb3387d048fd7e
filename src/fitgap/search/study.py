"""What Optuna does in a search: it proposes trials, stores their results, and ranks settings.

No run is started here. A trial is stored when it has ended, and what is proposed next follows
from the trials before its batch, the search's seed and the trial's number alone. So a search that
was interrupted proposes the same again, and continues as if nothing had happened.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fitgap.errors import RequestError
from fitgap.search.settings import SearchSettings
from fitgap.search.space import Dimension, Value

if TYPE_CHECKING:
    import optuna
    from optuna.study import StudyDirection
    from optuna.trial import FrozenTrial

MIN_TRIALS_FOR_IMPORTANCES = 8
MOST_IN_BATCH = 10_000
_BATCH = "batch"  # a trial's attribute: the numbers of the first trial of its batch and of the next


@dataclass(frozen=True)
class Trial:
    """A trial that Optuna has proposed and that has not ended.

    Attributes
    ----------
    number
        From 0, in the order of the search.
    params
        The proposed value of each searched setting, by its name.
    batch
        The numbers of all trials that were proposed together with it.
    """

    number: int
    params: Mapping[str, Value]
    batch: range


@dataclass(frozen=True)
class TrialResult:
    """How a trial ended.

    Attributes
    ----------
    values
        One per metric; None where it failed or was pruned.
    was_pruned
        Whether it was stopped because earlier trials were better at the same epoch.
    intermediate_values
        The first metric by epoch, from 1.
    user_attrs
        Stored with the trial: run id, overrides, and why it failed.
    """

    values: Sequence[float] | None
    was_pruned: bool = False
    intermediate_values: Mapping[int, float] = field(default_factory=dict)
    user_attrs: Mapping[str, Any] = field(default_factory=dict)


def check_stored(trial: "FrozenTrial") -> None:
    """Check what a search reads of a trial's attributes; a file may have been changed.

    Raises
    ------
    ValueError
        If it is not what `SearchStudy.tell` stores.
    """
    batch, overrides = trial.user_attrs.get(_BATCH), trial.user_attrs.get("overrides", [])
    are_numbers = (
        isinstance(batch, list) and len(batch) == 2 and all(type(each) is int for each in batch)
    )
    if not are_numbers or not 0 <= batch[0] <= trial.number < batch[1] <= batch[0] + MOST_IN_BATCH:
        raise ValueError(f"trial {trial.number} has no batch")
    if not isinstance(overrides, list) or not all(isinstance(each, str) for each in overrides):
        raise ValueError(f"the overrides of trial {trial.number} are no list of texts")


class SearchStudy:
    """An Optuna study together with the settings and the space of its search.

    Parameters
    ----------
    study
        Holds the trials that have ended.
    settings
        Of the search, resolved for its experiment.
    space
        The settings that are searched.
    """

    def __init__(
        self, study: "optuna.Study", *, settings: SearchSettings, space: Sequence[Dimension]
    ) -> None:
        self.settings = settings
        self.space = space
        self._study = study

    @property
    def name(self) -> str:
        """The study's name, which is that of its file."""
        return str(self._study.study_name)

    @property
    def trials(self) -> "list[FrozenTrial]":
        """All trials that have ended, in the order of their numbers."""
        trials: list[FrozenTrial] = self._study.get_trials(deepcopy=False)
        return trials

    @property
    def best_trials(self) -> "list[FrozenTrial]":
        """The best trial, or, of several metrics, those that no other trial beats in all."""
        several = len(self.settings.metrics) > 1
        return list(self._study.best_trials) if several else [self._study.best_trial]

    def check_same(self) -> None:
        """Check that a named search has the same metrics and space as before.

        A new study stores them.

        Raises
        ------
        RequestError
            If metrics, directions or space differ from those of the study's trials.
        """
        current = {
            "metrics": list(self.settings.metrics),
            "directions": self.settings.resolved_directions(),
            "space": {d.name: repr(d.distribution()) for d in self.space},
        }
        for name, now in current.items():
            then = self._study.user_attrs.get(name)
            if then is None:
                self._study.set_user_attr(name, now)
            elif then != now:
                raise RequestError(
                    f"hydra.sweeper.study={self.name} is a search with other {name}: "
                    f"{then} then, {now} now",
                    "Give another name, or none",
                )

    def ask(self, batch_size: int) -> list[Trial]:
        """Return the trials to run next: a batch, or what is left of it.

        Parameters
        ----------
        batch_size
            How many trials are proposed together. An earlier invocation may have stored a part of
            the last batch; then the rest of that batch is returned, whatever its size was.

        Returns
        -------
        list of Trial
            Empty if the search has all its trials.
        """
        import optuna

        ended, n_trials = self.trials, self.settings.n_trials
        if len(ended) >= n_trials:
            return []
        batch = _batch_of_next(ended, batch_size=batch_size)
        # A study in memory: trials of the same batch must not know each other's results.
        study = optuna.create_study(directions=optuna_directions(self.settings))
        study.add_trials(ended[: batch.start])
        distributions = self._distributions()
        proposed: list[Trial] = []
        for number in batch:
            study.sampler = _sampler(self.settings, number)
            proposed.append(Trial(number, study.ask(distributions).params, batch))
        return [trial for trial in proposed if len(ended) <= trial.number < n_trials]

    def tell(self, trial: Trial, result: TrialResult) -> None:
        """Store a trial as complete, pruned or failed.

        Parameters
        ----------
        trial
            As `ask` returned it.
        result
            How it ended. Values that are not finite count as a failure.
        """
        from optuna.trial import TrialState, create_trial

        state, values = TrialState.FAIL, None
        if result.was_pruned:
            state = TrialState.PRUNED
        elif result.values is not None and all(map(math.isfinite, result.values)):
            state, values = TrialState.COMPLETE, list(result.values)
        self._study.add_trial(
            create_trial(
                state=state,
                values=values,
                params=dict(trial.params),
                distributions=self._distributions(),
                user_attrs={**result.user_attrs, _BATCH: [trial.batch.start, trial.batch.stop]},
                intermediate_values=dict(result.intermediate_values),
            )
        )

    def finished_histories(self, *, before: int) -> list[dict[int, float]]:
        """Return the values by epoch of the trials that ran to their end.

        Parameters
        ----------
        before
            Only trials with a smaller number count.
        """
        from optuna.trial import TrialState

        complete = [t for t in self.trials[:before] if t.state == TrialState.COMPLETE]
        return [dict(trial.intermediate_values) for trial in complete]

    def importances(self) -> dict[str, dict[str, float]]:
        """Return, by metric and setting, the share of the metric's variation that it explains.

        Returns
        -------
        dict
            By metric, the share of each searched setting, which sum to 1. Empty if fewer than
            ``MIN_TRIALS_FOR_IMPORTANCES`` trials have finished.

        References
        ----------
        Watanabe, Bansal, Hutter (2023), "PED-ANOVA", arXiv:2304.10255: Optuna's standard.
        """
        import optuna
        from optuna.trial import TrialState

        complete = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if len(complete) < MIN_TRIALS_FOR_IMPORTANCES:
            return {}
        found = {}
        for i, metric in enumerate(self.settings.metrics):

            def value(trial: "FrozenTrial", i: int = i) -> float:
                return float(trial.values[i])

            if len({value(trial) for trial in complete}) > 1:
                target = value if len(self.settings.metrics) > 1 else None
                found[metric] = optuna.importance.get_param_importances(self._study, target=target)
        return found

    def _distributions(self) -> "dict[str, optuna.distributions.BaseDistribution]":
        return {dimension.name: dimension.distribution() for dimension in self.space}


def optuna_directions(settings: SearchSettings) -> "list[StudyDirection]":
    """Return the direction of each metric as Optuna has it."""
    from optuna.study import StudyDirection

    return [StudyDirection[name.upper()] for name in settings.resolved_directions()]


def _batch_of_next(ended: "Sequence[FrozenTrial]", *, batch_size: int) -> range:
    """Return the numbers of the trials in the batch that the next trial belongs to."""
    number = len(ended)
    if ended:
        start, stop = ended[-1].user_attrs[_BATCH]
        if number < stop:
            return range(start, stop)
    return range(number, number + batch_size)


def _sampler(settings: SearchSettings, number: int) -> "optuna.samplers.BaseSampler":
    from optuna.samplers import RandomSampler, TPESampler

    seed = int(np.random.SeedSequence([settings.seed, number]).generate_state(1)[0])
    if settings.sampler == "random":
        return RandomSampler(seed=seed)
    return TPESampler(seed=seed, n_startup_trials=settings.startup_trials)

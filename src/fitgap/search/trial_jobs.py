"""The jobs of a search: from the values that are proposed for a trial to a run's overrides."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hydra.errors import ConfigCompositionException, MissingConfigException

from fitgap.config.quoting import quoted
from fitgap.experiment import Plan
from fitgap.search.space import Dimension, short_override
from fitgap.search.study import Trial
from fitgap.sweep import checking, composition
from fitgap.sweep.composition import Compose, Overrides
from fitgap.sweep.job import Job


@dataclass(frozen=True)
class TrialJobs:
    """Makes the job of a trial.

    Attributes
    ----------
    base
        The experiment with the fixed settings alone.
    fixed
        The overrides that all trials share.
    space
        The settings that are searched.
    compose
        Has Hydra compose the configuration of some overrides.
    """

    base: Plan
    fixed: Overrides
    space: Sequence[Dimension]
    compose: Compose

    def check_options(self) -> None:
        """Raise Hydra's error if a choice of a group's options has one that does not exist.

        Whether another value is right may depend on the other settings, so a wrong one fails only
        its trial.
        """
        for dimension in self.space:
            if "." in dimension.name:
                continue
            for option in dimension.options:
                try:
                    self.compose([*self.fixed, dimension.override(option)])
                except MissingConfigException:
                    raise
                except ConfigCompositionException:
                    continue

    def overrides(self, trial: Trial) -> Overrides:
        """Return all overrides of a trial: the fixed ones, then the proposed ones."""
        return [*self.fixed, *(d.override(trial.params[d.name]) for d in self.space)]

    def job(self, trial: Trial) -> Job:
        """Return the job of a trial.

        Raises
        ------
        RequestError
            If its settings are wrong.
        """
        overrides = self.overrides(trial)
        (job,) = checking.checked([overrides], composition.configs([overrides], self.compose))
        return job

    def child(self, number: int, job: Job, *, parent: str, pruning: str | None) -> Job:
        """Return a trial's job as it is launched, with what makes its run a child of the search's.

        Parameters
        ----------
        number
            Of the trial; it stands in the run's name.
        job
            What `job` returned for the trial.
        parent
            Run id of the search's parent run.
        pruning
            The override of `fitgap.search.pruner`, or None.
        """
        added = [
            f"++tracking.parent={parent}",
            # The store by name: a worker on a cluster may have another environment.
            f"++tracking.uri={quoted(job.plan.uri)}",
            "++tracking.watched=true",
        ]
        if pruning is not None:
            added.append(pruning)
        if job.plan.config.name is None:
            searched = " ".join(map(short_override, job.overrides[len(self.fixed) :]))
            added.append(f"name={quoted(f'trial {number} {searched}')}")
        return replace(job, overrides=[*job.overrides, *added])

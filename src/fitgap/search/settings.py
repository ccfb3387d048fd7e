"""The settings of a search, declared; Hydra imports this at every start, so no more is imported."""

from dataclasses import dataclass, field

PRIMARY = "primary"  # stands for the experiment's primary metric on validation data


@dataclass
class SearchSettings:
    """``hydra.sweeper.*`` of ``hydra/sweeper=optuna``.

    Attributes
    ----------
    n_trials
        How many there are in the end, those of earlier invocations included.
    n_jobs
        Trials proposed together and run at once; None is what the launcher runs at once. It
        decides what is proposed: a trial knows of those before its batch.
    metrics, directions
        What is sought, one or more of ``primary``, ``val/<metric>`` and ``gap/<metric>``, and
        whether to ``maximize`` or ``minimize``; None is each metric's own direction.
    sampler, seed, startup_trials
        ``tpe`` (after so many trials at random) or ``random``. The seed is the search's own.
    pruner, pruning_startup_trials, pruning_warmup_epochs
        ``median`` stops a trial whose best value so far is worse than the median of the finished
        trials at the same epoch; not before so many have finished, nor in so many first epochs.
    study
        A name, for a search that goes on under changed circumstances; None names it by all that
        decides its values.
    """

    n_trials: int = 20
    n_jobs: int | None = None
    metrics: list[str] = field(default_factory=lambda: [PRIMARY])
    directions: list[str] | None = None
    sampler: str = "tpe"
    seed: int = 0
    startup_trials: int = 10
    pruner: str = "none"
    pruning_startup_trials: int = 5
    pruning_warmup_epochs: int = 0
    study: str | None = None

    def resolved_directions(self) -> list[str]:
        """Return a direction per metric, once `fitgap.search.checks.resolve` has found them."""
        return list(self.directions or ())

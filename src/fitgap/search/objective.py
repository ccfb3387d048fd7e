"""The objective of a search: a trial's values are the metrics of the run with its settings.

Trials are ordinary runs under one parent run, so they are compared, reported and reused like any
others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hydra.errors import HydraException

from fitgap import experiment, store
from fitgap.console import say
from fitgap.errors import RequestError
from fitgap.search import pruner
from fitgap.search.study import SearchStudy, Trial, TrialResult
from fitgap.search.trial_jobs import TrialJobs
from fitgap.sweep.dispatch import Launch, launch_all
from fitgap.sweep.job import Job, Outcome
from fitgap.sweep.plan import redacted
from fitgap.sweep.watching import Watch
from fitgap.tag_names import IDENTITY_TAG, PRUNED_TAG
from fitgap.trust.text import without_secrets

if TYPE_CHECKING:
    from fitgap.tracking.sweep_writer import SweepRecord


@dataclass(frozen=True)
class Objective:
    """Runs batches of trials, and tells the study their results.

    Attributes
    ----------
    study
        Proposed the trials, and stores their results.
    jobs
        Makes the job of a trial.
    launch
        Trains jobs.
    parent
        The open parent run of the search.
    watch
        Counts the trials that need no training for the search's progress.
    """

    study: SearchStudy
    jobs: TrialJobs
    launch: Launch
    parent: "SweepRecord"
    watch: Watch

    def run(self, batch: Sequence[Trial]) -> int:
        """Run the trials of a batch, store their results, and return how many failed."""
        jobs: dict[int, Job] = {}
        outcomes: dict[int, Outcome] = {}
        for trial in batch:
            try:
                jobs[trial.number] = self.jobs.job(trial)
            except (RequestError, HydraException) as error:
                reason = without_secrets(" ".join(str(error).splitlines()[:2]))
                say(f"trial {trial.number}: FAILED, {reason}")
                self.watch.answered += 1
                name = f"trial {trial.number}"
                outcomes[trial.number] = Outcome(name, result=None, failure=reason)
        outcomes |= self._train(jobs, pruning=self._pruning(before=batch[0].batch.start))
        for trial in batch:
            job, outcome = jobs.get(trial.number), outcomes[trial.number]
            self.study.tell(trial, self._result(trial, job, outcome))
        return sum(outcome.failure is not None for outcome in outcomes.values())

    def _pruning(self, *, before: int) -> str | None:
        return pruner.override(
            self.study.finished_histories(before=before),
            settings=self.study.settings,
            epochs=self.jobs.base.config.training.epochs,
        )

    def _train(self, jobs: Mapping[int, Job], *, pruning: str | None) -> dict[int, Outcome]:
        """Return how each job ended, after training those that no finished run answers."""
        outcomes: dict[str, Outcome] = {}
        waiting: dict[str, tuple[int, Job]] = {}
        for number, job in jobs.items():
            identity = job.plan.identity
            if identity in waiting or identity in outcomes:
                self.watch.answered += 1
                continue  # proposed twice in a batch
            finished = experiment.finished(job.plan)
            if finished is not None:
                say(f"trial {number}: already finished as {finished.name}")
                self.watch.answered += 1
                outcomes[identity] = Outcome(finished.name, finished, failure=None)
            else:
                waiting[identity] = number, job
        if waiting:
            children = [
                self.jobs.child(number, job, parent=self.parent.run_id, pruning=pruning)
                for number, job in waiting.values()
            ]
            first = min(number for number, _ in waiting.values())
            outcomes |= launch_all(children, self.launch, parent=self.parent, first=first)
        return {number: outcomes[job.plan.identity] for number, job in jobs.items()}

    def _result(self, trial: Trial, job: Job | None, outcome: Outcome) -> TrialResult:
        attrs: dict[str, Any] = {"overrides": redacted(self.jobs.overrides(trial))}
        if outcome.failure is not None or job is None:
            return TrialResult(None, user_attrs=attrs | {"failure": outcome.failure})
        metrics = list(self.study.settings.metrics)
        run_id = outcome.result.run_id if outcome.result else _pruned_run(job)
        attrs["run_id"] = run_id
        by_epoch: dict[int, float] = {}
        if len(metrics) == 1 and run_id is not None:
            by_epoch = _values_by_epoch(job.plan.uri, run_id, metric=metrics[0])
        if outcome.result is None:
            return TrialResult(
                None, was_pruned=True, intermediate_values=by_epoch, user_attrs=attrs
            )
        found = outcome.result.metrics
        if missing := [metric for metric in metrics if metric not in found]:
            attrs["failure"] = f"{missing[0]} is undefined on this run's data"
            return TrialResult(None, user_attrs=attrs)
        values = [found[metric] for metric in metrics]
        return TrialResult(values, intermediate_values=by_epoch, user_attrs=attrs)


def _values_by_epoch(uri: str, run_id: str, *, metric: str) -> dict[int, float]:
    history = store.metric_histories(uri, run_ids=[run_id], keys=[metric, store.EPOCHS])[run_id]
    epochs = history.get(store.EPOCHS, {})
    return {epoch: value for epoch, value in history.get(metric, {}).items() if epoch in epochs}


def _pruned_run(job: Job) -> str | None:
    of_pruned = {IDENTITY_TAG: job.plan.identity, PRUNED_TAG: "true"}
    runs = job.plan.find_runs(statuses=("KILLED",), tags=of_pruned)
    return runs[0].run_id if runs else None

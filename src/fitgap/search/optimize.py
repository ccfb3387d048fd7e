"""A search: batches of trials proposed by Optuna, trained as a sweep's runs, remembered.

Trials are ordinary runs under one parent run, so they are compared, reported and reused like any
others. The same command again goes on until there are ``n_trials``; see
`fitgap.search.optuna_study` for why it makes no difference that it was interrupted.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException

from fitgap import experiment, store
from fitgap.config.quoting import quoted
from fitgap.console import say
from fitgap.errors import RequestError
from fitgap.experiment import Plan
from fitgap.search import checks, results
from fitgap.search import optuna_study as search_study
from fitgap.search import space as search_space
from fitgap.search.optuna_study import Ended, Parameters
from fitgap.search.settings import SearchSettings
from fitgap.search.space import Dimension
from fitgap.store import StoredRun
from fitgap.sweep import checking, composition, endings, live_view
from fitgap.sweep.composition import Compose, Overrides
from fitgap.sweep.job import Outcome
from fitgap.sweep.launch import Job, Launch, launch_all
from fitgap.sweep.launchers import Workers
from fitgap.sweep.status import SEARCH_FILE
from fitgap.sweep.watching import Watch, done_by
from fitgap.tag_names import IDENTITY_TAG, PRUNED_TAG, SEARCH_TAG, SWEEP_TAG
from fitgap.training import pruning

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

    from fitgap.tracking.sweep_writer import SweepRecord


def run(
    overrides: Sequence[Override],
    *,
    settings: SearchSettings,
    compose: Compose,
    workers: Workers,
    command: Sequence[str],
) -> None:
    """Search until there are as many trials as requested.

    Parameters
    ----------
    overrides
        Of the experiment, as Hydra parsed them: fixed and searched settings.
    settings
        Of the search.
    compose
        Makes a job's configuration of its overrides.
    workers
        What runs the trials; their number is that of a batch, unless it is set.
    command
        The command line of this search, which is printed if it is stopped.

    Raises
    ------
    RequestError
        If the search, its base settings or one of its first trials is wrong; nothing was started.
    SystemExit
        With 1, after the others had their chance, if a trial failed.
    """
    checks.check(settings)
    fixed, space = search_space.parse(overrides)
    search_study.require_optuna()
    with live_view.doing("checking the search"):
        (base,) = checking.checked([fixed], composition.configs([fixed], compose))
    settings = checks.resolve(settings, base.plan.config)
    checks.check_experiment(settings, base.plan.config)
    path = search_study.path_for(base.plan, settings=settings, space=space)
    with search_study.opened(path, settings=settings) as study:
        search = _Search(
            settings=settings,
            fixed=fixed,
            space=space,
            base=base.plan,
            study=study,
            compose=compose,
            launch=workers.launch,
            batch_size=settings.n_jobs or workers.number,
            command=command,
        )
        search_study.check_same(study, settings=settings, space=space)
        done = len(search.trials)
        say(f"search {path.stem}: {done} of {settings.n_trials} trials ended before")
        if done < settings.n_trials:
            for line in experiment.remarks(base.plan):
                say(line)
            with workers:
                failures = search.go_on()
            say(f"recorded in {store.redact(base.plan.uri)}; the search's memory is {path}")
            if failures:
                raise SystemExit(1)
        else:
            say("\n".join(results.summary(study, settings=settings, space=space)))


class _Search:
    """A search whose memory is open."""

    def __init__(
        self,
        *,
        settings: SearchSettings,
        fixed: Overrides,
        space: Sequence[Dimension],
        base: Plan,
        study: "optuna.Study",
        compose: Compose,
        launch: Launch,
        batch_size: int,
        command: Sequence[str],
    ) -> None:
        self._settings = settings
        self._fixed = fixed
        self._space = space
        self._base = base
        self._study = study
        self._compose = compose
        self._launch = launch
        self._batch_size = batch_size
        self._command = command

    @property
    def trials(self) -> "list[FrozenTrial]":
        trials: list[FrozenTrial] = self._study.get_trials(deepcopy=False)
        return trials

    def go_on(self) -> int:
        """Run the trials that are left, and return how many failed."""
        with live_view.doing("starting workers, opening the record"):
            first = self._next_batch()
            # A wrong request, if it is one, before anything starts.
            self._check_options()
            for _, parameters in first:
                self._job(parameters)

            from fitgap.tracking import setup, sweep_writer

            tracking_config, metrics = self._base.config.tracking, self._base.config.metrics
            experiment_id = setup.prepare(
                self._base.uri, tracking_config.experiment, metrics=metrics
            )
        searched = ", ".join(dimension.name for dimension in self._space)
        with sweep_writer.open_sweep(
            self._base.config.name or f"search over {searched}",
            uri=self._base.uri,
            experiment_id=experiment_id,
            experiment=tracking_config.experiment,
            tags={SEARCH_TAG: self._study.study_name},
            reopen=self._earlier_parent(),
        ) as parent:
            parent.log_text(json.dumps(self._description(), indent=1), SEARCH_FILE)
            watch = self._watch(parent.run_id)
            failed = 0
            with endings.said_if_stopped(self._say_stopped), live_view.show(watch):
                batch = first
                while batch:
                    failed += self._run(batch, parent, watch)
                    batch = self._next_batch()
            say(
                "\n"
                + "\n".join(
                    results.summary(self._study, settings=self._settings, space=self._space)
                ),
            )
            parent.log_text(
                results.table(self._study, settings=self._settings, space=self._space), "trials.csv"
            )
            shares_of = search_study.importances(self._study, self._settings)
            parent.log_text(json.dumps(shares_of, indent=1, ensure_ascii=False), "importances.json")
            parent.log_metrics(
                {
                    f"importance/{metric}/{name}": share
                    for metric, shares in shares_of.items()
                    for name, share in shares.items()
                },
                step=len(self.trials),
            )
            if failed:
                parent.fail(f"{failed} trials failed")
        return failed

    def _watch(self, parent: str) -> Watch:
        """Return what looks at the search; its trials that have ended already are counted."""
        experiment_name = self._base.config.tracking.experiment
        watch = Watch(
            self._base.uri,
            experiment=experiment_name,
            parent=parent,
            total=self._settings.n_trials,
        )
        runs = store.find_runs(
            self._base.uri,
            experiment=experiment_name,
            statuses=store.ANY_STATUS,
            tags={SWEEP_TAG: parent},
        )
        watch.answered = max(len(self.trials) - len(done_by(runs)), 0)
        return watch

    def _say_stopped(self) -> None:
        done, of = len(self.trials), self._settings.n_trials
        endings.say_search_stopped(done, of=of, command=self._command)

    def _check_options(self) -> None:
        """Raise Hydra's error for a choice of a group's options that has one that does not exist.

        Whatever else is wrong with a value may depend on the others, and fails its trial.
        """
        for dimension in self._space:
            if "." in dimension.name:
                continue
            for option in dimension.options:
                try:
                    self._compose([*self._fixed, dimension.override(option)])
                except MissingConfigException:
                    raise
                except ConfigCompositionException:
                    continue

    def _earlier_parent(self) -> StoredRun | None:
        """Return the parent run of an earlier invocation of the same search, or None."""
        found = store.find_runs(
            self._base.uri,
            experiment=self._base.config.tracking.experiment,
            statuses=("FINISHED", "FAILED", "KILLED", "RUNNING"),
            tags={SEARCH_TAG: self._study.study_name},
        )
        return found[0] if found else None

    def _next_batch(self) -> list[tuple[int, Parameters]]:
        """Return number and settings of the trials to run next; none where all have ended."""
        trials = self.trials
        if len(trials) >= self._settings.n_trials:
            return []
        batch = search_study.batch_of(trials, size=self._batch_size)
        proposed = search_study.propose(trials, batch, space=self._space, settings=self._settings)
        wanted = range(len(trials), min(batch.stop, self._settings.n_trials))
        return [(number, proposed[number - batch.start]) for number in wanted]

    def _overrides(self, parameters: Parameters) -> Overrides:
        searched = [d.override(parameters[d.name]) for d in self._space]
        return [*self._fixed, *searched]

    def _job(self, parameters: Parameters) -> Job:
        overrides = self._overrides(parameters)
        (job,) = checking.checked([overrides], composition.configs([overrides], self._compose))
        return job

    def _run(
        self, batch: Sequence[tuple[int, Parameters]], parent: "SweepRecord", watch: Watch
    ) -> int:
        """Run a batch's trials, remember how they ended, and return how many failed."""
        numbers = search_study.batch_of(self.trials, size=self._batch_size)
        jobs: dict[int, Job] = {}
        outcomes: dict[int, Outcome] = {}
        for number, parameters in batch:
            try:
                jobs[number] = self._job(parameters)
            except (RequestError, HydraException) as error:
                reason = " ".join(str(error).splitlines()[:2])
                say(f"trial {number}: FAILED, {reason}")
                watch.answered += 1
                outcomes[number] = Outcome(f"trial {number}", result=None, failure=reason)
        pruned_below = self._pruning(self.trials[: numbers.start])
        outcomes |= self._trained(jobs, pruned_below, parent, watch)
        for number, parameters in batch:
            search_study.remember(
                self._study,
                self._ended(jobs.get(number), outcomes[number], parameters),
                batch=numbers,
                parameters=parameters,
                space=self._space,
            )
        return sum(outcome.failure is not None for outcome in outcomes.values())

    def _pruning(self, before: "Sequence[FrozenTrial]") -> Mapping[str, Any] | None:
        settings = self._settings
        if settings.pruner == "none":
            return None
        limits = pruning.bounds(
            search_study.finished_histories(before),
            epochs=self._base.config.training.epochs,
            startup_trials=settings.pruning_startup_trials,
            warmup=settings.pruning_warmup_epochs,
        )
        if all(limit is None for limit in limits):
            return None
        direction = settings.resolved_directions()[0]
        return {"metric": settings.metrics[0], "direction": direction, "bounds": limits}

    def _trained(
        self,
        jobs: Mapping[int, Job],
        pruned_below: Mapping[str, Any] | None,
        parent: "SweepRecord",
        watch: Watch,
    ) -> dict[int, Outcome]:
        """Return how each job ended, after training those that no finished run answers."""
        outcomes: dict[str, Outcome] = {}
        waiting: dict[str, tuple[int, Job]] = {}
        for number, job in jobs.items():
            identity = job.plan.identity
            if identity in waiting or identity in outcomes:
                watch.answered += 1
                continue  # proposed twice in a batch
            finished = experiment.finished(job.plan)
            if finished is not None:
                say(f"trial {number}: already finished as {finished.name}")
                watch.answered += 1
                outcomes[identity] = Outcome(finished.name, finished, failure=None)
            else:
                waiting[identity] = number, job
        if waiting:
            children = [
                self._child(number, job, pruned_below, parent.run_id)
                for number, job in waiting.values()
            ]
            first = min(number for number, _ in waiting.values())
            outcomes |= launch_all(children, self._launch, parent=parent, first=first)
        return {number: outcomes[job.plan.identity] for number, job in jobs.items()}

    def _child(
        self, number: int, job: Job, pruned_below: Mapping[str, Any] | None, parent: str
    ) -> Job:
        added = [
            f"++tracking.parent={parent}",
            # The store by name: a worker on a cluster may have another environment.
            f"++tracking.uri={quoted(job.plan.uri)}",
            "++tracking.watched=true",
        ]
        if pruned_below is not None:
            bounds = ",".join(
                "null" if limit is None else repr(limit) for limit in pruned_below["bounds"]
            )
            metric, direction = pruned_below["metric"], pruned_below["direction"]
            added.append(
                f"++tracking.pruning={{metric:{metric},direction:{direction},bounds:[{bounds}]}}"
            )
        if job.plan.config.name is None:
            searched = " ".join(map(search_space.shortly, job.overrides[len(self._fixed) :]))
            added.append(f"name={quoted(f'trial {number} {searched}')}")
        return replace(job, overrides=[*job.overrides, *added])

    def _ended(self, job: Job | None, outcome: Outcome, parameters: Parameters) -> Ended:
        about: dict[str, Any] = {"overrides": self._overrides(parameters)}
        if outcome.failure is not None or job is None:
            return Ended(None, about=about | {"failure": outcome.failure})
        metrics = list(self._settings.metrics)
        run_id = outcome.result.run_id if outcome.result else self._pruned_run(job)
        about["run_id"] = run_id
        by_epoch: dict[int, float] = {}
        if len(metrics) == 1 and run_id is not None:
            keys = [metrics[0], store.EPOCHS]
            history = store.metric_histories(self._base.uri, run_ids=[run_id], keys=keys)[run_id]
            epochs = history.get(store.EPOCHS, {})
            by_epoch = {e: v for e, v in history.get(metrics[0], {}).items() if e in epochs}
        if outcome.result is None:
            return Ended(None, was_pruned=True, by_epoch=by_epoch, about=about)
        found = outcome.result.metrics
        if lacking := [metric for metric in metrics if metric not in found]:
            about["failure"] = f"{lacking[0]} is undefined on this run's data"
            return Ended(None, about=about)
        values = [found[metric] for metric in metrics]
        return Ended(values, by_epoch=by_epoch, about=about)

    def _pruned_run(self, job: Job) -> str | None:
        runs = store.find_runs(
            job.plan.uri,
            experiment=job.plan.config.tracking.experiment,
            statuses=("KILLED",),
            tags={IDENTITY_TAG: job.plan.identity, PRUNED_TAG: "true"},
        )
        return runs[0].run_id if runs else None

    def _description(self) -> dict[str, Any]:
        return {
            "study": self._study.study_name,
            "n_trials": self._settings.n_trials,
            "metrics": list(self._settings.metrics),
            "directions": self._settings.resolved_directions(),
            "fixed": self._fixed,
            "space": {d.name: repr(d.distribution()) for d in self._space},
        }

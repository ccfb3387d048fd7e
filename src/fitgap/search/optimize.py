"""A search: batches of trials proposed by Optuna, trained like the runs of a sweep.

The same command again continues until there are ``n_trials``; see `fitgap.search.study` for why an
interruption makes no difference.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import Override

from fitgap import experiment, store
from fitgap.console import say
from fitgap.search import checks, results, storage
from fitgap.search import space as search_space
from fitgap.search.objective import Objective
from fitgap.search.settings import SearchSettings
from fitgap.search.study import SearchStudy
from fitgap.search.trial_jobs import TrialJobs
from fitgap.sweep import checking, composition, endings, live_view
from fitgap.sweep.composition import Compose
from fitgap.sweep.plan import redacted
from fitgap.sweep.status import SEARCH_FILE
from fitgap.sweep.watching import Watch, done_by
from fitgap.sweep.workers import Workers
from fitgap.tag_names import SEARCH_TAG, SWEEP_TAG

if TYPE_CHECKING:
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
        Has Hydra compose the configuration of a job's overrides.
    workers
        What runs the trials; their number is that of a batch, unless ``settings.n_jobs`` is set.
    command
        The command line of this search, which is printed if it is stopped.

    Raises
    ------
    RequestError
        If the search, its fixed settings or one of its first trials is wrong; nothing was started.
    SystemExit
        With 1, after the others had their chance, if a trial failed.
    """
    checks.check(settings)
    fixed, space = search_space.parse(overrides)
    storage.require_optuna()
    with live_view.doing("checking the search"):
        (base,) = checking.checked([fixed], composition.configs([fixed], compose))
    plan = base.plan
    settings = checks.resolve(settings, plan.config)
    checks.check_experiment(settings, plan.config)
    path = storage.path_for(plan, settings=settings, space=space)
    with storage.opened(path, settings=settings, space=space) as study:
        study.check_same()
        done = len(study.trials)
        say(f"search {path.stem}: {done} of {settings.n_trials} trials ended before")
        if done >= settings.n_trials:
            say("\n".join(results.summary(study, uri=plan.uri)))
            return
        for line in experiment.remarks(plan):
            say(line)
        jobs = TrialJobs(plan, fixed, space, compose)
        with workers:
            failures = _optimize(study, jobs, workers=workers, command=command)
        say(f"recorded in {store.redact(plan.uri)}; the search is stored in {path}")
        if failures:
            raise SystemExit(1)


def _optimize(
    study: SearchStudy, jobs: TrialJobs, *, workers: Workers, command: Sequence[str]
) -> int:
    """Run the trials that are left, record the outcome, and return how many failed."""
    batch_size = study.settings.n_jobs or workers.number
    with _open_parent(study, jobs, batch_size=batch_size) as parent:
        parent.log_text(json.dumps(_description(study, jobs), indent=1), SEARCH_FILE)
        watch = _watch(study, jobs, parent=parent.run_id)
        objective = Objective(study, jobs, workers.launch, parent, watch)
        failed = 0

        def say_stopped() -> None:
            done, of = len(study.trials), study.settings.n_trials
            endings.say_search_stopped(done, of=of, command=command, uri=jobs.base.uri)

        with endings.on_interruption(say_stopped), live_view.show(watch):
            while batch := study.ask(batch_size):
                failed += objective.run(batch)
        say("\n" + "\n".join(results.summary(study, uri=jobs.base.uri)))
        results.record(study, parent)
        if failed:
            parent.fail(f"{failed} trials failed")
    return failed


@contextmanager
def _open_parent(
    study: SearchStudy, jobs: TrialJobs, *, batch_size: int
) -> Iterator["SweepRecord"]:
    """Open the parent run of a search, once its first batch is known to be right."""
    plan = jobs.base
    with (
        endings.on_interruption(endings.say_sweep_not_begun),
        live_view.doing("starting workers, opening the record"),
    ):
        jobs.check_options()
        for trial in study.ask(batch_size):
            jobs.job(trial)

        from fitgap.tracking import setup, sweep_writer

        experiment_id = setup.prepare(plan.uri, plan.experiment, metrics=plan.config.metrics)
    earlier = plan.find_runs(statuses=store.ANY_STATUS, tags={SEARCH_TAG: study.name})
    searched = ", ".join(dimension.name for dimension in study.space)
    with sweep_writer.open_sweep(
        plan.config.name or f"search over {searched}",
        uri=plan.uri,
        experiment_id=experiment_id,
        experiment=plan.experiment,
        tags={SEARCH_TAG: study.name},
        reopen=next(iter(earlier), None),
    ) as parent:
        yield parent


def _watch(study: SearchStudy, jobs: TrialJobs, *, parent: str) -> Watch:
    """Return what follows the search's progress; trials that have ended already are counted."""
    plan, total = jobs.base, study.settings.n_trials
    watch = Watch(plan.uri, experiment=plan.experiment, parent=parent, total=total)
    runs = plan.find_runs(statuses=store.ANY_STATUS, tags={SWEEP_TAG: parent})
    watch.answered = max(len(study.trials) - len(done_by(runs)), 0)
    return watch


def _description(study: SearchStudy, jobs: TrialJobs) -> dict[str, Any]:
    """Return what the parent run stores about its search, as a file."""
    return {
        "study": study.name,
        "n_trials": study.settings.n_trials,
        "metrics": list(study.settings.metrics),
        "directions": study.settings.resolved_directions(),
        "fixed": redacted(jobs.fixed),
        "space": {d.name: repr(d.distribution()) for d in study.space},
    }

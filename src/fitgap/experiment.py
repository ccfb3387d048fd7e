"""One experiment from start to end: settings, data, split, network, training, scores, record."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fitgap import heavy_imports, memory, store
from fitgap.config import project, tasks
from fitgap.config.model_checks import check_values
from fitgap.config.schema import Config
from fitgap.config.settings import recorded, to_plain
from fitgap.console import say
from fitgap.data import data_report
from fitgap.errors import DivergedError, OutOfMemoryError, RequestError
from fitgap.evaluation.metrics import metrics_of
from fitgap.identity import DataFacts, Sources, data_facts, identity, sources_of
from fitgap.store import StoredRun
from fitgap.tag_names import IDENTITY_TAG, PARENT_TAG, PRUNED_TAG
from fitgap.tracking import delivery, descriptions, disk_full
from fitgap.training import (
    backend,
    checkpoints,
    debugging,
    events,
    loggers,
    metric_cost,
    progress,
    pruning,
)
from fitgap.training import data as training_data
from fitgap.training.class_weights import sample_weights
from fitgap.training.engines import choice as engines
from fitgap.training.engines.choice import EngineChoice
from fitgap.trust.text import line, remember_secrets, scrub

if TYPE_CHECKING:
    import keras

    from fitgap.tracking.run_writer import RunRecord


@dataclass(frozen=True)
class Plan:
    """An experiment that has been checked as far as is possible without TensorFlow.

    Attributes
    ----------
    config
        The settings of the experiment.
    facts
        What is known about its data.
    choice
        The engine that will train it.
    sources
        The code that it consists of.
    identity
        SHA-256 over everything that decides its bits.
    uri
        Address of the store in which it is recorded.
    tags
        Tags that are recorded besides the usual ones.
    """

    config: Config
    facts: DataFacts
    choice: EngineChoice
    sources: Sources
    identity: str
    uri: str
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def experiment(self) -> str:
        """MLflow's experiment in which it is recorded."""
        return self.config.tracking.experiment

    @property
    def checkpoint_path(self) -> Path:
        """The path, without suffix, of its claim and its checkpoint."""
        return checkpoints.path_for(self.identity, uri=self.uri, experiment=self.experiment)

    def find_runs(
        self,
        *,
        statuses: Sequence[str] = ("FINISHED",),
        tags: Mapping[str, str] | None = None,
    ) -> list[StoredRun]:
        """Return runs of its MLflow experiment, newest first; see `fitgap.store.find_runs`."""
        return store.find_runs(self.uri, experiment=self.experiment, statuses=statuses, tags=tags)


@dataclass(frozen=True)
class Result:
    """The result of an experiment.

    Attributes
    ----------
    run_id, name
        Id and name of its MLflow run.
    metrics
        The figures of the saved weights, by their names in the record.
    reused
        Whether it is the result of an earlier run with the same identity.
    """

    run_id: str
    name: str
    metrics: Mapping[str, float]
    reused: bool


def plan(config: Config) -> Plan:
    """Check the data, choose the engine and identify the experiment; train nothing.

    Raises
    ------
    RequestError
        If the dataset is missing, does not fit into the memory or cannot be split as requested, an
        image is in two partitions, or loss, architecture or engine do not fit the data.
    """
    remember_secrets(to_plain(config))
    if config.dataset.name == "function":
        # It may use TensorFlow, whose threads are fixed by its first use.
        backend.start(config.training.threads)
    with memory.named_when_short(f"dataset={config.dataset.name}", RequestError):
        facts = data_facts(config)
    if config.split.stratify is None:
        config = replace(config, split=replace(config.split, stratify=facts.stratified))
    config = tasks.resolve(config, facts.task, num_outputs=facts.num_classes)
    check_values(config, image_shape=facts.image_shape, value_type=facts.value_type)
    # Weights of no samples: a class that does not exist is told before a sweep's other runs train.
    sample_weights(
        config.training.class_weight, np.empty(0, np.int64), class_names=facts.class_names
    )
    loggers.make(config.tracking.loggers)  # a wrong one is told before anything is trained
    if facts.other_scale:
        raise RequestError(
            f"dataset={config.dataset.name} has parts of different scales: {facts.other_scale}",
            "Bring them all to one, such as 0 to 255, before they are saved",
        )
    if facts.leakage and not config.dataset.allow_duplicates:
        raise RequestError(
            f"dataset={config.dataset.name} has the same images in two partitions: {facts.leakage}",
            "Remove them, or allow them with dataset.allow_duplicates=true",
        )
    choice = engines.choose(config, image_bytes=facts.image_bytes)
    sources = sources_of(config, choice=choice)
    return Plan(
        config=config,
        facts=facts,
        choice=choice,
        sources=sources,
        identity=identity(config, facts=facts, choice=choice, sources=sources),
        uri=store.resolve_uri(config.tracking.uri),
    )


def remarks(planned: Plan) -> list[str]:
    """Return what a person should know before the training, a line each: of data and metrics."""
    of_data = [f"data: {line(note)}" for note in planned.facts.notes]
    return of_data + metric_cost.deferred_metrics(metrics_of(planned.config))


def finished(planned: Plan) -> Result | None:
    """Return the result of a FINISHED run of the same identity, or None.

    Also None if ``tracking.reuse`` is false, if the source of the user's code is unknown, or in a
    debug run.
    """
    config = planned.config
    if not config.tracking.reuse or planned.sources.own.unknown or config.debug is not None:
        return None
    runs = planned.find_runs(tags={IDENTITY_TAG: planned.identity})
    return result_of(runs[0]) if runs else None


def result_of(stored: StoredRun) -> Result:
    """Return the result that the record of an earlier run holds."""
    return Result(stored.run_id, stored.name, stored.metrics, reused=True)


def run(planned: Plan) -> Result:
    """Train, evaluate and record one experiment, once, and from where it was interrupted.

    If two processes start the same at once, only one trains it: the other waits and takes the
    other's result.

    Parameters
    ----------
    planned
        From `plan`.

    Returns
    -------
    Result

    Raises
    ------
    RequestError
        If Keras refuses a setting; no run exists then.
    DivergedError
        If the loss stops being finite; the run is FAILED then.
    DiskFullError
        If there is no room for its record; what was recorded by then is whole.
    OutOfMemoryError
        If the memory is too small for it; if it had begun, the run is FAILED then.
    PrunedError
        If a search stopped it; the run is KILLED then, and the next request starts it again.
    """
    path = planned.checkpoint_path
    with (
        memory.named_when_short("the run", OutOfMemoryError),
        disk_full.named_when_full(path.parent),
        checkpoints.claim(path),
    ):
        try:
            result = delivery.retry_while_away(lambda: finished(planned), uri=planned.uri)
            if result is not None:
                return result
            _say_unknown(planned)
            return _train(planned, path)
        except (DivergedError, pruning.PrunedError):
            checkpoints.remove(path)  # it would end the same way again
            raise


def interrupted(planned: Plan) -> str | None:
    """Return the run of the same identity and tags that was stopped or failed, or None.

    A run that a search pruned stays with that search, which counts it as its pruned trial. None if
    the source of the user's code is unknown, because nobody can know what was trained.
    """
    if planned.sources.own.unknown:
        return None
    runs = planned.find_runs(
        statuses=("KILLED", "FAILED"), tags={IDENTITY_TAG: planned.identity, **planned.tags}
    )
    parent = planned.config.tracking.parent
    for stored in runs:
        of_parent = stored.tags.get(PARENT_TAG)
        if PRUNED_TAG not in stored.tags or parent in (None, of_parent):
            return stored.run_id
    return None


def _say_unknown(planned: Plan) -> None:
    """Say which own code has no readable source, unless a sweep shows the run."""
    unknown = planned.sources.own.unknown
    if unknown and planned.config.tracking.parent is None:
        say(f"{'; '.join(unknown)}: its source cannot be read, so no earlier run counts as equal")


def _train(planned: Plan, checkpoint_path: Path) -> Result:
    """Go through one experiment: data, network, engine, record, training, scores, results."""
    config, facts = planned.config, planned.facts
    # First, since metrics are tried on the data, and one of Keras's starts TensorFlow.
    backend.start(config.training.threads)
    data = training_data.load(
        config, dataset_digest=facts.dataset_digest, split_digest=facts.split_digest
    )
    with heavy_imports.paused_garbage_collection():
        from fitgap.tracking import results, run_metrics, run_writer, setup
        from fitgap.training import loop

    # Of a sweep's job it says nothing, because the terminal shows the whole sweep.
    tell = say if config.tracking.parent is None else (lambda _line: None)
    engine, callbacks, choice = _make_engine(planned, data, say=tell)

    description = descriptions.of_run(planned, data=data, choice=choice, model=engine.model)
    experiment_id = setup.prepare(planned.uri, config.tracking.experiment, metrics=config.metrics)
    run_id = delivery.retry_while_away(lambda: interrupted(planned), uri=planned.uri)
    checkpoint = checkpoints.load(checkpoint_path) if run_id else None
    extra = loggers.make(config.tracking.loggers)
    with (
        run_writer.open_run(
            config, description, uri=planned.uri, experiment_id=experiment_id, interrupted=run_id
        ) as record,
        memory.named_when_short("the run", OutOfMemoryError),  # also where the run says its reason
    ):
        # Seconds for data that are new here. Now, since all that it imports too is imported.
        findings = data_report.find_beside(data.dataset, data.split)
        record.log_dataset(data.dataset, digest=facts.dataset_digest)
        with _observed(record, config, extra, resumed=checkpoint) as observers:
            fitted = loop.fit(
                engine,
                partitions=data.partitions,
                config=config,
                callbacks=callbacks,
                observe=lambda epoch: observers.on_epoch(
                    epoch.number, run_metrics.of_epoch(epoch, config)
                ),
                save=functools.partial(checkpoints.save, checkpoint_path),
                resume=checkpoint,
                say=tell,
            )
            # Once; it chooses nothing.
            test = loop.score(engine, data.partitions.test, config=config)
            metrics = run_metrics.of_saved_weights(fitted, test, config=config, data=data)
            # Where the saved weights are an earlier epoch's, their figures stand a step after the
            # last one, so that MLflow shows them and no step has two values.
            step = len(fitted.epochs) + (1 if fitted.restored else 0)
            observers.on_end(metrics, step)
        results.write(
            record,
            results.Results(config, data, engine, fitted, test, metrics, step),
            code=planned.sources.own.texts,
            findings=findings,
        )
        # Before the run says FINISHED: who finds it so will not come here again.
        checkpoints.remove(checkpoint_path)
    return Result(record.run_id, description.name, metrics, reused=False)


def _make_engine(
    planned: Plan, data: training_data.Data, *, say: Callable[[str], None]
) -> "tuple[engines.Engine, list[keras.callbacks.Callback], EngineChoice]":
    """Build the network, and return the engine that trains it, its callbacks and its choice."""
    with heavy_imports.paused_garbage_collection():
        from fitgap.models import build, own_objects

    config = planned.config
    steps_per_epoch = -(-len(data.partitions.train) // config.training.batch_size)
    model = build.build(
        config,
        image_shape=data.dataset.image_shape,
        num_classes=data.dataset.num_classes,
        total_steps=steps_per_epoch * config.training.epochs,
        scaling=data.scaling,
        target_scaling=data.target_scaling,
        say=say,
    )
    for remark in own_objects.layers_not_opened(model):
        say(remark)
    callbacks = build.callbacks(config)
    choice = engines.resolve(planned.choice, model=model, config=config, callbacks=callbacks)
    engine = engines.make(
        choice, model=model, train=data.partitions.train, config=config, callbacks=callbacks
    )
    return engine, callbacks, choice


@contextmanager
def _observed(
    record: "RunRecord",
    config: Config,
    extra: Sequence[events.Observer],
    *,
    resumed: checkpoints.Checkpoint | None,
) -> Iterator[events.Events]:
    """Notify record, terminal, loggers and a search of the run that is trained in the block.

    Parameters
    ----------
    record, config
        Of the run.
    extra
        The loggers.
    resumed
        State of an interrupted run, which is continued.
    """
    reports = project.folder() / "reports"
    start = events.Start(
        run_id=record.run_id,
        name=descriptions.run_name(config),
        experiment=config.tracking.experiment,
        epochs=config.training.epochs,
        done=len(resumed.epochs) if resumed else 0,
        settings=scrub(recorded(config)),
        folder=reports,
    )
    showing = progress.observer(quiet=config.tracking.parent is not None)
    pruner = pruning.Pruning(config.tracking.pruning)
    with (
        events.observed([record, showing, *extra, pruner], start) as observers,
        debugging.watched(config.debug, folder=reports / "profiles" / record.run_id),
    ):
        yield observers

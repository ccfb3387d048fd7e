"""One experiment, top to bottom: settings, data, split, network, training, scores, record."""

import functools
import tempfile
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fitgap import heavy_imports, store
from fitgap.config import project, tasks
from fitgap.config.model_checks import check_values
from fitgap.config.schema import Config, SplitConfig
from fitgap.config.settings import recorded
from fitgap.data import datasets, preprocessing, splits
from fitgap.data import report as data_report
from fitgap.data.datasets import Dataset
from fitgap.data.preprocessing import Preprocessing
from fitgap.data.splits import Split
from fitgap.errors import DivergedError, RequestError
from fitgap.evaluation import metrics as metrics_module
from fitgap.evaluation.baseline import baseline
from fitgap.evaluation.metrics import higher_is_better, metrics_of
from fitgap.evaluation.scores import Partitions, Scores, beginning, partition
from fitgap.identity import DataFacts, Sources, data_facts, identity, sources_of
from fitgap.models.scaling import Tokens, feature_scaling, target_scaling
from fitgap.store import StoredRun
from fitgap.tracking import delivery, disk_full, provenance
from fitgap.training import (
    backend,
    checkpoints,
    debugging,
    events,
    loggers,
    progress,
    pruning,
)
from fitgap.training.class_weights import sample_weights
from fitgap.training.engines import choice as engines
from fitgap.training.engines.choice import EngineChoice
from fitgap.trust.text import scrub

if TYPE_CHECKING:
    from fitgap.tracking.run_writer import RunRecord
    from fitgap.training.loop import Fitted


UNDEFINED_TAG = "fitgap.undefined"  # metrics without a value on a partition, and why


@dataclass(frozen=True)
class Plan:
    """An experiment that has been checked as far as that goes without TensorFlow.

    Attributes
    ----------
    config
        Its settings.
    facts
        Of its data.
    choice
        The engine it will use.
    sources
        The code it consists of.
    identity
        SHA-256 over all that decides its bits.
    uri
        Of the store that takes its record.
    tags
        More than the usual ones, for its record.
    """

    config: Config
    facts: DataFacts
    choice: EngineChoice
    sources: Sources
    identity: str
    uri: str
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """What came out of an experiment.

    Attributes
    ----------
    run_id
        Of its MLflow run.
    name
        Of its MLflow run.
    identity
        See `Plan`.
    metrics
        The values of the saved weights, by the names of the record.
    reused
        Whether an earlier run of the same identity answered.
    """

    run_id: str
    name: str
    identity: str
    metrics: Mapping[str, float]
    reused: bool


def plan(config: Config) -> Plan:
    """Check the data, choose the engine and identify the experiment; train nothing.

    Raises
    ------
    RequestError
        If the dataset is not to be had or cannot be split as asked, an image lies in two
        partitions, or loss, architecture or engine do not fit the data.
    """
    if config.dataset.name == "function":
        # It may use TensorFlow, whose threads are fixed by its first use.
        backend.start(config.training.threads)
    facts = data_facts(config)
    if config.split.stratify is None:
        config = replace(config, split=replace(config.split, stratify=facts.stratified))
    config = tasks.resolve(config, facts.task, num_outputs=facts.num_classes)
    check_values(config, image_shape=facts.image_shape, value_type=facts.value_type)
    loggers.make(config.tracking.loggers)  # a wrong one is told before anything is trained
    if facts.other_scale:
        raise RequestError(
            f"dataset={config.dataset.name} has parts of different scales: {facts.other_scale}\n"
            "Bring them all to one, such as 0 to 255, before they are saved"
        )
    if facts.leakage and not config.dataset.allow_duplicates:
        raise RequestError(
            f"dataset={config.dataset.name} has the same images in two partitions: "
            f"{facts.leakage}\nRemove them, or allow them with dataset.allow_duplicates=true"
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


def finished(planned: Plan) -> Result | None:
    """Return the result of a FINISHED run of the same identity, or None.

    None too where ``tracking.reuse`` is false, the source of own code is unknown, or it is a debug
    run.
    """
    config = planned.config
    if not config.tracking.reuse or planned.sources.own.unknown or config.debug is not None:
        return None
    runs = store.find_runs(
        planned.uri,
        experiment=planned.config.tracking.experiment,
        tags={"fitgap.identity": planned.identity},
    )
    if not runs:
        return None
    return result_of(runs[0])


def result_of(stored: StoredRun) -> Result:
    """Return the result that the record of an earlier run holds."""
    identity_tag = stored.tags["fitgap.identity"]
    return Result(stored.run_id, stored.name, identity_tag, stored.metrics, reused=True)


def run(planned: Plan) -> Result:
    """Train, evaluate and record one experiment, once, and from where it was interrupted.

    Two processes asked for the same at once do not train it both: one waits and takes the
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
    PrunedError
        If a search stopped it; the run is KILLED then, and starts anew when it is asked for again.
    """
    tracking_config = planned.config.tracking
    path = checkpoints.path_for(
        planned.identity, uri=planned.uri, experiment=tracking_config.experiment
    )
    with disk_full.named_when_full(path.parent), checkpoints.claim(path):
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

    One that a search pruned is not taken away by another: that one has it as its pruned trial.
    None where the source of own code is unknown: nobody can tell what was trained.
    """
    if planned.sources.own.unknown:
        return None
    runs = store.find_runs(
        planned.uri,
        experiment=planned.config.tracking.experiment,
        statuses=("KILLED", "FAILED"),
        tags={"fitgap.identity": planned.identity, **planned.tags},
    )
    parent = planned.config.tracking.parent
    for stored in runs:
        of_parent = stored.tags.get("mlflow.parentRunId")
        if "fitgap.pruned" not in stored.tags or parent in (None, of_parent):
            return stored.run_id
    return None


def _say_unknown(planned: Plan) -> None:
    """Say of what own code no source can be had, unless a sweep shows the run."""
    unknown = planned.sources.own.unknown
    if unknown and planned.config.tracking.parent is None:
        print(
            f"{'; '.join(unknown)}: its source cannot be read, so no earlier run answers for it",
            flush=True,
        )


def _train(planned: Plan, checkpoint_path: Path) -> Result:
    config = planned.config
    # First, since metrics are tried on the data, and one of Keras's starts TensorFlow.
    backend.start(config.training.threads)
    dataset, split, partitions, learned = _data(planned)
    with heavy_imports.paused_garbage_collection():
        from fitgap.models import build, row_layers
        from fitgap.tracking import artifacts, run_writer, setup
        from fitgap.training import loop

    steps_per_epoch = -(-len(partitions.train) // config.training.batch_size)
    say = print if config.tracking.parent is None else _stay_quiet
    model = build.build(
        config,
        image_shape=dataset.image_shape,
        num_classes=dataset.num_classes,
        total_steps=steps_per_epoch * config.training.epochs,
        scaling=Tokens(dataset.num_tokens)
        if dataset.num_tokens
        else feature_scaling(partitions.train.x),
        target_scaling=target_scaling(partitions.train.y) if dataset.task == "numbers" else None,
        say=say,
    )
    callbacks = build.callbacks(config)
    choice = engines.resolve(planned.choice, model=model, config=config, callbacks=callbacks)
    engine = engines.make(
        choice, model=model, train=partitions.train, config=config, callbacks=callbacks
    )

    description = run_writer.RunDescription(
        name=run_name(config),
        parameters={
            "engine": engine_name(choice),
            "engine_reason": choice.reason,
            "steps_per_epoch": steps_per_epoch,
            "parameter_count": model.count_params(),
            "train_samples": len(partitions.train),
            "val_samples": len(partitions.val) if partitions.val else 0,
            "test_samples": len(partitions.test),
            **_most_frequent_class(dataset, split),
        },
        tags=_tags(planned),
    )
    experiment_id = setup.prepare(planned.uri, config.tracking.experiment)
    run_id = delivery.retry_while_away(lambda: interrupted(planned), uri=planned.uri)
    checkpoint = checkpoints.load(checkpoint_path) if run_id else None
    better = higher_is_better(config)
    scores_of = functools.partial(run_writer.score_metrics, higher_is_better=better)
    figures_of = functools.partial(run_writer.epoch_metrics, higher_is_better=better)
    extra = loggers.make(config.tracking.loggers)
    with run_writer.open_run(
        config, description, uri=planned.uri, experiment_id=experiment_id, interrupted=run_id
    ) as record:
        # Seconds for data that are new here. Now, since all that it imports too is imported.
        found = data_report.find_beside(dataset, split)
        record.log_dataset(dataset, digest=planned.facts.dataset_digest, context="training")
        quiet = config.tracking.parent is not None
        reports = project.folder() / "reports"
        start = events.Start(
            run_id=record.run_id,
            name=description.name,
            experiment=config.tracking.experiment,
            epochs=config.training.epochs,
            done=len(checkpoint.epochs) if checkpoint else 0,
            settings=scrub(recorded(config)),
            folder=reports,
        )
        showing = progress.observer(quiet=quiet)
        pruner = pruning.Pruning(config.tracking.pruning)
        with events.told([record, showing, *extra, pruner], start) as told:
            with debugging.watched(config.debug, folder=reports / "profiles" / record.run_id):
                fitted = loop.fit(
                    engine,
                    partitions=partitions,
                    config=config,
                    callbacks=callbacks,
                    observe=lambda epoch: told.on_epoch(epoch.number, figures_of(epoch)),
                    save=functools.partial(checkpoints.save, checkpoint_path),
                    resume=checkpoint,
                    say=say,
                )
            test = loop.score(engine, partitions.test, config=config)  # once; it chooses nothing
            metrics = scores_of(train=fitted.train, val=fitted.val, test=test)
            metrics |= baseline(
                partitions.train,
                partitions.val or partitions.test,
                metrics=metrics_of(config),
                task=dataset.task,
                num_outputs=dataset.num_classes,
            )
            metrics |= _costs(fitted, num_images=len(partitions.train))
            # Where the saved weights are an earlier epoch's, their figures stand a step after the
            # last one, so that MLflow shows them and no step has two values.
            step = len(fitted.epochs) + (1 if fitted.restored else 0)
            told.on_end(metrics, step)
        _say_undefined(record, quiet=quiet, train=fitted.train, val=fitted.val, test=test)
        with tempfile.TemporaryDirectory(prefix="fitgap-") as name:
            folder = Path(name)
            artifacts.write(
                folder,
                config=config,
                fitted=fitted,
                engine=engine,
                dataset=dataset,
                val=partitions.val,
            )
            artifacts.write_code(folder, planned.sources.own.texts)
            data_report.write(folder, found.result())
            record.log_artifacts(folder)
        record.log_model(
            *row_layers.as_recorded(engine.model, learned, config.dataset, x=partitions.test.x),
            output=tasks.task_of(config).output,
            code=planned.sources.own.texts,
            about=run_writer.ModelDescription(
                name=run_name(config), params=_telling(config), metrics=list(metrics), step=step
            ),
        )
        record.flush()
        # Before the run says FINISHED: who finds it so will not come here again.
        checkpoints.remove(checkpoint_path)
    return Result(record.run_id, description.name, planned.identity, metrics, reused=False)


def _data(planned: Plan) -> tuple[Dataset, Split, Partitions, Preprocessing | None]:
    """Return dataset, split, partitions, and what stands before the network of a table.

    The same objects for every run of this process: a sweep's runs then share the engine's tensors
    too.

    Raises
    ------
    RequestError
        If they are no longer what was planned with.
    """
    config = planned.config
    dataset = datasets.load(
        config.dataset, memory_limit_mb=config.training.memory_limit_mb, split=config.split
    )
    dataset, split, partitions, learned = _partitions(dataset, astuple(config.split))
    if (dataset.digest, split.digest) != (planned.facts.dataset_digest, planned.facts.split_digest):
        raise RequestError(
            f"dataset={config.dataset.name}: the data are no longer what was checked; run the "
            "command again when they no longer change (a function draws with a seed)"
        )
    if config.debug is not None and config.debug.batches is not None:
        partitions = beginning(partitions, config.debug.batches * config.training.batch_size)
    train = partitions.train
    metrics_module.check(
        metrics_of(config), train.y, task=dataset.task, num_outputs=dataset.num_classes
    )
    weights = sample_weights(config.training.class_weight, train.y, class_names=dataset.class_names)
    if weights is not None:
        partitions = replace(partitions, train=replace(train, weights=weights))
    return dataset, split, partitions, learned


@functools.lru_cache(maxsize=2)
def _partitions(
    dataset: Dataset, split: tuple[Any, ...]
) -> tuple[Dataset, Split, Partitions, Preprocessing | None]:
    indices = splits.split_dataset(dataset, SplitConfig(*split))
    dataset, learned = preprocessing.encoded(dataset, indices)
    return dataset, indices, partition(dataset, indices), learned


def _stay_quiet(_line: str) -> None:
    """Take a line of a sweep's job, whose terminal shows the sweep."""


def _most_frequent_class(dataset: Dataset, split: Split) -> dict[str, float]:
    """Return what always saying the most frequent training class would score on validation."""
    labels = dataset.y_train
    if not len(split.val) or labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        return {}
    most_frequent = np.bincount(labels[split.train]).argmax()
    share = float(np.mean(labels[split.val] == most_frequent))
    return {"most_frequent_class_share": round(share, 6)}


def engine_name(choice: EngineChoice) -> str:
    """Return an engine as the record names it."""
    return choice.name + ("+xla" if choice.xla else "")


def run_name(config: Config) -> str:
    """Return the name a run is shown under: the given one, or one made of its settings."""
    if config.name:
        return config.name
    choices = (config.dataset.name, config.architecture["name"], config.optimizer["name"])
    return " ".join(choices) + f" seed={config.seed}"


def _telling(config: Config) -> dict[str, str]:
    """Return the settings that tell a model from others at a glance."""
    return {
        "dataset": config.dataset.name,
        "split": config.split.name,
        "architecture": str(config.architecture["name"]),
        "optimizer": str(config.optimizer["name"]),
        "epochs": str(config.training.epochs),
        "batch_size": str(config.training.batch_size),
        "seed": str(config.seed),
    }


def _tags(planned: Plan) -> dict[str, str]:
    tags = {
        "fitgap.role": "run" if planned.config.debug is None else "debug",
        "fitgap.identity": planned.identity,
        "fitgap.dataset_digest": planned.facts.dataset_digest,
        "fitgap.split_digest": planned.facts.split_digest,
        provenance.SOURCE_TAG: planned.sources.digest,
        **provenance.code_tag(planned.sources.fingerprints),
        **provenance.unknown_tag(planned.sources.own.unknown),
    }
    tags |= planned.tags
    if parent := planned.config.tracking.parent:
        tags |= {"fitgap.sweep": parent, "mlflow.parentRunId": parent}
    return tags


def _say_undefined(record: "RunRecord", *, quiet: bool, **parts: Scores | None) -> None:
    """Say which metrics have no value on which partition, and why."""
    lines = [
        f"{name}/{metric}: {reason}"
        for name, scores in parts.items()
        if scores is not None
        for metric, reason in scores.undefined.items()
    ]
    if lines:
        record.set_tags({UNDEFINED_TAG: "; ".join(lines)})
        if not quiet:
            print("\n".join(f"no {line}" for line in lines), flush=True)


def _costs(fitted: "Fitted", *, num_images: int) -> dict[str, float]:
    images_seen = num_images * len(fitted.epochs)
    costs = {
        "time/fit_seconds": fitted.fit_seconds,
        "throughput/samples_per_second": images_seen / fitted.fit_seconds,
    }
    return costs if fitted.best_epoch is None else costs | {"best_epoch": fitted.best_epoch}

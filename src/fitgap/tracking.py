"""The record of a run in MLflow: parameters, metrics, tags, data, artifacts, model, status.

Everything is written through ``MlflowClient`` in batches. A run is open inside one ``with``; it
leaves it FINISHED, FAILED or KILLED, whatever happens. Reading the record back is
`fitgap.store`'s work.
"""

import functools
import json
import logging
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
import yaml
from filelock import FileLock
from mlflow.entities import Dataset as DatasetEntity
from mlflow.entities import DatasetInput, InputTag, LoggedModelOutput, Metric, Param, RunTag
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec
from sqlalchemy.engine import make_url

from fitgap import processes, provenance, store, views
from fitgap.config import Config, flatten, to_plain, to_text
from fitgap.datasets import Dataset
from fitgap.errors import RequestError
from fitgap.evaluation import Scores, gap

if TYPE_CHECKING:
    from fitgap.training import Epoch

# Metrics of a long run reach the server while it trains; a short run is one batch at its end.
FLUSH_SECONDS = 5.0
MAX_PARAM_LENGTH = 6000
FAILURE_TAG = "fitgap.failure"

# MLflow tells of the tables it makes in a new database, line by line.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)


class Terminated(BaseException):
    """SIGTERM arrived; like KeyboardInterrupt, no ordinary handler may swallow it."""


def prepare(uri: str, experiment: str) -> str:
    """Make sure that store and experiment exist, and return the experiment's id.

    The first use of an empty database migrates its schema, which several processes at once
    would break; a lock lets one do it.
    """
    path = _sqlite_path(uri)
    if path is None:
        return _prepared(uri, experiment)
    lock = path.with_name(path.name + ".lock")
    try:
        lock.touch()
    except OSError as error:
        raise RequestError(
            f"tracking.uri names {path}, which cannot be written: {error}"
        ) from error
    with FileLock(lock):
        return _prepared(uri, experiment)


def _prepared(uri: str, experiment: str) -> str:
    experiment_id = _experiment_id(uri, experiment)
    end_dead_runs(uri, experiment)
    return experiment_id


def end_dead_runs(uri: str, experiment: str) -> None:
    """Mark runs KILLED that say RUNNING while their process, on this host, is gone.

    A kill that cannot be caught leaves them so. They can still be gone on with.
    """
    for run in store.find_runs(uri, experiment=experiment, statuses=("RUNNING",)):
        if processes.is_gone(run.tags):
            client = mlflow.MlflowClient(uri)
            client.set_tag(run.run_id, FAILURE_TAG, "its process ended without a word")
            client.set_terminated(run.run_id, "KILLED")


def _sqlite_path(uri: str) -> Path | None:
    url = make_url(uri) if uri.startswith("sqlite") else None
    return Path(url.database).absolute() if url is not None and url.database else None


def _experiment_id(uri: str, name: str) -> str:
    client = mlflow.MlflowClient(uri)
    found = client.get_experiment_by_name(name)
    if found is not None:
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)
    path = _sqlite_path(uri)
    location = path.with_name("mlartifacts").as_uri() if path is not None else None
    return str(
        client.create_experiment(name, artifact_location=location, tags=views.experiment_tags())
    )


@dataclass(frozen=True)
class RunDescription:
    """What is known of a run before it starts.

    Attributes
    ----------
    name
        Shown in MLflow's table.
    parameters
        Derived ones, besides the resolved settings.
    tags
        Besides the user's own.
    """

    name: str
    parameters: Mapping[str, Any]
    tags: Mapping[str, str]


class RunRecord:
    """One open MLflow run, to which epochs, scores and artifacts are added.

    Parameters
    ----------
    client
        Of the store.
    run_id
        Of a run that exists.
    experiment_id
        Of its experiment.
    """

    def __init__(self, client: mlflow.MlflowClient, *, run_id: str, experiment_id: str) -> None:
        self.run_id = run_id
        self._client = client
        self._experiment_id = experiment_id
        self._has_dataset = False
        self._waiting: list[Metric] = []
        self._logged: set[tuple[str, int]] = set()
        self._last_flush = time.monotonic()

    def log_epoch(self, epoch: "Epoch") -> None:
        """Add an epoch's figures under its number."""
        metrics = {"learning_rate": epoch.learning_rate} | score_metrics(
            train=epoch.train, val=epoch.val, running=epoch.running
        )
        self.log_metrics(metrics, step=epoch.number)
        if time.monotonic() - self._last_flush > FLUSH_SECONDS:
            self.flush()

    def log_metrics(self, metrics: Mapping[str, float], *, step: int) -> None:
        """Add metrics under a step, unless they have a value there; the next flush sends them."""
        now = int(time.time() * 1000)
        new = {key: value for key, value in metrics.items() if (key, step) not in self._logged}
        self._waiting += [Metric(key, value, now, step) for key, value in new.items()]
        self._logged |= {(key, step) for key in new}

    def log_dataset(self, dataset: Dataset, *, digest: str, context: str) -> None:
        """Add the dataset as an input, under the digest of all its bytes.

        MLflow's own digest looks at the first few images only, and its field holds 36
        characters; the whole digest is in the run's tags.
        """
        if self._has_dataset:
            return
        entity = DatasetEntity(
            name=dataset.name,
            digest=digest[:36],
            source_type="local",
            source=json.dumps({"uri": dataset.source}),
            profile=json.dumps(
                {
                    "train_shape": dataset.x_train.shape,
                    "test_shape": dataset.x_test.shape,
                    "classes": dataset.class_names,
                },
                ensure_ascii=False,
            ),
        )
        context_tag = InputTag("mlflow.data.context", context)
        self._client.log_inputs(self.run_id, [DatasetInput(entity, [context_tag])])

    def take_over(self, params: Mapping[str, str]) -> Mapping[str, str]:
        """Go on with a run that was interrupted, and return what it lacks of its parameters.

        What was sent before is not sent again: a metric has one value per step, a parameter
        cannot change. A model is sent anew, since half of it may have been missing.
        """
        run = self._client.get_run(self.run_id)
        for key in run.data.metrics:
            history = self._client.get_metric_history(self.run_id, key)
            self._logged |= {(key, metric.step) for metric in history}
        self._has_dataset = bool(run.inputs and run.inputs.dataset_inputs)
        if FAILURE_TAG in run.data.tags:
            self._client.delete_tag(self.run_id, FAILURE_TAG)
        for output in run.outputs.model_outputs if run.outputs else ():
            self._client.delete_logged_model(output.model_id)
        return {key: value for key, value in params.items() if key not in run.data.params}

    def log_artifacts(self, folder: Path) -> None:
        """Add all files of a folder."""
        self._client.log_artifacts(self.run_id, str(folder))

    def log_model(self, model: Any, *, example: np.ndarray[Any, Any]) -> None:
        """Add a Keras model that takes raw uint8 images, with signature and input example.

        Parameters
        ----------
        model
            A built `keras.Model`.
        example
            uint8 of shape (n, *image_shape): a few images.
        """
        import mlflow.tensorflow

        # What Model.log does, without its loading the model again to try the input example.
        logged = self._client.create_logged_model(
            self._experiment_id, name="model", source_run_id=self.run_id
        )
        self._client.log_outputs(self.run_id, [LoggedModelOutput(logged.model_id, step=0)])
        outputs = [TensorSpec(np.dtype(np.float32), (-1, model.output_shape[-1]), "probability")]
        inputs = [TensorSpec(example.dtype, (-1, *example.shape[1:]))]
        with tempfile.TemporaryDirectory(prefix="fitgap-") as folder:
            mlflow.tensorflow.save_model(
                model,
                path=f"{folder}/model",
                mlflow_model=Model(
                    artifact_path=logged.artifact_location,
                    model_uuid=logged.model_id,
                    model_id=logged.model_id,
                    run_id=self.run_id,
                ),
                signature=ModelSignature(Schema(inputs), Schema(outputs)),
                input_example=example,
                # Given, since MLflow otherwise starts a process to find them out.
                pip_requirements=_pip_requirements(),
            )
            self._client.log_model_artifacts(logged.model_id, f"{folder}/model")
        self._client.finalize_logged_model(logged.model_id, "READY")

    def log_params(self, params: Mapping[str, str]) -> None:
        """Add parameters."""
        entities = [Param(key, value) for key, value in params.items()]
        # MLflow takes at most 100 parameters in a batch.
        for start in range(0, len(entities), 100):
            self._client.log_batch(self.run_id, params=entities[start : start + 100])

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Add or replace tags."""
        run_tags = [RunTag(key, value) for key, value in tags.items()]
        self._client.log_batch(self.run_id, tags=run_tags)

    def flush(self) -> None:
        """Send the metrics that wait."""
        # MLflow takes at most 1,000 metrics in a batch.
        for start in range(0, len(self._waiting), 1000):
            self._client.log_batch(self.run_id, metrics=self._waiting[start : start + 1000])
        self._waiting.clear()
        self._last_flush = time.monotonic()

    def end(self, status: str, *, reason: str | None = None) -> None:
        """Close the run with a status and, if it went wrong, the reason as a tag."""
        self.flush()
        if reason is not None:
            self.set_tags({FAILURE_TAG: reason})
        self._client.set_terminated(self.run_id, status)


@contextmanager
def open_run(
    config: Config,
    description: RunDescription,
    *,
    uri: str,
    experiment_id: str,
    interrupted: str | None = None,
) -> Iterator[RunRecord]:
    """Create a run, or go on with an interrupted one, and end it as the block is left.

    FINISHED without an exception, KILLED on Ctrl-C or SIGTERM, else FAILED with the reason in
    the tag ``fitgap.failure``. The exception goes on.
    """
    mlflow.set_tracking_uri(uri)
    client = mlflow.MlflowClient(uri)
    tags = {
        **{f"fitgap.user.{key}": str(value) for key, value in config.tags.items()},
        **description.tags,
        **provenance.tags(),
        **processes.this_process(),
    }
    settings = {**flatten(to_plain(config)), **description.parameters}
    settings["tracking.uri"] = store.redact(uri)
    del settings["tracking.parent"]  # a tag says it, and may change when a run goes on
    params: Mapping[str, str] = {key: _param_value(value) for key, value in settings.items()}
    with _sigterm_raises():
        if interrupted is None:
            run = client.create_run(experiment_id, tags=tags, run_name=description.name)
            record = RunRecord(client, run_id=run.info.run_id, experiment_id=experiment_id)
        else:
            client.update_run(interrupted, status="RUNNING")
            record = RunRecord(client, run_id=interrupted, experiment_id=experiment_id)
            record.set_tags(tags)
        try:
            if interrupted is not None:
                params = record.take_over(params)
            record.log_params(params)
            if diff := provenance.uncommitted():
                client.log_text(record.run_id, diff, provenance.DIFF_FILE)
            yield record
        except (KeyboardInterrupt, Terminated) as error:
            record.end("KILLED", reason=f"stopped by {type(error).__name__}")
            raise
        except BaseException as error:
            record.end("FAILED", reason=f"{type(error).__name__}: {error}"[:500])
            raise
        record.end("FINISHED")


class SweepRecord:
    """The open parent run of a sweep."""

    def __init__(self, client: mlflow.MlflowClient, *, run_id: str) -> None:
        self.run_id = run_id
        self.failure: str | None = None
        self._client = client

    def log_text(self, text: str, file_name: str) -> None:
        """Add a text file."""
        self._client.log_text(self.run_id, text, file_name)

    def fail(self, reason: str) -> None:
        """Have the run end FAILED, with the reason as a tag."""
        self.failure = reason
        self._client.set_tag(self.run_id, FAILURE_TAG, reason)


@contextmanager
def open_sweep(
    name: str, *, uri: str, experiment_id: str, experiment: str
) -> Iterator[SweepRecord]:
    """Create the parent run of a sweep and end it when the block is left, however that is.

    Workers that are stopped with the sweep may have no time to end their runs; that is done here.
    """
    client = mlflow.MlflowClient(uri)
    tags = {"fitgap.role": "sweep", **provenance.tags(), **processes.this_process()}
    run_id = client.create_run(experiment_id, tags=tags, run_name=name).info.run_id
    record = SweepRecord(client, run_id=run_id)
    with _sigterm_raises():
        try:
            yield record
        except (KeyboardInterrupt, Terminated):
            client.set_terminated(run_id, "KILLED")
            end_dead_runs(uri, experiment)
            raise
        except BaseException:
            client.set_terminated(run_id, "FAILED")
            raise
        client.set_terminated(run_id, "FAILED" if record.failure else "FINISHED")


def score_metrics(
    *,
    train: Scores | None,
    val: Scores | None,
    running: Scores | None = None,
    test: Scores | None = None,
) -> dict[str, float]:
    """Return the metrics of one set of weights under the names that the record uses."""
    metrics: dict[str, float] = {}
    for name, scores in (("train", train), ("val", val), ("test", test), ("running", running)):
        if scores is not None:
            metrics |= _named(name, scores)
    for name, unseen in (("gap", val), ("test_gap", test)):
        if train is not None and unseen is not None:
            metrics |= _named(name, gap(train, unseen))
    return metrics


def _named(prefix: str, scores: Scores) -> dict[str, float]:
    return {f"{prefix}/loss": scores.loss, f"{prefix}/accuracy": scores.accuracy}


def _param_value(value: Any) -> str:
    text = to_text(value)
    if len(text) > MAX_PARAM_LENGTH:
        # MLflow would cut it without a word.
        return text[: MAX_PARAM_LENGTH - 40] + f"... ({len(text)} characters, see config.yaml)"
    return text


def dump_config(config: Config, path: Path) -> None:
    """Write the resolved settings as YAML, the tracking URI without credentials."""
    plain = to_plain(config)
    if plain["tracking"]["uri"]:
        plain["tracking"]["uri"] = store.redact(plain["tracking"]["uri"])
    path.write_text(
        yaml.dump(plain, Dumper=yaml.CSafeDumper, allow_unicode=True, sort_keys=False),
        encoding="utf-8",
    )


@functools.cache
def _pip_requirements() -> list[str]:
    import importlib.metadata

    names = ("mlflow", "tensorflow", "keras", "numpy")
    return [f"{name}=={importlib.metadata.version(name)}" for name in names]


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    def handler(_signum: int, _frame: FrameType | None) -> None:
        raise Terminated

    try:
        previous = signal.signal(signal.SIGTERM, handler)
    except ValueError:  # not the main thread, which alone may set handlers
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)

"""The record of a run in MLflow: parameters, metrics, tags, data, artifacts, model, status.

A run is open inside one ``with``; it leaves it FINISHED, FAILED or KILLED, whatever happens. What
it records is written in batches, through `fitgap.tracking.delivery`, which copes with a server that
goes away. Reading the record back is `fitgap.store`'s work.
"""

import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow

from fitgap import processes, store
from fitgap.config.parameters import to_text
from fitgap.config.schema import Config
from fitgap.config.settings import recorded
from fitgap.data.datasets import Dataset
from fitgap.evaluation.metrics import describe, metrics_of
from fitgap.tag_names import FAILURE_TAG, METRICS_TAG, PRUNED_TAG
from fitgap.tracking import delivery, provenance
from fitgap.tracking.delivery import Delivery
from fitgap.tracking.descriptions import ModelDescription, RunDescription
from fitgap.tracking.outbox import Operation
from fitgap.tracking.termination import Terminated, sigterm_raises
from fitgap.training.events import Observer
from fitgap.training.pruning import PrunedError
from fitgap.trust.text import line, markdown, scrub, without_secrets

if TYPE_CHECKING:
    from fitgap.tracking.saved_model import Example

# Metrics of a long run reach the server while it trains; a short run is one batch at its end.
FLUSH_SECONDS = 5.0
MAX_PARAM_LENGTH = 6000
# What stops a run, as a person calls it. SystemExit comes from a launcher that ends its job, as
# submitit does to have it queued again.
_STOPS = {KeyboardInterrupt: "Ctrl-C", SystemExit: "its launcher", Terminated: "SIGTERM"}


class RunRecord(Observer):
    """One open MLflow run, to which epochs, scores and artifacts are added.

    Parameters
    ----------
    client
        From `fitgap.tracking.delivery.client_for`.
    uri
        Of its store.
    run_id
        Of a run that exists.
    experiment_id
        Of its experiment.
    """

    def __init__(
        self, client: mlflow.MlflowClient, *, uri: str, run_id: str, experiment_id: str
    ) -> None:
        self.run_id = run_id
        self._client = client
        self._uri = uri
        self._delivery = Delivery(client, uri=uri, run_id=run_id)
        self._experiment_id = experiment_id
        self._goes_on = False
        self._waiting: list[tuple[str, float, int, int]] = []
        self._logged: dict[tuple[str, int], tuple[str, float, int, int]] = {}
        self._dataset: Mapping[str, str] = {}
        self._last_flush = time.monotonic()

    def on_epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Add an epoch's figures under its number."""
        self.log_metrics(metrics, step=number)
        if time.monotonic() - self._last_flush > FLUSH_SECONDS:
            self.flush()

    def on_end(self, metrics: Mapping[str, float] | None, step: int) -> None:
        """Add the saved weights' figures, which close the record."""
        self.log_metrics(metrics or {}, step=step)

    def log_metrics(self, metrics: Mapping[str, float], *, step: int) -> None:
        """Add metrics under a step, unless they have a value there; the next flush sends them.

        Parameters
        ----------
        metrics
            By name.
        step
            The epoch, from 1.
        """
        now = int(time.time() * 1000)
        new = {key: value for key, value in metrics.items() if (key, step) not in self._logged}
        rows = [(key, value, now, step) for key, value in new.items()]
        self._waiting += rows
        self._logged |= {(row[0], step): row for row in rows}

    def log_dataset(self, dataset: Dataset, *, digest: str) -> None:
        """Add the dataset as training data, under the digest of all its bytes.

        MLflow's own digest looks at the first few images only, and its field holds 36
        characters; the whole digest is in the run's tags.

        Parameters
        ----------
        dataset
            Its shapes, class names and format are recorded, not its samples.
        digest
            SHA-256 of all its bytes, in hex digits.
        """
        profile = {
            "train_shape": dataset.x_train.shape,
            "test_shape": dataset.x_test.shape,
            "classes": dataset.class_names,
            "format": asdict(dataset.format),
        }
        entity = {
            "name": dataset.name,
            "digest": digest[:36],
            "source_type": "local",
            "source": json.dumps({"uri": dataset.source}),
            "profile": json.dumps(profile, ensure_ascii=False),
        }
        self._dataset = {"dataset_name": entity["name"], "dataset_digest": entity["digest"]}
        self._delivery.send(Operation("dataset", {"dataset": entity, "context": "training"}))

    def take_over(self, params: Mapping[str, str]) -> Mapping[str, str]:
        """Continue a run that was interrupted, and return the parameters that it lacks.

        What was sent before is not sent again: a metric has one value per step, a parameter
        cannot change.
        """

        def look() -> Mapping[str, str]:
            run = self._client.get_run(self.run_id)
            for key in run.data.metrics:
                for one in self._client.get_metric_history(self.run_id, key):
                    self._logged[key, one.step] = (key, one.value, one.timestamp, one.step)
            for tag in {FAILURE_TAG, PRUNED_TAG} & set(run.data.tags):
                self._client.delete_tag(self.run_id, tag)
            return {key: value for key, value in params.items() if key not in run.data.params}

        self._goes_on = True
        return delivery.retry_while_away(look, uri=self._uri)

    def log_artifacts(self, folder: Path) -> None:
        """Add all files of a folder."""
        self._delivery.send(Operation("artifacts", {}, folder))

    def log_text(self, text: str, file_name: str, *, is_private: bool = False) -> None:
        """Add a text file, which only this user may read if it is private."""
        send_text(self._delivery, text, file_name, is_private=is_private)

    def log_model(
        self,
        model: Any,
        example: "Example",
        *,
        output: str,
        code: Mapping[str, str],
        about: ModelDescription | None = None,
    ) -> None:
        """Add a Keras model that takes raw data, with signature and input example.

        Parameters
        ----------
        model
            A built `keras.Model`.
        example
            A few images, of shape (n, *image_shape), or rows of a table.
        output
            What a value of its answer is: of the signature.
        code
            The person's own files, of which the model may need classes where it is opened.
        about
            What MLflow's page of the model shows.
        """
        from fitgap.tracking import saved_model

        with tempfile.TemporaryDirectory(prefix="fitgap-") as folder:
            saved = saved_model.save(Path(folder), model, example=example, output=output, code=code)
            content: dict[str, Any] = {"experiment_id": self._experiment_id, "again": self._goes_on}
            if about is not None:
                keys = [(key, about.step) for key in about.metrics]
                rows = [self._logged[key] for key in keys if key in self._logged]
                # MLflow gives them to the run, too, and takes long over what it has already.
                self._waiting = [row for row in self._waiting if row not in rows]
                # The model has to be called `model`; what it is stands in its description.
                tags = {k: v for k, v in provenance.tags().items() if k.startswith("mlflow.")}
                tags["mlflow.note.content"] = markdown(line(about.name))
                content |= {
                    "tags": tags,
                    "params": {"run": about.name} | dict(about.params),
                    "metrics": rows,
                    **self._dataset,
                }
            self._delivery.send(Operation("model", content, saved))

    def log_params(self, params: Mapping[str, str]) -> None:
        """Add parameters."""
        items = list(params.items())
        # MLflow takes at most 100 parameters in a batch.
        for start in range(0, len(items), 100):
            self._delivery.send(Operation("batch", {"params": dict(items[start : start + 100])}))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Add or replace tags."""
        self._delivery.send(Operation("batch", {"tags": dict(tags)}))

    def flush(self) -> None:
        """Send the metrics that wait."""
        # MLflow takes at most 1,000 metrics in a batch.
        while self._waiting:
            self._delivery.send(Operation("batch", {"metrics": self._waiting[:1000]}))
            del self._waiting[:1000]
        self._last_flush = time.monotonic()

    def end(self, status: str, *, reason: str | None = None) -> None:
        """Close the run with a status and, if it went wrong, the reason as a tag.

        Parameters
        ----------
        status
            ``FINISHED``, ``FAILED`` or ``KILLED``.
        reason
            Why it went wrong.
        """
        self.flush()
        if reason is not None:
            self.set_tags({FAILURE_TAG: reason})
        self._delivery.end(status)


@contextmanager
def open_run(
    config: Config,
    description: RunDescription,
    *,
    uri: str,
    experiment_id: str,
    interrupted: str | None = None,
) -> Iterator[RunRecord]:
    """Create a run, or continue an interrupted one, and end it when the block is left.

    It ends as FINISHED without an exception; as KILLED on Ctrl-C or SIGTERM, or if a search pruned
    it (with the tag ``fitgap.pruned``); else as FAILED with the reason in the tag
    ``fitgap.failure``. The exception is raised again.

    Parameters
    ----------
    config
        The experiment.
    description
        From `fitgap.tracking.descriptions.of_run`.
    uri
        Of the store.
    experiment_id
        MLflow's.
    interrupted
        Run id of the run to continue; None: a new one.
    """
    store.use_in_mlflow(uri)
    client = delivery.client_for(uri)
    tags = {
        **user_tags(config),
        METRICS_TAG: json.dumps(describe(metrics_of(config)), ensure_ascii=False),
        **description.tags,
        **provenance.tags(),
        **processes.this_process(),
    }
    settings = {**recorded(config), **description.parameters}
    settings["tracking.uri"] = store.redact(uri)
    # A tag says the parent. All may change when a run goes on, and a parameter must not.
    of_this_time = tuple(f"tracking.{name}" for name in ("parent", "watched", "pruning", "loggers"))
    params: Mapping[str, str] = {
        key: _param_value(scrub(value, key))
        for key, value in settings.items()
        if not key.startswith(of_this_time)
    }
    with sigterm_raises():
        run_id = interrupted or delivery.create_run(
            client, uri=uri, experiment_id=experiment_id, tags=tags, name=description.name
        )
        record = RunRecord(client, uri=uri, run_id=run_id, experiment_id=experiment_id)
        if interrupted is not None:
            # Before it says RUNNING: with the tags of its dead process, others would end it.
            record.set_tags(tags)
            delivery.retry_while_away(lambda: client.update_run(run_id, status="RUNNING"), uri=uri)
        try:
            if interrupted is not None:
                params = record.take_over(params)
            record.log_params(params)
            if diff := provenance.uncommitted():
                record.log_text(diff, provenance.DIFF_FILE, is_private=True)
            yield record
        except tuple(_STOPS) as error:
            record.end("KILLED", reason=f"stopped by {_STOPS[type(error)]}")
            raise
        except PrunedError as error:
            record.set_tags({PRUNED_TAG: "true"})
            record.end("KILLED", reason=str(error))
            raise
        except BaseException as error:
            reason = without_secrets(f"{type(error).__name__}: {error}")
            record.end("FAILED", reason=reason[:500])
            raise
        record.end("FINISHED")


def user_tags(config: Config) -> dict[str, str]:
    """Return a person's own tags: under their names, so that MLflow's search finds them, and ours.

    Names that MLflow or fitgap use for themselves stand under ``fitgap.user.`` only.
    """
    own = {key: str(scrub(value, key)) for key, value in config.tags.items()}
    plain = {key: text for key, text in own.items() if not key.startswith(("mlflow.", "fitgap."))}
    return plain | {f"fitgap.user.{key}": text for key, text in own.items()}


def send_text(sender: Delivery, text: str, file_name: str, *, is_private: bool = False) -> None:
    """Add a text file to the run of a sender, which only this user may read if it is private."""
    with tempfile.TemporaryDirectory(prefix="fitgap-") as folder:
        path = Path(folder) / file_name
        path.touch(mode=0o600 if is_private else 0o666)  # MLflow and the outbox copy the mode, too
        path.write_text(text, encoding="utf-8")
        sender.send(Operation("artifacts", {}, Path(folder)))


def _param_value(value: Any) -> str:
    text = to_text(value)
    if len(text) > MAX_PARAM_LENGTH:
        # MLflow would cut it without a word.
        return text[: MAX_PARAM_LENGTH - 40] + f"... ({len(text)} characters, see config.yaml)"
    return text

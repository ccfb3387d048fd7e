"""The record of a sweep in MLflow: its parent run, open for as long as its jobs are worked on."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import mlflow

from fitgap import processes
from fitgap.config import project
from fitgap.errors import StoreAwayError
from fitgap.store import StoredRun
from fitgap.tag_names import FAILURE_TAG, ROLE_TAG, STOPPED_TAG
from fitgap.tracking import delivery, disk_full, provenance
from fitgap.tracking.delivery import Delivery
from fitgap.tracking.outbox import Operation
from fitgap.tracking.run_writer import send_text
from fitgap.tracking.setup import end_dead_runs
from fitgap.tracking.termination import Terminated, sigterm_raises


class SweepRecord:
    """The open parent run of a sweep."""

    def __init__(self, sender: Delivery, *, run_id: str, uri: str, experiment: str) -> None:
        self.run_id = run_id
        self.failure: str | None = None
        self.is_discarded = False
        self._delivery = sender
        self._uri = uri
        self._experiment = experiment

    def end_dead_children(self) -> None:
        """Mark the sweep's runs KILLED that say RUNNING; its workers must all have ended."""
        delivery.retry_while_away(
            lambda: end_dead_runs(self._uri, self._experiment, dead_sweep=self.run_id),
            uri=self._uri,
        )

    def log_text(self, text: str, file_name: str) -> None:
        """Add a text file."""
        send_text(self._delivery, text, file_name)

    def log_metrics(self, metrics: Mapping[str, float], *, step: int) -> None:
        """Add metrics under a step.

        Parameters
        ----------
        metrics
            By name.
        step
            For a search, the number of trials.
        """
        now = int(time.time() * 1000)
        entries = [(key, value, now, step) for key, value in metrics.items()]
        self._delivery.send(Operation("batch", {"metrics": entries}))

    def fail(self, reason: str) -> None:
        """End the run as FAILED, with the reason as a tag."""
        self.failure = reason
        self._delivery.send(Operation("batch", {"tags": {FAILURE_TAG: reason}}))

    def discard(self) -> None:
        """Have an error that ends the sweep take its run out of the record: nothing began."""
        self.is_discarded = True

    def end(self, status: str) -> None:
        """Close the run."""
        self._delivery.end(status)


@contextmanager
def open_sweep(
    name: str,
    *,
    uri: str,
    experiment_id: str,
    experiment: str,
    tags: Mapping[str, str] = {},
    reopen: StoredRun | None = None,
) -> Iterator[SweepRecord]:
    """Create the parent run of a sweep, or open it again; end it when the block is left.

    Workers that are stopped with the sweep may have no time to end their runs; that is done here.

    Parameters
    ----------
    name, uri, experiment_id, experiment
        Of the run, and where it belongs.
    tags
        Besides those that all sweeps have.
    reopen
        The parent of an earlier invocation that ended before the sweep did.
    """
    client = delivery.client_for(uri)
    tags = {**tags, ROLE_TAG: "sweep", **provenance.tags(), **processes.this_process()}
    with disk_full.named_when_full(project.record_folder(uri)), sigterm_raises():
        if reopen is None:
            run_id = delivery.create_run(
                client, uri=uri, experiment_id=experiment_id, tags=tags, name=name
            )
        else:
            run_id = reopen.run_id
            delivery.retry_while_away(lambda: _reopen(client, run_id, tags), uri=uri)
        sender = Delivery(client, uri=uri, run_id=run_id)
        record = SweepRecord(sender, run_id=run_id, uri=uri, experiment=experiment)
        try:
            yield record
        except (KeyboardInterrupt, Terminated):
            record.end("KILLED")
            with contextlib.suppress(StoreAwayError):  # the next command does it
                end_dead_runs(uri, experiment)
            raise
        except BaseException:
            record.end("FAILED")
            if record.is_discarded:
                delivery.retry_while_away(lambda: client.delete_run(run_id), uri=uri)
            raise
        record.end("FAILED" if record.failure else "FINISHED")


def _reopen(client: mlflow.MlflowClient, run_id: str, tags: Mapping[str, str]) -> None:
    for key, value in tags.items():
        client.set_tag(run_id, key, value)
    for key in {FAILURE_TAG, STOPPED_TAG} & set(client.get_run(run_id).data.tags):
        client.delete_tag(run_id, key)
    client.update_run(run_id, status="RUNNING")


def stop_sweep(uri: str, parent: str) -> None:
    """Prevent jobs of a sweep that have not started from starting.

    Parameters
    ----------
    uri
        Of the store.
    parent
        Run id of the sweep's parent run.
    """
    client = delivery.client_for(uri)
    delivery.retry_while_away(lambda: client.set_tag(parent, STOPPED_TAG, "true"), uri=uri)

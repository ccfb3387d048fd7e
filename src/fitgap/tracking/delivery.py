"""Sending a run's record to MLflow, even if its server is unavailable for a while.

A record is a sequence of operations. Whether one that was not answered has arrived cannot be
known, so each is such that doing it again changes nothing: MLflow drops a metric that is equal in
value, step and time to one it has; parameters, tags, files and the end of a run replace
themselves; a model that a run already has is not created again. So sending until there is an
answer delivers everything once.

While a server is away, operations wait in `fitgap.tracking.outbox` and the run goes on. They are
delivered by the run itself as soon as the server answers, or by the next command that uses the
store.
A database that this process opens itself has no outbox: it is there or the run fails.
"""

import itertools
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from filelock import Timeout

from fitgap.console import say
from fitgap.errors import StoreAwayError, first_line
from fitgap.store.base import kind_of, redact
from fitgap.store.server import is_away, set_up_client
from fitgap.tracking import outbox
from fitgap.tracking.outbox import Operation, Outbox

if TYPE_CHECKING:
    from mlflow import MlflowClient

T = TypeVar("T")

RETRY_SECONDS = 5.0  # between two attempts to reach a server that was away
# What cannot go on without an answer waits so long for one: a server's restart, not its repair.
PATIENCE_SECONDS = 180.0
REQUEST_TAG = "fitgap.request"


def client_for(uri: str) -> "MlflowClient":
    """Return a client of the store; a server's does not wait long for an answer."""
    import mlflow

    if kind_of(uri) == "server":
        set_up_client()
    return mlflow.MlflowClient(uri)


class Delivery:
    """Sends the operations of one open run, in order.

    Parameters
    ----------
    client
        From `client_for`.
    uri
        Of its store.
    run_id
        Of the run.
    """

    def __init__(self, client: "MlflowClient", *, uri: str, run_id: str) -> None:
        self._client = client
        self._uri = uri
        self._run_id = run_id
        self._outbox: Outbox | None = None
        if kind_of(uri) == "server":
            self._outbox = Outbox(outbox.folder_for(uri) / run_id)
        self._next_attempt = 0.0

    def send(self, operation: Operation) -> None:
        """Send an operation, or keep it if the server is unavailable.

        Raises
        ------
        Exception
            MLflow's, if it refuses the operation.
        """
        if self._outbox is None:
            perform(self._client, self._run_id, operation)
        elif not self._attempt(operation):
            self._keep(self._outbox, operation)

    def end(self, status: str) -> None:
        """Send the end of the run, and try once more to deliver what waits."""
        self.send(Operation("end", {"status": status, "time": int(time.time() * 1000)}))
        self.close()

    def close(self) -> None:
        """Try once more to deliver what waits, and say so if it must wait longer."""
        if self._outbox is None or not self._outbox.lock.is_locked:
            return
        self._next_attempt = 0.0
        if not self._attempt(None):
            say(
                f"run {self._run_id} has ended; {len(self._outbox)} parts of its record wait in "
                f"{self._outbox.folder} and are sent by the next command that uses this server"
            )
        self._outbox.lock.release()

    def _attempt(self, operation: Operation | None) -> bool:
        """Deliver what waits and then the operation; tell whether the server answered."""
        started = time.monotonic()
        if started < self._next_attempt:
            return False
        assert self._outbox is not None
        again = self._outbox.lock.is_locked
        try:
            if again:
                delivered = deliver(self._client, self._outbox)
                self._outbox.lock.release()
                say(f"{_server(self._uri)} is back; {delivered} parts that waited are recorded")
            if operation is not None:
                perform(self._client, self._run_id, operation)
        except Exception as error:  # MLflow and its libraries have many for an absent server
            if not is_away(error):
                raise
            # One that takes long to say nothing must not have the training wait all the time.
            now = time.monotonic()
            self._next_attempt = now + max(RETRY_SECONDS, 4 * (now - started))
            return False
        return True

    def _keep(self, box: Outbox, operation: Operation) -> None:
        if not box.lock.is_locked:
            box.folder.mkdir(parents=True, exist_ok=True)
            box.lock.acquire()
            say(f"{_server(self._uri)} does not answer; the run goes on, its record waits")
        box.append(operation)


def deliver(client: "MlflowClient", box: Outbox) -> int:
    """Send the waiting operations of a run, in order, and return how many there were.

    Parameters
    ----------
    client
        Of the server.
    box
        The run's operations; each is removed when it has been sent.

    Raises
    ------
    Exception
        MLflow's, if the server is away or refuses; what was sent by then is out of the box.
    """
    delivered = 0
    for path, operation in box:
        perform(client, box.folder.name, operation, again=True)
        box.remove(path)
        delivered += 1
    return delivered


def deliver_waiting(uri: str) -> None:
    """Send what earlier commands could not, as far as their processes have ended; say so.

    If nothing waits, nothing is imported and the server gets no request.
    """
    for box in outbox.waiting(uri) if kind_of(uri) == "server" else ():
        run_id = box.folder.name
        try:
            with box.lock.acquire(timeout=0):
                delivered = deliver(client_for(uri), box)
        except Timeout:
            continue  # its process is alive and does it itself
        except Exception as error:  # a refusal of any kind must not stop the others
            if is_away(error):
                raise StoreAwayError(f"{_server(uri)} does not answer") from error
            aside = _free(box.folder.with_suffix(".refused"))
            box.folder.rename(aside)
            reason = first_line(error)
            say(f"the rest of run {run_id} was refused and is kept in {aside}: {reason}")
        else:
            if delivered:
                say(f"recorded {delivered} parts of run {run_id} that waited for {_server(uri)}")


def _free(folder: Path) -> Path:
    """Return a name that no earlier refusal of the same run has taken."""
    names = (folder.with_name(f"{folder.name}.{number}") for number in itertools.count(2))
    return next(each for each in itertools.chain([folder], names) if not each.exists())


def retry_while_away(action: Callable[[], T], *, uri: str) -> T:
    """Call a function, again and again for a while if the server is unavailable.

    Parameters
    ----------
    action
        Must be repeatable, as it may be called again after an attempt whose outcome is unknown.
    uri
        Of the store; only a server's absence is waited for.

    Returns
    -------
    object
        What ``action`` returns.

    Raises
    ------
    StoreAwayError
        If it does not answer within `PATIENCE_SECONDS`.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    has_warned = False
    while True:
        try:
            return action()
        except Exception as error:  # `is_away` tells
            if kind_of(uri) != "server" or not is_away(error):
                raise
            if time.monotonic() > deadline:
                raise StoreAwayError(
                    f"{_server(uri)} did not answer for {PATIENCE_SECONDS:.0f} s"
                ) from error
        if not has_warned:
            say(f"{_server(uri)} does not answer; waiting up to {PATIENCE_SECONDS:.0f} s for it")
            has_warned = True
        time.sleep(RETRY_SECONDS)


def create_run(
    client: "MlflowClient", *, uri: str, experiment_id: str, tags: Mapping[str, str], name: str
) -> str:
    """Create exactly one run, however often that has to be tried, and return its id.

    Parameters
    ----------
    client
        Of the store.
    uri
        Of the store.
    experiment_id
        MLflow's.
    tags, name
        Of the run.
    """
    # By it, a run whose creation was not answered is found instead of created again.
    request = {REQUEST_TAG: uuid.uuid4().hex} if kind_of(uri) == "server" else {}
    tried = False

    def create() -> str:
        nonlocal tried
        if tried:
            condition = f"tags.`{REQUEST_TAG}` = '{request[REQUEST_TAG]}'"
            found = client.search_runs([experiment_id], filter_string=condition)
            if found:
                return str(found[0].info.run_id)
        tried = True
        run = client.create_run(experiment_id, tags={**tags, **request}, run_name=name)
        return str(run.info.run_id)

    return retry_while_away(create, uri=uri)


def perform(
    client: "MlflowClient", run_id: str, operation: Operation, *, again: bool = False
) -> None:
    """Do one operation.

    Parameters
    ----------
    client
        Of the store.
    run_id
        Of the run that it belongs to.
    operation
        Its ``kind`` is one of ``batch`` (metrics, parameters, tags), ``dataset``, ``artifacts``,
        ``model`` and ``end``.
    again
        Whether some of it may have been done before.
    """
    content, files = operation.content, operation.files
    if operation.kind == "batch":
        _log_batch(client, run_id, content)
    elif operation.kind == "dataset":
        _log_dataset(client, run_id, content)
    elif operation.kind == "artifacts":
        client.log_artifacts(run_id, str(files))
    elif operation.kind == "model":
        assert files is not None
        again = again or content["again"]
        _log_model(client, run_id, files, content=content, again=again)
    else:
        assert operation.kind == "end", operation.kind
        client.set_terminated(run_id, content["status"], end_time=content["time"])


def _log_batch(client: "MlflowClient", run_id: str, content: Mapping[str, Any]) -> None:
    from mlflow.entities import Metric, Param, RunTag

    client.log_batch(
        run_id,
        metrics=[Metric(*metric) for metric in content.get("metrics", ())],
        params=[Param(key, value) for key, value in content.get("params", {}).items()],
        tags=[RunTag(key, value) for key, value in content.get("tags", {}).items()],
    )


def _log_dataset(client: "MlflowClient", run_id: str, content: Mapping[str, Any]) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    context = InputTag("mlflow.data.context", content["context"])
    client.log_inputs(run_id, [DatasetInput(Dataset(**content["dataset"]), [context])])


def _log_model(
    client: "MlflowClient", run_id: str, files: Path, *, content: Mapping[str, Any], again: bool
) -> None:
    import yaml
    from mlflow.entities import LoggedModelOutput, Metric

    experiment_id = content["experiment_id"]
    model, is_linked = None, False
    if again:
        mine = f"source_run_id = '{run_id}'"
        models = client.search_logged_models([experiment_id], filter_string=mine)
        model = models[0] if models else None
        outputs = client.get_run(run_id).outputs
        is_linked = bool(outputs and outputs.model_outputs)
    if model is None:
        model = client.create_logged_model(
            experiment_id,
            name="model",
            source_run_id=run_id,
            tags=content.get("tags"),
            params=content.get("params"),
        )
    if not is_linked:
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    # MLflow writes them to the run, too. Sent again, it has them once: the same values and times.
    if (rows := content.get("metrics")) and not model.metrics:
        of_model = {
            "model_id": model.model_id,
            "run_id": run_id,
            "dataset_name": content.get("dataset_name"),
            "dataset_digest": content.get("dataset_digest"),
        }
        client.log_batch(run_id, metrics=[Metric(*row, **of_model) for row in rows])
    # Saved before it had an id.
    description = files / "MLmodel"
    about = yaml.load(description.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    about |= {
        "artifact_path": model.artifact_location,
        "model_id": model.model_id,
        "model_uuid": model.model_id,
        "run_id": run_id,
    }
    text = yaml.dump(about, Dumper=yaml.CSafeDumper, allow_unicode=True)
    description.write_text(text, encoding="utf-8")
    client.log_model_artifacts(model.model_id, str(files))
    client.finalize_logged_model(model.model_id, "READY")


def _server(uri: str) -> str:
    return f"the tracking server {redact(uri)}"

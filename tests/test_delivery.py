"""What is recorded arrives once, whenever the server is away and whatever answer is lost."""

import time

import mlflow
import numpy as np
import pytest
import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException, RestException

from fitgap import processes, store
from fitgap.config import project as config_project
from fitgap.errors import RequestError, StoreAwayError
from fitgap.store import server
from fitgap.tracking import delivery, descriptions, outbox, run_writer, setup
from fitgap.tracking.delivery import Delivery
from fitgap.tracking.outbox import Operation, Outbox
from fitgap.training import backend

POOL_IS_USED = "QueuePool limit of size 5 overflow 10 reached, connection timed out"
SERVER = "http://127.0.0.1:9"  # its requests go to a database instead, see `Unreliable`


class Unreliable:
    """A client of a database that answers like one of a server that goes away.

    Parameters
    ----------
    client
        Does what arrives.
    before, after
        Numbers of calls: of those before which the server is away, and of those that it does and
        does not answer any more.
    """

    def __init__(self, client, *, before=(), after=()):
        self._client = client
        self._before, self._after = before, after
        self.calls = 0

    def __getattr__(self, name):
        method = getattr(self._client, name)

        def call(*arguments, **named):
            self.calls += 1
            if self.calls in self._before:
                raise requests.ConnectionError("refused")
            result = method(*arguments, **named)
            if self.calls in self._after:
                raise requests.ConnectionError("reset")
            return result

        return call


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """Have each test's outbox in a folder of its own, and no waiting."""
    monkeypatch.setenv(config_project.VARIABLE, str(tmp_path))
    monkeypatch.setattr(delivery, "RETRY_SECONDS", 0.0)


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    """Return a folder as `RunRecord.log_model` has it saved: its description and some file."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    (folder / "data").mkdir(parents=True)
    mlflow.models.Model().save(str(folder / "MLmodel"))
    (folder / "data" / "weights").write_bytes(b"\x00\x01")
    return folder


@pytest.fixture
def operations(tmp_path, saved_model):
    """Return one operation of each kind, as a run sends them; metrics among them not finite."""
    files = tmp_path / "files"
    (files / "inner").mkdir(parents=True)
    (files / "inner" / "이름.txt").write_text("내용", encoding="utf-8")
    dataset = {"name": "digits", "digest": "d" * 36, "source_type": "local", "source": "{}"}
    metrics = [("val/loss", 0.1 + step, 1000 + step, step) for step in (1, 2)]
    odd = [("nan", float("nan"), 5, 1), ("inf", float("inf"), 5, 1)]
    return [
        Operation("batch", {"params": {"seed": "0", "name": "이름"}}),
        Operation("dataset", {"dataset": dataset, "context": "training"}),
        Operation("batch", {"metrics": metrics[:1]}),
        Operation("batch", {"metrics": metrics[1:] + odd}),
        Operation("artifacts", {}, files),
        Operation("model", {"experiment_id": "0", "again": False}, saved_model),
        Operation("batch", {"tags": {"fitgap.failure": "none"}}),
        Operation("end", {"status": "FINISHED", "time": 123_456}),
    ]


def record_of(client, run_id):
    """Return all there is of a run, without what differs from run to run."""
    run = client.get_run(run_id)
    history = {
        key: [(m.step, m.timestamp, repr(m.value)) for m in client.get_metric_history(run_id, key)]
        for key in run.data.metrics
    }
    models = client.search_logged_models(
        [run.info.experiment_id], filter_string=f"source_run_id = '{run_id}'"
    )
    listed = {file.path for file in client.list_artifacts(run_id, "inner")}
    return {
        "status": run.info.status,
        "end": run.info.end_time,
        "params": run.data.params,
        "tag": run.data.tags.get("fitgap.failure"),
        "history": history,
        "datasets": [entry.dataset.digest for entry in run.inputs.dataset_inputs],
        "linked": len(run.outputs.model_outputs),
        "models": [str(model.status) for model in models],
        "model files": sorted(
            (file.path, file.file_size)
            for model in models
            for file in client.list_logged_model_artifacts(model.model_id)
            if file.path != "MLmodel"  # its ids differ
        ),
        "files": listed,
    }


@pytest.fixture
def client(tracking_uri):
    """Return a client of an empty database."""
    return MlflowClient(tracking_uri)


@pytest.fixture
def undisturbed(client, operations):
    """Return the record that a run has that nothing disturbed."""
    run_id = client.create_run("0").info.run_id
    for operation in operations:
        delivery.perform(client, run_id, operation)
    record = record_of(client, run_id)
    assert record["status"] == "FINISHED"
    assert record["files"] == {"inner/이름.txt"}
    assert len(record["models"]) == 1
    return record


# A run of eight operations makes some twelve calls.
DISTURBANCES = {
    "away from the start, for good": {"before": range(1, 100)},
    "away in the middle": {"before": range(4, 9)},
    "away from the model on": {"before": range(6, 100)},
    **{f"no answer to call {n}": {"after": [n]} for n in range(1, 14)},
    "every other answer lost": {"after": range(1, 40, 2)},
}


@pytest.mark.parametrize("disturbance", DISTURBANCES.values(), ids=DISTURBANCES)
def test_everything_arrives_once(client, operations, undisturbed, monkeypatch, disturbance):
    run_id = client.create_run("0").info.run_id
    sender = Delivery(Unreliable(client, **disturbance), uri=SERVER, run_id=run_id)
    for operation in operations:
        sender.send(operation)
    sender.close()
    # The next command, when the server is back.
    monkeypatch.setattr(delivery, "client_for", lambda _uri: client)
    delivery.deliver_waiting(SERVER)
    assert record_of(client, run_id) == undisturbed
    assert outbox.waiting(SERVER) == []
    assert not any(path.is_file() for path in outbox.folder_for(SERVER).rglob("*"))


def test_the_person_is_told_once_that_a_server_is_away_and_once_that_it_is_back(
    client, operations, capsys
):
    run_id = client.create_run("0").info.run_id
    sender = Delivery(Unreliable(client, before=range(2, 5)), uri=SERVER, run_id=run_id)
    for operation in operations:
        sender.send(operation)
    sender.close()
    away, back = capsys.readouterr().out.splitlines()
    assert (
        away == f"the tracking server {SERVER} does not answer; the run goes on, its record waits"
    )
    assert back.startswith(f"the tracking server {SERVER} is back; ")
    assert client.get_run(run_id).info.status == "FINISHED"


def test_a_server_that_is_away_is_not_asked_at_every_operation(client, operations, monkeypatch):
    monkeypatch.setattr(delivery, "RETRY_SECONDS", 1000.0)
    run_id = client.create_run("0").info.run_id
    unreliable = Unreliable(client, before=range(100))
    sender = Delivery(unreliable, uri=SERVER, run_id=run_id)
    for operation in operations:
        sender.send(operation)
    assert unreliable.calls == 1
    sender.close()
    assert unreliable.calls == 2  # once more at the end
    assert len(outbox.waiting(SERVER)[0]) == len(operations)


def test_what_a_living_run_keeps_is_left_to_it(client, operations, monkeypatch):
    run_id = client.create_run("0").info.run_id
    sender = Delivery(Unreliable(client, before=range(100)), uri=SERVER, run_id=run_id)
    sender.send(operations[0])
    monkeypatch.setattr(delivery, "client_for", lambda _uri: client)
    delivery.deliver_waiting(SERVER)
    assert client.get_run(run_id).data.params == {}
    sender.close()
    delivery.deliver_waiting(SERVER)
    assert client.get_run(run_id).data.params == {"seed": "0", "name": "이름"}


def test_what_a_server_refuses_is_kept_aside_and_the_rest_delivered(client, monkeypatch, capsys):
    run_id, unknown = client.create_run("0").info.run_id, "0" * 32
    folder = outbox.folder_for(SERVER)
    for of_run, params in ((unknown, {"a": "1"}), (run_id, {"b": "2"})):
        Outbox(folder / of_run).append(Operation("batch", {"params": params}))
    monkeypatch.setattr(delivery, "client_for", lambda _uri: client)
    delivery.deliver_waiting(SERVER)
    assert client.get_run(run_id).data.params == {"b": "2"}
    (aside,) = folder.glob("*.refused")
    assert str(aside) in capsys.readouterr().out
    assert outbox.waiting(SERVER) == []
    Outbox(folder / unknown).append(Operation("batch", {"params": {"a": "1"}}))
    delivery.deliver_waiting(SERVER)
    assert {path.name for path in folder.glob("*.refused*")} == {aside.name, f"{aside.name}.2"}
    assert outbox.waiting(SERVER) == []


def test_a_direct_database_has_no_outbox(client, operations, tracking_uri):
    run_id = client.create_run("0").info.run_id
    sender = Delivery(Unreliable(client, before=[1]), uri=tracking_uri, run_id=run_id)
    with pytest.raises(requests.ConnectionError):
        sender.send(operations[0])
    assert not outbox.folder_for(tracking_uri).exists()


def test_a_run_with_something_waiting_is_not_taken_for_dead(tracking_uri):
    client = MlflowClient(tracking_uri)
    experiment_id = setup.prepare(tracking_uri, "fitgap")
    gone = processes.this_process() | {processes.SINCE_BOOT_TAG: "another"}
    waits, dead = (client.create_run(experiment_id, tags=gone).info.run_id for _ in range(2))
    box = Outbox(outbox.folder_for(tracking_uri) / waits)
    box.append(Operation("end", {"status": "FINISHED", "time": 1}))
    setup.end_dead_runs(tracking_uri, "fitgap")
    assert client.get_run(waits).info.status == "RUNNING"
    assert client.get_run(dead).info.status == "KILLED"


@pytest.mark.parametrize("disturbance", [{}, {"before": [1, 2]}, {"after": [1]}], ids=str)
def test_a_run_is_created_once(client, disturbance):
    unreliable = Unreliable(client, **disturbance)
    run_id = delivery.create_run(
        unreliable, uri=SERVER, experiment_id="0", tags={"a": "1"}, name="이름"
    )
    (run,) = client.search_runs(["0"])
    assert run.info.run_id == run_id
    assert run.info.run_name == "이름"


def test_patience_ends(monkeypatch):
    monkeypatch.setattr(delivery, "PATIENCE_SECONDS", 0.05)

    def refuse():
        raise requests.ConnectionError("refused")

    started = time.monotonic()
    with pytest.raises(StoreAwayError, match="did not answer for 0 s"):
        delivery.retry_while_away(refuse, uri=SERVER)
    assert time.monotonic() - started < 10


def test_only_absence_is_waited_for():
    def refuse():
        raise RestException({"error_code": "INVALID_PARAMETER_VALUE", "message": "no"})

    with pytest.raises(RestException):
        delivery.retry_while_away(refuse, uri=SERVER)


def answer(status):
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(response=response)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (requests.ConnectionError(), True),
        (requests.Timeout(), True),
        (MlflowException("API request failed with exception"), True),
        (RestException({"error_code": "TEMPORARILY_UNAVAILABLE"}), True),
        (answer(503), True),
        (StoreAwayError("away"), True),
        (answer(404), False),
        (RestException({"error_code": "RESOURCE_DOES_NOT_EXIST"}), False),
        (RestException({"error_code": "INVALID_PARAMETER_VALUE"}), False),
        (RestException({"error_code": "BAD_REQUEST", "message": POOL_IS_USED}), True),
        (RequestError("wrong"), False),
        (OSError(28, "No space left on device"), False),
    ],
    ids=repr,
)
def test_absence_is_told_from_refusal(error, expected):
    assert server.is_away(error) == expected


def test_a_port_where_nothing_listens_is_a_server_that_is_away():
    with pytest.raises(StoreAwayError, match=r"does not answer: \[Errno 111\]"):
        store.check(SERVER)


def test_a_whole_record_passes_through_an_absence(compose, tracking_uri, monkeypatch):
    """As a run does it, with a real network: nothing but the calls' times differs."""
    backend.start(threads=1)  # as every run of this process; later it could not be chosen
    import keras

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2, 2)), keras.layers.Flatten(), keras.layers.Dense(3)])
    client = MlflowClient(tracking_uri)
    experiment_id = setup.prepare(tracking_uri, "fitgap")
    unreliable = Unreliable(client, before=range(3, 60))
    monkeypatch.setattr(delivery, "client_for", lambda _uri: unreliable)
    description = descriptions.RunDescription(name="한글", parameters={}, tags={})
    with run_writer.open_run(
        compose(), description, uri=SERVER, experiment_id=experiment_id
    ) as record:
        record.log_metrics({"val/loss": 0.5}, step=1)
        record.flush()
        record.log_model(
            model, example=np.zeros((3, 2, 2), np.uint8), output="probability", code={}
        )
    assert client.get_run(record.run_id).info.status == "RUNNING"
    monkeypatch.setattr(delivery, "client_for", lambda _uri: client)
    delivery.deliver_waiting(SERVER)
    run = client.get_run(record.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"val/loss": 0.5}
    mlflow.set_tracking_uri(tracking_uri)
    (output,) = run.outputs.model_outputs
    loaded = mlflow.tensorflow.load_model(f"models:/{output.model_id}")
    assert all(map(np.array_equal, loaded.get_weights(), model.get_weights()))

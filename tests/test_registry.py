"""The best run by validation becomes a version of a model, and is served as it predicts."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from fitgap import experiment, prediction, registry
from fitgap.data import datasets
from fitgap.errors import RequestError
from fitgap.store import recorded

NAME = "숫자 model"


@pytest.fixture(scope="module")
def finished(compose, template_database, tmp_path_factory):
    """Return a store with one run on the digits and one on two of them, and their results."""
    folder = tmp_path_factory.mktemp("registry")
    uri = f"sqlite:///{shutil.copy(template_database, folder / 'mlflow.db')}"
    settings = ("architecture=dense_softmax", "training.epochs=1", "training.engine=numpy")
    results = [
        experiment.run(experiment.plan(compose(*settings, *more, f"tracking.uri={uri}")))
        for more in ((), ("dataset.classes=[0,1]", "tracking.experiment=two"))
    ]
    return uri, *results


def write_runs(uri, experiment_name, figures, *, digest="data"):
    """Record finished runs by (optimizer, seed, val/accuracy, val/loss)."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    found = client.get_experiment_by_name(experiment_name)
    number = found.experiment_id if found else client.create_experiment(experiment_name)
    ids = {}
    for optimizer, seed, accuracy, loss in figures:
        tags = {"fitgap.role": "run", "fitgap.dataset_digest": digest}
        run_id = client.create_run(number, tags=tags).info.run_id
        client.log_param(run_id, "optimizer.name", optimizer)
        client.log_param(run_id, "seed", seed)
        if accuracy is not None:
            client.log_metric(run_id, "val/accuracy", accuracy)
            client.log_metric(run_id, "val/loss", loss)
        client.set_terminated(run_id, "FINISHED")
        ids[optimizer, seed] = run_id
    return ids


def test_best_is_of_the_group_with_the_best_mean_not_the_luckiest_run(tracking_uri):
    ids = write_runs(
        tracking_uri,
        "fitgap",
        [
            ("adam", 0, 0.90, 0.3),
            ("adam", 1, 0.92, 0.3),
            ("adam", 2, 0.92, 0.2),
            ("sgd", 0, 0.95, 0.1),
            ("sgd", 1, 0.70, 0.9),
        ],
    )
    choice = registry.choose(tracking_uri, experiment="fitgap")
    assert choice.run.run_id == ids["adam", 2]
    assert choice.reason == "adam, seed 2: val/accuracy 0.9200 (mean of its group of 3: 0.9133)"


def test_where_nothing_can_be_chosen_by_validation_the_run_must_be_named(tracking_uri):
    write_runs(tracking_uri, "without", [("adam", 0, None, None)])
    with pytest.raises(RequestError, match="--run"):
        registry.choose(tracking_uri, experiment="without")
    write_runs(tracking_uri, "mixed", [("adam", 0, 0.9, 0.1)])
    write_runs(tracking_uri, "mixed", [("adam", 0, 0.8, 0.1)], digest="other data")
    with pytest.raises(RequestError, match="different data"):
        registry.choose(tracking_uri, experiment="mixed")


def test_network_is_registered_once_under_a_name_and_the_next_is_version_2(finished):
    from mlflow import MlflowClient

    uri, first, second = finished
    made = registry.register(first.run_id, name=NAME, uri=uri, reason="the best")
    assert (made.uri, made.is_new) == (f"models:/{NAME}/1", True)
    again = registry.register(first.run_id, name=NAME, uri=uri)
    assert (again.uri, again.is_new) == (f"models:/{NAME}/1", False)
    other = registry.register(second.run_id, name=NAME, uri=uri)
    assert (other.uri, other.is_new) == (f"models:/{NAME}/2", True)
    version = MlflowClient(uri).get_model_version(NAME, "1")
    assert version.run_id == first.run_id
    assert "the best" in version.description
    assert "(8, 8)" in version.description


@pytest.mark.parametrize("name", ["", " ", "a/b", "a:1"])
def test_name_that_no_model_can_have_is_a_wrong_request(finished, name):
    uri, first, _ = finished
    with pytest.raises(RequestError, match="--register must be"):
        registry.register(first.run_id, name=name, uri=uri)


def test_unknown_run_is_a_wrong_request(finished):
    with pytest.raises(RequestError, match="there is no run"):
        registry.register("0" * 32, name=NAME, uri=finished[0])


@pytest.fixture
def served(finished):
    """Serve the digits' network and return the address that it answers at."""
    uri, first, _ = finished
    version = registry.register(first.run_id, name="served", uri=uri)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    programs = Path(sys.executable).parent
    command = [str(programs / "mlflow"), "models", "serve", "-m", version.uri]
    server = subprocess.Popen(
        [*command, "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)],
        # MLflow looks for its server program in the PATH.
        env=os.environ | {"MLFLOW_TRACKING_URI": uri, "PATH": f"{programs}:{os.environ['PATH']}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/ping", server)
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        server.terminate()
        server.wait(30)


def wait_for(address, server):
    for _ in range(240):
        assert server.poll() is None, "the server has ended"
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except OSError:
            time.sleep(0.5)
        else:
            return
    pytest.fail("the server does not answer")


def ask(address, images):
    request = urllib.request.Request(
        address,
        json.dumps({"inputs": images.tolist()}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return np.array(json.load(answer)["predictions"])


@pytest.mark.slow
def test_served_network_answers_raw_images_as_predict_does(served, finished):
    uri, first, _ = finished
    run = recorded.open_run(first.run_id, uri=uri)
    images = datasets.load(run.dataset).x_test[:5]
    model = prediction.load_model(run)
    expected = prediction.predict_files(model, range(5), images, class_names=()).outputs
    np.testing.assert_allclose(ask(served, images), expected, atol=1e-6)
    for wrong in (images[:, :4], images.astype(int) + 300):
        with pytest.raises(urllib.error.HTTPError, match="400") as refused:
            ask(served, wrong)
        refused.value.close()

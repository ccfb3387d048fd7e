"""The network of each task answers MLflow's pyfunc and its server as ``fitgap predict`` does."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fitgap import experiment, prediction, registry
from fitgap.store import recorded

RNG = np.random.default_rng(0)
NEW = {
    "classes": RNG.integers(0, 17, (5, 8, 8), dtype=np.uint8),
    "numbers": pd.DataFrame({"length": [1.5, None, -2.0], "colour": ["red", "blue", None]}),
    "label_sets": RNG.integers(0, 256, (5, 6, 6), dtype=np.uint8),
}


def data_of(task, folder):
    """Return the overrides of a small dataset of a task."""
    if task == "classes":
        return ("dataset=digits",)
    if task == "numbers":
        length = RNG.normal(size=80)
        frame = pd.DataFrame({"length": length, "colour": ["red", "blue"] * 40})
        frame.assign(price=300 + 50 * length).to_csv(folder / "prices.csv", index=False)
        path = folder / "prices.csv"
        return ("dataset=table", f"dataset.path={path}", "dataset.label=price", TASK + task)
    x = RNG.integers(0, 256, (90, 6, 6), dtype=np.uint8)
    np.savez(folder / "sets.npz", x=x, y=RNG.integers(0, 2, (90, 3)))
    return ("dataset=npz", f"dataset.path={folder / 'sets.npz'}", TASK + task)


TASK = "dataset.task="


@pytest.fixture(scope="module", params=NEW)
def learned(request, compose, template_database, tmp_path_factory):
    """Return a task, a store, and a finished run of it."""
    task = request.param
    folder = tmp_path_factory.mktemp(task)
    uri = f"sqlite:///{shutil.copy(template_database, folder / 'mlflow.db')}"
    settings = ("architecture=dense", "architecture.units=[4]", "training.epochs=1")
    config = compose(
        *(*settings, *data_of(task, folder), "training.xla=false", f"tracking.uri={uri}"), task=None
    )
    result = experiment.run(experiment.plan(config))
    return task, uri, recorded.open_run(result.run_id, uri=uri)


def predicted(task, run, folder):
    """Return what ``fitgap predict`` says of the new data."""
    new = NEW[task]
    if isinstance(new, pd.DataFrame):
        new.to_csv(folder / "new.csv", index=False)
        return prediction.predict_rows(run, folder / "new.csv").outputs
    np.save(folder / "new.npy", new)
    return prediction.predict_array(run, folder / "new.npy").outputs


def test_pyfunc_answers_as_predict_does_and_names_its_answer_after_the_task(learned, tmp_path):
    import mlflow

    task, uri, run = learned
    mlflow.set_tracking_uri(uri)
    model = mlflow.pyfunc.load_model(f"models:/{run.model_id}")
    (name,) = model.metadata.signature.outputs.input_names()
    assert name == ("number" if task == "numbers" else "probability")
    answer = np.asarray(model.predict(NEW[task]))
    assert answer.shape == (len(NEW[task]), len(run.class_names))
    np.testing.assert_allclose(answer, predicted(task, run, tmp_path), rtol=1e-5, atol=1e-6)


@contextmanager
def served(model, uri, folder):
    """Serve a model on loopback from an empty folder; give the address that it answers at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    programs = Path(sys.executable).parent
    command = [str(programs / "mlflow"), "models", "serve", "-m", model]
    server = subprocess.Popen(
        [*command, "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)],
        # MLflow looks for its server program in the PATH.
        env=os.environ | {"MLFLOW_TRACKING_URI": uri, "PATH": f"{programs}:{os.environ['PATH']}"},
        cwd=folder,
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


def ask(address, data):
    if isinstance(data, pd.DataFrame):
        content = {"dataframe_records": json.loads(data.to_json(orient="records"))}
    else:
        content = {"inputs": data.tolist()}
    kind = {"Content-Type": "application/json"}
    request = urllib.request.Request(address, json.dumps(content).encode(), kind)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return np.array(json.load(answer)["predictions"])


@pytest.mark.slow
def test_the_server_answers_as_predict_does_and_refuses_what_does_not_fit(learned, tmp_path):
    task, uri, run = learned
    version = registry.register(run.run_id, name="served", uri=uri)
    new = NEW[task]
    is_table = isinstance(new, pd.DataFrame)
    wrong = [new[["length"]]] if is_table else [new[:, :4], new.astype(int) + 300]
    with served(version.uri, uri, tmp_path) as address:
        expected = predicted(task, run, tmp_path)
        np.testing.assert_allclose(ask(address, new), expected, rtol=1e-5, atol=1e-6)
        for one in wrong:
            with pytest.raises(urllib.error.HTTPError, match="400") as refused:
                ask(address, one)
            refused.value.close()

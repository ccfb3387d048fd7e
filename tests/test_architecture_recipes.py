"""The networks of docs/ARCHITECTURES.md, and others like them: trained, saved, opened, asked."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import mlflow
import numpy as np
import pytest

from fitgap import experiment, prediction
from fitgap.comparison.ranking import compare_experiment
from fitgap.store import recorded

PAGE = Path(__file__).parents[1] / "docs" / "ARCHITECTURES.md"
MORE = """

def lstm(x, units=8):
    return layers.LSTM(units)(x)


def scaled(x):
    return Scale()(layers.Dense(8)(layers.Flatten()(x)))


def words(input_shape, num_outputs, num_tokens):
    ids = layers.Input(input_shape, dtype="int32")
    x = layers.GlobalAveragePooling1D()(layers.Embedding(num_tokens, 4)(ids))
    return keras.Model(ids, layers.Dense(num_outputs, activation="softmax")(x))
"""


@pytest.fixture(scope="module")
def module():
    """Return the Python of the page as one module, its imports first."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    imports = "import keras\nfrom keras import layers\n\n\n"
    return imports + "\n\n".join(blocks).replace("from keras import layers\n", "") + MORE


@pytest.fixture
def project(tmp_path, monkeypatch, template_database, module):
    (tmp_path / "conf").mkdir()
    (tmp_path / "nets.py").write_text(module)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, 32, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "colour.npz", x_train=images, y_train=np.arange(60) % 3)
    monkeypatch.setenv("FITGAP_PROJECT", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield f"sqlite:///{shutil.copy(template_database, tmp_path / 'mlflow.db')}"
    sys.modules.pop("nets", None)
    keras.saving.get_custom_objects().clear()


COLOUR = ("dataset=npz", "dataset.path=colour.npz")


@pytest.mark.parametrize(
    ("target", "settings", "data", "engine"),
    [
        ("nets.residual", {"width": 8}, (), "compiled+xla"),
        ("nets.scaled", {}, (), "fit"),
        pytest.param("nets.lstm", {}, (), "compiled+xla", marks=pytest.mark.slow),
        pytest.param("nets.vision_transformer", {"width": 8}, (), "fit", marks=pytest.mark.slow),
        pytest.param(
            "keras.applications.MobileNetV2",
            {"weights": None, "classes": 3},
            COLOUR,
            "compiled",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_network_is_trained_under_auto_saved_opened_and_asked(
    compose, project, tmp_path_factory, *, target, settings, data, engine
):
    config = compose(
        *data, "training.epochs=1", "split.train_fraction=0.2", f"tracking.uri={project}"
    )
    config.architecture = {"_target_": target, "name": "mine", "title": None, **settings}
    planned = experiment.plan(config)
    result = experiment.run(planned)
    assert experiment.finished(experiment.plan(config)).run_id == result.run_id
    run = recorded.open_run(result.run_id, uri=project)
    assert run.params["engine"] == engine
    model = prediction.load_model(run)
    dataset = prediction.load_dataset(run)
    asked = prediction.predict_test_images(model, dataset, range(5))
    np.testing.assert_allclose(asked.outputs.sum(axis=1), 1, atol=1e-5)
    served = pyfunc_elsewhere(run, dataset.x_test[:5], tmp_path_factory.mktemp("elsewhere"))
    np.testing.assert_allclose(served, asked.outputs, rtol=1e-5, atol=1e-6)
    compared = compare_experiment(project, experiment=run.experiment)
    (group,) = compared.sections[0].groups
    assert [one.run_id for one in group.runs] == [run.run_id]


def pyfunc_elsewhere(run, images, folder):
    """Return what pyfunc says of images in a process that finds no module of the project."""
    location = mlflow.MlflowClient(run.uri).get_logged_model(run.model_id).artifact_location
    np.save(folder / "images.npy", images)
    program = (
        "import importlib.util, sys, mlflow, numpy; "
        "assert importlib.util.find_spec('nets') is None; "
        "model = mlflow.pyfunc.load_model(sys.argv[1]); "
        "numpy.save('answer.npy', model.predict(numpy.load('images.npy')))"
    )
    environment = {key: value for key, value in os.environ.items() if key != "FITGAP_PROJECT"}
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, location],
        cwd=folder,
        env=environment,
        check=True,
        timeout=300,
    )
    return np.load(folder / "answer.npy")


@pytest.mark.slow
def test_a_whole_model_of_tokens_is_trained_opened_and_asked(
    compose, project, tmp_path, tmp_path_factory
):
    ids = np.random.default_rng(0).integers(0, 20, (80, 6), dtype=np.int32)
    np.savez(tmp_path / "ids.npz", x=ids, y=np.arange(80) % 2)
    data = ("dataset=npz", f"dataset.path={tmp_path / 'ids.npz'}", "dataset.layout=tokens")
    config = compose(*data, "training.epochs=1", f"tracking.uri={project}")
    config.architecture = {"_target_": "nets.words", "name": "words", "title": None}
    result = experiment.run(experiment.plan(config))
    run = recorded.open_run(result.run_id, uri=project)
    model = prediction.load_model(run)
    assert model.inputs[0].dtype == "int32"
    np.save(tmp_path / "new.npy", ids[:3])
    asked = prediction.predict_array(run, tmp_path / "new.npy").outputs
    np.testing.assert_allclose(asked, model.predict(ids[:3], verbose=0), atol=1e-6)
    served = pyfunc_elsewhere(run, ids[:3], tmp_path_factory.mktemp("elsewhere"))
    np.testing.assert_allclose(served, asked, atol=1e-6)

"""The networks of docs/ARCHITECTURES.md, and others like them: trained, saved, opened, asked."""

import re
import shutil
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from fitgap import experiment, prediction
from fitgap.store import recorded

PAGE = Path(__file__).parents[1] / "docs" / "ARCHITECTURES.md"
MORE = """

def lstm(x, units=8):
    return layers.LSTM(units)(x)


def scaled(x):
    return Scale()(layers.Dense(8)(layers.Flatten()(x)))
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
        ("nets.lstm", {}, (), "compiled+xla"),
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
    compose, project, *, target, settings, data, engine
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

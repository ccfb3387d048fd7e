"""A run of a person's own code, from its record: opened, repeated, trained anew after an edit."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fitgap import experiment, prediction, rerun
from fitgap.config import targets
from fitgap.errors import RequestError
from fitgap.store import recorded, recorded_code

NETS = '''
import keras
from scaling import factor

@keras.saving.register_keras_serializable("nets")
class Scale(keras.layers.Layer):
    """Multiplies, by a factor of its own."""

    def call(self, x):
        return x * factor

class Shift(keras.layers.Layer):
    def call(self, x):
        return x + 1.0

def net(x, units=4):
    return Shift()(Scale()(keras.layers.Dense(units)(keras.layers.Flatten()(x))))
'''


@pytest.fixture(scope="module")
def trained(tmp_path_factory, compose, template_database):
    """Return a project folder with own code and a finished run of it."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "conf").mkdir()
    (folder / "nets.py").write_text(NETS)
    (folder / "scaling.py").write_text("factor = 2.0\n")
    uri = f"sqlite:///{shutil.copy(template_database, folder / 'mlflow.db')}"
    with pytest.MonkeyPatch.context() as patch:
        use(folder, patch)
        planned = experiment.plan(settings(compose, uri))
        result = experiment.run(planned)
    return folder, uri, result


def use(folder, patch):
    patch.chdir(folder)
    patch.setenv("FITGAP_PROJECT", str(folder))
    patch.syspath_prepend(folder)


def settings(compose, uri):
    config = compose("training.epochs=1", "split.train_fraction=0.1", f"tracking.uri={uri}")
    config.tracking.experiment = "own"  # not named after the folder, of which there are two
    config.architecture = {"_target_": "nets.net", "name": "net", "title": None}
    return config


@pytest.fixture
def project(trained, tmp_path, monkeypatch):
    """Return a copy of the project's code to edit, in use, and the run of the original."""
    folder, uri, result = trained
    here = tmp_path / "own"
    here.mkdir()
    (here / "conf").mkdir()
    for name in ("nets.py", "scaling.py"):
        shutil.copy(folder / name, here)
        sys.modules.pop(Path(name).stem, None)
    use(here, monkeypatch)
    yield here, uri, recorded.open_run(result.run_id, uri=uri)
    for name in ("nets", "scaling"):
        sys.modules.pop(name, None)
    import keras

    keras.saving.get_custom_objects().clear()


IMAGES = np.random.default_rng(0).integers(0, 17, (3, 8, 8), dtype=np.uint8)


def test_the_run_is_answered_by_its_record_until_its_code_is_edited(project, compose):
    here, uri, run = project
    assert experiment.finished(experiment.plan(settings(compose, uri))).run_id == run.run_id
    (here / "scaling.py").write_text("factor = 3.0\n")
    assert experiment.finished(experiment.plan(settings(compose, uri))) is None


def test_the_code_is_recorded_as_it_was(project):
    import mlflow
    from mlflow.artifacts import load_text

    _, uri, run = project
    mlflow.set_tracking_uri(uri)
    root = mlflow.MlflowClient(uri).get_run(run.run_id).info.artifact_uri
    assert load_text(f"{root}/code/nets.py") == NETS
    assert load_text(f"{root}/code/scaling.py") == "factor = 2.0\n"


def test_a_network_with_own_layers_is_opened_from_the_project(project):
    _, _, run = project
    import keras

    keras.saving.get_custom_objects().clear()
    model = prediction.load_model(run)
    assert {"Scale", "Shift"} <= {type(layer).__name__ for layer in model.layers}
    np.testing.assert_allclose(model(IMAGES).numpy().sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda here: (here / "scaling.py").write_text("factor = 3.0\n"),
            "has changed since it was recorded",
        ),
        (lambda here: (here / "scaling.py").unlink(), "not in the project folder"),
    ],
    ids=["edited", "removed"],
)
def test_other_code_is_not_run_in_its_place_but_the_recorded_if_trusted(project, change, said):
    here, _, run = project
    expected = prediction.load_model(run)(IMAGES).numpy()
    import keras

    keras.saving.get_custom_objects().clear()
    for name in ("nets", "scaling"):
        sys.modules.pop(name, None)
    change(here)
    with pytest.raises(RequestError) as caught:
        prediction.load_model(run)
    assert said in str(caught.value)
    assert "--trust scaling" in str(caught.value)
    model = prediction.load_model(run, trusted=["scaling"])
    np.testing.assert_array_equal(model(IMAGES).numpy(), expected)


def test_a_repetition_names_the_file_that_changed(project):
    here, _, run = project
    assert rerun.differences(run, rerun.plan(run)) == []
    (here / "scaling.py").write_text("factor = 3.0\n")
    (found,) = rerun.differences(run, rerun.plan(run))
    assert found.what == "own code scaling.py"
    then = recorded_code.fingerprints(run)["own code scaling.py"]
    assert found.then == then != found.now


def test_pyfunc_opens_the_network_where_the_modules_are_not(project, tmp_path):
    import mlflow

    _, uri, run = project
    location = mlflow.MlflowClient(uri).get_logged_model(run.model_id).artifact_location
    program = (
        "import mlflow, numpy, sys; "
        "model = mlflow.pyfunc.load_model(sys.argv[1]); "
        "print(model.predict(numpy.zeros((1, 8, 8), 'uint8')).sum())"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, location],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert float(done.stdout.split()[-1]) == pytest.approx(1, abs=1e-5)


def test_own_code_without_a_source_is_said_and_no_earlier_run_answers_for_it(
    compose, tracking_uri, capsys
):
    made = {}
    exec("import keras\ndef bare(): return [keras.layers.Flatten()]\n", made)
    config = settings(compose, tracking_uri)
    target = targets.register(made["bare"])
    config.architecture = {"_target_": target, "name": "bare", "title": None}
    first, second = (experiment.run(experiment.plan(config)) for _ in range(2))
    assert not second.reused
    assert first.run_id != second.run_id
    said = "its source cannot be read, so no earlier run counts as equal"
    assert capsys.readouterr().out.count(said) == 2  # once a run
    tags = recorded.open_run(second.run_id, uri=tracking_uri).tags
    assert "no source" in tags["fitgap.code_unknown"]

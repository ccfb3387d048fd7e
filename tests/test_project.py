import subprocess
import sys

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir

from fitgap import store
from fitgap.config import project, settings
from fitgap.training import checkpoints

TRAIN = project.CHECKOUT / "scripts" / "train.py"


@pytest.fixture(autouse=True)
def not_told(monkeypatch):
    """Have the project folder looked for, as for a person."""
    monkeypatch.delenv(project.VARIABLE)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Return an own project folder, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").mkdir()
    return tmp_path


def write(folder, **files):
    for name, text in files.items():
        path = folder / "conf" / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def composed(*overrides):
    with initialize_config_dir(str(project.CONFIG_DIR), version_base="1.3"):
        return settings.from_hydra(hydra_compose("train", list(overrides)))


@pytest.mark.parametrize("mark", ["conf", ".fitgap"])
def test_the_project_is_the_nearest_marked_folder_upwards(tmp_path, monkeypatch, mark):
    (tmp_path / mark).mkdir()
    (tmp_path / "nearer" / mark).mkdir(parents=True)
    below = tmp_path / "nearer" / "notebooks" / "deep"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert project.folder() == tmp_path / "nearer"


def test_without_a_mark_the_project_is_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert project.folder() == tmp_path


def test_all_that_is_written_lands_in_the_project(own, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert store.resolve_uri(None) == f"sqlite:///{own}/mlflow.db"
    assert project.state_folder() == own / ".fitgap"
    claim = checkpoints.path_for("a" * 64, uri="http://127.0.0.1:1", experiment="e")
    assert claim.is_relative_to(own / ".fitgap")


def test_the_experiment_is_the_folders_name_but_fitgap_at_home(own, monkeypatch):
    assert project.experiment() == own.name
    assert composed().tracking.experiment == own.name
    monkeypatch.chdir(project.CHECKOUT)
    assert project.experiment() == "fitgap"


def test_own_options_add_to_the_packaged_ones(own):
    write(own, optimizer__mine="name: mine\n_target_: keras.optimizers.SGD\nlearning_rate: 0.25\n")
    assert composed("optimizer=mine").optimizer["learning_rate"] == 0.25
    assert composed("optimizer=adam").optimizer["name"] == "adam"


def test_of_two_options_by_one_name_the_own_one_wins(own):
    write(own, optimizer__sgd="name: sgd\n_target_: keras.optimizers.SGD\nlearning_rate: 0.125\n")
    assert composed("optimizer=sgd").optimizer["learning_rate"] == 0.125


def test_another_applications_search_path_stays_as_it_is(own, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "app.yaml").write_text("value: 1\n")
    write(own, app="value: 2\n")
    with initialize_config_dir(str(other), version_base="1.3"):
        assert hydra_compose("app").value == 1


def test_own_modules_are_importable_where_a_command_runs(own):
    (own / "models.py").write_text(
        "import keras\n\n\ndef tiny(**kwargs):\n    return [keras.layers.Flatten()]\n"
    )
    write(own, architecture__tiny="name: tiny\n_target_: models.tiny\n")
    (own / "notebooks").mkdir()
    command = [sys.executable, str(TRAIN), "architecture=tiny", "training.epochs=1"]
    done = subprocess.run(
        command, cwd=own / "notebooks", capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (own / "mlflow.db").exists()
    assert not list((own / "notebooks").iterdir())

    # A sweep's plan is made where no job runs, and knows the same code.
    plan = [sys.executable, "-m", "fitgap", "sweep", "plan", *command[2:], "seed=0,1"]
    done = subprocess.run(plan, cwd=own, capture_output=True, text=True, timeout=120, check=False)
    assert "1 finished before, 1 to train" in done.stdout, done.stdout + done.stderr

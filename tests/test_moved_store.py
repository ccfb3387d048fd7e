"""A store that was moved with its artifacts beside it is as good as where it was made."""

import shutil

import mlflow
import pytest
from mlflow.artifacts import load_text

from fitgap import store
from fitgap.store import moved_database
from fitgap.tracking import setup


def record(uri, text):
    """Record a run with a file, as MLflow's own client does; return its id."""
    client = mlflow.MlflowClient(uri)
    run = client.create_run(setup.prepare(uri, "e"))
    client.log_text(run.info.run_id, text, "note.txt")
    client.set_terminated(run.info.run_id)
    return run.info.run_id


def uri_of(folder):
    return f"sqlite:///{folder / 'mlflow.db'}"


def place_of(uri, run_id):
    return next(r.artifact_uri for r in store.find_runs(uri, experiment="e") if r.run_id == run_id)


@pytest.fixture
def old(template_database, tmp_path):
    folder = tmp_path / "old"
    folder.mkdir()
    shutil.copy(template_database, folder / "mlflow.db")
    return folder


@pytest.mark.parametrize("how", [shutil.move, shutil.copytree], ids=["moved", "copied"])
def test_files_are_found_and_written_beside_the_moved_database(old, tmp_path, how):
    run_id = record(uri_of(old), "first")
    new = tmp_path / "new folder"
    how(old, new)
    uri = uri_of(new)
    assert place_of(uri, run_id) == (new / "mlartifacts" / run_id / "artifacts").as_uri()
    assert load_text(f"{place_of(uri, run_id)}/note.txt") == "first"
    another = record(uri, "second")
    assert (new / "mlartifacts" / another / "artifacts" / "note.txt").read_text() == "second"
    if old.exists():
        assert not (old / "mlartifacts" / another).exists()


def test_a_store_that_was_not_moved_keeps_its_places(old):
    run_id = record(uri_of(old), "first")
    moved_database.correct_paths.cache_clear()
    assert place_of(uri_of(old), run_id) == (old / "mlartifacts" / run_id / "artifacts").as_uri()


def test_artifacts_that_were_left_behind_stay_where_they_are(old, tmp_path):
    run_id = record(uri_of(old), "first")
    new = tmp_path / "new"
    (new / "mlartifacts" / "of another store").mkdir(parents=True)
    shutil.copy(old / "mlflow.db", new)
    assert load_text(f"{place_of(uri_of(new), run_id)}/note.txt") == "first"

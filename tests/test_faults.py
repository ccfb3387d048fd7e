"""Places and environments that are not as usual; docs/FAULTS.md has the table of all faults."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fitgap import experiment, store
from fitgap.config.project import CHECKOUT
from fitgap.training import checkpoints

SMALL = ("architecture=dense_softmax", "training.epochs=1", "training.engine=numpy")
TRAIN = str(CHECKOUT / "scripts" / "train.py")
FOLDERS = [
    *("a b", "it's", 'say "x"', "x=1", "archive (3)", "a,b", "-m", "$HOME"),
    "비교 실험",
]


def train_in(folder, *words, umask=-1, **environment):
    """Train in a folder as a person there would; None takes a variable away."""
    env = {**os.environ, "FITGAP_PROJECT": None, "MLFLOW_TRACKING_URI": None, **environment}
    return subprocess.run(
        [sys.executable, TRAIN, *SMALL, *words],
        cwd=folder,
        env={key: value for key, value in env.items() if value is not None},
        umask=umask,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_of_any_name_takes_runs(name, tmp_path):
    folder = tmp_path / name
    (folder / ".fitgap").mkdir(parents=True)
    done = train_in(folder, "tracking.experiment=here")
    assert (done.returncode, done.stderr) == (0, "")
    (run,) = store.find_runs(f"sqlite:///{folder / 'mlflow.db'}", experiment="here")
    artifacts = folder / "mlartifacts"
    assert (artifacts / run.run_id / "artifacts" / "config.yaml").is_file()
    again = train_in(folder, "tracking.experiment=here")
    assert "already finished" in again.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [
        {"LANG": "C", "LC_ALL": "C"},
        {"HOME": None},
        {"HOME": "/nonexistent"},
        {"TERM": "dumb", "COLUMNS": "20"},
        {"PATH": "/nonexistent"},
        {"TZ": "Asia/Seoul"},
    ],
    ids=lambda environment: next(iter(environment)),
)
def test_an_environment_without_the_usual_trains(environment, tmp_path):
    (tmp_path / ".fitgap").mkdir()
    done = train_in(tmp_path, "tracking.experiment=here", "name='첫 실험 é'", **environment)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    (run,) = store.find_runs(f"sqlite:///{tmp_path / 'mlflow.db'}", experiment="here")
    assert run.name == "첫 실험 é"


@pytest.mark.slow
def test_a_person_who_keeps_files_to_herself_does_so_here(tmp_path):
    (tmp_path / ".fitgap").mkdir()
    done = train_in(tmp_path, "tracking.experiment=here", umask=0o077)
    assert (done.returncode, done.stderr) == (0, "")
    written = [path for path in tmp_path.rglob("*") if path.name != ".fitgap"]
    assert written
    for path in written:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


@pytest.mark.parametrize("flipped", [0, 7, 40, -30, -1])
def test_a_checkpoint_with_a_flipped_bit_is_no_other_checkpoint(flipped, tmp_path, capsys):
    path = tmp_path / "c"
    saved = checkpoints.Checkpoint([{"number": 1}], [np.arange(64.0)], [{"wait": 2}], False)
    checkpoints.save(path, saved)
    file = path.with_suffix(".npz")
    content = bytearray(file.read_bytes())
    content[flipped] ^= 4
    file.write_bytes(content)
    read = checkpoints.load(path)
    if read is None:
        assert "the training starts again" in capsys.readouterr().out
    else:  # a bit of the archive's own book-keeping
        assert read.epochs == saved.epochs
        np.testing.assert_array_equal(read.state[0], saved.state[0])


def test_the_folder_of_claims_may_disappear_while_a_run_trains(compose, tracking_uri, monkeypatch):
    from fitgap.tracking import run_writer

    folder = Path(tracking_uri.removeprefix("sqlite:///")).parent / ".fitgap"
    on_epoch = run_writer.RunRecord.on_epoch

    def remove_and_log(self, number, metrics):
        shutil.rmtree(folder, ignore_errors=True)
        on_epoch(self, number, metrics)

    monkeypatch.setattr(run_writer.RunRecord, "on_epoch", remove_and_log)
    settings = (*SMALL, "training.epochs=3", f"tracking.uri={tracking_uri}")
    result = experiment.run(experiment.plan(compose(*settings)))
    (run,) = store.find_runs(tracking_uri, experiment="fitgap")
    assert run.run_id == result.run_id

"""A full disk ends a run with one line that names it, and harms nothing that was recorded."""

import contextlib
import errno
import os
import shutil
import sqlite3
import subprocess
import sys

import pytest

from fitgap import experiment, store
from fitgap.config.project import CHECKOUT
from fitgap.errors import DiskFullError
from fitgap.tracking import artifacts, disk_full, run_writer
from fitgap.training import checkpoints

ALL = ("RUNNING", "FINISHED", "FAILED", "KILLED")
TRAIN = CHECKOUT / "scripts" / "train.py"


@pytest.fixture
def small_disk(tmp_path):
    """Mount a disk of 8 MB, and take it away afterwards."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder):
    """Leave no room on the folder's disk."""
    with (folder / "filler").open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def assert_intact(path):
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


# Before what the disk is full: each of them is something else that meets it.
MOMENTS = {
    "the first checkpoint": (checkpoints, "save"),
    "the files": (artifacts, "write"),
    "the model": (run_writer.RunRecord, "log_model"),
    "the last metrics": (run_writer.RunRecord, "end"),
}


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
def test_it_is_named_and_the_database_stays_whole(
    compose, small_disk, template_database, monkeypatch, moment
):
    database = small_disk / "mlflow.db"
    shutil.copy(template_database, database)
    uri = f"sqlite:///{database}"
    settings = ("training.epochs=3", "architecture=dense_softmax", f"tracking.uri={uri}")
    plan = experiment.plan(compose(*settings))
    owner, name = moment
    function = getattr(owner, name)

    def fill_first(*arguments, **named):
        fill(small_disk)
        return function(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fill_first)
        with pytest.raises(DiskFullError, match=rf"the disk of {small_disk}\S* is full \(\d+ KiB"):
            experiment.run(plan)
    assert_intact(database)
    (small_disk / "filler").unlink()
    assert experiment.run(plan).metrics["val/accuracy"] > 0.1
    assert_intact(database)
    (finished,) = store.find_runs(uri, experiment="fitgap")
    assert finished.status == "FINISHED"


@pytest.mark.slow
def test_a_command_ends_with_one_line_and_goes_on_when_there_is_room(small_disk):
    """Without a fault put in: the disk is full when the network, of 4 MB, is to be kept."""
    uri = f"sqlite:///{small_disk / 'mlflow.db'}"
    command = [sys.executable, str(TRAIN), "architecture=dense_relu_512", "training.epochs=3"]
    command += ["architecture.units=[2048,2048]", f"tracking.uri={uri}"]
    first = subprocess.run(command, capture_output=True, text=True, check=False)
    assert first.returncode == 1, first.stderr
    assert first.stderr.count("\n") == 1
    assert first.stderr.startswith("failed: DiskFullError: the disk of ")
    assert_intact(small_disk / "mlflow.db")

    more = ["mount", "-o", "remount,size=400m", str(small_disk)]
    subprocess.run(more, check=True)
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert second.returncode == 0, second.stderr
    runs = store.find_runs(uri, experiment="fitgap", statuses=ALL)
    assert sum(run.status == "FINISHED" for run in runs) == 1
    assert not any(run.status == "RUNNING" for run in runs)


def wrapped(inner):
    try:
        try:
            raise inner
        except Exception as error:
            raise RuntimeError("outer") from error
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
        (sqlite3.OperationalError("database or disk is full"), True),
        (OSError(errno.EACCES, "Permission denied"), False),
        (ValueError("full"), False),
    ],
    ids=repr,
)
def test_a_full_disk_is_recognised_through_other_errors(error, expected):
    assert disk_full.is_full(error) == expected
    assert disk_full.is_full(wrapped(error)) == expected

"""A checkpoint comes back as it was written, and a claim has one holder."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock, Timeout

from fitgap.errors import RequestError
from fitgap.training import checkpoints
from fitgap.training.checkpoints import Checkpoint

CHECKPOINT = Checkpoint(
    epochs=[{"number": 1, "train": {"loss": 0.1, "accuracy": 1 / 3}, "val": None}],
    state=[np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7, np.int64)],
    callbacks=[
        {"wait": 2, "best": 0.25, "best_weights": [np.ones(3, np.float32), np.zeros((2, 2))]},
        {},
    ],
    stopped=True,
)


def test_a_checkpoint_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "run"
    checkpoints.save(path, CHECKPOINT)
    found = checkpoints.load(path)
    assert found is not None
    assert found.epochs == CHECKPOINT.epochs
    assert found.stopped
    for kept, array in zip(found.state, CHECKPOINT.state, strict=True):
        assert kept.dtype == array.dtype
        np.testing.assert_array_equal(kept, array)
    weights = found.callbacks[0].pop("best_weights")
    assert found.callbacks == [{"wait": 2, "best": 0.25}, {}]
    for kept, array in zip(weights, CHECKPOINT.callbacks[0]["best_weights"], strict=True):
        np.testing.assert_array_equal(kept, array)


def test_more_than_ten_arrays_keep_their_order(tmp_path: Path) -> None:
    state = [np.array(i) for i in range(12)]
    checkpoints.save(tmp_path / "run", Checkpoint([], state, [{"w": state}], stopped=False))
    found = checkpoints.load(tmp_path / "run")
    assert found is not None
    assert [int(array) for array in found.state] == list(range(12))
    assert [int(array) for array in found.callbacks[0]["w"]] == list(range(12))


def test_one_that_was_not_written_to_its_end_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "run"
    checkpoints.save(path, CHECKPOINT)
    path.with_suffix(".part").write_bytes(b"half")
    found = checkpoints.load(path)
    assert found is not None
    assert found.epochs == CHECKPOINT.epochs


def test_a_link_in_its_place_is_not_written_through(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("precious")
    (tmp_path / "c.part").symlink_to(other)
    (tmp_path / "c.npz").symlink_to(other)
    checkpoints.save(tmp_path / "c", CHECKPOINT)
    assert other.read_text() == "precious"
    assert checkpoints.epochs_done(tmp_path / "c") == 1


def test_without_one_there_is_none(tmp_path: Path) -> None:
    assert checkpoints.load(tmp_path / "run") is None
    checkpoints.save(tmp_path / "run", CHECKPOINT)
    checkpoints.remove(tmp_path / "run")
    assert checkpoints.load(tmp_path / "run") is None


def pickled() -> bytes:
    archive = io.BytesIO()
    about = json.dumps({"epochs": [], "callbacks": [], "stopped": False})
    np.savez(archive, about=np.array(about), x=np.array([{}], dtype=object))
    return archive.getvalue()


def half() -> bytes:
    whole = io.BytesIO()
    np.savez(whole, about=np.array("{}"), x=np.arange(1000))
    return whole.getvalue()[:4000]


def with_a_bit_turned() -> bytes:
    whole = io.BytesIO()
    np.savez(whole, about=np.array('{"epochs": [1], "callbacks": [], "stopped": false}'))
    damaged = bytearray(whole.getvalue())
    damaged[len(damaged) // 2] ^= 1
    return bytes(damaged)


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 4096, half(), with_a_bit_turned(), pickled()],
    ids=["empty", "zeros", "half", "a bit turned", "pickled objects"],
)
def test_a_damaged_file_is_no_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    (tmp_path / "run.npz").write_bytes(content)
    assert checkpoints.load(tmp_path / "run") is None
    assert f"{tmp_path / 'run.npz'} is damaged" in capsys.readouterr().out


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_no_checkpoint(
    tmp_path: Path, make: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "c.npz")
    assert checkpoints.load(tmp_path / "c") is None
    assert "c.npz is damaged (it is no file)" in capsys.readouterr().out
    assert checkpoints.epochs_done(tmp_path / "c") == 0


def test_the_number_of_epochs_can_be_asked_for_alone(tmp_path: Path) -> None:
    path = tmp_path / "run"
    assert checkpoints.epochs_done(path) == 0
    checkpoints.save(path, CHECKPOINT)
    assert checkpoints.epochs_done(path) == 1
    path.with_suffix(".npz").write_bytes(b"")
    assert checkpoints.epochs_done(path) == 0


def test_nothing_is_left_of_one_that_is_removed(tmp_path: Path) -> None:
    checkpoints.save(tmp_path / "run", CHECKPOINT)
    (tmp_path / "run.part").write_bytes(b"half")
    checkpoints.remove(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", ["uri", "experiment", "identity"])
def test_another_store_experiment_or_identity_has_another_path(tmp_path: Path, change: str) -> None:
    asked = {
        "identity": "a" * 64,
        "uri": f"sqlite:///{tmp_path / 'mlflow.db'}",
        "experiment": "fitgap",
    }
    other = asked | {change: asked[change].replace("a", "b")}
    assert checkpoints.path_for(**asked) == checkpoints.path_for(**asked)
    assert checkpoints.path_for(**asked) != checkpoints.path_for(**other)


def test_a_killed_holder_loses_its_claim(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "run"
    holds = (
        "import sys, time, pathlib; from fitgap.training import checkpoints\n"
        f"with checkpoints.claim(pathlib.Path({str(path)!r})):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", holds], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Timeout):
            FileLock(path.with_suffix(".lock")).acquire(timeout=0)
        holder.kill()
        holder.wait()
        with checkpoints.claim(path):
            pass


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_trained(tmp_path):
    (tmp_path / ".fitgap").touch()  # where a folder must be
    path = tmp_path / ".fitgap" / "runs" / "identity"
    with pytest.raises(RequestError, match="runs cannot be written"), checkpoints.claim(path):
        pass

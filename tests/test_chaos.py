"""The chaos test's own tests: its schedule, and that its checker finds what it is there to find."""

import io
import os
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import h5py
import numpy as np
import pytest

from fitgap import experiment
from fitgap.config.project import CHECKOUT
from fitgap.config.schema import Config
from fitgap.training import checkpoints
from fitgap_lab.chaos import check as chaos_check
from fitgap_lab.chaos import kills as chaos
from fitgap_lab.chaos import report, server

VICTIMS = ("worker", "parent")


def test_the_same_seed_draws_the_same_schedule_and_another_another() -> None:
    drawn = chaos.schedule(30, seed=7, victims=VICTIMS)
    assert drawn == chaos.schedule(30, seed=7, victims=VICTIMS)
    assert drawn != chaos.schedule(30, seed=8, victims=VICTIMS)


def test_every_victim_meets_every_moment_about_as_often() -> None:
    drawn = chaos.schedule(30, seed=0, victims=VICTIMS)
    assert [kill.number for kill in drawn] == list(range(1, 31))
    counts = Counter((kill.victim, kill.moment) for kill in drawn)
    assert len(counts) == len(VICTIMS) * len(chaos.MOMENTS)
    assert set(counts.values()) == {3, 4}
    assert all(0 <= kill.fraction < 1 for kill in drawn)


def test_the_sweeps_together_are_the_undisturbed_one() -> None:
    def seeds(sweeps: range) -> list[str]:
        return chaos.command(sweeps)[-1].removeprefix("seed=").split(",")

    apart = [seed for number in range(3) for seed in seeds(range(number, number + 1))]
    assert apart == seeds(range(3))


# The checker, on a real record and on copies of it that were tampered with.


@pytest.fixture(scope="module")
def recorded(
    compose: Callable[..., Config],
    template_database: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    database = Path(shutil.copy(template_database, tmp_path_factory.mktemp("chaos") / "mlflow.db"))
    settings = compose(
        f"tracking.uri=sqlite:///{database}",
        f"tracking.experiment={chaos.EXPERIMENT}",
        "training.epochs=2",
        "training.xla=false",
    )
    experiment.run(experiment.plan(settings))
    return database


def read(database: Path) -> chaos_check.Record:
    return chaos_check.read(database, experiment=chaos.EXPERIMENT)


def test_a_record_does_not_differ_from_itself(recorded: Path) -> None:
    record = read(recorded)
    (run,) = record.runs
    assert sorted(step for step, _ in run.metrics["val/loss"]) == [1, 2]
    assert not any(key.startswith("time/") for key in run.metrics)
    assert {"config.yaml", "history.csv"} <= run.files
    assert chaos_check.differences(record, record, sweeps=0) == []


DOUBLED = (
    "insert into metrics select key, value, timestamp + 1, run_uuid, step, is_nan from metrics "
    "where key = 'val/loss' and step = 1"
)
TAMPERINGS = {
    "a value twice": (DOUBLED, "val/loss has 2 values at step 1"),
    "a step missing": (
        "delete from metrics where key = 'val/loss' and step = 1",
        "val/loss lacks step 1",
    ),
    "a step too many": (
        "update metrics set step = 3 where key = 'test/loss'",
        "test/loss has a step 3 of its own",
    ),
    "the last bit of a value": (
        "update metrics set value = value * (1 + 3e-16) where key = 'val/loss' and step = 1",
        "val/loss has other values",
    ),
    "still running": ("update runs set status = 'RUNNING'", "is RUNNING"),
    "killed": ("update runs set status = 'KILLED'", "is KILLED"),
    "another parameter": (
        "update params set value = '9' where key = 'training.epochs'",
        "parameter training.epochs differs",
    ),
    "no model": ("update logged_models set lifecycle_stage = 'deleted'", "has 0 models"),
    "half a model": ("update logged_models set status = 1", "its model is not ready"),
    "another identity": (
        "update tags set value = 'stranger' where key = 'fitgap.identity'",
        "was not asked for",
    ),
    "a run deleted": ("update runs set lifecycle_stage = 'deleted'", "is missing"),
}


@pytest.mark.parametrize(("statement", "found"), TAMPERINGS.values(), ids=TAMPERINGS)
def test_the_checker_finds(recorded: Path, tmp_path: Path, statement: str, found: str) -> None:
    copy = Path(shutil.copy(recorded, tmp_path / "mlflow.db"))
    with closing(sqlite3.connect(copy)) as opened:
        assert opened.execute(statement).rowcount == 1
        opened.commit()
    said = chaos_check.differences(read(copy), read(recorded), sweeps=0)
    assert any(found in line for line in said), said


def test_the_checker_finds_a_run_twice(recorded: Path) -> None:
    record = read(recorded)
    doubled = chaos_check.Record([*record.runs, *record.runs], [])
    said = chaos_check.differences(doubled, record, sweeps=0)
    assert any("exists 2 times" in line for line in said)


def test_the_checker_finds_parents_too_many_or_not_finished(recorded: Path) -> None:
    runs = read(recorded).runs
    parents = [chaos_check.Run("1", "FINISHED"), chaos_check.Run("2", "KILLED")]
    said = chaos_check.differences(
        chaos_check.Record(runs, parents), chaos_check.Record(runs, []), sweeps=1
    )
    assert said == ["2 parent runs for 1 sweeps", "parent run 2 is KILLED"]


def saved_model(path: Path, weights: np.ndarray, optimizer: np.ndarray) -> str:
    content = io.BytesIO()
    with h5py.File(content, "w") as arrays:
        arrays["layers/dense/vars/0"] = weights
        arrays["optimizer/vars/0"] = optimizer
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.weights.h5", content.getvalue())
    return chaos_check.weights_digest(path)


def test_the_digest_sees_the_last_bit_of_every_array(tmp_path: Path) -> None:
    weights, moments = np.ones(3, np.float32), np.zeros(2, np.float32)
    same = saved_model(tmp_path / "a", weights, moments)
    assert saved_model(tmp_path / "b", weights.copy(), moments.copy()) == same
    nearly = weights.copy()
    nearly[1] = np.nextafter(nearly[1], np.float32(2))
    others = {
        saved_model(tmp_path / "c", nearly, moments),
        saved_model(tmp_path / "d", weights, -moments),  # 0 and -0 are equal, not the same
        saved_model(tmp_path / "e", weights, moments.astype(np.float64)),
    }
    assert len(others | {same}) == 4
    assert chaos_check.weights_digest(tmp_path / "absent").startswith("unreadable")


def test_the_checker_finds_checkpoints_whole_and_half(tmp_path: Path) -> None:
    uri = server.database_uri(tmp_path)
    path = checkpoints.path_for("a" * 64, uri=uri, experiment=chaos.EXPERIMENT)
    assert chaos_check.leftovers(uri, experiment=chaos.EXPERIMENT) == []
    path.parent.mkdir(parents=True)
    path.with_suffix(".npz").touch()
    path.with_suffix(".part").touch()
    path.with_suffix(".lock").touch()  # of no weight: a claim that nobody holds
    assert len(chaos_check.leftovers(uri, experiment=chaos.EXPERIMENT)) == 2


def test_the_page_tells_what_was_hit_and_what_differs() -> None:
    kills = chaos.schedule(2, seed=0, victims=("worker",))
    hits = [chaos.Hit(kill, 1, 2.0, f"epoch {kill.number}, starting") for kill in kills]
    part = report.make_part(
        hits, seed=0, sweeps=1, runs=4, invocations=1, seconds=60, differences=["run x is KILLED"]
    )
    page = report.to_markdown({"processes": part})
    assert "| worker | training, starting | 2 |" in page
    assert "- run x is KILLED" in page
    assert "Kills: 2; sweeps: 1; runs: 4; commands: 1; time: 60 s. Differences: 1." in page


@pytest.mark.slow
def test_a_sweep_survives_kills_to_the_bit(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, str(CHECKOUT / "scripts" / "chaos.py")),
            *("--kills", "4", "--seed", "1", "--output", str(tmp_path / "chaos.json")),
        ],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the same to the bit" in done.stdout

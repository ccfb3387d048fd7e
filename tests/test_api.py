"""Runs, sweeps and races of ``fitgap.Study``: they lead to the same record as the command."""

import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest
from hydra import initialize
from hydra.core.global_hydra import GlobalHydra

import fitgap
from fitgap import store
from fitgap.errors import RequestError

SMALL = {"architecture": "dense_softmax", "epochs": 1, "training": {"xla": False}}
BOUNDS = ("mean", "low", "high")
SMALL_WORDS = ("architecture=dense_softmax", "training.epochs=1", "training.xla=false")


@pytest.mark.parametrize("workers", [0, "two"])
def test_a_wrong_number_of_workers_is_refused(study, workers):
    with pytest.raises(RequestError, match="workers must be a whole number"):
        study.sweep(workers=workers)
    with pytest.raises(RequestError, match="at least one value"):
        study.sweep(seed=[])


def test_within_a_sweep_a_study_cannot_be_run(study, monkeypatch):
    monkeypatch.setenv("FITGAP_SWEEP", "{}")
    with pytest.raises(RequestError, match="runs a job of a sweep"):
        study.run()


def test_what_the_command_trained_answers_python_and_the_other_way_round(train, folder):
    words_of = ("dataset=digits", "tracking.experiment=doors", *SMALL_WORDS)
    first = train(*words_of, "seed=1")
    assert first.code == 0, first.err
    study = fitgap.Study("doors", data="digits", project=folder)
    [of_command] = study.runs()
    assert study.run(seed=1, **SMALL).id == of_command.id
    of_python = study.run(seed=2, **SMALL)
    again = train(*words_of, "seed=2")
    assert f"already finished: run {of_python.id}" in again.out
    assert [run.id for run in study.sweep(seed=[2, 1], **SMALL)] == [of_python.id, of_command.id]


def test_each_project_has_its_own_record(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        study = fitgap.Study("mine", data="digits", project=tmp_path / name)
        assert len(study.run(**SMALL).metrics) > 0
        assert len(study.runs()) == 1
        assert (tmp_path / name / "mlflow.db").is_file()


def test_a_run_shows_what_its_record_holds(study):
    run = study.run(architecture="dense_softmax", epochs=2, training={"xla": False})
    assert run.status == "FINISHED"
    gap = run.metrics["train/accuracy"] - run.metrics["val/accuracy"]
    assert run.metrics["gap/accuracy"] == pytest.approx(gap)
    assert list(run.history.index) == [1, 2]
    assert run.history["val/accuracy"].iloc[-1] == run.metrics["val/accuracy"]
    assert run.config.training.epochs == 2
    assert (run.artifacts / "config.yaml").is_file()
    assert run.predict(np.zeros((2, 8, 8), np.uint8)).sum(axis=1) == pytest.approx([1, 1])
    assert run.name in run._repr_html_()
    with pytest.raises(RequestError, match=r"predict takes shape \(n, 8, 8\), got \(3, 3\)"):
        run.predict(np.zeros((3, 3)))
    with pytest.raises(RequestError, match=r"takes an array of shape \(n, 8, 8\), not a table"):
        run.predict(pd.DataFrame({"a": [1.0]}))


def test_a_sweep_gives_its_runs_in_the_grids_order_and_compares_them(study, folder):
    runs = study.sweep(seed=range(2), optimizer=["sgd", "adam"], **SMALL)
    assert [(run.params["optimizer.name"], run.params["seed"]) for run in runs] == [
        (optimizer, seed) for seed in "01" for optimizer in ("sgd", "adam")
    ]
    assert runs.failures == 0
    compared = study.compare()
    frame = compared.to_frame()
    assert set(frame["optimizer"]) == {"sgd", "adam"}
    assert list(frame["n"]) == [2, 2]
    assert list(frame)[:5] == ["optimizer", "n", *(f"val/accuracy_{p}" for p in BOUNDS)]
    assert list(frame)[-1] == "time/fit_seconds_median"
    assert len(frame.columns) == 2 + 3 * 3 + 1  # of the metrics that the table shows
    seconds = [run.metrics["time/fit_seconds"] for run in compared.best.runs]
    assert frame["time/fit_seconds_median"][0] == pytest.approx(sum(seconds) / 2)
    assert len(compared.to_frame(everything=True).columns) > 50
    best = compared.best
    assert best.settings == {"optimizer": frame["optimizer"][0]}
    assert best.metrics["val/accuracy"] == pytest.approx(frame["val/accuracy_mean"][0])
    assert len(best.runs) == 2
    only = study.compare(where="optimizer=adam", metrics="val/loss", margin=0.5).to_frame()
    assert list(only["n"]) == [2]
    assert "val/loss_mean" in only
    assert "adam" in compared._repr_html_()
    assert "adam" in repr(compared)
    assert compared.report(folder / "r.html").read_text().startswith("<!")
    of_runs = runs.to_frame()
    assert set(of_runs["status"]) == {"FINISHED"}
    assert list(of_runs)[:6] == [
        "name", "status", "optimizer.name", "seed", "train/loss", "train/accuracy"
    ]  # fmt: skip
    columns = list(of_runs)
    assert columns.index("gap/accuracy") < columns.index("test/accuracy")
    assert columns.index("time/fit_seconds") < columns.index("dataset.name")
    assert {*runs[0].metrics, *runs[0].params} <= {*columns}


def test_a_failed_run_of_a_sweep_says_why_and_the_others_stand(study):
    runs = study.sweep(learning_rate=[0.1, 3e38], optimizer="sgd", **SMALL)
    assert [run.status for run in runs] == ["FINISHED", "FAILED"]
    assert runs.failures == 1
    assert "loss is nan" in runs[1].failure
    with pytest.raises(fitgap.DivergedError):
        study.run(learning_rate=2e38, optimizer="sgd", **SMALL)


def test_a_sweep_of_which_no_network_can_be_built_is_refused_and_leaves_nothing(
    study, folder, train, tracking_uri
):
    source = "def broken(x):\n    raise KeyError('mine')\n\n\ndef text(x):\n    return 'text'\n"
    (folder / "wrong_nets.py").write_text(source, encoding="utf-8")
    given = SMALL | {"architecture": ["wrong_nets.broken", "wrong_nets.missing"]}
    with pytest.raises(RequestError, match=r"KeyError: 'mine'.* first of 2 reasons"):
        study.sweep(**given)
    paths = "architecture=wrong_nets.text"
    where = ("tracking.experiment=study", f"tracking.uri={tracking_uri}")
    done = train("-m", "dataset=digits", paths, "seed=0,1", "training.epochs=1", *where)
    assert done.code == 2
    assert "error: architecture=text: " in done.err
    everything = store.find_runs(tracking_uri, experiment="study", statuses=store.ANY_STATUS)
    assert everything == []
    mixed = given | {"architecture": ["wrong_nets.broken", "dense_softmax"]}
    runs = study.sweep(**mixed)
    assert [run.status for run in runs] == ["FINISHED"]  # what can be trained has its turn
    assert runs.failures == 1
    other = mixed | {"architecture": ["wrong_nets.text", "dense_softmax"]}
    again = study.sweep(**other)  # and what is finished is an answer, too
    assert ([run.id for run in again], again.failures) == ([runs[0].id], 1)
    sys.modules.pop("wrong_nets")


def test_hydras_global_state_is_as_it_was(study):
    GlobalHydra.instance().clear()
    study.sweep(seed=[0], **SMALL)
    assert not GlobalHydra.instance().is_initialized()
    with initialize("../conf", version_base="1.2"):
        hydra = GlobalHydra.instance().hydra
        study.run(seed=0, **SMALL)
        assert GlobalHydra.instance().hydra is hydra


SCRIPT = """
import keras, numpy as np
import fitgap

print("script runs")
WIDTH = 4

def mine(x, depth=1):
    for _ in range(depth):
        x = keras.layers.Dense(WIDTH, activation="relu")(x)
    return x

x = np.random.default_rng(0).normal(size=(80, 3)).astype("float32")
keras.ops.add(x, x)  # TensorFlow has its threads by now
study = fitgap.Study("script", data=(x, (x[:, 0] > 0).astype(int)))
one = study.run(architecture=mine, epochs=1)
runs = study.sweep(architecture=[mine, "dense_softmax"], seed=range(2), epochs=1, workers=2)
print("same", runs[0].id == one.id, "failed", runs.failures, "of", len(runs))
"""


@pytest.mark.slow  # four processes with TensorFlow
def test_a_script_without_a_main_guard_is_not_run_by_its_workers(tmp_path):
    script = tmp_path / "study.py"
    script.write_text(textwrap.dedent(SCRIPT))
    for is_first in (True, False):  # the second time, all is there
        done = subprocess.run(
            [sys.executable, str(script)], capture_output=True, text=True, cwd=tmp_path, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("script runs") == 1
        assert "same True failed 0 of 4" in done.stdout
        assert ("[4/4] " in done.stdout) == is_first
    assert "4 finished before, 0 to train" in done.stdout


def test_a_study_races_and_shows_it(study):
    race = study.race(optimizer=["sgd", "adam"], budget=2, **SMALL)
    assert (race.word, race.rounds, race.runs) == ("undecided", 1, 2)
    assert set(race.to_frame()["candidate"]) == {"optimizer=sgd", "optimizer=adam"}
    assert race.plot().svg().startswith("<svg")
    with pytest.raises(RequestError, match="at least two candidates"):
        study.race(optimizer="sgd", **SMALL)

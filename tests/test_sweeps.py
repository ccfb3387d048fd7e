"""Sweeps as a person starts them: one parent run, a child per job, every failure listed."""

import re

import pytest

from fitgap import store
from fitgap.sweep import grid as sweeps

SMALL = ("architecture=dense_softmax", "training.epochs=1", "training.xla=false")
ALL = ("RUNNING", "FINISHED", "FAILED", "KILLED")
# Plain gradient descent at the edge of float32 is not finite after a few steps.
MIXED_RATES = "optimizer.learning_rate=3e38,0.1,2e38"


@pytest.fixture
def uri(tmp_path):
    """Return the URI of the database that `train` and `run_train` write to."""
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


def runs_by_role(uri):
    """Return parent runs and child runs."""
    parents, children = (
        store.find_runs(uri, experiment="fitgap", statuses=ALL, tags={"fitgap.role": role})
        for role in ("sweep", "run")
    )
    return parents, children


def assert_children_of(parent, children):
    for child in children:
        assert child.tags["fitgap.sweep"] == parent.run_id
        assert child.tags["mlflow.parentRunId"] == parent.run_id


def listed_failures(done):
    """Return the lines of the list of failures at the end of what a sweep said."""
    end = done.out.partition(" runs failed:\n")[2]
    return [line for line in end.splitlines() if line.startswith("  ")]


def test_a_sweep_on_a_new_database_is_a_parent_with_children_and_is_not_trained_twice(
    run_train, uri
):
    sweep = ("-m", "seed=0,1", *SMALL)
    done = run_train(*sweep)
    assert (done.code, done.err) == (0, "")
    assert "sweep of 2 runs: 0 finished before, 2 to train" in done.out
    (parent,), children = runs_by_role(uri)
    assert parent.status == "FINISHED"
    assert [child.status for child in children] == ["FINISHED", "FINISHED"]
    assert {child.params["seed"] for child in children} == {"0", "1"}
    assert len({child.tags["fitgap.identity"] for child in children}) == 2
    assert_children_of(parent, children)

    again = run_train(*sweep, interpreter=("-X", "importtime"))
    assert again.code == 0
    assert "sweep of 2 runs: 2 finished before, 0 to train" in again.out
    assert "compare them: " in again.out
    imported = {line.rpartition("|")[2].strip() for line in again.err.splitlines()}
    assert "sqlalchemy" in imported
    assert not imported & {"tensorflow", "keras", "mlflow"}
    parents, children = runs_by_role(uri)
    assert (len(parents), len(children)) == (1, 2)


def test_under_joblib_failures_are_listed_at_the_end_and_the_others_go_on(run_train, uri):
    done = run_train(
        "-m",
        "hydra/launcher=joblib",
        "hydra.launcher.n_jobs=2",
        "optimizer=sgd",
        MIXED_RATES,
        *SMALL,
    )
    assert done.code == 1
    assert "Traceback" not in done.err
    (parent,), children = runs_by_role(uri)
    assert parent.status == "FAILED"
    assert parent.tags["fitgap.failure"] == "2 of 3 runs failed"
    assert len(children) == 3
    assert_children_of(parent, children)
    for child in children:
        diverges = child.params["optimizer.learning_rate"] != "0.1"
        assert child.status == ("FAILED" if diverges else "FINISHED")
        assert ("fitgap.failure" in child.tags) == diverges
    shown_at_once = [line for line in done.out.splitlines() if ": FAILED, DivergedError" in line]
    assert len(shown_at_once) == 2
    listed = listed_failures(done)
    assert len(listed) == 2
    for line in listed:
        assert re.search(r"DivergedError: running/loss is \S+ in epoch 1", line)


def test_under_joblib_fail_fast_keeps_the_other_workers_from_further_jobs(run_train, uri):
    done = run_train(
        "-m",
        "hydra/launcher=joblib",
        "hydra.launcher.n_jobs=2",
        "hydra.sweeper.fail_fast=true",
        "optimizer=sgd",
        "optimizer.learning_rate=3e38,0.1,0.2",
        "seed=0,1,2,3",
        *SMALL,
    )
    assert done.code == 1
    not_started = re.search(r"(\d+) runs were not started \(hydra.sweeper.fail_fast\)", done.out)
    (parent,), children = runs_by_role(uri)
    assert parent.status == "FAILED"
    assert int(not_started[1]) == 12 - len(children)
    # Each worker was at a job when the first one failed, and another may have failed with it.
    assert len(children) <= 4
    assert {child.status for child in children} <= {"FAILED", "FINISHED"}


# In this process, where the basic launcher's jobs run too.


def test_a_failure_does_not_keep_the_basic_launcher_from_the_rest(train, uri):
    done = train("-m", "optimizer=sgd", MIXED_RATES, *SMALL)
    assert done.code == 1
    (parent,), children = runs_by_role(uri)
    assert parent.status == "FAILED"
    statuses = {child.params["optimizer.learning_rate"]: child.status for child in children}
    assert sorted(statuses.values()) == ["FAILED", "FAILED", "FINISHED"]
    assert statuses["0.1"] == "FINISHED"
    assert len(listed_failures(done)) == 2

    # Once more, what failed is tried again and what finished is not.
    again = train("-m", "optimizer=sgd", MIXED_RATES, *SMALL)
    assert again.code == 1
    assert "sweep of 3 runs: 1 finished before, 2 to train" in again.out


def test_the_same_job_twice_is_trained_once_under_the_name_of_what_varies(train, uri):
    done = train("-m", "seed=0,1,0", "training.batch_size=256", *SMALL)
    assert done.code == 0
    (parent,), children = runs_by_role(uri)
    assert sorted(child.params["seed"] for child in children) == ["0", "1"]
    lines = [line for line in done.out.splitlines() if line.startswith("[")]
    assert [line.split()[0] for line in lines] == ["[1/2]", "[2/2]"]
    assert all(
        re.search(r"val/accuracy 0\.\d{4}, gap/accuracy [+-]0\.\d{4}", line) for line in lines
    )
    assert parent.name == "sweep over seed"
    assert {child.name for child in children} == {"seed=0", "seed=1"}


def test_children_of_a_named_sweep_are_told_apart(run_train, uri):
    assert run_train("-m", "seed=0,1", "name='폭 비교'", *SMALL).code == 0
    (parent,), children = runs_by_role(uri)
    assert parent.name == "폭 비교"
    assert {child.name for child in children} == {"폭 비교: seed=0", "폭 비교: seed=1"}


@pytest.fixture
def planned_grids(monkeypatch):
    """Return the list of grids that would be run from now on."""
    grids = []

    def plan(grid, _settings, **_rest):
        grids.append([tuple(overrides) for overrides in grid])
        return []

    monkeypatch.setattr(sweeps, "run", plan)
    return grids


@pytest.mark.parametrize(
    ("preset", "varied", "number"),
    [
        ("quickstart", "optimizer", 3),
        ("optimizers", "optimizer", 8),
        ("architectures", "architecture", 5),
        ("remedies", "remedy", 11),
        ("learning_curve", "split.train_fraction", 9),
    ],
)
def test_a_preset_is_a_grid_over_three_seeds(train, planned_grids, preset, varied, number):
    assert train(f"sweep={preset}").code == 0
    (grid,) = planned_grids
    assert len(grid) == len(set(grid)) == 3 * number
    for job in grid:
        settings = dict(override.split("=", 1) for override in job)
        assert settings["seed"] in ("0", "1", "2")
        assert varied in settings


def test_a_preset_takes_further_overrides(train, planned_grids):
    assert train("sweep=quickstart", "dataset=fashion_mnist", "seed=7").code == 0
    (grid,) = planned_grids
    assert len(grid) == 3
    for job in grid:
        assert {"dataset=fashion_mnist", "seed=7"} <= set(job)


def test_a_sweep_says_once_what_to_know_of_its_data_and_metrics(run_train, tmp_path):
    rows = (f"{i},{i % 2 + i / 500},{'no' if i % 2 else 'yes'}" for i in range(100))
    (tmp_path / "rows.csv").write_text("\n".join(["id,a,y", *rows]), encoding="utf-8")
    data = ("dataset=table", f"dataset.path={tmp_path / 'rows.csv'}", "dataset.label=y")
    small = ("architecture=dense_softmax", "training.epochs=1", "training.xla=false")
    done = run_train("-m", *data, *small, "metrics=[accuracy,roc_auc]", "seed=0,1")
    assert (done.code, done.err) == (0, "")
    assert done.out.count("data: column 'id' is left out") == 1
    assert done.out.count("roc_auc takes long and is computed only at the end") == 1

"""The processes that the benchmark measures; nothing here is timed."""

import sys

import pytest
from sklearn.datasets import load_digits

from fitgap import store
from fitgap_lab.benchmark import bounds, measure
from fitgap_lab.benchmark.processes import BenchmarkError, Child, run
from fitgap_lab.benchmark.results import Case


def test_grid_has_every_architecture_at_every_batch_size():
    cases = {(case.architecture, case.batch_size) for case in measure.grid_cases()}
    assert {("cnn_small", 16), ("dense_relu_100", 1024), ("dense_softmax", 64)} <= cases
    assert len(cases) % 4 == 0


ECHO = """
from fitgap_lab.benchmark.processes import serve

class Echo:
    def repeat(self, *, word):
        print("this must not disturb the answers")
        return {"word": word}

    def fail(self):
        raise ValueError("no such thing")

serve(Echo())
"""


@pytest.fixture
def echo(tmp_path):
    (tmp_path / "echo_worker.py").write_text(ECHO)
    with Child("echo_worker", folder=tmp_path) as child:
        yield child


def test_child_answers_request_after_request(echo):
    assert [echo.ask("repeat", word=word)["word"] for word in ("one", "둘")] == ["one", "둘"]


def test_child_that_fails_is_reported_with_its_reason(echo):
    with pytest.raises(BenchmarkError, match="no such thing"):
        echo.ask("fail")


def test_command_with_another_exit_code_is_reported_with_its_output(tmp_path):
    with pytest.raises(BenchmarkError, match=r"(?s)exit code 3.*alas"):
        run([sys.executable, "-c", "print('alas'); exit(3)"], folder=tmp_path)


def test_command_runs_away_from_the_persons_record(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///precious.db")
    show = "import os; print(os.environ.get('MLFLOW_TRACKING_URI'))"
    _, output = run([sys.executable, "-c", show], folder=tmp_path)
    assert output == "None\n"


def test_engine_worker_trains_epochs_of_a_tiny_case(tmp_path):
    import numpy as np

    x, y = load_digits(return_X_y=True)
    np.save(tmp_path / "x.npy", (x[:200] * 15).astype(np.uint8).reshape(-1, 8, 8))
    np.save(tmp_path / "y.npy", y[:200])
    files = {"x": str(tmp_path / "x.npy"), "y": str(tmp_path / "y.npy")}
    case = Case("dense_softmax", "adam", 32, goal=1.0)
    with Child(measure.WORKERS, "engine", {"threads": 1}, folder=tmp_path) as child:
        built = child.ask("build", overrides=case.overrides, seed=0, **files)
        epochs = [child.ask("epoch") for _ in range(3)]
    assert built["way"] == "compiled+xla"
    assert built["first_seconds"] > 0
    assert epochs[0]["loss"] > epochs[1]["loss"] > epochs[2]["loss"]


def test_a_records_least_is_measured(tmp_path):
    overrides = [
        "dataset=digits",
        "architecture=dense_softmax",
        "training.epochs=1",
        f"tracking.uri={measure.database(tmp_path, 'record')}",
        "tracking.parent=none",
    ]
    with Child(bounds.WORKERS, "record", folder=tmp_path) as child:
        commits = child.ask("commits", overrides=overrides)["commits"]
        uri = f"sqlite:///{tmp_path / 'record' / 'mlflow.db'}"
        by_hand = child.ask("by_hand", overrides=overrides, uri=uri)["seconds"]
        saved = child.ask("saved", overrides=overrides)["seconds"]
        drawn = child.ask("drawn")["seconds"]
        composed = child.ask("composed", overrides=["dataset=digits"])["seconds"]
        new_database = child.ask("new_database")["seconds"]
        commit = child.ask("commit", path=str(tmp_path / "commits.db"))["seconds"]
    original, copy = store.find_runs(uri, experiment="fitgap")[::-1]
    assert copy.params == original.params
    assert copy.metrics == original.metrics
    assert commits > 3
    assert min(by_hand, saved, drawn, composed, new_database, commit) > 0


def test_bare_steps_count_the_arithmetic_of_an_epoch(tmp_path):
    import numpy as np

    np.save(tmp_path / "x.npy", np.zeros((64, 8, 8), np.uint8))
    np.save(tmp_path / "y.npy", np.arange(64) % 10)
    files = {"x": str(tmp_path / "x.npy"), "y": str(tmp_path / "y.npy")}
    with Child(bounds.WORKERS, "kernels", {"threads": 1}, folder=tmp_path) as child:
        dense = child.ask("steps", overrides=["training.batch_size=32"], **files)
        convolved = child.ask(
            "steps", overrides=["architecture=cnn_small", "training.batch_size=32"], **files
        )
    # 64 images through 64 x 100 without a gradient of the images, and 100 x 10 with one.
    assert dense["flop"] == 64 * 2 * (2 * 64 * 100 + 3 * 100 * 10)
    # 8 x 8 and 4 x 4 positions of the two convolutions, then 2 x 2 x 32 values.
    first, second = 64 * 9 * 16, 16 * 9 * 16 * 32
    ends = 2 * 2 * 32 * 64 + 64 * 10
    assert convolved["flop"] == 64 * 2 * (2 * first + 3 * (second + ends))
    assert dense["operations"] == 0
    assert convolved["operations"] > 0

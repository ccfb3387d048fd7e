"""conf/debug: quick runs that are to find a fault, and that never count as finished ones."""

import re

import numpy as np
import pytest

from fitgap import experiment, store
from fitgap.config import project
from fitgap.errors import RequestError
from fitgap.evaluation.scores import Partition, Partitions, beginning

OPTIONS = sorted(path.stem for path in (project.CONFIG_DIR / "debug").glob("*.yaml"))


@pytest.mark.parametrize("option", OPTIONS)
def test_no_earlier_debug_run_answers(compose, option, monkeypatch):
    def found(*_, **__):
        raise AssertionError("looked for an earlier run")

    monkeypatch.setattr(store, "find_runs", found)
    # Not even where it is asked for.
    planned = experiment.plan(compose(f"debug={option}", "tracking.reuse=true"))
    assert experiment.finished(planned) is None


def test_a_debug_run_has_another_identity(compose):
    plain = experiment.plan(compose("training.epochs=1"))
    debugged = experiment.plan(compose("debug=one_batch"))
    assert plain.identity != debugged.identity


def test_a_partition_begins_with_its_first_samples():
    x, y = np.arange(10.0)[:, None], np.arange(10)
    short = Partition(x[:3], y[:3])
    cut = beginning(Partitions(train=Partition(x, y), val=None, test=short), 4)
    assert cut.train.y.tolist() == [0, 1, 2, 3]
    assert cut.val is None
    assert cut.test.y.tolist() == [0, 1, 2]


def test_no_batch_is_refused(compose):
    with pytest.raises(RequestError, match=r"debug\.batches must be 1 or more, got 0"):
        compose("debug=one_batch", "debug.batches=0")


def test_debug_runs_are_recorded_apart(train, tmp_path):
    assert train("debug=one_batch").code == 0
    done = train("debug=one_batch")
    assert done.code == 0
    assert "compare:  a debug run is never compared\n" in done.out
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    runs = store.find_runs(uri, experiment="fitgap")
    assert [run.tags["fitgap.role"] for run in runs] == ["debug", "debug"]
    assert {run.params["train_samples"] for run in runs} == {"32"}
    assert store.find_runs(uri, experiment="fitgap", tags={"fitgap.role": "run"}) == []


def test_the_first_operation_without_a_number_is_named(train):
    done = train("debug=nan_check", "optimizer.learning_rate=1e38", "training.epochs=3")
    assert done.code == 1
    assert re.search(r"the output of the op \S+ has [-+]?(Inf|NaN)", done.err)

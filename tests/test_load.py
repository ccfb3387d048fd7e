"""The load script: made-up runs arrive as whole as real ones."""

import pytest

from fitgap import experiment, store
from fitgap.training import backend
from fitgap_lab.load import workers


def test_workers_record_whole_runs_each_once(compose, tracking_uri):
    backend.start(1)
    planned = experiment.plan(compose("dataset=digits", f"tracking.uri={tracking_uri}"))
    load = workers.record_runs(planned, workers=3, runs=7, seconds=60)
    assert (load.runs, load.failures) == (7, [])
    assert all(len(values) == 7 for values in load.seconds.values())
    runs = store.find_runs(tracking_uri, experiment=planned.config.tracking.experiment)
    assert {run.params["seed"] for run in runs} == {str(seed) for seed in range(7)}
    assert len({run.tags["fitgap.identity"] for run in runs}) == 7
    assert all("val/accuracy" in run.metrics for run in runs)


def test_no_run_begins_after_the_time(compose, tracking_uri):
    backend.start(1)
    planned = experiment.plan(compose("dataset=digits", f"tracking.uri={tracking_uri}"))
    load = workers.record_runs(planned, workers=2, runs=5, seconds=0)
    assert load.runs == 0
    assert store.find_runs(tracking_uri, experiment=planned.config.tracking.experiment) == []


@pytest.mark.parametrize("number", [0, 2])
def test_what_cannot_be_recorded_is_counted(compose, tracking_uri, monkeypatch, number):
    backend.start(1)
    planned = experiment.plan(compose("dataset=digits", f"tracking.uri={tracking_uri}"))
    real = experiment.interrupted

    def fails_for_one(plan):
        if plan.config.seed == number:
            raise OSError("no route")
        return real(plan)

    monkeypatch.setattr(experiment, "interrupted", fails_for_one)
    load = workers.record_runs(planned, workers=1, runs=3, seconds=60)
    assert (load.runs, load.failures) == (2, ["OSError: no route"])

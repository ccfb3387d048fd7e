"""The settings of a grid's jobs: what Hydra composes of each alone, but composed together."""

import os
import subprocess
import sys

import psutil
import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.errors import HydraException

from fitgap.config import project
from fitgap.errors import RequestError
from fitgap.sweep import composition


@pytest.fixture
def compose_job():
    """Return the function that a sweep composes a job's settings by."""

    def compose_overrides(overrides):
        with initialize_config_dir(str(project.CONFIG_DIR), version_base="1.3"):
            return hydra_compose("train", overrides)

    return compose_overrides


@pytest.mark.parametrize(
    "bound", ["split.seed=${seed}", "+tags.seed=${seed}", "name='no. ${seed}'"]
)
def test_settings_bound_to_the_seed_follow_it(compose, compose_job, bound):
    grid = [[f"seed={seed}", bound] for seed in (0, 1)]
    of_grid = list(composition.configs(grid, compose_job))
    assert of_grid == [compose(*overrides, task=None) for overrides in grid]


SETTINGS_OF_A_JOB = (
    [],
    ["training.epochs=3"],
    ["training.epochs=3", "training.epochs=4"],
    ["architecture.units=[20,10]", "seed=3"],
    ["architecture={title: A: {nested: not}}"],
    ["optimizer=sgd", "optimizer.learning_rate=1"],
    ["optimizer.learning_rate=1", "optimizer=sgd"],
    ["+optimizer.momentum=0.5", "optimizer=sgd"],
    ["training/early_stopping=on", "training.early_stopping.patience=2"],
    ["name='a, b'", "tags.question=width"],
    ["+tags.question='${optimizer.name}'"],
    ["split.fraction=0.3", "split.seed='${seed}'", "seed=5"],
    ["training/schedule=cosine", "optimizer.learning_rate=0.5"],
    ["training.schedule=null"],
    ["trainig.epochs=3"],
    ["training.epochs=abc"],
    ["optimizer=none_such"],
)


def settings_or_error(make):
    try:
        return make()
    except (RequestError, HydraException) as error:
        return str(error)


@pytest.mark.parametrize("job", SETTINGS_OF_A_JOB, ids=" ".join)
def test_settings_of_a_grid_are_those_of_its_jobs_alone(compose, compose_job, job):
    alone = settings_or_error(lambda: compose(*job, task=None))
    grid = [["optimizer=rmsprop"], job]
    assert settings_or_error(lambda: list(composition.configs(grid, compose_job))[1]) == alone


@pytest.mark.skipif(sys.platform != "linux", reason="composes in processes beside on Linux only")
def test_jobs_of_several_groups_are_composed_in_processes_beside(compose, monkeypatch, compose_job):
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)

    def compose_beside(job):
        assert os.getpid() != here
        return compose_job(job)

    here = os.getpid()
    grid = [[f"optimizer={name}", "seed=3"] for name in ("sgd", "adam", "rmsprop")]
    of_grid = list(composition.configs(grid, compose_beside))
    assert of_grid == [compose(*job, task=None) for job in grid]


def test_hydra_composes_jobs_of_the_same_groups_once(compose_job):
    composed = []

    def count(job):
        composed.append(job)
        return compose_job(job)

    grid = [
        [f"optimizer.learning_rate={rate}", f"seed={seed}"]
        for rate in (0.1, 0.2)
        for seed in (0, 1)
    ]
    rates = [settings.optimizer["learning_rate"] for settings in composition.configs(grid, count)]
    assert rates == [0.1, 0.1, 0.2, 0.2]
    assert composed == [[]]


def test_jobs_are_composed_where_a_process_beside_has_died(compose_job, monkeypatch):
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    here = os.getpid()

    def die_elsewhere(job):
        if os.getpid() != here:
            os._exit(9)
        return compose_job(job)

    grid = [["optimizer=sgd"], ["optimizer=adam"]]
    names = [settings.optimizer["name"] for settings in composition.configs(grid, die_elsewhere)]
    assert names == ["sgd", "adam"]


COMPOSE_FOR_LONG = """
import time
from fitgap.sweep import composition

def compose(job):
    time.sleep(0.1)
    print(flush=True)
    time.sleep(60)

list(composition.configs([["optimizer=sgd"], ["optimizer=adam"]], compose))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="composes in processes beside on Linux only")
def test_processes_that_compose_end_with_one_that_is_killed():
    with subprocess.Popen(
        [sys.executable, "-c", COMPOSE_FOR_LONG], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline()
        beside = psutil.Process(process.pid).children()
        assert beside
        process.kill()
    _, alive = psutil.wait_procs(beside, timeout=10)
    assert alive == []

"""What becomes of a sweep's jobs where workers die, with a launcher whose workers die as told."""

import pickle
import select
from collections.abc import Callable, Iterator, Sequence

import pytest
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from fitgap import experiment
from fitgap.config.schema import Config
from fitgap.sweep import dispatch, workers
from fitgap.sweep.job import Job, Outcome
from fitgap.sweep.workers import WorkerDiedError
from fitgap.tracking import setup, sweep_writer

SETTINGS = ("architecture=dense_softmax", "training.epochs=1", "training.xla=false")


class Workers:
    """A launcher of two workers; the jobs of some seeds kill theirs, and the other with it."""

    def __init__(self, children: Sequence[Job], *, deadly: dict[int, int]) -> None:
        self.launches: list[list[int]] = []
        self.numbers: list[range] = []
        self._by_overrides = {tuple(child.overrides): child for child in children}
        self._deaths_left = dict(deadly)

    def launch(self, jobs: Sequence[list[str]], first: int) -> list[JobReturn]:
        self.numbers.append(range(first, first + len(jobs)))
        children = [self._by_overrides[tuple(job)] for job in jobs]
        self.launches.append([child.plan.config.seed for child in children])
        returns = []
        for start in range(0, len(children), 2):
            pair = children[start : start + 2]
            for child in pair:
                if self._deaths_left.get(child.plan.config.seed, 0):
                    self._deaths_left[child.plan.config.seed] -= 1
                    self._leave_running(pair)
                    raise WorkerDiedError("a worker was killed")
            for child in pair:
                result = experiment.run(child.plan)
                outcome = Outcome(result.name, result, None)
                returns.append(JobReturn(status=JobStatus.COMPLETED, _return_value=outcome))
        return returns

    @staticmethod
    def _leave_running(children: Sequence[Job]) -> None:
        from mlflow import MlflowClient

        plan = children[0].plan
        client = MlflowClient(plan.uri)
        experiment_id = setup.prepare(plan.uri, plan.config.tracking.experiment)
        for child in children:
            parent = str(child.plan.config.tracking.parent)
            tags = {
                "fitgap.role": "run",
                "fitgap.sweep": parent,
                "fitgap.identity": child.plan.identity,
            }
            run_id = experiment.interrupted(child.plan)
            if run_id is None:
                client.create_run(experiment_id, tags=tags)
            else:
                client.update_run(run_id, status="RUNNING")


@pytest.fixture
def sweep(
    compose: Callable[..., Config], tracking_uri: str
) -> Iterator[tuple[list[Job], sweep_writer.SweepRecord]]:
    experiment_id = setup.prepare(tracking_uri, "fitgap")
    with sweep_writer.open_sweep(
        "sweep", uri=tracking_uri, experiment_id=experiment_id, experiment="fitgap"
    ) as parent:
        children = []
        for seed in range(5):
            overrides = [
                *SETTINGS,
                f"seed={seed}",
                f"tracking.uri={tracking_uri}",
                f"++tracking.parent={parent.run_id}",
            ]
            children.append(Job(overrides, experiment.plan(compose(*overrides))))
        yield children, parent


def test_a_job_that_always_kills_its_worker_fails_alone(
    sweep: tuple[list[Job], sweep_writer.SweepRecord],
) -> None:
    children, parent = sweep
    workers = Workers(children, deadly={0: 99})
    outcomes = dispatch.launch_all(children, workers.launch, parent=parent).values()
    # Twice among others, each time later; then the two that were running both times by themselves.
    assert workers.launches[0] == [0, 1, 2, 3, 4]
    assert workers.launches[1] == [2, 3, 4, 0, 1]
    assert [0] in workers.launches
    failed = [outcome for outcome in outcomes if outcome.failure]
    assert [outcome.failure for outcome in failed] == [
        "its worker died 3 times: a worker was killed"
    ]
    assert sum(outcome.result is not None for outcome in outcomes) == 4


def test_a_run_that_failed_without_a_reason_is_no_success(
    sweep: tuple[list[Job], sweep_writer.SweepRecord],
) -> None:
    children, parent = sweep
    plan = children[0].plan

    def launch(_jobs: Sequence[Sequence[str]], _first: int) -> Sequence[JobReturn]:
        from mlflow import MlflowClient

        client = MlflowClient(plan.uri)
        experiment_id = setup.prepare(plan.uri, plan.config.tracking.experiment)
        tags = {"fitgap.role": "run", "fitgap.identity": plan.identity}
        client.set_terminated(client.create_run(experiment_id, tags=tags).info.run_id, "FAILED")
        raise WorkerDiedError("a worker was killed")

    [outcome] = dispatch.launch_all(children[:1], launch, parent=parent).values()
    assert (outcome.result, outcome.failure) == (None, "FAILED")


def test_one_that_kills_its_worker_once_finishes(
    sweep: tuple[list[Job], sweep_writer.SweepRecord],
) -> None:
    children, parent = sweep
    workers = Workers(children, deadly={3: 1})
    outcomes = dispatch.launch_all(children, workers.launch, parent=parent).values()
    # What finished before is known from the store, and not launched again.
    assert workers.launches == [[0, 1, 2, 3, 4], [4, 2, 3]]
    assert workers.numbers == [range(5), range(2, 5)]
    assert sum(outcome.result is not None for outcome in outcomes) == 5


def test_under_fail_fast_a_dead_job_keeps_the_rest_from_starting(
    sweep: tuple[list[Job], sweep_writer.SweepRecord],
) -> None:
    children, parent = sweep
    workers = Workers(children[:2], deadly={0: 99})
    ended = dispatch.launch_all(children[:2], workers.launch, parent=parent, fail_fast=True)
    assert workers.launches == [[0, 1], [0, 1], [0]]
    assert [(outcome.result, outcome.failure is None) for outcome in ended.values()] == [
        (None, False),
        (None, True),
    ]


def test_an_answer_goes_through_a_pipe_in_one_piece():
    """Connection sends more than 16 KB in two pieces, and a worker can be killed between them."""
    from joblib.externals.loky.backend import reduction

    settings = OmegaConf.create({"a": "x" * 100_000})
    outcome = Outcome("net", None, "why")
    answer = JobReturn(
        ["seed=1"], settings, settings, "folder", "train", JobStatus.COMPLETED, outcome
    )
    workers.shorten_answers()
    sent = bytes(reduction.dumps(answer))
    assert len(sent) < select.PIPE_BUF
    received = pickle.loads(sent)
    assert (received.overrides, received.status) == (["seed=1"], JobStatus.COMPLETED)
    assert received.return_value == outcome
    assert pickle.loads(pickle.dumps(answer)).cfg == settings  # Hydra's callbacks may keep it

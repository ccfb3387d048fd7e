"""A job: a composed configuration in, an experiment run, its outcome printed and returned.

Alone, a job's error ends the command. In a sweep it must not end the others, so there it becomes
an outcome, which the sweep counts and lists at its end.
"""

import time
from dataclasses import dataclass

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn
from hydra.types import RunMode
from omegaconf import DictConfig

from fitgap import experiment, processes, store
from fitgap.config import project, settings
from fitgap.console import say
from fitgap.errors import RequestError, StoreAwayError, first_line
from fitgap.experiment import Plan, Result
from fitgap.sweep import endings, workers
from fitgap.tag_names import STOPPED_TAG
from fitgap.tracking import delivery, descriptions
from fitgap.training.pruning import PrunedError
from fitgap.trust.text import without_secrets


@dataclass(frozen=True)
class Job:
    """One run of a sweep or a search: the overrides that its launcher is handed, and their plan.

    Attributes
    ----------
    overrides
        Of its settings; as it is launched, also those that make it a child of the parent run.
    plan
        The experiment that the overrides of its settings make.
    """

    overrides: list[str]
    plan: Plan


@dataclass(frozen=True)
class Outcome:
    """How a sweep's job ended.

    Attributes
    ----------
    name
        Of the run.
    result
        None where it failed, was pruned or, after another's failure, was not started.
    failure
        Why it failed; None where it did not.
    printed
        The line that the job printed about it, for a launcher whose jobs print where nobody reads;
        empty where the sweep itself shows its runs.
    is_wrong
        Whether it failed because of a wrong request, such as a network that does not fit the data.
    """

    name: str
    result: Result | None
    failure: str | None
    printed: str = ""
    is_wrong: bool = False


class JobFailedError(Exception):
    """A job of a sweep failed; this tells Hydra, its callbacks and its launchers.

    Attributes
    ----------
    outcome
        How it ended.
    """

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)  # as its argument it is there after pickling, too
        self.outcome = outcome

    def __str__(self) -> str:
        """Return why it failed."""
        return f"{self.outcome.name}: {self.outcome.failure}"


def outcome_of(job: JobReturn) -> Outcome:
    """Return how a job of a sweep ended, from what its launcher returned.

    Raises
    ------
    Exception
        If it ended otherwise than `run_job` has it end.
    """
    value = job._return_value  # `return_value` raises what made it fail
    if isinstance(value, JobFailedError):
        return value.outcome
    outcome: Outcome = job.return_value
    return outcome


def run_job(composed: DictConfig) -> Outcome | Result:
    """Run one job and print its outcome.

    Raises
    ------
    JobFailedError
        If a job of a sweep fails. Alone, it raises what made it fail.
    """
    project.make_importable()
    hydra = HydraConfig.get()
    if hydra.mode == RunMode.MULTIRUN:
        fail_fast = bool(hydra.sweeper.get("fail_fast", False))
        return _run_in_sweep(composed, number=hydra.job.num, fail_fast=fail_fast)
    return _run_alone(composed)


def _run_alone(composed: DictConfig) -> Result:
    planned = experiment.plan(settings.from_hydra(composed))
    # Whether a network of a person's own compiles is known only when it is built.
    engine = "compiled, or Keras's model.fit if a layer is not known to compile"
    reason = engine if planned.choice.xla is None else planned.choice.reason
    say(f"{descriptions.run_name(planned.config)}: {reason}")
    for line in experiment.remarks(planned):
        say(line)
    store.check(planned.uri)
    delivery.deliver_waiting(planned.uri)
    result = experiment.finished(planned)
    if result is None:
        task = HydraConfig.get().overrides.task
        with endings.on_interruption(lambda: endings.say_run_stopped(planned, task)):
            result = experiment.run(planned)
    else:
        say(f"already finished: run {result.run_id} (tracking.reuse=false trains again)")
    say("\n".join(endings.of_run(result, planned)))
    return result


def _run_in_sweep(composed: DictConfig, *, number: int, fail_fast: bool) -> Outcome:
    processes.end_with_sweep()
    workers.shorten_answers()
    name = f"job {number}"
    planned: Plan | None = None
    started = time.perf_counter()

    def printed(ending: str) -> str:
        """Print how the job ended, unless the sweep itself shows it; return the line."""
        if planned is not None and planned.config.tracking.watched:
            return ""
        line = f"#{number} {name}: {ending}"
        say(line)
        return line

    try:
        planned = experiment.plan(settings.from_hydra(composed))
        name = descriptions.run_name(planned.config)
        if fail_fast and _is_stopped(planned):
            return Outcome(name, result=None, failure=None)
        result = experiment.run(planned)
    except PrunedError as error:
        return Outcome(name, result=None, failure=None, printed=printed(str(error)))
    except Exception as error:  # one job's failure, of any kind, leaves the others their turn
        # TensorFlow adds the graph, on hundreds of lines; the whole of it is not for a list.
        failure = without_secrets(f"{type(error).__name__}: {first_line(error)}")
        line = printed(f"FAILED, {failure}")
        if fail_fast and planned is not None and planned.config.tracking.parent:
            from fitgap.tracking import sweep_writer

            sweep_writer.stop_sweep(planned.uri, planned.config.tracking.parent)
        is_wrong = isinstance(error, RequestError) and not isinstance(error, StoreAwayError)
        outcome = Outcome(name, result=None, failure=failure, printed=line, is_wrong=is_wrong)
        raise JobFailedError(outcome) from error
    seconds = time.perf_counter() - started
    figures = endings.figures(result.metrics, next(iter(planned.config.metrics)))
    line = printed(f"{figures}, {seconds:.1f} s")
    return Outcome(name, result=result, failure=None, printed=line)


def _is_stopped(planned: Plan) -> bool:
    """Tell whether another job of the sweep failed since it was started."""
    stopped = planned.find_runs(statuses=("RUNNING",), tags={STOPPED_TAG: "true"})
    return planned.config.tracking.parent in {run.run_id for run in stopped}

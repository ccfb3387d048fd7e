"""What ``conf/hydra/launcher/`` needs besides the plugins of Hydra's own.

Hydra imports this module at every start, with the extras installed or not, so nothing of them is
imported here.
"""

import contextlib
import os
import subprocess
import time
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from hydra_plugins.fitgap_neighbours import is_fitgaps

POLL_SECONDS = 0.2
QUEUE_SECONDS = 2.0  # between two looks at Slurm's queue
CANCEL_SECONDS = 10.0
END_SECONDS = 3.0  # for a run to be ended in the record; a job that still loads does not listen

Call = tuple[Any, ...]  # the arguments of one job


# Configurations of launchers that were taken out of Hydra's store for fitgap's application.
_taken_out: dict[str, Any] = {}


class FitgapLauncherConfigs(SearchPathPlugin):
    """Has ``conf/hydra/launcher/`` stand for the configurations that the plugins register.

    Of two by the same name Hydra would take theirs for a schema of ours, and warn of it. The option
    ``ray_aws`` has no counterpart here; Hydra copies the store for every group it looks at, and
    that one is a third of it. In any other application they stay, or come back.
    """

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Take the plugins' out of the store, or put them back; the path stays as it is."""
        registered = ConfigStore.instance().repo["hydra"]["launcher"]
        if not is_fitgaps(search_path):
            registered.update(_taken_out)
            _taken_out.clear()
            return
        for name in ("ray", "ray_aws", "submitit_local", "submitit_slurm"):
            if f"{name}.yaml" in registered:
                _taken_out[f"{name}.yaml"] = registered.pop(f"{name}.yaml")


class RayLauncher(Launcher):
    """``hydra/launcher: ray``; jobs are Ray's tasks, and what each says is printed as it ends.

    The job is hydra-ray-launcher's. Its way of waiting leaves the output to Ray's forwarding, which
    comes late and loses the last lines when Ray is shut down.
    """

    def __init__(self, ray: DictConfig) -> None:
        self._settings = ray
        self._setup: tuple[HydraContext, TaskFunction, DictConfig] | None = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what a job needs."""
        self._setup = hydra_context, task_function, config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run the jobs and return what they return.

        Raises
        ------
        ray.exceptions.RayError
            At the first job that was lost more often than Ray tries it again.
        """
        import ray
        from hydra_plugins.hydra_ray_launcher._launcher_util import launch_job_on_ray

        from fitgap.console import say

        assert self._setup is not None, "Hydra sets a launcher up before it launches"
        hydra_context, task_function, config = self._setup
        if not ray.is_initialized():
            ray.init(**dict(self._settings.init))
        tasks = []
        for number, overrides in enumerate(job_overrides, initial_job_idx):
            settings = hydra_context.config_loader.load_sweep_config(config, list(overrides))
            with open_dict(settings):
                settings.hydra.job.num = number
                settings.hydra.job.id = f"job_{number}"
            state = Singleton.get_state()
            remote = self._settings.remote
            tasks.append(launch_job_on_ray(hydra_context, remote, settings, task_function, state))
        running = list(tasks)
        while running:
            (ended,), running = ray.wait(running)
            if printed := _printed_line(ray.get(ended)):
                say(printed)
        return [ray.get(task) for task in tasks]


class SubmititLauncher(Launcher):
    """Jobs that are processes of their own: submitted together, waited for, each by itself.

    The job is hydra-submitit-launcher's. Its way of waiting is not used: that gives up at the
    first job that was lost while others run on, leaves all of them behind on Ctrl-C, and on one
    machine starts the whole sweep at once.
    """

    cluster = ""

    def __init__(self, submitit_folder: str, **parameters: Any) -> None:
        self._folder = submitit_folder
        self._parameters = {
            name: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
            for name, value in parameters.items()
            if value is not None
        }
        self._job: Any = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Prepare what a job calls in its own process."""
        from hydra_plugins.hydra_submitit_launcher import submitit_launcher

        self._job = submitit_launcher.BaseSubmititLauncher()
        self._job.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run the jobs and return what they return.

        Raises
        ------
        WorkerDiedError
            When all have ended, if some gave no answer.
        """
        from fitgap.sweep.workers import WorkerDiedError

        state = Singleton.get_state()
        calls = [
            (list(overrides), "hydra.sweep.dir", number, f"job_{number}", state)
            for number, overrides in enumerate(job_overrides, initial_job_idx)
        ]
        jobs: list[Any] = []
        try:
            for ended in self._as_they_end(calls, jobs):
                _show_output(ended)
        except BaseException:
            self._cancel(jobs)
            raise
        # A job that failed outside of the run, as by a module its node has not, answers with that.
        lost = [j for j in jobs if not j.paths.result_pickle.exists() or j.exception() is not None]
        if lost:
            where = ", ".join(str(job.paths.stderr) for job in lost[:3])
            raise WorkerDiedError(f"{len(lost)} jobs ended without a result, see {where}")
        return [job.result() for job in jobs]

    @abstractmethod
    def _as_they_end(self, calls: Sequence[Call], jobs: list[Any]) -> Iterator[Any]:
        """Submit the calls, add their jobs to the list, and give each job that has ended."""

    def _cancel(self, jobs: Sequence[Any]) -> None:
        """End the jobs that have not ended, and wait a little until they have."""
        for job in jobs:
            job.cancel(check=False)
        deadline = time.monotonic() + CANCEL_SECONDS
        while self._running(jobs) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)

    @abstractmethod
    def _running(self, jobs: Sequence[Any]) -> list[Any]:
        """Return the jobs that wait or run."""

    def _executor(self, parameters: dict[str, Any], **limits: Any) -> Any:
        import submitit
        from hydra_plugins.hydra_submitit_launcher import config

        _make_private(Path(self._folder))
        executor = submitit.AutoExecutor(folder=self._folder, cluster=self.cluster, **limits)
        shared = set(config.BaseQueueConf.__dataclass_fields__)
        # submitit wants what belongs to one cluster marked by its name.
        named = {k if k in shared else f"{self.cluster}_{k}": v for k, v in parameters.items()}
        executor.update_parameters(**named)
        return executor


def _make_private(folder: Path) -> None:
    """Make the folder of submitit's files one that only this user can read and write.

    A job's file there has its settings as they are, with passwords, and is unpickled: whoever
    writes one runs code as this user.

    Raises
    ------
    RequestError
        If it belongs to somebody else.
    """
    from fitgap.errors import RequestError

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = folder.stat()
    if about.st_uid != os.getuid():
        raise RequestError(
            f"hydra.launcher.submitit_folder={folder} belongs to another user, who could change "
            "the jobs in it; name a folder of your own"
        )
    if about.st_mode & 0o077:
        folder.chmod(0o700)


class LocalLauncher(SubmititLauncher):
    """``hydra/launcher: submitit_local``; as many processes at once as there are cores.

    A terminal's Ctrl-C ends the sweep, and only the sweep ends its jobs.
    """

    cluster = "local"

    def __init__(self, jobs_at_once: int | None = None, **parameters: Any) -> None:
        super().__init__(**parameters)
        self._jobs_at_once = jobs_at_once or os.cpu_count() or 1

    def _as_they_end(self, calls: Sequence[Call], jobs: list[Any]) -> Iterator[Any]:
        from fitgap import processes

        executor = self._executor(self._parameters)
        waiting = list(calls)
        running: list[Any] = []
        while waiting or running:
            while waiting and len(running) < self._jobs_at_once:
                with processes.children_deaf_to_interrupts():
                    running.append(executor.submit(self._job, *waiting.pop(0)))
                jobs.append(running[-1])
            time.sleep(POLL_SECONDS)
            still = self._running(running)
            yield from (job for job in running if job not in still)
            running = still

    def _cancel(self, jobs: Sequence[Any]) -> None:
        """Ask the jobs to end, as the sweep's other signal does, and kill those that do not."""
        import psutil

        running = []
        for job in self._running(jobs):
            with contextlib.suppress(psutil.NoSuchProcess):
                controller = psutil.Process(int(job.job_id))
                running += [controller, *controller.children(recursive=True)]
                controller.terminate()  # which it hands on to its job
        _, alive = psutil.wait_procs(running, timeout=END_SECONDS)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(alive, timeout=END_SECONDS)

    def _running(self, jobs: Sequence[Any]) -> list[Any]:
        return [job for job in jobs if job.state == "RUNNING"]


class SlurmLauncher(SubmititLauncher):
    """``hydra/launcher: submitit_slurm``; one array, queued again at its time limit.

    Whether a job is still there is asked of ``squeue``. submitit asks ``sacct``, which not every
    cluster keeps, and then waits for a lost job for ever.
    """

    cluster = "slurm"

    def _as_they_end(self, calls: Sequence[Call], jobs: list[Any]) -> Iterator[Any]:
        parameters = dict(self._parameters)
        limit = parameters.pop("max_num_timeout", 0)
        executor = self._executor(parameters, slurm_max_num_timeout=limit)
        jobs += executor.map_array(self._job, *zip(*calls, strict=True))
        running = list(jobs)
        while running:
            time.sleep(QUEUE_SECONDS)
            still = self._running(running)
            yield from (job for job in running if job not in still)
            running = still

    def _running(self, jobs: Sequence[Any]) -> list[Any]:
        unanswered = [job for job in jobs if not job.paths.result_pickle.exists()]
        queue = ["squeue", "--noheader", "--array", "--format=%i", "--me"]
        answer = subprocess.run(queue, capture_output=True, text=True, check=False)
        if answer.returncode != 0:
            return unanswered  # the controller is away: nothing is known of them
        queued = set(answer.stdout.split())
        return [job for job in unanswered if job.job_id in queued]


def _printed_line(job: JobReturn) -> str:
    """Return the line that a job of fitgap printed about its run, even if the run failed."""
    value = job._return_value  # `return_value` would raise what made it fail
    return str(getattr(getattr(value, "outcome", value), "printed", ""))


def _show_output(job: Any) -> None:
    """Repeat what a job printed about its run; submitit's own lines stay in its files."""
    from fitgap.console import say

    lines = (job.stdout() or "").splitlines()
    if of_run := [line for line in lines if line.startswith("#")]:
        say("\n".join(of_run))

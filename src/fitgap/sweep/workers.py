"""A sweep's workers: Hydra's launchers in one form, what they need, how a dead worker shows.

What a launcher does is its plugin's business; see ``conf/hydra/launcher/``.
"""

import importlib.util
import os
import socket
import sys
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing import forkserver, resource_tracker
from typing import Any, Self

import psutil
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf

from fitgap import processes
from fitgap.errors import RequestError, first_line

# Extras of this package by the options that need them, and the modules that they bring.
_EXTRAS = {
    "ray": ("ray", ("ray", "hydra_plugins.hydra_ray_launcher")),
    "submitit_local": ("submitit", ("submitit", "hydra_plugins.hydra_submitit_launcher")),
    "submitit_slurm": ("submitit", ("submitit", "hydra_plugins.hydra_submitit_launcher")),
}
_ANSWER_SECONDS = 5.0
# Where the launchers have their number of jobs at once; null there stands for one per core.
_NUMBERS = ("n_jobs", "jobs_at_once", "array_parallelism", "ray.init.num_cpus")


class WorkerDiedError(RuntimeError):
    """A worker ended without an answer: killed, out of memory, its node gone.

    Its jobs can be handed out again, and go on from their checkpoints.
    """


def require(choice: str, settings: DictConfig) -> None:
    """Check that what ``hydra/launcher=choice`` needs is there.

    Raises
    ------
    RequestError
        Naming the extra to install, or the cluster's address where nothing answers.
    """
    extra, modules = _EXTRAS.get(choice, ("", ()))
    if any(importlib.util.find_spec(module) is None for module in modules):
        raise RequestError(
            f"hydra/launcher={choice} needs the extra {extra!r}, which is not installed: "
            f"make setup-extras, or pip install 'fitgap[{extra}]'"
        )
    address = str(OmegaConf.select(settings, "ray.init.address", default=""))
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdecimal():  # not auto, nor local; Ray itself would try for minutes
        try:
            socket.create_connection((host, int(port)), timeout=_ANSWER_SECONDS).close()
        except OSError as error:
            raise RequestError(
                f"hydra.launcher.ray.init.address={address}: no cluster answers there ({error}); "
                "start one with: ray start --head"
            ) from error


def jobs_at_once(settings: DictConfig) -> int:
    """Return how many jobs a launcher runs at the same time, as far as its settings tell."""
    given = [OmegaConf.select(settings, key, default=0) for key in _NUMBERS]
    number = next((number for number in given if number != 0), 1)
    cores = os.cpu_count() or 1
    if number is None:
        return cores
    # joblib's -1 stands for one per core, -2 for one less, and so on.
    return int(number) if number > 0 else max(1, cores + 1 + int(number))


class Workers:
    """What runs a sweep's jobs: a launcher, for as long as the sweep lasts.

    Parameters
    ----------
    launcher
        Set up by Hydra.
    number
        How many jobs it runs at once, see `jobs_at_once`.
    """

    def __init__(self, launcher: Launcher, number: int) -> None:
        self.number = number
        self._launcher = launcher
        self._is_joblib = type(launcher).__name__ == "JoblibLauncher"

    def __enter__(self) -> Self:
        """Have the imports of joblib's workers begin: in one process, which they are forked from.

        Elsewhere than on Linux not all libraries bear that, and each worker imports by itself.
        """
        processes.begin_sweep()
        if self._is_joblib and sys.platform == "linux":
            from joblib.externals.loky.backend import context

            context.set_start_method("forkserver", force=True)
            forkserver.set_forkserver_preload(["fitgap.sweep.worker_imports"])
            if self.number > 1:
                resource_tracker.ensure_running()  # it would take the block's end before it
                with processes.children_deaf_to_interrupts():
                    forkserver.ensure_running()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End joblib's workers at once; TensorFlow takes its time.

        After an error or an interrupt, joblib has ended those that it knows. One that the server
        forks later would find nothing of its sweep, and say so with a traceback.
        """
        processes.end_sweep()
        if kind is None and self._is_joblib:
            from joblib.externals import loky

            loky.get_reusable_executor(reuse=True).shutdown(kill_workers=True)
        elif self._is_joblib:
            _kill_fork_server()

    def launch(self, jobs: Sequence[Sequence[str]], first: int = 0) -> Sequence[JobReturn]:
        """Launch jobs, numbered from the first on; return their returns when all have ended.

        Raises
        ------
        WorkerDiedError
            If workers died. Nothing of this launch is running then.
        """
        try:
            with _without_main_file(), warnings.catch_warnings():
                # joblib replaces a worker whose memory has grown; its jobs are lost to nobody.
                warnings.filterwarnings("ignore", message="A worker stopped while some jobs")
                return self._launcher.launch(jobs, initial_job_idx=first)
        except _worker_deaths() as error:
            raise WorkerDiedError(first_line(error)) from error
        finally:
            if "ray" in sys.modules:
                # Whatever is still running ends here and not when this process does, so that the
                # caller can see to its record.
                sys.modules["ray"].shutdown()


def shorten_answers() -> None:
    """Have this process, if it is a worker of joblib's, answer without the settings of its jobs.

    With them, an answer has 18 KB, and Python sends more than 16 KB as two pieces: a worker that
    was killed between them left its sweep waiting for the second one for ever.
    """
    if loky := sys.modules.get("joblib.externals.loky.backend.reduction"):
        loky.register(JobReturn, _without_settings)


def _without_settings(job: JobReturn) -> str | tuple[Any, ...]:
    return replace(job, cfg=None, hydra_cfg=None).__reduce_ex__(2)


def _kill_fork_server() -> None:
    """End the process that joblib's workers are forked from, and those that it has forked."""
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            if "multiprocessing.forkserver" in " ".join(child.cmdline()):
                forked = child.children(recursive=True)
                child.kill()
                for worker in forked:
                    with suppress(psutil.NoSuchProcess):
                        worker.kill()


@contextmanager
def _without_main_file() -> Iterator[None]:
    """Hide what program this process runs from those that it starts.

    Python would run a script, but for what stands under ``if __name__ == "__main__"``, in each
    worker again. What a job needs of it reaches the job in other ways.
    """
    main = sys.modules["__main__"].__dict__
    kept: dict[str, Any] = {name: main[name] for name in ("__file__", "__spec__") if name in main}
    main.pop("__file__", None)
    main["__spec__"] = None
    try:
        yield
    finally:
        main.update(kept)


def _worker_deaths() -> tuple[type[Exception], ...]:
    """Return the errors by which joblib and, if it is imported, Ray report a dead worker."""
    if "ray" in sys.modules:
        return BrokenProcessPool, sys.modules["ray"].exceptions.RayError
    return (BrokenProcessPool,)

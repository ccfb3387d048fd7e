"""Kill a sweep's processes at drawn moments, again and again, until it has ended by itself.

What it is worth is said by `fitgap_lab.chaos.check`, which compares the record with that of a sweep
which nobody disturbed.
"""

import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil

from fitgap import processes, store
from fitgap.commands import exit_codes
from fitgap.config.project import CHECKOUT
from fitgap.tag_names import IDENTITY_TAG
from fitgap.training import checkpoints
from fitgap_lab.chaos.server import Server, database_uri

TRAIN = CHECKOUT / "scripts" / "train.py"
EXPERIMENT = "chaos"
EPOCHS = 120  # some seconds on the digits: long enough to be hit
SWEEP = (
    "-m",
    "hydra/launcher=joblib",
    "hydra.launcher.n_jobs=2",
    f"tracking.experiment={EXPERIMENT}",
    # One with random numbers and moving averages, one whose graph XLA compiles.
    "architecture=dense_batch_norm_dropout,dense_relu_100",
    "optimizer=adam",
    f"training.epochs={EPOCHS}",
)
SEEDS_PER_SWEEP = 2

MOMENTS = ("start", "training", "recording", "any")
START_SECONDS = 8.0  # until a worker has imported TensorFlow and compiled
RECORDING_SECONDS = 1.5  # from the last epoch to FINISHED
ANY_SECONDS = 20.0
AWAY_SECONDS = (1.0, 20.0)  # how long a killed server stays away
POLL_SECONDS = 0.005  # an epoch takes several of these
MOST_FAILURES = 5  # in a row, of a sweep that nobody killed
ENDING_SECONDS = 60.0  # for workers whose sweep was killed
BARE_BYTES = 55_000_000  # measured: Python and joblib 40 MB, with this package's jobs 69 MB


@dataclass(frozen=True)
class Kill:
    """One ``kill -9`` of the schedule.

    Attributes
    ----------
    number
        From 1.
    victim
        ``worker``, ``parent`` or ``server``.
    moment
        Of `MOMENTS`: while processes start, after some epochs, after a run's last epoch, or at a
        time that nothing but chance says.
    fraction
        In [0, 1): how far into the moment, and which of several workers.
    away
        Seconds until a killed server is started again.
    """

    number: int
    victim: str
    moment: str
    fraction: float
    away: float


@dataclass(frozen=True)
class Hit:
    """What a kill met: in which sweep, after how many seconds, and what the workers were doing."""

    kill: Kill
    sweep: int
    seconds: float
    doing: str


def schedule(number: int, *, seed: int, victims: Sequence[str]) -> list[Kill]:
    """Draw kills; every victim meets every moment as often as any other, in random order.

    Parameters
    ----------
    number
        Of kills, at least 1.
    seed
        The same seed draws the same schedule.
    victims
        Who is killed.
    """
    generator = np.random.default_rng(seed)
    pairs = [(victim, moment) for moment in MOMENTS for victim in victims]
    dealt = [pairs[i % len(pairs)] for i in range(number)]
    generator.shuffle(dealt)
    return [
        Kill(
            number=i,
            victim=str(victim),
            moment=str(moment),
            fraction=float(generator.random()),
            away=float(generator.uniform(*AWAY_SECONDS)),
        )
        for i, (victim, moment) in enumerate(dealt, 1)
    ]


def command(sweeps: range) -> list[str]:
    """Return the command of the sweeps of these numbers as one."""
    seeds = range(sweeps.start * SEEDS_PER_SWEEP, sweeps.stop * SEEDS_PER_SWEEP)
    return [sys.executable, str(TRAIN), *SWEEP, f"seed={','.join(map(str, seeds))}"]


class Chaos:
    """Sweeps into one database, disturbed.

    Parameters
    ----------
    folder
        Empty; the database, the artifacts and what the sweeps say are put there.
    kills
        In order.
    server
        Whether the sweeps write through an MLflow server.
    say
        Takes a line for each kill and each sweep.
    """

    def __init__(
        self, folder: Path, kills: Sequence[Kill], *, server: bool, say: Callable[[str], None]
    ) -> None:
        self.hits: list[Hit] = []
        self.sweeps = 0
        self.invocations = 0
        self._folder = folder
        self._waiting = deque(kills)
        self._say = say
        self._server = Server(folder) if server else None
        self.uri = self._server.uri if self._server else database_uri(folder)
        self._started = time.monotonic()
        self._spawned: dict[int, psutil.Process] = {}

    def run(self) -> list[str]:
        """Run sweep after sweep until no kill is left, each to its end; return what went wrong."""
        problems: list[str] = []
        with self._server or nullcontext():
            while self._waiting and not problems:
                self.sweeps += 1
                hits = len(self.hits)
                problems = self._to_its_end(command(range(self.sweeps - 1, self.sweeps)))
                if self._waiting and len(self.hits) == hits:
                    # It was over before the kill's moment, which comes earlier in the next one.
                    kill = self._waiting[0]
                    self._waiting[0] = replace(kill, fraction=kill.fraction / 2)
            if self._server is not None and not problems:
                # What could not be sent is delivered by the next command that uses the server.
                problems = self._to_its_end(command(range(self.sweeps)))
        left = self._left_over()
        return [*problems, *([f"{left} workers did not end"] if left else [])]

    def _to_its_end(self, arguments: Sequence[str]) -> list[str]:
        """Invoke the same command until it ends well, unless it fails again and again."""
        failures = 0
        while True:
            hits_before = len(self.hits)
            code = self._invoke(arguments)
            if code == 0:
                self._say(f"sweep {self.sweeps} ended by itself")
                return []
            failures = 0 if len(self.hits) > hits_before else failures + 1
            # Without its server, a command is refused.
            if failures == MOST_FAILURES or (
                code == exit_codes.WRONG_REQUEST and self._server is None
            ):
                return [f"sweep {self.sweeps} ended with {code}, which nobody disturbed"]

    def _invoke(self, arguments: Sequence[str]) -> int:
        self.invocations += 1
        if self._server is not None:
            self._server.wait()
        with (self._folder / "said.txt").open("ab") as output:
            process = subprocess.Popen(
                arguments,
                env={**os.environ, "MLFLOW_TRACKING_URI": self.uri},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            watch = Watch(self.uri)
            while process.poll() is None:
                workers = workers_of(process.pid)
                self._spawned |= {worker.pid: worker for worker in workers}
                if self._server is not None:
                    self._server.come_back()
                if self._waiting and watch.is_due(self._waiting[0], workers):
                    self._strike(self._waiting.popleft(), process, workers)
                    watch = Watch(self.uri)
                time.sleep(POLL_SECONDS)
        except BaseException:
            process.kill()
            self._left_over(patience=0)
            raise
        return process.returncode

    def _strike(
        self, kill: Kill, process: subprocess.Popen[bytes], workers: Sequence[psutil.Process]
    ) -> None:
        if kill.victim == "server":
            assert self._server is not None
            self._server.kill(away=kill.away)
        elif kill.victim == "parent":
            process.kill()
            process.wait()
        else:
            workers[int(kill.fraction * len(workers))].kill()
        doing = doing_of(workers, uri=self.uri, database=database_uri(self._folder))
        seconds = time.monotonic() - self._started
        self.hits.append(Hit(kill, self.sweeps, seconds, doing))
        self._say(
            f"{seconds:5.0f} s  kill {kill.number}: {kill.victim}, {doing} (drawn: {kill.moment})"
        )

    def _left_over(self, *, patience: float = ENDING_SECONDS) -> int:
        """Wait for the workers of killed sweeps and kill what does not end; return their number.

        Those that were never given a job do not count: bare interpreters, which nothing of this
        package is loaded in and joblib ends after some minutes.
        """
        working = [worker for worker in self._spawned.values() if _has_worked(worker)]
        _, left = psutil.wait_procs(working, timeout=patience)
        for worker in self._spawned.values():
            if worker.is_running():
                worker.kill()
        return len(left)


class Watch:
    """Whether a kill's moment has come; counted from the kill before it."""

    def __init__(self, uri: str) -> None:
        path = checkpoints.path_for("*", uri=uri, experiment=EXPERIMENT)
        self._folder, self._pattern = path.parent, f"{path.name}.npz"
        self._since = time.monotonic()
        self._recording_since: float | None = None
        self._worker_since: float | None = None
        self._seen = self._versions()
        self._epochs = 0

    def is_due(self, kill: Kill, workers: Sequence[psutil.Process]) -> bool:
        """Tell whether to strike now."""
        now = time.monotonic()
        if kill.victim == "worker":
            if not workers:
                return False
            self._worker_since = self._worker_since or now
        since = self._worker_since or self._since
        if kill.moment == "start":
            return now - since >= kill.fraction * START_SECONDS
        if kill.moment == "any":
            return now - since >= kill.fraction * ANY_SECONDS
        self._look(now)
        if kill.moment == "training":
            return self._epochs >= 1 + int(kill.fraction * EPOCHS)
        begun = self._recording_since
        return begun is not None and now - begun >= kill.fraction * RECORDING_SECONDS

    def _look(self, now: float) -> None:
        versions = self._versions()
        for path, version in versions.items():
            if self._seen.get(path) == version:
                continue
            self._epochs += 1
            done = checkpoints.epochs_done(path.with_suffix(""))
            if done == EPOCHS and self._recording_since is None:
                self._recording_since = now
        self._seen = versions

    def _versions(self) -> Mapping[Path, int]:
        versions = {}
        for path in self._folder.glob(self._pattern):
            try:
                versions[path] = path.stat().st_mtime_ns
            except FileNotFoundError:  # its run ended just now
                continue
        return versions


def workers_of(pid: int) -> list[psutil.Process]:
    """Return the joblib workers that a process has: forked from what it started for that."""
    try:
        children = psutil.Process(pid).children()
        servers = [c for c in children if "multiprocessing.forkserver" in " ".join(c.cmdline())]
        return [worker for server in servers for worker in server.children()]
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []  # one of them ended while they were looked at


def doing_of(workers: Sequence[psutil.Process], *, uri: str, database: str) -> str:
    """Say what a sweep's workers were doing at the moment of a kill.

    Where one dies, joblib ends the others. The runs are read from the database behind ``uri``,
    since a server may be away.
    """
    runs = store.find_runs(database, experiment=EXPERIMENT, statuses=("RUNNING",))
    identities = {
        run.tags.get(processes.PID_TAG): run.tags[IDENTITY_TAG]
        for run in runs
        if IDENTITY_TAG in run.tags
    }
    phrases = [_phase(identities.get(str(worker.pid)), uri) for worker in workers]
    return ", ".join(sorted(phrases)) or "no worker yet"


def _phase(identity: str | None, uri: str) -> str:
    if identity is None:
        return "starting"
    done = checkpoints.epochs_done(checkpoints.path_for(identity, uri=uri, experiment=EXPERIMENT))
    return f"epoch {done + 1}" if done < EPOCHS else "recording"


def _has_worked(worker: psutil.Process) -> bool:
    try:
        return bool(worker.memory_info().rss > BARE_BYTES)
    except psutil.NoSuchProcess:
        return False


def undisturbed(folder: Path, *, sweeps: int) -> str:
    """Run the same experiments as one sweep that nobody disturbs; return its store's URI."""
    uri = database_uri(folder)
    with (folder / "said.txt").open("ab") as output:
        subprocess.run(
            command(range(sweeps)),
            env={**os.environ, "MLFLOW_TRACKING_URI": uri},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=True,
        )
    return uri

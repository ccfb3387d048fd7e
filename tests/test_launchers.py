"""Every launcher runs a sweep as it stands, and loses none of it when a worker is killed hard.

Ray's cluster and Slurm are started for the test, on loopback, and ended with it.
"""

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from omegaconf import OmegaConf

from fitgap import processes, store
from fitgap.config import project
from fitgap.config.project import CHECKOUT
from fitgap.errors import RequestError
from fitgap.sweep import workers
from fitgap_lab.chaos import check

TRAIN = CHECKOUT / "scripts" / "train.py"
ALL = ("RUNNING", "FINISHED", "FAILED", "KILLED")
TIMEOUT = 500
SHORT = ("architecture=dense_softmax", "training.epochs=2")
# Long enough for a look into the store, and for a kill before the end.
LONG = ("architecture=dense_batch_norm_dropout", "training.epochs=25", "training.xla=false")
# Never at its end when the sweep is stopped, however busy the machine.
ENDLESS = (*LONG, "training.epochs=100000")

# Those of docs/CLUSTER.md.
SLURM_SETTINGS = (
    "hydra.launcher.partition=main",
    "hydra.launcher.timeout_min=120",
    "hydra.launcher.mem_gb=1",
)


def composed(*overrides: str):
    with initialize_config_dir(str(project.CONFIG_DIR), version_base="1.3"):
        return hydra_compose("train", list(overrides), return_hydra_config=True)


@pytest.mark.parametrize("name", ["basic", "joblib", "ray", "submitit_local", "submitit_slurm"])
def test_every_launcher_composes_without_a_warning(name):
    assert composed(f"hydra/launcher={name}").hydra.launcher._target_


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["hydra/launcher=basic"], 1),
        (["hydra/launcher=joblib", "hydra.launcher.n_jobs=3"], 3),
        (["hydra/launcher=joblib"], 8),
        (["hydra/launcher=joblib", "hydra.launcher.n_jobs=-2"], 7),
        (["hydra/launcher=ray"], 8),
        (["hydra/launcher=ray", "hydra.launcher.ray.init.num_cpus=5"], 5),
        (["hydra/launcher=submitit_local"], 8),
        (["hydra/launcher=submitit_local", "hydra.launcher.jobs_at_once=2"], 2),
        (["hydra/launcher=submitit_slurm", "hydra.launcher.array_parallelism=64"], 64),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_jobs_at_once_are_read_from_the_launchers_settings(overrides, expected, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert workers.jobs_at_once(composed(*overrides).hydra.launcher) == expected


@pytest.mark.parametrize(
    ("choice", "extra"),
    [("ray", "ray"), ("submitit_local", "submitit"), ("submitit_slurm", "submitit")],
)
def test_a_missing_extra_is_one_line_that_names_it(train, monkeypatch, choice, extra):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *_: None if extra in name else find(name, *_)
    )
    done = train("-m", f"hydra/launcher={choice}", "seed=0,1")
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert f"fitgap[{extra}]" in done.err
    with pytest.raises(RequestError, match=f"hydra/launcher={choice} "):
        workers.require(choice, OmegaConf.create())


@pytest.mark.parametrize("earlier", [None, 0o755, 0o777])
def test_submitits_files_are_for_this_user_only(tmp_path, earlier):
    pytest.importorskip("submitit")
    from hydra_plugins.fitgap_launchers import LocalLauncher

    folder = tmp_path / "state" / "submitit"
    if earlier is not None:
        folder.mkdir(parents=True)
        folder.chmod(earlier)
    LocalLauncher(submitit_folder=str(folder))._executor({})
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_of_submitit_that_is_somebody_elses_is_refused(tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    from hydra_plugins.fitgap_launchers import LocalLauncher

    tmp_path.chmod(0o755)
    other = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: other)
    with pytest.raises(RequestError, match="belongs to another user") as caught:
        LocalLauncher(submitit_folder=str(tmp_path))._executor({})
    assert "\n" not in str(caught.value)
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_a_cluster_that_does_not_answer_is_refused_before_anything_starts(train, tracking_uri):
    pytest.importorskip("ray")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"  # nobody listens
        done = train(
            "-m", "hydra/launcher=ray", f"hydra.launcher.ray.init.address={address}", "seed=0,1"
        )
    assert done.code == 2
    assert f"hydra.launcher.ray.init.address={address}: no cluster answers there" in done.err
    assert store.find_runs(tracking_uri, experiment="fitgap", statuses=("RUNNING", "FAILED")) == []


IDLE_WORKERS = """
import os, sys
import joblib
from fitgap.sweep import workers
from fitgap_lab.chaos import check

class JoblibLauncher:
    pass

with workers.Workers(JoblibLauncher(), 2):
    print(*set(joblib.Parallel(2)(joblib.delayed(os.getpid)() for _ in range(8))), flush=True)
    sys.stdin.read()  # until it is killed, or the test is gone
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="joblib's workers are forked on Linux only")
def test_workers_that_never_had_a_run_end_with_a_sweep_that_is_killed():
    with subprocess.Popen(
        [sys.executable, "-c", IDLE_WORKERS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as sweep:
        workers = [psutil.Process(int(pid)) for pid in sweep.stdout.readline().split()]
        assert workers
        sweep.kill()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert alive == []


STARTING_WORKERS = """
import sys
from multiprocessing import forkserver
from fitgap.sweep import workers

class JoblibLauncher:
    pass

with workers.Workers(JoblibLauncher(), 2):
    print(forkserver._forkserver._forkserver_pid, flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="joblib's workers are forked on Linux only")
def test_ctrl_c_while_workers_are_loading_shows_no_traceback_of_theirs():
    with subprocess.Popen(
        [sys.executable, "-c", STARTING_WORKERS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as sweep:
        server = psutil.Process(int(sweep.stdout.readline()))
        while not any("tensorflow" in one.path for one in server.memory_maps()):
            time.sleep(0.01)  # it is the first of what is imported
        os.killpg(sweep.pid, signal.SIGINT)  # as a terminal does
        sweep.wait(60)
        psutil.wait_procs([server], timeout=2)
        with contextlib.suppress(psutil.NoSuchProcess):
            server.kill()
        said = sweep.stderr.read()
    assert said.count("Traceback") == 1, said  # of the process that was interrupted
    assert "worker_imports" not in said


HEARING = """
import os, signal, sys, time
from fitgap import processes
os.kill(os.getpid(), signal.SIGINT)
processes.hear_interrupts()
print("deaf until now", flush=True)
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(10)
except KeyboardInterrupt:
    print("hears")
"""


def test_a_child_notices_no_interrupt_until_it_listens():
    with processes.children_deaf_to_interrupts():
        child = subprocess.Popen([sys.executable, "-c", HEARING], stdout=subprocess.PIPE, text=True)
    assert child.communicate(timeout=60)[0] == "deaf until now\nhears\n"
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


# Whole sweeps, in processes of their own.


class Sweep:
    """A sweep of scripts/train.py that runs in the background, and its store."""

    def __init__(self, folder: Path, *arguments: str, before=(), environment=None):
        self.uri = f"sqlite:///{folder / 'mlflow.db'}"
        self.process = subprocess.Popen(
            [*before, sys.executable, str(TRAIN), "-m", *arguments, f"tracking.uri={self.uri}"],
            # A process group, so that what it left behind can be found and ended.
            start_new_session=True,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def runs(self, role="run", statuses=ALL):
        tags = {"fitgap.role": role}
        return store.find_runs(self.uri, experiment="fitgap", statuses=statuses, tags=tags)

    def signal_a_worker(self, number, *, but=()):
        """Send a signal to the process of a run that is training, and return the run's id."""
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            for run in self.runs(statuses=("RUNNING",)):
                if "seed" in run.params and run.run_id not in but:
                    # Not one that ended with another, and says RUNNING until that is seen.
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(run.tags["fitgap.pid"]), number)
                        return run.run_id
            assert self.process.poll() is None, self.process.stdout.read()
            time.sleep(0.1)
        raise AssertionError("no run ever started")

    def end(self):
        """Wait for its end and return what it said."""
        return self.process.communicate(timeout=TIMEOUT)[0]

    def clear_away(self):
        """End what a failed test left behind."""
        if self.process.poll() is None:
            self.process.terminate()  # it cancels its jobs
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.communicate(timeout=60)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[..., Sweep]]:
    """Return a function that starts a sweep in the test's folder."""
    with contextlib.ExitStack() as stack:

        def start(*arguments, folder=tmp_path, **settings):
            sweep = Sweep(folder, *arguments, **settings)
            stack.callback(sweep.clear_away)
            return sweep

        yield start


def assert_one_parent_with_finished_children(sweep, number):
    (parent,), children = sweep.runs("sweep"), sweep.runs()
    assert parent.status == "FINISHED"
    assert [child.status for child in children] == ["FINISHED"] * number
    assert len({child.tags["fitgap.identity"] for child in children}) == number
    assert {child.tags["mlflow.parentRunId"] for child in children} == {parent.run_id}


def shown(said):
    """Return the lines that say how each run ended."""
    return re.findall(r"^\[\d+/\d+\] (.*?): train/accuracy", said, re.M)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["ray", "submitit_local"])
def test_a_job_whose_worker_is_killed_goes_on_in_another(start, launcher):
    pytest.importorskip(launcher.partition("_")[0])
    sweep = start(f"hydra/launcher={launcher}", "seed=0,1,2", *LONG)
    sweep.signal_a_worker(signal.SIGKILL)
    said = sweep.end()
    assert sweep.process.returncode == 0, said
    assert_one_parent_with_finished_children(sweep, 3)
    assert sorted(shown(said)) == ["seed=0", "seed=1", "seed=2"], said


OWN_NETWORK = """
import keras


class Noisy(keras.layers.Layer):
    def __init__(self, **settings):
        super().__init__(**settings)
        self.seeds = keras.random.SeedGenerator(3)

    def build(self, shape):
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False, name="calls")
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones", name="scale")

    def call(self, x, training=False):
        if not training:
            return x * self.scale
        self.calls.assign_add(1.0)
        return x * self.scale + 0.1 * keras.random.normal(keras.ops.shape(x), seed=self.seeds)


def noisy(x, width=24):
    h = keras.layers.Dense(width, activation="relu")(keras.layers.Flatten()(x))
    h = keras.layers.Dropout(0.2)(keras.layers.BatchNormalization()(h))
    return Noisy()(h)
"""
EVERYTHING = (
    "architecture=nets.noisy",
    "optimizer=adam",
    "+optimizer.use_ema=true",
    "training/schedule=cosine",
    "training/augmentation=shift_rotate",
    "training/early_stopping=on",
    "training.early_stopping.patience=5",
    "training.class_weight=balanced",
    "training.epochs=15",
    "tracking.experiment=fitgap",
    "seed=0,1,2",
)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "ray", "submitit_local"])
def test_kills_change_no_bit_with_everything_on(start, tmp_path, launcher):
    pytest.importorskip(launcher.partition("_")[0])
    records = []
    for name in ("undisturbed", "killed"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "nets.py").write_text(OWN_NETWORK)
        words = {"folder": folder, "environment": {project.VARIABLE: str(folder)}}
        if name == "undisturbed":
            sweep = start(*EVERYTHING, **words)
        else:
            sweep = start(f"hydra/launcher={launcher}", *EVERYTHING, **words)
            first = sweep.signal_a_worker(signal.SIGKILL)
            sweep.signal_a_worker(signal.SIGKILL, but=[first])
            time.sleep(3)  # a moment of an attempt after these
            sweep.process.kill()
            sweep.end()
            sweep = start(f"hydra/launcher={launcher}", *EVERYTHING, **words)
            sweep.signal_a_worker(signal.SIGKILL)
        said = sweep.end()
        assert sweep.process.returncode == 0, said
        records.append(check.read(folder / "mlflow.db", experiment="fitgap"))
    undisturbed, killed = records
    assert len(undisturbed.runs) == 3
    assert check.differences(killed, undisturbed, sweeps=1) == []
    assert check.leftovers(sweep.uri, experiment="fitgap") == []


DEADLY_NETWORK = """
import os
import signal

import keras


def harmless(x):
    return keras.layers.Flatten()(x)


def deadly(x):
    os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does for want of memory
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "settings"),
    [
        ("joblib", ()),
        # Ray's own attempts come before fitgap's, and each of them starts TensorFlow.
        ("ray", ("hydra.launcher.ray.remote.max_retries=0",)),
        ("submitit_local", ()),
    ],
    ids=["joblib", "ray", "submitit_local"],
)
def test_a_job_that_always_kills_its_worker_is_named_and_the_others_finish(
    start, tmp_path, launcher, settings
):
    pytest.importorskip(launcher.partition("_")[0])
    (tmp_path / "nets.py").write_text(DEADLY_NETWORK)
    sweep = start(
        f"hydra/launcher={launcher}",
        *settings,
        "architecture=nets.deadly,nets.harmless",
        "seed=0,1",
        "training.epochs=2",
        "tracking.experiment=fitgap",
        environment={project.VARIABLE: str(tmp_path)},
    )
    said = sweep.end()
    assert sweep.process.returncode == 1, said
    assert len(shown(said)) == 2, said
    assert "2 of 4 runs failed" in said
    named = re.findall(r"deadly rmsprop seed=(\d): (?:FAILED, )?its worker died 3 times", said)
    assert sorted(set(named)) == ["0", "1"], said
    (parent,), children = sweep.runs("sweep"), sweep.runs(statuses=("FINISHED",))
    assert parent.status == "FAILED"
    assert {child.params["architecture.name"] for child in children} == {"harmless"}


SWOLLEN_NETWORK = """
import os
import pathlib

import keras


def harmless(x):
    return keras.layers.Flatten()(x)


def swollen(x):
    pathlib.Path(os.environ["SMALL_GROUP"], "cgroup.procs").write_text(str(os.getpid()))
    held = b"x" * 2**30
    return keras.layers.Flatten()(x)
"""


@pytest.fixture
def small_group():
    """Make a group of processes that may take 200 MB more, and remove it afterwards."""
    group = Path("/sys/fs/cgroup/memory") / f"fitgap-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text("200M")
    except OSError as error:
        pytest.skip(f"no group of processes with a limit of memory can be made here: {error}")
    yield group
    group.rmdir()


@pytest.mark.slow
def test_a_job_that_the_kernel_kills_for_want_of_memory_is_named(start, tmp_path, small_group):
    (tmp_path / "nets.py").write_text(SWOLLEN_NETWORK)
    sweep = start(
        *("hydra/launcher=joblib", "architecture=nets.swollen,nets.harmless", "training.epochs=2"),
        "tracking.experiment=fitgap",
        environment={project.VARIABLE: str(tmp_path), "SMALL_GROUP": str(small_group)},
    )
    said = sweep.end()
    assert sweep.process.returncode == 1, said
    assert "Traceback" not in said
    assert "1 of 2 runs failed" in said
    reason = "its worker died 3 times: .* an excessive memory usage"
    assert re.search(f"swollen rmsprop seed=0: FAILED, {reason}", said), said
    (finished,) = sweep.runs(statuses=("FINISHED",))
    assert finished.params["architecture.name"] == "harmless"


def wait_for_the_end_of_group(number: int) -> bool:
    """Wait a little until a process group is empty; dead members stay until init has seen them."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.killpg(number, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def send_sigterm(sweep):
    sweep.process.send_signal(signal.SIGTERM)


def press_ctrl_c(sweep):
    """Send what a terminal sends: SIGINT to all processes of the command."""
    os.killpg(sweep.process.pid, signal.SIGINT)


@pytest.mark.slow
@pytest.mark.parametrize(("stop", "code"), [(send_sigterm, 143), (press_ctrl_c, 130)])
def test_an_interrupted_sweep_leaves_no_job_and_no_traceback_behind(start, stop, code):
    pytest.importorskip("submitit")
    sweep = start("hydra/launcher=submitit_local", "seed=0,1,2", *ENDLESS)
    while not sweep.runs(statuses=("RUNNING",)):
        time.sleep(0.1)
    stop(sweep)
    said = sweep.end()
    assert sweep.process.returncode == code, said
    assert "Traceback" not in said, said
    assert "fitgap sweep resume" in said, said
    assert [run.status for run in sweep.runs("sweep")] == ["KILLED"]
    assert {run.status for run in sweep.runs()} == {"KILLED"}
    assert wait_for_the_end_of_group(sweep.process.pid)


@pytest.mark.slow
def test_a_sweep_runs_on_an_existing_ray_cluster(start):
    pytest.importorskip("ray")
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("a network of its own for Ray, which listens on all addresses, needs root")
    # In namespaces of its own: nothing of it is seen from outside, and all of it ends with the
    # shell. Sockets' paths are limited to 107 characters, so the folder's is short.
    ray = Path(sys.executable).with_name("ray")
    with tempfile.TemporaryDirectory(prefix="ray-") as short:
        shell = (
            "ip link set lo up && "
            f"{ray} start --head --node-ip-address=127.0.0.1 --num-cpus=2 "
            f"--include-dashboard=false --disable-usage-stats >{short}/said && "
            '"$@"'
        )
        unshare = ("unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
        sweep = start(
            "hydra/launcher=ray",
            "hydra.launcher.ray.init.address=auto",
            "optimizer=sgd,adam",
            "seed=0,1",
            *SHORT,
            before=(*unshare, "bash", "-c", shell, "bash"),
            environment={"RAY_AUTH_MODE": "disabled", "RAY_TMPDIR": short},
        )
        said = sweep.end()
    assert sweep.process.returncode == 0, said
    assert_one_parent_with_finished_children(sweep, 4)
    assert len(shown(said)) == 4, said


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Start Slurm on loopback, one node of two cores, and return the environment that finds it."""
    missing = [n for n in ("munged", "slurmctld", "slurmd", "sbatch") if not shutil.which(n)]
    if missing:
        pytest.skip(f"{', '.join(missing)} not found: Debian's packages slurm-wlm and munge")
    if os.geteuid() != 0:
        pytest.skip("Slurm's daemons need root")
    # Slurm refuses a folder that others may write to, as /tmp is, on the way to munge's socket.
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/run"))
    (folder / "munge").mkdir(mode=0o755)
    key = folder / "munge" / "key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    host = socket.gethostname().partition(".")[0]
    munge = folder / "munge" / "socket"
    conf = folder / "slurm.conf"
    conf.write_text(f"""
ClusterName=fitgap
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={munge}
CredType=cred/munge
SlurmctldPort={free_port()}
SlurmdPort={free_port()}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
KillWait=5
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=3000
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
""")
    commands = [
        [
            "munged",
            "--foreground",
            "--force",
            f"--socket={munge}",
            f"--key-file={key}",
            f"--pid-file={folder}/munge/pid",
            f"--log-file={folder}/munge/log",
            f"--seed-file={folder}/munge/seed",
        ],
        ["slurmctld", "-D", "-f", str(conf)],
        ["slurmd", "-D", "-f", str(conf)],
    ]
    environment = {"SLURM_CONF": str(conf)}
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        for command in commands:
            log = stack.enter_context((tmp_path / f"{command[0]}.log").open("w"))
            daemon = subprocess.Popen(
                command, env={**os.environ, **environment}, stdout=log, stderr=log
            )
            stack.callback(daemon.wait, timeout=30)
            stack.callback(daemon.terminate)
            time.sleep(0.5)
        deadline = time.monotonic() + 60
        while "idle" not in (
            states := subprocess.run(
                ["sinfo", "--noheader", "--format=%t"],
                env={**os.environ, **environment},
                capture_output=True,
                text=True,
                check=False,
            ).stdout
        ):
            assert time.monotonic() < deadline, f"Slurm does not come up: {states}"
            time.sleep(0.5)
        yield environment


@pytest.mark.slow
def test_slurm_jobs_that_are_killed_or_preempted_go_on(slurm, start):
    pytest.importorskip("submitit")
    sweep = start(
        "hydra/launcher=submitit_slurm",
        *SLURM_SETTINGS,
        "seed=0,1,2",
        *LONG,
        environment=slurm,
    )
    # By this signal, Slurm has submitit know of its time limit or of pre-emption.
    preempted = sweep.signal_a_worker(signal.SIGUSR2)
    killed = sweep.signal_a_worker(signal.SIGKILL, but=[preempted])
    said = sweep.end()
    assert sweep.process.returncode == 0, said
    assert_one_parent_with_finished_children(sweep, 3)
    assert {preempted, killed} < {run.run_id for run in sweep.runs()}
    # The other one was queued again by Slurm, and never missing.
    assert "a worker died; 1 runs continue in new workers" in said
    assert len(shown(said)) >= 3, said

"""Places and environments that are not as usual; docs/FAULTS.md has the table of all faults."""

import errno
import http.server
import os
import resource
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path

import mlflow
import numpy as np
import pytest

from fitgap import experiment, memory, processes, store
from fitgap.comparison.ranking import compare_experiment
from fitgap.config.project import CHECKOUT
from fitgap.errors import OutOfMemoryError
from fitgap.store.server import is_away
from fitgap.training import checkpoints

SMALL = ("architecture=dense_softmax", "training.epochs=1", "training.engine=numpy")
TRAIN = str(CHECKOUT / "scripts" / "train.py")
FOLDERS = [
    *("a b", "it's", 'say "x"', "x=1", "archive (3)", "a,b", "-m", "$HOME"),
    "비교 실험",
]


def train_in(folder, *words, **settings):
    """Train a small network in a folder."""
    return run_in(folder, "train.py", *SMALL, *words, **settings)


def run_in(folder, script, *words, umask=-1, limits=None, **environment):
    """Run a script in a folder as a person there would; None takes a variable away."""
    env = {**os.environ, "FITGAP_PROJECT": None, "MLFLOW_TRACKING_URI": None, **environment}
    return subprocess.run(
        [sys.executable, CHECKOUT / "scripts" / script, *words],
        cwd=folder,
        env={key: value for key, value in env.items() if value is not None},
        umask=umask,
        preexec_fn=limits,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_of_any_name_takes_runs(name, tmp_path):
    folder = tmp_path / name
    (folder / ".fitgap").mkdir(parents=True)
    done = train_in(folder, "tracking.experiment=here")
    assert (done.returncode, done.stderr) == (0, "")
    (run,) = store.find_runs(f"sqlite:///{folder / 'mlflow.db'}", experiment="here")
    artifacts = folder / "mlartifacts"
    assert (artifacts / run.run_id / "artifacts" / "config.yaml").is_file()
    again = train_in(folder, "tracking.experiment=here")
    assert "already finished" in again.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [
        {"LANG": "C", "LC_ALL": "C"},
        {"HOME": None},
        {"HOME": "/nonexistent"},
        {"TERM": "dumb", "COLUMNS": "20"},
        {"PATH": "/nonexistent"},
        {"TZ": "Asia/Seoul"},
    ],
    ids=lambda environment: next(iter(environment)),
)
def test_an_environment_without_the_usual_trains(environment, tmp_path):
    (tmp_path / ".fitgap").mkdir()
    done = train_in(tmp_path, "tracking.experiment=here", "name='첫 실험 é'", **environment)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    (run,) = store.find_runs(f"sqlite:///{tmp_path / 'mlflow.db'}", experiment="here")
    assert run.name == "첫 실험 é"


@pytest.mark.slow
def test_a_person_who_keeps_files_to_herself_does_so_here(tmp_path):
    (tmp_path / ".fitgap").mkdir()
    done = train_in(tmp_path, "tracking.experiment=here", umask=0o077)
    assert (done.returncode, done.stderr) == (0, "")
    written = [path for path in tmp_path.rglob("*") if path.name != ".fitgap"]
    assert written
    for path in written:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


@pytest.mark.parametrize("flipped", [0, 7, 40, -30, -1])
def test_a_checkpoint_with_a_flipped_bit_is_no_other_checkpoint(flipped, tmp_path, capsys):
    path = tmp_path / "c"
    saved = checkpoints.Checkpoint([{"number": 1}], [np.arange(64.0)], [{"wait": 2}], False)
    checkpoints.save(path, saved)
    file = path.with_suffix(".npz")
    content = bytearray(file.read_bytes())
    content[flipped] ^= 4
    file.write_bytes(content)
    read = checkpoints.load(path)
    if read is None:
        assert "the training starts again" in capsys.readouterr().out
    else:  # a bit of the archive's own book-keeping
        assert read.epochs == saved.epochs
        np.testing.assert_array_equal(read.state[0], saved.state[0])


def test_the_folder_of_claims_may_disappear_while_a_run_trains(compose, tracking_uri, monkeypatch):
    from fitgap.tracking import run_writer

    folder = Path(tracking_uri.removeprefix("sqlite:///")).parent / ".fitgap"
    on_epoch = run_writer.RunRecord.on_epoch

    def remove_and_log(self, number, metrics):
        shutil.rmtree(folder, ignore_errors=True)
        on_epoch(self, number, metrics)

    monkeypatch.setattr(run_writer.RunRecord, "on_epoch", remove_and_log)
    settings = (*SMALL, "training.epochs=3", f"tracking.uri={tracking_uri}")
    result = experiment.run(experiment.plan(compose(*settings)))
    (run,) = store.find_runs(tracking_uri, experiment="fitgap")
    assert run.run_id == result.run_id


@pytest.mark.parametrize(
    ("soft", "hard", "code"), [(20, 20, 2), pytest.param(20, 512, 0, marks=pytest.mark.slow)]
)
def test_few_file_descriptors_are_said_or_mended(soft, hard, code, tmp_path):
    (tmp_path / ".fitgap").mkdir()

    def limits():
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    words = ("-m", "seed=0,1", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    done = train_in(tmp_path, *words, limits=limits)
    assert done.returncode == code, done.stderr
    if code:
        said = "error: this process may open 20 files at once, and fitgap needs 128: ulimit -n 128"
        assert done.stderr.splitlines() == [said]
        assert not (tmp_path / "mlflow.db").exists()


def at_most(gigabytes):
    """Return what limits the addresses of a process, as ``ulimit -v`` does."""
    most = int(gigabytes * 1e9)
    return lambda: resource.setrlimit(resource.RLIMIT_AS, (most, most))


@pytest.mark.parametrize("command", ["train.py", "data_report.py"])
def test_data_that_do_not_fit_into_memory_are_one_line(command, tmp_path):
    (tmp_path / ".fitgap").mkdir()
    images = np.lib.format.open_memmap(
        tmp_path / "x.npy", mode="w+", dtype=np.uint8, shape=(200_000, 150, 150)
    )
    del images  # 4.5 GB that take no room on the disk
    np.save(tmp_path / "y.npy", np.arange(200_000) % 3)
    words = ("dataset=npz", "dataset.path=x.npy", "dataset.label_path=y.npy")
    done = run_in(tmp_path, command, *words, limits=at_most(2))
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: dataset=npz needs more memory than the 2.0 GB of 'ulimit -v' (")
    assert not (tmp_path / "mlflow.db").exists()


GREEDY_NETWORKS = """
import keras
import numpy as np


def harmless(x):
    return keras.layers.Flatten()(x)


def in_numpy(x):
    np.ones(4 * 10**9)
    return harmless(x)


def in_weights(x):
    return keras.layers.Dense(1_000_000)(keras.layers.Dense(10_000)(harmless(x)))


def in_training(x):
    repeated = keras.layers.RepeatVector(10_000_000)(harmless(x))
    return keras.layers.GlobalAveragePooling1D()(repeated)
"""


@pytest.mark.slow
def test_runs_that_need_too_much_memory_are_named_and_the_others_finish(tmp_path):
    (tmp_path / ".fitgap").mkdir()
    (tmp_path / "nets.py").write_text(GREEDY_NETWORKS)
    greedy = ("in_numpy", "in_weights", "in_training")
    networks = ",".join(f"nets.{name}" for name in (*greedy, "harmless"))
    done = run_in(
        tmp_path,
        "train.py",
        *("-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", f"architecture={networks}"),
        *("training.epochs=1", "tracking.experiment=here"),
        limits=at_most(8),
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    listed = done.stdout.partition("3 of 4 runs failed:")[2]
    said = "OutOfMemoryError: the run needs more memory than the 8.0 GB of 'ulimit -v' ("
    for name in greedy:
        assert f"architecture=nets.{name}: {said}" in listed, done.stdout
    assert listed.count("(OOM when allocating tensor with shape[") == 2
    assert listed.count("(Unable to allocate 29.8 GiB for an array with shape") == 1
    assert "pictures need 70 GB of addresses" in done.stderr  # its library would end the process
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    (finished,) = store.find_runs(uri, experiment="here", tags={"fitgap.role": "run"})
    assert finished.params["architecture.name"] == "harmless"


class ResourceExhaustedError(Exception):
    """Called as TensorFlow's is."""


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "MemoryError"),
        (MemoryError("Unable to allocate 3 GiB"), "Unable to allocate 3 GiB"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "[Errno 12] Cannot allocate memory"),
        (
            ImportError("libtf.so: failed to map segment from shared object"),
            "libtf.so: failed to map segment from shared object",
        ),
        (
            ResourceExhaustedError(
                "Graph execution error:\n\nDetected at node a\n"
                "OOM when allocating tensor with shape[9] and type float on /job:localhost/0\n[op]"
            ),
            "OOM when allocating tensor with shape[9] and type float",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_too_little_memory_is_told_from_other_errors(error, reason):
    wrapped = ValueError("a network that cannot be built")
    wrapped.__cause__ = error
    with pytest.raises(OutOfMemoryError) as caught, memory.named_when_short("it", OutOfMemoryError):
        raise wrapped
    assert str(caught.value) == f"it needs more memory than there is ({reason})"


def test_other_errors_stay_what_they_are():
    with pytest.raises(ImportError), memory.named_when_short("it", OutOfMemoryError):
        raise ImportError("no such module")


PATCHED = """
import sys
{patch}
import runpy
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def train_patched(folder, patch, *words):
    """Train in a process of its own, in which something of the system is another."""
    done = subprocess.run(
        [sys.executable, "-c", PATCHED.format(patch=patch), TRAIN, *SMALL, *words],
        cwd=folder,
        env={**os.environ, "FITGAP_PROJECT": str(folder), "MLFLOW_TRACKING_URI": ""},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(("code", "words"), [("ENOLCK", ()), ("ENOSYS", ("-m", "seed=0,1"))])
def test_a_file_system_without_locks_is_named(code, words, tmp_path):
    (tmp_path / ".fitgap").mkdir()
    patch = f"""
import errno, fcntl, os
def fail(*_):
    raise OSError(errno.{code}, os.strerror(errno.{code}))
fcntl.flock = fcntl.lockf = fail
"""
    code_of_exit, said = train_patched(tmp_path, patch, *words)
    assert code_of_exit == 2, said
    assert len(said.splitlines()) == 1
    assert "is on a file system without locks" in said
    assert not list(tmp_path.glob("mlflow.db"))


def test_a_file_system_on_which_sqlite_gets_no_lock_is_named(tmp_path):
    (tmp_path / ".fitgap").mkdir()
    patch = """
import pathlib, sqlite3
real = sqlite3.connect
def connect(path, *arguments, **settings):
    if isinstance(path, pathlib.Path) and path.name == "mlflow.db.new":
        raise sqlite3.OperationalError("database is locked")
    return real(path, *arguments, **settings)
sqlite3.connect = connect
"""
    code_of_exit, said = train_patched(tmp_path, patch)
    assert code_of_exit == 2, said
    assert len(said.splitlines()) == 1
    assert "without the locks that SQLite needs (database is locked)" in said
    assert {path.name for path in tmp_path.glob("mlflow.db*")} <= {"mlflow.db.lock"}


SET_BACK = """
import time
from fitgap.training import checkpoints
real, real_ns, save, back = time.time, time.time_ns, checkpoints.save, [0]
def set_back_and_save(*arguments):
    back[0] = 7200
    save(*arguments)
checkpoints.save = set_back_and_save
time.time = lambda: real() - back[0]
time.time_ns = lambda: real_ns() - back[0] * 10**9
"""


@pytest.mark.slow
def test_a_clock_that_is_set_back_while_runs_train_changes_no_figure(tmp_path):
    figures = []
    for name, patch in (("steady", ""), ("back", SET_BACK)):
        folder = tmp_path / name
        (folder / ".fitgap").mkdir(parents=True)
        words = ("-m", "seed=0,1", "tracking.experiment=here")
        assert train_patched(folder, patch, *words)[0] == 0
        uri = f"sqlite:///{folder / 'mlflow.db'}"
        runs = store.find_runs(uri, experiment="here", tags={"fitgap.role": "run"})
        assert {run.status for run in runs} == {"FINISHED"}
        assert len(runs) == 2
        ids = [run.run_id for run in runs]
        histories = store.metric_histories(uri, run_ids=ids, keys=["val/loss", "train/loss"])
        figures.append(
            {run.params["seed"]: (run.metrics["test/loss"], histories[run.run_id]) for run in runs}
        )
        (experiment_found,) = compare_experiment(uri, experiment="here").sections
        assert sum(len(group.runs) for group in experiment_found.groups) == 2
    assert figures[0] == figures[1]


def test_a_clock_that_is_set_back_ends_no_run():
    here = processes.this_process()
    as_if = here | {processes.START_TAG: str(float(here[processes.START_TAG]) + 7200)}
    assert not processes.is_gone(as_if)
    assert processes.is_gone(as_if | {processes.SINCE_BOOT_TAG: "another start"})


class HalfAnswers(http.server.BaseHTTPRequestHandler):
    """Says how to reach MLflow, and of each page the first half."""

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        page = b'{"experiments": [{"experiment_id": "1", "name": "here", "arti'
        is_whole = self.path.endswith(("/version", "/health"))
        self.send_response(200)
        self.send_header("Content-Length", str(4 if is_whole else len(page) + self.server.missing))
        self.end_headers()
        self.wfile.write(b"3.14" if is_whole else page)
        self.close_connection = True

    def log_message(self, *_):
        pass


for method in ("GET", "POST"):
    setattr(HalfAnswers, f"do_{method}", HalfAnswers.answer)


@pytest.mark.parametrize("missing", [0, 500], ids=["no JSON", "cut off"])
def test_a_server_that_returns_half_a_page_is_named(missing, tmp_path):
    (tmp_path / ".fitgap").mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), HalfAnswers) as server:
        server.missing = missing
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = train_in(tmp_path, f"tracking.uri=http://127.0.0.1:{server.server_port}")
        client = mlflow.MlflowClient(f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(mlflow.MlflowException) as caught:
            client.search_experiments()
        server.shutdown()
    assert is_away(caught.value)  # what a run has to record then waits
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "does not answer as an MLflow server" in line

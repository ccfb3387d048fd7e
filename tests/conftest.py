"""What several tests share: a project of their own, composed settings, a store, the real data."""

import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

import fitgap
from fitgap.config import project, settings, tasks
from fitgap.config.schema import Config
from fitgap.data import datasets
from fitgap.training import backend

SCRIPTS = project.CHECKOUT / "scripts"
TRAIN = SCRIPTS / "train.py"
# The same examples each time, and no deadline on a busy machine.
hypothesis.settings.register_profile("fitgap", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("fitgap")

# Read before the environment is cleaned.
REAL_DATA = os.environ.get("FITGAP_DATA_DIR")


@dataclass(frozen=True)
class Finished:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session", autouse=True)
def isolated_project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the tests away from this checkout's state and from the machine's settings."""
    root = tmp_path_factory.mktemp("fitgap", numbered=False)  # the experiment's name, too
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "FITGAP_DATA_DIR"):
            patch.delenv(name, raising=False)
        patch.setenv("KERAS_HOME", str(root / "keras"))
        patch.setenv(project.VARIABLE, str(root))
        if "tensorflow" in sys.modules:
            # Later than its first operation, the number of threads could not be fixed.
            backend.start(threads=1)
        yield root


@pytest.fixture(autouse=True)
def errors_without_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take back what `exit_codes.run_command` does to the environment, before and after."""
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")


@pytest.fixture
def fresh_datasets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every load read the files, instead of the arrays that this process holds."""
    monkeypatch.setattr(datasets, "_load", datasets._load.__wrapped__)


@pytest.fixture
def real_data() -> Path:
    """Return the folder with the real MNIST and Fashion-MNIST, or skip the test."""
    if not REAL_DATA:
        pytest.skip("FITGAP_DATA_DIR is not set: no real data to test on")
    folder = Path(REAL_DATA).expanduser().absolute()
    for path in ("mnist.npz", "fashion-mnist/train-images-idx3-ubyte.gz"):
        if not (folder / path).is_file():
            pytest.skip(f"FITGAP_DATA_DIR={REAL_DATA} has no {path}")
    return folder


@pytest.fixture(scope="session")
def compose() -> Callable[..., Config]:
    """Return a function from overrides, as of the command line, to checked settings.

    They are completed as for a dataset of classes, unless another task or none is named.
    """

    def compose_settings(*overrides: str, task: str | None = "classes") -> Config:
        with initialize_config_dir(str(project.CONFIG_DIR), version_base="1.3"):
            composed = settings.from_hydra(hydra_compose("train", list(overrides)))
        return composed if task is None else tasks.resolve(composed, task)

    return compose_settings


@pytest.fixture(scope="session")
def plain_settings(compose: Callable[..., Config]) -> dict[str, Any]:
    """Return settings of a run in their plain form, not to be changed."""
    stopping = "training/early_stopping=on"
    return settings.to_plain(compose("architecture=dense", stopping, "tags={a: 1, b: 2}"))


@pytest.fixture(scope="session")
def template_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database with MLflow's tables and no experiment of ours: 4 s, so made once."""
    from fitgap.tracking import setup

    path = tmp_path_factory.mktemp("template") / "mlflow.db"
    setup.prepare(f"sqlite:///{path}", "Default")
    return path


@pytest.fixture
def tracking_uri(template_database: Path, tmp_path: Path) -> str:
    """Return an empty store of the test's own; artifacts go beside it."""
    return f"sqlite:///{shutil.copy(template_database, tmp_path / 'mlflow.db')}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project folder, in which a person works."""
    monkeypatch.setenv(project.VARIABLE, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def study(folder: Path, tracking_uri: str) -> fitgap.Study:
    """Return a study of the digits, in a project folder and a store of the test's own."""
    return fitgap.Study("study", data="digits", uri=tracking_uri, project=folder)


@pytest.fixture
def script(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, Any]]:
    """Return a function that runs a file of scripts/ in this process: its name, the arguments."""

    def run(name: str, *arguments: str) -> tuple[int, Any]:
        path = str(SCRIPTS / name)
        monkeypatch.setattr(sys, "argv", [path, *arguments])
        GlobalHydra.instance().clear()
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            runpy.run_path(path, run_name="__main__")
        return int(caught.value.code or 0), capsys.readouterr()

    return run


@pytest.fixture
def train(
    script: Callable[..., tuple[int, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Finished]:
    """Return a function that runs scripts/train.py in this process.

    Its database is ``mlflow.db`` in the test's folder, and does not exist yet.
    """
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")

    def train_here(*arguments: str) -> Finished:
        code, said = script("train.py", *arguments)
        return Finished(code, said.out, said.err)

    return train_here


@pytest.fixture
def run_train(tmp_path: Path) -> Callable[..., Finished]:
    """Return a function that runs scripts/train.py in a process of its own.

    Its database is ``mlflow.db`` in the test's folder.
    """
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"

    def run(*arguments: str, interpreter: tuple[str, ...] = ()) -> Finished:
        done = subprocess.run(
            [sys.executable, *interpreter, str(TRAIN), *arguments],
            env={**os.environ, "MLFLOW_TRACKING_URI": uri},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    return run

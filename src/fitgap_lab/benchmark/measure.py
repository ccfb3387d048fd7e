"""What the benchmark measures: epochs, a sweep, what a record and metrics cost, memory.

Everything that is compared runs in processes of its own, and the comparisons are interleaved:
one measurement of each way, then the next of each, so that a machine which grows slower or faster
does so for all. Ratios are taken within a round. Nothing here trains or imports TensorFlow, and
everything is written to a temporary folder. `fitgap_lab.benchmark.results` counts with it.
"""

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from fitgap.config.project import CONFIG_DIR
from fitgap.config.schema import DatasetConfig, SplitConfig
from fitgap.data import datasets, readers, splits
from fitgap.data.datasets import Dataset
from fitgap_lab.benchmark.processes import PROJECT_ROOT, BenchmarkError, Child, machine_cores, run
from fitgap_lab.benchmark.results import (
    PLAIN_FIT,
    Case,
    CaseTimes,
    EpochTimes,
    Memory,
    MetricTimes,
    RecordTimes,
    Sweep,
    SweepTimes,
    scale_up,
)

TRAIN = str(PROJECT_ROOT / "scripts" / "train.py")
WORKERS, LOOPS = f"{__package__}.workers", f"{__package__}.loops"

OPTIMIZERS = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam")
SWEEP_SEEDS = 4
TUNED = "fit, tuned"  # the way of `model.fit` that no plain script has
JAX = "JAX scan by hand"
METRICS = ("accuracy", "balanced_accuracy", "f1_macro", "roc_auc", "log_loss")
EPOCHS = 5
TRAINING = ("architecture=dense_relu_100", f"training.epochs={EPOCHS}", "training.batch_size=32")

CASES = (
    Case("dense_relu_100", "adam", 32, goal=8.0, jax=True),
    Case("dense_relu_512", "rmsprop", 128, goal=3.0),
    Case("dense_batch_norm_dropout", "adam", 64, goal=4.0),
    Case("cnn_small", "adam", 64, goal=2.5),
)
GRID_BATCH_SIZES = (16, 64, 256, 1024)


def grid_cases() -> tuple[Case, ...]:
    """Return every architecture of ``conf/`` with batch sizes from 16 to 1,024."""
    names = sorted(path.stem for path in (CONFIG_DIR / "architecture").glob("*.yaml"))
    return tuple(
        Case(name, "adam", batch_size, goal=1.0)
        for name in names
        for batch_size in GRID_BATCH_SIZES
    )


def real_dataset() -> str | None:
    """Return the dataset of the benchmark, or None if its files are not on this machine."""
    found = readers.fingerprint(DatasetConfig("fashion_mnist"))
    return None if found is None else "fashion_mnist"


def write_images(folder: Path, *, limit: int | None) -> tuple[Path, Path, str]:
    """Write the images whose epochs are timed to NumPy files.

    Parameters
    ----------
    folder
        Must exist.
    limit
        Use the first so many only; None for all 48,000.

    Returns
    -------
    x, y : Path
        uint8 images, int64 labels.
    description : str
        For the tables.
    """
    name = real_dataset()
    if name is None:
        # The time of a step does not depend on what the pixels show.
        random = np.random.default_rng(0)
        x = random.integers(0, 256, (48_000, 28, 28), np.uint8)
        y = random.integers(0, 10, 48_000)
        description = "random images of Fashion-MNIST's shape (its files are not here)"
    else:
        dataset, split = _load(name)
        x, y = dataset.x_train[split.train], dataset.y_train[split.train]
        description = "Fashion-MNIST's training partition"
    x, y = x[:limit], y[:limit]
    paths = folder / "x.npy", folder / "y.npy"
    np.save(paths[0], x)
    np.save(paths[1], y)
    return *paths, f"{len(x):,} images, {description}"


def _load(name: str) -> tuple[Dataset, splits.Split]:
    dataset = datasets.load(DatasetConfig(name))
    holdout = SplitConfig("holdout", validation_fraction=0.2, seed=42)
    return dataset, splits.split_dataset(dataset, holdout)


def measure_epochs(
    cases: Sequence[Case],
    *,
    rounds: int,
    folder: Path,
    limit: int | None = None,
    jax_python: str | None = None,
    tuned: bool = False,
) -> list[CaseTimes]:
    """Time epochs of several cases, each way of training in one process for all of them.

    Parameters
    ----------
    cases
        What to train.
    rounds
        Epochs timed per case and way, after one in which everything is compiled.
    folder
        For data and logs.
    limit
        Number of images; None for all.
    jax_python
        An interpreter that can import JAX; None leaves JAX out.
    tuned
        Whether `TUNED` takes part.
    """
    x, y, images = write_images(folder, limit=limit)
    files = {"x": str(x), "y": str(y)}
    results = []
    with ExitStack() as stack:
        children = {
            name: stack.enter_context(Child(WORKERS, *role, folder=folder))
            for name, role in epoch_variants().items()
            if tuned or name != TUNED
        }
        if jax_python is not None and any(case.jax for case in cases):
            jax = Child(f"{__package__}.jax_worker", folder=folder, python=jax_python)
            children[JAX] = stack.enter_context(jax)
        for case in cases:
            label = f"{case.architecture}, {case.optimizer}, batch {case.batch_size}"
            say(f"{label}: compiling")
            taking_part = {
                name: child for name, child in children.items() if case.jax or name != JAX
            }
            builds = {}
            for name, child in taking_part.items():
                how = (
                    {"batch_size": case.batch_size}
                    if name == JAX
                    else {"overrides": case.overrides}
                )
                builds[name] = child.ask("build", seed=0, **how, **files)
            seconds: dict[str, list[float]] = {name: [] for name in taking_part}
            for number in range(1, rounds + 1):
                for name, child in taking_part.items():
                    seconds[name].append(child.ask("epoch")["seconds"])
                say(f"{label}: round {number} of {rounds}")
            times = tuple(
                EpochTimes(
                    name,
                    builds[name].get("way", ""),
                    builds[name]["build_seconds"],
                    builds[name]["first_seconds"],
                    tuple(seconds[name]),
                )
                for name in taking_part
            )
            results.append(CaseTimes(case, images, times))
    return results


def epoch_variants() -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the ways of training with Keras, by name: the role of a worker and its settings."""
    cores = machine_cores()
    several = {f"fitgap, {cores} threads": ("engine", {"threads": cores})} if cores > 1 else {}
    float_pixels, uint8_pixels = PLAIN_FIT
    return {
        "fitgap, 1 thread": ("engine", {"threads": 1}),
        **several,
        float_pixels: ("fit", {"pixels": "float32", "tuned": False}),
        uint8_pixels: ("fit", {"pixels": "uint8", "tuned": False}),
        TUNED: ("fit", {"pixels": "uint8", "tuned": True}),
    }


def measure_sweep(*, rounds: int, runs: int, dataset: str, folder: Path) -> Sweep:
    """Time a sweep of six optimizers by four seeds: this project, and two plain loops.

    Parameters
    ----------
    rounds
        How often each of the three is done.
    runs
        How many of the sweep's runs the plain loops do; the rest is scaled up.
    dataset
        Its option.
    folder
        For data, databases and logs.
    """
    data = write_partitions(folder, name=dataset)
    grid = [(optimizer, seed) for seed in range(SWEEP_SEEDS) for optimizer in OPTIMIZERS]
    seconds: dict[str, list[float]] = {"fitgap": [], "manual": [], "autolog": []}
    with Child(WORKERS, "store", folder=folder) as store:
        for number in range(1, rounds + 1):
            prepared = database(folder, f"fitgap-{number}")
            store.ask("prepare", uri=prepared, experiment_name="fitgap")
            command = [sys.executable, TRAIN, *sweep_overrides(dataset), f"tracking.uri={prepared}"]
            seconds["fitgap"].append(run(command, folder=folder)[0])
            say(f"sweep {number} of {rounds}: this project, {seconds['fitgap'][-1]:.0f} s")
            for loop in ("manual", "autolog"):
                prepared = database(folder, f"{loop}-{number}")
                store.ask("prepare", uri=prepared, experiment_name="baseline")
                how = {"data": str(data), "uri": prepared}
                lifetime, of_runs = _time_loop(loop, how, grid=grid[:runs], folder=folder)
                seconds[loop].append(scale_up(lifetime, run_seconds=of_runs, total_runs=len(grid)))
                say(f"sweep {number} of {rounds}: {loop} loop, {seconds[loop][-1]:.0f} s")
    labels = {
        "fitgap": "fitgap",
        "manual": "Keras, logged by hand",
        "autolog": "Keras, mlflow autolog",
    }
    times = tuple(
        SweepTimes(
            labels[way],
            total_runs=len(grid),
            measured_runs=len(grid) if way == "fitgap" else min(runs, len(grid)),
            seconds=tuple(seconds[way]),
        )
        for way in seconds
    )
    return Sweep(dataset=dataset, times=times)


def sweep_overrides(dataset: str) -> list[str]:
    """Return what a command line says to ask for the sweep that is measured."""
    seeds = ",".join(str(seed) for seed in range(SWEEP_SEEDS))
    return [
        "-m",
        "hydra/launcher=joblib",
        f"dataset={dataset}",
        f"optimizer={','.join(OPTIMIZERS)}",
        f"seed={seeds}",
        *TRAINING,
    ]


def run_overrides(dataset: str) -> list[str]:
    """Return what a command line says to ask for the one run that is measured."""
    return [f"dataset={dataset}", "optimizer=adam", *TRAINING]


def database(folder: Path, name: str) -> str:
    """Return the URI of a database in a folder of its own, for the artifacts lie beside it."""
    (folder / name).mkdir()
    return f"sqlite:///{folder / name / 'mlflow.db'}"


def write_partitions(folder: Path, *, name: str) -> Path:
    """Write a dataset's partitions as the plain loops read them; return the file."""
    dataset, split = _load(name)
    x, y = dataset.x_train, dataset.y_train
    path = folder / "partitions.npz"
    np.savez(
        path,
        x_train=x[split.train],
        y_train=y[split.train],
        x_val=x[split.val],
        y_val=y[split.val],
        x_test=np.asarray(dataset.x_test),
        y_test=dataset.y_test,
    )
    return path


def _time_loop(
    loop: str, how: dict[str, str], *, grid: Sequence[tuple[str, int]], folder: Path
) -> tuple[float, list[float]]:
    """Do some runs in one process; return the seconds it lived and those of each run."""
    run_seconds = []
    with Child(LOOPS, loop, how, folder=folder) as child:
        child.ask("start")  # the first answer comes when everything is imported and loaded
        for optimizer, seed in grid:
            started = time.perf_counter()
            child.ask("run", optimizer=optimizer, seed=seed)
            run_seconds.append(time.perf_counter() - started)
    return child.lifetime, run_seconds


def measure_tracking(*, rounds: int, dataset: str, folder: Path) -> RecordTimes:
    """Time warm runs of five epochs with and without their record, in pairs in one process."""
    overrides = [
        *run_overrides(dataset),
        f"tracking.uri={database(folder, 'tracking')}",
        "tracking.reuse=false",  # the same run again and again, trained each time
    ]
    pairs = _time_pairs(
        "tracking",
        ("recorded", overrides),
        ("unrecorded", overrides),
        rounds=rounds,
        folder=folder,
    )
    return RecordTimes(dataset, *pairs)


def measure_metrics(*, rounds: int, dataset: str, folder: Path) -> MetricTimes:
    """Time warm runs with accuracy alone and with five metrics, in pairs in one process."""
    overrides = [*run_overrides(dataset), f"tracking.uri={database(folder, 'metrics')}"]
    of_each_epoch = "metrics.roc_auc.each_epoch=true"
    with_several = [*overrides, f"metrics=[{','.join(METRICS)}]", of_each_epoch]
    pairs = _time_pairs(
        "metrics",
        ("unrecorded", overrides),
        ("unrecorded", with_several),
        rounds=rounds,
        folder=folder,
    )
    return MetricTimes(dataset, METRICS, EPOCHS, *pairs)


def _time_pairs(
    what: str, *asked: tuple[str, list[str]], rounds: int, folder: Path
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Time two kinds of warm runs in turns in one process; return the seconds of either.

    Parameters
    ----------
    what
        Is measured, for those who wait.
    asked
        For either kind, a call of `fitgap_lab.benchmark.workers.Runs` and its overrides.
    rounds
        Pairs that count; one before them compiles, imports and sets up the database.
    folder
        For the log.
    """
    pairs = []
    with Child(WORKERS, "runs", folder=folder) as child:
        for number in range(rounds + 1):
            pairs.append([child.ask(call, overrides=words)["seconds"] for call, words in asked])
            say(f"{what}: pair {number} of {rounds}")
    first, second = zip(*pairs[1:], strict=True)
    return first, second


def measure_memory(*, runs: int, folder: Path) -> Memory:
    """Run many small experiments in one process, as a sweep orders them, and watch its memory.

    Each optimizer has four seeds and then the next has its turn, so that compiled functions are
    both used again and replaced.

    Raises
    ------
    BenchmarkError
        If this system does not say what a process's memory is.
    """
    if not Path("/proc/self/statm").exists():
        raise BenchmarkError("resident memory is read from /proc, which this system does not have")
    uri = database(folder, "memory")
    megabytes = []
    with Child(WORKERS, "runs", folder=folder) as child:
        for number in range(runs):
            overrides = [
                "dataset=digits",
                f"optimizer={OPTIMIZERS[number // SWEEP_SEEDS % len(OPTIMIZERS)]}",
                f"seed={number}",
                "training.epochs=1",
                f"tracking.uri={uri}",
                "tracking.parent=none",  # as in a sweep: without pictures
            ]
            megabytes.append(child.ask("recorded", overrides=overrides)["resident_mb"])
            if (number + 1) % 10 == 0:
                say(f"memory: {number + 1} of {runs} runs, {megabytes[-1]:.0f} MB")
    return Memory(tuple(megabytes))


def find_jax(python: str) -> bool:
    """Tell whether an interpreter can import JAX."""
    try:
        run([python, "-c", "import jax"], folder=Path.cwd())
    except (BenchmarkError, OSError):
        return False
    return True


def say(text: str) -> None:
    """Tell on stderr how far the benchmark is."""
    print(text, file=sys.stderr, flush=True)

"""What bounds the goals: the parts of each that no code of this project can leave out.

Each goal's own figure is measured again, in the same minutes as its parts; the parts of the
benchmark that measure it in several rounds stay what they are.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from fitgap_lab.benchmark import measure, single
from fitgap_lab.benchmark.processes import Child, machine_cores, run
from fitgap_lab.benchmark.results import Bounds, KernelTimes

SWEEP_RUNS = 2  # of the plain loops; the rest is scaled up
CASES = measure.CASES[1:]
WORKERS = f"{__package__}.bounds_workers"
# Names of what is timed.
IMPORT_TENSORFLOW, IMPORT_MLFLOW = "import tensorflow", "import mlflow"
IMPORTS = "all imports of a run"
COMPOSED = "Hydra's settings of a job"
NEW_DATABASE = "MLflow's new database"
COMPILED = "tracing and XLA's compiler"
TRAINED = "5 warm epochs, evaluated"
BY_HAND = "MLflow's client by hand"
SAVED = "MLflow's save_model"
DRAWN = "two pictures"
COMMIT = "an SQLite transaction"
_COMMANDS = {
    IMPORT_TENSORFLOW: "import tensorflow",
    IMPORT_MLFLOW: "import mlflow",
    IMPORTS: "import fitgap.sweep.worker_imports, mlflow.store.tracking.sqlalchemy_store",
}


def measure_bounds(*, rounds: int, dataset: str, folder: Path, limit: int | None) -> Bounds:
    """Measure goals and what they are made of, in about five minutes.

    Parameters
    ----------
    rounds
        Of the parts and of the warm runs; epochs and whole commands are measured once.
    dataset
        Of the runs.
    folder
        For data, databases and logs.
    limit
        Images of an epoch; None for all.
    """
    epochs = measure.measure_epochs(CASES, rounds=1, folder=folder, limit=limit)
    seconds = {
        name: tuple(run([sys.executable, "-c", code], folder=folder)[0] for _ in range(rounds))
        for name, code in _COMMANDS.items()
    }
    parts, commits = _record(rounds=rounds, dataset=dataset, folder=folder)
    return Bounds(
        epochs=tuple(epochs),
        kernels=_kernels(folder, limit=limit),
        sweep=measure.measure_sweep(rounds=1, runs=SWEEP_RUNS, dataset=dataset, folder=folder),
        single=single.measure_single(rounds=1, dataset=dataset, folder=folder),
        record=measure.measure_tracking(rounds=rounds, dataset=dataset, folder=folder),
        seconds=seconds | parts,
        commits=commits,
        cores=machine_cores(),
        optimizers=len(measure.OPTIMIZERS),
    )


def _kernels(folder: Path, *, limit: int | None) -> tuple[tuple[KernelTimes, ...], ...]:
    x, y, _ = measure.write_images(folder, limit=limit)
    found: list[list[KernelTimes]] = [[] for _ in CASES]
    for threads in dict.fromkeys((1, machine_cores())):
        with Child(WORKERS, "kernels", {"threads": threads}, folder=folder) as child:
            rates = child.ask("rates")
            for times, case in zip(found, CASES, strict=True):
                own = child.ask("steps", overrides=case.overrides, x=str(x), y=str(y))
                times.append(KernelTimes(threads=threads, **rates, **own))
                measure.say(f"bare steps: {case.architecture}, threads: {threads}")
    return tuple(map(tuple, found))


def _record(*, rounds: int, dataset: str, folder: Path) -> tuple[dict[str, tuple[float, ...]], int]:
    """Return what the parts of a run's training and of its record take, and its transactions."""
    uri = measure.database(folder, "bounds")
    overrides = [
        *measure.run_overrides(dataset),
        f"tracking.uri={uri}",
        "tracking.reuse=false",
        "tracking.parent=none",  # as in a sweep: without pictures
    ]
    path = str(folder / "commits.db")
    seconds: dict[str, list[float]] = {}
    with Child(WORKERS, "record", folder=folder) as child:
        first = child.ask("unrecorded", overrides=overrides)["seconds"]
        child.ask("recorded", overrides=overrides)  # makes the database
        commits = child.ask("commits", overrides=overrides)["commits"]
        asked: dict[str, Callable[[], dict[str, float]]] = {
            COMPOSED: lambda: child.ask("composed", overrides=measure.run_overrides(dataset)),
            NEW_DATABASE: lambda: child.ask("new_database"),
            TRAINED: lambda: child.ask("unrecorded", overrides=overrides),
            BY_HAND: lambda: child.ask("by_hand", overrides=overrides, uri=uri),
            SAVED: lambda: child.ask("saved", overrides=overrides),
            DRAWN: lambda: child.ask("drawn"),
            COMMIT: lambda: child.ask("commit", path=path),
        }
        for number in range(rounds + 1):
            for name, ask in asked.items():
                taken = ask()["seconds"]
                if number > 0:  # the first of each prepares what the others find
                    seconds.setdefault(name, []).append(taken)
            measure.say(f"parts of a run: round {number} of {rounds}")
    seconds[COMPILED] = [max(first - taken, 0.0) for taken in seconds[TRAINED]]
    return {name: tuple(taken) for name, taken in seconds.items()}, commits

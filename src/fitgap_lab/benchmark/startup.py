"""What the benchmark measures of commands that train nothing: how soon they answer."""

import re
import sys
from pathlib import Path

from fitgap_lab.benchmark.measure import (
    OPTIMIZERS,
    SWEEP_SEEDS,
    TRAIN,
    TRAINING,
    WORKERS,
    database,
    real_dataset,
    say,
    sweep_overrides,
)
from fitgap_lab.benchmark.processes import PROJECT_ROOT, BenchmarkError, Child, run
from fitgap_lab.benchmark.results import CommandTimes

COMPARE = str(PROJECT_ROOT / "scripts" / "compare.py")


def measure_startup(*, rounds: int, folder: Path) -> list[CommandTimes]:
    """Time commands that train nothing, and see whether they import TensorFlow all the same.

    Raises
    ------
    BenchmarkError
        If a command does not answer as it should.
    """
    commands = _startup_commands(folder)
    seconds: dict[str, list[float]] = {label: [] for label in commands}
    for number in range(1, rounds + 1):
        for label, (arguments, code, answer) in commands.items():
            taken, output = run([sys.executable, *arguments], folder=folder, expected=code)
            if answer not in output:
                raise BenchmarkError(f"{label} should say {answer!r}, but said:\n{output}")
            seconds[label].append(taken)
        say(f"start-up: round {number} of {rounds}")
    results = []
    for label, (arguments, code, _) in commands.items():
        watched = [sys.executable, "-X", "importtime", *arguments]
        _, output = run(watched, folder=folder, expected=code)
        imported = re.search(r"\| +tensorflow$", output, re.MULTILINE) is not None
        results.append(CommandTimes(label, tuple(seconds[label]), imports_tensorflow=imported))
    return results


def _startup_commands(folder: Path) -> dict[str, tuple[list[str], int, str]]:
    """Return, by name, the arguments, the exit code and a piece of the answer of each command.

    The runs that they ask for are put into a record first.
    """
    uri = database(folder, "startup")
    single = [f"dataset={real_dataset() or 'digits'}", "optimizer=adam", "seed=7"]
    finished = sweep_overrides("digits")
    grid = [
        [*TRAINING, f"optimizer={optimizer}", f"seed={seed}"]
        for optimizer in OPTIMIZERS
        for seed in range(SWEEP_SEEDS)
    ]
    hundred = [
        [f"optimizer={optimizer}", f"training.batch_size={batch_size}", f"seed={seed}"]
        for optimizer in OPTIMIZERS[:5]
        for batch_size in (16, 32, 64, 128)
        for seed in range(5)
    ]
    records = {"single": [single], "sweep": grid, "hundred": hundred}
    say("start-up: preparing a record of 125 runs")
    with Child(WORKERS, "store", folder=folder) as store:
        for name, runs in records.items():
            store.ask("fill", uri=uri, experiment_name=name, grid=runs)

    def tracking(name: str) -> list[str]:
        return [f"tracking.uri={uri}", f"tracking.experiment={name}"]

    compare = [COMPARE, "--uri", uri, "--experiment", "hundred"]
    return {
        "fitgap --help": (["-m", "fitgap", "--help"], 0, "train"),
        "train.py --help": ([TRAIN, "--help"], 0, "Groups"),
        "train.py optimizer=adm": ([TRAIN, "optimizer=adm"], 2, "did you mean adam"),
        "train.py training.epochs=0": (
            [TRAIN, "training.epochs=0"],
            2,
            "training.epochs must",
        ),
        "compare.py, 100 runs": (compare, 0, "batch_size"),
        "train.py, finished run": (
            [TRAIN, *single, *tracking("single")],
            0,
            "already finished",
        ),
        "train.py -m, 24 finished runs": (
            [TRAIN, *finished, *tracking("sweep")],
            0,
            "24 finished before",
        ),
    }

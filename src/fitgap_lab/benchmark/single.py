"""What one command costs from its start to its end, beside plain Keras logged by hand."""

import sys
import time
from pathlib import Path

from fitgap_lab.benchmark.measure import (
    LOOPS,
    TRAIN,
    WORKERS,
    database,
    run_overrides,
    say,
    write_partitions,
)
from fitgap_lab.benchmark.processes import Child, run
from fitgap_lab.benchmark.results import Single, SingleTimes

FIRST, SECOND, PLAIN = "fitgap, first command", "fitgap, second command", "Keras, logged by hand"


def measure_single(*, rounds: int, dataset: str, folder: Path) -> Single:
    """Time one run of five epochs: the first of an empty folder, another seed after it, a script.

    Parameters
    ----------
    rounds
        How often each is done, in turns.
    dataset
        Its option.
    folder
        For data, databases and logs.
    """
    data = write_partitions(folder, name=dataset)
    seconds: dict[str, list[float]] = {FIRST: [], SECOND: [], PLAIN: []}
    with Child(WORKERS, "store", folder=folder) as store:
        for number in range(1, rounds + 1):
            place = folder / f"single-{number}"
            (place / ".fitgap").mkdir(parents=True)  # which makes it a project folder
            for seed, way in enumerate((FIRST, SECOND)):
                command = [sys.executable, TRAIN, *run_overrides(dataset), f"seed={seed}"]
                seconds[way].append(run(command, folder=place)[0])
            prepared = database(folder, f"plain-{number}")
            store.ask("prepare", uri=prepared, experiment_name="baseline")
            how = {"data": str(data), "uri": prepared}
            started = time.perf_counter()
            with Child(LOOPS, "manual", how, folder=folder) as child:
                child.ask("run", optimizer="adam", seed=0)
            seconds[PLAIN].append(time.perf_counter() - started)
            say(f"single command: round {number} of {rounds}")
    return Single(dataset, tuple(SingleTimes(way, tuple(seconds[way])) for way in seconds))

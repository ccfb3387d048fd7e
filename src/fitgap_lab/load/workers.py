"""Workers that record made-up runs into a store, as fast as it takes them.

Each run asks and writes what a run of `fitgap.experiment` does, through the same functions, but
trains nothing: its figures are drawn, its model is a file of random bytes.
"""

import itertools
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from fitgap import experiment
from fitgap.experiment import Plan
from fitgap.tag_names import IDENTITY_TAG, ROLE_TAG
from fitgap.tracking import delivery, descriptions, run_writer, setup
from fitgap.tracking.outbox import Operation

EPOCHS = 5
MODEL_BYTES = 400_000  # of a dense network of 100 units on images of 28 x 28
FILE_BYTES = 20_000
STAGES = ("ask", "open", "epochs", "files", "model", "end", "whole")
_FIGURES = [
    f"{part}/{quantity}"
    for part in ("train", "val", "running", "gap")
    for quantity in ("loss", "accuracy")
]


@dataclass
class Load:
    """What the workers met; times in seconds, by stage.

    Attributes
    ----------
    seconds
        One value a run: ``ask`` whether it was done before and whether it was interrupted, ``open``
        it with its parameters, its ``epochs``, ``files``, ``model``, its ``end``, the ``whole``.
    failures
        What runs that could not be recorded said.
    elapsed
        From the first run's begin to the last one's end.
    """

    seconds: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in STAGES})
    failures: list[str] = field(default_factory=list)
    elapsed: float = 0.0

    @property
    def runs(self) -> int:
        """How many were recorded."""
        return len(self.seconds["whole"])


def record_runs(planned: Plan, *, workers: int, runs: int, seconds: float) -> Load:
    """Record made-up runs by several workers at once.

    Parameters
    ----------
    planned
        Settings and store of the runs; each has a seed of its own.
    workers
        Threads, each with one run at a time.
    runs
        In total.
    seconds
        After so many, no further run begins.
    """
    load = Load()
    setup.prepare(planned.uri, planned.config.tracking.experiment)
    numbers = itertools.count()
    lock = threading.Lock()
    started = time.perf_counter()

    def work() -> None:
        while time.perf_counter() - started < seconds:
            with lock:
                number = next(numbers)
            if number >= runs:
                return
            try:
                taken = _record(planned, number)
            except Exception as error:  # what breaks is what is looked for
                with lock:
                    load.failures.append(f"{type(error).__name__}: {error}".splitlines()[0])
                continue
            with lock:
                for stage, value in taken.items():
                    load.seconds[stage].append(value)

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    load.elapsed = time.perf_counter() - started
    return load


def _record(template: Plan, number: int) -> dict[str, float]:
    figures = random.Random(number)  # noqa: S311 - no secret
    identity = f"{number:08x}{figures.getrandbits(224):056x}"
    planned = replace(template, identity=identity, config=replace(template.config, seed=number))
    taken: dict[str, float] = {}

    @contextmanager
    def timed(stage: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        taken[stage] = time.perf_counter() - began

    with timed("whole"), tempfile.TemporaryDirectory(prefix="fitgap-") as name:
        with timed("ask"):
            experiment.finished(planned)
            experiment_id = setup.prepare(planned.uri, planned.config.tracking.experiment)
            experiment.interrupted(planned)
        description = descriptions.RunDescription(
            name=descriptions.run_name(planned.config),
            parameters={"engine": planned.choice.name, "engine_reason": planned.choice.reason},
            tags={ROLE_TAG: "run", IDENTITY_TAG: identity},
        )
        began = time.perf_counter()
        with run_writer.open_run(
            planned.config, description, uri=planned.uri, experiment_id=experiment_id
        ) as record:
            taken["open"] = time.perf_counter() - began
            with timed("epochs"):
                for epoch in range(1, EPOCHS + 1):
                    record.log_metrics({name: figures.random() for name in _FIGURES}, step=epoch)
                record.flush()
            files, model = _made_up_files(Path(name), figures)
            with timed("files"):
                record.log_artifacts(files)
            with timed("model"):
                sender = delivery.Delivery(
                    delivery.client_for(planned.uri), uri=planned.uri, run_id=record.run_id
                )
                content = {"experiment_id": experiment_id, "again": False}
                sender.send(Operation("model", content, model))
            began = time.perf_counter()
        taken["end"] = time.perf_counter() - began
    return taken


def _made_up_files(folder: Path, figures: random.Random) -> tuple[Path, Path]:
    files, model = folder / "files", folder / "model"
    files.mkdir()
    model.mkdir()
    (files / "history.csv").write_bytes(figures.randbytes(FILE_BYTES))
    (model / "model.keras").write_bytes(figures.randbytes(MODEL_BYTES))
    (model / "MLmodel").write_text(yaml.safe_dump({"flavors": {}}), encoding="utf-8")
    return files, model

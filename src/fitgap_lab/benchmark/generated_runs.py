"""A record of made-up runs, as large as wanted: to measure what a comparison costs.

The settings are real, the figures are drawn from a rule with noise; nothing is trained.
"""

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from fitgap.config import parameters
from fitgap.config import settings as config
from fitgap.errors import RequestError
from fitgap.tag_names import (
    COMMIT_TAG,
    DATASET_TAG,
    DIRTY_TAG,
    FAILURE_TAG,
    IDENTITY_TAG,
    ROLE_TAG,
    SPLIT_TAG,
)
from fitgap_lab.composition import settings_of

EXPERIMENT = "generated"
SEEDS = 3
EPOCHS = 5
FAILED_OF = 100  # one run in so many fails
OPTIMIZERS = (
    "adam", "adamw", "rmsprop", "nesterov", "momentum", "sgd", "adagrad", "adadelta",
)  # fmt: skip
ARCHITECTURES = ("dense_relu_512", "dense_relu_100", "dense_sigmoid_100", "dense_softmax")
CHUNK = 500  # runs per transaction
TABLES = ("experiments", "runs", "params", "tags", "metrics", "latest_metrics")
IMAGES = {"train_samples": "48000", "val_samples": "12000", "test_samples": "10000"}

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Variant:
    """A point of the grid without its seed: settings as recorded, and how good it is to be."""

    settings: Mapping[str, str]
    accuracy: float
    gap: float


def write(path: Path, *, runs: int) -> None:
    """Write runs into a fresh SQLite database in MLflow's layout.

    Parameters
    ----------
    path
        Must not exist.
    runs
        How many, >= 1; every `FAILED_OF`-th failed. Three seeds make a group.

    Raises
    ------
    RequestError
        If the file exists or its folder does not.
    """
    if path.exists():
        raise RequestError(f"--database must name a new file, got {path}")
    if not path.absolute().parent.is_dir():
        raise RequestError(f"--database names {path}, but its folder does not exist")
    fill(f"sqlite:///{path}", runs=runs)


def fill(uri: str, *, runs: int) -> None:
    """Write runs into a database that holds none of them yet; see `write`."""
    from fitgap.tracking import setup  # MLflow: its tables

    experiment_id = int(setup.prepare(uri, EXPERIMENT))
    engine = sa.create_engine(uri)
    schema = sa.MetaData()
    schema.reflect(engine, only=TABLES)
    made = _runs(runs)
    with engine.connect() as connection:
        while chunk := list(itertools.islice(made, CHUNK)):
            rows: dict[str, list[Row]] = {name: [] for name in TABLES[1:]}
            for number, variant, seed in chunk:
                _add(rows, number, variant, seed, experiment_id=experiment_id)
            for name, some in rows.items():
                connection.execute(schema.tables[name].insert(), some)
            connection.commit()
    engine.dispose()


def _runs(count: int) -> Iterator[tuple[int, _Variant, int]]:
    variants = _variants(math.ceil(count / SEEDS))
    for number in range(count):
        yield number, variants[number // SEEDS], number % SEEDS


def _variants(count: int) -> list[_Variant]:
    """Return points of a grid of optimizer, architecture, learning rate and batch size."""
    cells = len(OPTIMIZERS) * len(ARCHITECTURES)
    num_rates = math.ceil(math.sqrt(count / cells))
    num_sizes = math.ceil(count / (cells * num_rates))
    rng = np.random.default_rng(0)
    variants = []
    # Composed apart: a composition takes 0.1 s.
    optimizers = [_settings(f"optimizer={name}", without="architecture.") for name in OPTIMIZERS]
    networks = [_settings(f"architecture={name}", without="optimizer.") for name in ARCHITECTURES]
    for (i, optimizer), (j, network), rate, size in itertools.product(
        enumerate(optimizers), enumerate(networks), range(num_rates), range(num_sizes)
    ):
        base = optimizer | network
        changed = {
            "optimizer.learning_rate": f"{float(base['optimizer.learning_rate']) / (1 + rate):g}",
            "training.batch_size": str(32 + 16 * size),
        }
        accuracy = 0.89 - 0.004 * i - 0.01 * j - 0.002 * rate - 0.001 * size
        gap = 0.03 - 0.003 * i - 0.004 * j + rng.normal(0, 0.002)
        variants.append(_Variant(base | changed, accuracy, gap))
    return variants[:count]


def _settings(choice: str, *, without: str) -> dict[str, str]:
    overrides = ["dataset=fashion_mnist", choice, f"training.epochs={EPOCHS}"]
    flat = parameters.flatten(config.to_plain(settings_of(overrides)))
    return {k: parameters.to_text(v) for k, v in flat.items() if not k.startswith(without)}


def _add(
    rows: dict[str, list[Row]], number: int, variant: _Variant, seed: int, *, experiment_id: int
) -> None:
    run_id = f"{number:032x}"
    failed = number % FAILED_OF == FAILED_OF - 1
    started = 1_800_000_000_000 + 1000 * number
    rows["runs"].append(
        {
            "run_uuid": run_id,
            "name": f"generated {number}",
            "status": "FAILED" if failed else "FINISHED",
            "start_time": started,
            "end_time": started + 900,
            "lifecycle_stage": "active",
            "artifact_uri": f"file:///nowhere/{run_id}",
            "experiment_id": experiment_id,
            "source_type": "LOCAL",
            "user_id": "generated",
        }
    )
    params = {**variant.settings, **IMAGES, "seed": str(seed), "engine": "compiled+xla"}
    tags = {
        "mlflow.runName": f"generated {number}",
        COMMIT_TAG: "0" * 40,
        ROLE_TAG: "run",
        IDENTITY_TAG: f"{number:064x}",
        DATASET_TAG: "d" * 64,
        SPLIT_TAG: "5" * 64,
        DIRTY_TAG: "false",
    } | ({FAILURE_TAG: "DivergedError: the loss was nan in epoch 1"} if failed else {})
    rows["params"] += [{"run_uuid": run_id, "key": k, "value": v} for k, v in params.items()]
    rows["tags"] += [{"run_uuid": run_id, "key": k, "value": v} for k, v in tags.items()]
    if failed:
        return
    values = list(_history(variant, np.random.default_rng((number, seed))))
    for key, value, step in values:
        rows["metrics"].append(_metric(run_id, key, value, step, started))
    latest = {key: (value, step) for key, value, step in values}
    rows["latest_metrics"] += [
        _metric(run_id, key, value, step, started) for key, (value, step) in latest.items()
    ]


def _metric(run_id: str, key: str, value: float, step: int, timestamp: int) -> Row:
    return {
        "run_uuid": run_id,
        "key": key,
        "value": value,
        "step": step,
        "timestamp": timestamp,
        "is_nan": False,
    }


def _history(variant: _Variant, rng: np.random.Generator) -> Iterator[tuple[str, float, int]]:
    """Yield name, value and step of what a run logs: curves that level off, last figures."""
    accuracy = variant.accuracy + rng.normal(0, 0.002)
    gap = variant.gap + rng.normal(0, 0.001)
    for epoch in range(1, EPOCHS + 1):
        learned = 1 - 0.3 * math.exp(-epoch)
        val, train = accuracy * learned, (accuracy + gap) * learned
        scores = {
            "train/accuracy": train,
            "train/loss": 2 * (1 - train),
            "val/accuracy": val,
            "val/loss": 2 * (1 - val) + 0.01 * max(epoch - 3, 0),
            "gap/accuracy": train - val,
            "gap/loss": 2 * (train - val),
            "running/accuracy": train - 0.01,
            "running/loss": 2 * (1 - train) + 0.02,
        }
        for key, value in scores.items():
            yield key, value, epoch
    last = {
        "test/accuracy": val - 0.003,
        "test/loss": 2 * (1 - val) + 0.006,
        "test_gap/accuracy": train - val + 0.003,
        "test_gap/loss": 2 * (train - val) + 0.006,
        "best_epoch": float(EPOCHS),
        "time/fit_seconds": 2 + rng.exponential(0.5),
        "throughput/samples_per_second": 100_000.0,
    }
    for key, value in last.items():
        yield key, value, EPOCHS

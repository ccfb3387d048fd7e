"""Whether two databases hold the same runs, each once, each to the last bit.

Read from MLflow's tables and files themselves: what the rest of the package reads with would hide
a value that was logged twice.
"""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from fitgap.errors import RequestError
from fitgap.rerun import read_arrays
from fitgap.store.database import open_read_only
from fitgap.tag_names import IDENTITY_TAG, ROLE_TAG, SWEEP_IDENTITY_TAG
from fitgap.training import checkpoints

READY = 2  # as MLflow's table of models has it
# What a clock measured differs from run to run.
MEASURED = ("time/", "throughput/")
# Where the record is; everything else among the parameters is the experiment.
PLACES = ("tracking.uri",)

Value = tuple[int, float | str]  # step, and the value (nan as text: it equals nothing)


@dataclass
class Run:
    """A run as the tables have it.

    Attributes
    ----------
    run_id, status
        As MLflow has them.
    identity
        See `fitgap.experiment.Plan`; of a sweep's parent, that of the sweep.
    params
        All but `PLACES`.
    metrics
        Every value logged, by step, measured times left out; a value logged twice stands twice.
    models
        Per model, whether it is ready, and the digest of its arrays.
    files
        Names of its artifacts.
    """

    run_id: str
    status: str
    identity: str = ""
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, list[Value]] = field(default_factory=dict)
    models: list[tuple[bool, str]] = field(default_factory=list)
    files: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Record:
    """All of an experiment's runs: those that trained, and the sweeps' parents."""

    runs: Sequence[Run]
    parents: Sequence[Run]


def read(database: Path, *, experiment: str) -> Record:
    """Read an experiment's record from MLflow's SQLite database and the artifacts beside it."""
    with closing(open_read_only(database)) as opened:
        (number,) = opened.execute(
            "select experiment_id from experiments where name = ?", (experiment,)
        ).fetchone()
        heads = opened.execute(
            "select run_uuid, status, artifact_uri from runs "
            "where experiment_id = ? and lifecycle_stage = 'active'",
            (number,),
        ).fetchall()
        runs = {run_id: Run(run_id, status) for run_id, status, _ in heads}
        tags: dict[str, dict[str, str]] = defaultdict(dict)
        for run_id, key, value in opened.execute("select run_uuid, key, value from tags"):
            tags[run_id][key] = value
        for run_id, key, value in opened.execute("select run_uuid, key, value from params"):
            if run_id in runs and key not in PLACES:
                runs[run_id].params[key] = value
        for run_id, key, step, value, is_nan in opened.execute(
            "select run_uuid, key, step, value, is_nan from metrics order by step"
        ):
            if run_id in runs and not key.startswith(MEASURED):
                values = runs[run_id].metrics.setdefault(key, [])
                values.append((step, "nan" if is_nan or math.isnan(value) else value))
        for run_id, status, location in opened.execute(
            "select source_run_id, status, artifact_location from logged_models "
            "where lifecycle_stage = 'active'"
        ):
            if run_id in runs:
                file = _path(location, database) / "data" / "model.keras"
                runs[run_id].models.append((status == READY, weights_digest(file)))
    for run_id, _, location in heads:
        folder = _path(location, database)
        runs[run_id].files = frozenset(
            path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
        )
    trained: list[Run] = []
    parents: list[Run] = []
    for run_id, run in runs.items():
        is_parent = tags[run_id].get(ROLE_TAG) == "sweep"
        name = SWEEP_IDENTITY_TAG if is_parent else IDENTITY_TAG
        run.identity = tags[run_id].get(name, "")
        (parents if is_parent else trained).append(run)
    return Record(trained, parents)


def _path(location: str, database: Path) -> Path:
    parts = urlsplit(location)
    if parts.scheme == "mlflow-artifacts":  # kept by a server, beside its database
        return database.parent / "mlartifacts" / parts.path.lstrip("/")
    return Path(parts.path)


def weights_digest(file: Path) -> str:
    """Return the SHA-256 over all arrays of a saved model: weights, moments, random states."""
    try:
        arrays = read_arrays(file)
    except RequestError as error:
        return f"unreadable: {error}"
    digest = hashlib.sha256()
    for name, array in arrays.items():
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def differences(disturbed: Record, undisturbed: Record, *, sweeps: int) -> list[str]:
    """Return what is not as it should be with a disturbed record; nothing if all is well.

    Parameters
    ----------
    disturbed
        Must have each run of the other once, finished, with the same values and bits.
    undisturbed
        Of the same experiments.
    sweeps
        How many sweeps made the disturbed record: so many parents, all finished.
    """
    found = []
    expected = {run.identity: run for run in undisturbed.runs}
    counts = Counter(run.identity for run in disturbed.runs)
    found += [f"run {name[:8]} is missing" for name in expected.keys() - counts.keys()]
    found += [f"run {name[:8]} was not asked for" for name in counts.keys() - expected.keys()]
    found += [f"run {name[:8]} exists {n} times" for name, n in counts.items() if n > 1]
    for run in disturbed.runs:
        if run.identity in expected:
            name = run.identity[:8]
            found += [f"run {name}: {what}" for what in _of_run(run, expected[run.identity])]
    if len(disturbed.parents) != sweeps:
        found.append(f"{len(disturbed.parents)} parent runs for {sweeps} sweeps")
    for parent in disturbed.parents:
        if parent.status != "FINISHED":
            found.append(f"parent run {parent.run_id[:8]} is {parent.status}")
    return sorted(found)


def _of_run(run: Run, expected: Run) -> list[str]:
    found = []
    if run.status != "FINISHED":
        found.append(f"is {run.status}")
    names = sorted(run.params.keys() | expected.params.keys())
    found += [
        f"parameter {name} differs"
        for name in names
        if run.params.get(name) != expected.params.get(name)
    ]
    for key in sorted(run.metrics.keys() | expected.metrics.keys()):
        found += _of_metric(key, run.metrics.get(key, []), expected.metrics.get(key, []))
    if len(run.models) != 1:
        found.append(f"has {len(run.models)} models")
    for ready, digest in run.models:
        if not ready:
            found.append("its model is not ready")
        if digest not in {other for _, other in expected.models}:
            found.append("the arrays of its model differ")
    found += [f"artifact {name} is missing" for name in sorted(expected.files - run.files)]
    return found


def _of_metric(key: str, values: Sequence[Value], expected: Sequence[Value]) -> list[str]:
    steps, expected_steps = Counter(step for step, _ in values), {step for step, _ in expected}
    found = [f"{key} has {n} values at step {step}" for step, n in steps.items() if n > 1]
    missing = sorted(expected_steps - steps.keys())
    added = sorted(steps.keys() - expected_steps)
    found += [f"{key} lacks step {step}" for step in missing]
    found += [f"{key} has a step {step} of its own" for step in added]
    if not found and sorted(values, key=str) != sorted(expected, key=str):
        found.append(f"{key} has other values")
    return found


def leftovers(uri: str, *, experiment: str) -> list[str]:
    """Return the checkpoints, whole or half written, that runs of an experiment left behind."""
    path = checkpoints.path_for("*", uri=uri, experiment=experiment)
    found = [*path.parent.glob(f"{path.name}.npz"), *path.parent.glob(f"{path.name}.part")]
    return [f"a checkpoint was left over: {file.name}" for file in sorted(found)]

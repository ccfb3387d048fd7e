"""What makes two runs the same: everything that decides their bits, and nothing else.

The identity is computable without TensorFlow and, for data seen before, without reading them:
their digests are remembered under a key of the files' sizes and times.
"""

import functools
import hashlib
import importlib.metadata
import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from fitgap.config import project
from fitgap.config.schema import Config
from fitgap.config.settings import decisive, flatten, to_plain
from fitgap.data import checks, datasets, splits
from fitgap.training.engines.choice import EngineChoice

# The modules whose source decides a run's bits, as paths from this package: whatever `experiment`
# calls between the settings and the scores. What records, compares or prints a run is not among
# them, nor are the loops of `reference.naive`, which nothing calls.
RESULT_MODULES = (
    "config/checks",
    "config/own_code",
    "config/schema",
    "config/settings",
    "config/tasks",
    "data/cifar",
    "data/csv_file",
    "data/datasets",
    "data/disk_arrays",
    "data/image_folder",
    "data/images",
    "data/labels",
    "data/npz",
    "data/published",
    "data/splits",
    "evaluation/calibration",
    "evaluation/metrics",
    "evaluation/scores",
    "models/__init__",
    "models/architectures",
    "models/build",
    "models/network",
    "models/scaling",
    "reference/activations",
    "reference/arrays",
    "reference/batches",
    "reference/layers",
    "reference/losses",
    "reference/network",
    "reference/optimizers",
    "training/backend",
    "training/checkpoints",
    "training/engines/choice",
    "training/engines/compiled",
    "training/engines/keras_fit",
    "training/engines/numpy_reference",
    "training/engines/reference_settings",
    "training/loop",
)
LIBRARIES = ("tensorflow", "keras", "numpy")


@dataclass(frozen=True)
class DataFacts:
    """What a run's identity and its engine need to know of the data.

    Attributes
    ----------
    dataset_digest, split_digest
        SHA-256 hex digits.
    image_bytes
        Size of all images, of training and test part.
    num_classes
        Number of classes.
    image_shape, value_type
        Of one image; see `fitgap.data.datasets.Dataset`.
    task
        As of `fitgap.data.datasets.Dataset`.
    leakage
        Which images lie in two partitions, in a phrase; empty if none does.
    stratified
        What ``split.stratify`` comes to, where it is null.
    """

    dataset_digest: str
    split_digest: str
    image_bytes: int
    num_classes: int
    image_shape: tuple[int, ...]
    value_type: str
    leakage: str
    stratified: bool = False
    task: str = "classes"


def data_facts(config: Config) -> DataFacts:
    """Return the facts of an experiment's data, remembered or computed from every byte.

    Raises
    ------
    RequestError
        If the dataset is not to be had or cannot be split as asked.
    """
    fingerprint = datasets.fingerprint(config.dataset)
    decides = f"{fingerprint} {asdict(config.split)} {source_digest()}"
    key = hashlib.sha256(decides.encode()).hexdigest()
    remembered = _read_cache()
    if fingerprint is not None and key in remembered:
        return remembered[key]
    dataset = datasets.load(
        config.dataset, memory_limit_mb=config.training.memory_limit_mb, split=config.split
    )
    split = splits.split_dataset(dataset, config.split)
    facts = DataFacts(
        dataset_digest=dataset.digest,
        split_digest=split.digest,
        image_bytes=dataset.x_train.nbytes + dataset.x_test.nbytes,
        num_classes=dataset.num_classes,
        image_shape=dataset.image_shape,
        value_type=dataset.value_type,
        leakage=checks.find_leakage(dataset, split),
        stratified=splits.stratifies(dataset.y_train, config.split, is_own=dataset.is_own),
        task=dataset.task,
    )
    _write_cache(_read_cache() | {key: facts})
    return facts


def identity(config: Config, *, facts: DataFacts, choice: EngineChoice) -> str:
    """Return the SHA-256 over all that decides a run's bits, as hex digits.

    Parameters
    ----------
    config
        The experiment; names, tags, paths and tracking do not count.
    facts
        Of its data.
    choice
        The engine in use; it stands in the place of ``auto``.
    """
    settings = decisive(flatten(to_plain(config)))
    for name in config.metrics:
        settings.pop(f"metrics.{name}.phrase")  # words of a report
    settings |= {"training.engine": choice.name, "training.xla": choice.xla}
    del settings["training.memory_limit_mb"]  # it decides the engine, and that stands above
    decides = {
        "settings": settings,
        "dataset": facts.dataset_digest,
        "split": facts.split_digest,
        "source": source_digest(),
        "versions": versions(),
    }
    canonical = json.dumps(decides, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


@functools.cache
def source_digest() -> str:
    """Return the SHA-256 over the source of the modules that decide a run's bits."""
    digest = hashlib.sha256()
    for module in RESULT_MODULES:
        digest.update((Path(__file__).parent / f"{module}.py").read_bytes())
    return digest.hexdigest()


@functools.cache
def versions() -> dict[str, str]:
    """Return the versions of the libraries that do the arithmetic."""
    return {name: importlib.metadata.version(name) for name in LIBRARIES}


def _cache_file() -> Path:
    return project.state_folder() / "digests.json"


def _read_cache() -> dict[str, DataFacts]:
    try:
        entries = json.loads(_cache_file().read_text())
        return {
            key: DataFacts(**facts | {"image_shape": tuple(facts["image_shape"])})
            for key, facts in entries.items()
        }
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        return {}  # a memory only: what is missing or damaged is computed again


def _write_cache(cache: dict[str, DataFacts]) -> None:
    """Replace the file as a whole, so that no process ever reads half of it."""
    try:
        path = _cache_file()
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=path.name, delete=False
        ) as file:
            json.dump({key: asdict(facts) for key, facts in cache.items()}, file)
        Path(file.name).replace(path)
    except OSError:
        pass  # a read-only checkout computes the digests each time

"""What makes two runs the same: everything that decides their bits or their meaning, nothing else.

Of each component of fitgap that a run uses, what its code does counts: not comments, docstrings
and layout, nor the components that the run does not use. A person's own code counts likewise.

The identity is computable without TensorFlow and, for data seen before, without reading them:
their digests are remembered under a key of the files' sizes and times.
"""

import functools
import hashlib
import importlib.metadata
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fitgap.components import (
    callback_targets_of,
    components_of,
    fingerprint_of_modules,
    reader_modules,
    targets_of,
)
from fitgap.config import own_code, project, state_files
from fitgap.config.fingerprints import file_digests, folder_digests
from fitgap.config.own_code import OwnCode
from fitgap.config.parameters import flatten, without_volatile
from fitgap.config.schema import Config
from fitgap.config.settings import to_plain
from fitgap.data import before_training, datasets, preprocessing, readers, splits
from fitgap.training.engines.choice import EngineChoice

LIBRARIES = ("tensorflow", "keras", "numpy")
_KERAS_DEFAULTS = {"floatx": "float32", "epsilon": 1e-07, "image_data_format": "channels_last"}


@dataclass(frozen=True)
class DataFacts:
    """What a run's identity and its engine need to know about the data.

    Attributes
    ----------
    dataset_digest, split_digest
        SHA-256 hex digits.
    image_bytes
        Size in bytes of all samples of the training part and the test part.
    num_classes
        Number of classes, numbers or labels.
    image_shape, value_type
        Shape and type of one sample; see `fitgap.data.datasets.Dataset`.
    task
        See `fitgap.data.datasets.Dataset`.
    class_names
        Names of the classes, numbers or labels.
    leakage
        A phrase that says which images are in two partitions; empty if there are none.
    other_scale
        A phrase that says which part has values of another type or scale than the training part;
        empty if there is none.
    stratified
        Whether the split keeps the proportions of the classes if ``split.stratify`` is null.
    notes
        Lines that a person should read before training on the data.
    """

    dataset_digest: str
    split_digest: str
    image_bytes: int
    num_classes: int
    image_shape: tuple[int, ...]
    value_type: str
    class_names: tuple[str, ...]
    leakage: str
    other_scale: str = ""
    stratified: bool = False
    notes: tuple[str, ...] = ()
    task: str = "classes"


@dataclass(frozen=True)
class Sources:
    """The code that a run consists of.

    Attributes
    ----------
    components
        A fingerprint for each component of fitgap.
    own
        The user's own code.
    data_files
        SHA-256 of each file or folder that a setting of the network names, or of a file that own
        code names, by the setting's value or the text.
    packages
        Versions of installed packages, besides `LIBRARIES`, that settings or own code name.
    """

    components: Mapping[str, str]
    own: OwnCode
    data_files: Mapping[str, str]
    packages: Mapping[str, str]

    @property
    def fingerprints(self) -> dict[str, str]:
        """Every fingerprint, by what it is of."""
        return {
            **{f"fitgap's {name}": value for name, value in self.components.items()},
            **{f"own code {name}": value for name, value in self.own.fingerprints.items()},
            **{f"file {name}": value for name, value in self.data_files.items()},
            **{f"package {name}": value for name, value in self.packages.items()},
        }

    @property
    def digest(self) -> str:
        """The SHA-256 over all of them."""
        return hashlib.sha256(json.dumps(self.fingerprints, sort_keys=True).encode()).hexdigest()


def data_facts(config: Config) -> DataFacts:
    """Return the facts of an experiment's data, remembered or computed from every byte.

    Raises
    ------
    RequestError
        If the dataset is missing or cannot be split as requested.
    """
    fingerprint = readers.fingerprint(config.dataset)
    code = [
        fingerprint_of_modules(*reader_modules(config)),
        fingerprint_of_modules("fitgap.data.splits"),
        fingerprint_of_modules("fitgap.data.before_training", "fitgap.data.preprocessing"),
    ]
    decides = f"{fingerprint} {asdict(config.split)} {code}"
    key = hashlib.sha256(decides.encode()).hexdigest()
    remembered = _read_facts()
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
        class_names=tuple(dataset.class_names),
        leakage=before_training.find_leakage(dataset, split),
        other_scale=before_training.find_other_scale(dataset, split) if dataset.is_own else "",
        stratified=splits.stratifies(dataset, config.split),
        notes=(
            *dataset.notes,
            *preprocessing.unseen_categories(dataset, split),
            *before_training.notes(dataset, split),
        ),
        task=dataset.task,
    )
    known = {key: asdict(known) for key, known in _read_facts().items()}
    state_files.write("digests.json", known | {key: asdict(facts)})
    return facts


def identity(config: Config, *, facts: DataFacts, choice: EngineChoice, sources: Sources) -> str:
    """Return the SHA-256 over everything that decides a run's bits, as hex digits.

    Parameters
    ----------
    config
        The experiment; names, tags, paths and tracking do not count.
    facts
        Of its data.
    choice
        The engine in use; it takes the place of ``auto``.
    sources
        From `sources_of`.
    """
    settings = without_volatile(flatten(to_plain(config)))
    for name in config.metrics:
        for what in ("phrase", "is_share"):  # what is said of it, not what it is
            settings.pop(f"metrics.{name}.{what}")
    settings |= {"training.engine": choice.name, "training.xla": choice.xla}
    del settings["training.memory_limit_mb"]  # it decides the engine, and that stands above
    decides = {
        "settings": settings,
        "dataset": facts.dataset_digest,
        "classes": facts.class_names,
        "split": facts.split_digest,
        "source": sources.digest,
        "keras": keras_settings(),
        "versions": versions(),
    }
    canonical = json.dumps(decides, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def sources_of(config: Config, *, choice: EngineChoice) -> Sources:
    """Return the code that an experiment consists of. Nothing is imported to find it.

    Parameters
    ----------
    config
        A checked experiment.
    choice
        Its engine.
    """
    targets = targets_of(config)
    own = own_code.code_of(targets, writers=callback_targets_of(config))
    # A callback's files are mostly those that it writes, here, too.
    network = [config.architecture, config.optimizer, config.loss.function]
    network += [config.training.schedule, config.training.augmentation]
    named = list(_texts(network))
    folders = (Path.cwd(), project.folder())
    versions_of_all = {**own_code.package_versions(targets, known=LIBRARIES), **own.packages}
    return Sources(
        components={
            name: fingerprint_of_modules(*roots)
            for name, roots in components_of(config, choice=choice).items()
        },
        own=own,
        data_files={
            **own.data_files,
            **file_digests(named, folders=folders),
            **folder_digests(named, folders=folders),
        },
        packages={key: value for key, value in versions_of_all.items() if key not in LIBRARIES},
    )


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    if isinstance(node, Mapping):
        node = [value for key, value in node.items() if key not in ("_target_", "name", "title")]
    if isinstance(node, list | tuple):
        for item in node:
            yield from _texts(item)


def keras_settings() -> dict[str, Any]:
    """Return Keras's global settings: of this process or, before Keras runs, of its file."""
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "config"):
        return {name: getattr(keras.config, name)() for name in _KERAS_DEFAULTS}
    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    try:
        stored = json.loads((Path(home) / "keras.json").read_text(encoding="utf-8"))
        return {name: stored.get(name, default) for name, default in _KERAS_DEFAULTS.items()}
    except (OSError, ValueError, AttributeError, RecursionError):
        return dict(_KERAS_DEFAULTS)


@functools.cache
def versions() -> dict[str, str]:
    """Return the versions of the libraries that do the arithmetic."""
    return {name: importlib.metadata.version(name) for name in LIBRARIES}


def _read_facts() -> dict[str, DataFacts]:
    try:
        return {
            key: DataFacts(
                **facts
                | {name: tuple(facts[name]) for name in ("image_shape", "class_names", "notes")}
            )
            for key, facts in state_files.read("digests.json").items()
        }
    except (TypeError, KeyError):
        return {}

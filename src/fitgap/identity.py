"""What makes two runs the same: everything that decides their bits or their meaning, nothing else.

Of each component of fitgap that a run uses, what its code does counts: not comments, docstrings
and layout, nor the components that the run does not use. A person's own code counts likewise.

The identity is computable without TensorFlow and, for data seen before, without reading them:
their digests are remembered under a key of the files' sizes and times.
"""

import ast
import functools
import hashlib
import importlib.metadata
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fitgap.config import own_code, project
from fitgap.config.fingerprints import file_digests, fingerprint_of
from fitgap.config.modules import imported_names, split_target
from fitgap.config.own_code import OwnCode
from fitgap.config.parameters import flatten, without_volatile
from fitgap.config.schema import Config, TableConfig, TextsConfig
from fitgap.config.settings import to_plain
from fitgap.data import before_training, datasets, preprocessing, readers, splits, texts
from fitgap.training.engines.choice import EngineChoice

LIBRARIES = ("tensorflow", "keras", "numpy")
# Rooms whose outcome counts as a value: settings and digests stand in the identity themselves.
_PACKAGE = Path(__file__).parent
_COUNTED_AS_VALUES = (
    *(
        f"fitgap.config.{name}"
        for name in (
            *("checks", "edited_code", "fingerprints", "modules", "own_code", "project", "schema"),
            *("settings", "targets"),
        )
    ),
    "fitgap.data",
    "fitgap.errors",
    "fitgap.heavy_imports",
)
# `readers` knows all readers; the others lock files, and make texts to be printed.
_DECIDE_NOTHING = (
    readers.__name__,
    "fitgap.locks",
    "fitgap.training.metric_cost",
    "fitgap.trust.text",
)
_ENGINES = "fitgap.training.engines"
_ENGINE_MODULES = {
    "compiled": (f"{_ENGINES}.compiled",),
    "fit": (f"{_ENGINES}.keras_fit",),
    "numpy": (f"{_ENGINES}.numpy_reference",),
    "auto": (f"{_ENGINES}.compiled", f"{_ENGINES}.keras_fit"),
}
_KERAS_DEFAULTS = {"floatx": "float32", "epsilon": 1e-07, "image_data_format": "channels_last"}


@dataclass(frozen=True)
class DataFacts:
    """What a run's identity and its engine need to know about the data.

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
    class_names
        What the classes are called.
    leakage
        Which images lie in two partitions, in a phrase; empty if none does.
    other_scale
        Which part has values of another type or scale than the training part; empty if none.
    stratified
        What ``split.stratify`` comes to, where it is null.
    notes
        What a person should know of the data, a line each.
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
        Of fitgap: a fingerprint per component.
    own
        A person's own code.
    data_files
        SHA-256 of each file that a setting of the network names, by the setting's value.
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
        _of_reader(config),
        _component("fitgap.data.splits"),
        _component("fitgap.data.before_training", "fitgap.data.preprocessing"),
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
        stratified=splits.stratifies(dataset.y_train, config.split, is_own=dataset.is_own),
        notes=(
            *dataset.notes,
            *preprocessing.unseen_categories(dataset, split),
            *before_training.notes(dataset, split),
        ),
        task=dataset.task,
    )
    known = {key: asdict(known) for key, known in _read_facts().items()}
    _write_memory("digests.json", known | {key: asdict(facts)})
    return facts


def identity(
    config: Config, *, facts: DataFacts, choice: EngineChoice, sources: Sources | None = None
) -> str:
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
        From `sources_of`; None: looked for now.
    """
    sources = sources_of(config, choice=choice) if sources is None else sources
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
    """Return the code that an experiment consists of; nothing is imported for it."""
    plain = to_plain(config)
    del plain["tracking"]
    targets = set(_targets(plain))
    of_fitgap = sorted(
        module
        for target in targets
        if target.startswith("fitgap.") and (module := split_target(target)[0])
    )
    own = own_code.code_of(targets)
    # A callback's files are mostly those that it writes.
    network = [config.architecture, config.optimizer, config.loss.function]
    network += [config.training.schedule, config.training.augmentation]
    folders = (Path.cwd(), project.folder())
    versions_of_all = {**own_code.package_versions(targets, known=LIBRARIES), **own.packages}
    return Sources(
        components={
            "loop": _component(
                "fitgap.training.loop", "fitgap.training.data", "fitgap.training.backend"
            ),
            "network": _component("fitgap.models.build", *of_fitgap),
            "engine": _component(*_ENGINE_MODULES[choice.name]),
            "reader": _of_reader(config),
            "split": _component("fitgap.data.splits"),
        }
        | (
            {"preprocessing": _component("fitgap.data.preprocessing", "fitgap.models.row_layers")}
            if isinstance(config.dataset, TableConfig | TextsConfig)
            else {}
        ),
        own=own,
        data_files={
            **own.data_files,
            **file_digests(_texts(network), folders=folders),
        },
        packages={key: value for key, value in versions_of_all.items() if key not in LIBRARIES},
    )


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        if isinstance(target := node.get("_target_"), str):
            yield target
        node = list(node.values())
    if isinstance(node, list | tuple):
        for item in node:
            yield from _targets(item)


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    if isinstance(node, Mapping):
        node = [value for key, value in node.items() if key not in ("_target_", "name", "title")]
    if isinstance(node, list | tuple):
        for item in node:
            yield from _texts(item)


def _of_reader(config: Config) -> str:
    roots = ["fitgap.data.datasets", readers.reader(config.dataset).__name__]
    if isinstance(config.dataset, TableConfig) and config.dataset.text_columns:
        roots.append(texts.__name__)  # a reader itself, which decides what a word is
    return _component(*roots)


@functools.cache
def _component(*roots: str) -> str:
    """Return the fingerprint of some of fitgap's modules and what these import.

    What a module imports inside a function is a choice among several, and named by a root.
    """
    modules: dict[str, str] = {}
    rooms = {root.rpartition(".")[0] for root in roots}
    waiting = list(roots)
    while waiting:
        module = waiting.pop()
        path = _PACKAGE.joinpath(*module.split(".")[1:])
        path = path / "__init__.py" if path.is_dir() else path.with_name(f"{path.name}.py")
        if module in modules or not path.is_file():
            continue
        modules[module], names = _known_modules.look_up(path)
        waiting += [name for name in names if _follows(name, rooms)]
    return hashlib.sha256(json.dumps(modules, sort_keys=True).encode()).hexdigest()


class _KnownModules:
    """Of each of fitgap's modules, by the SHA-256 of its bytes: fingerprint and imported names.

    Kept in a file, since parsing them takes longer than all else before a run that is finished.
    """

    def __init__(self) -> None:
        self._entries: dict[str, Any] = {}

    def look_up(self, path: Path) -> tuple[str, list[str]]:
        content = path.read_bytes()
        key = hashlib.sha256(content).hexdigest()
        if not self._entries:
            self._entries = _read_memory("modules.json")
        known = self._entries.get(key)
        if not isinstance(known, list) or len(known) != 2:
            tree = ast.parse(content)
            names = imported_names(tree)
            self._entries[key] = [fingerprint_of(tree), names]
            _write_memory("modules.json", _read_memory("modules.json") | self._entries)
        fingerprint, names = self._entries[key]
        return str(fingerprint), list(names)


_known_modules = _KnownModules()


def _follows(name: str, rooms: set[str]) -> bool:
    # A reader counts for the runs whose data it reads; `readers` knows all of them.
    if not name.startswith("fitgap.") or name in (*readers.READERS, *_DECIDE_NOTHING):
        return False
    if name.startswith(_ENGINES):
        return _ENGINES in rooms and name != f"{_ENGINES}.choice"
    if name.startswith(_COUNTED_AS_VALUES):
        return name.rpartition(".")[0] in rooms
    return not _PACKAGE.joinpath(*name.split(".")[1:]).is_dir()  # its modules are named themselves


def keras_settings() -> dict[str, Any]:
    """Return Keras's global settings: of this process or, before Keras runs, of its file."""
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "config"):
        return {name: getattr(keras.config, name)() for name in _KERAS_DEFAULTS}
    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    try:
        told = json.loads((Path(home) / "keras.json").read_text(encoding="utf-8"))
        return {name: told.get(name, default) for name, default in _KERAS_DEFAULTS.items()}
    except (OSError, ValueError, AttributeError):
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
            for key, facts in _read_memory("digests.json").items()
        }
    except (TypeError, KeyError):
        return {}


def _read_memory(name: str) -> dict[str, Any]:
    """Return what a file remembers: what is missing or damaged is computed again."""
    try:
        entries = json.loads((project.state_folder() / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return entries if isinstance(entries, dict) else {}


def _write_memory(name: str, entries: Mapping[str, Any]) -> None:
    """Replace the file as a whole, so that no process ever reads half of it."""
    path = project.state_folder() / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=name, delete=False) as file:
            json.dump(entries, file)
        Path(file.name).replace(path)
    except OSError:
        pass  # where nothing can be written, it is computed each time

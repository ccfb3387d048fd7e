"""The components of fitgap that a run uses, and a fingerprint of what the code of each does."""

import ast
import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fitgap.config import state_files
from fitgap.config.fingerprints import fingerprint_of
from fitgap.config.modules import imported_names, split_target
from fitgap.config.schema import Config, TableConfig, TextsConfig
from fitgap.config.settings import to_plain
from fitgap.data import readers, texts
from fitgap.training.engines.choice import EngineChoice

_PACKAGE = Path(__file__).parent
# Modules and rooms whose outcome counts as a value: settings and digests stand in the identity
# themselves. What is not named here or below is followed, so that a new import shows in
# tests/test_components.py; a list of what is followed would leave it out without a word.
_COUNTED_AS_VALUES = (
    "fitgap.config.checks",
    "fitgap.config.edited_code",
    "fitgap.config.fingerprints",
    "fitgap.config.modules",
    "fitgap.config.own_code",
    "fitgap.config.project",
    "fitgap.config.schema",
    "fitgap.config.settings",
    "fitgap.config.targets",
    "fitgap.data",
    "fitgap.errors",
    "fitgap.heavy_imports",
)
# `readers` knows all readers; the others print, lock files, or make texts to be printed.
_DECIDE_NOTHING = (
    readers.__name__,
    "fitgap.console",
    "fitgap.data.table_errors",
    "fitgap.locks",
    "fitgap.training.metric_cost",
    "fitgap.trust.text",
    "fitgap.unicode_text",
)
_ENGINES = "fitgap.training.engines"
_ENGINE_MODULES = {
    "compiled": (f"{_ENGINES}.compiled",),
    "fit": (f"{_ENGINES}.keras_fit",),
    "numpy": (f"{_ENGINES}.numpy_reference",),
    "auto": (f"{_ENGINES}.compiled", f"{_ENGINES}.keras_fit"),
}


def components_of(config: Config, *, choice: EngineChoice) -> dict[str, tuple[str, ...]]:
    """Return the components of fitgap that an experiment uses, each by the modules it starts from.

    Parameters
    ----------
    config
        A checked experiment.
    choice
        Its engine.
    """
    of_fitgap = sorted(
        module
        for target in targets_of(config)
        if target.startswith("fitgap.") and (module := split_target(target)[0])
    )
    components = {
        "loop": ("fitgap.training.loop", "fitgap.training.data", "fitgap.training.backend"),
        "network": ("fitgap.models.build", *of_fitgap),
        "engine": _ENGINE_MODULES[choice.name],
        "reader": reader_modules(config),
        "split": ("fitgap.data.splits",),
    }
    if isinstance(config.dataset, TableConfig | TextsConfig):
        components["preprocessing"] = ("fitgap.data.preprocessing", "fitgap.models.row_layers")
    return components


def targets_of(config: Config) -> set[str]:
    """Return every import path that the settings name as a ``_target_``, tracking left out."""
    plain = to_plain(config)
    del plain["tracking"]
    return set(_targets(plain))


def callback_targets_of(config: Config) -> set[str]:
    """Return those of `targets_of` that are callbacks."""
    return set(_targets(to_plain(config)["training"]["callbacks"]))


def reader_modules(config: Config) -> tuple[str, ...]:
    """Return the modules that the reader of an experiment's data starts from."""
    modules = ("fitgap.data.datasets", readers.reader(config.dataset).__name__)
    if isinstance(config.dataset, TableConfig) and config.dataset.text_columns:
        return (*modules, texts.__name__)  # a reader itself, which decides what a word is
    return modules


@functools.cache
def fingerprint_of_modules(*roots: str) -> str:
    """Return one SHA-256 over what `modules_behind` returns."""
    return hashlib.sha256(json.dumps(modules_behind(*roots), sort_keys=True).encode()).hexdigest()


def modules_behind(*roots: str) -> dict[str, str]:
    """Return the fingerprints of some of fitgap's modules and of those that they import.

    Modules whose outcome the identity holds as a value do not count. What a module imports inside
    a function is a choice among several, so another root has to name it.
    """
    modules: dict[str, str] = {}
    rooms = {root if _path(root).is_dir() else root.rpartition(".")[0] for root in roots}
    waiting = list(roots)
    while waiting:
        module = waiting.pop()
        path = _path(module)
        path = path / "__init__.py" if path.is_dir() else path.with_name(f"{path.name}.py")
        if module in modules or not path.is_file():
            continue
        modules[module], names = _known_modules.look_up(path)
        waiting += [name for name in names if _follows(name, rooms)]
    return modules


class _KnownModules:
    """The fingerprint and the imported names of each module, by the SHA-256 of its bytes.

    They are kept in a file, because parsing takes longer than all else before a finished run.
    """

    def __init__(self) -> None:
        self._entries: dict[str, Any] = {}

    def look_up(self, path: Path) -> tuple[str, list[str]]:
        content = path.read_bytes()
        key = hashlib.sha256(content).hexdigest()
        if not self._entries:
            self._entries = state_files.read("modules.json")
        known = self._entries.get(key)
        if not isinstance(known, list) or len(known) != 2:
            tree = ast.parse(content)
            names = imported_names(tree)
            self._entries[key] = [fingerprint_of(tree), names]
            state_files.write("modules.json", state_files.read("modules.json") | self._entries)
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
    return not _path(name).is_dir()  # its modules are named themselves


def _path(name: str) -> Path:
    """Return the path of a module or package, without an ending."""
    return _PACKAGE.joinpath(*name.split(".")[1:])


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        if isinstance(target := node.get("_target_"), str):
            yield target
        node = list(node.values())
    if isinstance(node, list | tuple):
        for item in node:
            yield from _targets(item)

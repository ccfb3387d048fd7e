"""Which modules are a person's own, and which modules their source names.

*Own* is what comes from no installed package, nor from Python or fitgap. No module is imported to
find that out: looking must neither run code nor wait for TensorFlow.
"""

import ast
import contextlib
import functools
import importlib.machinery
import importlib.metadata
import importlib.util
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

FITGAP_PACKAGES = ("fitgap", "fitgap_lab", "hydra_plugins")
_SUFFIXES = (".py", *importlib.machinery.EXTENSION_SUFFIXES, ".pyc")
_LIBRARY_FOLDERS = frozenset({"site-packages", "dist-packages"})


def split_target(target: str) -> tuple[str | None, str]:
    """Return the module and the name within it that a target means.

    The module is None where there is none of the name.
    """
    parts = target.split(".")
    for end in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:end])
        if _exists(module):
            return module, ".".join(parts[end:])
    return None, target


def is_own_module(module: str) -> bool:
    """Tell whether a module is a person's own."""
    top = module.partition(".")[0]
    if top in FITGAP_PACKAGES or top in sys.stdlib_module_names or top == "__main__":
        return False
    path = module_file(module)
    return path is not None and not is_library(path)


def is_installed(module: str) -> bool:
    """Tell whether a module can be imported and is not a person's own."""
    top = module.partition(".")[0]
    return top != "__main__" and _top_spec(top) is not None and not is_own_module(module)


def is_compiled(module: str) -> bool:
    """Tell whether a module is a person's own, but compiled: nobody can read what it does."""
    path = _loaded_file(module)
    return path is not None and module_file(module) is None and not is_library(path)


def is_missing(module: str) -> bool:
    """Tell whether Python would not find a module, as long as nothing else changes ``sys.path``."""
    top = module.partition(".")[0]
    return top not in (*sys.stdlib_module_names, "__main__") and _top_spec(top) is None


def module_file(module: str) -> Path | None:
    """Return the file with a module's source; None where it has none, or there is no module."""
    path = _loaded_file(module)
    return path if path is not None and path.suffix == ".py" and path.is_file() else None


def _loaded_file(module: str) -> Path | None:
    """Return the file that Python loads for a module, compiled or not; None where there is none."""
    top, *rest = module.split(".")
    spec = _top_spec(top)
    if spec is None:
        return None
    if not rest:
        return Path(spec.origin) if spec.has_location and spec.origin else None
    return _below([Path(place) for place in spec.submodule_search_locations or ()], rest)


def module_name(file: str) -> str:
    """Return the module that a file of `OwnCode.texts` is.

    >>> module_name("models/nets.py"), module_name("models/__init__.py")
    ('models.nets', 'models')
    """
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _exists(module: str) -> bool:
    top, *rest = module.split(".")
    return _top_spec(top) is not None if not rest else _loaded_file(module) is not None


def _top_spec(name: str) -> Any:
    try:
        return importlib.util.find_spec(name)  # imports nothing: a name without a dot
    except (ImportError, ValueError, OSError):
        return None


def _below(folders: list[Path], parts: list[str]) -> Path | None:
    for folder in folders:
        path = folder.joinpath(*parts)
        for suffix in _SUFFIXES:
            for candidate in (path / f"__init__{suffix}", path.with_name(f"{path.name}{suffix}")):
                with contextlib.suppress(OSError):  # a name that no file can have
                    if candidate.is_file():
                        return candidate
    return None


def is_library(path: Path) -> bool:
    """Tell whether a file is of an installed package, of Python, or of fitgap."""
    if _LIBRARY_FOLDERS & set(path.parts):
        return True
    return any(path.is_relative_to(folder) for folder in _library_folders())


@functools.cache
def _library_folders() -> tuple[Path, ...]:
    here = Path(__file__).resolve().parents[1]
    paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return (here, here.with_name("hydra_plugins"), *(Path(path) for path in sorted(paths) if path))


def imported_modules(tree: ast.AST, *, package: str) -> Iterator[str | None]:
    """Give the modules that a module may import, but for types; None for a computed name."""
    importers = {"import_module", "__import__", *_other_names(tree, of="import_module")}
    for node in _walk_without_types(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, package=package)
            yield base
            for alias in node.names:
                if _exists(f"{base}.{alias.name}"):
                    yield f"{base}.{alias.name}"
        elif isinstance(node, ast.Call) and _called(node) in importers:
            match node.args:
                case [ast.Constant(value=str(name)), *_]:
                    yield name
                case _:
                    yield None


def imported_names(tree: ast.Module) -> list[str]:
    """Return the modules, and names in modules, that a module imports as it is imported itself.

    What it imports inside of functions is left out, and what it names relative to its own package.
    """
    found = []
    for node in tree.body:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


def offered_names(module: str) -> dict[str, str]:
    """Return what a module's source makes public, each with its full name where it comes from.

    Functions and classes at its top, what classes define (``Net.build``), and names that it imports
    from other modules; no module that it imports. Empty where there is no source.
    """
    path = module_file(module)
    if path is None:
        return {}
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found: dict[str, str] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found |= {name: f"{module}.{name}" for name in _defined_by(node)}
        elif isinstance(node, ast.ImportFrom) and (base := _absolute(node, package=package)):
            names = [alias for alias in node.names if not _exists(f"{base}.{alias.name}")]
            found |= {alias.asname or alias.name: f"{base}.{alias.name}" for alias in names}
    return found


def _defined_by(node: ast.FunctionDef | ast.ClassDef, *, within: str = "") -> Iterator[str]:
    """Give the name of a function or class and, of a class, those that it defines itself."""
    name = f"{within}{node.name}"
    yield name
    if isinstance(node, ast.ClassDef):
        for inner in node.body:
            if isinstance(inner, ast.FunctionDef | ast.ClassDef):
                yield from _defined_by(inner, within=f"{name}.")


def _absolute(node: ast.ImportFrom, *, package: str) -> str:
    if not node.level:
        return str(node.module)
    parts = package.split(".")
    base = parts[: len(parts) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


def _called(node: ast.Call) -> str:
    function = node.func
    return getattr(function, "attr", "") or getattr(function, "id", "")


def _other_names(tree: ast.AST, *, of: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (alias.asname or "" for alias in node.names if alias.name == of)


def _walk_without_types(tree: ast.AST) -> Iterator[ast.AST]:
    yield tree
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield from _walk_without_types(other)
        else:
            yield from _walk_without_types(child)


def versions(tops: Iterable[str]) -> dict[str, str]:
    """Return the version of each installed package that brings one of some top-level modules."""
    wanted = frozenset(tops) - set(sys.stdlib_module_names) - {"__main__", "__future__"}
    return dict(_versions_of(wanted)) if wanted else {}


# What is installed does not change under a process, and a sweep's jobs name the same packages.
@functools.lru_cache(maxsize=64)
def _versions_of(tops: frozenset[str]) -> tuple[tuple[str, str], ...]:
    """Return the installed distributions that some packages or modules come from, and versions.

    Files' lists are read as text: ``importlib.metadata.packages_distributions`` parses all of
    them, which takes a tenth of a second.
    """
    of_record = re.compile(rf"^(?:{'|'.join(map(re.escape, tops))})[/.]", re.MULTILINE)
    found: dict[str, str] = {}
    for installed in importlib.metadata.distributions():
        if named := installed.read_text("top_level.txt"):
            is_wanted = not tops.isdisjoint(named.split())
        else:
            is_wanted = of_record.search(installed.read_text("RECORD") or "") is not None
        if is_wanted:  # of two on the path, Python imports the first
            found.setdefault(installed.metadata["Name"], installed.version)
    return tuple(sorted(found.items()))

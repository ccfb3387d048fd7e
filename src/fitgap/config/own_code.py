"""A person's own functions and classes: found by name or handed over, and their source.

*Own* is what comes from no installed package, nor from Python or fitgap. To find a source, no
module is imported: looking must neither run code nor wait for TensorFlow.
"""

import ast
import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import linecache
import os
import re
import sys
import sysconfig
import textwrap
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from fitgap.errors import RequestError

FITGAP_PACKAGES = ("fitgap", "fitgap_lab", "hydra_plugins")
GIVEN_FILE = "given.py"  # the source of functions that stand in no module
_LIBRARY_FOLDERS = frozenset({"site-packages", "dist-packages"})
_PLAIN = (bool, int, float, complex, str, bytes, type(None))

Tree = TypeVar("Tree", bound=ast.AST)

_given: dict[str, Callable[..., Any]] = {}


@dataclass(frozen=True)
class OwnCode:
    """The own code behind some targets.

    Attributes
    ----------
    texts
        Source per file, by its path from the folder that Python imports it from.
    packages
        Version of each installed package that the own code imports, by the package's name.
    data_files
        SHA-256 hex digits of each file that a text in the own code names, by that text.
    unknown
        What no source can be had of, a phrase each; a run with any cannot be recognised again.
    """

    texts: Mapping[str, str]
    packages: Mapping[str, str]
    data_files: Mapping[str, str]
    unknown: tuple[str, ...]

    @property
    def fingerprints(self) -> dict[str, str]:
        """One fingerprint per file; see `fingerprint`."""
        return {name: fingerprint(text) for name, text in sorted(self.texts.items())}


def register(function: Callable[..., Any]) -> str:
    """Make a function known to this process, and return the target that names it.

    Parameters
    ----------
    function
        Also one of ``__main__``, of a notebook, or one made inside another function.
    """
    module = getattr(function, "__module__", None) or "__main__"
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    target = f"{module}.{name}"
    _given[target] = function
    return target


def locate(target: str) -> Any:
    """Return what a target names, importing its module.

    Raises
    ------
    RequestError
        If there is no such module or name in it, or the module fails while it is imported.
    """
    if target in _given:
        return _given[target]
    parts = target.split(".")
    found: Any = None
    for end in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:end])
        try:
            found = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name and (name == error.name or name.startswith(f"{error.name}.")):
                continue
            raise _failed(target, error) from error
        except Exception as error:
            raise _failed(target, error) from error
        for i in range(end, len(parts)):
            if not hasattr(found, parts[i]):
                place = ".".join(parts[:i])
                raise RequestError(f"{target} does not exist: {place} has no {parts[i]}")
            found = getattr(found, parts[i])
        _remember_imported()
        return found
    folders = "the project folder and what is installed"
    raise RequestError(f"{target} does not exist: there is no module {parts[0]} in {folders}")


def _failed(target: str, error: Exception) -> RequestError:
    return RequestError(f"{target} cannot be imported: {describe_failure(error)}")


def describe_failure(error: BaseException) -> str:
    """Return an exception in one line, with the person's own line in which it arose.

    Of a long message, the first line that says something.
    """
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    said = " ".join(lines[:2]) if lines and lines[0].endswith(":") else "".join(lines[:1])
    described = f"{type(error).__name__}: {said}" if said else type(error).__name__
    place = _own_line(error)
    return f"{described} ({place})" if place else described


def _own_line(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_shown(error.filename)}, line {error.lineno}"
    found = ""
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not _is_library(Path(code.co_filename)) and not code.co_filename.startswith("<frozen"):
            line = linecache.getline(code.co_filename, traceback.tb_lineno).strip()
            found = f"{_shown(code.co_filename)}, line {traceback.tb_lineno}"
            found += f": {line}" if line else ""
        traceback = traceback.tb_next
    return found


def _shown(file: str) -> str:
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file


# Which modules are whose.


def is_own(target: str) -> bool:
    """Tell whether a target names own code; without importing it."""
    if target in _given:
        return True
    module, _ = split_target(target)
    return module is not None and _is_own_module(module)


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


def _is_own_module(module: str) -> bool:
    top = module.partition(".")[0]
    if top in FITGAP_PACKAGES or top in sys.stdlib_module_names or top == "__main__":
        return False
    path = module_file(module)
    return path is not None and not _is_library(path)


def module_file(module: str) -> Path | None:
    """Return the file with a module's source; None where it has none, or there is no module."""
    top, *rest = module.split(".")
    spec = _top_spec(top)
    if spec is None:
        return None
    if not rest:
        path = Path(spec.origin) if spec.has_location and spec.origin else None
    else:
        path = _below([Path(place) for place in spec.submodule_search_locations or ()], rest)
    return path if path is not None and path.suffix == ".py" and path.is_file() else None


def module_name(file: str) -> str:
    """Return the module that a file of `OwnCode.texts` is.

    >>> module_name("models/nets.py"), module_name("models/__init__.py")
    ('models.nets', 'models')
    """
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _exists(module: str) -> bool:
    top, *rest = module.split(".")
    return _top_spec(top) is not None if not rest else module_file(module) is not None


def _top_spec(name: str) -> Any:
    try:
        return importlib.util.find_spec(name)  # imports nothing: a name without a dot
    except (ImportError, ValueError):
        return None


def _below(folders: list[Path], parts: list[str]) -> Path | None:
    for folder in folders:
        path = folder.joinpath(*parts)
        for candidate in (path / "__init__.py", path.with_name(f"{path.name}.py")):
            if candidate.is_file():
                return candidate
    return None


def _is_library(path: Path) -> bool:
    """Tell whether a file is of an installed package, of Python, or of fitgap."""
    if _LIBRARY_FOLDERS & set(path.parts):
        return True
    return any(path.is_relative_to(folder) for folder in _library_folders())


@functools.cache
def _library_folders() -> tuple[Path, ...]:
    here = Path(__file__).resolve().parents[1]
    paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return (here, here.with_name("hydra_plugins"), *(Path(path) for path in sorted(paths) if path))


# Their source.


def code_of(targets: Iterable[str]) -> OwnCode:
    """Return the own code behind some targets; what is not own is left out.

    That is each target's module, and the modules of the project that it imports, wherever in it,
    and so on. Of a function that stands in no module that could be imported (one of a notebook,
    of ``__main__``, or one made inside another), it is its source and whatever it names.
    """
    collector = _Collector()
    for target in sorted(set(targets)):
        if target in _given and not _stands_in_a_module(_given[target]):
            collector.add_object(_given[target], name=target.rpartition(".")[2])
        elif is_own(target):
            module, _ = split_target(target)
            assert module is not None
            collector.add_module(module)
    found = collector.result()
    _looked_at.update(found.texts)
    _refuse_edited(found.texts)
    return found


# Files of own code that this process looked at; and, of each module that it imported, which import
# that was and what the file did then. An import anew (`importlib.reload`) has another spec.
_looked_at: set[str] = set()
_imported: dict[str, tuple[object, str]] = {}


def _remember_imported() -> None:
    for module in map(module_name, _looked_at):
        spec = getattr(sys.modules.get(module), "__spec__", None)
        path = module_file(module) if spec is not None else None
        if path is not None and _imported.get(module, (None, ""))[0] is not spec:
            _imported[module] = spec, fingerprint(path.read_text(encoding="utf-8"))


def _refuse_edited(texts: Mapping[str, str]) -> None:
    """Refuse to take a file for what runs, if this process has imported what it was before."""
    for file, text in texts.items():
        module = module_name(file)
        spec = getattr(sys.modules.get(module), "__spec__", None)
        known, then = _imported.get(module, (None, ""))
        if spec is not None and known is spec and fingerprint(text) != then:
            raise RequestError(
                f"{file} was edited after this process imported it, and Python would go on with "
                f"what it was\nStart anew, or call importlib.reload({module}) first"
            )


def _stands_in_a_module(function: Any) -> bool:
    name = getattr(function, "__qualname__", "<")
    module = getattr(function, "__module__", None) or "__main__"
    return "<" not in name and (_is_own_module(module) or _is_installed(module))


def _is_installed(module: str) -> bool:
    top = module.partition(".")[0]
    return top != "__main__" and _top_spec(top) is not None and not _is_own_module(module)


class _Collector:
    """Own modules and objects that were found to belong together."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._modules: set[str] = set()
        self._tops: set[str] = set()  # of installed packages
        self._unknown: set[str] = set()
        self._objects: dict[str, str] = {}
        self._imports: set[str] = set()
        self._seen: set[int] = set()
        self._data_files: dict[str, str] = {}

    def result(self) -> OwnCode:
        texts = dict(self._texts)
        if self._objects:
            parts = [*sorted(self._imports), "", *self._objects.values()]
            texts[GIVEN_FILE] = "\n".join(parts) + "\n"
        return OwnCode(
            texts=texts,
            packages=_versions(self._tops),
            data_files=self._data_files,
            unknown=tuple(sorted(self._unknown)),
        )

    def add_module(self, module: str) -> None:
        """Add an own module, the packages it stands in, and what it imports."""
        for name in _with_parents(module):
            path = module_file(name)
            if name in self._modules or path is None:
                continue
            self._modules.add(name)
            try:
                text = path.read_text(encoding="utf-8")
                tree = ast.parse(text)
            except (OSError, ValueError, SyntaxError):
                self._unknown.add(f"{name}, whose source cannot be read")
                continue
            is_package = path.name == "__init__.py"
            file = name.replace(".", "/") + ("/__init__.py" if is_package else ".py")
            self._texts[file] = text
            self._add_data_files(tree, beside=path.parent)
            for imported in _imports(tree, package=name if is_package else name.rpartition(".")[0]):
                self._add_import(imported, by=name)

    def _add_import(self, name: str | None, *, by: str) -> None:
        if name is None:
            self._unknown.add(f"{by}, which imports modules by names that it computes")
        elif _is_own_module(name):
            self.add_module(name)
        elif not name.startswith(FITGAP_PACKAGES):
            self._tops.add(name.partition(".")[0])

    def _add_data_files(self, tree: ast.AST, *, beside: Path) -> None:
        for node in ast.walk(_without_docstrings(tree)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                self._data_files |= file_digests([node.value], folders=(Path.cwd(), beside))

    def add_object(self, value: Any, *, name: str) -> None:
        """Add a function or class that stands in no module, and whatever it names."""
        if id(value) in self._seen:
            return
        self._seen.add(id(value))
        try:
            text = textwrap.dedent(inspect.getsource(value))
            tree = ast.parse(text)
        except (OSError, TypeError, SyntaxError):
            self._unknown.add(f"{name}, which has no source")
            return
        self._add_data_files(tree, beside=Path.cwd())
        names = _names_in_reach(value)
        named = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        for used in sorted(named - _local_names(value)):
            if used in names and names[used] is not value:
                self._add_value(names[used], name=used)
        for imported in _imports(tree, package=""):
            self._add_import(imported, by=name)
        # Behind what it names: a default or a base class is needed where it is defined.
        self._objects[f"{len(self._objects)} {name}"] = text

    def _add_value(self, value: Any, *, name: str) -> None:
        if isinstance(value, types.ModuleType):
            self._imports.add(f"import {value.__name__} as {name}")
            self._add_import(value.__name__, by=name)
        elif isinstance(value, types.FunctionType | type):
            if _stands_in_a_module(value):
                origin = f"from {value.__module__} import {value.__qualname__.partition('.')[0]}"
                self._imports.add(f"{origin} as {name}")
                self._add_import(value.__module__, by=name)
            else:
                self.add_object(value, name=name)
        elif isinstance(value, types.BuiltinFunctionType):
            self._tops.add((value.__module__ or "builtins").partition(".")[0])
        elif _is_plain(value):
            self._objects[f"= {name}"] = f"{name} = {value!r}"
        else:
            self._unknown.add(f"{name}, an object of {type(value).__module__}")


def _names_in_reach(value: Any) -> dict[str, Any]:
    if isinstance(value, types.FunctionType):
        found = dict(value.__globals__)
        cells = zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
        return found | {name: cell.cell_contents for name, cell in cells}
    found = dict(vars(sys.modules.get(value.__module__, types.ModuleType("none"))))
    for method in vars(value).values():
        if isinstance(method, types.FunctionType):
            found |= _names_in_reach(method)
    return found


def _local_names(value: Any) -> set[str]:
    """Return the parameters and variables of a function: a global of such a name is not meant."""
    if not isinstance(value, types.FunctionType):
        return set()
    own: set[str] = set()
    others: set[str] = set()
    codes = [value.__code__]
    while codes:
        code = codes.pop()
        own |= {*code.co_varnames}
        others |= {*code.co_names, *code.co_freevars}
        codes += [each for each in code.co_consts if isinstance(each, types.CodeType)]
    return own - others


def _is_plain(value: Any) -> bool:
    if isinstance(value, _PLAIN):
        return True
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return isinstance(value, dict) and all(_is_plain([k, v]) for k, v in value.items())


def _with_parents(module: str) -> Iterator[str]:
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        yield ".".join(parts[:end])


def _imports(tree: ast.AST, *, package: str) -> Iterator[str | None]:
    """Give the modules that a module may import, but for types; None for a computed name."""
    for node in _walk_without_types(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, package=package)
            yield base
            for alias in node.names:
                if _exists(f"{base}.{alias.name}"):
                    yield f"{base}.{alias.name}"
        elif isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__"):
            first = node.args[0] if node.args else None
            is_text = isinstance(first, ast.Constant) and isinstance(first.value, str)
            yield str(first.value) if is_text else None  # type: ignore[union-attr]


def imported_names(tree: ast.Module) -> list[str]:
    """Return the modules, and names in modules, that a module imports as it is imported itself.

    What it imports inside of functions is left out.
    """
    found = []
    for node in tree.body:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


def _absolute(node: ast.ImportFrom, *, package: str) -> str:
    if not node.level:
        return str(node.module)
    parts = package.split(".")
    base = parts[: len(parts) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


def _called(node: ast.Call) -> str:
    function = node.func
    return getattr(function, "attr", "") or getattr(function, "id", "")


def _walk_without_types(tree: ast.AST) -> Iterator[ast.AST]:
    yield tree
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield from _walk_without_types(other)
        else:
            yield from _walk_without_types(child)


def _versions(tops: Iterable[str]) -> dict[str, str]:
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


def package_versions(targets: Iterable[str], *, known: Iterable[str]) -> dict[str, str]:
    """Return the versions of the installed packages that some targets stand in.

    fitgap aside, and those that are known already.
    """
    tops = {target.partition(".")[0]: target for target in targets if target not in _given}
    for name in (*known, *FITGAP_PACKAGES):
        tops.pop(name, None)
    return _versions(top for top, target in tops.items() if not is_own(target))


def file_digests(texts: Iterable[str], *, folders: Iterable[Path]) -> dict[str, str]:
    """Return the SHA-256 of each file that one of some texts names, by that text.

    Parameters
    ----------
    texts
        Any; those that name no file are left out.
    folders
        Where relative paths may begin; the first that has the file counts.
    """
    found = {}
    for text in texts:
        # Names without an ending, such as "relu", are not looked for.
        if len(text) > 1024 or not re.search(r"\.\w+$", text) or "\n" in text:
            continue
        for folder in folders:
            path = folder / os.path.expanduser(text)  # noqa: PTH111 - no error for "~x"
            try:
                if path.is_file():
                    found[text] = _digest(path, path.stat().st_size, path.stat().st_mtime_ns)
                    break
            except (OSError, ValueError):
                continue
    return found


@functools.lru_cache(maxsize=256)
def _digest(path: Path, _size: int, _time: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# What counts of a source.


@functools.lru_cache(maxsize=512)
def fingerprint(text: str) -> str:
    """Return the SHA-256 over what a source does: without comments, docstrings and layout.

    >>> fingerprint("x = 1") == fingerprint("x  =  (1)  # one")
    True
    >>> fingerprint("x = 1") == fingerprint("x = 2")
    False
    """
    return fingerprint_of(ast.parse(text))


def fingerprint_of(tree: ast.Module) -> str:
    """Return the fingerprint of a parsed source; the tree loses its docstrings."""
    tree = _without_docstrings(tree)
    return hashlib.sha256(repr(_plain_tree(tree)).encode()).hexdigest()


def _without_docstrings(tree: Tree) -> Tree:
    for node in ast.walk(tree):
        if isinstance(
            node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ) and ast.get_docstring(node, clean=False):
            node.body = node.body[1:]
    return tree


def _plain_tree(node: Any) -> Any:
    """Return a tree as tuples; empty fields are left out, since Python's versions add some."""
    if isinstance(node, ast.AST):
        fields = ((name, _plain_tree(value)) for name, value in ast.iter_fields(node))
        return (
            type(node).__name__,
            *(pair for pair in fields if pair[1] not in (None, ()) or pair[0] == "value"),
        )
    if isinstance(node, list):
        return tuple(map(_plain_tree, node))
    return node

"""The source of a person's own functions and classes, and of all that these use."""

import ast
import contextlib
import inspect
import sys
import textwrap
import types
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fitgap.config import edited_code, project, targets
from fitgap.config.fingerprints import (
    file_digests,
    fingerprint,
    named_folders,
    without_docstrings,
)
from fitgap.config.modules import (
    FITGAP_PACKAGES,
    imported_modules,
    imported_names,
    is_compiled,
    is_installed,
    is_missing,
    is_own_module,
    module_file,
    split_target,
    versions,
)

GIVEN_FILE = "given.py"  # the source of functions that stand in no module
_PLAIN = (bool, int, float, complex, str, bytes, type(None))


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
        What has no readable source, a phrase each; a run with any of it cannot be recognised again.
    """

    texts: Mapping[str, str]
    packages: Mapping[str, str]
    data_files: Mapping[str, str]
    unknown: tuple[str, ...]

    @property
    def fingerprints(self) -> dict[str, str]:
        """One fingerprint per file; see `fingerprint`."""
        return {name: fingerprint(text) for name, text in sorted(self.texts.items())}


def code_of(names: Iterable[str], *, writers: Collection[str] = ()) -> OwnCode:
    """Return the own code behind some targets; what is not own is left out.

    That is each target's module, and the modules of the project that it imports, wherever in it,
    and so on. Of a function that stands in no module that could be imported (one of a notebook,
    of ``__main__``, or one made inside another), it is its source and whatever it names.

    Parameters
    ----------
    names
        Targets: import paths.
    writers
        Those of them that mostly write the files that they name, as callbacks do: such a file is
        another one after each run, and does not count.
    """
    collector = _Collector()
    # Writers last: a module that is reached from others, too, is looked through for those.
    for target in sorted(set(names), key=lambda name: (name in writers, name)):
        collector.counts_files = target not in writers
        function = targets.given(target)
        if function is not None and not _stands_in_a_module(function):
            collector.add_object(function, name=target.rpartition(".")[2])
        elif targets.is_own(target):
            module, _ = split_target(target)
            assert module is not None
            collector.add_module(module)
        else:
            collector.add_compiled(target)
    found = collector.result()
    edited_code.refuse(found.texts)
    return found


def _stands_in_a_module(function: Any) -> bool:
    name = getattr(function, "__qualname__", "<")
    module = getattr(function, "__module__", None) or "__main__"
    return "<" not in name and (is_own_module(module) or is_installed(module))


class _Collector:
    """Own modules and objects that were found to belong together."""

    def __init__(self) -> None:
        self.counts_files = True
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
            packages=versions(self._tops),
            data_files=self._data_files,
            unknown=tuple(sorted(self._unknown)),
        )

    def add_module(self, module: str) -> None:
        """Add one of the user's modules, the packages that contain it, and what it imports."""
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
            package = name if is_package else name.rpartition(".")[0]
            for imported in imported_modules(tree, package=package):
                self._add_import(imported, by=name)
            for needed in filter(is_missing, imported_names(tree)):
                top = needed.partition(".")[0]
                self._unknown.add(f"{name}, which imports {top}, which is not found without it")

    def add_compiled(self, target: str) -> None:
        """Add what is not known of a target, if it is one of a person's own compiled modules."""
        module, _ = split_target(target)
        if module is not None and is_compiled(module):
            self._unknown.add(f"{module}, which is compiled")

    def _add_import(self, name: str | None, *, by: str) -> None:
        if name is None:
            self._unknown.add(f"{by}, which imports modules by names that it computes")
        elif is_own_module(name):
            self.add_module(name)
        elif not name.startswith(FITGAP_PACKAGES):
            self._tops.add(name.partition(".")[0])
            if is_compiled(name):
                self._unknown.add(f"{by}, which imports the compiled {name}")

    def _add_data_files(self, tree: ast.AST, *, beside: Path) -> None:
        """Add the files that texts in the code name, in whatever folders texts there name."""
        if not self.counts_files:
            return
        nodes = [
            node for node in ast.walk(without_docstrings(tree)) if isinstance(node, ast.Constant)
        ]
        texts = dict.fromkeys(node.value for node in nodes if isinstance(node.value, str))
        for text in [*texts]:
            texts[text.lstrip("/")] = None  # the end of an f-string that begins with a folder
        within = dict.fromkeys([Path.cwd(), project.folder(), beside])
        found = file_digests(texts, folders=named_folders(texts, within=within))
        for text, digests in found.items():  # of another module, it may name another file
            known = {*self._data_files.get(text, "").split(), *digests.split()}
            self._data_files[text] = " ".join(sorted(known))

    def add_object(self, value: Any, *, name: str) -> None:
        """Add a function or class that is in no module, and whatever it names."""
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
        if isinstance(value, types.MethodType):
            self._unknown.add(f"{name}, a method with an object of its own")
            return
        lambdas = [node for node in ast.walk(tree) if isinstance(node, ast.Lambda)]
        if value.__name__ == "<lambda>" and len(lambdas) > 1:
            self._unknown.add(f"{name}, which is one of several that stand together")
            return
        names = _names_in_reach(value)
        for module in _own_modules_in_reach(tree, names):
            self._imports.add(f"import {module}")
            self._add_import(module, by=name)
        named = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        for used in sorted(named - _local_names(value)):
            if used in names and names[used] is not value:
                self._add_value(names[used], name=used)
        for imported in imported_modules(tree, package=""):
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
        for name, cell in cells:
            with contextlib.suppress(ValueError):  # a name that is not bound yet
                found[name] = cell.cell_contents
        return found
    found = dict(vars(sys.modules.get(value.__module__, types.ModuleType("none"))))
    for method in vars(value).values():
        if isinstance(method, types.FunctionType):
            found |= _names_in_reach(method)
    return found


def _own_modules_in_reach(tree: ast.AST, names: Mapping[str, Any]) -> set[str]:
    """Return the person's modules that a source names within others, as in ``package.module.f``."""
    found = set()
    for node in ast.walk(tree):
        value = _value_of(node, names) if isinstance(node, ast.Attribute) else None
        if isinstance(value, types.ModuleType) and is_own_module(value.__name__):
            found.add(value.__name__)
    return found


def _value_of(node: ast.AST, names: Mapping[str, Any]) -> Any:
    """Return what a name, or an attribute of modules, means; None for anything else."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        module = _value_of(node.value, names)
        return getattr(module, node.attr, None) if isinstance(module, types.ModuleType) else None
    return None


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


def package_versions(names: Iterable[str], *, known: Iterable[str]) -> dict[str, str]:
    """Return the versions of the installed packages that contain some targets, without fitgap's.

    Parameters
    ----------
    names
        Targets: import paths.
    known
        Packages that are left out, because their versions are known already.
    """
    tops = {name.partition(".")[0]: name for name in names if targets.given(name) is None}
    for name in (*known, *FITGAP_PACKAGES):
        tops.pop(name, None)
    return versions(top for top, target in tops.items() if not targets.is_own(target))

"""What counts in a source and in the files that it names, as SHA-256 hex digits."""

import ast
import functools
import hashlib
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

Tree = TypeVar("Tree", bound=ast.AST)


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
    tree = without_docstrings(tree)
    return hashlib.sha256(repr(_plain_tree(tree)).encode()).hexdigest()


def without_docstrings(tree: Tree) -> Tree:
    """Take the docstrings out of a tree, and return it."""
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


def file_digests(texts: Iterable[str], *, folders: Iterable[Path]) -> dict[str, str]:
    """Return the SHA-256 of each file that one of some texts names, by that text.

    Parameters
    ----------
    texts
        Any; those that name no file are left out.
    folders
        Where relative paths may begin; files of the same name in several of them all count.
    """
    found = {}
    for text in texts:
        # An empty file says nothing, and those of /proc, which always change, seem empty.
        places = (path for path, size in _places(text, folders) if size)
        if digests := {digest for _, digest in _readable(places)}:
            found[text] = " ".join(sorted(digests))
    return found


def folder_digests(texts: Iterable[str], *, folders: Iterable[Path]) -> dict[str, str]:
    """Return one SHA-256 over the files of each folder that one of some texts names, by that text.

    Parameters
    ----------
    texts, folders
        As for `file_digests`. The working directory and what contains it do not count.
    """
    found = {}
    for text in texts:
        named = (path for path, _ in _places(text, folders) if path.is_dir())
        within = [path for path in named if not Path.cwd().is_relative_to(path.resolve())]
        files = {
            (path.relative_to(folder).as_posix(), digest)
            for folder in within
            for path, digest in _readable(folder.rglob("*"))
        }
        if files:
            found[text] = hashlib.sha256(repr(sorted(files)).encode()).hexdigest()
    return found


def named_folders(texts: Collection[str], *, within: Iterable[Path]) -> list[Path]:
    """Return some folders, those that a text names in them, those in these, and so on.

    Parameters
    ----------
    texts
        Any; those that name no folder are left out.
    within
        The folders to begin with.

    Returns
    -------
    list of Path
        Each folder once, by whatever path it is reached: "../data" names itself without end.
    """
    found = list(within)
    known = {folder.resolve() for folder in found}
    for folder in found:  # grows meanwhile
        for path in (path for text in texts for path, _ in _places(text, [folder])):
            if path.is_dir() and path.resolve() not in known:
                known.add(path.resolve())
                found.append(path)
    return found


def _places(text: str, folders: Iterable[Path]) -> Iterator[tuple[Path, int]]:
    """Give each path that a text may mean and that exists, with its size in bytes."""
    if len(text) > 1024 or not re.search(r"\w", text) or "\n" in text:
        return
    for folder in folders:
        try:
            path = folder / Path(text).expanduser()
            size = path.stat().st_size
        except (OSError, ValueError, RuntimeError):  # "~x" where there is no person x
            continue
        yield path, size


def _readable(paths: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    """Give each path that is a file, with its SHA-256; leave out what cannot be read."""
    for path in paths:
        try:
            if not path.is_file():
                continue
            stat = path.stat()
            digest = _digest(path, stat.st_size, stat.st_mtime_ns)
        except OSError:  # another user's, or removed meanwhile
            continue
        yield path, digest


@functools.lru_cache(maxsize=256)
def _digest(path: Path, _size: int, _time: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

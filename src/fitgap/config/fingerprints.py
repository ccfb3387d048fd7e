"""What counts in a source and in the files that it names, as SHA-256 hex digits."""

import ast
import functools
import hashlib
import re
from collections.abc import Iterable
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
        Where relative paths may begin; the first that has the file counts.
    """
    found = {}
    for text in texts:
        # Names without an ending, such as "relu", are not looked for.
        if len(text) > 1024 or not re.search(r"\.\w+$", text) or "\n" in text:
            continue
        for folder in folders:
            try:
                path = folder / Path(text).expanduser()
                if path.is_file():
                    found[text] = _digest(path, path.stat().st_size, path.stat().st_mtime_ns)
                    break
            except (OSError, ValueError, RuntimeError):  # "~x" where there is no person x
                continue
    return found


@functools.lru_cache(maxsize=256)
def _digest(path: Path, _size: int, _time: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""Importing large libraries quickly, without the lines that they print."""

import gc
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType

# Parts of Keras that import scikit-learn and matplotlib, a second together, and that few ask for;
# parts of NumPy that SciPy asks for and does not use.
_AT_FIRST_USE = (
    "keras.wrappers",
    "keras.src.wrappers",
    "keras.visualization",
    "keras.src.visualization",
    "numpy.f2py",
    "numpy.testing",
)


@contextmanager
def paused_garbage_collection() -> Iterator[None]:
    """Import modules of many thousand objects without looking for garbage among them.

    There is none, and looking takes a sixth of the time; as much again at the end of the process,
    which therefore leaves them out.
    """
    collects, imported = gc.isenabled(), len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > imported:  # else garbage of earlier runs would be kept for good
            gc.freeze()
        if collects:
            gc.enable()


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Hide the lines that TensorFlow's libraries print about the machine while they load.

    They write to the file descriptor before any setting of theirs is read.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


class _AtFirstUse(importlib.abc.MetaPathFinder):
    """Finds modules that are executed when something of theirs is used."""

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the module's specification, its loader a lazy one."""
        if name not in _AT_FIRST_USE:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = importlib.util.LazyLoader(spec.loader)
        return spec


@contextmanager
def seldom_used_later() -> Iterator[None]:
    """Import Keras or SciPy, but execute rarely used parts only when they are used."""
    finder = _AtFirstUse()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)

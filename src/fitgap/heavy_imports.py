"""Importing large libraries: quickly, and without what they say meanwhile."""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


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
    """Drop what TensorFlow's libraries say of the machine while they load.

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

"""Start TensorFlow: quietly, with its kernels and the number of threads fixed."""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from fitgap.errors import RequestError


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


def load() -> None:
    """Import TensorFlow."""
    # oneDNN's kernels, whose last digits differ from Eigen's, are TensorFlow's default on some
    # processors only. Fixed, so that the machine does not decide; on, since they convolve two to
    # five times as fast.
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
    with paused_garbage_collection(), silent_stderr():
        import tensorflow as tf
    # Each run traces functions of its own; TensorFlow takes that for a mistake.
    tf.get_logger().setLevel("ERROR")


def start(threads: int) -> None:
    """Import TensorFlow and fix its threads for the life of this process.

    Parameters
    ----------
    threads
        For the work within an operation and between operations. Another number adds up in
        another order and gives other last digits, so it is a setting and not the machine's.

    Raises
    ------
    RequestError
        If this process has already started TensorFlow with another number.
    """
    load()
    import tensorflow as tf

    threading = tf.config.threading
    if threading.get_intra_op_parallelism_threads() == threads:
        return
    try:
        threading.set_intra_op_parallelism_threads(threads)
        threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError as error:
        raise RequestError(
            f"training.threads={threads}: this process already runs TensorFlow with "
            f"{threading.get_intra_op_parallelism_threads()}, which it cannot change; "
            "sweep over threads in separate commands"
        ) from error


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

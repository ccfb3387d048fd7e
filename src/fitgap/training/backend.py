"""Start TensorFlow: quietly, with its kernels and the number of threads fixed."""

import functools
import os
import sys

from fitgap.errors import RequestError
from fitgap.heavy_imports import paused_garbage_collection, seldom_used_later, silent_stderr


def load() -> None:
    """Import TensorFlow.

    Raises
    ------
    RequestError
        If this process runs Keras on another backend.
    """
    _have_keras_use_it()
    # oneDNN's kernels, whose last digits differ from Eigen's, are TensorFlow's default on some
    # processors only. Fixed, so that the machine does not decide; on, since they convolve two to
    # five times as fast.
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
    with paused_garbage_collection(), seldom_used_later(), silent_stderr():
        import tensorflow as tf
    # Each run traces functions of its own; TensorFlow takes that for a mistake.
    tf.get_logger().setLevel("ERROR")


def _have_keras_use_it() -> None:
    """Fix Keras's backend: its own file or the environment may name another one."""
    keras = sys.modules.get("keras")
    backend = getattr(keras, "backend", None)
    if backend is not None and backend.backend() != "tensorflow":
        raise RequestError(
            f"this process runs Keras on {backend.backend()}, but fitgap trains with TensorFlow",
            "Set KERAS_BACKEND=tensorflow before Keras is imported",
        )
    os.environ["KERAS_BACKEND"] = "tensorflow"


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
    was_imported = "tensorflow" in sys.modules
    load()
    if not was_imported:
        _fix_threads(threads)
        return
    # Imported by somebody else, without `load`'s settings: it would write about the machine.
    with silent_stderr():
        _fix_threads(threads)
        _trigger_first_messages()


def _fix_threads(threads: int) -> None:
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
            f"{threading.get_intra_op_parallelism_threads()} threads and cannot change this; "
            "sweep over threads in separate commands"
        ) from error


@functools.cache
def _trigger_first_messages() -> None:
    """Compile something: with the first program TensorFlow and XLA describe the machine."""
    import tensorflow as tf

    tf.function(tf.nn.relu, jit_compile=True)(tf.zeros(1))

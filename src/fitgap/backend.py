"""Start TensorFlow: quietly, and with the number of threads that the settings fix."""

import os

from fitgap.errors import RequestError


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
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
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

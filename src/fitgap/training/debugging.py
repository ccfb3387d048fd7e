"""What TensorFlow shows of a training that is being debugged: a trace, the first NaN."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fitgap.config.schema import DebugConfig


@contextmanager
def watched(debug: DebugConfig | None, *, folder: Path) -> Iterator[None]:
    """Watch a block as ``debug`` says; with None, do nothing.

    Parameters
    ----------
    debug
        Of the settings.
    folder
        Where a trace goes.
    """
    with ExitStack() as stack:
        if debug is not None and debug.check_numerics:
            import tensorflow as tf

            tf.debugging.enable_check_numerics()
            stack.callback(tf.debugging.disable_check_numerics)
        if debug is not None and debug.profile:
            import tensorflow as tf

            tf.profiler.experimental.start(str(folder))
            stack.callback(print, f"profile: tensorboard --logdir {folder}", flush=True)
            stack.callback(tf.profiler.experimental.stop)
        yield

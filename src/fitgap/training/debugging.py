"""What TensorFlow shows of a training that is being debugged: a trace, the first NaN."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fitgap.config.schema import DebugConfig
from fitgap.errors import DivergedError


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
            stack.enter_context(_checked_numerics())
        if debug is not None and debug.profile:
            import tensorflow as tf

            tf.profiler.experimental.start(str(folder))
            stack.callback(print, f"profile: tensorboard --logdir {folder}", flush=True)
            stack.callback(tf.profiler.experimental.stop)
        yield


@contextmanager
def _checked_numerics() -> Iterator[None]:
    """Name the first operation whose output is not finite.

    TensorFlow names it between a hundred lines of its call stack.
    """
    import tensorflow as tf

    tf.debugging.enable_check_numerics()
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        op = re.search(r"Detected at node (\S+)/CheckNumerics", str(error))
        values = re.search(r"Tensor had (.+) values", str(error))
        if op is None or values is None:
            raise
        raise DivergedError(f"the output of the op {op[1]} has {values[1]} values") from error
    finally:
        tf.debugging.disable_check_numerics()

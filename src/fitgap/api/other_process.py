"""Training in a separate process, if TensorFlow already has other threads in this one."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from fitgap.commands import exit_codes
from fitgap.errors import DivergedError, RequestError
from fitgap.training import progress

# The beginnings of those of its lines that are progress.
_SHOWN = ("epoch ", "round ", "goes on ", "continues ", "sweep of ", "[")


def can_train_here(threads: int, here_only: Sequence[str]) -> bool:
    """Tell whether this process can train with the threads that the settings ask for.

    A notebook that has used Keras before has started TensorFlow with as many threads as there are
    cores, and a run's bits may not depend on that number.

    Parameters
    ----------
    threads
        ``training.threads``.
    here_only
        The functions that only this process knows, if any.

    Raises
    ------
    RequestError
        If it cannot, and no other process can either, since only this one knows a function.
    """
    if "tensorflow" not in sys.modules:
        return True
    from fitgap.training import backend

    try:
        backend.start(threads)
    except RequestError:
        if here_only:
            raise
        return False
    return True


def run(arguments: Sequence[str], *, may_fail: bool = False) -> None:
    """Train in a separate process, with fitgap's command, and show its progress.

    Parameters
    ----------
    arguments
        Of the command, such as ``["train", "seed=0"]``.
    may_fail
        Whether exit code 1 is no error: the record says which runs of a sweep failed.

    Raises
    ------
    RequestError, DivergedError, RuntimeError
        According to the exit code of the process.
    """
    path = os.pathsep.join(filter(None, sys.path))
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "fitgap", *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        shown = progress.Relay()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith(_SHOWN):
                    shown.show(line.rstrip())
            code = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
        errors.seek(0)
        message = errors.read().strip()
    if code == exit_codes.OK or (may_fail and code == exit_codes.FAILED):
        return
    if code == exit_codes.WRONG_REQUEST:
        raise RequestError(*message.removeprefix("error: ").splitlines())
    last = message.splitlines()[-1] if message else f"the process ended with code {code}"
    reason = last.removeprefix("failed: ")
    if reason.startswith("DivergedError: "):
        raise DivergedError(reason.removeprefix("DivergedError: "))
    raise RuntimeError(reason)

"""Which process a run belongs to, whether it still exists, and when a worker must end."""

import functools
import json
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

HOST_TAG, PID_TAG, START_TAG = "fitgap.host", "fitgap.pid", "fitgap.process_start"
MACHINE_TAG = "fitgap.machine"
SINCE_BOOT_TAG = "fitgap.process_since_boot"  # the start, by no clock that a person can set

_SWEEP = "FITGAP_SWEEP"  # environment of a sweep's workers: the tags of the sweep's process
_LOOK_SECONDS = 1.0
_ENDING_SECONDS = 10.0  # for a run to be ended in the record


def this_process() -> dict[str, str]:
    """Return the tags that identify this process: its host, number and start time."""
    process = psutil.Process()
    return {
        HOST_TAG: socket.gethostname(),
        MACHINE_TAG: _machine(),
        PID_TAG: str(process.pid),
        START_TAG: f"{process.create_time():.2f}",
        **({SINCE_BOOT_TAG: since_boot} if (since_boot := _since_boot(process.pid)) else {}),
    }


def is_gone(tags: Mapping[str, str]) -> bool:
    """Tell whether the process that a run's tags name has certainly ended.

    A process of another host or container cannot be looked at, so it is never said to be gone,
    whatever its host is called. A number that belongs to a later process by now is known by the
    time of its start, counted from the machine's where that is recorded: a clock that is set back
    ends no run. One that nobody has asked for its end (a zombie) runs no more.
    """
    if not can_be_seen(tags):
        return False
    try:
        process = psutil.Process(int(tags[PID_TAG]))
        if process.status() == psutil.STATUS_ZOMBIE:
            return True
        created = process.create_time()
        since_boot = _since_boot(process.pid)
    except (psutil.NoSuchProcess, KeyError, ValueError, OverflowError):  # or of no process
        return True
    if SINCE_BOOT_TAG in tags and since_boot:
        return tags[SINCE_BOOT_TAG] != since_boot
    return bool(began := started(tags)) and abs(created - began) > 1


def started(tags: Mapping[str, str]) -> float:
    """Return when the process that a run's tags name started, in seconds; 0 if they do not say."""
    try:
        return float(tags.get(START_TAG, "0"))
    except ValueError:
        return 0.0


def can_be_seen(tags: Mapping[str, str]) -> bool:
    """Tell whether this process can see the process that a run's tags name."""
    on_this_host = tags.get(HOST_TAG) == socket.gethostname()
    return on_this_host and tags.get(MACHINE_TAG, _machine()) == _machine()


def begin_sweep() -> None:
    """Tell the workers that this process starts from now on which sweep they belong to."""
    os.environ[_SWEEP] = json.dumps(this_process())


def end_sweep() -> None:
    """Undo `begin_sweep`: this process continues without a sweep."""
    os.environ.pop(_SWEEP, None)


def is_in_sweep() -> bool:
    """Tell whether this process runs a sweep, or is a worker of one."""
    return _SWEEP in os.environ


@contextmanager
def children_deaf_to_interrupts() -> Iterator[None]:
    """Have processes that are started within the block not notice a terminal's Ctrl-C.

    It reaches every process of a command, and each would write its traceback over what the
    command says.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def hear_interrupts() -> None:
    """Undo `children_deaf_to_interrupts` in a child, without those that came until now."""
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)  # what waits is dropped
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGINT, handler)


def end_with_sweep() -> None:
    """Make this process end soon after its sweep's process, if it is a worker of joblib.

    They would go on with the jobs they were handed, and then wait for more for five minutes. A
    run that is interrupted so ends KILLED.
    """
    if multiprocessing.parent_process() is not None:
        watch_sweep()


@functools.cache
def watch_sweep() -> None:
    """Make this process end soon after the sweep's process that its environment names."""
    sweep = json.loads(os.environ.get(_SWEEP, "{}"))
    if not sweep:
        return

    def watch() -> None:
        while not is_gone(sweep):
            time.sleep(_LOOK_SECONDS)
        while True:  # joblib's worker outlives what a job raises
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(_ENDING_SECONDS)

    threading.Thread(target=watch, daemon=True).start()


def _since_boot(pid: int) -> str:
    """Return which start of the machine it is, and how many ticks later a process began.

    "" where the system does not say.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
    return f"{boot} {ticks}"


@functools.cache
def _machine() -> str:
    """Return what distinguishes machines and containers of one name, as far as the system says."""
    try:
        machine = Path("/etc/machine-id").read_text().strip()[:8]
    except OSError:
        machine = ""
    try:
        namespace = Path("/proc/self/ns/pid").readlink().name
    except OSError:
        namespace = ""
    return f"{machine} {namespace}".strip() or "unknown"

"""Which process a run belongs to, and whether that process is still there."""

import functools
import socket
from collections.abc import Mapping
from pathlib import Path

import psutil

HOST_TAG, PID_TAG, START_TAG = "fitgap.host", "fitgap.pid", "fitgap.process_start"
MACHINE_TAG = "fitgap.machine"


def this_process() -> dict[str, str]:
    """Return the tags that tell this process from all others: host, number, time of its start."""
    process = psutil.Process()
    return {
        HOST_TAG: socket.gethostname(),
        MACHINE_TAG: _machine(),
        PID_TAG: str(process.pid),
        START_TAG: f"{process.create_time():.2f}",
    }


def is_gone(tags: Mapping[str, str]) -> bool:
    """Tell whether the process that a run's tags name has certainly ended.

    A process of another host or container cannot be looked at, so it is never said to be gone,
    whatever its host is called. A number that belongs to a later process by now is known by the
    time of its start; one that nobody has asked for its end (a zombie) runs no more.
    """
    if not can_be_seen(tags):
        return False
    try:
        process = psutil.Process(int(tags[PID_TAG]))
        if process.status() == psutil.STATUS_ZOMBIE:
            return True
        started = process.create_time()
    except (psutil.NoSuchProcess, KeyError, ValueError):
        return True
    return abs(started - float(tags.get(START_TAG, "nan"))) > 1


def can_be_seen(tags: Mapping[str, str]) -> bool:
    """Tell whether the process that a run's tags name could be looked at from here."""
    on_this_host = tags.get(HOST_TAG) == socket.gethostname()
    return on_this_host and tags.get(MACHINE_TAG, _machine()) == _machine()


@functools.cache
def _machine() -> str:
    """Return what tells machines and containers of one name apart, as far as the system says."""
    try:
        machine = Path("/etc/machine-id").read_text().strip()[:8]
    except OSError:
        machine = ""
    try:
        namespace = Path("/proc/self/ns/pid").readlink().name
    except OSError:
        namespace = ""
    return f"{machine} {namespace}".strip() or "unknown"

"""Which process a run belongs to, and whether that process is still there."""

import socket
from collections.abc import Mapping

import psutil

HOST_TAG, PID_TAG, START_TAG = "fitgap.host", "fitgap.pid", "fitgap.process_start"


def this_process() -> dict[str, str]:
    """Return the tags that tell this process from all others: host, number, time of its start."""
    process = psutil.Process()
    return {
        HOST_TAG: socket.gethostname(),
        PID_TAG: str(process.pid),
        START_TAG: f"{process.create_time():.2f}",
    }


def is_gone(tags: Mapping[str, str]) -> bool:
    """Tell whether the process that a run's tags name has certainly ended.

    A process of another host cannot be looked at, so it is never said to be gone. A number that
    belongs to a later process by now is known by the time of its start.
    """
    if tags.get(HOST_TAG) != socket.gethostname():
        return False
    try:
        started = psutil.Process(int(tags[PID_TAG])).create_time()
    except (psutil.NoSuchProcess, KeyError, ValueError):
        return True
    return abs(started - float(tags.get(START_TAG, "nan"))) > 1

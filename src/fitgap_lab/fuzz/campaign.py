"""Many readers under Atheris, each in a process of its own that runs for some minutes."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

LARGEST = 16_384  # bytes of an input: more of them teach nothing new and take long
OPTIONS = (
    "-timeout=30",  # seconds that one input may take
    "-rss_limit_mb=4096",  # that the process may have, of which TensorFlow takes 1,100
    f"-max_len={LARGEST}",
    "-print_final_stats=1",
)


@dataclass(frozen=True)
class Outcome:
    """What came of one reader.

    Attributes
    ----------
    reader
        Its name.
    processor_seconds
        That its process took.
    inputs
        That it was given.
    edges
        Steps from line to line of the code that is followed which some input took.
    last_news
        The number of the input that took the last of them.
    peak_mb
        The most memory of its process, with everything imported.
    slowest_seconds
        Of one input, in whole seconds.
    finding
        The file with the input that tripped it, and the error's last line; empty where there is
        none.
    """

    reader: str
    processor_seconds: float
    inputs: int
    edges: int
    last_news: int
    peak_mb: int
    slowest_seconds: int
    finding: str


def run(
    readers: Sequence[str],
    *,
    folder: Path,
    minutes: float,
    at_once: int,
    say: Callable[[Outcome], None],
) -> list[Outcome]:
    """Feed each reader for some minutes.

    Parameters
    ----------
    readers
        By name.
    folder
        Receives, for each reader, the inputs that reached new code, from which the next campaign
        starts, and a log.
    minutes
        Of the clock, for each reader.
    at_once
        How many processes run at once.
    say
        Is called with each outcome as it comes.

    Returns
    -------
    list
        One outcome for each reader, in their order.
    """

    def feed(reader: str) -> Outcome:
        outcome = _feed(reader, folder=folder / reader, seconds=round(60 * minutes))
        say(outcome)
        return outcome

    with ThreadPoolExecutor(at_once) as threads:
        return list(threads.map(feed, readers))


def _feed(reader: str, *, folder: Path, seconds: int) -> Outcome:
    inputs = folder / "inputs"
    inputs.mkdir(parents=True, exist_ok=True)
    log = folder / "log.txt"
    command = [sys.executable, "-m", "fitgap_lab.fuzz.guided", reader, str(inputs), *OPTIONS]
    command += [f"-max_total_time={seconds}", f"-artifact_prefix={folder}/"]
    with log.open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    written = log.read_text(encoding="utf-8", errors="replace")
    return _outcome(
        reader,
        written,
        processor_seconds=used.ru_utime + used.ru_stime,
        failed=process.returncode != 0,
    )


def _outcome(reader: str, log: str, *, processor_seconds: float, failed: bool) -> Outcome:
    """Read libFuzzer's log."""

    def figure(name: str) -> int:
        found = re.search(rf"^stat::{name}: *(\d+)", log, re.M)
        return int(found[1]) if found else 0

    steps = [(int(n), int(edges)) for n, edges in re.findall(r"^#(\d+)\t.* cov: (\d+)", log, re.M)]
    edges = max((edges for _, edges in steps), default=0)
    return Outcome(
        reader,
        processor_seconds=processor_seconds,
        inputs=figure("number_of_executed_units"),
        edges=edges,
        last_news=min((number for number, at in steps if at == edges), default=0),
        peak_mb=figure("peak_rss_mb"),
        slowest_seconds=figure("slowest_unit_time_sec"),
        finding=_finding(log) if failed else "",
    )


def _finding(log: str) -> str:
    kept = re.search(r"Test unit written to (.*)", log)
    errors = re.findall(r"^(?:\w+\.)*\w+(?:Error|Exception|Warning)\b.*", log, re.M)
    reason = errors[-1] if errors else (log.strip().splitlines() or ["it said nothing"])[-1]
    return f"{kept[1]}: {reason[:200]}" if kept else reason[:200]

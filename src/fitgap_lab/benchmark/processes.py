"""Processes of the benchmark: children that answer requests, and commands that are timed.

Both sides of the line protocol are here: a request is a line of JSON with the name of a call and
its arguments, the answer a line of JSON with what the call returned. Standard library only, since
the child that measures JAX may run under an interpreter that has nothing else of this project.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PROJECT_ROOT = Path(__file__).resolve().parents[3]

# Of the person's environment, what would lead a child to the person's own record.
_NOT_INHERITED = (
    "HYDRA_FULL_ERROR",
    "MLFLOW_EXPERIMENT_ID",
    "MLFLOW_EXPERIMENT_NAME",
    "MLFLOW_RUN_ID",
    "MLFLOW_TRACKING_URI",
)
_SECONDS_TO_END = 20.0  # an interpreter with TensorFlow takes a second or two to leave


class BenchmarkError(RuntimeError):
    """A process that was to be measured failed; the message ends with what it said last."""


def environment() -> dict[str, str]:
    """Return the environment of every measured process: this one's, away from the user's record.

    MLflow sends no usage statistics: that would be part of what is timed.
    """
    inherited = {key: value for key, value in os.environ.items() if key not in _NOT_INHERITED}
    if inherited.get("FITGAP_DATA_DIR"):  # children work in another folder
        inherited["FITGAP_DATA_DIR"] = str(Path(inherited["FITGAP_DATA_DIR"]).absolute())
    return inherited | {"MLFLOW_DISABLE_TELEMETRY": "true", "TF_CPP_MIN_LOG_LEVEL": "3"}


def machine_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Child:
    """A process that answers requests until it is closed.

    Parameters
    ----------
    module
        Run as ``python -m module``; it calls `serve` or `serve_role`.
    role, settings
        Which of the module's classes serves, and the arguments that it is built with.
    folder
        Where it works, and where its log goes.
    python
        The interpreter; None is this one.

    Attributes
    ----------
    lifetime
        Seconds from its start to its end, when it has ended.
    """

    def __init__(
        self,
        module: str,
        role: str = "",
        settings: Mapping[str, Any] | None = None,
        *,
        folder: Path,
        python: str | None = None,
    ) -> None:
        self.lifetime = 0.0
        arguments = [role, json.dumps(settings or {})]
        self._name = " ".join([module, *arguments])
        self._log = folder / f"{module}-{time.monotonic_ns()}.log"
        with self._log.open("w") as log:
            self._started = time.perf_counter()
            self._process = subprocess.Popen(
                [python or sys.executable, "-m", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=folder,
                env=environment() | {"PYTHONPATH": str(PROJECT_ROOT / "src")},
                start_new_session=True,  # Ctrl-C is for the parent, which then ends its children
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            _end_group(self._process)
        self.close()

    def ask(self, call: str, **arguments: Any) -> dict[str, Any]:
        """Have the child do something and return its answer.

        Raises
        ------
        BenchmarkError
            If it ends instead of answering.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended; its log says why
            self._process.stdin.write(json.dumps({"call": call, "arguments": arguments}) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self.close()  # a failing interpreter closes stdout before it says why
            raise BenchmarkError(f"{self._name} ended in {call}: {_tail(self._log.read_text())}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """Let the child end by itself, which it does when there are no more requests."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()
        try:
            self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            _end_group(self._process)
        self.lifetime = time.perf_counter() - self._started


def serve(worker: object) -> None:
    """Answer requests by calling the methods of an object, until there are no more.

    Whatever the calls print goes to stderr: stdout carries the answers alone.
    """
    with os.fdopen(os.dup(1), "w", buffering=1) as answers:
        os.dup2(2, 1)
        for line in sys.stdin:
            request = json.loads(line)
            answer = getattr(worker, request["call"])(**request["arguments"])
            print(json.dumps(answer), file=answers)


def serve_role(roles: Mapping[str, Callable[..., object]]) -> None:
    """Serve as a `Child`'s role, one of these by name."""
    role, settings = sys.argv[1:]
    serve(roles[role](**json.loads(settings)))


def run(command: Sequence[str], *, folder: Path, expected: int = 0) -> tuple[float, str]:
    """Run a command to its end.

    Parameters
    ----------
    command
        Program and arguments.
    folder
        Where it works.
    expected
        The exit code that it must have.

    Returns
    -------
    seconds : float
        From its start to its end.
    output : str
        What it wrote on stdout and stderr.

    Raises
    ------
    BenchmarkError
        If it ends with another exit code.
    """
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env=environment(),
        start_new_session=True,
    )
    try:
        output, _ = process.communicate()
    except BaseException:
        _end_group(process)
        raise
    seconds = time.perf_counter() - started
    if process.returncode != expected:
        raise BenchmarkError(
            f"{' '.join(command)}: exit code {process.returncode}, expected {expected}: "
            f"{_tail(output)}"
        )
    return seconds, output


def _end_group(process: subprocess.Popen[str]) -> None:
    """End a process that this module started, and those that it started itself."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)  # a session leader's group has its number
        try:
            process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            continue
        return


def _tail(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-15:])

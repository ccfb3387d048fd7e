"""A sweep as a person sees it while it runs: steady lines in a terminal, plain ones elsewhere.

What is shown comes from `fitgap.sweep.watching`.
"""

import importlib.util
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from fitgap.errors import RequestError
from fitgap.sweep import status
from fitgap.sweep.status import State, Sweep
from fitgap.sweep.watching import Ended, Snapshot, Watch

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

LOOK_SECONDS = 1.0
# Of the time, a look may take one part in so many: in a large store one takes long.
MOST_SHARE = 20
MOST_TRAINING = 16  # runs with a line each
BAR_WIDTH = 20


class _View:
    """What the watching thread and the terminal share."""

    def __init__(self, watch: Watch, console: "Console", *, began: float) -> None:
        self._watch = watch
        self._console = console
        self._began = began
        self._printed = 0
        self._snapshot: Snapshot | None = None

    def look(self) -> Snapshot | None:
        """Look, and print a line for each run that has ended since the last time."""
        with suppress(RequestError):  # a server that is away; the next look will tell
            self._snapshot = self._watch.look()
        found = self._snapshot
        if found is not None:
            ended_before = found.finished - sum(not one.failed for one in found.ended)
            for i, one in enumerate(found.ended[self._printed :], start=self._printed + 1):
                number = ended_before + i - sum(o.failed for o in found.ended[:i])
                self._console.print(
                    _line(one, number=number, total=found.total),
                    markup=False,
                    highlight=False,
                    soft_wrap=not self._console.is_terminal,  # which breaks lines within words
                )
            self._printed = len(found.ended)
        return found

    def __rich__(self) -> "Table":
        return table(self._snapshot, seconds=time.monotonic() - self._began)


@contextmanager
def doing(what: str) -> Iterator[None]:
    """Say in a terminal what is being done, with a moving mark, until the block is left."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        yield
        return
    with console.status(Text(what)):
        yield


@contextmanager
def show(watch: Watch) -> Iterator[None]:
    """Show a sweep until the block is left.

    Parameters
    ----------
    watch
        Of the sweep; read about once a second by a separate thread.
    """
    from rich.console import Console
    from rich.live import Live

    # In a notebook, a moving table needs ipywidgets; without them, lines are what is shown.
    console = Console()
    if console.is_jupyter and importlib.util.find_spec("ipywidgets") is None:
        console = Console(force_jupyter=False, force_terminal=False)
    view = _View(watch, console, began=time.monotonic())
    ended = threading.Event()

    def go_on() -> None:
        took = 0.0
        while not ended.wait(max(LOOK_SECONDS, MOST_SHARE * took)):
            started = time.monotonic()
            view.look()
            took = time.monotonic() - started

    thread = threading.Thread(target=go_on, daemon=True, name="fitgap live view")
    steady = console.is_terminal or console.is_jupyter
    live = Live(view, console=console, refresh_per_second=2, transient=True) if steady else None
    if live is not None:
        live.start()
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        view.look()
        if live is not None:
            live.stop()


def follow(uri: str, sweep: Sweep) -> None:
    """Show a sweep or a search that another process runs, until it ends or Ctrl-C."""
    total, finished = status.number_of_trials(uri, sweep), []
    if total is None:
        plan = status.read_plan(uri, sweep)
        states = status.job_states(uri, sweep, plan)
        total = len(plan.jobs)
        finished = [
            job.identity
            for job, state in zip(plan.jobs, states, strict=True)
            if state.state is State.FINISHED
        ]
    watch = Watch(
        uri,
        experiment=sweep.experiment,
        parent=sweep.parent.run_id,
        total=total,
        finished=finished,
    )
    with show(watch):
        while sweep.is_running:
            time.sleep(LOOK_SECONDS)
            sweep = status.choose_sweep(
                uri, run_id=sweep.parent.run_id, experiment=sweep.experiment
            )


def table(found: Snapshot | None, *, seconds: float) -> "Table":
    """Return what stands still at the bottom of the terminal.

    Parameters
    ----------
    found
        None before the first look.
    seconds
        Since the watch began.
    """
    from rich.table import Table
    from rich.text import Text

    lines = Table.grid(padding=(0, 2))
    lines.add_column(no_wrap=True, overflow="ellipsis")
    if found is None:
        lines.add_row(Text(f"loading  {clock(seconds)}"))
        return lines
    lines.add_row(Text(headline(found, seconds=seconds), style="bold"))
    for one in found.training[:MOST_TRAINING]:
        if one.epoch:
            said = f"epoch {one.epoch}/{one.epochs}  {one.figures}"
        else:
            said = "compiling the first epoch"
        lines.add_row(Text(f"  {one.name}  {said}"))
    if len(found.training) > MOST_TRAINING:
        lines.add_row(Text(f"  and {len(found.training) - MOST_TRAINING} more"))
    if not found.training and found.finished < found.total:
        lines.add_row(Text("  loading TensorFlow and the data"))
    if found.failed:
        lines.add_row(Text(f"  failed so far: {found.failed}", style="bold red"))
    if found.best is not None:
        lines.add_row(Text(f"  best so far: {found.best}"))
    return lines


def headline(found: Snapshot, *, seconds: float) -> str:
    """Return count, bar, elapsed time and the time left: ``7/18 ━━━   elapsed 0:42``."""
    full = round(BAR_WIDTH * found.finished / max(found.total, 1))
    bar = "━" * full + "╌" * (BAR_WIDTH - full)
    left = time_left(found, seconds=seconds)
    said = "" if left is None else f"  about {clock(left)} left"
    return f"{found.finished}/{found.total} {bar}  {clock(seconds)}{said}"


def time_left(found: Snapshot, *, seconds: float) -> float | None:
    """Return about how many seconds are left, at the pace since the watch began.

    None until a run has ended or passed an epoch.
    """
    done = len(found.ended) + sum(one.epoch / max(one.epochs, 1) for one in found.training)
    left = found.total - found.finished - found.failed
    left_now = left - sum(one.epoch / max(one.epochs, 1) for one in found.training)
    return None if not done else max(left_now, 0.0) * seconds / done


def clock(seconds: float) -> str:
    """Return a time as a clock shows it.

    >>> clock(62), clock(3723)
    ('1:02', '1:02:03')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _line(one: Ended, *, number: int, total: int) -> str:
    return f"[{number}/{total}] {one.name}: {one.said}, {one.seconds:.1f} s"

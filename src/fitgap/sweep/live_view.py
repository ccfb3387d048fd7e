"""A sweep as a person sees it while it runs: steady lines in a terminal, plain ones elsewhere.

What is shown comes from `fitgap.sweep.watching`.
"""

import io
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from fitgap import processes
from fitgap.console import say
from fitgap.errors import RequestError
from fitgap.evaluation.figures import figure_text
from fitgap.sweep import status
from fitgap.sweep.status import State, Sweep
from fitgap.sweep.watching import Ended, Reached, Snapshot, Watch

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table
    from rich.text import Text

LOOK_SECONDS = 1.0
# Of the time, a look may take one part in so many: in a large store one takes long.
MOST_SHARE = 20
MOST_TRAINING = 16  # runs with a line each
BAR_WIDTH = 20
NOTEBOOK_WIDTH = 100
_GROUP = re.compile(r"(?<!\S)(?:\w+\.)+(?=\w+=)")  # before the name of a setting
# Columns that stay free: a terminal writes ^C behind the last line, and must not begin a new one.
_ECHO = 3


class _View:
    """What the watching thread and the terminal share."""

    def __init__(self, watch: Watch, console: "Console", *, started: float | None) -> None:
        self._watch = watch
        self.console = console
        self._began = time.time()
        self._started = started or self._began
        self._printed = 0
        self._snapshot: Snapshot | None = None
        self._done_before = 0.0

    def look(self) -> Snapshot | None:
        """Look, and print a line for each run that has ended since the last time."""
        is_first = self._snapshot is None
        with suppress(RequestError):  # a server that is away; the next look will tell
            self._snapshot = self._watch.look()
        found = self._snapshot
        if is_first and found is not None:
            self._done_before = done(found)
        if found is not None:
            ended_before = found.finished - sum(not one.failed for one in found.ended)
            for i, one in enumerate(found.ended[self._printed :], start=self._printed + 1):
                number = ended_before + i - sum(o.failed for o in found.ended[:i])
                _print_ended(self.console, f"[{number}/{found.total}]", one)
            self._printed = len(found.ended)
        return found

    def __rich_console__(self, _: "Console", options: "ConsoleOptions") -> "RenderResult":
        now = time.time()
        found, left = self._snapshot, None
        if found is not None:
            left = time_left(found, done_before=self._done_before, watched=now - self._began)
        yield from lines(found, seconds=now - self._started, left=left, width=options.max_width)


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
def _in_a_terminal(view: _View) -> Iterator[Callable[[], None]]:
    """Draw a view at the bottom of a terminal; where there is none, its lines are all."""
    from rich.live import Live

    if not view.console.is_terminal:
        yield lambda: None
        return
    with Live(view, console=view.console, refresh_per_second=2, transient=True):
        yield lambda: None  # it draws by itself


@contextmanager
def _in_a_notebook(view: _View) -> Iterator[Callable[[], None]]:
    """Draw a view as one output of a notebook's cell, written anew; what has ended stays in it.

    Rich would need ipywidgets, and leave an empty one in the saved notebook.
    """
    from IPython.display import display

    def said(*, is_over: bool = False) -> dict[str, str]:
        below = _plain_console()
        if not is_over:
            below.print(view)
        return {"text/plain": f"{_text(view.console)}{_text(below)}".rstrip()}

    shown = display(said(), raw=True, display_id=True)
    try:
        yield lambda: shown.update(said(), raw=True)
    finally:
        shown.update(said(is_over=True), raw=True)


def _plain_console() -> "Console":
    """Return a console that collects plain text, although a kernel passes for a terminal."""
    from rich.console import Console

    return Console(
        file=io.StringIO(), force_jupyter=False, force_terminal=False, width=NOTEBOOK_WIDTH
    )


def _text(console: "Console") -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@contextmanager
def show(watch: Watch, *, started: float | None = None) -> Iterator[None]:
    """Show a sweep until the block is left.

    Parameters
    ----------
    watch
        Of the sweep; read about once a second by a separate thread.
    started
        When the sweep started, in seconds since 1970; None: now.
    """
    from rich.console import Console

    console = Console()
    is_notebook = console.is_jupyter
    if is_notebook:
        console = _plain_console()
    view = _View(watch, console, started=started)
    ended = threading.Event()
    with (_in_a_notebook if is_notebook else _in_a_terminal)(view) as draw:

        def go_on() -> None:
            took = 0.0
            while not ended.wait(max(LOOK_SECONDS, MOST_SHARE * took)):
                began = time.monotonic()
                view.look()
                draw()
                took = time.monotonic() - began

        thread = threading.Thread(target=go_on, daemon=True, name="fitgap live view")
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            view.look()


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
        uri, experiment=sweep.experiment, parent=sweep.parent.run_id, total=total, finished=finished
    )
    # A sweep that was resumed has run since then, and not since its record was opened.
    started = processes.started(sweep.parent.tags) or sweep.parent.start_time / 1000
    if sweep.is_running:
        say(_what_is_watched(sweep, watch.look()))
    with show(watch, started=started):
        while sweep.is_running:
            time.sleep(LOOK_SECONDS)
            sweep = status.choose_sweep(
                uri, run_id=sweep.parent.run_id, experiment=sweep.experiment
            )


def _what_is_watched(sweep: Sweep, found: Snapshot) -> str:
    """Return the first line: without a terminal, the next one comes when a run ends."""
    count = f"{found.finished} of {found.total}" if found.total else str(found.finished)
    parent = sweep.parent
    return (
        f"watching {parent.name} ({parent.run_id[: status.SHORT_ID]}): "
        f"{count} runs finished, {len(found.training)} in training"
    )


def lines(
    found: Snapshot | None, *, seconds: float, left: float | None, width: int
) -> "Iterator[Text | Table]":
    """Return what stands still at the bottom of the terminal.

    Parameters
    ----------
    found
        None before the first look.
    seconds
        Since the sweep started.
    left
        Until its end, see `time_left`.
    width
        Of the terminal, in columns.
    """
    from rich.text import Text

    if found is None:
        yield Text(f"loading  {clock(seconds)}")
        return
    yield Text(headline(found, seconds=seconds, left=left), style="bold")
    if not found.training and found.finished < found.total:
        yield Text("  loading TensorFlow and the data")
    if found.training or found.best is not None:
        yield _table(found, width=width)
    if len(found.training) > MOST_TRAINING:
        yield Text(f"  and {len(found.training) - MOST_TRAINING} more in training")
    if found.failed:
        yield Text(f"  failed so far: {found.failed}", style="bold red")


def _table(found: Snapshot, *, width: int) -> "Table":
    """Return the runs in training and the best one, whose names give way to their figures."""
    from rich.table import Table
    from rich.text import Text

    rows = [
        ("", one.name, f"{one.epoch}/{one.epochs}", *_cells(one.reached, otherwise="compiling"))
        for one in found.training[:MOST_TRAINING]
    ]
    known = [one.reached for one in found.training if one.reached is not None]
    if found.best is not None:
        name, reached = found.best
        rows.append(("best: ", name, "", *_cells(reached)))
        known.append(reached)
    titles = ("epoch", known[0].metric if known else "", "gap" if known else "")
    widths = [max(map(len, column)) for column in zip(titles, *(r[2:] for r in rows), strict=True)]
    room = width - _ECHO - 2 - sum(2 + one for one in widths)
    table = Table(box=None, padding=(0, 0, 0, 2), pad_edge=True, header_style="dim")
    table.add_column("", no_wrap=True)
    for title in titles:
        table.add_column(Text(title), no_wrap=True, justify="right")
    for label, name, *figures in rows:
        table.add_row(Text(label + _shortened(name, room - len(label))), *figures)
    return table


def _cells(reached: Reached | None, *, otherwise: str = "") -> tuple[str, str]:
    if reached is None:
        return otherwise, ""
    gap = "" if reached.gap is None else figure_text(reached.gap, sign="+")
    return figure_text(reached.value), gap


def _shortened(name: str, cells: int) -> str:
    """Return as much of a name as fits into so many cells of a terminal.

    First the groups of its settings give way (``optimizer.`` of ``optimizer.learning_rate=0.01``),
    then its middle. Its end tells it from the others (the setting that varies fastest, such as the
    seed), and its beginning has the number of a trial.
    """
    from rich.cells import cell_len

    if cell_len(name) <= cells:
        return name
    name = _GROUP.sub("", name)
    if cell_len(name) <= cells:
        return name
    head, tail = name[: cells // 3], name[-cells:]  # however long it is, no more can be shown
    while head and cell_len(head) > cells // 3:
        head = head[:-1]
    while tail and cell_len(head) + 1 + cell_len(tail) > cells:
        tail = tail[1:]
    return f"{head}…{tail}"


def headline(found: Snapshot, *, seconds: float, left: float | None) -> str:
    """Return count, bar, elapsed time and the time left: ``7/18 ━━━  0:42  about 1:06 left``."""
    full = round(BAR_WIDTH * found.finished / max(found.total, 1))
    bar = "━" * full + "╌" * (BAR_WIDTH - full)
    said = "" if left is None else f"  about {clock(left)} left"
    return f"{found.finished}/{found.total} {bar}  {clock(seconds)}{said}"


def done(found: Snapshot) -> float:
    """Return how many runs have ended since the watch began, and parts of those in training."""
    return len(found.ended) + _in_training(found)


def time_left(found: Snapshot, *, done_before: float, watched: float) -> float | None:
    """Return about how many seconds are left, at the pace since the watch began.

    Parameters
    ----------
    found
        The sweep now.
    done_before
        What was `done` when the watch began.
    watched
        Seconds since then.

    Returns
    -------
    float or None
        None until a run has ended or passed an epoch.
    """
    since = done(found) - done_before
    left = found.total - found.finished - found.failed - _in_training(found)
    return max(left, 0.0) * watched / since if since > 0 else None


def _in_training(found: Snapshot) -> float:
    return sum(one.epoch / max(one.epochs, 1) for one in found.training)


def clock(seconds: float) -> str:
    """Return a time as a clock shows it.

    >>> clock(62), clock(3723)
    ('1:02', '1:02:03')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _print_ended(console: "Console", number: str, one: Ended) -> None:
    """Print a line for a run that has ended; a terminal that is too narrow indents the rest."""
    from rich.table import Table
    from rich.text import Text

    said = f"{one.name}: {one.said}, {one.seconds:.1f} s"
    if not console.is_terminal:
        console.print(Text(f"{number} {said}"), soft_wrap=True)
        return
    line = Table.grid(padding=(0, 1))
    line.add_row(number, Text(said, style="red" if one.failed else ""))
    console.print(line)

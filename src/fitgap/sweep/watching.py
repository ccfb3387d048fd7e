"""The progress of a running sweep, from the record and from the checkpoints beside it.

Whatever launches the jobs, and wherever they run, nothing has to be sent here. Where a run's
checkpoint lies on another machine, its last recorded figures tell.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from fitgap import store
from fitgap.evaluation.scores import Scores, gap
from fitgap.store import StoredRun
from fitgap.store.recorded_metrics import known_metric, primary_metric
from fitgap.sweep import endings
from fitgap.tracking.tag_names import PRUNED_TAG
from fitgap.training import checkpoints
from fitgap.trust.text import whole_number


@dataclass(frozen=True, slots=True)
class Training:
    """A run that is being trained: its last whole epoch, 0 before the first, and its figures."""

    name: str
    epoch: int
    epochs: int
    figures: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that has ended: how, in one phrase, and after how many seconds."""

    name: str
    failed: bool
    said: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A sweep at a moment.

    Attributes
    ----------
    total, finished
        Its runs, and how many of them have finished, those of earlier sweeps among them.
    ended
        Those that ended since the watch began, in that order.
    training
        Those that are being trained.
    best
        Name and figures of the best finished run of this sweep; None before the first.
    """

    total: int
    finished: int
    ended: tuple[Ended, ...]
    training: tuple[Training, ...]
    best: str | None

    @property
    def failed(self) -> int:
        """How many failed since the watch began."""
        return sum(one.failed for one in self.ended)


class Watch:
    """Looks at one sweep, again and again.

    Parameters
    ----------
    uri, experiment
        Where its runs are recorded.
    parent
        Run id of its parent.
    total
        How many runs it has.
    finished
        Identities of those that had finished before.

    Attributes
    ----------
    answered
        How many have ended without a run of this sweep that would tell: a search's trials that an
        earlier run answers, or that could not be started.
    """

    def __init__(
        self,
        uri: str,
        *,
        experiment: str,
        parent: str,
        total: int,
        finished: Collection[str] = (),
    ) -> None:
        self.answered = 0
        self._uri, self._experiment, self._parent = uri, experiment, parent
        self._total = total
        self._before = set(finished)
        # What ended before the watch began is no news; one that failed may be trained again.
        self._known = {run.ending for run in self._children() if run.end_time is not None}
        self._ended: list[Ended] = []

    def look(self) -> Snapshot:
        """Return how far the sweep is now.

        Raises
        ------
        RequestError
            If the record cannot be read at the moment.
        """
        runs = self._children()
        news = [r for r in runs if r.end_time is not None and r.ending not in self._known]
        for run in sorted(news, key=lambda run: run.end_time or 0):
            self._known.add(run.ending)
            self._ended.append(_how_it_ended(run))
        finished = [run for run in runs if run.status == "FINISHED"]
        return Snapshot(
            total=self._total,
            finished=len(self._before | done_by(runs)) + self.answered,
            ended=tuple(self._ended),
            training=tuple(self._training(run) for run in runs if run.status == "RUNNING"),
            best=_best(finished),
        )

    def _children(self) -> list[StoredRun]:
        return store.find_runs(
            self._uri,
            experiment=self._experiment,
            statuses=store.ANY_STATUS,
            tags={"fitgap.sweep": self._parent, "fitgap.role": "run"},
        )

    def _training(self, run: StoredRun) -> Training:
        epochs = whole_number(run.params.get("training.epochs")) or 0
        path = checkpoints.path_for(
            run.tags.get("fitgap.identity", ""), uri=self._uri, experiment=self._experiment
        )
        if (last := checkpoints.last_epoch(path)) is not None:
            number, train, val = last
            return Training(_name(run), number, epochs, _figures(run, train=train, val=val))
        steps = store.metric_histories(self._uri, run_ids=[run.run_id], keys=[store.EPOCHS])
        number = max(steps[run.run_id].get(store.EPOCHS, {}), default=0)
        said = endings.figures(run.metrics, primary_metric([run])) if number else ""
        return Training(_name(run), number, epochs, said)


def done_by(runs: Sequence[StoredRun]) -> set[str]:
    """Return the identities of runs that are done: finished, or stopped by their search."""
    return {
        run.tags.get("fitgap.identity", "")
        for run in runs
        if run.status == "FINISHED" or (run.end_time is not None and PRUNED_TAG in run.tags)
    }


def _name(run: StoredRun) -> str:
    # A name is anybody's text, and goes to a terminal.
    return "".join(letter if letter.isprintable() else "?" for letter in run.name)


def _how_it_ended(run: StoredRun) -> Ended:
    seconds = ((run.end_time or run.start_time) - run.start_time) / 1000
    if run.status == "FINISHED":
        said = endings.figures(run.metrics, primary_metric([run]))
        return Ended(_name(run), False, said, seconds)
    reason = run.tags.get("fitgap.failure", run.status)
    said = " ".join(reason.split())
    if PRUNED_TAG not in run.tags:
        said = f"{run.status}, {said}"
    return Ended(_name(run), run.status == "FAILED", said, seconds)


def _best(finished: Sequence[StoredRun]) -> str | None:
    found: list[tuple[float, StoredRun]] = []
    for run in finished:
        name = primary_metric([run])
        if (value := run.metrics.get(f"val/{name}")) is not None:
            found.append((-value * known_metric(name, [run]).direction, run))
    if not found:
        return None
    best = min(found, key=lambda one: one[0])[1]
    return f"{_name(best)}: {endings.figures(best.metrics, primary_metric([best]))}"


def _figures(run: StoredRun, *, train: dict[str, float], val: dict[str, float]) -> str:
    """Return an epoch's primary metric and gap, which no record has yet."""
    name = primary_metric([run])
    if name not in val:
        return f"train/{name} {train[name]:.4f}" if name in train else ""
    said = f"val/{name} {val[name]:.4f}"
    if name in train:
        higher = frozenset(one for one in val if known_metric(one, [run]).direction > 0)
        found = gap(Scores(**train), Scores(**val), higher_is_better=higher)
        said += f"  gap {found[name]:+.4f}"
    return said

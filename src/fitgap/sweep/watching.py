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
from fitgap.tag_names import FAILURE_TAG, PRUNED_TAG, ROLE_TAG, SWEEP_TAG, UNDEFINED_TAG
from fitgap.training import checkpoints
from fitgap.trust.text import whole_number


@dataclass(frozen=True, slots=True)
class Reached:
    """What a run has reached: its primary metric, by full name, and the gap if it is known."""

    metric: str
    value: float
    gap: float | None


@dataclass(frozen=True, slots=True)
class Training:
    """A run that is being trained: its last whole epoch, 0 before the first, and its figures."""

    name: str
    epoch: int
    epochs: int
    reached: Reached | None


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
        The best finished run of this sweep, and what it reached; None before the first.
    """

    total: int
    finished: int
    ended: tuple[Ended, ...]
    training: tuple[Training, ...]
    best: tuple[str, Reached] | None

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
        self, uri: str, *, experiment: str, parent: str, total: int, finished: Collection[str] = ()
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
            tags={SWEEP_TAG: self._parent, ROLE_TAG: "run"},
        )

    def _training(self, run: StoredRun) -> Training:
        epochs = whole_number(run.params.get("training.epochs")) or 0
        path = checkpoints.path_for(run.identity, uri=self._uri, experiment=self._experiment)
        if (last := checkpoints.last_epoch(path)) is not None:
            number, train, val = last
            return Training(_name(run), number, epochs, _figures(run, train=train, val=val))
        steps = store.metric_histories(self._uri, run_ids=[run.run_id], keys=[store.EPOCHS])
        number = max(steps[run.run_id].get(store.EPOCHS, {}), default=0)
        return Training(_name(run), number, epochs, _recorded(run) if number else None)


def done_by(runs: Sequence[StoredRun]) -> set[str]:
    """Return the identities of runs that are done: finished, or stopped by their search."""
    return {
        run.identity
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
        if undefined := run.tags.get(UNDEFINED_TAG):
            said += f", no {' '.join(undefined.split())}"
        return Ended(_name(run), False, said, seconds)
    reason = run.tags.get(FAILURE_TAG, run.status)
    said = " ".join(reason.split())
    if PRUNED_TAG not in run.tags:
        said = f"{run.status}, {said}"
    return Ended(_name(run), run.status == "FAILED", said, seconds)


def _best(finished: Sequence[StoredRun]) -> tuple[str, Reached] | None:
    found: list[tuple[float, StoredRun, Reached]] = []
    for run in finished:
        reached = _recorded(run)
        if reached is not None and reached.metric.startswith("val/"):
            direction = known_metric(primary_metric([run]), [run]).direction
            found.append((-reached.value * direction, run, reached))
    if not found:
        return None
    _, best, reached = min(found, key=lambda one: one[0])
    return _name(best), reached


def _recorded(run: StoredRun) -> Reached | None:
    """Return a run's primary metric and gap as they are recorded: on validation data if it can."""
    name = primary_metric([run])
    for part in ("val", "train"):
        if (value := run.metrics.get(f"{part}/{name}")) is not None:
            return Reached(f"{part}/{name}", value, run.metrics.get(f"gap/{name}"))
    return None


def _figures(run: StoredRun, *, train: dict[str, float], val: dict[str, float]) -> Reached | None:
    """Return an epoch's primary metric and gap, which no record has yet."""
    name = primary_metric([run])
    if name not in val:
        return Reached(f"train/{name}", train[name], None) if name in train else None
    if name not in train:
        return Reached(f"val/{name}", val[name], None)
    higher = frozenset(one for one in val if known_metric(one, [run]).direction > 0)
    found = gap(Scores(**train), Scores(**val), higher_is_better=higher)
    return Reached(f"val/{name}", val[name], found[name])

"""What goes into the report of an experiment: the comparison, curves, verdicts, failures, origins.

Data only: `fitgap.report_figures` draws it, `fitgap.report_page` lays it out.
"""

import importlib.metadata
import math
import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from fitgap import report_commands, store
from fitgap.comparison import Comparison, Group, Section, compare_experiment
from fitgap.differences import GROUPS, show
from fitgap.estimates import Estimate
from fitgap.leaderboard import FIGURES, FIGURES_WITHOUT_VALIDATION, FIT_SECONDS
from fitgap.store import Histories, StoredRun
from fitgap.verdicts import Curve, Verdict, curve_over_seeds, judge, pareto_front

MOST_GROUPS = 200  # rows of a table; nobody reads more, and the file has to open on a phone
MOST_CURVES = 6  # groups whose learning curves are drawn
MOST_FAILURES = 100
QUANTITIES = ("loss", "accuracy")
EPOCHS = "running/loss"  # logged once per epoch, unlike the figures of the saved weights
PACKAGES = ("fitgap", "tensorflow", "keras", "numpy", "scikit-learn", "mlflow")


@dataclass(frozen=True, slots=True)
class ReportedGroup:
    """A group and what is said of it.

    Attributes
    ----------
    group
        As compared.
    rank
        From 1; None where groups are only listed.
    label
        Its settings in one line.
    verdict
        None without a validation partition.
    curves
        By metric; empty below the first `MOST_CURVES` groups.
    command
        What repeats it; None if the present settings cannot, and below those groups.
    """

    group: Group
    rank: int | None
    label: str
    verdict: Verdict | None
    curves: dict[str, Curve]
    command: str | None


@dataclass(frozen=True, slots=True)
class ReportedSection:
    """Groups on the same data and split.

    Attributes
    ----------
    section
        As compared, with all its groups.
    columns
        The metrics of the leaderboard.
    sizes
        Images by partition, as the runs say; a partition that they do not agree on is absent.
    seeds
        Of any of its runs.
    shown
        The first `MOST_GROUPS` groups.
    front
        Positions, among all groups, of those that no other beats in accuracy and gap.
    """

    section: Section
    columns: tuple[str, ...]
    sizes: dict[str, int]
    seeds: tuple[str, ...]
    shown: tuple[ReportedGroup, ...]
    front: frozenset[int]

    @property
    def selected(self) -> ReportedGroup | None:
        """The group ranked first; None where groups are only listed."""
        first = self.shown[0]
        return first if first.rank is not None else None


@dataclass(frozen=True, slots=True)
class Origin:
    """A state of the code, and how many of the compared runs come from it."""

    commit: str
    is_dirty: bool | None
    runs: int


@dataclass(frozen=True, slots=True)
class Report:
    """All that the report shows.

    Attributes
    ----------
    experiment, uri, written
        Of the runs; the URI without credentials, the time in UTC.
    sections, notes
        As in the comparison.
    failures
        Runs that ended FAILED or KILLED, newest first.
    repeated
        Identities of finished runs: a failure of one of them was made good later.
    origins, versions
        Most runs first; versions of the packages installed where the report is written, by name.
    """

    experiment: str
    uri: str
    written: datetime
    sections: tuple[ReportedSection, ...]
    notes: tuple[str, ...]
    failures: tuple[StoredRun, ...]
    repeated: frozenset[str]
    origins: tuple[Origin, ...]
    versions: dict[str, str]


def report_on(uri: str, *, experiment: str, sort: str | None = None) -> Report:
    """Compare an experiment's finished runs and gather what the report shows of them.

    Parameters
    ----------
    uri
        Where the record is; see `fitgap.store.resolve_uri`.
    experiment
        Its name.
    sort
        A metric; None is ``val/accuracy`` wherever there is a validation partition.

    Raises
    ------
    RequestError
        If the experiment is unknown, holds no finished run, or no run has the metric.
    """
    comparison = compare_experiment(uri, experiment=experiment, sort=sort)
    failures = store.find_runs(
        uri,
        experiment=experiment,
        statuses=("FAILED", "KILLED"),
        tags={"fitgap.role": "run"},
    )
    return report_of(comparison, uri=uri, experiment=experiment, failures=failures)


def report_of(
    comparison: Comparison, *, uri: str, experiment: str, failures: Sequence[StoredRun]
) -> Report:
    """Gather what the report shows of a comparison.

    Parameters
    ----------
    comparison
        Of any runs of the experiment.
    uri, experiment
        Of the record.
    failures
        Runs to be listed as failed, newest first.
    """
    runs = [run for part in comparison.sections for group in part.groups for run in group.runs]
    return Report(
        experiment=experiment,
        uri=store.redact(uri),
        written=datetime.now(UTC),
        sections=tuple(_section(part, uri=uri) for part in comparison.sections),
        notes=comparison.notes,
        failures=tuple(failures),
        repeated=frozenset(run.tags.get("fitgap.identity", "") for run in runs) - {""},
        origins=_origins(runs),
        versions={"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in PACKAGES},
    )


def label_of(group: Group) -> str:
    """Return a group's settings in one line: ``adam, training.epochs=5``."""
    if not group.settings:
        # Nothing differs; a person still wants to see what was run.
        names = (group.runs[0].params.get(f"{key}.name") for key in ("architecture", "optimizer"))
        return ", ".join(name for name in names if name) or "all runs"
    # The name of an option speaks for itself.
    return ", ".join(
        show(value) if key in GROUPS else f"{key}={show(value)}"
        for key, value in group.settings.items()
    )


def _section(section: Section, *, uri: str) -> ReportedSection:
    shown = section.groups[:MOST_GROUPS]
    histories = store.metric_histories(
        uri,
        run_ids=[run.run_id for group in shown for run in group.runs],
        keys=["val/loss", EPOCHS],
    )
    drawn = [run.run_id for group in shown[:MOST_CURVES] for run in group.runs]
    others = [f"{part}/{quantity}" for part in ("train", "val") for quantity in QUANTITIES]
    for run_id, more in store.metric_histories(uri, run_ids=drawn, keys=others).items():
        histories[run_id] |= more
    front = pareto_front(
        [
            (mean_of(group, "val/accuracy"), mean_of(group, "gap/accuracy"))
            for group in section.groups
        ]
    )
    sizes = _sizes(section)
    best = max(
        (
            group.metrics["val/accuracy"]
            for group in section.groups
            if "val/accuracy" in group.metrics
        ),
        key=lambda found: found.mean if math.isfinite(found.mean) else -math.inf,
        default=None,
    )
    reported = []
    for i, group in enumerate(shown):
        curves = {key: _curve(group, key, histories) for key in others} if i < MOST_CURVES else {}
        reported.append(
            ReportedGroup(
                group=group,
                rank=i + 1 if section.sort in group.metrics else None,
                label=label_of(group),
                verdict=_verdict(group, histories, best=best, images=sizes.get("validation", 0)),
                curves=curves,
                command=report_commands.command_of(group.runs) if i < MOST_CURVES else None,
            )
        )
    return ReportedSection(
        section=section,
        columns=_columns(section),
        sizes=sizes,
        seeds=tuple(sorted(_seeds(section), key=lambda seed: (len(seed), seed))),
        shown=tuple(reported),
        front=front,
    )


def mean_of(group: Group, metric: str) -> float:
    """Return a metric's mean over the seeds, NaN if no run has it."""
    return group.metrics[metric].mean if metric in group.metrics else math.nan


def _curve(group: Group, metric: str, histories: Histories) -> Curve:
    return curve_over_seeds([_by_epoch(histories[run.run_id], metric) for run in group.runs])


def _by_epoch(history: dict[str, dict[int, float]], metric: str) -> dict[int, float]:
    """Return a metric by epoch, without the saved weights' figures a step after the last one."""
    values, epochs = history.get(metric, {}), history.get(EPOCHS)
    return values if epochs is None else {e: value for e, value in values.items() if e in epochs}


def _verdict(
    group: Group, histories: Histories, *, best: Estimate | None, images: int
) -> Verdict | None:
    needed = ("gap/accuracy", "train/accuracy", "val/accuracy")
    if best is None or not images or not all(math.isfinite(mean_of(group, key)) for key in needed):
        return None
    lowest = [
        min(values.values())
        for run in group.runs
        if (values := _by_epoch(histories[run.run_id], "val/loss"))
    ]
    # Means over the seeds, of both: one seed with a loss near zero must not decide.
    base = math.fsum(lowest) / len(lowest) if lowest else math.nan
    rise = mean_of(group, "val/loss") / base - 1 if base > 0 else 0.0
    gap, train, val = (group.metrics[key] for key in needed)
    loss = _curve(group, "val/loss", histories)
    return judge(gap, train=train, val=val, best=best, images=images, loss=loss, rise=rise)


def _columns(section: Section) -> tuple[str, ...]:
    present = {name for group in section.groups for name in group.metrics}
    usual = FIGURES if FIGURES[0] in present else FIGURES_WITHOUT_VALIDATION
    wanted = dict.fromkeys([*([section.sort] if section.sort else []), *usual, FIT_SECONDS])
    return tuple(name for name in wanted if name in present)


def _sizes(section: Section) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for name, key in (("training", "train"), ("validation", "val"), ("test", "test")):
        found = {
            run.params.get(f"{key}_samples", "") for group in section.groups for run in group.runs
        }
        text = found.pop() if len(found) == 1 else ""
        if text.isdecimal():
            sizes[name] = int(text)
    return sizes


def _seeds(section: Section) -> set[str]:
    return {run.params.get("seed", "?") for group in section.groups for run in group.runs}


def _origins(runs: Sequence[StoredRun]) -> tuple[Origin, ...]:
    dirty = {"true": True, "false": False}
    counted = Counter(
        (
            run.tags.get("mlflow.source.git.commit", ""),
            dirty.get(run.tags.get("fitgap.git_dirty", "")),
        )
        for run in runs
    )
    return tuple(Origin(commit, state, n) for (commit, state), n in counted.most_common())

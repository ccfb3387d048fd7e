"""What goes into the report of an experiment: the comparison, curves, verdicts, failures, origins.

Data only: `fitgap.report.comparison_charts` draws it, `fitgap.report.page` lays it out.
"""

import importlib.metadata
import platform
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from fitgap import store
from fitgap.comparison.effects import Effect, effect_metrics, main_effects
from fitgap.comparison.gap_curves import explain_from, front_of
from fitgap.comparison.groups import Comparison, Group, Section
from fitgap.comparison.query import EVERYTHING, Query
from fitgap.comparison.ranking import compare_experiment
from fitgap.comparison.search_importances import Search
from fitgap.comparison.variance import Components, components_of
from fitgap.comparison.verdicts import Verdict
from fitgap.report import curve_charts
from fitgap.report.leaderboard import figure_names, label_of, mark_of
from fitgap.report.repeat_command import commands_of
from fitgap.report.selected_model import SelectedModel, Tested, mcnemar_tests, selected_model
from fitgap.store import Histories, StoredRun
from fitgap.tag_names import COMMIT_TAG, DIRTY_TAG, IDENTITY_TAG, ROLE_TAG, SWEEP_TAG

MOST_GROUPS = 200  # rows of a table; nobody reads more, and the file has to open on a phone
MOST_COMMANDS = 6  # groups whose command is shown
MOST_FAILURES = 100
PACKAGES = ("fitgap", "tensorflow", "keras", "numpy", "scikit-learn", "mlflow")


@dataclass(frozen=True, slots=True)
class ReportedGroup:
    """A group and what the report says about it.

    Attributes
    ----------
    group
        As compared.
    rank
        From 1; None where groups are only listed.
    mark
        Best, tied with the best, or not to be tested; see `fitgap.report.leaderboard.mark_of`.
    label
        Its settings in one line.
    verdict
        None without a validation partition.
    tested
        McNemar's test against the best group's model; None for the best and for later groups.
    command
        What repeats it; None if the present settings cannot, and below the first `MOST_COMMANDS`
        groups.
    """

    group: Group
    rank: int | None
    mark: str
    label: str
    verdict: Verdict | None
    tested: Tested | None
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
    seeds
        Of any of its runs.
    shown
        The first `MOST_GROUPS` groups.
    front
        Positions, among all groups, of those that no other beats in validation figure and gap.
    effects
        Main effects by metric, the largest first.
    variances
        Where the variance of the same metrics comes from, if that can be estimated.
    model
        The selected one; None where groups are only listed.
    histories
        What the curves of its first groups are drawn from.
    """

    section: Section
    columns: tuple[str, ...]
    seeds: tuple[str, ...]
    shown: tuple[ReportedGroup, ...]
    front: frozenset[int]
    effects: dict[str, tuple[Effect, ...]]
    variances: tuple[Components, ...]
    model: SelectedModel | None
    histories: Histories

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
    command
        That writes it again.
    sections, notes
        As in the comparison.
    failures
        Runs that ended FAILED or KILLED, newest first.
    searches
        Searches by Optuna, newest first, with each setting's importance for each metric.
    repeated
        Identities of finished runs: a failure of one of them was made good later.
    origins, versions
        Most runs first; versions of the packages installed where the report is written, by name.
    """

    experiment: str
    uri: str
    written: datetime
    command: str
    sections: tuple[ReportedSection, ...]
    notes: tuple[str, ...]
    failures: tuple[StoredRun, ...]
    searches: tuple[Search, ...]
    repeated: frozenset[str]
    origins: tuple[Origin, ...]
    versions: dict[str, str]


def report_on(uri: str, *, experiment: str, query: Query = EVERYTHING) -> Report:
    """Compare an experiment's finished runs and collect what the report shows.

    Takes and raises what `fitgap.comparison.ranking.compare_experiment` does.
    """
    comparison = compare_experiment(uri, experiment=experiment, query=query)
    tags = {ROLE_TAG: "run"} | ({SWEEP_TAG: query.sweep} if query.sweep else {})
    failures = store.find_runs(uri, experiment=experiment, statuses=("FAILED", "KILLED"), tags=tags)
    return report_of(comparison, uri=uri, experiment=experiment, failures=failures, query=query)


def report_of(
    comparison: Comparison,
    *,
    uri: str,
    experiment: str,
    failures: Sequence[StoredRun],
    query: Query = EVERYTHING,
) -> Report:
    """Collect what the report shows of a comparison.

    Parameters
    ----------
    comparison
        Of any runs of the experiment.
    uri, experiment
        Of the record.
    failures
        Runs to be listed as failed, newest first.
    query
        The request; the report names the command that repeats it.
    """
    runs = [run for part in comparison.sections for group in part.groups for run in group.runs]
    return Report(
        experiment=experiment,
        uri=store.redact(uri),
        written=datetime.now(UTC),
        command=_command(experiment, query),
        sections=tuple(
            _section(part, uri=uri, metrics=comparison.metrics) for part in comparison.sections
        ),
        notes=comparison.notes,
        failures=tuple(failures),
        searches=comparison.searches,
        repeated=frozenset(run.tags.get(IDENTITY_TAG, "") for run in runs) - {""},
        origins=_origins(runs),
        versions={"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in PACKAGES},
    )


def _section(section: Section, *, uri: str, metrics: Sequence[str]) -> ReportedSection:
    shown = section.groups[:MOST_GROUPS]
    histories = store.metric_histories(
        uri,
        run_ids=[run.run_id for group in shown for run in group.runs],
        keys=["val/loss", store.EPOCHS],
    )
    quantities = dict.fromkeys([section.metric, "loss"])
    drawn = curve_charts.histories_of(section, uri=uri, metrics=quantities)
    for run_id, more in drawn.items():
        histories[run_id] |= more
    explained = explain_from(section, histories, limit=MOST_GROUPS)
    tests = mcnemar_tests(section, uri=uri)
    repeatable = [] if section.averages else shown[:MOST_COMMANDS]
    commands = commands_of([group.runs for group in repeatable])
    reported = []
    for i, group in enumerate(shown):
        reported.append(
            ReportedGroup(
                group=group,
                rank=i + 1 if section.sort in group.metrics else None,
                mark=mark_of(section, group),
                label=label_of(group),
                verdict=explained[i].verdict,
                tested=tests[i] if i < len(tests) else None,
                command=commands[i] if i < len(commands) else None,
            )
        )
    return ReportedSection(
        section=section,
        columns=tuple(figure_names(section, metrics)),
        seeds=tuple(sorted(_seeds(section), key=lambda seed: (len(seed), seed))),
        shown=tuple(reported),
        front=front_of(section),
        effects={
            metric: tuple(main_effects(section, metric=metric))
            for metric in effect_metrics(section)
        },
        variances=tuple(
            found
            for metric in effect_metrics(section)
            if (found := components_of(section, metric=metric)) is not None
        ),
        model=selected_model(section, uri=uri),
        histories=histories,
    )


def _command(experiment: str, query: Query) -> str:
    """Return the command that writes this report again."""
    words = ["fitgap", "report", "--experiment", experiment]
    if query.sort:
        words += ["--sort", query.sort]
    for condition in query.where:
        words += ["--where", condition]
    for option, values in (("--by", query.by), ("--metric", query.metrics)):
        words += [option, *values] if values else []
    if query.sweep:
        words += ["--sweep", query.sweep]
    if query.margin is not None:
        words += ["--margin", f"{query.margin:g}"]
    if query.these_images:
        words.append("--these-images")
    return shlex.join(words)


def _seeds(section: Section) -> set[str]:
    return {run.params.get("seed", "?") for group in section.groups for run in group.runs}


def _origins(runs: Sequence[StoredRun]) -> tuple[Origin, ...]:
    dirty = {"true": True, "false": False}
    counted = Counter(
        (
            run.tags.get(COMMIT_TAG, ""),
            dirty.get(run.tags.get(DIRTY_TAG, "")),
        )
        for run in runs
    )
    return tuple(Origin(commit, state, n) for (commit, state), n in counted.most_common())

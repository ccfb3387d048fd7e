"""From runs of the record to ranked groups: which settings differ, and how sure a mean is.

Runs that differ only in ``seed`` are one group; groups on different data or splits are never in
one ranking. Reading the record belongs to `fitgap.store`, showing a comparison to
`fitgap.reporting`.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from fitgap import store
from fitgap.differences import (
    GROUPS,
    Setting,
    deciding_keys,
    differing_keys,
    parse,
    setting_of,
)
from fitgap.errors import RequestError
from fitgap.estimates import Estimate, estimate, higher_is_better
from fitgap.store import StoredRun

DEFAULT_SORT = "val/accuracy"


@dataclass(frozen=True, slots=True)
class Group:
    """Runs that differ only in their seed.

    Attributes
    ----------
    settings
        Of the settings that differ within the section, those that this group has.
    runs
        One per seed, by seed.
    metrics
        By name; a metric that no run has is absent.
    """

    settings: dict[str, Setting]
    runs: tuple[StoredRun, ...]
    metrics: dict[str, Estimate]


@dataclass(frozen=True, slots=True)
class Section:
    """Groups on the same data and split: one ranking.

    Attributes
    ----------
    dataset, split
        Their names in the settings.
    dataset_digest, split_digest
        What the runs' tags say of the data; empty for runs without.
    settings
        What else sets this section's data or split apart from the others', as ``split.seed``.
    keys
        The settings that differ, in the order of their columns.
    sort
        The metric by which ``groups`` are ranked, best first; None if they are only listed.
    groups
        At least one.
    """

    dataset: str
    dataset_digest: str
    split: str
    split_digest: str
    settings: dict[str, Setting]
    keys: tuple[str, ...]
    sort: str | None
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Sections, most runs first, and what a reader must know to believe them (``notes``)."""

    sections: tuple[Section, ...]
    notes: tuple[str, ...]


def compare_experiment(uri: str, *, experiment: str, sort: str | None = None) -> Comparison:
    """Compare the finished runs of one experiment.

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
    runs = store.find_runs(uri, experiment=experiment, tags={"fitgap.role": "run"})
    if not runs:
        raise _nothing_to_compare(uri, experiment=experiment)
    return compare(runs, sort=sort)


def compare(runs: Sequence[StoredRun], *, sort: str | None = None) -> Comparison:
    """Group, summarise and rank runs; the parent runs of sweeps are left out.

    Parameters
    ----------
    runs
        Newest first, as the store returns them.
    sort
        A metric; None is ``val/accuracy`` wherever there is a validation partition.

    Raises
    ------
    RequestError
        If no run has the metric.
    """
    own = [run for run in runs if run.tags.get("fitgap.role", "run") == "run"]
    if sort is not None:
        _require_metric(sort, own)
    decide = deciding_keys(own)
    newest = _once_per_seed(own, decide=decide)
    by_data: dict[tuple[str, str], list[StoredRun]] = {}
    for run in newest:
        by_data.setdefault(_data_of(run), []).append(run)
    # Newest first decided which of two equal runs counts; here the names give a stable order.
    parts = sorted(
        by_data.values(), key=lambda part: (-len(part), _names(part[0]), _data_of(part[0]))
    )
    sections = tuple(_section(part, decide=decide, sort=sort) for part in parts)
    return Comparison(sections, tuple(_notes(sections, runs=own, sort=sort)))


def _data_of(run: StoredRun) -> tuple[str, str]:
    return run.tags.get("fitgap.dataset_digest", ""), run.tags.get("fitgap.split_digest", "")


def _names(run: StoredRun) -> tuple[str, str]:
    return run.params.get("dataset.name", ""), run.params.get("split.name", "")


def _once_per_seed(runs: Iterable[StoredRun], *, decide: Sequence[str]) -> list[StoredRun]:
    """Keep the newest of runs with equal data, settings and seed.

    A repetition is no new draw: counted twice, it would narrow the interval for nothing. That
    holds for one identity and also for runs that other code or library versions set apart.
    """
    kept: dict[object, StoredRun] = {}
    identities: set[str] = set()
    for run in runs:
        identity = run.tags.get("fitgap.identity")
        key = (_data_of(run), tuple(setting_of(run, k) for k in decide), run.params.get("seed"))
        if key in kept or identity in identities:
            continue
        kept[key] = run
        if identity is not None:
            identities.add(identity)
    return list(kept.values())


def _section(runs: Sequence[StoredRun], *, decide: Sequence[str], sort: str | None) -> Section:
    members: dict[tuple[str | None, ...], list[StoredRun]] = {}
    for run in runs:
        members.setdefault(tuple(setting_of(run, key) for key in decide), []).append(run)
    keys = differing_keys(list(members), decide=decide)
    groups = [_group(part, keys=keys) for part in members.values()]
    first = runs[0]
    by = sort or DEFAULT_SORT
    ranked = any(by in group.metrics for group in groups)
    groups.sort(key=lambda group: _by_settings(group, keys=keys))
    if ranked:
        groups.sort(key=lambda group: _badness(group.metrics.get(by), metric=by))
    dataset, split = _names(first)
    dataset_digest, split_digest = _data_of(first)
    return Section(
        dataset=dataset,
        dataset_digest=dataset_digest,
        split=split,
        split_digest=split_digest,
        settings=_of_data(first, decide=decide, shown=keys),
        keys=keys,
        sort=by if ranked else None,
        groups=tuple(groups),
    )


def _of_data(run: StoredRun, *, decide: Iterable[str], shown: Iterable[str]) -> dict[str, Setting]:
    """Return what sets a section's data apart from other sections', beside the names."""
    found: dict[str, Setting] = {}
    for key in decide:
        group, _, rest = key.partition(".")
        value = parse(setting_of(run, key) or "None")
        wanted = group in ("dataset", "split") and rest != "name" and key not in shown
        if wanted and value is not None:
            found[key] = value
    return found


def _group(runs: Iterable[StoredRun], *, keys: Iterable[str]) -> Group:
    by_seed = sorted(runs, key=lambda run: (_as_number(run.params.get("seed")), run.run_id))
    settings: dict[str, Setting] = {}
    for key in keys:
        value = setting_of(by_seed[0], f"{key}.name" if key in GROUPS else key)
        if value is not None:
            settings[key] = value if key in GROUPS or key.endswith(".name") else parse(value)
    values: dict[str, list[float]] = {}
    for run in by_seed:
        for name, number in run.metrics.items():
            values.setdefault(name, []).append(number)
    metrics = {name: estimate(values[name]) for name in sorted(values)}
    return Group(settings, tuple(by_seed), metrics)


def _as_number(value: object) -> tuple[float, str]:
    """Return a key that sorts numbers by size and everything else, after them, as text."""
    try:
        return float(str(value)), ""
    except ValueError:
        return math.inf, str(value)


def _by_settings(group: Group, *, keys: Iterable[str]) -> list[tuple[float, str]]:
    return [_as_number(group.settings.get(key, "")) for key in keys]


def _badness(found: Estimate | None, *, metric: str) -> float:
    if found is None or math.isnan(found.mean):
        return math.inf
    return -found.mean if higher_is_better(metric) else found.mean


def _require_metric(metric: str, runs: Iterable[StoredRun]) -> None:
    names = sorted({name for run in runs for name in run.metrics})
    if metric not in names:
        near = get_close_matches(metric, names, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise RequestError(f"no run has the metric {metric!r}{hint}\nThere is: {', '.join(names)}")


def _nothing_to_compare(uri: str, *, experiment: str) -> RequestError:
    names = list(store.experiments(uri))
    make = "make some with: python scripts/train.py -m optimizer=sgd,adam seed=0,1,2"
    where = store.redact(uri)
    if experiment not in names:
        near = get_close_matches(experiment, names, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        there = ", ".join(repr(name) for name in names) or "none"
        return RequestError(
            f"there is no experiment {experiment!r}{hint} in {where}; it holds: {there}\n"
            f"For runs, {make}"
        )
    others = store.find_runs(
        uri,
        experiment=experiment,
        statuses=("RUNNING", "FAILED", "KILLED"),
        tags={"fitgap.role": "run"},
    )
    counted = Counter(run.status for run in others)
    counts = ", ".join(f"{n} {status}" for status, n in sorted(counted.items()))
    return RequestError(
        f"experiment {experiment!r} in {where} has no finished run"
        + (f" ({counts})" if counts else "")
        + f"; {make}"
    )


def _notes(
    sections: Sequence[Section], *, runs: Sequence[StoredRun], sort: str | None
) -> list[str]:
    notes: list[str] = []
    groups = [group for section in sections for group in section.groups]
    if sort is not None and sort.startswith(("test/", "test_gap/")):
        notes.append(
            f"Sorted by {sort}: that is choosing on the test set, and makes the winner's own test "
            f"figure too good. Choose by {DEFAULT_SORT}."
        )
    if len(sections) > 1:
        notes.append("Runs on different data or splits are ranked apart.")
    by = sort or DEFAULT_SORT
    if any(section.sort is None and section.split == "none" for section in sections):
        notes.append(
            f"Without a validation partition (split=none) there is no {by}, and nothing to choose "
            "by: those groups are listed, not ranked."
        )
    if any(section.sort is None and section.split != "none" for section in sections):
        notes.append(f"Where no run has {by}, groups are listed, not ranked.")
    alone = sum(len(group.runs) == 1 for group in groups)
    if alone:
        notes.append(
            f"Groups with one seed ({alone} of {len(groups)}) have no interval; more seeds give "
            "one: seed=0,1,2."
        )
    lacking = sum(
        len(group.runs) - (group.metrics[by].n if by in group.metrics else 0)
        for section in sections
        if section.sort
        for group in section.groups
    )
    if lacking:
        notes.append(f"Runs without {by}, which do not count in its mean: {lacking}.")
    repeated = len(runs) - sum(len(group.runs) for group in groups)
    if repeated:
        notes.append(
            f"Older runs whose data, settings and seed a newer one repeats, left out: {repeated}."
        )
    return notes

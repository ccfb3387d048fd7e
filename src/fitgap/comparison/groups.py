"""From runs of the record to ranked groups: which settings differ, and how sure a mean is.

Runs that differ only in ``seed`` are one group; groups on different data or splits are never in
one ranking. Reading the record belongs to `fitgap.store`, showing a comparison to
`fitgap.report.terminal`.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from fitgap import store
from fitgap.comparison.estimates import Estimate, estimate, higher_is_better
from fitgap.comparison.notes import DEFAULT_SORT, notes_on, nothing_to_compare
from fitgap.comparison.query import Query, conditions, nothing_left, require_metric, setting_name
from fitgap.comparison.search_importances import Search, searches_of
from fitgap.comparison.significance import wilson
from fitgap.comparison.ties import AgainstBest, against_best
from fitgap.comparison.varying_settings import (
    GROUPS,
    Setting,
    deciding_keys,
    differing_keys,
    others_than,
    parse,
    setting_of,
    value_of,
)
from fitgap.store import StoredRun

PARTITIONS = ("train", "val", "test")
CHOSEN_BY = "val/"
EVERYTHING = Query()


@dataclass(frozen=True, slots=True)
class Group:
    """Runs that differ only in their seed, or in all but the settings grouped by.

    Attributes
    ----------
    settings
        Of the settings that differ within the section, those that this group has.
    runs
        By seed; one per seed, unless other settings are averaged over.
    metrics
        By name; a metric that no run has is absent.
    against_best
        What the paired test says; None for the best group and for those that are not ranked.
    failed
        How many of its seeds have a FAILED run and no finished one.
    """

    settings: dict[str, Setting]
    runs: tuple[StoredRun, ...]
    metrics: dict[str, Estimate]
    against_best: AgainstBest | None = None
    failed: int = 0

    def is_complete(self, metric: str) -> bool:
        """Whether no seed failed and every run has a finite figure, or none at all, of a metric."""
        found = self.metrics.get(metric)
        return not self.failed and (found is None or not found.not_finite)


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
        The settings that make the groups, in the order of their columns.
    sort
        The metric by which ``groups`` are ranked, best first; None if they are only listed.
    groups
        At least one.
    differing
        All settings that differ; ``keys`` are these unless a person grouped by others.
    images
        By partition (``train``, ``val``, ``test``), where all runs agree and there are any.
    """

    dataset: str
    dataset_digest: str
    split: str
    split_digest: str
    settings: dict[str, Setting]
    keys: tuple[str, ...]
    sort: str | None
    groups: tuple[Group, ...]
    differing: tuple[str, ...] = ()
    images: dict[str, int] = field(default_factory=dict)

    @property
    def averages(self) -> bool:
        """Whether groups hold runs of different settings."""
        return not set(self.differing) <= {*self.keys}

    @property
    def has_winner(self) -> bool:
        """Whether the order is by what a person may choose by: figures of validation data."""
        return self.sort is not None and self.sort.startswith(CHOSEN_BY)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Groups ranked on each data and split.

    Attributes
    ----------
    sections
        Most runs first.
    notes
        What a reader must know to believe them.
    metrics
        Those asked for; none: the usual ones in a table, all of them elsewhere.
    searches
        Of the experiment.
    """

    sections: tuple[Section, ...]
    notes: tuple[str, ...]
    metrics: tuple[str, ...] = ()
    searches: tuple[Search, ...] = ()


def compare_experiment(uri: str, *, experiment: str, query: Query = EVERYTHING) -> Comparison:
    """Compare the finished runs of one experiment; see `compare`.

    Parameters
    ----------
    uri
        Where the record is; see `fitgap.store.resolve_uri`.
    experiment
        Its name.
    query
        Which of its runs, and how.

    Raises
    ------
    RequestError
        If the experiment is unknown or holds no finished run, or as `compare` does.
    """
    tags = {"fitgap.role": "run"} | ({"fitgap.sweep": query.sweep} if query.sweep else {})
    ended = store.find_runs(uri, experiment=experiment, statuses=("FINISHED", "FAILED"), tags=tags)
    runs = [run for run in ended if run.status == "FINISHED"]
    failed = [run for run in ended if run.status == "FAILED"]
    if not runs:
        raise nothing_to_compare(uri, experiment=experiment, sweep=query.sweep)
    found = compare(runs, query, failed=failed)
    return replace(found, searches=searches_of(uri, experiment=experiment))


def compare(
    runs: Sequence[StoredRun], query: Query = EVERYTHING, *, failed: Sequence[StoredRun] = ()
) -> Comparison:
    """Group, summarise and rank runs; the parent runs of sweeps are left out.

    Parameters
    ----------
    runs
        Newest first, as the store returns them.
    query
        Which of them, and how.
    failed
        Runs that ended FAILED: they have no figures, and their groups say that they are there.

    Raises
    ------
    RequestError
        If the query names a metric or setting that no run has, or no run meets its conditions.
    """
    own = [run for run in runs if run.tags.get("fitgap.role", "run") == "run"]
    if query.sort is not None:
        require_metric(query.sort, own, option="--sort")
    for name in query.metrics:
        require_metric(name, own, option="--metric")
    by = tuple(dict.fromkeys(setting_name(name, own, option="--by") for name in query.by))
    found = conditions(query.where, own)
    kept = [run for run in own if all(one.holds(run) for one in found)]
    if own and not kept:
        raise nothing_left(found, own)
    lost = [run for run in failed if all(one.is_metric or one.holds(run) for one in found)]
    decide = deciding_keys(kept)
    newest = _once_per_seed(kept, decide=decide)
    by_data: dict[tuple[str, str], list[StoredRun]] = {}
    for run in newest:
        by_data.setdefault(_data_of(run), []).append(run)
    # Newest first decided which of two equal runs counts; here the names give a stable order.
    parts = sorted(
        by_data.values(), key=lambda part: (-len(part), _names(part[0]), _data_of(part[0]))
    )
    sections = tuple(
        _section(part, decide=decide, sort=query.sort, by=by, failed=lost) for part in parts
    )
    notes = notes_on(sections, query=query, conditions=found, found=len(own), kept=kept)
    return Comparison(sections, tuple(notes), query.metrics)


def image_interval(run: StoredRun, metric: str) -> tuple[float, float] | None:
    """Return Wilson's 95 % interval of a run's accuracy, from its number of images.

    Parameters
    ----------
    run
        Whose record says how many images each partition has.
    metric
        ``train/accuracy``, ``val/accuracy`` or ``test/accuracy``.

    Returns
    -------
    tuple of float or None
        None for other metrics, and where the accuracy or the number of images is not known.
    """
    partition, _, quantity = metric.partition("/")
    images = run.params.get(f"{partition}_samples", "")
    accuracy = run.metrics.get(metric, math.nan)
    if quantity != "accuracy" or not images.isdecimal() or not int(images):
        return None
    return wilson(accuracy, images=int(images)) if 0 <= accuracy <= 1 else None


def _data_of(run: StoredRun) -> tuple[str, str]:
    return run.tags.get("fitgap.dataset_digest", ""), run.tags.get("fitgap.split_digest", "")


def _names(run: StoredRun) -> tuple[str, str]:
    return run.params.get("dataset.name", ""), run.params.get("split.name", "")


def _once_per_seed(runs: Iterable[StoredRun], *, decide: Sequence[str]) -> list[StoredRun]:
    """Keep the newest of runs with equal data, settings and seed; a rerun yields to its original.

    A repetition is no new draw: counted twice, it would narrow the interval for nothing. That
    holds for one identity and also for runs that other code or library versions set apart.
    """
    kept: dict[object, StoredRun] = {}
    identities: set[str] = set()
    for run in sorted(runs, key=lambda run: "fitgap.rerun_of" in run.tags):
        identity = run.tags.get("fitgap.identity")
        key = (_data_of(run), tuple(setting_of(run, k) for k in decide), run.params.get("seed"))
        if key in kept or identity in identities:
            continue
        kept[key] = run
        if identity is not None:
            identities.add(identity)
    return list(kept.values())


def _section(
    runs: Sequence[StoredRun],
    *,
    decide: Sequence[str],
    sort: str | None,
    by: tuple[str, ...],
    failed: Sequence[StoredRun],
) -> Section:
    variants: dict[tuple[str | None, ...], list[StoredRun]] = {}
    for run in runs:
        variants.setdefault(tuple(setting_of(run, key) for key in decide), []).append(run)
    differing = differing_keys(list(variants), decide=decide)
    members = variants
    if by:
        members = {}
        for run in runs:
            members.setdefault(tuple(value_of(run, key) for key in by), []).append(run)
    keys = by or differing
    groups = [
        replace(_group(part, keys=keys), failed=_lost(part, failed, keys=by or decide))
        for part in members.values()
    ]
    metric = sort or DEFAULT_SORT
    ranked = any(metric in group.metrics for group in groups)
    groups.sort(key=lambda group: _by_settings(group, keys=keys))
    if ranked:
        groups.sort(
            key=lambda group: (
                not group.is_complete(metric),
                _badness(group.metrics.get(metric), metric=metric),
            )
        )
    if ranked and metric.startswith(CHOSEN_BY):
        # Averaged over other settings, two runs are a pair if they agree in those too.
        others = [*others_than(by, differing), *(() if "seed" in by else ("seed",))] if by else []
        groups = _held_against_the_first(groups, metric=metric, shared=others or ["seed"])
    dataset, split = _names(runs[0])
    dataset_digest, split_digest = _data_of(runs[0])
    return Section(
        dataset=dataset,
        dataset_digest=dataset_digest,
        split=split,
        split_digest=split_digest,
        settings=_of_data(runs[0], decide=decide, shown=differing),
        keys=keys,
        sort=metric if ranked else None,
        groups=tuple(groups),
        differing=differing,
        images=_images(runs),
    )


def _held_against_the_first(
    groups: Sequence[Group], *, metric: str, shared: Sequence[str]
) -> list[Group]:
    """Add to each group what the paired test against the first says."""
    ranked = [group for group in groups if metric in group.metrics]
    found = against_best(
        [group.runs for group in ranked],
        metric=metric,
        block_of=lambda run: tuple(value_of(run, key) for key in shared),
        higher_is_better=higher_is_better(metric),
    )
    tested = [replace(group, against_best=one) for group, one in zip(ranked, found, strict=True)]
    return [*tested, *(group for group in groups if metric not in group.metrics)]


def _lost(members: Sequence[StoredRun], failed: Sequence[StoredRun], *, keys: Sequence[str]) -> int:
    """Count what failed of a group's settings and data, and was not made good by another run."""

    def replicate(run: StoredRun) -> tuple[str | None, ...]:
        return tuple(value_of(run, key) for key in (*keys, "seed"))

    of_group = {(_data_of(run), replicate(run)[:-1]) for run in members}
    finished = {replicate(run) for run in members}
    return len(
        {
            replicate(run)
            for run in failed
            if (_data_of(run), replicate(run)[:-1]) in of_group and replicate(run) not in finished
        }
    )


def _images(runs: Sequence[StoredRun]) -> dict[str, int]:
    images: dict[str, int] = {}
    for name in PARTITIONS:
        found = {run.params.get(f"{name}_samples", "") for run in runs}
        text = found.pop() if len(found) == 1 else ""
        if text.isdecimal() and int(text):
            images[name] = int(text)
    return images


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
        value = value_of(by_seed[0], key)
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

"""From runs of the record to ranked groups: which settings differ, and how sure a mean is.

Runs that differ only in their seed, or in the seed or fold of their split, are one group; groups on
different data, or split by another rule, are never in one ranking. Reading the record belongs to
`fitgap.store`, showing a comparison to `fitgap.report.terminal`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from fitgap import store
from fitgap.comparison.estimates import (
    Estimate,
    estimate,
    estimate_over_splits,
    estimate_within_splits,
)
from fitgap.comparison.images import (
    MEASURED_ON,
    PARTITIONS,
    image_variance,
    images_of,
    shares_behind,
)
from fitgap.comparison.notes import notes_on, nothing_to_compare
from fitgap.comparison.query import Query, conditions, nothing_left, require_metric, setting_name
from fitgap.comparison.recorded_metrics import (
    KnownMetric,
    higher_is_better,
    known_metric,
    primary_metric,
)
from fitgap.comparison.replicates import (
    OF_THE_SPLIT,
    REPLICATE_KEYS,
    by_split,
    kind_of_split,
    overlap_of,
    split_of,
)
from fitgap.comparison.search_importances import Search, searches_of
from fitgap.comparison.ties import MARGIN, AgainstBest, Terms, against_best
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

CHOSEN_BY = "val/"
EVERYTHING = Query()


@dataclass(frozen=True, slots=True)
class Group:
    """Runs that differ only in seed and split, or in all but the settings grouped by.

    Attributes
    ----------
    settings
        Of the settings that differ within the section, those that this group has.
    runs
        By seed; one per seed and split, unless other settings are averaged over.
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

    def has_figure(self, metric: str | None) -> bool:
        """Whether any run has a metric as a finite number."""
        found = self.metrics.get(metric or "")
        return found is not None and found.n > 0

    def is_complete(self, metric: str) -> bool:
        """Whether no seed failed and every run has a finite figure, or none at all, of a metric."""
        found = self.metrics.get(metric)
        return not self.failed and (found is None or not found.not_finite)


@dataclass(frozen=True, slots=True)
class Section:
    """Groups on the same data, split by one rule: one ranking.

    Attributes
    ----------
    dataset, split
        Their names in the settings.
    dataset_digest, split_digest
        What the runs' tags say of the data; empty for runs without, and where there are several
        splits.
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
        By partition (``train``, ``val``, ``test``), where all runs agree and there are any; of
        several splits the fewest.
    splits
        How many there are.
    overlap
        Validation images over training images.
    margin
        Differences within it are of no interest; None where the metric has none.
    primary
        The metric that the runs are about, without a partition.
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
    splits: int = 1
    overlap: float = 0.0
    margin: float | None = None
    primary: str = "accuracy"

    def is_better_high(self, metric: str) -> bool:
        """Whether a metric is better the higher it is, as its runs say."""
        return higher_is_better(metric, (run for group in self.groups for run in group.runs))

    def known(self, name: str) -> KnownMetric:
        """Return what the runs say of a metric, which is named without a partition."""
        return known_metric(name, (run for group in self.groups for run in group.runs))

    def is_share(self, metric: str) -> bool:
        """Whether a metric, named with its partition, is a share of that partition's samples."""
        partition, _, name = metric.partition("/")
        return partition in PARTITIONS and self.known(name).is_share

    @property
    def metric(self) -> str:
        """What texts and pictures are about, without a partition: the metric ranked by, if any.

        Ranked by the loss or by a metric of no partition, it is the runs' primary one.
        """
        partition, _, name = (self.sort or "").partition("/")
        if name and name != "loss" and partition in MEASURED_ON:
            return name
        present = {metric for group in self.groups for metric in group.metrics}
        found = sorted(one.partition("/")[2] for one in present if one.startswith("train/"))
        others = [one for one in found if one != "loss"]
        return self.primary if self.primary in others or not others else others[0]

    @property
    def is_margin_below_grain(self) -> bool:
        """Whether the margin is less than one image of the validation part, so none can show it."""
        images = self.images.get("val") if self.is_share(self.sort or "") else None
        return bool(self.margin and images and self.margin < 1 / images)

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
    by_data: dict[object, list[StoredRun]] = {}
    for run in newest:
        by_data.setdefault(_kind_of_data(run), []).append(run)
    # Newest first decided which of two equal runs counts; here the names give a stable order.
    parts = sorted(
        by_data.values(), key=lambda part: (-len(part), _names(part[0]), _data_of(part[0]))
    )
    sections = tuple(
        _section(part, decide=decide, query=query, by=by, failed=lost) for part in parts
    )
    notes = notes_on(sections, query=query, conditions=found, found=len(own), kept=kept)
    return Comparison(sections, tuple(notes), query.metrics)


def _dataset_of(run: StoredRun) -> str:
    return run.tags.get("fitgap.dataset_digest", "")


def _data_of(run: StoredRun) -> tuple[str, str]:
    return _dataset_of(run), run.tags.get("fitgap.split_digest", "")


def _kind_of_data(run: StoredRun) -> object:
    """Return what the runs of a section have in common."""
    return _dataset_of(run), kind_of_split(run)


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
    query: Query,
    by: tuple[str, ...],
    failed: Sequence[StoredRun],
) -> Section:
    sort = query.sort
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
    splits = {split_of(run) for run in runs}
    images = images_of(runs, fewest=len(splits) > 1)
    overlap = overlap_of(runs)
    primary = primary_metric(runs)
    metric = sort or f"val/{primary}"
    is_better = higher_is_better(metric, runs)
    margin = query.margin
    is_share = known_metric(metric.partition("/")[2], runs).is_share
    if margin is None and is_share:
        margin = MARGIN
    measured = images.get("val") if is_share else None
    is_below_grain = bool(margin and measured and margin < 1 / measured)
    lost = _lost(members.values(), failed, keys=by or decide)
    groups = [
        replace(
            _group(
                part,
                keys=keys,
                images=images,
                overlap=overlap,
                these_images=query.these_images,
            ),
            failed=count,
        )
        for part, count in zip(members.values(), lost, strict=True)
    ]
    ranked = any(metric in group.metrics for group in groups)
    groups.sort(key=lambda group: _by_settings(group, keys=keys))
    if ranked:
        groups.sort(
            key=lambda group: (
                not group.is_complete(metric),
                _badness(group.metrics.get(metric), higher_is_better=is_better),
            )
        )
    if ranked and metric.startswith(CHOSEN_BY):
        # Averaged over other settings, two runs are a pair if they agree in those too.
        others = others_than(by, differing) if by else ()
        shared = [*others, *(key for key in REPLICATE_KEYS if key not in by)]
        terms = Terms(
            metric=metric,
            higher_is_better=is_better,
            block_of=lambda run: tuple(value_of(run, key) for key in shared),
            margin=None if is_below_grain else margin,
            overlap=overlap,
            images=measured,
            these_images=query.these_images,
        )
        groups = _held_against_the_first(groups, terms)
    dataset, split = _names(runs[0])
    dataset_digest, split_digest = _data_of(runs[0])
    return Section(
        dataset=dataset,
        dataset_digest=dataset_digest,
        split=split,
        split_digest=split_digest if len(splits) == 1 else "",
        settings=_of_data(runs[0], decide=decide, shown=differing),
        keys=keys,
        sort=metric if ranked else None,
        groups=tuple(groups),
        differing=differing,
        images=images,
        splits=len(splits),
        overlap=overlap,
        margin=margin,
        primary=primary,
    )


def _held_against_the_first(groups: Sequence[Group], terms: Terms) -> list[Group]:
    """Add to each group what its runs say against the first's."""
    ranked = [group for group in groups if terms.metric in group.metrics]
    found = against_best([group.runs for group in ranked], terms)
    tested = [replace(group, against_best=one) for group, one in zip(ranked, found, strict=True)]
    return [*tested, *(group for group in groups if terms.metric not in group.metrics)]


# The settings that a group is made of, and what tells a replicate from others of these.
Replicate = tuple[tuple[str | None, ...], tuple[str | None, ...]]


def _replicate(run: StoredRun, keys: Sequence[str]) -> Replicate:
    own = tuple(value_of(run, key) for key in keys)
    return own, tuple(value_of(run, key) for key in REPLICATE_KEYS)


def _lost(
    groups: Iterable[Sequence[StoredRun]], failed: Sequence[StoredRun], *, keys: Sequence[str]
) -> list[int]:
    """Count what failed of each group's settings and data, and was not made good by another run."""
    of_settings: dict[tuple[str | None, ...], set[tuple[Replicate, object]]] = {}
    for run in failed:
        replicate = _replicate(run, keys)
        of_settings.setdefault(replicate[0], set()).add((replicate, _kind_of_data(run)))

    def lost(members: Sequence[StoredRun]) -> int:
        finished = {_replicate(run, keys) for run in members}
        candidates = [of_settings[own] for own in {own for own, _ in finished} & of_settings.keys()]
        if not candidates:
            return 0
        data = set(map(_kind_of_data, members))
        return sum(
            replicate not in finished and kind in data
            for lost_of_settings in candidates
            for replicate, kind in lost_of_settings
        )

    return [lost(members) for members in groups]


def _of_data(run: StoredRun, *, decide: Iterable[str], shown: Iterable[str]) -> dict[str, Setting]:
    """Return what sets a section's data apart from other sections', beside the names."""
    found: dict[str, Setting] = {}
    for key in decide:
        group, _, rest = key.partition(".")
        value = parse(setting_of(run, key) or "None")
        known = key not in shown and key not in OF_THE_SPLIT
        wanted = group in ("dataset", "split") and rest != "name" and known
        if wanted and value is not None:
            found[key] = value
    return found


def _group(
    runs: Iterable[StoredRun],
    *,
    keys: Iterable[str],
    images: Mapping[str, int],
    overlap: float,
    these_images: bool,
) -> Group:
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
    metrics = {
        name: _estimate(
            by_seed, name, values[name], images=images, overlap=overlap, these_images=these_images
        )
        for name in sorted(values)
    }
    return Group(settings, tuple(by_seed), metrics)


def _estimate(
    runs: Sequence[StoredRun],
    metric: str,
    values: Sequence[float],
    *,
    images: Mapping[str, int],
    overlap: float,
    these_images: bool,
) -> Estimate:
    """Return what a group's runs say of a metric: of images like these, or of these only."""
    if metric.partition("/")[0] not in MEASURED_ON:
        return estimate(values)
    cells = by_split(runs, metric)
    lost = len(values) - sum(map(len, cells.values()))
    shares = shares_behind(metric, runs)
    if these_images:
        several = len(cells) > 1
        return (
            estimate_within_splits(list(cells.values()), not_finite=lost)
            if several
            else (estimate(values))
        )
    if len(cells) > 1:
        shared = [share for share in shares if share.startswith("test/")]
        return estimate_over_splits(
            list(cells.values()),
            overlap=overlap,
            not_finite=lost,
            image_variance=image_variance(runs, shared, images=images),
        )
    return estimate(values, image_variance=image_variance(runs, shares, images=images))


def _as_number(value: object) -> tuple[float, str]:
    """Return a key that sorts numbers by size and everything else, after them, as text."""
    try:
        return float(str(value)), ""
    except ValueError:
        return math.inf, str(value)


def _by_settings(group: Group, *, keys: Iterable[str]) -> list[tuple[float, str]]:
    return [_as_number(group.settings.get(key, "")) for key in keys]


def _badness(found: Estimate | None, *, higher_is_better: bool) -> float:
    if found is None or math.isnan(found.mean):
        return math.inf
    return -found.mean if higher_is_better else found.mean

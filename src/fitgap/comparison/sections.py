"""One ranking: runs on the same data become groups, with their estimates and their order."""

import functools
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from fitgap.comparison.estimates import (
    Estimate,
    estimate,
    estimate_over_splits,
    estimate_within_splits,
)
from fitgap.comparison.groups import Group, Section
from fitgap.comparison.images import MEASURED_ON, image_variance, images_of, shares_behind
from fitgap.comparison.paired_differences import RightOf
from fitgap.comparison.query import Query
from fitgap.comparison.replicates import (
    OF_THE_SPLIT,
    REPLICATE_KEYS,
    data_of,
    finite_values,
    grouped,
    kind_of_data,
    names_of,
    overlap_of,
    split_of,
)
from fitgap.comparison.ties import MARGIN, Terms, against_best
from fitgap.comparison.varying_settings import (
    GROUPS,
    Setting,
    differing_keys,
    key_of,
    others_than,
    parse,
    setting_of,
    settings_of,
    value_of,
)
from fitgap.store import StoredRun
from fitgap.store.recorded_metrics import known_metric, primary_metric

# The settings that a group is made of, and what tells a replicate from others of these.
Replicate = tuple[tuple[str | None, ...], tuple[str | None, ...]]


def section_of(
    runs: Sequence[StoredRun],
    *,
    decide: Sequence[str],
    query: Query,
    by: tuple[str, ...],
    failed: Sequence[StoredRun],
    right_of: RightOf | None = None,
) -> Section:
    """Group, summarise and rank runs on the same data, split by one rule.

    Parameters
    ----------
    runs
        One at least; one per settings and replicate.
    decide
        The settings in which any runs of the comparison differ.
    query
        How they are compared.
    by
        The settings whose values make the groups; none: all that differ.
    failed
        Runs that ended FAILED, of any data.
    right_of
        Which validation images a run got right; see `fitgap.comparison.ties.Terms`.
    """
    variants = grouped(runs, lambda run: settings_of(run, decide))
    differing = differing_keys(list(variants), decide=decide)
    members: Collection[list[StoredRun]] = variants.values()
    if by:
        shown = tuple(map(key_of, by))
        members = grouped(runs, lambda run: settings_of(run, shown)).values()
    splits = {split_of(run) for run in runs}
    primary = primary_metric(runs)
    metric = query.sort or f"val/{primary}"
    is_share = known_metric(metric.partition("/")[2], runs).is_share
    (dataset, split), (dataset_digest, split_digest) = names_of(runs[0]), data_of(runs[0])
    section = Section(
        dataset=dataset,
        dataset_digest=dataset_digest,
        split=split,
        split_digest=split_digest if len(splits) == 1 else "",
        settings=_of_data(runs[0], decide=decide, shown=differing),
        keys=by or differing,
        sort=metric if any(metric in run.metrics for run in runs) else None,
        groups=(),
        differing=differing,
        images=images_of(runs, fewest=len(splits) > 1),
        splits=len(splits),
        overlap=overlap_of(runs),
        margin=MARGIN if query.margin is None and is_share else query.margin,
        primary=primary,
    )
    lost = _unreplaced_failures(members, failed, keys=tuple(map(key_of, by)) or decide)
    groups = [
        _group(part, section, failed=count, these_images=query.these_images)
        for part, count in zip(members, lost, strict=True)
    ]
    groups.sort(key=lambda group: [_as_number(group.settings.get(key, "")) for key in section.keys])
    section = replace(section, groups=tuple(groups))
    if section.sort is None:
        return section
    return _ranked(section, section.sort, query=query, by=by, right_of=right_of)


def _ranked(
    section: Section,
    metric: str,
    *,
    query: Query,
    by: tuple[str, ...],
    right_of: RightOf | None,
) -> Section:
    """Put the groups in order, and hold each against the first where that is a choice."""
    is_better_high = section.is_better_high(metric)

    def place(group: Group) -> tuple[bool, float]:
        found = group.metrics.get(metric)
        if found is None or math.isnan(found.mean):
            return not group.is_complete(metric), math.inf
        return not group.is_complete(metric), -found.mean if is_better_high else found.mean

    groups = sorted(section.groups, key=place)
    if not section.has_winner:
        return replace(section, groups=tuple(groups))
    # Averaged over other settings, two runs are a pair if they agree in those too.
    others = others_than(by, section.differing) if by else ()
    shared = [*map(key_of, others), *(key for key in REPLICATE_KEYS if key not in by)]
    counts_images = section.is_share(metric) and not query.these_images
    terms = Terms(
        metric=metric,
        higher_is_better=is_better_high,
        block_of=lambda run: settings_of(run, shared),
        margin=None if section.is_margin_below_grain else section.margin,
        overlap=section.overlap,
        images=section.images.get(metric.partition("/")[0]) if counts_images else None,
        these_images=query.these_images,
        right_of=right_of,
    )
    measured = [group for group in groups if metric in group.metrics]
    found = against_best([group.runs for group in measured], terms)
    tested = [replace(group, against_best=one) for group, one in zip(measured, found, strict=True)]
    others_last = [group for group in groups if metric not in group.metrics]
    return replace(section, groups=(*tested, *others_last))


def _replicate(run: StoredRun, keys: Sequence[str]) -> Replicate:
    return settings_of(run, keys), settings_of(run, REPLICATE_KEYS)


def _unreplaced_failures(
    groups: Iterable[Sequence[StoredRun]], failed: Sequence[StoredRun], *, keys: Sequence[str]
) -> list[int]:
    """Count the failed replicates of each group that no other run has replaced."""
    of_settings: dict[tuple[str | None, ...], set[tuple[Replicate, object]]] = {}
    for run in failed:
        replicate = _replicate(run, keys)
        of_settings.setdefault(replicate[0], set()).add((replicate, kind_of_data(run)))

    def lost(members: Sequence[StoredRun]) -> int:
        finished = {_replicate(run, keys) for run in members}
        candidates = [of_settings[own] for own in {own for own, _ in finished} & of_settings.keys()]
        if not candidates:
            return 0
        data = set(map(kind_of_data, members))
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
    runs: Iterable[StoredRun], section: Section, *, failed: int, these_images: bool
) -> Group:
    by_seed = sorted(runs, key=lambda run: (_as_number(run.params.get("seed")), run.run_id))
    settings: dict[str, Setting] = {}
    for key in section.keys:
        value = value_of(by_seed[0], key)
        if value is not None:
            settings[key] = value if key in GROUPS or key.endswith(".name") else parse(value)
    metrics = _Estimates(by_seed, section, these_images=these_images)
    return Group(settings, tuple(by_seed), metrics, failed=failed)


class _Estimates(Mapping[str, Estimate]):
    """What a group's runs say of each metric, computed when asked for: most never are."""

    def __init__(self, runs: Sequence[StoredRun], section: Section, *, these_images: bool) -> None:
        self._names = sorted({name for run in runs for name in run.metrics})
        self._estimate = functools.cache(
            functools.partial(
                _estimate,
                runs,
                images=section.images,
                overlap=section.overlap,
                these_images=these_images,
            )
        )

    def __getitem__(self, name: str) -> Estimate:
        if name not in self._names:
            raise KeyError(name)
        return self._estimate(name)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _estimate(
    runs: Sequence[StoredRun],
    metric: str,
    *,
    images: Mapping[str, int],
    overlap: float,
    these_images: bool,
) -> Estimate:
    """Return what a group's runs say of a metric: of images like these, or of these only."""
    values = [run.metrics[metric] for run in runs if metric in run.metrics]
    if metric.partition("/")[0] not in MEASURED_ON:
        return estimate(values)
    cells = list(finite_values(runs, metric, by=split_of).values())
    lost = len(values) - sum(map(len, cells))
    shares = shares_behind(metric, runs)
    if these_images:
        return (
            estimate_within_splits(cells, not_finite=lost) if len(cells) > 1 else estimate(values)
        )
    if len(cells) > 1:
        shared = [share for share in shares if share.startswith("test/")]
        variance = image_variance(runs, shared, images=images)
        return estimate_over_splits(
            cells, overlap=overlap, not_finite=lost, image_variance=variance
        )
    return estimate(values, image_variance=image_variance(runs, shares, images=images))


def _as_number(value: object) -> tuple[float, str]:
    """Return a key that sorts numbers by size and everything else, after them, as text."""
    try:
        return float(str(value)), ""
    except ValueError:
        return math.inf, str(value)

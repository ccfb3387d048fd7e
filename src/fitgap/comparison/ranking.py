"""From runs of the record to ranked groups: which runs count, and which of them go together.

How the groups of one ranking are made and compared is in
`fitgap.comparison.sections`. Reading the record belongs to `fitgap.store`.
"""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import replace

from fitgap import store
from fitgap.comparison.groups import Comparison
from fitgap.comparison.notes import notes_on, nothing_to_compare
from fitgap.comparison.paired_differences import RightOf
from fitgap.comparison.query import (
    EVERYTHING,
    Query,
    conditions,
    nothing_left,
    require_metric,
    setting_name,
)
from fitgap.comparison.replicates import data_of, grouped, kind_of_data, names_of
from fitgap.comparison.search_importances import searches_of
from fitgap.comparison.sections import section_of
from fitgap.comparison.varying_settings import deciding_keys, settings_of
from fitgap.store import StoredRun, predictions
from fitgap.tag_names import IDENTITY_TAG, RERUN_TAG, ROLE_TAG, SWEEP_TAG


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
    tags = {SWEEP_TAG: query.sweep} if query.sweep else {}
    found = store.find_runs(uri, experiment=experiment, statuses=("FINISHED", "FAILED"), tags=tags)
    ended = list(filter(_is_run, found))
    runs = [run for run in ended if run.status == "FINISHED"]
    failed = [run for run in ended if run.status == "FAILED"]
    if not runs:
        raise nothing_to_compare(uri, experiment=experiment, sweep=query.sweep)
    right_of = functools.partial(predictions.validation_right, uri=uri)
    comparison = compare(runs, query, failed=failed, right_of=right_of)
    return replace(comparison, searches=searches_of(uri, experiment=experiment))


def compare(
    runs: Sequence[StoredRun],
    query: Query = EVERYTHING,
    *,
    failed: Sequence[StoredRun] = (),
    right_of: RightOf | None = None,
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
    right_of
        Which validation images a run got right, None where it does not say; so differences on one
        split are paired image by image. None: nobody is asked.

    Raises
    ------
    RequestError
        If the query names a metric or setting that no run has, or no run meets its conditions.
    """
    own = list(filter(_is_run, runs))
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
    # Newest first decided which of two equal runs counts; here the names give a stable order.
    parts = sorted(
        grouped(newest, kind_of_data).values(),
        key=lambda part: (-len(part), names_of(part[0]), data_of(part[0])),
    )
    sections = tuple(
        section_of(part, decide=decide, query=query, by=by, failed=lost, right_of=right_of)
        for part in parts
    )
    notes = notes_on(sections, query=query, conditions=found, found=len(own), kept=kept)
    return Comparison(sections, tuple(notes), query.metrics)


def _is_run(run: StoredRun) -> bool:
    """Tell whether a record is a run to compare, not a sweep's parent run and not a debug run."""
    return run.tags.get(ROLE_TAG, "run") == "run"


def _once_per_seed(runs: Iterable[StoredRun], *, decide: Sequence[str]) -> list[StoredRun]:
    """Keep the newest of runs with equal data, settings and seed; a rerun yields to its original.

    A repetition is no new draw: counted twice, it would narrow the interval for nothing. That
    holds for one identity and also for runs that other code or library versions set apart.
    """
    kept: dict[object, StoredRun] = {}
    identities: set[str] = set()
    for run in sorted(runs, key=lambda run: RERUN_TAG in run.tags):
        identity = run.tags.get(IDENTITY_TAG)
        key = (data_of(run), settings_of(run, decide), run.params.get("seed"))
        if key in kept or identity in identities:
            continue
        kept[key] = run
        if identity is not None:
            identities.add(identity)
    return list(kept.values())

"""What a reader must know to believe a comparison: its notes, and why there is none."""

import json
from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

from fitgap import store
from fitgap.comparison.estimates import IMAGES
from fitgap.comparison.query import TEST_PREFIXES, Condition, Query
from fitgap.comparison.ties import MOST_BY_IMAGE
from fitgap.config import program
from fitgap.errors import RequestError
from fitgap.store import StoredRun
from fitgap.store.recorded_metrics import direction_is_known
from fitgap.tag_names import CODE_TAG, ROLE_TAG, SOURCE_TAG, SWEEP_TAG

if TYPE_CHECKING:
    from fitgap.comparison.groups import Section


def nothing_to_compare(uri: str, *, experiment: str, sweep: str | None = None) -> RequestError:
    """Return the error for an experiment without a comparison: unknown, or without a finished run.

    Parameters
    ----------
    uri
        Of the store.
    experiment
        That was to be compared.
    sweep
        Run id of the sweep that was to be compared alone, if any.
    """
    names = list(store.experiments(uri))
    make = f"make some with: {program.name()} train -m optimizer=sgd,adam seed=0,1,2"
    where = store.redact(uri)
    if experiment not in names:
        near = get_close_matches(experiment, names, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        there = f"the experiments there: {', '.join(map(repr, names))}" if names else "it is empty"
        return RequestError(
            f"there is no experiment {experiment!r}{hint} in {where}; {there}",
            f"For runs, {make}",
        )
    wanted = {ROLE_TAG: "run"} | ({SWEEP_TAG: sweep} if sweep else {})
    others = store.find_runs(
        uri, experiment=experiment, statuses=("RUNNING", "FAILED", "KILLED"), tags=wanted
    )
    counted = Counter(run.status for run in others)
    counts = ", ".join(f"{n} {status}" for status, n in sorted(counted.items()))
    of_sweep = f" of the sweep {sweep}" if sweep else ""
    return RequestError(
        f"experiment {experiment!r} in {where} has no finished run{of_sweep}"
        + (f" ({counts})" if counts else "")
        + f"; {make}"
    )


def notes_on(
    sections: "Sequence[Section]",
    *,
    query: Query,
    conditions: Sequence[Condition],
    found: int,
    kept: Sequence[StoredRun],
) -> list[str]:
    """Return the notes of a comparison.

    Parameters
    ----------
    sections
        Of the comparison.
    query, conditions
        The request, with its conditions as they were read.
    found
        How many runs there were before the conditions.
    kept
        Those that meet them.
    """
    return [
        *_on_the_order(query, usual=_usual_sort(sections)),
        *_on_the_choice_of_runs(query, conditions, found=found, kept=len(kept)),
        *_on_sections(sections, query),
        *_on_groups(sections, query, kept=len(kept)),
        *_on_tests(sections),
    ]


def _usual_sort(sections: "Sequence[Section]") -> str:
    """Return what groups are ranked by as a default: the primary metric on validation data."""
    return f"val/{sections[0].primary}" if sections else "val/accuracy"


def _on_the_order(query: Query, *, usual: str) -> list[str]:
    """Say why no group is marked as best, if the order is not that of a validation figure."""
    sort = query.sort
    if sort is None or sort.startswith("val/"):
        return []
    if sort.startswith(TEST_PREFIXES):
        why = (
            "that would be choosing on the test set, and would make the winner's own test figure "
            f"too good. Choose by {usual}."
        )
    elif sort.startswith("gap/"):
        why = (
            f"the smallest gap is often that of the network that learned least. Choose by {usual}."
        )
    elif "/" not in sort:  # others' metrics, or a learning rate
        why = "nothing says that it is a figure of validation data."
    else:
        why = f"that figure says nothing about unseen data. Choose by {usual}."
    return [f"Sorted by {sort}, so no group is marked as best: {why}"]


def _on_the_choice_of_runs(
    query: Query, conditions: Sequence[Condition], *, found: int, kept: int
) -> list[str]:
    notes = []
    by_test = [one.name for one in conditions if one.name.startswith(TEST_PREFIXES)]
    if by_test:
        notes.append(
            f"Runs were left out by {', '.join(by_test)}: that is choosing on the test set, and "
            "makes the test figures of those kept too good."
        )
    if conditions:
        notes.append(f"Only runs with {' and '.join(query.where)}: {kept} of {found}.")
    if any(one.is_metric for one in conditions):
        notes.append(
            "Runs were left out because of their figures. Means, intervals and ties hold only for "
            "the kept runs, whose figures look better than those of all runs."
        )
    if query.by:
        notes.append(
            f"Grouped by {', '.join(query.by)}: a mean is over seeds and all other settings, an "
            "interval takes these runs as independent, and a pair of a test shares the other "
            "settings and the seed."
        )
    return notes


def _on_sections(sections: "Sequence[Section]", query: Query) -> list[str]:
    notes = []
    by = query.sort or _usual_sort(sections)
    if len(sections) > 1:
        notes.append("Runs on different data or splits are ranked separately.")
    if any(section.sort is None and section.split == "none" for section in sections):
        notes.append(
            f"Without a validation partition (split=none) there is no {by}, and nothing to choose "
            "by: those groups are listed, not ranked."
        )
    listed = [one for one in sections if one.sort is None and one.split != "none"]
    if listed:
        names = {name for one in listed for group in one.groups for name in group.metrics}
        first = sorted(names, key=lambda name: (not name.startswith("val"), name))[:1]
        ways = "".join(f"; --sort {name} ranks by a figure that they have" for name in first)
        notes.append(f"Where no run has {by}, groups are listed, not ranked{ways}.")
    return notes


def _other_differences(runs: Sequence[StoredRun]) -> list[str]:
    """Return what else than settings differs between runs: parts of the code, versions."""
    codes = [_code_of(run) for run in runs]
    parts = dict.fromkeys(part for code in codes for part in code)
    found = [part for part in parts if len({code.get(part) for code in codes}) > 1]
    prefix = "fitgap.version."
    keys = dict.fromkeys(key for run in runs for key in run.tags if key.startswith(prefix))
    versions = {key: sorted({run.tags.get(key, "?") for run in runs}) for key in keys}
    found += [
        f"{key.removeprefix(prefix)} {' and '.join(several)}"
        for key, several in versions.items()
        if len(several) > 1
    ]
    if not found and len({run.tags.get(SOURCE_TAG) for run in runs}) > 1:
        found.append("this package's source")
    return found


def _code_of(run: StoredRun) -> dict[str, str]:
    try:
        found = json.loads(run.tags.get(CODE_TAG, "{}"))
    except (ValueError, RecursionError):
        return {}  # another program's tag
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}


def _on_tests(sections: "Sequence[Section]") -> list[str]:
    """Say why groups cannot be compared with the first of their ranking."""
    notes = []
    if any(section.is_margin_below_grain for section in sections):
        notes.append(
            "The margin is less than one validation sample: no comparison can show so little, so "
            "no group is called equivalent. Take a larger --margin or more samples."
        )
    compared = [
        group.against_best
        for section in sections
        for group in section.groups
        if group.against_best is not None
    ]
    against = [one for one in compared if one.word is None]
    for number, why in (
        (sum(not one.common for one in against), "they have no replicate in common with the first"),
        (
            sum(one.common == 1 for one in against),
            "they have only one replicate in common with the first",
        ),
        (
            sum(one.common > 1 for one in against),
            "they differ from the first by the same amount in all replicates (coarse figures)",
        ),
    ):
        if number:
            notes.append(f"Groups that are not tested, because {why}: {number}.")
    bounded = [one for one in compared if one.covers == IMAGES and not one.by_image and one.word]
    if bounded:
        notes.append(
            "Groups that could not be compared with the first sample by sample: "
            f"{len(bounded)} of {len(compared)}. Their intervals are wider, since they take in the "
            "largest uncertainty that the samples can bring. Either their runs did not record "
            f"which validation samples they got right, or they rank after the "
            f"first {MOST_BY_IMAGE}."
        )
    for section in sections:
        metric = section.sort or ""
        runs = [run for group in section.groups for run in group.runs]
        if metric.startswith("val/") and not direction_is_known(metric, runs):
            notes.append(
                f"Neither the runs nor its name say whether a higher or a lower {metric} is "
                "better, so no group is marked as best. The lowest is listed first."
            )
    return list(dict.fromkeys(notes))


def _on_groups(sections: "Sequence[Section]", query: Query, *, kept: int) -> list[str]:
    notes = []
    sorts = dict.fromkeys(section.sort for section in sections if section.sort)
    by = query.sort or " or ".join(sorts) or _usual_sort(sections)
    groups = [group for section in sections for group in section.groups]
    alone = sum(len(group.runs) == 1 for group in groups)
    if alone:
        notes.append(
            f"Groups with one seed ({alone} of {len(groups)}) have no interval; more seeds give "
            "one: seed=0,1,2."
        )
    failed = [group.failed for group in groups if group.failed]
    if failed:
        notes.append(
            f"Groups with failed runs: {len(failed)} of {len(groups)} ({sum(failed)} runs). Their "
            "means are over the finished runs only and may look too good, so they rank after the "
            "complete groups; their n says how many failed."
        )
    notes += _on_figures(sections, by=by, groups=len(groups))
    others = [one for group in groups if (one := _other_differences(group.runs))]
    if others:
        named = ", ".join(dict.fromkeys(name for names in others for name in names))
        notes.append(
            f"Groups whose runs differ in something other than seed and split ({named}): "
            f"{len(others)} of {len(groups)}. They are not replicates of one setting only."
        )
    repeated = kept - sum(len(group.runs) for group in groups)
    if repeated:
        notes.append(
            "Runs that were left out because another run has the same data, settings and seed (the "
            f"newest counts, a rerun only without its original): {repeated}."
        )
    return notes


def _on_figures(sections: "Sequence[Section]", *, by: str, groups: int) -> list[str]:
    """Return notes on runs whose figure in the ranking's metric is missing or not reliable."""
    notes = []
    figures = [
        (group, group.metrics.get(section.sort or by), section.sort is not None)
        for section in sections
        for group in section.groups
    ]
    not_finite = sum(found.not_finite for _, found, _ in figures if found)
    if not_finite:
        notes.append(
            f"Runs whose {by} is not a finite number: {not_finite}. They count in no mean, and "
            "their groups rank after the complete ones."
        )
    equal = sum(found.is_constant and found.low is None for _, found, _ in figures if found)
    if equal:
        notes.append(
            f"Groups whose runs all have the same {by}: {equal} of {groups}. They have no "
            "interval: equal figures show that the figures are coarse, not that they are certain."
        )
    missing = sum(
        len(group.runs) - (found.n + found.not_finite if found else 0)
        for group, found, is_ranked in figures
        if is_ranked
    )
    if missing:
        notes.append(f"Runs without {by}, which do not count in its mean: {missing}.")
    return notes

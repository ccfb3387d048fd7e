"""What a ranking may claim, as sentences: what intervals cover, who may be best, what to run."""

import math
from collections.abc import Iterable
from statistics import fmean

from fitgap.comparison.estimates import IMAGES, SEEDS, SPLITS
from fitgap.comparison.groups import Comparison, Group, Section
from fitgap.comparison.significance import wilson
from fitgap.comparison.ties import EQUIVALENT, UNDECIDED, AgainstBest, selection_bias
from fitgap.evaluation.baseline_remarks import PREFIX, misleading
from fitgap.evaluation.figures import figure_text
from fitgap.report.leaderboard import label_of
from fitgap.store import StoredRun
from fitgap.trust.text import whole_number

OUTPERFORMS = 0.75  # Bouthillier et al. 2021: below that a difference is of no use in practice
SPLITS_ADVISED = 5
MOST_NAMED = 3  # groups in one sentence


def method(comparison: Comparison) -> list[str]:
    """Say how the figures, intervals and tests of a ranking are computed, a paragraph each."""
    sections = comparison.sections
    sentences = []
    if any(_kinds(section) for section in sections):
        covers = dict.fromkeys(text for section in sections for text in coverage(section))
        sentences.append(
            " ".join(["Figures: mean ± half the width of its 95 % interval.", *covers])
        )
    if any(section.has_winner and len(section.groups) > 1 for section in sections):
        sentences.append("Tests are against the first, at 5 % for all pairs of groups together.")
    return [*sentences, *filter(None, map(_of_images_alone, sections))]


def method_in_short(comparison: Comparison) -> list[str]:
    """Say in a line what ± is, and which option explains the rest; nothing without a ±."""
    of_kind = {
        SEEDS: "seeds, on these samples",
        IMAGES: "seeds and samples, on one split",
        SPLITS: "splits",
    }
    kinds = {kind for section in comparison.sections for kind in _kinds(section)}
    if not kinds:
        return []
    over = " or ".join(text for kind, text in of_kind.items() if kind in kinds)
    return [f"±: half of a 95 % interval over {over} (--explain says more)."]


def _of_images_alone(section: Section) -> str:
    """Say how sure a share is on so many validation samples, whatever the seeds."""
    name = f"val/{section.metric}"
    images = section.images.get("val")
    share = section.groups[0].metrics.get(name) if section.is_share(name) else None
    if not section.has_winner or not images or not share or not 0 <= share.mean <= 1:
        return ""
    low, high = wilson(share.mean, images=images)
    return (
        f"On {images:,} validation samples alone, {name} {share.mean:.4f} means {low:.4f} to "
        f"{high:.4f} (Wilson, 95 %)."
    )


def _kinds(section: Section) -> set[str]:
    metric = section.sort or f"val/{section.primary}"
    return {
        found.covers
        for group in section.groups
        if (found := group.metrics.get(metric)) is not None and found.low is not None
    }


def coverage(section: Section) -> list[str]:
    """Say what the intervals of a section include, and what they do not."""
    metric = section.sort or f"val/{section.primary}"
    kinds = _kinds(section)
    sentences = []
    if SPLITS in kinds:
        sentences.append(
            f"Intervals of {metric} are for data like these: over the splits' means, corrected "
            "for training sets that overlap (Nadeau and Bengio)."
        )
        if _have_one_seed(section):
            sentences.append(
                "All splits have the same seed: what another seed would change in all of them is "
                "not in the intervals (seed=0,1,2)."
            )
    if IMAGES in kinds:
        sentences.append(
            f"Intervals of {metric} are for data like these: seeds and the number of samples; "
            "one split only, so what another one would change is not in them (split.seed)."
        )
    if SEEDS in kinds:
        sentences.append(
            f"Intervals of {metric} include seeds only: they hold for these data and this split."
        )
    return sentences


def _have_one_seed(section: Section) -> bool:
    """Tell whether each group has a single seed, which its splits share."""
    return all(len({run.params.get("seed") for run in one.runs}) == 1 for one in section.groups)


def decision(section: Section) -> list[str]:
    """Say how sure the order of the first group and its nearest rival is, and what to run."""
    if not section.has_winner or len(section.groups) < 2:
        return []
    rivals = [group for group in section.groups if group.against_best is not None]
    undecided = [group for group in rivals if _word(group) == UNDECIDED]
    contrary = [one for one in undecided if one.against_best and one.against_best.favours_this]
    tested = [group for group in rivals if _word(group) is not None]
    shown = (contrary or undecided or tested)[:1]
    sentences = [_against_first(section, group) for group in shown]
    if len(undecided) > 1:
        sentences.append(_flattered(section, undecided))
    return [sentence for sentence in sentences if sentence]


def against_baseline(section: Section) -> list[str]:
    """Say what the same prediction for every sample scores, and which groups are no better."""
    metric = section.known(section.metric)
    scored = [
        (group, own.mean, bar.mean)
        for group in section.groups
        if (own := group.metrics.get(f"val/{metric.name}")) is not None
        and (bar := group.metrics.get(f"{PREFIX}{metric.name}")) is not None
    ]
    if not scored:
        return []
    usual = fmean(bar for *_, bar in scored)
    sentences = [
        f"The baseline, one prediction for every sample: val/{metric.name} {figure_text(usual)}."
    ]
    behind = [group for group, own, bar in scored if metric.direction * (own - bar) <= 0]
    if behind:
        named = "; ".join(map(label_of, behind[:MOST_NAMED]))
        more = f" and {len(behind) - MOST_NAMED} more" if len(behind) > MOST_NAMED else ""
        sentences.append(f"No better than the baseline: {named}{more}.")
    if metric.is_share and (warning := misleading(metric.name, usual)):
        sentences.append(f"{warning}.")
    return sentences


def _word(group: Group) -> str | None:
    return group.against_best.word if group.against_best else None


def _against_first(section: Section, group: Group) -> str:
    against = group.against_best
    if against is None or against.difference is None or against.outperforms is None:
        return ""
    found = against.difference
    first = label_of(section.groups[0])
    mean, low, high = (figure_text(one, sign="+") for one in (found.mean, found.low, found.high))
    pair = f"{first} against {label_of(group)}"
    start = f"{pair}: {mean} [{low}, {high}] in {section.sort}, "
    if found.low == found.high:  # equal figures, which no interval makes certain
        start = f"{pair}: the same {section.sort} in all common replicates, "
    if against.favours_this:
        return (
            f"{start}undecided: over the replicates that both have, {label_of(group)} is better. "
            "Train the replicates that failed, or that one of the two lacks, and compare again."
        )
    if against.word == EQUIVALENT:
        return f"{start}equivalent within the margin of {section.margin:g}."
    of_what = "split" if against.covers == SPLITS else "seed"
    number = against.splits if against.covers == SPLITS else against.common
    these = f"runs of {against.splits} splits" if _is_within_splits(against) else f"{of_what}s"
    chance = (
        f"With another {of_what} the first is better with a probability of about "
        f"{against.outperforms:.2f}"
        + (
            ""
            if against.outperforms >= OUTPERFORMS
            else f", below the {OUTPERFORMS:g} that matters in practice"
        )
        + "."
    )
    if against.word != UNDECIDED:
        return f"{start}better. {chance}"
    assert against.smallest is not None  # whoever tells the chance tells this
    shown = (
        f"The smallest difference that {number} {these} could show is "
        f"{figure_text(against.smallest)}."
    )
    if section.is_share(section.sort or "") and against.smallest >= 1:
        shown = f"No difference could be shown by {number} {these}, however large."
    return f"{start}undecided. {chance} {shown} {_what_to_run(section, against)}"


def _first(runs: Iterable[StoredRun], key: str) -> int:
    """Return the smallest seed of runs; 0 if they do not say."""
    seeds = [whole_number(run.params.get(key)) for run in runs]
    return min((seed for seed in seeds if seed is not None), default=0)


def _is_within_splits(against: AgainstBest) -> bool:
    """Tell whether seeds are asked about, of several splits that are taken as given."""
    return against.covers != SPLITS and against.splits > 1


def _what_to_run(section: Section, against: AgainstBest) -> str:
    runs = [run for group in section.groups for run in group.runs]
    needed = against.needed
    if needed is None:
        return ""
    if math.isfinite(needed):
        of_what, key = ("split", "split.seed") if against.covers == SPLITS else ("seed", "seed")
        where = " of each split" if _is_within_splits(against) else " in all"
        number = math.ceil(needed / against.splits) if _is_within_splits(against) else int(needed)
        start = _first(runs, key)
        return (
            f"About {number} {of_what}s{where} would likely decide: repeat the sweep with "
            f"'{key}=range({start},{start + number})'."
        )
    if against.covers == SPLITS:
        return "More splits will not decide it: that takes more samples, or a larger --margin."
    start = _first(runs, "split.seed")
    return (
        "More seeds will not help: sweep the split, repeating the sweep with "
        f"'split.seed=range({start},{start + SPLITS_ADVISED})'."
    )


def _flattered(section: Section, undecided: list[Group]) -> str:
    """Say by how much the choosing flatters the figure of the first of many."""
    errors = [
        against.error
        for group in undecided
        if (against := group.against_best) is not None and against.error
    ]
    if not errors:
        return ""
    error = sorted(errors)[len(errors) // 2]
    number = len(undecided) + 1
    return (
        f"The first is the best of {number} groups that these runs do not distinguish. Choosing it "
        f"makes its {section.sort} look better by up to "
        f"{figure_text(selection_bias(number, error))}; fresh splits show its true value."
    )

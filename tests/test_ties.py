"""A group held against the best one: ties, differences, and the seeds that would decide."""

import dataclasses
import math
import statistics

import numpy as np
import pytest
import scipy.stats

from fitgap.comparison.estimates import t_quantile
from fitgap.comparison.query import Query
from fitgap.comparison.ranking import compare
from fitgap.report import claims
from made_runs import grid, make_run, only_section, over_splits, several, with_status


def test_a_margin_below_one_image_makes_nothing_equivalent_and_that_is_said():
    def found(margin):
        runs = [
            make_run(
                {"seed": seed, "optimizer.name": name, "val_samples": 1_000_000},
                metrics={"val/accuracy": 0.9},
            )
            for name in ("adam", "sgd")
            for seed in range(3)
        ]
        comparison = compare(runs, Query(margin=margin))
        (section,) = comparison.sections
        said = any("less than one validation sample" in note for note in comparison.notes)
        return section.groups[1].against_best.word, said

    assert found(0.005) == ("equivalent", False)
    assert found(1e-7) == ("undecided", True)


@pytest.mark.parametrize(
    ("seeds", "values", "said"),
    [
        (((0, 1), (2, 3)), (0.9, 0.8, 0.8, 0.7), "have no replicate in common"),
        (((0, 1), (1, 2)), (0.9, 0.8, 0.8, 0.7), "have only one replicate in common"),
        (((0, 1), (0, 1)), (0.9, 0.9, 0.8, 0.8), "by the same amount in all replicates"),
    ],
)
def test_why_a_group_is_not_tested_is_said(seeds, values, said):
    figures = iter(values)
    runs = [
        make_run({"seed": seed, "optimizer.name": name}, metrics={"val/accuracy": next(figures)})
        for name, of_group in zip(("adam", "sgd"), seeds, strict=True)
        for seed in of_group
    ]
    assert any(said in note for note in compare(runs).notes)


def test_a_group_is_held_against_the_best_over_common_seeds():
    # Seed 3 is the best's alone. Differences 0.1, 0.2, 0.3: see the paired test worked by hand.
    runs = grid([(0.9, 0.9, 0.9, 0.1), (0.8, 0.7, 0.6)])
    runs[3] = make_run({"optimizer.name": "adam", "seed": 3}, metrics={"val/accuracy": 0.9})
    best, other = only_section(runs).groups
    assert best.against_best is None
    assert other.against_best.common == 3
    assert other.against_best.difference.mean == pytest.approx(0.2)
    half_width = t_quantile(2) * 0.1 / math.sqrt(3)
    assert other.against_best.difference.low == pytest.approx(0.2 - half_width)
    assert (other.against_best.word, other.against_best.covers) == ("undecided", "seeds")


def test_what_differs_by_the_same_in_every_seed_is_no_tie_and_no_difference():
    (_, other) = only_section(grid([(0.9, 0.8), (0.8, 0.7)])).groups
    assert other.against_best.is_tie is None


def test_a_clear_difference_is_no_tie():
    values = [(0.90, 0.91, 0.90, 0.91), (0.50, 0.51, 0.51, 0.50)]
    (_, other) = only_section(grid(values)).groups
    assert other.against_best.is_tie is False


def test_a_group_that_is_better_over_the_common_seeds_is_not_shown_as_worse():
    # adam is first by its seeds 3 and 4 alone; over the common ones rmsprop is better each time.
    values = [(0.90, 0.911, 0.92, 0.97, 0.972), (0.901, 0.9125, 0.9212)]
    _, other = only_section(grid(values)).groups
    assert other.against_best.difference.high < 0
    assert other.against_best.is_tie


def test_a_later_group_that_is_better_over_the_common_seeds_is_said_to_be():
    runs = grid([(0.80, 0.81, 0.82), (0.9, 0.9101, 0.92)])
    lost = with_status(make_run({"optimizer.name": "sgd", "seed": 3}), "FAILED")
    (section,) = compare(runs, failed=[lost]).sections
    assert section.groups[0].settings["optimizer"] == "adam"
    (said,) = claims.decision(section)
    assert "over the replicates that both have, sgd is better" in said
    assert "would likely decide" not in said


def test_groups_with_the_same_figures_over_splits_show_no_interval_of_their_difference():
    section = only_section(over_splits({"adam": [(0.9,), (0.8,)], "sgd": [(0.9,), (0.8,)]}))
    (said,) = claims.decision(section)
    assert said.startswith("adam against sgd: the same val/accuracy in all common replicates, ")


def test_one_common_seed_cannot_be_tested():
    (_, other) = only_section(grid([(0.9,), (0.8,)])).groups
    assert (other.against_best.common, other.against_best.is_tie) == (1, None)


def test_a_lucky_pair_of_seeds_does_not_decide_where_others_scatter():
    # The second group differs by nearly the same in both seeds; all others scatter by points.
    values = [(0.900, 0.920), (0.8900, 0.9101), (0.85, 0.90), (0.90, 0.83), (0.80, 0.88)]
    lucky = only_section(several(values)).groups[1].against_best
    assert lucky.difference.p < 0.01
    assert lucky.word == "undecided"


def test_over_splits_differences_are_paired_within_splits():
    values = {
        "adam": [(0.90, 0.92), (0.80, 0.82), (0.95, 0.93)],
        "sgd": [(0.89, 0.91), (0.78, 0.80), (0.93, 0.91)],
    }
    _, other = only_section(over_splits(values)).groups
    against = other.against_best
    assert (against.common, against.splits, against.covers) == (6, 3, "splits")
    variance = statistics.variance([0.01, 0.02, 0.02])
    half_width = t_quantile(2) * math.sqrt((1 / 3 + 0.25) * variance)
    assert against.difference.mean == pytest.approx(0.05 / 3)
    assert against.difference.high == pytest.approx(0.05 / 3 + half_width)
    t = 0.05 / 3 / math.sqrt((1 / 3 + 0.25) * variance)
    assert against.difference.p == pytest.approx(2 * scipy.stats.t.sf(t, 2))


def test_groups_on_different_splits_have_no_common_replicate():
    runs = over_splits({"adam": [(0.9, 0.8)], "sgd": [(0.8, 0.7)]})
    runs[2:] = [
        dataclasses.replace(run, tags=run.tags | {"fitgap.split_digest": "other"})
        for run in runs[2:]
    ]
    _, other = only_section(runs).groups
    assert (other.against_best.common, other.against_best.word) == (0, None)


def test_a_difference_within_the_margin_is_equivalent():
    values = [(0.9000, 0.9102, 0.9201, 0.9050), (0.8999, 0.9100, 0.9200, 0.9049)]
    _, other = only_section(several(values)).groups
    assert other.against_best.word == "worse"
    values[1] = (0.9001, 0.9100, 0.9202, 0.9049)
    _, other = only_section(several(values)).groups
    assert other.against_best.word == "equivalent"
    _, other = only_section(several(values), margin=1e-5).groups
    assert other.against_best.word == "undecided"


def test_seeds_that_would_decide_for_these_splits_are_counted_of_each_split():
    values = {
        "adam": [(0.90, 0.92), (0.80, 0.82), (0.95, 0.93)],
        "sgd": [(0.89, 0.93), (0.78, 0.81), (0.95, 0.91)],
    }
    section = only_section(over_splits(values), these_images=True)
    needed = section.groups[1].against_best.needed
    assert 6 < needed < math.inf
    (said,) = claims.decision(section)
    number = math.ceil(needed / 3)
    assert "that 6 runs of 3 splits could show" in said
    assert f"About {number} seeds of each split would likely decide" in said
    assert f"'seed=range(0,{number})'" in said


def test_more_seeds_do_not_help_where_the_images_are_too_few():
    values = [(0.90, 0.91, 0.90), (0.89, 0.89, 0.90)]
    _, other = only_section(several(values, val_samples=100)).groups
    assert other.against_best.needed == math.inf
    _, other = only_section(several(values)).groups
    assert 3 < other.against_best.needed < 30


def test_differences_on_one_split_are_paired_by_image_where_that_is_recorded():
    rng = np.random.default_rng(0)
    hard = rng.random(300) < 0.1  # images that all get wrong
    right, runs = {}, []
    for rate in (0.1, 0.2):
        for seed in range(3):
            own = ~hard & (rng.random(300) > rate / 10)
            changes = {"seed": seed, "optimizer.learning_rate": rate, "val_samples": 300}
            runs.append(make_run(changes, metrics={"val/accuracy": float(own.mean())}))
            right[runs[-1].run_id] = own
    (section,) = compare(runs, right_of=lambda run: right[run.run_id]).sections
    paired = section.groups[1].against_best
    assert paired.by_image
    assert paired.covers == "seeds and images"
    # One run of an older version, or of other images: the bound counts, and a note says so.
    for other in (None, np.ones(300, bool), np.ones(299, bool)):
        right[runs[0].run_id] = other
        compared = compare(runs, right_of=lambda run: right[run.run_id])
        bound = compared.sections[0].groups[1].against_best
        assert not bound.by_image
        assert bound.difference.high > paired.difference.high
        assert bound.difference.mean == paired.difference.mean
        assert any("sample by sample" in note and ": 1 of 1. " in note for note in compared.notes)

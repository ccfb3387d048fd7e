"""Where the variance comes from, against analysis of variance and known truths."""

import math

import numpy as np
import pytest

from fitgap.comparison.ranking import compare
from fitgap.comparison.variance import IMAGES, SEED, SPLIT, components_of, in_words
from fitgap.report.terminal_details import variance_text
from fitgap_lab.calibration.simulate import made_up_runs

METRIC = "val/accuracy"
GROUPS, SPLITS, SEEDS = 3, 6, 2


def figures(*shape, of_split=0.01, of_pair=0.005, of_seed=0.005, seed=0):
    rng = np.random.default_rng(seed)
    groups, splits, _ = shape
    return (
        0.85
        + of_split * rng.normal(size=(1, splits, 1))
        + of_pair * rng.normal(size=(groups, splits, 1))
        + of_seed * rng.normal(size=shape)
    )


def section_of(values):
    (section,) = compare(made_up_runs(values)).sections
    return section


def found_in(values):
    return components_of(section_of(values), metric=METRIC)


def test_balanced_components_are_those_of_the_analysis_of_variance():
    values = figures(GROUPS, SPLITS, SEEDS)
    cells = values.mean(2)
    of_seed = values.var(2, ddof=1).mean()
    inner = cells - cells.mean(0) - cells.mean(1)[:, None] + cells.mean()
    single = (inner**2).sum() / ((GROUPS - 1) * (SPLITS - 1)) - of_seed / SEEDS
    common = cells.mean(0).var(ddof=1) - single / GROUPS - of_seed / SEEDS / GROUPS
    found = found_in(values)
    assert (found.seed, found.common, found.split) == pytest.approx(
        (of_seed, common, common + single), rel=0.01
    )
    assert found.parts[SEED] + found.parts[IMAGES] + found.parts[SPLIT] == pytest.approx(
        found.seed + found.split
    )


def test_on_one_split_seeds_scatter_by_their_pooled_variance_and_images_by_the_binomial_one():
    values = figures(2, 1, 4)
    found = found_in(values)
    assert found.seed == pytest.approx(values.var(2, ddof=1).mean())
    means = values.mean((1, 2))
    assert found.images == pytest.approx((means * (1 - means) / 300).mean())
    assert found.split is None
    assert "another one" in in_words(found)[0]


@pytest.mark.parametrize("shape", [(1, 5, 1), (3, 1, 1), (1, 1, 1)])
def test_what_cannot_be_told_apart_is_not_told(shape):
    assert found_in(figures(*shape)) is None


def test_figures_that_are_equal_or_not_finite_tell_nothing():
    assert found_in(figures(2, 5, 2, of_seed=0)) is None
    assert found_in(figures(2, 5, 2) * math.nan) is None


def test_where_nothing_can_be_told_that_is_what_is_said():
    comparison = compare(made_up_runs(figures(3, 1, 1)))
    assert "The variance cannot be estimated" in variance_text(comparison, form="markdown")
    assert variance_text(comparison, form="json") == "[]\n"


@pytest.mark.slow
def test_the_intervals_hold_the_true_deviations_as_often_as_they_say():
    from scipy.stats import binom

    missed = np.zeros(2)
    rounds = 100
    for seed in range(rounds):
        found = found_in(figures(GROUPS, 5, SEEDS, seed=seed))
        (low, high), (split_low, split_high) = found.seed_interval, found.split_interval
        missed += [not low <= 0.005 <= high, not split_low <= math.hypot(0.01, 0.005) <= split_high]
    assert max(missed) <= binom.isf(0.001, rounds, 0.05)


def test_the_picture_shows_the_parts():
    from fitgap.report.variance_chart import parts_of_variance

    picture = parts_of_variance(section_of(figures(2, 3, 2)), metric="accuracy")
    svg = picture.svg()
    assert "number of samples (at most)" in svg
    assert METRIC in svg

"""Curves over seeds, verdicts and the Pareto front, worked by hand."""

import math

import pytest

from fitgap.comparison.estimates import estimate
from fitgap.comparison.verdicts import Curve, curve_over_seeds, judge, pareto_front


@pytest.mark.parametrize(
    ("points", "front"),
    [
        ([(0.9, 0.10), (0.8, 0.05), (0.7, 0.06)], {0, 1}),
        ([(0.8, 0.05), (0.9, 0.05)], {1}),
        ([(0.9, 0.06), (0.9, 0.05)], {1}),
        ([(0.9, 0.05), (0.9, 0.05), (0.8, 0.05)], {0, 1}),
        ([(0.9, -0.01), (0.95, 0.0)], {0, 1}),
        ([(math.nan, 0.0), (0.5, math.nan), (0.1, 0.2)], {2}),
        ([], set()),
    ],
    ids=["dominated in both", "same gap", "same accuracy", "equal", "negative", "nan", "none"],
)
def test_the_pareto_front_worked_by_hand(points, front):
    assert pareto_front(points) == front


FALLING = Curve((1, 2, 3), (1.0, 0.5, 0.25), (1.0, 0.5, 0.25), (1.0, 0.5, 0.25))
FLAT = Curve((1, 2, 3), (1.0, 0.25, 0.25), (1.0, 0.25, 0.25), (1.0, 0.25, 0.25))
NONE = Curve((), (), (), ())


@pytest.mark.parametrize(
    ("train", "val", "loss", "rise", "word"),
    [
        (0.99, 0.90, FLAT, 0.0, "overfits"),
        (0.95, 0.92, FLAT, 0.06, "overfits"),
        (0.95, 0.92, FLAT, 0.04, "fits"),
        # 2 standard errors of 0.9 on 10,000 images are 0.006: a smaller gap may be chance.
        (0.905, 0.90, FLAT, 0.5, "fits"),
        (0.95, 0.92, FALLING, 0.0, "underfits"),
        (0.95, 0.92, NONE, 0.0, "fits"),
        # Its gap is large, but it has not even learned what the best group knows of unseen data.
        (0.85, 0.70, FLAT, 0.0, "underfits"),
    ],
    ids=["gap", "rise", "small rise", "chance", "falling", "no history", "far behind"],
)
def test_the_verdict_follows_the_rule(train, val, loss, rise, word):
    found = judge(
        estimate([train - val]),
        train=estimate([train]),
        val=estimate([val]),
        best=estimate([0.90]),
        images=10_000,
        loss=loss,
        rise=rise,
    )
    assert found.word == word
    assert found.reason


def test_a_gap_counts_only_beyond_the_scatter_of_seeds_and_images():
    def word(gaps, images):
        val, gap = estimate([0.5]), estimate(gaps)
        return judge(gap, train=val, val=val, best=val, images=images, loss=NONE, rise=0.0).word

    assert word([0.1, 0.1], 10_000) == "overfits"
    assert word([0.1, 0.1], 99) == "fits"  # sqrt(0.25 / 99) is more than half of 0.1
    assert word([0.0, 0.2], 10_000) == "fits"  # so is the mean's standard error, 0.1


def test_a_curve_holds_the_epochs_that_every_seed_reached_with_finite_values():
    found = curve_over_seeds([{1: 1.0, 2: 0.5, 3: math.nan, 4: 1.0}, {1: 2.0, 2: 0.0, 3: 1.0}])
    assert found == Curve((1, 2), (1.5, 0.25), (1.0, 0.0), (2.0, 0.5))

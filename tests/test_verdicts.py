"""Curves over seeds, verdicts and the Pareto front, worked by hand."""

import doctest
import itertools
import math
import re
from pathlib import Path

import pytest

from fitgap.comparison.estimates import estimate
from fitgap.comparison.verdicts import Curve, curve_over_seeds, judge, pareto_front
from fitgap.store.recorded_metrics import KnownMetric


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


ACCURACY = KnownMetric("accuracy", 1, bounds=(0.0, 1.0), is_share=True)
RMSE = KnownMetric("rmse", -1, bounds=(0.0, None))
PAGE = Path(__file__).parents[1] / "docs" / "COMPARISON.md"


def known_cases():
    """Return the rows of the page's table of verdicts."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| case |")) + 2
    rows = itertools.takewhile(lambda line: line.startswith("|"), lines[start:])
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def numbers(text):
    return [float(word) for word in text.split()]


@pytest.mark.parametrize("case", known_cases(), ids=lambda case: case[0])
def test_the_verdict_of_a_known_case_is_the_pages(case):
    _, train, val, best, most_frequent, images, loss, word = case
    images = int(images)
    train, val, loss = numbers(train), numbers(val), numbers(loss)
    curve = Curve(tuple(range(1, len(loss) + 1)), tuple(loss), tuple(loss), tuple(loss))

    def scored(values):
        mean = sum(values) / len(values)
        return estimate(values, image_variance=mean * (1 - mean) / images)

    of_images = sum(
        sum(values) / len(values) * (1 - sum(values) / len(values)) / images
        for values in (train, val)
    )
    gaps = [t - v for t, v in zip(train, val, strict=True)]
    found = judge(
        metric=ACCURACY,
        gap=estimate(gaps, image_variance=of_images),
        train=scored(train),
        val=scored(val),
        best=scored([float(best)]),
        images=images,
        loss=curve,
        rise=loss[-1] / min(loss) - 1 if loss else 0.0,
        baseline=float(most_frequent),
    )
    assert found.word == word
    assert found.reason


def test_there_are_twenty_known_cases():
    assert len(known_cases()) >= 20


def test_a_verdict_is_four_statements():
    loss = Curve((1, 2, 3, 4), (1.0, 0.5, 0.5, 0.5), (), ())
    found = judge(
        metric=ACCURACY,
        gap=estimate([0.1, 0.1, 0.1]),
        train=estimate([0.95] * 3),
        val=estimate([0.85] * 3),
        best=estimate([0.9] * 3),
        images=1000,
        loss=loss,
        rise=0.0,
        baseline=0.1,
    )
    assert found.statements == (
        # Seeds that all agree say nothing of their scatter; the images' is known.
        "gap +0.1000 [+0.0741, +0.1259] (of the samples alone): real",
        "converged since epoch 2",
        "training accuracy 0.9500, the best group's validation accuracy 0.9000: not shown to fall "
        "short",
        "baseline 0.1000: beaten",
    )


def test_the_pages_worked_examples_are_computed():
    assert doctest.testfile(str(PAGE), module_relative=False).failed == 0


def test_the_page_cites_what_its_references_list():
    text, _, listed = PAGE.read_text(encoding="utf-8").partition("## References")
    plain = " ".join(text.split())
    entries = re.findall(r"(?m)(?:^- |\d\. )(\w+)[^()\n]*\((\d{4})\)", listed)
    assert len(entries) > 15
    for name, year in entries:
        assert re.search(rf"{name}\b[^()]{{0,40}}\(?{year}\b", plain), (name, year)
    cited = set(re.findall(r"(?:, |\()((?:19|20)\d\d)[);,:]", plain))
    assert cited <= {year for _, year in entries}


def test_a_curve_holds_the_epochs_that_every_seed_reached_with_finite_values():
    found = curve_over_seeds([{1: 1.0, 2: 0.5, 3: math.nan, 4: 1.0}, {1: 2.0, 2: 0.0, 3: 1.0}])
    assert found == Curve((1, 2), (1.5, 0.25), (1.0, 0.0), (2.0, 0.5))


@pytest.mark.parametrize(
    ("train", "val", "best", "baseline", "word"),
    [
        ([10, 11, 12], [19, 20, 21], 20, 77, "overfitting"),  # a gap of 9 of 77
        ([18, 19, 20], [19.9, 20.9, 21.9], 20, 77, "fits"),  # a gap of 1.9 of 77
        ([50, 51, 52], [52, 53, 54], 20, 77, "underfitting"),  # far above the best group
        ([76, 77, 78], [77, 78, 79], 77, 77, "underfitting"),  # no better than the mean
        ([1, 2, 3], [77, 78, 79], 77, 77, "overfitting"),  # learned by heart
    ],
)
def test_of_an_error_lower_is_better_and_the_baseline_is_its_reach(
    train, val, best, baseline, word
):
    found = judge(
        metric=RMSE,
        gap=estimate([v - t for t, v in zip(train, val, strict=True)]),
        train=estimate(train),
        val=estimate(val),
        best=estimate([best - 0.5, best, best + 0.5]),
        images=100,
        loss=NONE,
        rise=0.0,
        baseline=baseline,
    )
    assert found.word == word
    assert "accuracy" not in " ".join([found.reason, *found.statements])

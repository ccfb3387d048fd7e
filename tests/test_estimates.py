"""Estimates and their intervals, worked by hand: over seeds, images and splits."""

import math

import pytest

from fitgap.comparison.estimates import estimate, t_quantile
from fitgap.comparison.images import image_interval
from fitgap.comparison.ranking import compare
from fitgap.comparison.significance import wilson
from fitgap.report.terminal import to_markdown
from made_runs import grid, make_run, only_section, over_splits, several


def test_groups_of_one_seed_are_said_to_have_no_interval():
    assert any("(1 of 1) have no interval" in note for note in compare([make_run()]).notes)


def test_interval_of_three_numbers_worked_by_hand():
    # Deviations -0.25, 0, 0.25: sd = sqrt(0.125 / 2) = 0.25. For two degrees of freedom
    # Student's distribution inverts in closed form: t = c * sqrt(2 / (1 - c * c)), c = 0.95.
    found = estimate([0.25, 0.5, 0.75])
    half_width = 0.95 * math.sqrt(2 / (1 - 0.95**2)) * 0.25 / math.sqrt(3)
    assert (found.mean, found.sd, found.n) == (0.5, 0.25, 3)
    assert found.high == pytest.approx(0.5 + half_width, rel=1e-12)
    assert found.low == pytest.approx(0.5 - half_width, rel=1e-12)
    assert half_width == pytest.approx(4.3027 * 0.14434, rel=1e-4)  # as in printed tables


def test_interval_of_two_numbers_worked_by_hand():
    # One degree of freedom is Cauchy's distribution: t = tan(pi * (0.975 - 0.5)).
    found = estimate([1.0, 3.0])
    assert found.sd == pytest.approx(math.sqrt(2))
    assert found.high == pytest.approx(2 + math.tan(math.pi * 0.475))


@pytest.mark.parametrize(
    "values", [[0.5], [0.5, math.inf], [math.nan]], ids=["one", "infinite", "nan"]
)
def test_no_interval_without_two_finite_values(values):
    found = estimate(values)
    assert (found.sd, found.low, found.high) == (None, None, None)


def test_what_is_not_finite_is_counted_and_not_averaged():
    found = estimate([0.5, math.nan, 0.7, math.inf])
    assert (found.mean, found.n, found.not_finite) == (pytest.approx(0.6), 2, 2)
    assert estimate([0.5, 0.7, math.nan]).low == estimate([0.5, 0.7]).low
    assert math.isnan(estimate([math.nan]).mean)
    assert estimate([math.nan]).n == 0


@pytest.mark.parametrize("values", [[0.5] * 3, [0.0, 0.0], [0.1 + 0.2, 0.3]])
def test_equal_values_have_no_interval(values):
    found = estimate(values)
    assert found.mean == pytest.approx(values[0])
    assert (found.low, found.high) == (None, None)
    assert estimate(values, image_variance=1e-4).low is not None


def test_runs_with_equal_figures_have_no_interval_and_that_is_said():
    comparison = compare(grid([(0.9, 0.9, 0.9), (0.8, 0.7, 0.75)]))
    first, second = (group.metrics["val/accuracy"] for group in comparison.sections[0].groups)
    assert (first.mean, first.low, first.high) == (pytest.approx(0.9), None, None)
    assert second.low is not None
    assert any("the same val/accuracy: 1 of 2" in note for note in comparison.notes)
    assert "0.9000 ±" not in to_markdown(comparison)


def test_the_number_of_images_is_in_the_interval_of_images_like_these():
    runs = several([(0.90, 0.91, 0.92)], val_samples=400)
    (group,) = only_section(runs).groups
    found = group.metrics["val/accuracy"]
    half_width = math.sqrt((t_quantile(2) * 0.01) ** 2 / 3 + 1.959964**2 * 0.91 * 0.09 / 400)
    assert (found.covers, found.high) == ("seeds and images", pytest.approx(0.91 + half_width))
    (group,) = only_section(runs, these_images=True).groups
    found = group.metrics["val/accuracy"]
    assert (found.covers, found.high) == (
        "seeds",
        pytest.approx(0.91 + t_quantile(2) * 0.01 / math.sqrt(3)),
    )


def test_the_gap_takes_in_the_images_of_both_partitions():
    metrics = {"val/accuracy": 0.8, "train/accuracy": 0.9, "gap/accuracy": 0.1}
    runs = [
        make_run({"seed": seed, "val_samples": 100, "train_samples": 400}, metrics=metrics)
        for seed in (0, 1)
    ]
    found = only_section(runs).groups[0].metrics["gap/accuracy"]
    assert found.high - found.mean == pytest.approx(
        1.959964 * math.sqrt(0.8 * 0.2 / 100 + 0.9 * 0.1 / 400)
    )


def test_over_splits_the_interval_is_nadeaus_and_bengios():
    (group,) = only_section(over_splits({"adam": [(0.90, 0.92), (0.93,), (0.95, 0.95)]})).groups
    found = group.metrics["val/accuracy"]
    # Means of splits 0.91, 0.93, 0.95: variance 0.0004; 1/3 + 100/400 of it.
    half_width = t_quantile(2) * math.sqrt((1 / 3 + 0.25) * 0.0004)
    assert (found.mean, found.n, found.covers) == (pytest.approx(0.93), 5, "splits")
    assert found.high == pytest.approx(0.93 + half_width)


@pytest.mark.parametrize(
    ("metric", "params", "expected"),
    [
        ("val/accuracy", {"val_samples": 100}, wilson(0.9, images=100)),
        ("val/accuracy", {}, None),
        ("val/accuracy", {"val_samples": 0}, None),
        ("val/loss", {"val_samples": 100}, None),
        ("test/accuracy", {"test_samples": 100}, None),
    ],
)
def test_the_images_interval_needs_an_accuracy_and_its_images(metric, params, expected):
    run = make_run(params, metrics={"val/accuracy": 0.9, "val/loss": 0.9})
    assert image_interval(run, metric) == expected

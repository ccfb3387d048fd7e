"""The benchmark's arithmetic: spreads, ratios within rounds, growth."""

import pytest

from fitgap_lab.benchmark.results import Spread, growth, ratios, scale_up, spread


@pytest.mark.parametrize(
    ("values", "median"),
    [((4.0, 1.0, 2.0), 2.0), ((4.0, 1.0, 2.0, 3.0), 2.5), ((7.0,), 7.0)],
    ids=["odd", "even", "one"],
)
def test_spread_is_median_smallest_and_largest(values, median):
    assert spread(values) == Spread(median, min(values), max(values))


def test_ratios_are_taken_within_a_round():
    assert ratios([8.0, 9.0], [2.0, 3.0]) == [4.0, 3.0]


def test_ratios_refuse_rounds_without_a_partner():
    with pytest.raises(ValueError, match="shorter"):
        ratios([8.0, 9.0], [2.0])


@pytest.mark.parametrize(
    ("run_seconds", "whole"),
    [([4.0, 2.0, 1.0], 13.0), ([4.0], 26.0), ([2.0] * 5, 10.0)],
    ids=["first run counts once", "one run", "all runs"],
)
def test_missing_runs_of_a_sweep_count_by_the_mean_of_the_later_ones(run_seconds, whole):
    assert scale_up(10.0, run_seconds=run_seconds, total_runs=5) == whole


def test_growth_starts_after_the_fiftieth_run():
    assert growth([1.0] * 49 + [100.0, 105.0, 110.0]) == pytest.approx(0.1)


def test_growth_of_fifty_runs_is_unknown():
    assert growth([100.0] * 50) is None

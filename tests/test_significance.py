"""Intervals and tests, by hand and against SciPy's and statsmodels' own."""

import math

import numpy as np
import pytest

from fitgap.comparison.significance import mcnemar, paired, wilson


def test_the_paired_test_worked_by_hand():
    # Differences 1, 2, 3: sd 1, t = 2 * sqrt(3). For two degrees of freedom Student's
    # distribution has the closed form P(|T| > t) = 1 - t / sqrt(t * t + 2).
    t = 2 * math.sqrt(3)
    found = paired([1.0, 2.0, 3.0])
    assert (found.mean, found.n) == (2.0, 3)
    assert found.p == pytest.approx(1 - t / math.sqrt(t * t + 2), rel=1e-12)
    half_width = 0.95 * math.sqrt(2 / (1 - 0.95**2)) / math.sqrt(3)
    assert (found.low, found.high) == pytest.approx((2 - half_width, 2 + half_width), rel=1e-12)


@pytest.mark.parametrize("n", [2, 3, 10, 100])
def test_the_paired_test_is_scipys(n):
    from scipy.stats import ttest_rel

    rng = np.random.default_rng(n)
    first, second = rng.normal(0.9, 0.01, n), rng.normal(0.895, 0.01, n)
    expected = ttest_rel(first, second)
    found = paired((first - second).tolist())
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    interval = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-9)
    wide = expected.confidence_interval(0.99)
    found = paired((first - second).tolist(), confidence=0.99)
    assert (found.low, found.high) == pytest.approx((wide.low, wide.high), rel=1e-9)


def test_one_pair_cannot_be_tested():
    assert paired([0.1]) is None
    assert paired([]) is None


def test_the_same_difference_every_time_is_no_certainty():
    # As accuracies on few images come out; in float32, so not quite equal.
    differences = [float(np.float32(a)) - float(np.float32(b)) for a, b in [(0.9, 0.8), (0.8, 0.7)]]
    assert paired(differences).p is None
    assert paired([0.0, 0.0, 1e-9]).p == 1.0


def test_mcnemars_test_worked_by_hand():
    # 1 of 6: 2 * (1 + 6) / 2**6.
    assert mcnemar(1, 5) == mcnemar(5, 1) == pytest.approx(14 / 64, rel=1e-12)
    assert mcnemar(4, 4) == 1.0


@pytest.mark.parametrize("counts", [(0, 7), (12, 30), (200, 260), (1500, 1502)])
def test_mcnemars_test_is_statsmodels(counts):
    from statsmodels.stats.contingency_tables import mcnemar as reference

    table = [[50, counts[0]], [counts[1], 9]]
    assert mcnemar(*counts) == pytest.approx(reference(table, exact=True).pvalue, rel=1e-9)


@pytest.mark.parametrize(("right", "images"), [(0, 5), (5, 5), (81, 100), (9788, 10_000)])
def test_wilsons_interval_is_statsmodels(right, images):
    from statsmodels.stats.proportion import proportion_confint

    expected = proportion_confint(right, images, method="wilson")
    assert wilson(right / images, images=images) == pytest.approx(expected, abs=1e-12)


def test_wilsons_interval_has_a_width_where_all_is_right():
    # At p = 1: low = n / (n + z * z), high = 1.
    low, high = wilson(1.0, images=10)
    assert high == pytest.approx(1.0)
    assert low == pytest.approx(10 / (10 + 1.959963984540054**2), rel=1e-12)

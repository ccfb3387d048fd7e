"""Power laws known beforehand: found again where they hold, and doubted where they do not."""

import dataclasses
import json
import math
import re

import numpy as np
import pytest

from fitgap.comparison import learning_curve, learning_curve_text
from fitgap.comparison.learning_curve import Point, forecast
from fitgap.comparison.learning_curve_text import in_words
from fitgap.comparison.power_law import fit
from fitgap.report import learning_curve_chart
from fitgap.store import StoredRun
from fitgap.tag_names import METRICS_TAG
from fitgap_lab.calibration import learning_curves

ACCURACY, RMSE, UNBOUNDED = ("accuracy", 1.0, 1), ("rmse", 0.0, -1), ("score", 0.0, 1)


def described(name, best, direction):
    """Return what a run says of its metric; the unbounded one has no best value."""
    bounds = [None if name == "score" else best if direction < 0 else 0.0, None]
    bounds[1] = best if direction > 0 and name != "score" else None
    one = {"name": name, "direction": direction, "bounds": bounds, "phrase": ""}
    return json.dumps([one])


SIZES = [60, 90, 130, 180, 250, 350, 500, 700, 1000]


def made_curve(error, *, sizes=SIZES, noise=0.0, seeds=3, metric=ACCURACY):
    """Return a curve whose errors are a function of the size, relative noise per seed."""
    name, best, direction = metric
    rng = np.random.default_rng(0)
    runs = {
        str(n): {
            seed: StoredRun(
                f"{n} {seed}",
                "",
                "FINISHED",
                0,
                {"train_samples": str(n), "seed": str(seed)},
                {
                    f"train/{name}": 1.0,
                    "train/loss": 0.01,
                    "val/loss": 0.5,
                    f"val/{name}": best - direction * error(n) * math.exp(noise * rng.normal()),
                    f"gap/{name}": 0.1,
                },
                {METRICS_TAG: described(*metric)},
            )
            for seed in range(seeds)
        }
        for n in sizes
    }
    return learning_curve.curve(runs)


@pytest.mark.parametrize("floor", [0.0, 0.05])
def test_a_power_law_is_found_again(floor):
    errors = [floor + 3 * n**-0.6 for n in SIZES]
    law = fit(SIZES, [e * (1 + 1e-4 * (-1) ** i) for i, e in enumerate(errors)])
    assert law.exponent == pytest.approx(0.6, rel=0.01)
    assert law.factor == pytest.approx(3, rel=0.03)
    assert law.floor == pytest.approx(floor, abs=1e-3)
    assert float(law.error(2000)) == pytest.approx(floor + 3 * 2000**-0.6, rel=0.01)
    assert law.scatter < 1e-3


def test_the_interval_is_that_of_linear_regression_where_the_law_is_a_line():
    # Without a floor, log error is linear in log n: the textbook's variance of a fitted line.
    rng = np.random.default_rng(1)
    x = np.log(SIZES)
    y = np.log(3) - 0.6 * x + rng.normal(scale=0.05, size=len(x))
    law = fit(SIZES, np.exp(y))
    assert law.floor == 0
    slope, intercept = np.polyfit(x, y, 1)
    assert (law.exponent, math.log(law.factor)) == pytest.approx((-slope, intercept), rel=1e-4)
    residuals = y - (intercept + slope * x)
    variance = residuals @ residuals / (len(x) - 2)
    covariance = variance * np.linalg.inv(np.array([[len(x), x.sum()], [x.sum(), x @ x]]))
    n = 1000.0
    now, then = np.exp(intercept + slope * np.log([n, 2 * n]))
    gradient = np.array([now - then, now * np.log(n) - then * np.log(2 * n)])
    deviation = math.sqrt(gradient @ covariance @ gradient)
    gain = law.gain(n)
    assert gain.mean == pytest.approx(now - then, rel=1e-4)
    assert gain.high - gain.mean == pytest.approx(2.364624 * deviation, rel=1e-3)


def test_where_the_law_holds_twice_the_data_is_worth_what_it_says():
    found = made_curve(lambda n: 3 * n**-0.6, noise=0.02)
    told = forecast(found)
    expected = 3 * (1000**-0.6 - 2000**-0.6)
    assert told.doubt is None
    assert told.gain.low < expected < told.gain.high
    assert told.gain.high - told.gain.low < expected
    words = in_words(found, told)
    assert words[0].startswith("Twice the data (2,000 training samples instead of 1,000) would")
    assert told.last_doubling[:2] == (500, 1000)
    measured = (
        np.mean([1 - p.scores["val/accuracy"].mean for p in (found.points[6],)])
        - found.points[8].error
    )
    assert told.last_doubling[2].mean == pytest.approx(measured)


@pytest.mark.parametrize(
    ("error", "options", "reason"),
    [
        (lambda n: 3 * n**-0.6, {"sizes": SIZES[-4:]}, "4 sizes are too few"),
        (lambda n: 3 * n**-0.6, {"sizes": (10, 20, 40, 80, 160)}, "5 sizes are too few"),
        (lambda n: 3 * n**-0.6, {"sizes": SIZES[-6:]}, "span a factor of 5.6"),
        (lambda n: 3 * n**-0.6, {"noise": 0.8}, "scatter by"),
        (lambda n: 0.1 + 1e-5 * n, {}, "does not fall"),
        (lambda n: max(0.0, 0.2 - n / 5000), {}, "no error left"),
        (lambda n: 3 * n**-0.6 if n != 180 else math.nan, {}, "not a finite number: 3"),
        # It stops to fall at half of the sizes: the smaller ones foretell something else.
        (lambda n: 3 * max(n, 1) ** -0.6 if n <= 500 else 0.07, {}, "misses the error at 1,000"),
    ],
    ids=["few", "five", "narrow", "scattered", "rising", "perfect", "nan", "bending"],
)
def test_where_it_cannot_be_told_the_reason_is_said(error, options, reason):
    found = made_curve(error, **options)
    told = forecast(found)
    assert told.gain is None
    assert reason in told.doubt
    words = in_words(found, told)
    assert words[0].startswith("What twice the data would bring cannot be predicted: ")
    assert words[-1].startswith("Measured: from ")


def test_the_law_may_begin_above_the_smallest_sizes():
    found = made_curve(lambda n: 3 * n**-0.6 if n > 60 else 0.1, sizes=[*SIZES, 1400, 2000])
    told = forecast(found)
    assert (told.doubt, told.first) == (None, 90)
    assert told.law.exponent == pytest.approx(0.6, rel=1e-3)
    assert "fitted to 10 sizes from 90 samples on" in " ".join(in_words(found, told))


def test_one_seed_is_enough_for_words_and_picture():
    found = made_curve(lambda n: 3 * n**-0.6, seeds=1)
    told = forecast(found)
    assert in_words(found, told)[-1].endswith("(one seed).")
    picture = learning_curve_chart.draw(found, told, title="숫자")
    spec = picture.spec()
    lines, _, law = spec["hconcat"][0]["layer"][1:4]
    assert lines["encoding"]["x"]["scale"]["type"] == "log"
    assert max(row["samples"] for row in spec["datasets"][law["data"]["name"]]) == pytest.approx(
        2000
    )
    assert "숫자" in picture.svg()
    text = learning_curve_text.to_markdown(found, told, title="digits [a](b)", missing=1)
    assert text.startswith("## digits [a\\](b)\n")
    assert text.count("\n| ") == 1 + len(SIZES)


def test_points_are_by_number_of_samples():
    found = made_curve(lambda n: n / 2000, sizes=[100, 50])
    assert [point.samples for point in found.points] == [50, 100]
    assert isinstance(found.points[0], Point)
    assert found.points[1].error == pytest.approx(0.05)


def test_an_error_in_units_of_the_target_follows_a_law_in_these_units():
    found = made_curve(lambda n: 900 * n**-0.5, metric=RMSE, noise=0.01)
    told = forecast(found)
    assert told.doubt is None
    now, then = 900 * 1000**-0.5, 900 * 2000**-0.5
    assert told.gain.mean == pytest.approx(now - then, rel=0.1)
    words = " ".join(in_words(found, told))
    number = re.search(r"would bring val/rmse from ([0-9.]+) to about ([0-9.]+): better by", words)
    assert [float(text) for text in number.groups()] == pytest.approx([now, then], rel=0.05)
    assert "Power law: val/rmse = " in words
    assert "accuracy" not in words
    drawn = json.dumps(learning_curve_chart.draw(found, told, title="prices").spec())
    assert '"title": "rmse"' in drawn
    assert "accuracy" not in drawn


def test_without_a_best_value_there_is_no_law_but_the_last_doubling_counts():
    found = made_curve(lambda n: 3 * n**-0.6, metric=UNBOUNDED)
    told = forecast(found)
    assert (told.law, told.gain) == (None, None)
    words = in_words(found, told)
    assert "score has no best value" in words[0]
    assert "val/score became better by 0." in words[-1]


def test_a_figure_that_became_worse_with_more_data_is_called_worse():
    found = made_curve(lambda n: 0.1 * n**0.05)
    assert "val/accuracy became worse by 0." in in_words(found, forecast(found))[-1]


@pytest.mark.parametrize("law", ["2 n^-0.4", "0.005 + 2 n^-0.4"])
def test_the_forecast_holds_the_gain_with_a_small_floor_and_without(law):
    from scipy.stats import binom

    repetitions = 60
    found = learning_curves.simulate(learning_curves.TRUTHS[law], repetitions=repetitions)
    missed = round((1 - found.covered) * found.told * repetitions)
    assert found.told > 0.8
    assert missed <= binom.isf(0.001, repetitions, 0.05)


def made_splits(error, *, splits=5, sizes=SIZES, of_split=0.03):
    """Return a curve of several splits of two seeds, whose errors differ by a factor."""
    rng = np.random.default_rng(1)
    factors = np.exp(of_split * rng.normal(size=splits))
    runs = {
        str(n): {
            (str(seed), str(split), ""): StoredRun(
                f"{n} {seed} {split}",
                "",
                "FINISHED",
                0,
                # Folds of different sizes: a sample more or less is no other size.
                {
                    "train_samples": str(n + (split == 0)),
                    "val_samples": "300",
                    "split.seed": str(split),
                    "seed": str(seed),
                },
                {
                    "train/accuracy": 1.0,
                    "train/loss": 0.01,
                    "val/loss": 0.5,
                    "val/accuracy": 1 - error(n) * factors[split] * math.exp(0.02 * rng.normal()),
                    "gap/accuracy": 0.1,
                },
                {},
            )
            for seed in range(2)
            for split in range(splits)
        }
        for n in sizes
    }
    return learning_curve.curve(runs)


def test_a_curve_over_several_splits_is_fitted_in_each():
    found = made_splits(lambda n: 3 * n**-0.6)
    assert [point.samples for point in found.points] == SIZES
    assert (found.splits, found.overlap) == (5, pytest.approx(0.3, rel=1e-3))
    told = forecast(found)
    assert (told.doubt, told.gain.covers, told.gain.n) == (None, "splits", 5)
    assert told.gain.low < 3 * (1000**-0.6 - 2000**-0.6) < told.gain.high
    words = " ".join(in_words(found, told))
    assert "fitted to each of 5 splits" in words
    assert "paired over 5 splits" in words
    assert "over splits" in " ".join(learning_curve_text.notes(found, missing=0))


def test_splits_without_all_sizes_do_not_count():
    found = made_splits(lambda n: 3 * n**-0.6, splits=2)
    first = found.points[0]
    of_one = {one: error for one, error in first.errors.items() if one[1] == "0"}
    lacking = dataclasses.replace(
        found, points=(dataclasses.replace(first, errors=of_one), *found.points[1:8])
    )
    told = learning_curve.forecast(lacking)
    assert told.doubt == "fewer than two splits have runs of all sizes"


def test_the_forecast_over_splits_holds_the_gain():
    from scipy.stats import binom

    found = learning_curves.simulate_splits(
        learning_curves.TRUTHS["0.02 + 2 n^-0.5"], repetitions=60
    )
    missed = round((1 - found.covered) * found.told * 60)
    assert found.told > 0.8
    assert missed <= binom.isf(0.001, 60, 0.05)

"""Main effects, worked by hand and against statsmodels' analysis of variance."""

import dataclasses
import math

import pytest
from scipy.stats import binom

from fitgap.comparison.effects import effect_metrics, main_effects
from fitgap.comparison.estimates import t_quantile
from fitgap.comparison.ranking import compare
from fitgap.config.parameters import to_text
from fitgap.store import StoredRun
from fitgap_lab.calibration import effects as simulated
from fitgap_lab.calibration.simulate import Design


def make_run(number, settings, value, metric="val/accuracy"):
    params = {"optimizer.name": "sgd", "architecture.name": "dense", "seed": 0} | settings
    texts = {key: to_text(value) for key, value in params.items() if value is not None}
    return StoredRun(f"r{number:03}", "", "FINISHED", number, texts, {metric: value}, {})


def section_of(rows, **options):
    runs = [make_run(i, settings, value, **options) for i, (settings, value) in enumerate(rows)]
    (section,) = compare(runs).sections
    return section


def two_by_two(values):
    """Return optimizer adam, then sgd; for each epochs 5, then 10; for each seeds."""
    cells = iter(values)
    return [
        ({"optimizer.name": name, "training.epochs": epochs, "seed": seed}, next(cells))
        for name in ("adam", "sgd")
        for epochs in (5, 10)
        for seed in (0, 1)
    ]


VALUES = [0.90, 0.92, 0.86, 0.86, 0.80, 0.84, 0.70, 0.72]


def test_effects_of_a_two_by_two_sweep_worked_by_hand():
    first, second = main_effects(section_of(two_by_two(VALUES)), metric="val/accuracy")
    # adam minus sgd in the four blocks: 0.10, 0.08, 0.16, 0.14.
    assert (first.name, [level.value for level in first.levels]) == ("optimizer", ["adam", "sgd"])
    assert [level.mean for level in first.levels] == pytest.approx([0.885, 0.765])
    assert first.range == pytest.approx(0.12)
    assert (first.blocks, first.all_blocks) == (4, 4)
    # Seeds averaged first: 0.09 and 0.15 in the two numbers of epochs, sd 0.06 / sqrt(2); two rows.
    half_width = t_quantile(1, 1 - 0.05 / 2) * 0.06 / math.sqrt(2) / math.sqrt(2)
    assert (first.span.low, first.span.high) == pytest.approx(
        (0.12 - half_width, 0.12 + half_width)
    )
    # 5 minus 10 epochs: 0.04, 0.06, 0.10, 0.12.
    assert (second.name, second.range) == ("training.epochs", pytest.approx(0.08))
    assert [level.value for level in second.levels] == ["5", "10"]


def test_a_pure_interaction_is_no_main_effect():
    # sgd wins at 5 epochs and loses at 10, by the same and without scatter over seeds.
    values = [0.9, 0.9, 0.8, 0.8, 0.8, 0.8, 0.9, 0.9001]
    optimizer = next(
        one
        for one in main_effects(section_of(two_by_two(values)), metric="val/accuracy")
        if one.name == "optimizer"
    )
    assert optimizer.span.n == 2
    assert optimizer.span.low < 0 < optimizer.span.high


def test_range_means_are_those_of_an_analysis_of_variance():
    import pandas as pd
    import statsmodels.formula.api as smf

    rows = two_by_two(VALUES)
    frame = pd.DataFrame(
        [
            {
                "y": value,
                "optimizer": settings["optimizer.name"],
                "epochs": settings["training.epochs"],
                "seed": settings["seed"],
            }
            for settings, value in rows
        ]
    )
    fitted = smf.ols("y ~ C(optimizer, Sum) + C(epochs, Sum) + C(seed, Sum)", frame).fit()
    optimizer, epochs = main_effects(section_of(rows), metric="val/accuracy")
    expected = 2 * abs(fitted.params["C(optimizer, Sum)[S.adam]"])
    assert optimizer.range == pytest.approx(expected)
    assert epochs.range == pytest.approx(2 * abs(fitted.params["C(epochs, Sum)[S.5]"]))


def test_more_levels_widen_the_interval_by_their_pairs():
    rows = [
        ({"training.epochs": epochs, "seed": seed}, value)
        for epochs, values in {1: (0.1, 0.2), 2: (0.2, 0.2), 3: (0.5, 0.4)}.items()
        for seed, value in enumerate(values)
    ]
    (effect,) = main_effects(section_of(rows), metric="val/accuracy")
    # Three pairs: 0.4 and 0.2 between 3 and 1, sd sqrt(0.02), at 1 - 0.05 / 3.
    half_width = t_quantile(1, 1 - 0.05 / 3) * math.sqrt(0.02) / math.sqrt(2)
    assert effect.span.high - effect.span.mean == pytest.approx(half_width)


def test_only_blocks_with_every_level_count():
    rows = two_by_two(VALUES)[:-1]
    optimizer = next(
        effect
        for effect in main_effects(section_of(rows), metric="val/accuracy")
        if effect.name == "optimizer"
    )
    assert (optimizer.blocks, optimizer.all_blocks) == (3, 4)
    assert optimizer.range == pytest.approx((0.10 + 0.08 + 0.16) / 3)


def test_settings_that_only_change_together_have_no_effect_of_their_own():
    rows = [
        ({"training.epochs": n, "training.batch_size": n, "seed": seed}, n / 100)
        for n in (5, 10)
        for seed in (0, 1)
    ]
    effects = main_effects(section_of(rows), metric="val/accuracy")
    assert [(effect.levels, effect.span, effect.blocks) for effect in effects] == [
        ((), None, 0)
    ] * 2


def test_what_comes_with_an_option_is_compared_within_it():
    rows = [
        ({"optimizer.name": name, "optimizer.momentum": momentum, "seed": seed}, value)
        for name, momentum, value in (("sgd", 0.0, 0.5), ("sgd", 0.9, 0.75), ("adam", None, 0.875))
        for seed in (0, 1)
    ]
    optimizer, momentum = main_effects(section_of(rows), metric="val/accuracy")
    assert momentum.name == "optimizer.momentum (sgd)"
    assert momentum.range == 0.25
    # Of sgd, the mean over its momenta.
    assert [level.mean for level in optimizer.levels] == [0.875, 0.625]


def test_of_the_gap_the_smallest_is_best():
    rows = two_by_two(VALUES)
    section = section_of(rows, metric="gap/accuracy")
    (optimizer, *_) = main_effects(section, metric="gap/accuracy")
    assert [level.value for level in optimizer.levels] == ["sgd", "adam"]
    assert optimizer.span.mean > 0
    assert effect_metrics(section) == ("gap/accuracy",)


def test_runs_without_the_metric_count_nowhere():
    rows = two_by_two(VALUES)
    rows[0] = (rows[0][0], math.nan)
    effects = main_effects(section_of(rows), metric="val/accuracy")
    assert {effect.name: effect.blocks for effect in effects} == {
        "optimizer": 3,
        "training.epochs": 3,
    }
    assert all(effect.levels == () for effect in main_effects(section_of(rows), metric="no/such"))


def test_over_splits_seeds_are_averaged_first_and_overlap_widens_the_interval():
    sizes = {"train_samples": 400, "val_samples": 100}
    gains = {(1, 0): 0.01, (1, 1): 0.03, (2, 0): 0.03, (2, 1): 0.05, (3, 0): 0.06, (3, 1): 0.06}
    rows = [
        ({"optimizer.name": name, "split.seed": split, "seed": seed} | sizes, 0.7 + better * gain)
        for (split, seed), gain in gains.items()
        for name, better in (("adam", 1), ("sgd", 0))
    ]
    runs = [
        dataclasses.replace(
            make_run(i, settings, value), tags={"fitgap.split_digest": str(settings["split.seed"])}
        )
        for i, (settings, value) in enumerate(rows)
    ]
    (section,) = compare(runs).sections
    (effect,) = main_effects(section, metric="val/accuracy")
    # Split means 0.02, 0.04, 0.06: sd 0.02.
    half_width = t_quantile(2) * 0.02 * math.sqrt(1 / 3 + 1 / 4)
    assert (effect.blocks, effect.span.n) == (6, 3)
    assert effect.span.high - effect.span.mean == pytest.approx(half_width)


def test_the_same_difference_in_every_block_has_no_interval():
    rows = [
        ({"optimizer.name": name, "seed": seed}, value)
        for name, value in (("adam", 0.9), ("sgd", 0.8))
        for seed in range(3)
    ]
    (effect,) = main_effects(section_of(rows), metric="val/accuracy")
    assert (effect.range, effect.blocks, effect.span) == (pytest.approx(0.1), 3, None)


@pytest.mark.parametrize("interaction", [0.0, 0.02])
def test_of_settings_that_do_not_matter_hardly_ever_a_row_says_that_one_does(interaction):
    repetitions = 100
    most = binom.isf(0.001, repetitions, 0.05) / repetitions
    for levels, splits in (((3, 3), 1), ((2, 2, 2), 5)):
        design = Design(math.prod(levels), splits, 2)
        found = simulated.told(levels, design, repetitions=repetitions, interaction=interaction)
        assert found.any_row <= most


def test_a_setting_that_matters_is_shown():
    found = simulated.told((3, 3), Design(9, 5, 2), repetitions=50, better=0.04)
    assert found.first_row >= 0.8

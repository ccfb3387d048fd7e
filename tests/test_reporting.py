"""A comparison as table, CSV and JSON."""

import csv
import io
import json
import math
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from fitgap.comparison.estimates import Estimate
from fitgap.comparison.groups import Comparison, Group, Section
from fitgap.comparison.significance import Paired, wilson
from fitgap.comparison.ties import AgainstBest, selection_bias
from fitgap.report import page
from fitgap.report.claims import decision
from fitgap.report.terminal import print_table, to_csv, to_json, to_markdown
from fitgap.store import StoredRun
from fitgap.sweep import endings
from fitgap.training import progress


def make_run(run_id="r1"):
    params = {"architecture.name": "dense_softmax", "optimizer.name": "adam"}
    return StoredRun(run_id, "", "FINISHED", 0, params, {}, {})


def make_group(settings=None, *, n=3, mean=0.8712, half_width=0.0012, metrics=None):
    interval = (mean - half_width, mean + half_width) if n > 1 else (None, None)
    found = Estimate(mean, None if n == 1 else 0.0005, *interval, n)
    runs = tuple(make_run(f"r{i}") for i in range(n))
    return Group(settings or {}, runs, {"val/accuracy": found} if metrics is None else metrics)


def make_section(*groups, sort="val/accuracy", **data):
    keys = tuple(dict.fromkeys(key for group in groups for key in group.settings))
    return Section(
        dataset=data.get("dataset", "digits"),
        dataset_digest=data.get("dataset_digest", "0123456789abcdef"),
        split="holdout",
        split_digest="fedcba9876543210",
        settings={},
        keys=keys,
        sort=sort,
        groups=groups,
    )


def make_comparison(*groups, notes=(), **options):
    return Comparison((make_section(*groups, **options),), notes)


def table_text(comparison, *, width=80, limit=None, explain=False):
    console = Console(file=io.StringIO(), width=width)
    print_table(comparison, console=console, limit=limit, explain=explain)
    return console.file.getvalue()


def test_json_is_the_documented_list():
    accuracy = Estimate(0.5, 0.25, 0.25, 0.75, 2)
    lonely = Estimate(1.5, None, None, None, 1)
    group = Group(
        {"optimizer": "adam", "architecture.units": [64, 32], "training.xla": None},
        (make_run("r1"), make_run("r2")),
        {"val/accuracy": accuracy, "val/loss": lonely},
    )
    assert json.loads(to_json(make_comparison(group))) == [
        {
            "group": {"optimizer": "adam", "architecture.units": [64, 32], "training.xla": None},
            "n": 2,
            "runs": ["r1", "r2"],
            "metrics": {
                "val/accuracy": {"mean": 0.5, "sd": 0.25, "low": 0.25, "high": 0.75},
                "val/loss": {"mean": 1.5, "sd": None, "low": None, "high": None, "n": 1},
            },
            "image_intervals": {},
            "best_minus_this": None,
        }
    ]


def test_json_has_null_for_what_is_not_finite():
    group = make_group(n=1, metrics={"val/loss": Estimate(math.nan, None, None, None, 1)})
    (plain,) = json.loads(to_json(make_comparison(group)), parse_constant=pytest.fail)
    assert plain["metrics"]["val/loss"]["mean"] is None


def test_json_names_the_data_only_where_there_is_more_than_one():
    sections = (make_section(make_group()), make_section(make_group(), dataset="mnist"))
    (alone,) = json.loads(to_json(Comparison(sections[:1], ())))
    assert "dataset" not in alone
    both = json.loads(to_json(Comparison(sections, ())))
    assert [group["dataset"]["name"] for group in both] == ["digits", "mnist"]
    assert both[0]["split"] == {"name": "holdout", "digest": "fedcba98"}


def test_csv_has_a_line_per_group_with_full_figures():
    comparison = make_comparison(
        make_group({"optimizer": "adam", "architecture.units": [64, 32]}, mean=1 / 3),
        make_group({"optimizer": "sgd"}, n=1),
    )
    first, second = csv.DictReader(io.StringIO(to_csv(comparison)))
    assert float(first["val/accuracy_mean"]) == 1 / 3
    assert first["architecture.units"] == "[64, 32]"
    assert (second["architecture.units"], second["n"]) == ("", "1")
    assert (second["val/accuracy_sd"], second["val/accuracy_low"]) == ("", "")


def test_csv_names_the_data_where_there_is_more_than_one():
    sections = (make_section(make_group()), make_section(make_group(), dataset="한글, 데이터"))
    rows = list(csv.DictReader(io.StringIO(to_csv(Comparison(sections, ())))))
    assert [row["dataset_name"] for row in rows] == ["digits", "한글, 데이터"]


CASES = {
    "nothing differs": [{}],
    "one setting": [{"optimizer": "adam"}, {"optimizer": "sgd"}],
    "korean": [{"architecture": "패션 MNIST 모델 " * 4}, {"architecture": "모델"}],
    "long value": [{"architecture.units": [512] * 40}],
    "long word": [{"architecture": "a" * 200}],
    "many settings": [{f"training.setting_number_{i}": i for i in range(12)}],
    "markup": [{"optimizer": "[red]adam[/]"}, {"optimizer": "[/]"}, {"optimizer": ":smile:"}],
}


@pytest.mark.parametrize("width", [40, 80, 132])
@pytest.mark.parametrize("settings", CASES.values(), ids=CASES)
def test_a_table_is_no_wider_than_the_terminal_and_keeps_its_first_figure(settings, width):
    metrics = {
        name: Estimate(-0.87124, 0.1, -0.88244, -0.86004, 3)
        for name in ("val/accuracy", "gap/accuracy", "val/loss", "time/fit_seconds")
    }
    groups = [make_group(one, metrics=metrics) for one in settings]
    text = table_text(make_comparison(*groups, notes=("Long " * 40,)), width=width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert text.count("-0.871 ± 0.011") >= len(groups)


@pytest.mark.parametrize("settings", CASES.values(), ids=CASES)
def test_a_table_cuts_no_value_short(settings):
    text = table_text(make_comparison(*map(make_group, settings)))
    letters = sorted("".join(text.split()))
    for one in settings:
        for value in one.values():
            for letter in set("".join(str(value).split())):
                assert letters.count(letter) >= str(value).count(letter)


def test_no_number_is_broken_while_a_figure_can_give_way():
    groups = [
        make_group(
            {
                "optimizer": "momentum",
                "architecture.units": [width],
                "optimizer.learning_rate": rate,
            },
            metrics={
                name: Estimate(-0.87124, 0.1, -0.88244, -0.86004, 3)
                for name in ("val/accuracy", "gap/accuracy", "val/loss")
            },
        )
        for width in (100, 512)
        for rate in (0.00025, 0.000125)
    ]
    lines = table_text(make_comparison(*groups), width=64).splitlines()
    assert sum("learning_rate=0.00025" in line for line in lines) == 2
    assert sum("learning_rate=0.000125" in line for line in lines) == 2


def test_a_name_of_wide_characters_that_fits_stays_on_one_line():
    text = table_text(make_comparison(make_group({"architecture": "패션모델하나둘셋넷"})))
    assert "패션모델하나둘셋넷" in text


def test_figures_are_rounded_to_their_uncertainty():
    text = table_text(make_comparison(make_group(mean=0.87123, half_width=0.00123)))
    assert "0.8712 ± 0.0012" in text
    assert "0.871 ± 0.012" in table_text(make_comparison(make_group(half_width=0.0123)))
    assert "0.9 ± 1.2" in table_text(make_comparison(make_group(half_width=1.23)))


def test_very_large_figures_have_four_digits_and_an_exponent_in_every_form():
    diverged = {"val/loss": Estimate(1.2344e29, 4e28, 1.1344e29, 1.3344e29, 3)}
    usual = {"val/loss": Estimate(0.4567, 0.01, 0.4467, 0.4667, 3)}
    comparison = make_comparison(
        make_group({"optimizer": "adam"}, metrics=usual),
        make_group({"optimizer": "sgd"}, metrics=diverged),
        sort="val/loss",
    )
    for text in (table_text(comparison), to_markdown(comparison)):
        assert "1.234e+29 ± 1.000e+28" in text
        assert "0.46 ± 0.01" in " ".join(text.split())
    assert page.figure(1.2344e29) == "1.234e+29"
    assert page.figure(-1.2344e29) == "−1.234e+29"
    assert "1.234e+29 [1.134e+29, 1.334e+29]" in diverged["val/loss"].with_interval()
    assert page.figure(9.9e9) == "9900000000"


def test_figures_from_ten_thousand_have_six_digits_everywhere():
    squared = Estimate(123456.789, 400.0, 123000.0, 123913.578, 3)
    small = Estimate(0.5, 400.0, -456.289, 457.289, 3)
    alone = Estimate(23456.789, None, None, None, 1)
    assert "123457 ± 457" in table_text(
        make_comparison(make_group(metrics={"val/loss": squared}), sort="val/loss")
    )
    text = table_text(make_comparison(make_group(metrics={"val/loss": alone}), sort="val/loss"))
    assert "23456.8 " in text
    assert squared.with_interval() == "123457 [123000, 123914]"
    assert small.with_interval() == "0.5000 [-456.2890, 457.2890]"
    found = {"val/loss": 123456.789, "val/rmse": 9999.25, "gap/loss": 0.0, "gap/rmse": 12345.678}
    assert progress.figures(found) == "val loss 123457 rmse 9999.2500  gap +12345.7"
    assert endings.figures(found, "rmse") == "val/rmse 9999.2500, gap/rmse +12345.7"


def test_a_zero_has_no_minus():
    text = table_text(make_comparison(make_group(mean=-0.04, half_width=1.4)))
    assert "0.0 ± 1.4" in text
    assert "-0.0" not in text
    assert progress.figures({"val/loss": 0.5, "gap/loss": -0.00001}).endswith("gap +0.0000")


def test_a_group_of_one_seed_has_no_interval():
    text = table_text(make_comparison(make_group(n=1)))
    assert "0.8712" in text
    assert "±" not in text


NAMES = ("rmsprop", "adagrad", "sgd")


def test_rows_are_ranked_in_the_comparisons_order():
    comparison = make_comparison(
        make_group({"optimizer": "rmsprop"}),
        make_group({"optimizer": "adagrad"}),
        make_group({"optimizer": "sgd"}, metrics={}),
    )
    rows = [line.split() for line in table_text(comparison).splitlines()]
    names = [next((name for name in NAMES if name in row), None) for row in rows]
    assert [name for name in names if name] == ["rmsprop", "adagrad", "sgd"]
    assert [row[0] for row, name in zip(rows, names, strict=True) if name] == ["1", "2", "-"]


def test_groups_beyond_the_limit_are_counted():
    groups = [make_group({"training.epochs": n}) for n in range(5)]
    text = table_text(make_comparison(*groups), limit=2)
    assert text.count("0.8712") == 2
    assert "Groups not shown: 3" in text


def test_where_nothing_differs_the_table_says_what_was_run():
    text = table_text(make_comparison(make_group()))
    assert "dense_softmax" in text
    assert "adam" in text


def test_the_table_says_by_what_it_is_sorted_and_what_to_know():
    text = table_text(make_comparison(make_group(), notes=("Mind this.",)))
    assert "Sorted by val/accuracy, highest first." in text
    assert "Note: Mind this." in text


def test_a_listing_without_ranking_has_no_ranks():
    text = table_text(make_comparison(make_group({"optimizer": "adam"}), sort=None))
    assert "Not ranked." in text
    assert "#" not in text


def test_the_test_set_is_shown_only_when_sorted_by():
    metrics = {name: Estimate(0.5, 0.1, 0.4, 0.6, 3) for name in ("test/accuracy", "val/accuracy")}
    group = make_group(metrics=metrics)
    assert "test/accuracy" not in table_text(make_comparison(group))
    assert "test/accuracy" in table_text(make_comparison(group, sort="test/accuracy"))


def with_word(word, **figures):
    return AgainstBest(3, Paired(0.01, 0.0, 0.02, 0.05, 3), word, **figures)


@pytest.fixture
def marked():
    groups = [make_group({"optimizer": name}) for name in ("adam", "rmsprop", "sgd", "adagrad")]
    against = [None, with_word("undecided"), with_word("worse"), AgainstBest(1, None)]
    groups = [replace(group, against_best=one) for group, one in zip(groups, against, strict=True)]
    return make_comparison(*groups)


def test_best_ties_and_what_cannot_be_tested_are_marked_and_explained(marked):
    text = table_text(marked)
    rows = [line.split()[:3] for line in text.splitlines()]
    assert ["1", "=", "adam"] in rows
    assert ["2", "=", "rmsprop"] in rows
    assert ["3", "sgd", "3"] in rows
    assert ["4", "?", "adagrad"] in rows
    assert all(
        meaning in text for meaning in ("= undecided: the best is one", "? cannot be tested")
    )
    assert "* best" not in text


def test_the_first_is_marked_as_best_where_all_others_are_shown_to_be_worse():
    groups = [make_group({"optimizer": "adam"}), make_group({"optimizer": "sgd"})]
    groups[1] = replace(groups[1], against_best=with_word("worse"))
    text = table_text(make_comparison(*groups))
    assert "1 *" in text
    assert "* best: all others are shown to be worse." in text


@pytest.mark.parametrize("sort", ["gap/accuracy", "test/accuracy", "train/accuracy"])
def test_nobody_is_marked_in_an_order_that_nobody_should_choose_by(sort):
    metrics = {sort: Estimate(0.1, 0.01, 0.09, 0.11, 3)}
    groups = [make_group({"optimizer": name}, metrics=metrics) for name in ("adam", "sgd")]
    assert "*" not in table_text(make_comparison(*groups, sort=sort))


def decided(word, **figures):
    groups = [make_group({"optimizer": name}) for name in ("adam", "sgd")]
    groups[1] = replace(groups[1], against_best=with_word(word, outperforms=0.6, **figures))
    return replace(make_section(*groups), margin=0.005)


def test_equivalent_groups_are_marked_and_named_with_the_margin():
    text = table_text(Comparison((decided("equivalent"),), ()), width=200)
    assert "1 ~" in text
    assert "~ equivalent: no difference beyond the margin of 0.005." in text
    assert "adam against sgd: +0.0100 [+0.0000, +0.0200] in val/accuracy, equivalent" in text


def test_what_is_undecided_comes_with_the_runs_that_would_likely_decide():
    (told,) = decision(decided("undecided", smallest=0.03, needed=12))
    assert (
        "undecided. With another seed the first is better with a probability of about 0.60" in told
    )
    assert "The smallest difference that 3 seeds could show is 0.0300." in told
    command = "repeat the sweep with 'seed=range(0,12)'."
    assert f"About 12 seeds in all would likely decide: {command}" in told


def test_where_no_number_of_seeds_would_decide_the_split_is_to_be_swept():
    (told,) = decision(decided("undecided", smallest=0.03, needed=math.inf))
    assert "More seeds will not help: sweep the split" in told
    (told,) = decision(
        decided("undecided", smallest=0.03, needed=math.inf, covers="splits", splits=5)
    )
    assert "5 splits could show" in told
    assert "More splits will not decide it: that takes more samples" in told


def test_choosing_the_best_of_many_is_said_to_flatter():
    groups = [make_group({"training.epochs": n}) for n in range(3)]
    word = with_word("undecided", outperforms=0.6, smallest=0.1, error=0.02)
    groups[1:] = [replace(group, against_best=word) for group in groups[1:]]
    *_, told = decision(make_section(*groups))
    assert "best of 3 groups that these runs do not distinguish" in told
    assert "Choosing it makes its val/accuracy look better by up to" in told
    # The expected largest of three normal numbers is 3 / (2 sqrt(pi)); Blom's comes near it.
    expected = 3 / (2 * math.sqrt(math.pi)) * 0.02 / math.sqrt(2)
    assert selection_bias(3, 0.02) == pytest.approx(expected, rel=0.05)
    assert f"{selection_bias(3, 0.02):.4f}" in told


def test_n_says_what_failed_and_what_is_not_finite():
    found = {"val/accuracy": Estimate(0.9, 0.1, 0.8, 1.0, 2, not_finite=1)}
    text = table_text(make_comparison(replace(make_group(metrics=found), failed=1)))
    assert "2 of 4, 1 failed, 1 not finite" in text


def test_a_group_alone_has_no_marks():
    text = table_text(make_comparison(make_group()))
    assert "* best" not in text


def test_json_and_csv_hold_the_test_against_the_best(marked):
    best, tie, other, untested = json.loads(to_json(marked))
    assert best["best_minus_this"] is None
    assert tie["best_minus_this"] == {
        "common": 3, "mean": 0.01, "low": 0.0, "high": 0.02, "p": 0.05, "word": "undecided",
        "covers": "seeds", "outperforms": None, "smallest": None, "needed": None, "tie": True,
            "by_image": False,
    }  # fmt: skip
    assert other["best_minus_this"]["tie"] is False
    assert (untested["best_minus_this"]["common"], untested["best_minus_this"]["tie"]) == (1, None)
    rows = list(csv.DictReader(io.StringIO(to_csv(marked))))
    assert [row["best_minus_this_tie"] for row in rows] == ["", "True", "False", ""]


def test_every_form_gives_what_the_images_alone_leave_of_an_accuracy():
    run = replace(make_run(), params={"val_samples": "100"}, metrics={"val/accuracy": 0.9})
    lonely = Estimate(0.9, None, None, None, 1)
    section = make_section(Group({}, (run,), {"val/accuracy": lonely}))
    comparison = Comparison((replace(section, images={"val": 100}),), ())
    low, high = wilson(0.9, images=100)
    (plain,) = json.loads(to_json(comparison))
    assert plain["image_intervals"] == {"val/accuracy": [[low, high]]}
    (row,) = csv.DictReader(io.StringIO(to_csv(comparison)))
    assert float(row["val/accuracy_images_low"]) == low
    assert "0.8256 to 0.9448" in table_text(comparison, explain=True)


def test_how_figures_are_made_is_one_line_unless_asked_for():
    groups = [make_group({"optimizer": name}) for name in ("adam", "sgd")]
    short, long = (
        table_text(make_comparison(*groups), explain=explain) for explain in (False, True)
    )
    assert short.count("--explain") == 1
    assert "--explain" not in long
    for method in ("Tests are against the first", "Figures: mean ± half"):
        assert method not in short
        assert method in long


def test_a_long_float_is_named_in_four_digits_and_stays_whole_in_csv():
    comparison = make_comparison(make_group({"optimizer.learning_rate": 0.00123456789}))
    assert "0.001235 " in table_text(comparison)
    assert "0.00123456789" in to_csv(comparison)


def test_the_first_groups_test_accuracy_is_given_once_and_labelled():
    found = {name: Estimate(0.5, 0.1, 0.4, 0.6, 3) for name in ("test/accuracy", "val/accuracy")}
    groups = [make_group({"optimizer": name}, metrics=found) for name in ("adam", "sgd")]
    text = table_text(make_comparison(*groups))
    assert text.count("test accuracy, not used to choose it: 0.5000 ± 0.1000") == 1
    by_test = table_text(make_comparison(*groups, sort="test/accuracy"))
    assert "not used to choose" not in by_test


def test_the_metrics_asked_for_replace_the_usual_ones():
    names = ("val/accuracy", "val/loss", "running/loss", "gap/accuracy")
    group = make_group(metrics={name: Estimate(0.5, 0.1, 0.4, 0.6, 3) for name in names})
    comparison = replace(make_comparison(group), metrics=("running/loss",))
    text = table_text(comparison)
    assert "running/loss" in text
    assert "gap/accuracy" not in text
    (plain,) = json.loads(to_json(comparison))
    assert list(plain["metrics"]) == ["val/accuracy", "running/loss"]


def test_seconds_are_the_median():
    runs = [replace(make_run(), metrics={"time/fit_seconds": x}) for x in (1.0, 2.0, 60.0)]
    metrics = {name: Estimate(21.0, 30.0, -60.0, 102.0, 3) for name in ("time/fit_seconds",)}
    text = table_text(make_comparison(Group({}, tuple(runs), metrics), sort=None))
    assert "2.0" in text
    assert "21.0" not in text


def test_short_seconds_are_not_shown_as_none():
    runs = [replace(make_run(), metrics={"time/fit_seconds": x}) for x in (0.03, 0.04, 4.0)]
    metrics = {"time/fit_seconds": Estimate(1.4, 2.0, -4.0, 7.0, 3)}
    text = table_text(make_comparison(Group({}, tuple(runs), metrics), sort=None))
    assert "0.04" in text


def test_markdown_is_a_table_in_which_text_stays_text():
    text = to_markdown(make_comparison(make_group({"architecture": "패션|<b>*"}), notes=("Mind.",)))
    lines = text.splitlines()
    assert lines[0].startswith("**dataset digits")
    assert lines[2] == "| # | architecture | n | val/accuracy |"
    assert lines[3] == "|---|---|---|---|"
    assert lines[4] == r"| 1 | 패션\|&lt;b>\* | 3 | 0.8712 ± 0.0012 |"
    assert lines[-1] == "- Note: Mind."


def test_runs_without_any_metric_are_still_listed():
    text = table_text(make_comparison(make_group({"optimizer": "adam"}, metrics={}), sort=None))
    assert "adam" in text


def test_a_column_shows_a_digit_of_its_smallest_uncertainty():
    groups = [make_group({"training.epochs": n}, half_width=w) for n, w in ((1, 0.03), (2, 0.004))]
    assert "0.871 ± 0.004" in table_text(make_comparison(*groups))

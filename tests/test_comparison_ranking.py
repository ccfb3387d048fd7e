"""The order of groups: by which metric, after which failures, and when no group is best."""

import math

import pytest

from fitgap.comparison.query import Query
from fitgap.comparison.ranking import compare
from fitgap.errors import RequestError
from fitgap.report.terminal import to_markdown
from fitgap.store.recorded_metrics import higher_is_better
from made_runs import compare_newest_first, grid, make_run, only_section, settings_of, with_status


@pytest.mark.parametrize(
    ("metric", "order"),
    [("val/accuracy", [9, 5, 1]), ("val/loss", [1, 5, 9]), ("gap/accuracy", [1, 5, 9])],
)
def test_the_best_group_is_first(metric, order):
    runs = [make_run({"training.epochs": n}, metrics={metric: n / 10}) for n in (5, 1, 9)]
    section = only_section(runs, sort=metric)
    assert [group.settings["training.epochs"] for group in section.groups] == order
    assert section.sort == metric


@pytest.mark.parametrize("missing", [{}, {"val/accuracy": math.nan}], ids=["missing", "nan"])
def test_a_group_without_the_metric_is_last(missing):
    runs = [
        make_run({"training.epochs": 1}, metrics=missing),
        make_run({"training.epochs": 2}, metrics={"val/accuracy": 0.1}),
    ]
    assert [group["training.epochs"] for group in settings_of(runs)] == [2, 1]


def test_a_run_without_a_metric_lowers_only_that_metrics_n():
    runs = [
        make_run({"seed": 0}, metrics={"val/accuracy": 0.5, "val/loss": 1.0}),
        make_run({"seed": 1}, metrics={"val/loss": 2.0}),
    ]
    (group,) = only_section(runs).groups
    assert (group.metrics["val/accuracy"].n, group.metrics["val/loss"].n) == (1, 2)
    assert any("Runs without val/accuracy" in note for note in compare(runs).notes)


def test_without_validation_groups_are_listed_by_setting_and_not_ranked():
    runs = [
        make_run({"split.name": "none", "training.epochs": n}, metrics={"test/accuracy": n / 100})
        for n in (10, 9)
    ]
    comparison = compare_newest_first(runs)
    (section,) = comparison.sections
    assert section.sort is None
    assert [group.settings["training.epochs"] for group in section.groups] == [9, 10]
    assert any("not ranked" in note for note in comparison.notes)


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ({"accuracy": 0.9, "val_accuracy": 0.5}, "not ranked; --sort val_accuracy ranks"),
        ({}, "not ranked."),
    ],
)
def test_other_programs_runs_can_be_ranked_by_what_they_have(metrics, said):
    comparison = compare([make_run(metrics=metrics)])
    assert any(said in note for note in comparison.notes)


@pytest.mark.parametrize("name", ["val_loss", "rmse", "learning_rate", "best_epoch"])
def test_of_a_figure_without_a_partition_nobody_says_which_data_it_is_of(name):
    comparison = compare([make_run(metrics={name: 0.5})], Query(sort=name))
    assert "nothing says that it is a figure of validation data" in comparison.notes[0]


@pytest.mark.parametrize("metric", ["test/accuracy", "test_gap/loss"])
def test_sorting_by_the_test_set_is_said(metric):
    comparison = compare([make_run(metrics={metric: 0.5})], Query(sort=metric))
    assert "choosing on the test set" in comparison.notes[0]


def test_sorting_by_validation_says_nothing_of_the_test_set():
    assert not any("test" in note for note in compare([make_run()]).notes)


def test_an_unknown_metric_is_refused_with_the_nearest_and_all_others():
    runs = [make_run(metrics={"val/accuracy": 0.5, "train/loss": 1.0})]
    with pytest.raises(RequestError, match=r"mean val/accuracy\?\n.*train/loss, val/accuracy$"):
        compare(runs, Query(sort="val/acuracy"))


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("val/accuracy", True),
        ("throughput/samples_per_second", True),
        ("gap/accuracy", False),
        ("test_gap/accuracy", False),
        ("running/loss", False),
        ("time/fit_seconds", False),
    ],
)
def test_direction_follows_from_the_name(metric, expected):
    assert higher_is_better(metric) is expected


@pytest.mark.parametrize("metric", ["gap/accuracy", "test/accuracy", "time/fit_seconds"])
def test_an_order_by_what_nobody_should_choose_by_has_no_winner_and_says_why(metric):
    runs = [
        make_run({"training.epochs": n, "seed": seed}, metrics={metric: n + seed / 10})
        for n in (5, 9)
        for seed in (0, 1, 2)
    ]
    comparison = compare_newest_first(runs, sort=metric)
    (section,) = comparison.sections
    assert not section.has_winner
    assert [group.against_best for group in section.groups] == [None, None]
    assert f"Sorted by {metric}, so no group is marked as best" in comparison.notes[0]


def test_by_a_metric_whose_direction_nobody_knows_no_group_is_best():
    rows = [("a", 0.1), ("a", 0.11), ("b", 0.5), ("b", 0.52)]
    runs = [
        make_run({"optimizer.name": name, "seed": seed}, metrics={"val/novelty": value})
        for seed, (name, value) in enumerate(rows)
    ]
    comparison = compare_newest_first(runs, sort="val/novelty")
    (section,) = comparison.sections
    assert not section.has_winner
    assert [group.against_best for group in section.groups] == [None, None]
    assert any("whether a higher or a lower val/novelty is better" in n for n in comparison.notes)


def test_a_group_with_a_failed_seed_ranks_after_the_complete_ones_and_says_so():
    runs = [run for run in grid([(0.95, 0.94, 0.1), (0.8, 0.7, 0.75)]) if run.metrics]
    lost = with_status(runs.pop(2), "FAILED")
    comparison = compare(runs, failed=[lost, lost])
    first, second = comparison.sections[0].groups
    assert (first.settings["optimizer"], first.failed) == ("sgd", 0)
    assert (second.settings["optimizer"], second.failed, len(second.runs)) == ("adam", 1, 2)
    assert any("Groups with failed runs: 1 of 2 (1 runs)" in note for note in comparison.notes)


def test_a_failure_that_a_later_run_made_good_does_not_count():
    runs = grid([(0.9, 0.8), (0.8, 0.7)])
    comparison = compare(runs, failed=[with_status(runs[0], "FAILED")])
    assert [group.failed for group in comparison.sections[0].groups] == [0, 0]


def test_a_failure_on_other_data_is_of_no_group():
    runs = grid([(0.9, 0.8), (0.8, 0.7)])
    other = make_run({"optimizer.name": "adam", "seed": 9}, data="d2")
    comparison = compare(runs, failed=[with_status(other, "FAILED")])
    assert [group.failed for group in comparison.sections[0].groups] == [0, 0]


def test_a_failure_of_one_replicate_counts_on_each_data_that_it_failed_on():
    runs = [
        make_run({"optimizer.name": name, "seed": seed}, data=data)
        for data in ("d1", "d2")
        for name in ("adam", "sgd")
        for seed in (0, 1)
    ]
    failed = [
        with_status(make_run({"optimizer.name": "adam", "seed": 9}, data=data), "FAILED")
        for data in ("d1", "d2")
    ]
    found = compare(runs, failed=failed)
    assert [
        {group.settings["optimizer"]: group.failed for group in section.groups}
        for section in found.sections
    ] == [{"adam": 1, "sgd": 0}] * 2


def test_a_group_with_a_figure_that_is_not_finite_ranks_after_the_others():
    comparison = compare(grid([(0.95, 0.94, math.nan), (0.8, 0.7, 0.75)]))
    first, second = comparison.sections[0].groups
    assert first.settings["optimizer"] == "sgd"
    assert (second.metrics["val/accuracy"].n, second.metrics["val/accuracy"].not_finite) == (2, 1)
    assert any("not a finite number: 1" in note for note in comparison.notes)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_group_without_any_finite_figure_shows_none_and_has_no_rank(value):
    comparison = compare(grid([(0.8, 0.7, 0.75), (value,) * 3]))
    table = to_markdown(comparison)
    row = next(line for line in table.splitlines() if line.startswith("| -"))
    assert "0 of 3, 3 not finite | - |" in row
    assert "nan" not in table
    assert "inf" not in table
    assert any("not a finite number: 3" in note for note in comparison.notes)

"""Grouping, ranking and naming, on runs made by hand: no store, no training."""

import itertools
import math

import pytest

from fitgap.comparison import compare
from fitgap.config import to_text
from fitgap.differences import parse, show
from fitgap.errors import RequestError
from fitgap.estimates import estimate, higher_is_better
from fitgap.selection import Query
from fitgap.store import StoredRun

SETTINGS = {
    "dataset.name": "digits",
    "split.name": "holdout",
    "split.seed": 42,
    "architecture.name": "dense_relu_100",
    "architecture.units": [100],
    "optimizer.name": "sgd",
    "optimizer.learning_rate": 0.01,
    "optimizer.momentum": 0.0,
    "loss.name": "mse",
    "training.epochs": 5,
    "training.engine": "auto",
    "seed": 0,
}
ADAM = {"optimizer.name": "adam", "optimizer.learning_rate": 0.001, "optimizer.momentum": None}
_count = itertools.count(1)


def make_run(changes=None, *, metrics=None, data="d1", split="s1", identity=None, **tags):
    """Return a run newer than those made before; a setting changed to None is not logged."""
    number = next(_count)
    settings = SETTINGS | (changes or {})
    return StoredRun(
        run_id=f"run{number:04}",
        name="",
        status="FINISHED",
        start_time=number,
        params={key: to_text(value) for key, value in settings.items() if value is not None},
        metrics={"val/accuracy": 0.9} if metrics is None else metrics,
        tags={
            "fitgap.role": "run",
            "fitgap.identity": identity or f"identity{number}",
            "fitgap.dataset_digest": data,
            "fitgap.split_digest": split,
            **tags,
        },
    )


def compare_newest_first(runs, **options):
    return compare(sorted(runs, key=lambda run: -run.start_time), Query(**options))


def only_section(runs, **options):
    (section,) = compare_newest_first(runs, **options).sections
    return section


def settings_of(runs, **options):
    return [group.settings for group in only_section(runs, **options).groups]


def test_runs_that_differ_only_in_seed_are_one_group():
    runs = [make_run({"seed": seed}) for seed in (2, 0, 10)]
    (group,) = only_section(runs).groups
    assert [run.params["seed"] for run in group.runs] == ["0", "2", "10"]
    assert group.settings == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "다른 이름"},
        {"tags.question": "width"},
        {"tracking.uri": "sqlite:///elsewhere.db"},
        {"dataset.data_dir": "/elsewhere"},
        {"architecture.title": "제목"},
        {"parameter_count": 3},
        {"engine_reason": "small data"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_decides_no_bits_separates_no_groups(changes):
    runs = [make_run(), make_run(changes | {"seed": 1})]
    assert settings_of(runs) == [{}]


def test_an_option_is_shown_by_its_name_without_what_comes_with_it():
    runs = [make_run(), make_run(ADAM | {"optimizer.beta_1": 0.9})]
    assert settings_of(runs) == [{"optimizer": "adam"}, {"optimizer": "sgd"}]


def test_a_setting_that_varies_under_one_name_is_shown_for_all():
    runs = [make_run({"optimizer.learning_rate": rate}) for rate in (0.1, 0.01)]
    runs.append(make_run(ADAM))
    assert settings_of(runs) == [
        {"optimizer": "adam", "optimizer.learning_rate": 0.001},
        {"optimizer": "sgd", "optimizer.learning_rate": 0.01},
        {"optimizer": "sgd", "optimizer.learning_rate": 0.1},
    ]


def test_a_setting_that_a_group_lacks_is_left_out_of_it():
    runs = [make_run({"optimizer.momentum": value}) for value in (0.0, 0.9)] + [make_run(ADAM)]
    assert settings_of(runs) == [
        {"optimizer": "adam"},
        {"optimizer": "sgd", "optimizer.momentum": 0.0},
        {"optimizer": "sgd", "optimizer.momentum": 0.9},
    ]


def test_settings_outside_the_named_groups_keep_their_dotted_names_and_types():
    runs = [
        make_run({"training.epochs": epochs, "training.schedule.staircase": epochs > 9})
        for epochs in (20, 5)
    ]
    assert settings_of(runs) == [
        {"training.epochs": 5, "training.schedule.staircase": False},
        {"training.epochs": 20, "training.schedule.staircase": True},
    ]


def test_auto_counts_as_the_engine_that_it_chose():
    runs = [
        make_run({"engine": "compiled"}),
        make_run({"training.engine": "compiled", "engine": "compiled", "seed": 1}),
        make_run({"training.engine": "fit", "engine": "fit"}),
    ]
    section = only_section(runs)
    assert {g.settings["training.engine"]: len(g.runs) for g in section.groups} == {
        "compiled": 2,
        "fit": 1,
    }


@pytest.mark.parametrize("same_identity", [True, False], ids=["same identity", "other code"])
def test_a_repeated_seed_counts_once_and_the_newest_counts(same_identity):
    identities = ["one", "one" if same_identity else "two"]
    runs = [
        make_run(metrics={"val/accuracy": value}, identity=identity)
        for value, identity in zip((0.1, 0.2), identities, strict=True)
    ]
    comparison = compare_newest_first(runs)
    (group,) = comparison.sections[0].groups
    assert (len(group.runs), group.metrics["val/accuracy"].mean) == (1, 0.2)
    assert any("Older runs" in note for note in comparison.notes)


def test_parent_runs_of_sweeps_are_not_compared():
    parent = make_run({"training.epochs": 9}, **{"fitgap.role": "sweep"})
    assert len(only_section([parent, make_run()]).groups) == 1


@pytest.mark.parametrize("other", [{"data": "d2"}, {"split": "s2"}], ids=["data", "split"])
def test_different_data_or_splits_are_never_in_one_ranking(other):
    runs = [make_run({"seed": seed}, **other) for seed in (0, 1)] + [make_run()]
    comparison = compare_newest_first(runs)
    sections = comparison.sections
    assert [sum(len(group.runs) for group in section.groups) for section in sections] == [2, 1]
    for section in sections:
        for group in section.groups:
            assert {run.tags["fitgap.dataset_digest"] for run in group.runs} == {
                section.dataset_digest
            }
            assert {run.tags["fitgap.split_digest"] for run in group.runs} == {section.split_digest}
    assert any("ranked apart" in note for note in comparison.notes)


def test_a_section_names_what_sets_its_split_apart():
    runs = [make_run(), make_run({"split.seed": 43}, split="s2")]
    sections = compare_newest_first(runs).sections
    assert {section.split_digest: section.settings for section in sections} == {
        "s1": {"split.seed": 42},
        "s2": {"split.seed": 43},
    }


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


def test_equal_values_have_an_interval_without_width():
    found = estimate([0.5] * 3)
    assert (found.mean, found.sd, found.low, found.high) == (0.5, 0.0, 0.5, 0.5)


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


@pytest.mark.parametrize(
    "value", [None, True, False, 0, -3, 1e-7, 0.1, "adam", "", "1_000", "nan", [], [64, 32], ["a"]]
)
def test_a_setting_survives_the_record(value):
    parsed = parse(to_text(value))
    assert (type(parsed), parsed) == (type(value), value)


@pytest.mark.parametrize(
    ("value", "text"), [(None, "null"), (True, "true"), (1e-7, "1e-07"), ([64, 32], "[64, 32]")]
)
def test_a_setting_is_shown_as_in_yaml(value, text):
    assert show(value) == text

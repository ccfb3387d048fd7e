"""Grouping, ranking and naming, on runs made by hand: no store, no training."""

import dataclasses
import itertools
import math
import statistics

import numpy as np
import pytest
import scipy.stats
from omegaconf import MISSING

from fitgap.comparison.estimates import estimate, t_quantile
from fitgap.comparison.images import image_interval
from fitgap.comparison.query import Query
from fitgap.comparison.ranking import compare
from fitgap.comparison.significance import wilson
from fitgap.comparison.varying_settings import parse, show
from fitgap.config.parameters import to_text
from fitgap.config.schema import TableConfig
from fitgap.errors import RequestError
from fitgap.report import claims
from fitgap.report.leaderboard import label_of
from fitgap.report.terminal import to_markdown
from fitgap.store import StoredRun
from fitgap.store.recorded_metrics import higher_is_better

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


def test_tables_recorded_before_a_setting_existed_are_of_the_same_group_as_todays():
    first = ("classes", "image_shape")  # those of the first edition are in every record
    today = {
        f"dataset.{field.name}": to_text(field.default)
        for field in dataclasses.fields(TableConfig)
        if field.default != MISSING and field.name not in first
    }
    assert settings_of([make_run(), make_run(today | {"seed": 1})]) == [{}]


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
    assert any("left out because another run" in note for note in comparison.notes)


def test_a_rerun_counts_only_where_its_original_is_not():
    original = make_run(metrics={"val/accuracy": 0.9})
    again = make_run(
        metrics={"val/accuracy": 0.1}, **{"fitgap.rerun_of": original.run_id, "fitgap.role": "run"}
    )
    (group,) = only_section([original, again]).groups
    assert group.runs == (original,)
    assert only_section([again]).groups[0].runs == (again,)


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ([{"fitgap.source_digest": "a"}] * 2, None),
        ([{"fitgap.source_digest": "a"}, {"fitgap.source_digest": "b"}], "this package's source"),
        (
            [{"fitgap.version.keras": "3.15.0"}, {"fitgap.version.keras": "3.15.1"}],
            "keras 3.15.0 and 3.15.1",
        ),
        ([{"fitgap.code": '{"loop": "a"}'}, {"fitgap.code": '{"loop": "b"}'}], "loop"),
        ([{"fitgap.code": "[1"}, {"fitgap.code": "no"}], None),
    ],
)
def test_what_else_differs_between_the_runs_of_a_group_is_said(tags, said):
    runs = [make_run({"seed": seed}, **given) for seed, given in enumerate(tags)]
    found = [note for note in compare(runs).notes if "not replicates of one setting only" in note]
    assert [f"({said}): 1 of 1" in note for note in found] == ([] if said is None else [True])


def test_a_margin_below_one_image_makes_nothing_equivalent_and_that_is_said():
    def found(margin):
        runs = [
            make_run(
                {"seed": seed, "optimizer.name": name, "val_samples": 1_000_000},
                metrics={"val/accuracy": 0.9},
            )
            for name in ("adam", "sgd")
            for seed in range(3)
        ]
        comparison = compare(runs, Query(margin=margin))
        (section,) = comparison.sections
        said = any("less than one validation sample" in note for note in comparison.notes)
        return section.groups[1].against_best.word, said

    assert found(0.005) == ("equivalent", False)
    assert found(1e-7) == ("undecided", True)


@pytest.mark.parametrize(
    ("seeds", "values", "said"),
    [
        (((0, 1), (2, 3)), (0.9, 0.8, 0.8, 0.7), "have no replicate in common"),
        (((0, 1), (1, 2)), (0.9, 0.8, 0.8, 0.7), "have only one replicate in common"),
        (((0, 1), (0, 1)), (0.9, 0.9, 0.8, 0.8), "by the same amount in all replicates"),
    ],
)
def test_why_a_group_is_not_tested_is_said(seeds, values, said):
    figures = iter(values)
    runs = [
        make_run({"seed": seed, "optimizer.name": name}, metrics={"val/accuracy": next(figures)})
        for name, of_group in zip(("adam", "sgd"), seeds, strict=True)
        for seed in of_group
    ]
    assert any(said in note for note in compare(runs).notes)


def test_parent_runs_of_sweeps_are_not_compared():
    parent = make_run({"training.epochs": 9}, **{"fitgap.role": "sweep"})
    assert len(only_section([parent, make_run()]).groups) == 1


def test_what_comes_with_a_class_has_no_column_of_its_own():
    cosine = {
        "training.schedule._target_": "keras.optimizers.schedules.CosineDecay",
        "training.schedule.alpha": 0.0,
    }
    runs = [make_run({"seed": seed, **one}) for one in ({}, cosine) for seed in (0, 1)]
    section = only_section(runs)
    assert section.keys == ("training.schedule._target_",)
    assert "training.schedule=CosineDecay" in map(label_of, section.groups)
    more = [make_run({"seed": 0, **cosine, "training.schedule.alpha": 0.1})]
    assert "training.schedule.alpha" in only_section([*runs, *more]).keys


def test_different_data_are_never_in_one_ranking():
    runs = [make_run({"seed": seed}, data="d2") for seed in (0, 1)] + [make_run()]
    comparison = compare_newest_first(runs)
    sections = comparison.sections
    assert [sum(len(group.runs) for group in section.groups) for section in sections] == [2, 1]
    for section in sections:
        for group in section.groups:
            assert {run.tags["fitgap.dataset_digest"] for run in group.runs} == {
                section.dataset_digest
            }
    assert any("ranked separately" in note for note in comparison.notes)


def test_splits_of_one_kind_are_replicates_in_one_ranking():
    runs = [
        make_run({"split.seed": 42 + i, "optimizer.name": name}, split=f"s{i}")
        for i in range(3)
        for name in ("adam", "sgd")
    ]
    section = only_section(runs)
    assert (section.splits, section.split_digest, section.keys) == (3, "", ("optimizer",))
    assert [len(group.runs) for group in section.groups] == [3, 3]


@pytest.mark.parametrize(("seeds", "said"), [((0, 0, 0), True), ((0, 1, 2), False)])
def test_what_a_single_seed_of_all_splits_leaves_out_is_said(seeds, said):
    runs = [
        make_run({"split.seed": i, "seed": seed}, split=f"s{i}", metrics={"val/accuracy": 0.9 + i})
        for i, seed in enumerate(seeds)
    ]
    told = claims.coverage(only_section(runs))
    assert any("over the splits' means" in text for text in told)
    assert any("have the same seed" in text for text in told) is said


def test_splits_of_another_kind_are_ranked_apart():
    runs = [
        make_run({"split.validation_fraction": fraction}, split=f"s{fraction}")
        for fraction in (0.2, 0.3)
    ]
    sections = compare_newest_first(runs).sections
    assert {section.settings["split.validation_fraction"] for section in sections} == {0.2, 0.3}


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


OPTIMIZERS = ("adam", "sgd")


def grid(values, **options):
    """Return runs of two optimizers over the seeds, with the accuracies given for each."""
    return [
        make_run({"optimizer.name": name, "seed": seed}, metrics={"val/accuracy": value}, **options)
        for name, accuracies in zip(OPTIMIZERS, values, strict=True)
        for seed, value in enumerate(accuracies)
    ]


def test_a_group_is_held_against_the_best_over_common_seeds():
    # Seed 3 is the best's alone. Differences 0.1, 0.2, 0.3: see the paired test worked by hand.
    runs = grid([(0.9, 0.9, 0.9, 0.1), (0.8, 0.7, 0.6)])
    runs[3] = make_run({"optimizer.name": "adam", "seed": 3}, metrics={"val/accuracy": 0.9})
    best, other = only_section(runs).groups
    assert best.against_best is None
    assert other.against_best.common == 3
    assert other.against_best.difference.mean == pytest.approx(0.2)
    half_width = t_quantile(2) * 0.1 / math.sqrt(3)
    assert other.against_best.difference.low == pytest.approx(0.2 - half_width)
    assert (other.against_best.word, other.against_best.covers) == ("undecided", "seeds")


def test_what_differs_by_the_same_in_every_seed_is_no_tie_and_no_difference():
    (_, other) = only_section(grid([(0.9, 0.8), (0.8, 0.7)])).groups
    assert other.against_best.is_tie is None


def test_a_clear_difference_is_no_tie():
    values = [(0.90, 0.91, 0.90, 0.91), (0.50, 0.51, 0.51, 0.50)]
    (_, other) = only_section(grid(values)).groups
    assert other.against_best.is_tie is False


def test_a_group_that_is_better_over_the_common_seeds_is_not_shown_as_worse():
    # adam is first by its seeds 3 and 4 alone; over the common ones rmsprop is better each time.
    values = [(0.90, 0.911, 0.92, 0.97, 0.972), (0.901, 0.9125, 0.9212)]
    _, other = only_section(grid(values)).groups
    assert other.against_best.difference.high < 0
    assert other.against_best.is_tie


def test_a_later_group_that_is_better_over_the_common_seeds_is_said_to_be():
    runs = grid([(0.80, 0.81, 0.82), (0.9, 0.9101, 0.92)])
    lost = with_status(make_run({"optimizer.name": "sgd", "seed": 3}), "FAILED")
    (section,) = compare(runs, failed=[lost]).sections
    assert section.groups[0].settings["optimizer"] == "adam"
    (said,) = claims.decision(section)
    assert "over the replicates that both have, sgd is better" in said
    assert "would likely decide" not in said


def test_groups_with_the_same_figures_over_splits_show_no_interval_of_their_difference():
    section = only_section(over_splits({"adam": [(0.9,), (0.8,)], "sgd": [(0.9,), (0.8,)]}))
    (said,) = claims.decision(section)
    assert said.startswith("adam against sgd: the same val/accuracy in all common replicates, ")


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


def with_status(run, status):
    return dataclasses.replace(run, status=status)


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


def test_runs_with_equal_figures_have_no_interval_and_that_is_said():
    comparison = compare(grid([(0.9, 0.9, 0.9), (0.8, 0.7, 0.75)]))
    first, second = (group.metrics["val/accuracy"] for group in comparison.sections[0].groups)
    assert (first.mean, first.low, first.high) == (pytest.approx(0.9), None, None)
    assert second.low is not None
    assert any("the same val/accuracy: 1 of 2" in note for note in comparison.notes)
    assert "0.9000 ±" not in to_markdown(comparison)


def test_one_common_seed_cannot_be_tested():
    (_, other) = only_section(grid([(0.9,), (0.8,)])).groups
    assert (other.against_best.common, other.against_best.is_tie) == (1, None)


def several(values, **options):
    """Return runs of groups named by epochs 0, 1, ..., over the seeds."""
    return [
        make_run({"training.epochs": i, "seed": seed, **options}, metrics={"val/accuracy": value})
        for i, accuracies in enumerate(values)
        for seed, value in enumerate(accuracies)
    ]


def test_a_lucky_pair_of_seeds_does_not_decide_where_others_scatter():
    # The second group differs by nearly the same in both seeds; all others scatter by points.
    values = [(0.900, 0.920), (0.8900, 0.9101), (0.85, 0.90), (0.90, 0.83), (0.80, 0.88)]
    lucky = only_section(several(values)).groups[1].against_best
    assert lucky.difference.p < 0.01
    assert lucky.word == "undecided"


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


def over_splits(values, **options):
    return [
        make_run(
            {
                "optimizer.name": name, "split.seed": i, "seed": seed,
                "train_samples": 400, "val_samples": 100, **options,
            },
            split=f"s{i}",
            metrics={"val/accuracy": value},
        )
        for name, splits in values.items()
        for i, seeds in enumerate(splits)
        for seed, value in enumerate(seeds)
    ]  # fmt: skip


def test_over_splits_the_interval_is_nadeaus_and_bengios():
    (group,) = only_section(over_splits({"adam": [(0.90, 0.92), (0.93,), (0.95, 0.95)]})).groups
    found = group.metrics["val/accuracy"]
    # Means of splits 0.91, 0.93, 0.95: variance 0.0004; 1/3 + 100/400 of it.
    half_width = t_quantile(2) * math.sqrt((1 / 3 + 0.25) * 0.0004)
    assert (found.mean, found.n, found.covers) == (pytest.approx(0.93), 5, "splits")
    assert found.high == pytest.approx(0.93 + half_width)


def test_over_splits_differences_are_paired_within_splits():
    values = {
        "adam": [(0.90, 0.92), (0.80, 0.82), (0.95, 0.93)],
        "sgd": [(0.89, 0.91), (0.78, 0.80), (0.93, 0.91)],
    }
    _, other = only_section(over_splits(values)).groups
    against = other.against_best
    assert (against.common, against.splits, against.covers) == (6, 3, "splits")
    variance = statistics.variance([0.01, 0.02, 0.02])
    half_width = t_quantile(2) * math.sqrt((1 / 3 + 0.25) * variance)
    assert against.difference.mean == pytest.approx(0.05 / 3)
    assert against.difference.high == pytest.approx(0.05 / 3 + half_width)
    t = 0.05 / 3 / math.sqrt((1 / 3 + 0.25) * variance)
    assert against.difference.p == pytest.approx(2 * scipy.stats.t.sf(t, 2))


def test_groups_on_different_splits_have_no_common_replicate():
    runs = over_splits({"adam": [(0.9, 0.8)], "sgd": [(0.8, 0.7)]})
    runs[2:] = [
        dataclasses.replace(run, tags=run.tags | {"fitgap.split_digest": "other"})
        for run in runs[2:]
    ]
    _, other = only_section(runs).groups
    assert (other.against_best.common, other.against_best.word) == (0, None)


def test_a_difference_within_the_margin_is_equivalent():
    values = [(0.9000, 0.9102, 0.9201, 0.9050), (0.8999, 0.9100, 0.9200, 0.9049)]
    _, other = only_section(several(values)).groups
    assert other.against_best.word == "worse"
    values[1] = (0.9001, 0.9100, 0.9202, 0.9049)
    _, other = only_section(several(values)).groups
    assert other.against_best.word == "equivalent"
    _, other = only_section(several(values), margin=1e-5).groups
    assert other.against_best.word == "undecided"


@pytest.mark.parametrize("margin", [0.0, -0.1, math.nan, math.inf, "half"])
def test_a_margin_that_is_none_is_refused(margin):
    with pytest.raises(RequestError, match="--margin must be a number above 0"):
        Query(margin=margin)


def test_seeds_that_would_decide_for_these_splits_are_counted_of_each_split():
    values = {
        "adam": [(0.90, 0.92), (0.80, 0.82), (0.95, 0.93)],
        "sgd": [(0.89, 0.93), (0.78, 0.81), (0.95, 0.91)],
    }
    section = only_section(over_splits(values), these_images=True)
    needed = section.groups[1].against_best.needed
    assert 6 < needed < math.inf
    (said,) = claims.decision(section)
    number = math.ceil(needed / 3)
    assert "that 6 runs of 3 splits could show" in said
    assert f"About {number} seeds of each split would likely decide" in said
    assert f"'seed=range(0,{number})'" in said


def test_more_seeds_do_not_help_where_the_images_are_too_few():
    values = [(0.90, 0.91, 0.90), (0.89, 0.89, 0.90)]
    _, other = only_section(several(values, val_samples=100)).groups
    assert other.against_best.needed == math.inf
    _, other = only_section(several(values)).groups
    assert 3 < other.against_best.needed < 30


@pytest.mark.parametrize(
    ("condition", "epochs"),
    [
        ("training.epochs=5", [5]),
        ("training.epochs = 5, 20", [5, 20]),
        ("training.epochs!=5", [10, 20]),
        ("training.epochs>=10", [10, 20]),
        ("training.epochs<1e1", [5]),
        ("val/accuracy>0.1", [20]),
        ("architecture.units=[100]", [5, 10, 20]),
        ("optimizer=sgd,adam", [5, 10, 20]),
        ("seed=0", [5, 10, 20]),
    ],
)
def test_conditions_keep_the_runs_that_meet_them(condition, epochs):
    runs = [
        make_run({"training.epochs": n}, metrics={"val/accuracy": n / 100}) for n in (5, 10, 20)
    ]
    section = only_section(runs, where=(condition,))
    found = {run.params["training.epochs"] for group in section.groups for run in group.runs}
    assert found == set(map(str, epochs))


def test_several_conditions_hold_at_once():
    runs = [make_run({"training.epochs": n, "seed": seed}) for n in (5, 10) for seed in (0, 1)]
    section = only_section(runs, where=("training.epochs=5", "seed=1"))
    assert [len(group.runs) for group in section.groups] == [1]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"where": ("optimizr=adam",)}, r"--where optimizr: .*mean optimizer\?"),
        ({"where": ("epochs=5",)}, r"mean training\.epochs\?"),
        ({"where": ("optimizer",)}, "must look like"),
        ({"where": ("optimizer=",)}, "must look like"),
        ({"where": ("training.epochs>many",)}, "needs a number, got 'many'"),
        ({"where": ("optimizer=adm",)}, r"no run has that\noptimizer has the values: adam, sgd$"),
        ({"where": ("optimizer=adam", "optimizer=sgd")}, "no run meets all conditions"),
        ({"by": ("optimiser",)}, r"--by optimiser: .*mean optimizer\?"),
        ({"metrics": ("val/los",)}, r"--metric val/los: .*\nThere is: val/accuracy$"),
    ],
)
def test_a_wrong_question_is_refused_with_the_nearest_right_name(query, message):
    with pytest.raises(RequestError, match=message):
        compare_newest_first(grid([(0.9,), (0.8,)]), **query)


def test_a_name_of_a_setting_and_a_metric_is_refused_with_the_setting():
    run = make_run(metrics={"val/accuracy": 0.9, "learning_rate": 0.01})
    with pytest.raises(RequestError, match=r"write optimizer\.learning_rate<0\.1$"):
        compare([run], Query(where=("learning_rate<0.1",)))


@pytest.mark.parametrize(
    ("condition", "words"),
    [("test/accuracy>0.1", "choosing on the test set"), ("val/accuracy>0.1", "look better")],
)
def test_leaving_runs_out_by_their_results_is_said(condition, words):
    run = make_run(metrics={"val/accuracy": 0.5, "test/accuracy": 0.5})
    assert any(words in note for note in compare([run], Query(where=(condition,))).notes)


def two_by_two():
    return [
        make_run(
            {"optimizer.name": name, "training.epochs": epochs, "seed": seed},
            metrics={"val/accuracy": value + seed / 100},
        )
        for name, epochs, value in (
            ("adam", 5, 0.9), ("adam", 10, 0.8), ("sgd", 5, 0.7), ("sgd", 10, 0.5),
        )
        for seed in (0, 1)
    ]  # fmt: skip


def test_grouping_by_a_setting_averages_over_the_others():
    section = only_section(two_by_two(), by=("optimizer",))
    assert [group.settings for group in section.groups] == [
        {"optimizer": "adam"},
        {"optimizer": "sgd"},
    ]
    assert section.averages
    means = [group.metrics["val/accuracy"].mean for group in section.groups]
    assert means == pytest.approx([0.855, 0.605])
    # Pairs share epochs and seed: differences 0.2, 0.2, 0.3, 0.3.
    against = section.groups[1].against_best
    assert (against.common, against.difference.mean) == (4, pytest.approx(0.25))


def test_grouping_by_the_settings_that_differ_is_no_average():
    assert not only_section(two_by_two(), by=("training.epochs", "optimizer")).averages
    assert not only_section(two_by_two()).averages


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


def test_differences_on_one_split_are_paired_by_image_where_that_is_recorded():
    rng = np.random.default_rng(0)
    hard = rng.random(300) < 0.1  # images that all get wrong
    right, runs = {}, []
    for rate in (0.1, 0.2):
        for seed in range(3):
            own = ~hard & (rng.random(300) > rate / 10)
            changes = {"seed": seed, "optimizer.learning_rate": rate, "val_samples": 300}
            runs.append(make_run(changes, metrics={"val/accuracy": float(own.mean())}))
            right[runs[-1].run_id] = own
    (section,) = compare(runs, right_of=lambda run: right[run.run_id]).sections
    paired = section.groups[1].against_best
    assert paired.by_image
    assert paired.covers == "seeds and images"
    # One run of an older version, or of other images: the bound counts, and a note says so.
    for other in (None, np.ones(300, bool), np.ones(299, bool)):
        right[runs[0].run_id] = other
        compared = compare(runs, right_of=lambda run: right[run.run_id])
        bound = compared.sections[0].groups[1].against_best
        assert not bound.by_image
        assert bound.difference.high > paired.difference.high
        assert bound.difference.mean == paired.difference.mean
        assert any("sample by sample" in note and ": 1 of 1. " in note for note in compared.notes)

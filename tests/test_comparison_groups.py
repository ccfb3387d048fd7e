"""Which runs are one group and one ranking, and how a group is named."""

import dataclasses

import pytest
from omegaconf import MISSING

from fitgap.comparison.ranking import compare
from fitgap.comparison.varying_settings import parse, show
from fitgap.config.parameters import to_text
from fitgap.config.schema import TableConfig
from fitgap.report import claims
from fitgap.report.leaderboard import label_of
from made_runs import compare_newest_first, make_run, only_section, settings_of

ADAM = {"optimizer.name": "adam", "optimizer.learning_rate": 0.001, "optimizer.momentum": None}


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

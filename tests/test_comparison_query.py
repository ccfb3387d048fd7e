"""What a comparison may be asked: conditions on runs, and settings to group by."""

import math

import pytest

from fitgap.comparison.query import Query
from fitgap.comparison.ranking import compare
from fitgap.errors import RequestError
from made_runs import compare_newest_first, grid, make_run, only_section


@pytest.mark.parametrize("margin", [0.0, -0.1, math.nan, math.inf, "half"])
def test_a_margin_that_is_none_is_refused(margin):
    with pytest.raises(RequestError, match="--margin must be a number above 0"):
        Query(margin=margin)


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

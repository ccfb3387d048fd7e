"""A race: its rule on made-up values whose truth is known, and what it refuses."""

import json
import math

import numpy as np
import pytest
from scipy.stats import binom

from fitgap.charts.themes import MOST_COLOURED
from fitgap.comparison import race_log, race_rounds
from fitgap.comparison.race import (
    BETTER,
    FAILED,
    MOST_ROUNDS,
    OUT,
    Race,
    Rule,
    half_width_at_any_time,
)
from fitgap.comparison.race_log import Log, Round
from fitgap.comparison.race_rounds import Request
from fitgap.comparison.ties import EQUIVALENT, UNDECIDED
from fitgap.errors import RequestError
from fitgap.report import race_chart, race_table
from fitgap_lab.benchmark import generated_runs
from fitgap_lab.calibration import races, recorded_races


def raced(rng, truth, *, rounds, margin=0.005):
    """Return a race after so many rounds, or when it was over, and the runs it took."""
    race, runs = Race(Rule(len(truth), margin)), 0
    for _ in range(rounds):
        runs += len(race.undecided)
        common = rng.normal(0, 0.01)
        race.add_round({one: truth[one] + common + rng.normal(0, 0.007) for one in race.undecided})
        if race.word in (BETTER, EQUIVALENT):
            break
    return race, runs


@pytest.mark.parametrize("overlap", [0.0, 0.25])
@pytest.mark.parametrize("candidates", [2, 3, 6])
def test_of_equal_candidates_hardly_ever_one_is_called_better(candidates, overlap):
    words, _ = races.raced_equal(candidates, overlap=overlap, repetitions=150)
    assert words.count(BETTER) / 150 <= binom.isf(0.001, 150, 0.05) / 150


def test_the_only_best_is_hardly_ever_out():
    rng = np.random.default_rng(0)
    truth = [0.9, *[0.8999] * 5]
    out = sum(0 not in raced(rng, truth, rounds=30)[0].racing for _ in range(150))
    assert out <= binom.isf(0.001, 150, 0.025)


def test_candidates_are_equivalent_only_if_all_pairs_are():
    for margin, expected in ((0.009, UNDECIDED), (0.014, EQUIVALENT)):
        race = Race(Rule(3, margin))
        for number in range(40):
            apart = 0.01 * (-1) ** number
            race.add_round({0: 0.9001, 1: 0.9 + apart, 2: 0.9 - apart})
        # Those behind the first scatter against each other twice as far as against it.
        assert [one.word for one in race.standings()] == [None, EQUIVALENT, EQUIVALENT]
        assert race.word == expected


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1)])
def test_whether_two_are_close_does_not_depend_on_their_order(order):
    race, noise = Race(Rule(3, margin=0.05)), np.random.default_rng(0).normal(size=(5, 2))
    for first, second in noise:
        # The second is better than the third, by less than the margin; the first varies most.
        values = [0.9 + 0.006 * first, 0.894, 0.890 + 0.0003 * second]
        race.add_round({one: values[place] for one, place in enumerate(order)})
    assert (race.word, race.racing) == (EQUIVALENT, [0, 1, 2])


def test_a_better_candidate_is_found_with_fewer_runs_than_the_longest_race_takes():
    rng = np.random.default_rng(0)
    found = [raced(rng, [0.94] + [0.9] * 5, rounds=20) for _ in range(50)]
    assert all(race.word == BETTER and race.racing == [0] for race, _ in found)
    assert np.mean([runs for _, runs in found]) < 6 * 20 / 2


def test_a_candidate_within_the_margin_of_all_others_rests_until_they_are_decided():
    race = Race(Rule(3, 0.02))
    noise = (0.006, -0.006)
    for number in range(8):
        # Two scatter against each other, the third against neither as much.
        apart = noise[number % 2]
        values = {0: 0.9, 1: 0.9 + apart, 2: 0.9 - apart}
        race.add_round({one: values[one] for one in race.undecided})
        if race.undecided == [1, 2]:
            break
    assert (race.undecided, race.racing, race.word) == ([1, 2], [0, 1, 2], UNDECIDED)
    rested = {one.candidate: one.rounds for one in race.standings()}[0]
    while race.word == UNDECIDED:
        race.add_round(dict.fromkeys(race.undecided, 0.9))
    assert {one.candidate: one.rounds for one in race.standings()}[0] == rested
    assert race.word == EQUIVALENT


@pytest.mark.parametrize("seed", range(20))
def test_whom_none_beats_where_both_ran_is_the_best(seed):
    rng = np.random.default_rng(seed)
    race, ran = Race(Rule(4, 0.02)), []
    while race.word == UNDECIDED and len(ran) < 60:
        common = rng.normal(0, 0.01)
        ran.append({one: 0.9 + common + rng.normal(0, 0.007) for one in race.undecided})
        race.add_round(ran[-1])

    def beats(first, second):
        return sum(one[first] - one[second] for one in ran if {first, second} <= one.keys()) > 0

    left = race.racing
    unbeaten = [one for one in left if not any(beats(other, one) for other in left if other != one)]
    best = race.standings()[0]
    assert not unbeaten or best.candidate in unbeaten
    assert len(unbeaten) == 0 or min(one.difference or 0.0 for one in race.standings()) >= 0


def test_an_interval_over_overlapping_splits_misses_the_mean_at_any_round_as_rarely_as_it_says():
    rng = np.random.default_rng(3)
    races_, rounds, overlap, alpha = 400, 40, 0.25, 0.05
    missed = 0
    for _ in range(races_):
        values = rng.normal(0, 1, rounds) + rng.normal(0, math.sqrt(overlap))
        missed += any(
            abs(values[:n].mean())
            > half_width_at_any_time(values[:n].tolist(), alpha=alpha, overlap=overlap)
            for n in range(2, rounds + 1)
        )
    # At most alpha, and not far below: that would make races long for nothing.
    assert binom.ppf(0.001, races_, alpha / 2) <= missed <= binom.isf(0.001, races_, alpha)


def test_candidates_that_differ_by_less_than_the_margin_end_as_equivalent():
    race, _ = raced(np.random.default_rng(0), [0.9, 0.9], rounds=100, margin=0.01)
    assert race.word == EQUIVALENT


def test_a_candidate_without_a_figure_is_out_and_the_others_go_on():
    race = Race(Rule(3, 0.005))
    (out,) = race.add_round({0: 0.9, 1: math.nan, 2: 0.8})
    assert (out.candidate, out.word, race.racing) == (1, FAILED, [0, 2])
    assert [one.candidate for one in race.standings()] == [0, 2, 1]


def test_lower_may_be_better():
    race = Race(Rule(2, 0.005, higher_is_better=False))
    race.add_round({0: 0.9, 1: 0.8})
    assert race.standings()[0].candidate == 1


def test_two_values_or_coarse_ones_decide_nothing():
    assert half_width_at_any_time([0.1, 0.2], alpha=0.05) == math.inf
    assert half_width_at_any_time([0.1] * 50, alpha=0.05) == math.inf


def refuse(*_):
    raise AssertionError("nothing may be trained")


@pytest.mark.parametrize(
    ("grid", "request_", "said"),
    [
        (["optimizer=sgd"], Request(), "at least two candidates"),
        (["optimizer=sgd", "optimizer=adam"], Request(margin=0), "the margin must be above 0"),
        (["optimizer=sgd", "optimizer=adam"], Request(margin=math.nan), "margin must be above 0"),
        (["optimizer=sgd", "optimizer=adam"], Request(budget=1), "the budget must be at least"),
        (["optimizer=sgd", "optimizer=adam"], Request(alpha=1), "alpha must be"),
        (["split.seed=1", "split.seed=2"], Request(), "split.seed is what race chooses"),
        (["optimizer=sgd", "optimizer=sgd"], Request(), "two candidates are the same"),
        (["split=holdout", "split=kfold"], Request(), "split differs between them"),
    ],
)
def test_a_race_that_can_decide_nothing_is_refused(compose, grid, request_, said):
    settings = [compose(word) for word in grid]
    with pytest.raises(RequestError, match=said):
        race_rounds.run([[word] for word in grid], settings, request=request_, train=refuse)


@pytest.mark.parametrize(
    ("words", "number", "expected"),
    [
        ((), 2, {"seed": 2, "split.seed": 44}),
        (("seed=5", "split.seed=7"), 0, {"seed": 5, "split.seed": 7}),
        (("split=kfold",), 6, {"seed": 6, "split.fold": 1, "split.seed": 43}),
    ],
)
def test_each_round_is_another_split_and_seed(compose, words, number, expected):
    config = compose(*words)
    assert race_rounds.replicate(config, number=number) == expected
    changed = race_rounds.with_replicate(config, expected)
    assert (changed.seed, changed.split.seed) == (expected["seed"], expected["split.seed"])


def log_of(rounds):
    return Log(("adam", "sgd"), "val/accuracy", "splits", Rule(2, 0.005), tuple(rounds))


def test_a_log_that_was_written_is_the_same_race(tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with pytest.raises(RequestError, match="had no race"):
        race_log.read(uri=uri, experiment="a")
    rounds = [Round({0: 0.9, 1: 0.8 + number / 1000}, 0.0) for number in range(9)]
    log = log_of([*rounds, Round({0: 0.9}, 0.0)])
    race_log.write(log, uri=uri, experiment="a")
    again = race_log.read(uri=uri, experiment="a")
    assert again == log
    assert (again.word, again.runs) == (BETTER, 19)
    assert [len(standings) for standings in again.by_round()] == [2] * 10


@pytest.mark.parametrize(
    "damage",
    [
        {"rounds": [{"values": {"7": 0.5}, "overlap": 0}]},
        {"rounds": [{"values": {"0": 0.5, "1": 0.4}, "overlap": math.inf}]},
        {"rounds": [{"values": {"0": "x"}, "overlap": 0}]},
        {"rounds": [{"values": {}, "overlap": 0}] * 201},
        {"rule": {"margin": 0.1, "alpha": 0, "higher_is_better": True}},
        {"rule": {"margin": "wide"}},
        {"names": 3},
    ],
)
def test_a_damaged_log_is_refused_in_one_line(tmp_path, damage):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    race_log.write(log_of([Round({0: 0.9, 1: 0.8}, 0.25)]), uri=uri, experiment="a")
    (path,) = tmp_path.rglob("*.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | damage))
    with pytest.raises(RequestError, match="the log of the race cannot be read"):
        race_log.read(uri=uri, experiment="a")


def test_the_picture_of_a_race_ends_a_line_where_its_candidate_is_out():
    rounds = [Round({0: 0.9, 1: 0.8 + number % 2 / 1000}, 0.0) for number in range(5)]
    svg = race_chart.draw(log_of(rounds)).svg()
    assert ">out<" in svg
    with pytest.raises(RequestError, match="no round"):
        race_chart.draw(log_of([]))


def test_a_candidate_that_an_earlier_version_found_out_did_not_fail():
    race = Race(Rule(3, 0.02))
    race.add_round({0: 0.9, 1: 0.89, 2: 0.7})
    (out,) = race.add_round({0: 0.9, 1: 0.89})
    assert (out.candidate, out.word, race.racing) == (2, OUT, [0, 1])


@pytest.mark.parametrize("fails_in", [0, 1])
def test_a_race_says_which_candidates_it_did_not_compare(fails_in):
    rounds = [Round({0: 0.9, 1: 0.8}, 0.25)] * fails_in
    text = race_table.text(log_of([*rounds, Round({0: 0.9, 1: math.nan}, 0.25)]))
    assert "better: adam\nNot compared, because it failed: sgd." in text


def test_the_picture_of_a_race_says_at_the_end_of_a_line_that_its_candidate_failed():
    svg = race_chart.draw(log_of([Round({0: 0.9, 1: 0.8}, 0.0), Round({0: 0.9, 1: math.nan}, 0.0)]))
    assert ">failed<" in svg.svg()


def test_a_race_of_the_most_rounds_does_not_ask_for_a_larger_budget():
    log = log_of([Round({0: 0.9, 1: 0.9 + 0.1 * (-1) ** n}, 0.25) for n in range(MOST_ROUNDS)])
    assert log.word == UNDECIDED
    assert "--budget" not in race_table.text(log)


def test_of_many_candidates_a_races_picture_names_the_coloured_ones_and_counts_the_grey_ones():
    names = tuple(f"units={16 + number}" for number in range(20))
    # The last are the best, and the first leave early.
    rounds = [Round({one: 0.5 + one / 50 for one in range(20)}, 0.0) for _ in range(3)]
    svg = race_chart.draw(
        Log(names, "val/accuracy", "splits", Rule(20, 0.005), tuple(rounds))
    ).svg()
    assert [name for name in names if f">{name}<" in svg] == list(names[-MOST_COLOURED:])
    assert f">grey: the other {20 - MOST_COLOURED}<" in svg
    assert "grey" not in race_chart.draw(log_of([Round({0: 0.9, 1: 0.8}, 0.0)])).svg()


@pytest.mark.parametrize("behind", [(0.01, 0.03), (0.01, 0.02, 0.03, 0.04, 0.05)])
def test_of_candidates_at_different_distances_a_race_takes_at_most_half_of_the_runs(behind):
    repetitions = 20
    race = races.raced(behind, overlap=0.0, repetitions=repetitions)
    splits = math.ceil(2 * race.runs / (len(behind) + 1))
    design = races.fixed(behind, splits=splits, overlap=0.0, repetitions=repetitions)
    assert (race.false, design.false) == (0, 0)
    assert race.shown >= design.shown


def test_races_of_recorded_candidates_decide_the_same_with_fewer_runs(monkeypatch):
    monkeypatch.setattr(recorded_races, "REPETITIONS", 20)
    means = 0.9 - np.array([0.0, 0.01, 0.02, 0.03, 0.04, 0.05])
    covariance = 0.01**2 + 0.007**2 * np.eye(6)
    candidates = recorded_races.Candidates(means, covariance, overlap=0.0)
    race = recorded_races.raced(candidates, 0.005)
    design = recorded_races.fixed(candidates, 0.005, splits=math.ceil(race.runs / 3))
    assert (race.false, design.false) == (0, 0)
    assert race.decided >= design.decided


def test_a_record_of_one_split_has_no_candidates_to_race(tmp_path):
    generated_runs.write(tmp_path / "runs.db", runs=30)
    uri = f"sqlite:///{tmp_path / 'runs.db'}"
    with pytest.raises(RequestError, match=r"three common splits, got .* with 1 common"):
        recorded_races.candidates_of(uri, generated_runs.EXPERIMENT)


def test_a_race_uses_its_budget_and_goes_on_where_it_was(run_train):
    words = ("-m", "hydra/sweeper=race", "optimizer=sgd,adam", "architecture=dense_softmax")
    small = ("training.epochs=1", "training.xla=false")
    done = run_train(*words, *small, "hydra.sweeper.budget=2")
    assert (done.code, done.err) == (0, "")
    assert "1 rounds, 2 runs" in done.out
    assert "undecided" in done.out
    again = run_train(*words, *small, "hydra.sweeper.budget=2", "hydra.sweeper.margin=1e-4")
    assert "2 finished before, 0 to train" in again.out
    assert "less than one of 288 validation images" in again.out

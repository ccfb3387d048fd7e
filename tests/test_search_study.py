"""Proposals: an interrupted search goes on as if nothing had happened. No training here."""

import json
import math

import pytest

from fitgap.errors import RequestError
from fitgap.search import storage
from fitgap.search.settings import SearchSettings
from fitgap.search.space import Dimension
from fitgap.search.study import SearchStudy, TrialResult

optuna = pytest.importorskip("optuna", reason="Optuna is an extra")

SPACE = [
    Dimension("rate", low=1e-4, high=1.0, log=True),
    Dimension("units", low=1, high=64, is_integer=True),
    Dimension("kind", ("a", "b", "c")),
]
N = 17


def result_of(trial, metrics):
    """Return a made-up result: best at a rate of 0.01 and kind b; some fail or are pruned."""
    if trial.number % 7 == 5:
        return TrialResult(None)
    rate, kind = trial.params["rate"], trial.params["kind"]
    value = -abs(math.log10(rate) + 2) + 0.5 * (kind == "b")
    by_epoch = {1: value} if metrics == 1 else {}
    if trial.number % 7 == 6 and metrics == 1:
        return TrialResult(None, was_pruned=True, intermediate_values=by_epoch)
    return TrialResult([value] * metrics, intermediate_values=by_epoch)


def resolved(*, metrics=("val/accuracy",), **settings):
    """Return the settings of a search once its experiment is known."""
    directions = ["maximize" if name == "val/accuracy" else "minimize" for name in metrics]
    settings = {"n_trials": N} | settings
    return SearchSettings(metrics=metrics, directions=directions, **settings)


def search(path, settings, *, size, stops=()):
    """Run a search to its end, leaving the process at each number of ended trials in `stops`."""
    for stop in [*stops, N]:
        with opened(path, settings) as study:
            while len(study.trials) < stop:
                for trial in study.ask(size):
                    if trial.number < stop:
                        study.tell(trial, result_of(trial, len(settings.metrics)))
    return [(trial.params, trial.values, trial.state.name) for trial in trials_of(path, settings)]


def opened(path, settings):
    return storage.opened(path, settings=settings, space=SPACE)


def trials_of(path, settings):
    with opened(path, settings) as study:
        return study.trials


@pytest.mark.parametrize("sampler", ["tpe", "random"])
@pytest.mark.parametrize("metrics", [("val/accuracy",), ("val/accuracy", "gap/accuracy")])
def test_a_resumed_search_is_the_uninterrupted_one(tmp_path, sampler, metrics):
    settings = resolved(sampler=sampler, metrics=metrics, startup_trials=4)
    whole = search(tmp_path / "whole.journal", settings, size=3)
    assert len(whole) == N
    # At the border of a batch, within a batch, and twice within the same one.
    resumed = search(tmp_path / "resumed.journal", settings, size=3, stops=[3, 7, 10, 11])
    assert resumed == whole


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"batch": "x"},
        {"batch": [0, 10**9]},
        {"batch": [5, 9]},
        {"batch": [0, 3], "overrides": 1},
    ],
)
def test_a_trial_that_says_what_no_search_stores_is_damage(changed, tmp_path):
    path = tmp_path / "s.journal"
    search(path, resolved(), size=3)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    first = next(line for line in lines if line.get("user_attrs", {}).get("batch"))
    first["user_attrs"] = changed
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(RequestError, match="is damaged"), opened(path, resolved()):
        pass


def test_what_was_written_in_part_is_taken_back(tmp_path):
    settings = resolved(startup_trials=4)
    path = tmp_path / "s.journal"
    whole = search(path, settings, size=3)
    content = path.read_bytes()
    for size in range(0, len(content), len(content) // 9):
        path.write_bytes(content[:size])
        assert search(path, settings, size=3) == whole


def test_a_damaged_file_is_refused(tmp_path):
    settings = resolved()
    path = tmp_path / "s.journal"
    search(path, settings, size=3)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:5], "{\n", *lines[5:]]))
    with pytest.raises(RequestError, match=r"s\.journal is damaged: "):
        trials_of(path, settings)


def test_a_file_of_another_place_is_not_written_to(tmp_path):
    settings, other = resolved(), tmp_path / "other"
    other.write_text("precious")
    (tmp_path / "s.journal").symlink_to(other)
    with pytest.raises(RequestError, match=r"s\.journal cannot be used: it is a link"):
        trials_of(tmp_path / "s.journal", settings)
    assert other.read_text() == "precious"


def test_the_sampler_learns_and_another_seed_proposes_something_else(tmp_path):
    found = {}
    for sampler, seed in (("tpe", 0), ("tpe", 1), ("random", 0)):
        settings = resolved(sampler=sampler, seed=seed, startup_trials=4)
        found[sampler, seed] = search(tmp_path / f"{sampler}{seed}.journal", settings, size=1)
    assert found["tpe", 0] != found["tpe", 1]
    late = [trial[0]["kind"] for trial in found["tpe", 0][8:]]
    assert late.count("b") > len(late) / 2


def test_only_one_process_at_a_time_may_run_a_search(tmp_path):
    settings = resolved()
    with (
        opened(tmp_path / "s.journal", settings),
        pytest.raises(RequestError, match="being run by another process"),
        opened(tmp_path / "s.journal", settings),
    ):
        pass


def test_what_matters_has_the_larger_importance(tmp_path):
    settings = resolved(sampler="random")
    path = tmp_path / "s.journal"
    search(path, settings, size=1)
    with opened(path, settings) as study:
        shares = study.importances()["val/accuracy"]
    assert set(shares) == {"rate", "units", "kind"}
    assert max(shares, key=shares.get) == "rate"
    assert sum(shares.values()) == pytest.approx(1)


def test_too_few_trials_have_no_importances():
    study = SearchStudy(optuna.create_study(), settings=resolved(), space=SPACE)
    assert study.importances() == {}

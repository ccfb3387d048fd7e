"""Proposals: an interrupted search goes on as if nothing had happened. No training here."""

import math

import pytest

from fitgap.errors import RequestError
from fitgap.search import optuna_study as search_study
from fitgap.search.optuna_study import Ended
from fitgap.search.settings import SearchSettings
from fitgap.search.space import Dimension

optuna = pytest.importorskip("optuna", reason="Optuna is an extra")

SPACE = [
    Dimension("rate", low=1e-4, high=1.0, log=True),
    Dimension("units", low=1, high=64, is_integer=True),
    Dimension("kind", ("a", "b", "c")),
]
N = 17


def end_of(number, parameters, metrics):
    """Return a made-up trial's end: best at a rate of 0.01 and kind b; some fail or are pruned."""
    if number % 7 == 5:
        return Ended(None)
    value = -abs(math.log10(parameters["rate"]) + 2) + 0.5 * (parameters["kind"] == "b")
    if number % 7 == 6 and metrics == 1:
        return Ended(None, was_pruned=True, by_epoch={1: value})
    return Ended([value] * metrics, by_epoch={1: value} if metrics == 1 else {})


def resolved(*, metrics=("val/accuracy",), **settings):
    """Return the settings of a search once its experiment is known."""
    directions = ["maximize" if name == "val/accuracy" else "minimize" for name in metrics]
    return SearchSettings(metrics=metrics, directions=directions, **settings)


def search(path, settings, *, size, stops=()):
    """Run a search to its end, leaving the process at each number of ended trials in `stops`."""
    for stop in [*stops, N]:
        with search_study.opened(path, settings=settings) as study:
            while (done := len(trials := study.get_trials(deepcopy=False))) < stop:
                batch = search_study.batch_of(trials, size=size)
                proposed = search_study.propose(trials, batch, space=SPACE, settings=settings)
                for number in range(done, min(batch.stop, stop)):
                    parameters = proposed[number - batch.start]
                    ended = end_of(number, parameters, len(settings.metrics))
                    search_study.remember(
                        study, ended, batch=batch, parameters=parameters, space=SPACE
                    )
    return [(trial.params, trial.values, trial.state.name) for trial in trials_of(path, settings)]


def trials_of(path, settings):
    with search_study.opened(path, settings=settings) as study:
        return study.get_trials()


@pytest.mark.parametrize("sampler", ["tpe", "random"])
@pytest.mark.parametrize("metrics", [("val/accuracy",), ("val/accuracy", "gap/accuracy")])
def test_a_resumed_search_is_the_uninterrupted_one(tmp_path, sampler, metrics):
    settings = resolved(sampler=sampler, metrics=metrics, startup_trials=4)
    whole = search(tmp_path / "whole.journal", settings, size=3)
    assert len(whole) == N
    # At the border of a batch, within a batch, and twice within the same one.
    resumed = search(tmp_path / "resumed.journal", settings, size=3, stops=[3, 7, 10, 11])
    assert resumed == whole


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
        search_study.opened(tmp_path / "s.journal", settings=settings),
        pytest.raises(RequestError, match="being run by another process"),
        search_study.opened(tmp_path / "s.journal", settings=settings),
    ):
        pass


def test_what_matters_has_the_larger_importance(tmp_path):
    settings = resolved(sampler="random")
    path = tmp_path / "s.journal"
    search(path, settings, size=1)
    with search_study.opened(path, settings=settings) as study:
        shares = search_study.importances(study, settings)["val/accuracy"]
    assert set(shares) == {"rate", "units", "kind"}
    assert max(shares, key=shares.get) == "rate"
    assert sum(shares.values()) == pytest.approx(1)


def test_too_few_trials_have_no_importances():
    settings = resolved()
    assert search_study.importances(optuna.create_study(), settings) == {}

"""When a trial is stopped: held against Optuna's own median pruner."""

import math
import random

import pytest

from fitgap.training.pruning import PrunedError, Pruning, bounds

optuna = pytest.importorskip("optuna", reason="Optuna is an extra")

EPOCHS = 6


def histories(number, seed):
    rng = random.Random(seed)
    lengths = [rng.randint(1, EPOCHS) for _ in range(number)]
    return [{e: round(rng.random(), 2) for e in range(1, n + 1)} for n in lengths]


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize(("startup", "warmup"), [(1, 0), (4, 0), (9, 0), (3, 2)])
def test_a_trial_is_stopped_where_optuna_would_stop_it(direction, startup, warmup):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for seed in range(20):
        finished = histories(8, seed)
        study = optuna.create_study(
            direction=direction,
            # Optuna's warm-up counts the step itself.
            pruner=optuna.pruners.MedianPruner(startup, n_warmup_steps=warmup + 1),
        )
        for history in finished:
            study.add_trial(
                optuna.create_trial(
                    state=optuna.trial.TrialState.COMPLETE, value=0.5, intermediate_values=history
                )
            )
        trial = study.ask()
        (new,) = histories(1, seed + 1000)
        limits = bounds(finished, epochs=EPOCHS, startup_trials=startup, warmup=warmup)
        pruning = Pruning({"metric": "m", "direction": direction, "bounds": limits})
        for epoch, value in new.items():
            trial.report(value, epoch)
            is_pruned = False
            try:
                pruning.on_epoch(epoch, {"m": value})
            except PrunedError:
                is_pruned = True
            assert is_pruned == trial.should_prune(), (seed, epoch)


def test_values_that_are_not_numbers_set_no_bound_and_stop_nothing():
    found = bounds([{1: math.nan, 2: 0.5}], epochs=3, startup_trials=1, warmup=0)
    assert found == [None, 0.5, None]
    pruning = Pruning({"metric": "m", "direction": "maximize", "bounds": [0.1, None]})
    with pytest.raises(PrunedError, match=r"m -inf by epoch 1"):
        pruning.on_epoch(1, {"m": math.nan})


def test_without_bounds_nothing_is_stopped():
    Pruning(None).on_epoch(1, {})


def test_a_run_that_diverges_is_not_called_pruned():
    pruning = Pruning({"metric": "val/accuracy", "direction": "maximize", "bounds": [0.9]})
    pruning.on_epoch(1, {"val/loss": math.nan, "val/accuracy": 0.1})

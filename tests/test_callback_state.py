"""What callbacks remember: enough to go on after an interruption, or nobody knows."""

import keras
import numpy as np
import pytest

from fitgap.training import callback_state, checkpoints
from fitgap.training.checkpoints import Checkpoint


class Counts(keras.callbacks.Callback):
    """Remembers in plain attributes."""

    def __init__(self, patience=3):
        super().__init__()
        self.patience = patience
        self.losses = []
        self.best = {"epoch": 0}


class Says(keras.callbacks.Callback):
    """Says what it remembers."""

    def __init__(self):
        super().__init__()
        self.stream = object()
        self.count = 0

    def get_state(self):
        return {"count": self.count, "a.b": [np.arange(3)]}

    def set_state(self, state):
        self.count = state["count"] + int(state["a.b"][0].sum())


class HoldsAnObject(keras.callbacks.Callback):
    """Keeps what no checkpoint can hold."""

    def __init__(self, kept):
        super().__init__()
        self.kept = kept


def through_a_file(memories, tmp_path):
    path = tmp_path / "run"
    checkpoints.save(path, Checkpoint(epochs=[], state=[], callbacks=memories, stopped=False))
    return checkpoints.load(path).callbacks


def test_plain_attributes_are_given_back(tmp_path):
    first = Counts(patience=5)
    first.set_model(keras.Sequential())
    first.losses += [0.5, float("nan")]
    first.best["epoch"] = 2
    (kept,) = through_a_file([callback_state.of(first)], tmp_path)
    second = Counts()
    callback_state.restore(second, kept)
    assert (second.patience, second.best, second.losses[0]) == (5, {"epoch": 2}, 0.5)
    assert np.isnan(second.losses[1])


def test_what_a_callback_says_is_given_back(tmp_path):
    first = Says()
    first.count = 4
    (kept,) = through_a_file([callback_state.of(first)], tmp_path)
    second = Says()
    callback_state.restore(second, kept)
    assert second.count == 4 + 0 + 1 + 2


def test_the_memory_of_early_stopping_is_its_weights_and_counts(tmp_path):
    stopping = keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True)
    stopping.wait, stopping.best_weights = 1, [np.ones(2), np.zeros((2, 2))]
    (kept,) = through_a_file([callback_state.of(stopping)], tmp_path)
    fresh = keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True)
    callback_state.restore(fresh, kept)
    assert fresh.wait == 1
    for one, other in zip(fresh.best_weights, stopping.best_weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "kept", [object(), {1: "a"}, (1, 2), np.ones(2), [np.ones(2), 1], {1, 2}, len]
)
def test_what_would_not_come_back_equal_is_unknown(kept):
    assert callback_state.of(HoldsAnObject(kept)) is None


@pytest.mark.parametrize("kept", [None, True, 0.1, "text", [], [1, [2.5]], {"a": {"b": None}}])
def test_plain_values_are_known(kept):
    assert callback_state.of(HoldsAnObject(kept)) == {"kept": kept}

"""``dataset=function``: data that a function of one's own returns."""

import itertools

import numpy as np
import pytest
import tensorflow as tf  # here, so that the tests' first fixture fixes its threads

from fitgap.config import targets
from fitgap.config.schema import FunctionConfig
from fitgap.data import datasets
from fitgap.errors import RequestError

pytestmark = pytest.mark.usefixtures("fresh_datasets")

X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
Y = np.arange(20) % 2


def load(function, **settings):
    node = {"_target_": targets.register(function), **settings}
    config = FunctionConfig("function", test_fraction=0.2, test_seed=0, function=node)
    return datasets.load(config)


def samples():
    yield from zip(X, Y, strict=True)


def batches():
    for first in range(0, 20, 8):
        yield X[first : first + 8], Y[first : first + 8]


def tensors():
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(6)


def test_samples_batches_and_tensors_are_the_arrays_they_make_up():
    plain = load(lambda: (X, Y))
    assert (len(plain.y_train), len(plain.y_test)) == (16, 4)
    for function in (samples, batches, tensors, lambda: {"data": X, "target": Y}):
        assert load(function).digest == plain.digest


def test_test_and_validation_parts_are_taken_in_the_forms_of_keras():
    four = load(lambda: (X[:16], Y[:16], X[16:], Y[16:]))
    nested = load(lambda: ((X[:16], Y[:16]), (X[16:], Y[16:])))
    np.testing.assert_array_equal(four.x_test, X[16:])
    assert nested.digest == four.digest
    three = load(lambda: ((X[:12], Y[:12]), (X[12:16], Y[12:16]), (X[16:], Y[16:])))
    np.testing.assert_array_equal(np.flatnonzero(three.train.is_val), [12, 13, 14, 15])


def test_the_values_decide_the_digest_and_arguments_are_handed_over():
    def shifted(by):
        return X + np.float32(by), Y

    assert load(shifted, by=0.0).digest != load(shifted, by=1.0).digest


def fails():
    raise ValueError("no disk")


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda: 3, "must return .* got int"),
        (lambda: iter(()), "yields nothing"),
        (lambda: iter([X]), "must yield pairs of x and y"),
        (lambda: tensors().repeat(), r"never stops yielding; leave out repeat\(\)"),
        (fails, "failed: ValueError: no disk"),
    ],
    ids=["number", "nothing", "no pairs", "endless", "fails"],
)
def test_what_is_no_data_is_refused(function, said):
    with pytest.raises(RequestError, match=said):
        load(function)


def test_a_generator_without_an_end_is_refused(monkeypatch):
    monkeypatch.setattr("fitgap.data.function.MOST_BYTES", 1000)
    with pytest.raises(RequestError, match="it must end"):
        load(lambda: itertools.cycle([(X, Y)]))

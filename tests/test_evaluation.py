"""The gap's signs, the forms of labels, and that scores are of whole partitions."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitgap.config.schema import SplitConfig
from fitgap.data.datasets import Dataset
from fitgap.data.parts import NumberedPart
from fitgap.data.splits import split_dataset
from fitgap.evaluation.scores import (
    EVALUATION_BATCH,
    Partition,
    Scores,
    encode_labels,
    gap,
    network_outputs,
    partition,
)
from fitgap.models import build
from fitgap.training.engines import choice as engines
from fitgap.training.engines.choice import EngineChoice

scores = st.builds(Scores, loss=st.floats(0, 100), accuracy=st.floats(0, 1))


def of(loss, accuracy):
    return Scores(loss=loss, accuracy=accuracy)


@pytest.mark.parametrize(
    ("train", "unseen", "expected"),
    [
        (
            of(0.25, 0.75),
            of(0.5, 0.5),
            of(0.25, 0.25),
        ),
        (
            of(0.5, 0.5),
            of(0.25, 0.75),
            of(-0.25, -0.25),
        ),
        (
            of(0.5, 0.5),
            of(0.5, 0.5),
            of(0.0, 0.0),
        ),
    ],
    ids=["overfits", "does better on unseen data", "no gap"],
)
def test_a_positive_gap_means_worse_on_unseen_data(train, unseen, expected):
    assert gap(train, unseen, higher_is_better={"accuracy"}) == expected


@given(scores, scores)
def test_exchanging_the_partitions_turns_the_gap_round(one, other):
    there = gap(one, other, higher_is_better={"accuracy"})
    back = gap(other, one, higher_is_better={"accuracy"})
    assert dict(there) == {name: -value for name, value in back.items()}


@pytest.mark.parametrize(("loss", "expected"), [(0.5, True), (np.nan, False), (np.inf, False)])
def test_only_a_finite_loss_is_one_to_go_on_with(loss, expected):
    assert Scores(loss=loss, accuracy=0.5).is_finite is expected


def test_labels_take_the_form_of_the_loss():
    y = np.array([1, 0, 1])
    integer = encode_labels(y, "integer", num_classes=2)
    one_hot = encode_labels(y, "one_hot", num_classes=2)
    binary = encode_labels(y, "binary", num_classes=2)
    assert (integer.dtype, integer.tolist()) == (np.int32, [1, 0, 1])
    assert (one_hot.dtype, one_hot.tolist()) == (np.float32, [[0, 1], [1, 0], [0, 1]])
    assert (binary.dtype, binary.tolist()) == (np.float32, [[1], [0], [1]])


@given(st.lists(st.integers(0, 9), min_size=1, max_size=50))
def test_one_hot_rows_have_a_single_one_in_the_place_of_the_class(classes):
    rows = encode_labels(np.array(classes), "one_hot", num_classes=10)
    assert rows.shape == (len(classes), 10)
    assert rows.sum(axis=1).tolist() == [1] * len(classes)
    assert rows.argmax(axis=1).tolist() == classes


def test_one_sigmoid_unit_gives_the_probability_of_class_1():
    sigmoid = np.array([[0.25], [1.0]], np.float32)
    assert network_outputs(sigmoid, "binary").tolist() == [[0.75, 0.25], [0.0, 1.0]]
    softmax = np.array([[0.5, 0.25, 0.25]], np.float32)
    assert network_outputs(softmax, "integer") is softmax


def make_dataset(num_classes, *, n_train=1100, n_test=70):
    rng = np.random.default_rng(3)

    def part(n):
        x = rng.integers(0, 256, (n, 6, 5), dtype=np.uint8)
        return NumberedPart(x, np.arange(n) % num_classes)

    return Dataset(
        name="made",
        train=part(n_train),
        test=part(n_test),
        class_names=tuple("abc"[:num_classes]),
        source="made",
        digest="",
    )


def test_partitions_hold_the_images_of_the_split():
    dataset = make_dataset(3)
    config = SplitConfig("holdout", validation_fraction=0.2, seed=1)
    indices = split_dataset(dataset, config)
    parts = partition(dataset, indices)
    np.testing.assert_array_equal(parts.train.x, dataset.x_train[indices.train])
    np.testing.assert_array_equal(parts.val.x, dataset.x_train[indices.val])
    np.testing.assert_array_equal(parts.val.y, dataset.y_train[indices.val])
    assert parts.test.x is dataset.x_test
    assert (len(parts.train), len(parts.val), len(parts.test)) == (880, 220, 70)


def test_without_validation_there_is_no_such_partition():
    dataset = make_dataset(3)
    parts = partition(dataset, split_dataset(dataset, SplitConfig("none")))
    assert parts.val is None
    assert len(parts.train) == 1100


# Whole-partition scores against NumPy. Cross-entropies are of probabilities clipped by Keras's
# epsilon; mean errors are over the classes too.


def numpy_loss(name, probabilities, y):
    p = np.clip(probabilities.astype(np.float64), 1e-7, 1 - 1e-7)
    one_hot = np.eye(probabilities.shape[1])[y]
    if name == "mse":
        return np.mean((probabilities - one_hot) ** 2)
    if name == "mae":
        return np.mean(np.abs(probabilities - one_hot))
    return np.mean(-np.log(p[np.arange(len(y)), y]))


@pytest.mark.parametrize(
    ("engine_name", "loss"),
    [
        ("compiled", "sparse_categorical_crossentropy"),
        ("compiled", "categorical_crossentropy"),
        ("compiled", "binary_crossentropy"),
        ("compiled", "mse"),
        ("compiled", "mae"),
        ("fit", "sparse_categorical_crossentropy"),
        ("fit", "binary_crossentropy"),
    ],
)
def test_scores_are_of_the_whole_partition_in_inference_mode(compose, engine_name, loss):
    num_classes = 2 if loss == "binary_crossentropy" else 3
    config = compose(
        f"loss={loss}",
        "architecture=dense",
        "architecture.units=[16]",
        "architecture.dropout=0.5",
        "architecture.batch_norm=true",
        "architecture.l2=0.01",
        "training.batch_size=50",
    )
    model = build.build(config, image_shape=(6, 5), num_classes=num_classes, total_steps=1)
    dataset = make_dataset(num_classes)
    # More than one evaluation step, and a smaller one at the end.
    whole = Partition(dataset.x_train, dataset.y_train)
    assert EVALUATION_BATCH < len(whole) < 2 * EVALUATION_BATCH
    choice = EngineChoice(engine_name, xla=False, reason="asked for")
    engine = engines.make(choice, model=model, train=whole, config=config, callbacks=[])
    engine.run_epoch(np.random.default_rng(0).permutation(len(whole)).astype(np.int32))

    outputs = keras.ops.convert_to_numpy(engine.model(whole.x, training=False))
    probabilities = np.c_[1 - outputs, outputs] if num_classes == 2 else outputs
    kernel = keras.ops.convert_to_numpy(engine.model.get_layer("hidden").kernel)
    expected_loss = numpy_loss(loss, probabilities, whole.y) + 0.01 * np.sum(kernel**2)
    expected_accuracy = np.mean(probabilities.argmax(axis=1) == whole.y)

    scores = engine.evaluate(whole)
    assert scores.loss == pytest.approx(expected_loss, rel=1e-5)
    assert scores["accuracy"] == pytest.approx(expected_accuracy, abs=1e-6)
    # Nothing but the weights counts: not the number of questions, not those asked before.
    assert engine.evaluate(whole) == scores
    np.testing.assert_allclose(engine.predict(whole.x), probabilities, atol=1e-6)

import keras
import numpy as np
import pytest
import tensorflow as tf

from fitgap.reference.batches import one_hot
from fitgap.reference.losses import get_loss

KERAS_LOSSES = {
    "mse": keras.losses.MeanSquaredError,
    "mae": keras.losses.MeanAbsoluteError,
    "categorical_crossentropy": keras.losses.CategoricalCrossentropy,
    "sparse_categorical_crossentropy": keras.losses.SparseCategoricalCrossentropy,
    "binary_crossentropy": keras.losses.BinaryCrossentropy,
}
NAMES = list(KERAS_LOSSES)
CROSSENTROPIES = NAMES[2:]
LABELS = np.array([0, 2, 1, 2, 0, 1])


def targets_for(name, *, dtype=np.float64):
    return LABELS if name.startswith("sparse") else one_hot(LABELS, num_classes=3, dtype=dtype)


def keras_value_and_gradient(name, outputs, targets, **settings):
    loss = KERAS_LOSSES[name](dtype="float64", **settings)
    outputs = tf.Variable(outputs)
    with tf.GradientTape() as tape:
        value = loss(targets, outputs)
    return value.numpy(), tape.gradient(value, outputs).numpy()


@pytest.mark.parametrize("name", NAMES)
def test_probabilities_match_keras(rng, name):
    # Rows that don't sum to 1, and probabilities on both sides of the clip's bounds: there Keras
    # renormalises and cuts the gradient.
    outputs = rng.uniform(0.05, 0.95, size=(6, 3))
    outputs[0] = [0, 0.5, 0.5]
    outputs[1] = [0, 1e-9, 1]
    outputs[2] = [1 - 1e-9, 1e-9, 0]
    targets = targets_for(name)
    loss = get_loss(name)
    expected_value, expected_gradient = keras_value_and_gradient(name, outputs, targets)
    assert loss.value(outputs, targets=targets) == pytest.approx(expected_value, rel=1e-12)
    np.testing.assert_allclose(
        loss.gradient(outputs, targets=targets), expected_gradient, rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("name", CROSSENTROPIES)
def test_logits_match_keras(rng, name):
    logits = rng.normal(scale=30, size=(6, 3))
    targets = targets_for(name)
    loss = get_loss(name).from_logits
    expected_value, expected_gradient = keras_value_and_gradient(
        name, logits, targets, from_logits=True
    )
    assert loss.value(logits, targets=targets) == pytest.approx(expected_value, rel=1e-12)
    np.testing.assert_allclose(
        loss.gradient(logits, targets=targets), expected_gradient, rtol=1e-9, atol=1e-15
    )


@pytest.mark.parametrize("name", NAMES)
def test_gradient_matches_finite_differences(rng, numerical_gradient, name):
    outputs, targets = rng.uniform(0.05, 0.95, size=(6, 3)), targets_for(name)
    for loss in (get_loss(name), get_loss(name).from_logits):
        if loss is not None:
            expected = numerical_gradient(
                lambda loss=loss: loss.value(outputs, targets=targets), outputs
            )
            np.testing.assert_allclose(loss.gradient(outputs, targets=targets), expected, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_float32_outputs_give_a_float32_gradient(rng, name):
    outputs = rng.uniform(0.05, 0.95, size=(6, 3)).astype(np.float32)
    targets = targets_for(name, dtype=np.float32)
    for loss in (get_loss(name), get_loss(name).from_logits):
        if loss is not None:
            assert loss.gradient(outputs, targets=targets).dtype == np.float32


@pytest.mark.parametrize("name", CROSSENTROPIES)
def test_logits_do_not_overflow(name):
    logits = np.tile(np.array([-1e4, 0, 1e4], dtype=np.float32), (6, 1))
    loss = get_loss(name).from_logits
    assert np.isfinite(loss.value(logits, targets=targets_for(name, dtype=np.float32)))


def test_a_sure_and_right_answer_costs_nothing():
    outputs, targets = np.array([[0.0, 1.0]]), np.array([[0.0, 1.0]])
    for name in ("mse", "mae"):
        assert get_loss(name).value(outputs, targets=targets) == 0
    # The clip leaves -log(1 - 1e-7).
    assert get_loss("categorical_crossentropy").value(outputs, targets=targets) < 2e-7


@pytest.mark.parametrize("name", NAMES)
def test_correct_answers_are_counted(name):
    outputs = one_hot(np.array([0, 2, 1, 0, 1, 1]), num_classes=3)
    assert get_loss(name).count_correct(outputs, targets=targets_for(name)) == 4


def test_a_single_column_is_read_against_one_half():
    outputs = np.array([[0.2], [0.5], [0.7]])
    targets = np.array([[0.0], [1.0], [1.0]])
    assert get_loss("binary_crossentropy").count_correct(outputs, targets=targets) == 2


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", ["value", "gradient", "count_correct"])
def test_shapes_that_do_not_fit_are_refused(name, method):
    compute = getattr(get_loss(name), method)
    with pytest.raises(ValueError, match=r"targets.* must have shape \(4.*received shape \(6"):
        compute(np.full((4, 3), 0.5), targets=targets_for(name))
    with pytest.raises(ValueError, match=r"outputs must have 2 axes \(samples, classes\)"):
        compute(np.full(6, 0.5), targets=targets_for(name))
    with pytest.raises(ValueError, match="at least one sample"):
        compute(np.empty((0, 3)), targets=targets_for(name)[:0])


def test_labels_where_rows_are_wanted_are_refused():
    with pytest.raises(
        ValueError, match=r"targets must have shape \(6, 3\); received shape \(6,\)"
    ):
        get_loss("categorical_crossentropy").value(np.full((6, 3), 0.5), targets=LABELS)


def test_labels_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"from 0 to 1, as there are 2 classes.*from 0 to 2"):
        get_loss("sparse_categorical_crossentropy").value(np.full((6, 2), 0.5), targets=LABELS)


def test_an_unknown_loss_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match=r"one of mse, mae, .*; received 'hinge'"):
        get_loss("hinge")

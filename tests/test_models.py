"""Networks from settings: their layers, their weights' seed, their output, what is refused."""

import keras
import numpy as np
import pytest

from fitgap.config.model_checks import check_values
from fitgap.errors import RequestError
from fitgap.models import build as models


def build(config, *, image_shape=(28, 28), num_classes=10, total_steps=100):
    return models.build(
        config, image_shape=image_shape, num_classes=num_classes, total_steps=total_steps
    )


def layer_names(model):
    return [layer.name for layer in model.layers]


def weights_of(model):
    return np.concatenate([weight.ravel() for weight in model.get_weights()])


@pytest.mark.parametrize(
    ("architecture", "image_shape", "expected"),
    [
        ("dense_softmax", (28, 28), 784 * 10 + 10),
        ("dense_relu_100", (28, 28), 784 * 100 + 100 + 100 * 10 + 10),
        ("dense_sigmoid_100", (28, 28), 784 * 100 + 100 + 100 * 10 + 10),
        ("dense_relu_512", (28, 28), 784 * 512 + 512 + 512 * 10 + 10),
        # Batch normalisation has four numbers per unit: scale, shift, mean, variance.
        ("dense_batch_norm_dropout", (8, 8), 64 * 256 + 256 + 4 * 256 + 256 * 10 + 10),
        # Two convolutions of 3 x 3, each halved: 8 x 8 pixels become 2 x 2 x 32.
        ("cnn_small", (8, 8), (9 * 16 + 16) + (9 * 16 * 32 + 32) + (128 * 64 + 64) + 650),
        ("cnn_small", (8, 8, 3), (27 * 16 + 16) + (9 * 16 * 32 + 32) + (128 * 64 + 64) + 650),
    ],
)
def test_an_architecture_has_the_parameters_counted_by_hand(
    compose, architecture, image_shape, expected
):
    model = build(compose(f"architecture={architecture}"), image_shape=image_shape)
    assert model.count_params() == expected
    assert model.output_shape == (None, 10)


def test_a_network_takes_raw_images_and_scales_them_itself(compose):
    model = build(compose("architecture=dense_softmax"), image_shape=(2, 2), num_classes=2)
    assert layer_names(model) == ["rescaling", "flatten", "output"]
    assert model.inputs[0].dtype == "uint8"
    images = np.array([[[0, 255], [51, 102]]], np.uint8)
    kernel, bias = model.get_weights()
    scores = np.array([0, 1, 0.2, 0.4]) @ kernel + bias
    expected = np.exp(scores) / np.exp(scores).sum()
    np.testing.assert_allclose(model(images)[0], expected, atol=1e-6)


def test_the_published_layer_names_are_kept(compose):
    model = build(compose("architecture=dense_sigmoid_100"))
    assert layer_names(model) == ["rescaling", "flatten", "hidden", "output"]
    assert model.get_layer("hidden").activation is keras.activations.sigmoid


def test_a_free_network_has_its_parts_in_order(compose):
    config = compose(
        "architecture=dense",
        "architecture.units=[8,4]",
        "architecture.activation=tanh",
        "architecture.batch_norm=true",
        "architecture.dropout=0.25",
        "architecture.l2=0.5",
    )
    model = build(config)
    parts = ("hidden", "batch_norm", "activation", "dropout")
    hidden = [f"{part}_{i}" for i in (1, 2) for part in parts]
    assert layer_names(model) == ["rescaling", "flatten", *hidden, "output"]
    first = model.get_layer("hidden_1")
    assert (first.units, model.get_layer("hidden_2").units) == (8, 4)
    assert first.activation is keras.activations.linear
    assert model.get_layer("activation_1").activation is keras.activations.tanh
    assert model.get_layer("dropout_2").rate == 0.25
    penalty = 0.5 * sum(
        np.sum(np.square(model.get_layer(f"hidden_{i}").kernel.numpy())) for i in (1, 2)
    )
    np.testing.assert_allclose(sum(float(loss) for loss in model.losses), penalty, rtol=1e-5)


@pytest.mark.parametrize(
    ("loss", "num_classes", "units", "activation"),
    [
        ("sparse_categorical_crossentropy", 2, 2, "softmax"),
        ("mse", 7, 7, "softmax"),
        ("binary_crossentropy", 2, 1, "sigmoid"),
    ],
)
def test_the_output_follows_from_classes_and_labels(compose, loss, num_classes, units, activation):
    output = build(compose(f"loss={loss}"), num_classes=num_classes).layers[-1]
    assert (output.units, output.activation.__name__) == (units, activation)


# Seeds.


def test_same_seed_gives_same_weights_whatever_was_built_or_drawn_before(compose):
    config = compose("seed=0")
    first = build(config)
    build(compose("seed=1", "architecture=cnn_small"))
    np.random.random(7)  # noqa: NPY002 - the state that must not matter
    keras.random.uniform((3,))
    second = build(config)
    np.testing.assert_array_equal(weights_of(first), weights_of(second))
    assert layer_names(first) == layer_names(second)


def test_another_seed_gives_other_weights_and_zero_is_one(compose):
    zero, one, largest = (weights_of(build(compose(f"seed={seed}"))) for seed in (0, 1, 2**32 - 1))
    assert not np.array_equal(zero, one)
    assert not np.array_equal(one, largest)


def test_the_seed_of_the_split_draws_no_weights(compose):
    weights = [weights_of(build(compose(f"split.seed={seed}"))) for seed in (0, 1)]
    np.testing.assert_array_equal(*weights)


# Optimizer, schedule, callbacks.


def test_the_optimizer_is_the_asked_for_and_ready(compose):
    model = build(compose("optimizer=nesterov", "optimizer.learning_rate=0.125"))
    assert isinstance(model.optimizer, keras.optimizers.SGD)
    assert float(model.optimizer.learning_rate) == 0.125
    assert (model.optimizer.momentum, model.optimizer.nesterov) == (0.9, True)
    assert model.optimizer.built


def test_a_setting_of_keras_that_no_yaml_has_can_be_added(compose):
    model = build(compose("+optimizer.clipnorm=1.5"))
    assert model.optimizer.clipnorm == 1.5


def test_a_schedule_without_steps_spans_the_whole_run(compose):
    config = compose("training/schedule=cosine", "optimizer.learning_rate=0.5")
    schedule = build(config, total_steps=40).optimizer._learning_rate
    # Half a cosine wave from the optimizer's learning rate to zero.
    assert [round(float(schedule(step)), 6) for step in (0, 20, 40)] == [0.5, 0.25, 0.0]


def test_a_schedule_with_steps_keeps_them(compose):
    config = compose(
        "training/schedule=exponential",
        "training.schedule.decay_steps=10",
        "optimizer.learning_rate=1",
    )
    schedule = build(config, total_steps=40).optimizer._learning_rate
    np.testing.assert_allclose([float(schedule(step)) for step in (0, 10, 20)], [1, 0.1, 0.01])


def test_a_cosine_after_a_warm_up_ends_with_the_run(compose):
    config = compose(
        "training/schedule=cosine",
        "optimizer.learning_rate=0.01",
        "training.schedule.initial_learning_rate=0.0",
        "+training.schedule.warmup_target=0.01",
        "+training.schedule.warmup_steps=10",
    )
    schedule = build(config, total_steps=40).optimizer._learning_rate
    # Up to the target in 10 steps, then half a cosine wave over the other 30.
    rates = [round(float(schedule(step)), 6) for step in (0, 10, 25, 40)]
    assert rates == [0.0, 0.01, 0.005, 0.0]


def test_a_warm_up_as_long_as_the_run_is_a_wrong_request(compose):
    config = compose(
        "training/schedule=cosine",
        "+training.schedule.warmup_target=0.01",
        "+training.schedule.warmup_steps=40",
    )
    with pytest.raises(RequestError, match="warmup_steps must be below the run's 40 steps, got 40"):
        build(config, total_steps=40)


def test_callbacks_are_made_with_early_stopping_first(compose):
    config = compose(
        "training/early_stopping=on",
        "training.early_stopping.patience=7",
        "+training.callbacks.plateau={_target_: keras.callbacks.ReduceLROnPlateau, factor: 0.5}",
    )
    stopping, plateau = models.callbacks(config)
    assert isinstance(stopping, keras.callbacks.EarlyStopping)
    assert stopping.patience == 7
    assert isinstance(plateau, keras.callbacks.ReduceLROnPlateau)
    assert plateau.factor == 0.5


# What Keras refuses.


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["architecture.activation=rellu"], ["architecture", "rellu"]),
        (["optimizer._target_=keras.optimizers.Adamm"], ["optimizer", "keras.optimizers.Adamm"]),
        (["+optimizer.tempo=1"], ["optimizer", "tempo"]),
        (["+loss.function.colour=red"], ["loss.function", "colour"]),
        (["training/schedule=cosine", "+training.schedule.x=1"], ["training.schedule", "x"]),
        (
            ["architecture=cnn_small", "architecture.layers=[]"],
            ["architecture=cnn_small", "flat layer", "(None, 8, 8, 10)"],
        ),
        (
            [
                "architecture=cnn_small",
                "architecture.layers=[{_target_: keras.layers.Conv2D, filters: 1, kernel_size: 9}]",
            ],
            ["architecture=cnn_small"],
        ),
        (
            ["architecture=cnn_small", "architecture.layers=[{_target_: keras.layers.Dens}]"],
            ["architecture", "keras.layers.Dens"],
        ),
    ],
)
def test_what_keras_refuses_is_a_wrong_request_that_names_the_setting(compose, overrides, parts):
    with pytest.raises(RequestError) as caught:
        build(compose(*overrides), image_shape=(8, 8))
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    for part in parts:
        assert part in message


def test_a_callback_that_keras_refuses_is_a_wrong_request(compose):
    config = compose("+training.callbacks.mine._target_=keras.callbacks.EarlyStoping")
    with pytest.raises(RequestError, match=r"training\.callbacks\.mine: .*EarlyStoping"):
        models.callbacks(config)


@pytest.mark.parametrize("image_shape", [(6, 6), (6, 6, 3)], ids=["grey", "colour"])
def test_augmentation_acts_in_training_only(compose, image_shape):
    images = np.random.default_rng(0).integers(0, 256, (4, *image_shape), dtype=np.uint8)
    plain = build(compose(), image_shape=image_shape)
    augmented = build(compose("training/augmentation=shift_rotate"), image_shape=image_shape)
    augmented.set_weights(plain.get_weights())
    np.testing.assert_array_equal(augmented(images, training=False), plain(images, training=False))
    assert not np.allclose(augmented(images, training=True), plain(images, training=True))


def test_augmentation_of_feature_vectors_is_a_wrong_request(compose):
    settings = compose("training/augmentation=shift_rotate")
    with pytest.raises(RequestError, match=r"training\.augmentation needs images.* 5 features"):
        check_values(settings, image_shape=(5,), value_type="float32")


def test_both_penalties_are_added_to_the_loss(compose):
    model = build(compose("architecture=dense", "architecture.l1=0.5", "architecture.l2=0.25"))
    kernel = model.get_layer("hidden").kernel.numpy()
    expected = 0.5 * np.abs(kernel).sum() + 0.25 * np.square(kernel).sum()
    np.testing.assert_allclose(sum(float(loss) for loss in model.losses), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("metric", "task", "mode"),
    [
        ("f1_macro", "classes", "max"),
        ("log_loss", "classes", "min"),
        ("rmse", "numbers", "min"),
        ("r2", "numbers", "max"),
    ],
)
def test_early_stopping_goes_by_the_direction_of_the_primary_metric(compose, metric, task, mode):
    config = compose("training/early_stopping=on", f"metrics=[{metric}]", task=task)
    (callback,) = models.callbacks(config)
    assert (callback.monitor, callback.mode) == (f"val_{metric}", mode)
    callback.set_model(keras.Sequential([keras.layers.Dense(1)]))
    callback.on_train_begin()
    better, worse = (2.0, 1.0) if mode == "max" else (1.0, 2.0)
    for epoch, value in enumerate([worse, better, worse, worse]):
        callback.on_epoch_end(epoch, {f"val_{metric}": value})
    assert callback.best_epoch == 1

"""One step of every operation, layer, activation, loss and optimizer, by Keras and in NumPy."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from fitgap.reference.activations import get_activation
from fitgap.reference.arrays import AnyArray
from fitgap.reference.batches import one_hot, to_channels_first
from fitgap.reference.layers import Dense, Flatten, Rescaling
from fitgap.training.engines.numpy_reference import network_of
from fitgap.training.engines.reference_settings import network
from fitgap_lab.verification import naive
from fitgap_lab.verification.checks import (
    ELEMENTWISE_BOUND,
    SUM_BOUND,
    StepCheck,
    relative_difference,
)
from fitgap_lab.verification.experiment import Experiment, named

if TYPE_CHECKING:
    import keras

ACTIVATIONS = ("linear", "relu", "sigmoid", "tanh", "softmax")


def operations(experiment: Experiment) -> Iterator[StepCheck]:
    """Compare the loops with `keras.ops`, on the first batch and its first dense layer."""
    from keras import ops

    images, labels = experiment.first_batch()
    x = Flatten().forward(Rescaling().forward(images))
    kernel, bias = experiment.build().get_weights()[:2]
    z = x @ kernel
    rng = np.random.default_rng(0)
    large = rng.standard_normal((64, 3, 32, 10), dtype=np.float32)
    small = rng.standard_normal((32, 10), dtype=np.float32)
    points = rng.standard_normal((100, 2), dtype=np.float32)
    offset = np.array([1, -2], dtype=np.float32)
    rotation = naive.rotation_matrix(np.pi / 6).astype(np.float32)
    scaling = naive.scaling_matrix(np.array([3, 0.5], dtype=np.float32))
    colour = rng.integers(0, 256, (8, 6, 5, 3), dtype=np.uint8)

    def check(name: str, ours: AnyArray | np.generic, theirs: Any, allowed: float) -> StepCheck:
        difference = relative_difference([np.asarray(ours)], [ops.convert_to_numpy(theirs)])
        return StepCheck("operation", name, difference, allowed)

    def affine(matrix: AnyArray) -> tuple[AnyArray, Any]:
        ours = naive.affine_transform(points, matrix=matrix, offset=offset)
        return ours, ops.add(ops.matmul(points, ops.transpose(matrix)), offset)

    yield check("relu", naive.relu(z), ops.relu(z), 0)
    yield check("addition", naive.add(z, bias + 1), ops.add(z, bias + 1), ELEMENTWISE_BOUND)
    yield check("maximum, broadcast", naive.maximum(large, small), ops.maximum(large, small), 0)
    yield check("vector . vector", naive.vector_dot(x[0], x[1]), ops.dot(x[0], x[1]), SUM_BOUND)
    product = naive.matrix_vector(kernel.T, x[0])
    yield check("matrix . vector", product, ops.matmul(kernel.T, x[0]), SUM_BOUND)
    yield check("matrix . matrix", naive.matrix_matrix(x, kernel), ops.matmul(x, kernel), SUM_BOUND)
    yield check("rotation", *affine(rotation), ELEMENTWISE_BOUND)
    yield check("scaling", *affine(scaling), ELEMENTWISE_BOUND)
    classes = experiment.dataset.num_classes
    yield check(
        "one-hot labels", one_hot(labels, num_classes=classes), ops.one_hot(labels, classes), 0
    )
    moved = ops.transpose(colour, (0, 3, 1, 2))
    yield check("channels first", to_channels_first(colour), moved, 0)


def layers(experiment: Experiment) -> Iterator[StepCheck]:
    """Compare outputs and all gradients of the layers, from the same upstream gradient."""
    import keras

    images, _ = experiment.first_batch()
    kernel, bias = experiment.build().get_weights()[:2]
    dense = keras.layers.Dense(len(bias))
    dense.build((None, len(kernel)))
    dense.set_weights([kernel, bias])
    flat = Flatten().forward(Rescaling().forward(images))
    cases = (
        ("rescaling", Rescaling(), keras.layers.Rescaling(1 / 255), images, ELEMENTWISE_BOUND),
        ("flatten", Flatten(), keras.layers.Flatten(), images.astype(np.float32), 0),
        ("dense", Dense(kernel, bias=bias), dense, flat, SUM_BOUND),
    )
    for name, own, other, x, allowed in cases:
        yield StepCheck("layer", name, _layer_difference(own, other, x), allowed)


def activations(experiment: Experiment) -> Iterator[StepCheck]:
    """Compare outputs and gradients, on what the first dense layer makes of a batch."""
    import keras

    images, _ = experiment.first_batch()
    kernel, bias = experiment.build().get_weights()[:2]
    z = Dense(kernel, bias=bias).forward(Flatten().forward(Rescaling().forward(images)))
    for name in ACTIVATIONS:
        difference = _layer_difference(get_activation(name), keras.layers.Activation(name), z)
        allowed = 0 if name in ("linear", "relu") else ELEMENTWISE_BOUND
        yield StepCheck("activation", name, difference, allowed)


def _layer_difference(own: Any, other: Any, x: AnyArray) -> float:
    """Compare y, dL/dx and each dL/dw, for the same x and dL/dy."""
    import tensorflow as tf

    given = tf.constant(x.astype(np.float32))
    with tf.GradientTape() as tape:
        tape.watch(given)
        theirs = other(given)
        watched = [given, *(variable.value for variable in other.trainable_variables)]
    y = own.forward(x)
    upstream = np.random.default_rng(0).standard_normal(y.shape, dtype=np.float32)
    gradients = tape.gradient(theirs, watched, output_gradients=tf.constant(upstream))
    ours = [
        y,
        own.input_gradient(upstream, inputs=x, outputs=y),
        *own.weight_gradients(upstream, inputs=x),
    ]
    return relative_difference(ours, [each.numpy() for each in (theirs, *gradients)])


def loss(experiment: Experiment) -> StepCheck:
    """Compare the loss and every weight's gradient, through the whole network."""
    model = experiment.build()
    ours = network_of(model, config=experiment.config)
    x, y = experiment.first_batch()
    values = ours.forward(x)
    own = [np.array(ours.loss_value(values, y=y)), *ours.gradients(values, y=y)]
    difference = relative_difference(own, _keras_loss_and_gradients(model, x, y))
    return StepCheck("loss", named(experiment.config), difference, SUM_BOUND)


def _keras_loss_and_gradients(model: "keras.Model", x: AnyArray, y: AnyArray) -> list[AnyArray]:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = model.compute_loss(x=x, y=tf.constant(y), y_pred=model(x, training=True))
    gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    return [loss.numpy(), *(gradient.numpy() for gradient in gradients)]


def optimizer(experiment: Experiment) -> StepCheck:
    """Compare one update by the same gradient: the weights after it, and the change itself.

    The change is made to weights of zero, where no rounding of the weights hides it; the real
    weights are there for the weight decay, which does nothing to zeros.
    """
    model = experiment.build()
    gradients = _keras_loss_and_gradients(model, *experiment.first_batch())[1:]
    weights = model.get_weights()
    differences = []
    for start in (weights, [np.zeros_like(weight) for weight in weights]):
        model = experiment.build()  # with an optimizer that has not stepped yet
        model.set_weights(start)
        model.optimizer.apply(gradients)
        own = [weight.copy() for weight in start]
        network(own, config=experiment.config).optimizer.apply(gradients, weights=own)
        differences.append(relative_difference(own, model.get_weights()))
    name = experiment.config.optimizer["name"]
    return StepCheck("optimizer", name, max(differences), ELEMENTWISE_BOUND)

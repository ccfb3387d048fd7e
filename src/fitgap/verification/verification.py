"""Keras against the NumPy reference: every operation once, then whole epochs of training.

**One step.** Both get the same inputs; the results may differ by float32 rounding only. What
works element by element may differ by 1e-6 of the largest element, what sums hundreds of
products by 1e-5: a float32 is rounded by up to 6e-8, a sum of 784 of them typically by
sqrt(784) times that.

**An epoch.** Both start from the same weights, see the same batches and feed every rounding
into the next step. A smooth network (sigmoid) forgives that: its weights must agree within
2e-5, some ten times what was measured. A relu network need not: where a unit's input is zero
but for rounding, one of the two lets the gradient pass and the other does not, and Adam's
division makes a small gradient that only one of them has as large as any other. So there is a
control, NumPy against itself from weights perturbed by 1e-5: enough that some decisions at the
kink surely flip. In a relu network Keras may differ from NumPy by three times the largest of
three controls, or by 2e-5 if that is more. With some optimizers that allows almost anything; it
is the smooth networks that check those.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from fitgap import config
from fitgap.config_schema import Config
from fitgap.data import datasets, splits
from fitgap.engine import backend, engines
from fitgap.engine.engines import EngineChoice
from fitgap.engine.reference_settings import network
from fitgap.errors import RequestError
from fitgap.evaluation import Partition, encode_labels, partition
from fitgap.reference import naive
from fitgap.reference.activations import get_activation
from fitgap.reference.arrays import AnyArray
from fitgap.reference.batches import one_hot, to_channels_first
from fitgap.reference.layers import Dense, Flatten, Rescaling

if TYPE_CHECKING:
    import keras

OPTIMIZERS = ("sgd", "momentum", "nesterov", "adagrad", "adadelta", "rmsprop", "adam", "adamw")
LOSSES = (
    "mse",
    "mae",
    "categorical_crossentropy",
    "sparse_categorical_crossentropy",
    "binary_crossentropy",
)
ACTIVATIONS = ("linear", "relu", "sigmoid", "tanh", "softmax")
SPARSE = "sparse_categorical_crossentropy"

# (activation, optimizer, loss) of every network that is trained for an epoch.
EPOCH_CASES = (
    *(("sigmoid", optimizer, SPARSE) for optimizer in OPTIMIZERS),
    *(("sigmoid", "sgd", loss) for loss in LOSSES if loss != SPARSE),
    *((activation, "sgd", SPARSE) for activation in ("tanh", "softmax", "linear")),
    *(("relu", optimizer, SPARSE) for optimizer in OPTIMIZERS),
    *(("relu", "sgd", loss) for loss in LOSSES if loss != SPARSE),
)

ELEMENTWISE_BOUND = 1e-6
SUM_BOUND = 1e-5
EPOCH_BOUND = 2e-5
PERTURBATION = 1e-5
CONTROL_FACTOR = 3

# Two classes that are easily confused, for the loss that knows no more.
_TWO_CLASSES = {"fashion_mnist": [0, 6], "digits": [3, 8]}

Arrays = Sequence[AnyArray]


@dataclass(frozen=True)
class StepCheck:
    """One operation, layer, activation, loss or optimizer, applied once by both.

    Attributes
    ----------
    kind, name
        What was compared.
    difference
        See `relative_difference`.
    allowed
        The largest difference that rounding explains.
    """

    kind: str
    name: str
    difference: float
    allowed: float

    @property
    def agrees(self) -> bool:
        """Whether the difference is within what is allowed; never so for NaN."""
        return self.difference <= self.allowed


@dataclass(frozen=True)
class EpochCheck:
    """One network, trained for an epoch by both.

    Attributes
    ----------
    activation, optimizer, loss
        Its hidden layer's activation and how it was trained.
    difference
        Between the final weights; see `relative_difference`.
    control
        The largest difference of NumPy against itself from perturbed weights.
    accuracy_numpy, accuracy_keras
        Over the validation partition.
    val_samples
        Its number of images.
    """

    activation: str
    optimizer: str
    loss: str
    difference: float
    control: float
    accuracy_numpy: float
    accuracy_keras: float
    val_samples: int

    @property
    def allowed(self) -> float:
        """The largest difference that rounding explains; a fixed bound but for relu."""
        if self.activation != "relu":
            return EPOCH_BOUND
        return max(EPOCH_BOUND, CONTROL_FACTOR * self.control)

    @property
    def agrees(self) -> bool:
        """Whether weights and accuracies are both within what is allowed.

        The accuracies may differ by an accuracy's largest standard error, 0.5 / sqrt(n).
        """
        apart = abs(self.accuracy_numpy - self.accuracy_keras)
        return self.difference <= self.allowed and apart <= 0.5 / self.val_samples**0.5


@dataclass(frozen=True)
class Verification:
    """All checks and what they ran on.

    Attributes
    ----------
    dataset, train_samples, batch_size
        Of the epochs.
    steps, epochs
        The checks.
    """

    dataset: str
    train_samples: int
    batch_size: int
    steps: tuple[StepCheck, ...]
    epochs: tuple[EpochCheck, ...]

    @property
    def agrees(self) -> bool:
        """Whether every check does."""
        return all(step.agrees for step in self.steps) and all(
            epoch.agrees for epoch in self.epochs
        )


def verify(
    *,
    dataset: str,
    train_samples: int | None = None,
    seed: int = 0,
    cases: Sequence[tuple[str, str, str]] = EPOCH_CASES,
    control_seeds: Sequence[int] = (1, 2, 3),
    show: Callable[[str], None] = lambda _: None,
) -> Verification:
    """Hold Keras against the reference, one step and one epoch at a time.

    Parameters
    ----------
    dataset : {"fashion_mnist", "digits"}
    train_samples
        How many images of the training partition the epochs see; None for all.
    seed
        Of initial weights and batch order.
    cases
        Which networks are trained for an epoch, each by (activation, optimizer, loss).
    control_seeds
        Of the controls' perturbations; at least one.
    show
        Called with a phrase for what comes next.

    Raises
    ------
    RequestError
        If the dataset is not to be had.
    """
    backend.start(1)
    with initialize_config_dir(str(config.CONFIG_DIR), version_base="1.3"):
        base = config.from_hydra(compose("train", [f"dataset={dataset}", f"seed={seed}"]))
    make = partial(_Experiment, base, train_samples=train_samples)
    show("one step of each")
    first = make()
    steps = (
        *_operations(first),
        *_layers(first),
        *_activations(first),
        *(_loss(make(loss=loss)) for loss in LOSSES),
        *(_optimizer(make(optimizer=optimizer)) for optimizer in OPTIMIZERS),
    )
    epochs = []
    for activation, optimizer, loss in cases:
        show(f"an epoch: {activation}, {optimizer}, {loss}")
        experiment = make(activation=activation, optimizer=optimizer, loss=loss)
        epochs.append(_epoch(experiment, control_seeds=control_seeds))
    return Verification(
        dataset=dataset,
        train_samples=len(first.train),
        batch_size=first.config.training.batch_size,
        steps=steps,
        epochs=tuple(epochs),
    )


def relative_difference(ours: Arrays, theirs: Arrays) -> float:
    """Return the largest difference of two lists of arrays, each relative to its own size.

    Per array: the largest absolute difference, divided by the largest absolute element of
    ``theirs`` (undivided where that is 0). Element by element it would say nothing where a sum
    cancels to nearly zero.

    >>> relative_difference([np.array([1.0, 0.0])], [np.array([2.0, 0.5])])
    0.5
    """
    differences = []
    for own, other in zip(ours, theirs, strict=True):
        if own.shape != other.shape:
            raise ValueError(f"arrays of one shape are compared, got {own.shape}, {other.shape}")
        largest = float(np.abs(own.astype(np.float64) - other).max())
        size = float(np.abs(other).max())
        differences.append(largest / size if size else largest)
    return float(np.max(differences))  # Python's max() could lose a NaN


class _Experiment:
    """The settings of one comparison, from the project's own ``conf/``, and its data."""

    def __init__(
        self,
        base: Config,
        *,
        train_samples: int | None,
        activation: str = "relu",
        optimizer: str = "sgd",
        loss: str = SPARSE,
    ) -> None:
        plain = config.to_plain(base)
        plain["architecture"] |= {"units": [100], "activation": activation}
        plain |= {"optimizer": _option("optimizer", optimizer), "loss": _option("loss", loss)}
        if loss == "binary_crossentropy":
            plain["dataset"]["classes"] = _TWO_CLASSES[base.dataset.name]
        self.config = config.from_plain(plain)
        self.dataset = datasets.load(self.config.dataset)
        split = splits.split(
            self.dataset.y_train, self.config.split, num_classes=self.dataset.num_classes
        )
        parts = partition(self.dataset, split)
        if parts.val is None:
            raise RequestError("split=none leaves no images to score; use split=holdout")
        self.train = Partition(parts.train.x[:train_samples], parts.train.y[:train_samples])
        self.val = parts.val

    def build(self) -> "keras.Model":
        from fitgap import models

        return models.build(
            self.config,
            image_shape=self.dataset.image_shape,
            num_classes=self.dataset.num_classes,
            total_steps=1,  # no schedule looks at it
        )

    def first_batch(self) -> tuple[AnyArray, AnyArray]:
        """Return uint8 images and the labels in the form that the loss takes."""
        n = self.config.training.batch_size
        units = 1 if self.config.loss.labels == "binary" else self.dataset.num_classes
        y = encode_labels(self.train.y[:n], self.config.loss.labels, num_classes=units)
        return self.train.x[:n], y


def _option(group: str, name: str) -> dict[str, Any]:
    """Read one option of a group; those asked for here hold nothing that Hydra must compose."""
    read = OmegaConf.to_container(OmegaConf.load(config.CONFIG_DIR / group / f"{name}.yaml"))
    return cast(dict[str, Any], read)


def _epoch(experiment: _Experiment, *, control_seeds: Sequence[int]) -> EpochCheck:
    model = experiment.build()
    initial = model.get_weights()
    theirs, accuracy_keras = _train_epoch("compiled", model, experiment)
    model.set_weights(initial)
    ours, accuracy_numpy = _train_epoch("numpy", model, experiment)
    controls = []
    for seed in control_seeds:
        rng = np.random.default_rng(seed)
        model.set_weights([w * (1 + PERTURBATION * rng.standard_normal(w.shape)) for w in initial])
        controls.append(relative_difference(_train_epoch("numpy", model, experiment)[0], ours))
    settings = experiment.config
    return EpochCheck(
        activation=settings.architecture["activation"],
        optimizer=settings.optimizer["name"],
        loss=settings.loss.name,
        difference=relative_difference(ours, theirs),
        control=max(controls),
        accuracy_numpy=accuracy_numpy,
        accuracy_keras=accuracy_keras,
        val_samples=len(experiment.val),
    )


def _train_epoch(
    engine_name: str, model: "keras.Model", experiment: _Experiment
) -> tuple[list[AnyArray], float]:
    """Return weights and validation accuracy after an engine's epoch from the model's weights.

    ``compiled`` without XLA calls Keras's own train step for every batch, as ``model.fit`` does.
    """
    from fitgap import training

    choice = EngineChoice(engine_name, xla=False, reason="verification")
    engine = engines.make(
        choice, model=model, train=experiment.train, config=experiment.config, callbacks=()
    )
    seed = experiment.config.seed
    engine.run_epoch(training.batch_order(len(experiment.train), seed=seed, epoch=1))
    return engine.model.get_weights(), engine.evaluate(experiment.val).accuracy


def _operations(experiment: _Experiment) -> Iterator[StepCheck]:
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


def _layers(experiment: _Experiment) -> Iterator[StepCheck]:
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


def _activations(experiment: _Experiment) -> Iterator[StepCheck]:
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


def _loss(experiment: _Experiment) -> StepCheck:
    """Compare the loss and every weight's gradient, through the whole network."""
    model = experiment.build()
    ours = network(model.get_weights(), config=experiment.config)
    x, y = experiment.first_batch()
    values = ours.forward(x)
    own = [np.array(ours.loss_value(values, y=y)), *ours.gradients(values, y=y)]
    difference = relative_difference(own, _keras_loss_and_gradients(model, x, y))
    return StepCheck("loss", experiment.config.loss.name, difference, SUM_BOUND)


def _keras_loss_and_gradients(model: "keras.Model", x: AnyArray, y: AnyArray) -> list[AnyArray]:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = model.compute_loss(x=x, y=tf.constant(y), y_pred=model(x, training=True))
    gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    return [loss.numpy(), *(gradient.numpy() for gradient in gradients)]


def _optimizer(experiment: _Experiment) -> StepCheck:
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

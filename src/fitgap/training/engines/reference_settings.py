"""From an experiment's settings to the reference's network, or to the setting it does not know.

Nothing here imports TensorFlow: what `training.engine=numpy` cannot train is refused before that
takes its seconds.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fitgap.config.checks import require
from fitgap.config.schema import Config, TableConfig
from fitgap.config.tasks import task_of
from fitgap.errors import RequestError
from fitgap.reference.activations import get_activation
from fitgap.reference.arrays import AnyArray
from fitgap.reference.layers import Dense, Flatten, Layer, Rescaling
from fitgap.reference.losses import Loss, get_loss
from fitgap.reference.network import Network
from fitgap.reference.optimizers import Optimizer, make_optimizer

_UNDER = "under training.engine=numpy"

_LOSSES = {
    "keras.losses.MeanSquaredError": "mse",
    "keras.losses.MeanAbsoluteError": "mae",
    "keras.losses.CategoricalCrossentropy": "categorical_crossentropy",
    "keras.losses.SparseCategoricalCrossentropy": "sparse_categorical_crossentropy",
    "keras.losses.BinaryCrossentropy": "binary_crossentropy",
}
_OPTIMIZERS = {
    "keras.optimizers.SGD": "sgd",
    "keras.optimizers.Adagrad": "adagrad",
    "keras.optimizers.Adadelta": "adadelta",
    "keras.optimizers.RMSprop": "rmsprop",
    "keras.optimizers.Adam": "adam",
    "keras.optimizers.AdamW": "adamw",
}
# Keras's own callbacks that act between two batches. The engine looks at any others once they
# are instantiated.
BATCH_CALLBACKS = (
    "keras.callbacks.BackupAndRestore",
    "keras.callbacks.ModelCheckpoint",
    "keras.callbacks.OrbaxCheckpoint",
    "keras.callbacks.ProgbarLogger",
    "keras.callbacks.TensorBoard",
    "keras.callbacks.TerminateOnNaN",
)


def check(config: Config) -> None:
    """Check that the reference can train an experiment, as far as its settings tell.

    Raises
    ------
    RequestError
        Naming the first setting that it does not know.
    """
    _check_architecture(config.architecture)
    _loss(config)
    _optimizer(config.optimizer)
    if isinstance(config.dataset, TableConfig):
        for setting in ("embed", "text"):
            value = getattr(config.dataset, setting)
            require(f"dataset.{setting}", value, f"null {_UNDER}", when=not value)
    for key, plain in (("class_weight", None), ("precision", "float32")):
        value = getattr(config.training, key)
        require(f"training.{key}", value, f"{plain or 'null'} {_UNDER}", when=value == plain)
    augmentation = list(config.training.augmentation)
    allowed = f"empty {_UNDER}"
    require("training.augmentation", augmentation, allowed, when=not augmentation)
    for key, node in config.training.callbacks.items():
        target = node["_target_"]
        acts_between_epochs = target not in BATCH_CALLBACKS
        allowed = f"a callback that acts between epochs {_UNDER}"
        require(f"training.callbacks.{key}", target, allowed, when=acts_between_epochs)


def network(
    weights: Sequence[AnyArray],
    *,
    config: Config,
    scaling: Layer | None = None,
    units: Layer | None = None,
) -> Network:
    """Make the reference's network of an experiment.

    Parameters
    ----------
    weights
        Kernel and bias of each dense layer in turn, as ``keras.Model.get_weights`` gives them.
    config
        The experiment; its architecture, loss and optimizer are used.
    scaling
        What raw features go through first; None: images are divided by 255.
    units
        What gives numbers in the units of the target; None: the head does.

    Raises
    ------
    RequestError
        If the reference does not know one of these.
    """
    _check_architecture(config.architecture)
    kernels, biases = weights[::2], weights[1::2]
    output = "sigmoid" if config.loss.labels == "binary" else task_of(config).activation
    activations = [config.architecture["activation"]] * (len(kernels) - 1) + [output]
    layers: list[Layer] = [scaling or Rescaling(), Flatten()]
    for kernel, bias, activation in zip(kernels, biases, activations, strict=True):
        layers += [Dense(kernel, bias=bias), get_activation(activation)]
    layers += [units] if units else []
    return Network(layers, loss=_loss(config), optimizer=_optimizer(config.optimizer))


def _check_architecture(architecture: Mapping[str, Any]) -> None:
    target = architecture["_target_"]
    if target != "fitgap.models.dense":
        require("architecture", target, f"fitgap.models.dense {_UNDER}", when=False)
    for key in ("batch_norm", "dropout", "l1", "l2"):
        value = architecture.get(key, 0)
        require(f"architecture.{key}", value, f"off (0 or false) {_UNDER}", when=not value)
    try:
        get_activation(architecture["activation"])
    except ValueError as error:
        raise RequestError(f"architecture.activation {_UNDER}: {error}") from error


def _loss(config: Config) -> Loss:
    function, labels = config.loss.function, config.loss.labels
    target = str(function.get("_target_"))
    allowed = f"{', '.join(_LOSSES)} {_UNDER}"
    require("loss.function._target_", target, f"one of {allowed}", when=target in _LOSSES)
    for key in sorted(set(function) - {"_target_", "name"}):
        require(f"loss.function.{key}", function[key], f"left out {_UNDER}", when=False)
    is_sparse = target == "keras.losses.SparseCategoricalCrossentropy"
    allowed = f"{'integer' if is_sparse else 'all but integer'} for {target}"
    require("loss.labels", labels, allowed, when=(labels == "integer") == is_sparse)
    return get_loss(_LOSSES[target])


def _optimizer(node: Mapping[str, Any]) -> Optimizer:
    target = str(node["_target_"])
    allowed = f"{', '.join(_OPTIMIZERS)} {_UNDER}"
    require("optimizer._target_", target, f"one of {allowed}", when=target in _OPTIMIZERS)
    # None is Keras's word for a setting that is off.
    settings = {
        key: value
        for key, value in node.items()
        if key not in ("_target_", "name") and value is not None
    }
    try:
        return make_optimizer(_OPTIMIZERS[target], **settings)
    except ValueError as error:
        raise RequestError(f"optimizer={node['name']} {_UNDER}: {error}") from error

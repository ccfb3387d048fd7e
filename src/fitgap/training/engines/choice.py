"""Which way a network is trained: the rule, and the one seam that all ways share.

An engine runs one epoch over a given order of the training images and evaluates a partition;
the loop around it (`fitgap.training.loop`) is the same for all. The choice is a rule over the
settings and the size of the data, never a timing: the ways round differently, and the same
settings must give the same bits. docs/ENGINES.md holds the measurements behind the rule.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fitgap.config.schema import Config, TrainingConfig
from fitgap.data.datasets import Images
from fitgap.data.splits import Indices
from fitgap.evaluation.scores import Partition, Scores
from fitgap.training.engines import reference_settings

if TYPE_CHECKING:
    import keras


class Engine(Protocol):
    """One way to train a compiled Keras model."""

    model: "keras.Model"

    def run_epoch(self, order: Indices) -> Scores:
        """Take one pass over the training partition and return Keras's running averages.

        Parameters
        ----------
        order
            int32 permutation of the training partition's images; batches are its slices, the
            last one smaller where the batch size does not divide it.
        """

    def evaluate(self, partition: Partition) -> Scores:
        """Score the present weights over a whole partition, in inference mode."""

    def state(self) -> list[NDArray[Any]]:
        """Return all that further training depends on: weights, optimizer, random states."""

    def set_state(self, state: Sequence[NDArray[Any]]) -> None:
        """Go back to what `state` returned at some time."""

    def predict(self, x: Images) -> NDArray[np.float32]:
        """Return the classes' probabilities for uint8 images; shape (n, num_classes)."""


@dataclass(frozen=True)
class EngineChoice:
    """The engine of a run and why it is the one.

    Attributes
    ----------
    name
        ``compiled``, ``fit`` or ``numpy``.
    xla
        Whether the compiled epoch goes through XLA; False for the others.
    reason
        One phrase for the log.
    """

    name: str
    xla: bool
    reason: str


# Layers measured inside the compiled epoch. XLA on a CPU is slow where its loop draws random
# numbers or convolves; every other layer is faster with it.
_XLA_LAYERS = {
    "Activation",
    "BatchNormalization",
    "Dense",
    "ELU",
    "Flatten",
    "LayerNormalization",
    "LeakyReLU",
    "PReLU",
    "ReLU",
    "Reshape",
    "Softmax",
    "UnitNormalization",
}
_PLAIN_LAYERS = {
    "AlphaDropout",
    "AveragePooling2D",
    "Conv2D",
    "DepthwiseConv2D",
    "Dropout",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling2D",
    "MaxPooling2D",
    "RandomContrast",
    "RandomFlip",
    "RandomRotation",
    "RandomTranslation",
    "RandomZoom",
    "SeparableConv2D",
    "SpatialDropout2D",
    "ZeroPadding2D",
}
# Callbacks that act between epochs only; the compiled epoch has no place between two batches.
_EPOCH_CALLBACKS = {"CSVLogger", "EarlyStopping", "LearningRateScheduler", "ReduceLROnPlateau"}


def choose(config: Config, *, image_bytes: int) -> EngineChoice:
    """Choose the engine by rule.

    Parameters
    ----------
    config
        The experiment; ``training.engine`` and ``training.xla`` override the rule.
    image_bytes
        Size of all partitions' images in bytes.

    Returns
    -------
    EngineChoice

    Raises
    ------
    RequestError
        If ``training.engine=numpy`` cannot train the network that is asked for.
    """
    training = config.training
    if training.engine == "numpy":
        reference_settings.check(config)
    if training.engine in ("fit", "numpy"):
        return EngineChoice(training.engine, xla=False, reason=f"training.engine={training.engine}")
    layers = _layer_names(config)
    if training.engine == "auto":
        if image_bytes > training.memory_limit_mb * 2**20:
            megabytes = image_bytes / 2**20
            return EngineChoice(
                "fit",
                xla=False,
                reason=f"images of {megabytes:.0f} MB exceed "
                f"training.memory_limit_mb={training.memory_limit_mb}: streamed",
            )
        unknown = sorted(layers - _XLA_LAYERS - _PLAIN_LAYERS) + sorted(
            _callback_names(training) - _EPOCH_CALLBACKS
        )
        if unknown and training.xla is None:
            return EngineChoice(
                "fit", xla=False, reason=f"{unknown[0]} is not known to compile: model.fit"
            )
    if training.xla is not None:
        return EngineChoice("compiled", xla=training.xla, reason=f"training.xla={training.xla}")
    slow = sorted(layers - _XLA_LAYERS)
    if slow:
        return EngineChoice("compiled", xla=False, reason=f"{slow[0]} is slow in XLA's loop")
    return EngineChoice("compiled", xla=True, reason="every layer is fast in XLA's loop")


def make(
    choice: EngineChoice,
    *,
    model: "keras.Model",
    train: Partition,
    config: Config,
    callbacks: "Sequence[keras.callbacks.Callback]",
) -> Engine:
    """Return the chosen engine, ready for its first epoch.

    Raises
    ------
    RequestError
        If the chosen engine cannot serve a callback of the settings.
    """
    if choice.name == "numpy":
        from fitgap.training.engines.numpy_reference import NumpyEngine

        return NumpyEngine(model, train=train, config=config, callbacks=callbacks)
    if choice.name == "fit":
        from fitgap.training.engines.keras_fit import FitEngine

        return FitEngine(model, train=train, config=config, callbacks=callbacks)
    from fitgap.training.engines.compiled import CompiledEngine

    return CompiledEngine(model, train=train, config=config, xla=choice.xla, callbacks=callbacks)


def _layer_names(config: Config) -> set[str]:
    architecture = config.architecture
    augmentation = {
        _short_name(str(node["_target_"])) for node in config.training.augmentation.values()
    }
    if architecture["_target_"] == "fitgap.models.dense":
        used = {"Dense"} | augmentation
        used |= {"Dropout"} if architecture["dropout"] else set()
        used |= {"BatchNormalization"} if architecture["batch_norm"] else set()
        return used
    layers = architecture.get("layers", [])
    if not layers:
        return {str(architecture["_target_"])} | augmentation
    return {_short_name(str(layer.get("_target_"))) for layer in layers} | augmentation


def _callback_names(training: TrainingConfig) -> set[str]:
    nodes = list(training.callbacks.values())
    if training.early_stopping:
        nodes.append(training.early_stopping)
    return {_short_name(str(node["_target_"])) for node in nodes}


def _short_name(target: str) -> str:
    """Return Keras's own name of a class, or the whole path of any other."""
    for prefix in ("keras.layers.", "keras.callbacks."):
        if target.startswith(prefix):
            return target.removeprefix(prefix)
    return target

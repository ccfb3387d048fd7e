"""Which engine trains a network: the rule, and the interface that all engines share.

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
from fitgap.evaluation.scores import Partition, Scores, encode_labels

if TYPE_CHECKING:
    import keras


class Engine(Protocol):
    """One way to train a compiled Keras model."""

    model: "keras.Model"

    def run_epoch(self, order: Indices) -> Scores:
        """Take one pass over the training partition and return Keras's running averages.

        They are of the loss, and of the metrics that Keras computes along with it.

        Parameters
        ----------
        order
            int32 permutation of the training partition's images; batches are its slices, the
            last one smaller where the batch size does not divide it.
        """

    def evaluate(self, partition: Partition) -> Scores:
        """Score the present weights over a whole partition, in inference mode.

        The loss, and the metrics that are computed along with it; the others follow from
        `predict`.
        """

    def state(self) -> list[NDArray[Any]]:
        """Return all that further training depends on: weights, optimizer, random states."""

    def set_state(self, state: Sequence[NDArray[Any]]) -> None:
        """Restore what `state` returned at an earlier time."""

    def predict(self, x: Images) -> NDArray[np.float32]:
        """Return probabilities or numbers, as `fitgap.evaluation.scores.network_outputs` does."""


@dataclass(frozen=True)
class EngineChoice:
    """The engine of a run and why it is the one.

    Attributes
    ----------
    name
        ``compiled``, ``fit`` or ``numpy``; ``auto`` where the built model's layers decide.
    xla
        Whether the compiled epoch goes through XLA; False for the others. None where the built
        model's layers decide: `resolve` does it then.
    reason
        In plain words how a run is trained and, if that is not obvious, why.
    """

    name: str
    xla: bool | None
    reason: str


# Layers measured inside the compiled epoch. XLA on a CPU is slow where its loop draws random
# numbers or convolves; every other layer is faster with it.
_XLA_LAYERS = {
    "Activation", "Add", "Average", "BatchNormalization", "Bidirectional", "Cast", "Concatenate",
    "Dense", "ELU", "Embedding", "Flatten", "GRU", "GetItem", "GlobalAveragePooling1D",
    "InputLayer", "LSTM", "LayerNormalization", "LeakyReLU", "Maximum", "Minimum",
    "MultiHeadAttention", "Multiply", "Normalization", "PReLU", "Permute", "ReLU", "Rescaling",
    "Reshape", "SimpleRNN", "Softmax", "Subtract", "UnitNormalization",
}  # fmt: skip
_PLAIN_LAYERS = {
    "AlphaDropout", "AveragePooling1D", "AveragePooling2D", "Conv1D", "Conv2D", "DepthwiseConv2D",
    "Dropout", "GaussianDropout", "GaussianNoise", "GlobalAveragePooling2D", "GlobalMaxPooling1D",
    "GlobalMaxPooling2D", "MaxPooling1D", "MaxPooling2D", "RandomContrast", "RandomFlip",
    "RandomRotation", "RandomTranslation", "RandomZoom", "SeparableConv2D", "SpatialDropout2D",
    "ZeroPadding2D",
}  # fmt: skip
_DROPS = ("dropout", "recurrent_dropout")  # settings by which other layers drop at random
_CELLS = ("GRUCell", "LSTMCell", "SimpleRNNCell")  # each within the layer of its name
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
        If ``training.engine=numpy`` cannot train the requested network.
    """
    training = config.training
    if training.engine == "numpy":
        from fitgap.training.engines import reference_settings

        reference_settings.check(config)
    if training.engine in ("fit", "numpy"):
        how = "Keras's model.fit" if training.engine == "fit" else "NumPy"
        reason = f"{how} (training.engine={training.engine})"
        return EngineChoice(training.engine, xla=False, reason=reason)
    if training.engine == "auto" and image_bytes > training.memory_limit_mb * 2**20:
        return EngineChoice(
            "fit",
            xla=False,
            reason=f"Keras's model.fit, streamed: data of {image_bytes / 2**20:.0f} MB exceed "
            f"training.memory_limit_mb={training.memory_limit_mb}",
        )
    layers, callbacks = _layer_names(config), _callback_names(training)
    if layers is None or any("." in name for name in callbacks):
        if training.xla is not None:
            return _as_set(training.xla)
        reason = "compiled or model.fit, by the layers of the built model"
        return EngineChoice(training.engine, xla=None, reason=reason)
    return _by_rule(training, layers, sorted(callbacks - _EPOCH_CALLBACKS))


def resolve(
    choice: EngineChoice,
    *,
    model: "keras.Model",
    config: Config,
    callbacks: "Sequence[keras.callbacks.Callback]",
) -> EngineChoice:
    """Return the final choice, once the model is built.

    A choice is first made without the model. If the model's layers matter for it, its ``xla`` is
    None until now.

    Parameters
    ----------
    choice
        Made without the model.
    model
        As built and compiled.
    config
        Of the experiment.
    callbacks
        The experiment's own. One that acts on batches needs ``model.fit``.
    """
    if choice.xla is not None:
        return choice
    from fitgap.training.engines.keras_fit import acts_on_batches

    on_batches = [type(each).__name__ for each in callbacks if acts_on_batches(each)]
    return _by_rule(config.training, layers_of(model), on_batches)


def _by_rule(
    training: TrainingConfig, layers: set[str], batch_callbacks: Sequence[str]
) -> EngineChoice:
    if training.xla is not None:
        return _as_set(training.xla)
    unknown = [*sorted(layers - _XLA_LAYERS - _PLAIN_LAYERS), *batch_callbacks]
    if unknown and training.engine == "auto":
        reason = f"Keras's model.fit, since {unknown[0]} is not known to compile"
        return EngineChoice("fit", xla=False, reason=reason)
    slow = sorted(layers - _XLA_LAYERS)
    if slow:
        reason = f"compiled without XLA, which is slow for {slow[0]}"
        return EngineChoice("compiled", xla=False, reason=reason)
    return EngineChoice("compiled", xla=True, reason="compiled with XLA")


def _as_set(xla: bool) -> EngineChoice:
    how = "with" if xla else "without"
    return EngineChoice("compiled", xla=xla, reason=f"compiled {how} XLA (training.xla={xla})")


def is_fast_in_xla(model: "keras.Model") -> bool:
    """Tell whether every layer of a built model was measured to be fast in XLA's loop."""
    return layers_of(model) <= _XLA_LAYERS


def layers_of(model: "keras.Model") -> set[str]:
    """Return the kinds of layers that a model consists of, however it was made.

    Models within models, and what a wrapper wraps, are looked into. Keras's layers and operations
    go by their class's name; a class that is not Keras's, and whose inside nobody can see, by its
    whole path.
    """
    import keras

    found: set[str] = set()
    for part in getattr(model, "operations", None) or model.layers:
        kind = type(part)
        if kind is keras.Sequential or kind.__name__ == "Functional":
            found |= layers_of(part)
        elif kind.__module__.startswith("keras."):
            found.add(kind.__name__)
            if any(getattr(part, name, 0) for name in _DROPS):
                found.add("Dropout")
            wrapped = [vars(part).get(name) for name in ("layer", "forward_layer", "cell")]
            for each in wrapped:
                if isinstance(each, keras.Model):
                    found |= layers_of(each)
                elif isinstance(each, keras.layers.Layer) and _kind(each) not in _CELLS:
                    found.add(_kind(each))
        else:
            found.add(_kind(part))
    return found


def _kind(part: Any) -> str:
    kind = type(part)
    is_of_keras = kind.__module__.startswith("keras.")
    return kind.__name__ if is_of_keras else f"{kind.__module__}.{kind.__qualname__}"


def make(
    choice: EngineChoice,
    *,
    model: "keras.Model",
    train: Partition,
    config: Config,
    callbacks: "Sequence[keras.callbacks.Callback]",
) -> Engine:
    """Return the chosen engine, ready for its first epoch.

    Parameters
    ----------
    choice
        As `resolve` returned it.
    model
        As built and compiled.
    train
        The training partition.
    config
        Of the experiment.
    callbacks
        The experiment's own, of the settings.

    Raises
    ------
    RequestError
        If the loss fails on the targets, or the engine cannot serve a callback of the settings.
    """
    from fitgap.models import build

    units = model.output_shape[-1]
    build.try_loss(model, config, encode_labels(train.y[:2], config.loss.labels, num_classes=units))
    if choice.name == "numpy":
        from fitgap.training.engines.numpy_reference import NumpyEngine

        return NumpyEngine(model, train=train, config=config, callbacks=callbacks)
    if choice.name == "fit":
        from fitgap.training.engines.keras_fit import FitEngine

        return FitEngine(model, train=train, config=config, callbacks=callbacks)
    from fitgap.training.engines.compiled import CompiledEngine

    xla = bool(choice.xla)
    return CompiledEngine(model, train=train, config=config, xla=xla, callbacks=callbacks)


def _layer_names(config: Config) -> set[str] | None:
    """Return the kinds of layers that the settings name; None where only the model can tell."""
    architecture = config.architecture
    used = {_short_name(str(node["_target_"])) for node in config.training.augmentation.values()}
    if architecture["_target_"] == "fitgap.models.dense":
        used |= {"Dense"}
        used |= {"Dropout"} if architecture["dropout"] else set()
        used |= {"BatchNormalization"} if architecture["batch_norm"] else set()
    elif architecture["_target_"] == "fitgap.models.sequential":
        used |= {_short_name(str(layer.get("_target_"))) for layer in architecture["layers"]}
    else:
        return None
    return used if used <= _XLA_LAYERS | _PLAIN_LAYERS else None


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

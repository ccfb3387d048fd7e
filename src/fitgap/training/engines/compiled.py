"""The engine ``compiled``: a whole epoch in one compiled function around Keras's train step.

``model.fit`` spends most of a small network's time between the steps, not in them. Here the
training partition stays in memory as uint8, and one ``tf.function`` gathers each batch by index
and calls Keras's own ``train_step`` on it, for all batches of the epoch. Model, loss, optimizer
and metrics are Keras's objects; none of their mathematics is written again.
"""

import inspect
import json
import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from weakref import WeakKeyDictionary

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from fitgap.config.schema import Config
from fitgap.config.tasks import compiled_metrics, task_of
from fitgap.data.datasets import Images, Labels
from fitgap.data.splits import Indices
from fitgap.evaluation.scores import (
    Partition,
    Scores,
    encode_labels,
    evaluation_batch,
    network_outputs,
)
from fitgap.models import build, embeddings
from fitgap.training.engines.keras_fit import refuse_acting_on_batches
from fitgap.training.engines.keras_state import KerasState

Metrics = dict[str, tf.Tensor]
Arrays = tuple[tf.Tensor, tf.Tensor]
Step = Callable[[tf.Tensor, Any], None]  # takes a batch's first position and its size

# Compiled programs are kept for later runs of this process: those of a sweep that differ in seed
# or learning rate share one. TensorFlow gives back nothing of a compiled graph (3 MB for a small
# one, 9 with XLA), so only the models that go with them are worth a limit.
_MAX_MODEL_BYTES = 2**28


@dataclass(frozen=True)
class _Program:
    """A model together with the functions compiled around it."""

    model: keras.Model
    run_epoch: Callable[[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor | None], Metrics]
    evaluate: Callable[[tf.Tensor, tf.Tensor], Metrics]
    predict: Callable[[tf.Tensor], tf.Tensor]


_programs: OrderedDict[str, _Program] = OrderedDict()
_resident: WeakKeyDictionary[Partition, dict[str, Arrays]] = WeakKeyDictionary()


class CompiledEngine(KerasState):
    """Train by one compiled function per epoch.

    Parameters
    ----------
    model
        Compiled by Keras and freshly built; its initial state is what training starts from.
        ``self.model`` is the one that learns: an equal one of an earlier run of this process
        where its compiled functions can be used again.
    train
        The training partition; it is kept in memory as a tensor.
    config
        The experiment.
    xla
        Whether XLA compiles the functions.
    callbacks
        Those of the run; none may act between batches.

    Raises
    ------
    RequestError
        If a callback acts between batches.
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        train: Partition,
        config: Config,
        xla: bool,
        callbacks: Sequence[keras.callbacks.Callback],
    ) -> None:
        refuse_acting_on_batches(callbacks, engine="compiled")
        self._config = config
        self._train = train
        self._program = _program(model, config, xla=xla)
        self.model = self._program.model

    def run_epoch(self, order: Indices) -> Scores:
        """See `fitgap.training.engines.choice.Engine`."""
        x, y = self._arrays(self._train)
        weights = self._train.weights
        w = None if weights is None else tf.constant(weights)
        return _scores(self._program.run_epoch(x, y, tf.constant(order, tf.int32), w))

    def evaluate(self, partition: Partition) -> Scores:
        """See `fitgap.training.engines.choice.Engine`."""
        return _scores(self._program.evaluate(*self._arrays(partition)))

    def predict(self, x: Images) -> NDArray[np.float32]:
        """See `fitgap.training.engines.choice.Engine`."""
        size = evaluation_batch(x.shape[1:])
        batches = (x[start : start + size] for start in range(0, len(x), size))
        outputs = [self._program.predict(batch).numpy() for batch in batches]
        return network_outputs(np.concatenate(outputs), self._config.loss.labels)

    def _arrays(self, partition: Partition) -> Arrays:
        """Return a partition as tensors, made once for all runs of this process."""
        by_format = _resident.setdefault(partition, {})
        label_format = self._config.loss.labels
        if label_format not in by_format:
            labels = _labels(self.model, partition.y, self._config)
            by_format[label_format] = tf.constant(np.asarray(partition.x)), labels
        return by_format[label_format]


def _program(model: keras.Model, config: Config, *, xla: bool) -> _Program:
    """Return the compiled functions for a model, from an earlier run where the graph is equal.

    Seed and learning rate live in variables, not in the graph: a run that differs in nothing
    else starts by copying its initial state into the earlier run's model.
    """
    key = _graph_key(model, config, xla=xla)
    program = _programs.get(key)
    if program is None:
        program = _programs[key] = _compile(model, config, xla=xla)
        while len(_programs) > 1 and _model_bytes() > _MAX_MODEL_BYTES:
            _programs.popitem(last=False)
    else:
        _programs.move_to_end(key)
        for kept, fresh in zip(build.state(program.model), build.state(model), strict=True):
            kept.assign(fresh)
        program.model.stop_training = False
    return program


def _model_bytes() -> int:
    """Return what weights, optimizers and metrics of all kept models take."""
    variables = [v for program in _programs.values() for v in build.state(program.model)]
    return sum(math.prod(v.shape) * tf.as_dtype(v.dtype).size for v in variables)


def _graph_key(model: keras.Model, config: Config, *, xla: bool) -> str:
    optimizer = dict(config.optimizer)
    if not config.training.schedule:
        optimizer.pop("learning_rate", None)
    settings = {
        "architecture": _architecture_key(model, config.architecture),
        "shapes": [model.input_shape, model.output_shape],
        # Constants of the training partition's features, and how many categories it has.
        "scaling": [
            layer.get_config()
            for layer in model.layers[:3]
            if isinstance(layer, keras.layers.Rescaling | keras.layers.Normalization)
            or layer.name == embeddings.NAME
        ],
        "augmentation": config.training.augmentation,
        "optimizer": [optimizer, _object_id(model.optimizer)],
        "schedule": [config.training.schedule, _object_id(model.optimizer._learning_rate)],
        # Of one name there may be another function by now: a module that was edited and reloaded.
        "loss": [asdict(config.loss), _object_id(model.loss)],
        "units": model.layers[-1].get_config(),  # constants of the training partition's targets
        "metrics": compiled_metrics(config),
        "precision": config.training.precision,
        "batch_size": config.training.batch_size,
        "xla": xla,
    }
    return json.dumps(settings, sort_keys=True, default=str)


def _object_id(made: Any) -> int:
    """Return what distinguishes a function, or an object's class, from others of its name."""
    return id(inspect.unwrap(made) if inspect.isfunction(made) else type(made))


def _architecture_key(model: keras.Model, architecture: dict[str, Any]) -> Any:
    """Return what stands for a network's graph, but for its scaling.

    A person's own function may be another one by now, under the same name and with the same
    settings; there, it is the graph itself, and the classes whose code it calls.
    """
    classes = sorted({f"{type(one).__qualname__} {id(type(one))}" for one in _all_layers(model)})
    if architecture["_target_"] in ("fitgap.models.dense", "fitgap.models.sequential"):
        return [architecture | {"title": None}, classes]
    return [keras.saving.serialize_keras_object(model), classes]


def _all_layers(model: keras.Model) -> list[keras.layers.Layer]:
    found = []
    for layer in model.layers:
        found.append(layer)
        if isinstance(layer, keras.Model):
            found += _all_layers(layer)
    return found


def _compile(model: keras.Model, config: Config, *, xla: bool) -> _Program:
    _build_metrics(model, config)
    batch_size = config.training.batch_size
    evaluation_size = evaluation_batch(model.input_shape[1:])

    def run_epoch(
        x: tf.Tensor, y: tf.Tensor, order: tf.Tensor, weights: tf.Tensor | None
    ) -> Metrics:
        model.reset_metrics()

        def step(start: tf.Tensor, size: Any) -> None:
            indices = tf.slice(order, [start], [size])
            batch = [tf.gather(part, indices) for part in (x, y, weights) if part is not None]
            model.train_step(tuple(batch))

        each_batch = _batches_of_known_size if xla else _batches_of_any_size
        each_batch(step, total=order.shape[0], batch_size=batch_size)
        return dict(model.get_metrics_result())

    def evaluate(x: tf.Tensor, y: tf.Tensor) -> Metrics:
        model.reset_metrics()
        total = tf.shape(x)[0]

        def body(start: tf.Tensor) -> list[tf.Tensor]:
            stop = tf.minimum(start + evaluation_size, total)
            model.test_step((x[start:stop], y[start:stop]))
            return [stop]

        tf.while_loop(lambda start: start < total, body, [tf.constant(0)])
        return dict(model.get_metrics_result())

    def predict(x: tf.Tensor) -> tf.Tensor:
        return model(x, training=False)

    images = tf.TensorSpec((None, *model.input_shape[1:]), model.inputs[0].dtype)
    labels = tf.TensorSpec.from_tensor(_labels(model, _any_target(model, config), config))
    any_number_of_labels = tf.TensorSpec((None, *labels.shape[1:]), labels.dtype)
    # Evaluation goes without XLA: its large steps gain a fifth from it, which a run of a few
    # epochs does not earn back from the second that each partition's shape takes to compile.
    return _Program(
        model=model,
        run_epoch=tf.function(run_epoch, jit_compile=xla, autograph=False),
        evaluate=tf.function(
            evaluate, input_signature=[images, any_number_of_labels], autograph=False
        ),
        predict=tf.function(predict, input_signature=[images], autograph=False),
    )


def _batches_of_any_size(step: Step, *, total: int, batch_size: int) -> None:
    """Loop over batches as model.fit does, where no step knows its size beforehand.

    Where it does, batch normalisation ends with other last digits.
    """

    def any_step(start: tf.Tensor) -> list[tf.Tensor]:
        step(start, tf.minimum(batch_size, total - start))
        return [start + batch_size]

    tf.while_loop(lambda start: start < total, any_step, [tf.constant(0)])


def _batches_of_known_size(step: Step, *, total: int, batch_size: int) -> None:
    """Loop over batches as XLA needs it: the last, smaller batch is a separate step."""

    def full_step(i: tf.Tensor) -> list[tf.Tensor]:
        step(i * batch_size, batch_size)
        return [i + 1]

    full, rest = divmod(total, batch_size)
    if full:
        tf.while_loop(lambda i: i < full, full_step, [tf.constant(0)])
    if rest:
        step(tf.constant(full * batch_size), rest)


def _build_metrics(model: keras.Model, config: Config) -> None:
    """Have Keras make the variables of loss and metrics now: a compiled loop cannot."""
    x = np.zeros((1, *model.input_shape[1:]), model.inputs[0].dtype)
    y = _labels(model, _any_target(model, config), config)
    outputs = model(x, training=False)
    model.compute_loss(x=x, y=y, y_pred=outputs)
    model.compute_metrics(x, y, outputs)


def _any_target(model: keras.Model, config: Config) -> NDArray[Any]:
    if task_of(config).name == "classes":
        return np.zeros(1, np.int64)
    return np.zeros((1, model.output_shape[-1]), np.float32)


def _labels(model: keras.Model, y: Labels, config: Config) -> tf.Tensor:
    units = model.output_shape[-1]
    return tf.constant(encode_labels(y, config.loss.labels, num_classes=units))


def _scores(metrics: Metrics) -> Scores:
    return Scores(**{name: float(value) for name, value in metrics.items()})

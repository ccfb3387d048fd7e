"""The training loop that all engines share: epochs, exact figures, callbacks, divergence.

One epoch at a time: the engine runs over a batch order that follows from seed and epoch alone,
the new weights are scored over whole partitions, the callbacks hear of it. What an epoch's
figures are used for (a progress bar, MLflow) is the observer's matter.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from fitgap.config.schema import Config
from fitgap.config.tasks import task_of
from fitgap.data.splits import Indices
from fitgap.errors import DivergedError
from fitgap.evaluation.metrics import Metric, compute, metrics_of
from fitgap.evaluation.scores import Partition, Partitions, Scores
from fitgap.models import build
from fitgap.training import callback_state, metric_cost
from fitgap.training.checkpoints import Checkpoint
from fitgap.training.engines.choice import Engine
from fitgap.training.metric_cost import Spent


@dataclass(frozen=True)
class Epoch:
    """The figures of one epoch.

    Attributes
    ----------
    number
        From 1.
    running
        Keras's averages while the weights changed, dropout on.
    train, val
        Exact figures of the epoch's final weights; ``train`` is None where
        ``training.train_metrics_every_epoch`` is false, ``val`` under ``split=none``.
    learning_rate
        Of the epoch's last step.
    fit_seconds
        Time in training steps, without evaluation and callbacks.
    """

    number: int
    running: Scores
    train: Scores | None
    val: Scores | None
    learning_rate: float
    fit_seconds: float

    @property
    def scores(self) -> dict[str, Scores]:
        """The figures that there are, by name."""
        return {name: scores for name, scores in _parts(self).items() if scores is not None}

    @property
    def is_finite(self) -> bool:
        """Whether every loss is finite."""
        return all(scores.is_finite for scores in self.scores.values())


@dataclass(frozen=True)
class Fitted:
    """A finished training.

    Attributes
    ----------
    epochs
        In order; fewer than requested if a callback stopped early.
    train, val
        Exact figures of the weights the model has now.
    restored
        Whether those are an earlier epoch's: a callback brought back its best weights.
    """

    epochs: tuple[Epoch, ...]
    train: Scores
    val: Scores | None
    restored: bool

    @property
    def best_epoch(self) -> int | None:
        """Number of the epoch with the lowest validation loss; None without validation."""
        scored = [(epoch.val.loss, epoch.number) for epoch in self.epochs if epoch.val]
        return min(scored)[1] if scored else None

    @property
    def fit_seconds(self) -> float:
        """Time in training steps over all epochs, the first one's compilation included."""
        return sum(epoch.fit_seconds for epoch in self.epochs)


def batch_order(n: int, *, seed: int, epoch: int) -> Indices:
    """Return the order in which an epoch sees the training images.

    It depends on nothing but its arguments, so an epoch can be run again after an interruption.

    Parameters
    ----------
    n
        Number of training images.
    seed
        The experiment's seed.
    epoch
        From 1.

    Returns
    -------
    ndarray
        int32 permutation of shape (n,).
    """
    return np.random.default_rng([seed, epoch]).permutation(n).astype(np.int32)


def fit(
    engine: Engine,
    *,
    partitions: Partitions,
    config: Config,
    callbacks: Sequence[keras.callbacks.Callback],
    observe: Callable[[Epoch], None],
    save: Callable[[Checkpoint], None] | None = None,
    resume: Checkpoint | None = None,
    say: Callable[[str], None] = print,
) -> Fitted:
    """Train for the epochs that the settings name, or until a callback stops.

    Parameters
    ----------
    engine
        Runs the epochs on its model.
    partitions
        Training and validation are used; the test partition is not looked at.
    config
        The experiment.
    callbacks
        Keras's callbacks; their ``logs`` hold the running ``loss`` and what else Keras averages,
        and the exact ``val_loss`` and ``val_<metric>``.
    observe
        Called with each epoch's figures, those from before an interruption included.
    save
        Called after each epoch with all that the rest depends on; not called if a
        callback does not say what it remembers (`fitgap.training.callback_state`).
    resume
        What `save` was given last, if the training was interrupted; it ends with the same bits
        as if it had not been.
    say
        Takes what a person should know of their callbacks.

    Returns
    -------
    Fitted

    Raises
    ------
    DivergedError
        At the first epoch with a loss that is not finite.
    """
    training = config.training
    metrics = metrics_of(config)
    of_each_epoch = tuple(metric for metric in metrics if metric.each_epoch)
    model = engine.model
    listeners = keras.callbacks.CallbackList(
        list(callbacks), model=model, epochs=training.epochs, verbose=0
    )
    spent = Spent()
    plain_epochs: list[Mapping[str, Any]] = [] if resume is None else list(resume.epochs)
    epochs = [_epoch_from_plain(plain) for plain in plain_epochs]
    model.stop_training = False
    listeners.on_train_begin()
    if resume is not None:
        _restore(resume, engine, callbacks)
    for epoch in epochs:
        observe(epoch)
    while len(epochs) < training.epochs and not model.stop_training:
        number = len(epochs) + 1
        listeners.on_epoch_begin(number - 1)
        # The first epoch also compiles, which says nothing of the others.
        timed = spent if number > 1 else Spent()
        began = time.perf_counter()
        epoch = _run_epoch(engine, number, partitions, config, of_each_epoch, spent=timed)
        timed.epoch_seconds += time.perf_counter() - began
        epochs.append(epoch)
        plain_epochs.append(_to_plain(epoch))
        observe(epoch)
        _stop_if_diverged(epoch)
        listeners.on_epoch_end(number - 1, _keras_logs(epoch))
        if save is not None and (checkpoint := _checkpoint(engine, plain_epochs, callbacks, say)):
            save(checkpoint)

    metric_cost.say_if_high(spent, say)
    last_weights = model.get_weights()
    listeners.on_train_end()
    restored = not all(map(np.array_equal, last_weights, model.get_weights()))
    last = epochs[-1]
    if restored or last.train is None or of_each_epoch != metrics:
        train = score(engine, partitions.train, config=config)
        val = score(engine, partitions.val, config=config) if partitions.val else None
    else:
        train, val = last.train, last.val
    return Fitted(epochs=tuple(epochs), train=train, val=val, restored=restored)


def _restore(
    checkpoint: Checkpoint, engine: Engine, callbacks: Sequence[keras.callbacks.Callback]
) -> None:
    engine.set_state(checkpoint.state)
    for callback, state in zip(callbacks, checkpoint.callbacks, strict=True):
        callback_state.restore(callback, state)
    engine.model.stop_training = checkpoint.stopped


def score(
    engine: Engine,
    partition: Partition,
    *,
    config: Config,
    metrics: Sequence[Metric] | None = None,
    spent: Spent | None = None,
) -> Scores:
    """Score the present weights over a whole partition: loss and metrics, in inference mode.

    Parameters
    ----------
    engine
        Holds the weights.
    partition
        Of any size.
    config
        The experiment.
    metrics
        Those to compute; None: all of the experiment's.
    spent
        Gets the time that metrics took besides those that come with the loss.
    """
    wanted = metrics_of(config) if metrics is None else metrics
    found = dict(engine.evaluate(partition))
    undefined: dict[str, str] = {}
    if others := [metric for metric in wanted if metric.name not in found]:
        began = time.perf_counter()
        values, undefined = compute(
            others, partition.y, engine.predict(partition.x), task=task_of(config).name
        )
        found |= values
        if spent is not None:
            spent.metric_seconds += time.perf_counter() - began
            spent.names = [metric.name for metric in others]
    names = ("loss", *(metric.name for metric in wanted))
    return Scores(**{name: found[name] for name in names if name in found}).without(undefined)


def _run_epoch(
    engine: Engine,
    number: int,
    partitions: Partitions,
    config: Config,
    metrics: Sequence[Metric],
    *,
    spent: Spent,
) -> Epoch:
    order = batch_order(len(partitions.train), seed=config.seed, epoch=number)
    # Between epochs the model holds the averaged weights, if any are kept: those are scored, heard
    # of by callbacks, and in the end saved. The weights that learn wait in the optimizer.
    if number > 1:
        build.swap_averages(engine.model)
    started = time.perf_counter()
    running = engine.run_epoch(order)
    fit_seconds = time.perf_counter() - started
    build.swap_averages(engine.model)
    wants_train = config.training.train_metrics_every_epoch
    return Epoch(
        number=number,
        running=running,
        train=score(engine, partitions.train, config=config, metrics=metrics, spent=spent)
        if wants_train
        else None,
        val=score(engine, partitions.val, config=config, metrics=metrics, spent=spent)
        if partitions.val
        else None,
        learning_rate=float(engine.model.optimizer.learning_rate),
        fit_seconds=fit_seconds,
    )


def _checkpoint(
    engine: Engine,
    epochs: Sequence[Mapping[str, Any]],
    callbacks: Sequence[keras.callbacks.Callback],
    say: Callable[[str], None],
) -> Checkpoint | None:
    """Return all that the rest depends on; None if nobody knows what a callback remembers."""
    memories = []
    for callback in callbacks:
        known = callback_state.of(callback)
        if known is None:
            if len(epochs) == 1:
                say(
                    f"{type(callback).__name__} does not say what it remembers (get_state, "
                    "set_state): if this run is interrupted, it begins again"
                )
            return None
        memories.append(known)
    stopped = engine.model.stop_training
    return Checkpoint(epochs=epochs, state=engine.state(), callbacks=memories, stopped=stopped)


def _to_plain(epoch: Epoch) -> dict[str, Any]:
    scores = {name: None if one is None else dict(one) for name, one in _parts(epoch).items()}
    return {
        "number": epoch.number,
        **scores,
        "learning_rate": epoch.learning_rate,
        "fit_seconds": epoch.fit_seconds,
    }


def _parts(epoch: Epoch) -> dict[str, Scores | None]:
    return {"running": epoch.running, "train": epoch.train, "val": epoch.val}


def _epoch_from_plain(plain: Mapping[str, Any]) -> Epoch:
    scores = {
        name: Scores(**plain[name]) if plain[name] is not None else None
        for name in ("running", "train", "val")
    }
    return Epoch(**{**plain, **scores})


def _stop_if_diverged(epoch: Epoch) -> None:
    for name, scores in epoch.scores.items():
        if not scores.is_finite:
            raise DivergedError(f"{name}/loss is {scores.loss} in epoch {epoch.number}")


def _keras_logs(epoch: Epoch) -> dict[str, float]:
    logs = {**epoch.running, "learning_rate": epoch.learning_rate}
    if epoch.val is not None:
        logs |= {f"val_{name}": value for name, value in epoch.val.items()}
    return logs

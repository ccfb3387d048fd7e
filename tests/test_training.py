"""The loop over epochs: hand-written scores in, records out; no network learns but at the end."""

import math
import time

import keras
import numpy as np
import pytest

from fitgap.config import settings
from fitgap.errors import DivergedError
from fitgap.evaluation.metrics import metrics_of
from fitgap.evaluation.scores import Partition, Partitions, Scores
from fitgap.models import build
from fitgap.training import loop, metric_cost
from fitgap.training.engines import choice as engines
from fitgap.training.engines.choice import EngineChoice
from fitgap.training.metric_cost import Spent


def images(n):
    return Partition(np.zeros((n, 2, 2), np.uint8), np.zeros(n, np.int64))


TRAIN, VAL, TEST = images(5), images(3), images(2)


class ScriptedModel:
    """What callbacks see of a model; its one weight is the number of epochs it has trained."""

    def __init__(self):
        self.stop_training = False
        self.weights = [np.zeros(1)]
        self.optimizer = self
        self.learning_rate = 0.5

    def get_weights(self):
        return [weight.copy() for weight in self.weights]

    def set_weights(self, weights):
        self.weights = [weight.copy() for weight in weights]


class ScriptedEngine:
    """Gives hand-written losses: per epoch, running and on both partitions."""

    def __init__(self, *, val, running=None, train=None):
        self.model = ScriptedModel()
        self.losses = {id(TRAIN): train or [0.5] * len(val), id(VAL): val}
        self.running = running or [0.75] * len(val)
        self.orders = []
        self.evaluated = []

    def run_epoch(self, order):
        self.orders.append(order)
        self.model.weights = [self.model.weights[0] + 1]
        return Scores(loss=self.running[len(self.orders) - 1], accuracy=0.25)

    def evaluate(self, partition):
        self.evaluated.append(partition)
        epoch = int(self.model.weights[0][0])
        return Scores(loss=self.losses[id(partition)][epoch - 1], accuracy=epoch / 100)


@pytest.fixture(scope="module")
def plain_settings(compose):
    return settings.to_plain(compose())


@pytest.fixture
def run(plain_settings):
    """Return a function that trains a scripted engine to the end of its script."""

    def run_script(engine, *, callbacks=(), val=VAL, observe=None, say=print, **changes):
        plain = {**plain_settings}
        plain["training"] = plain["training"] | {"epochs": len(engine.running)} | changes
        return loop.fit(
            engine,
            partitions=Partitions(train=TRAIN, val=val, test=TEST),
            config=settings.from_plain(plain),
            callbacks=list(callbacks),
            observe=observe or (lambda _epoch: None),
            say=say,
        )

    return run_script


def test_every_epoch_is_trained_scored_and_observed_once(run):
    engine = ScriptedEngine(val=[0.3, 0.2], running=[0.9, 0.8], train=[0.4, 0.1])
    seen = []
    fitted = run(engine, observe=seen.append)
    assert fitted.epochs == tuple(seen)
    assert [epoch.number for epoch in seen] == [1, 2]
    assert [epoch.running.loss for epoch in seen] == [0.9, 0.8]
    assert [epoch.train.loss for epoch in seen] == [0.4, 0.1]
    assert [epoch.val.loss for epoch in seen] == [0.3, 0.2]
    assert [epoch.learning_rate for epoch in seen] == [0.5, 0.5]
    assert fitted.train == Scores(loss=0.1, accuracy=0.02)
    assert fitted.val == Scores(loss=0.2, accuracy=0.02)
    assert fitted.restored is False
    assert fitted.fit_seconds == sum(epoch.fit_seconds for epoch in seen) > 0


def test_metrics_that_take_much_of_the_epochs_are_named_with_their_share():
    said = []
    of = ("f1_macro", "roc_auc")
    for spent in (Spent(), Spent(1000, 90, of), Spent(20, 9, of), Spent(100, 23, of)):
        metric_cost.say_if_high(spent, said.append)
    assert said == [
        "f1_macro, roc_auc took 23% of the epochs' time (23 s); "
        "+metrics.f1_macro.each_epoch=false computes f1_macro only at the end"
    ]


def test_a_metric_that_takes_long_waits_for_the_end_unless_it_is_the_first_or_asked_for(compose):
    def of_each_epoch(*words):
        metrics = metrics_of(compose(*words))
        waiting = [
            line.partition(" takes long")[0] for line in metric_cost.deferred_metrics(metrics)
        ]
        return [metric.name for metric in metrics if metric.each_epoch], waiting

    both = "metrics=[accuracy,roc_auc,average_precision]"
    assert of_each_epoch(both) == (["accuracy"], ["roc_auc", "average_precision"])
    assert of_each_epoch("metrics=[roc_auc,accuracy]") == (["roc_auc", "accuracy"], [])
    asked = (both, "metrics.roc_auc.each_epoch=true", "metrics.average_precision.each_epoch=false")
    assert of_each_epoch(*asked) == (["accuracy", "roc_auc"], [])


def test_a_run_says_what_its_metrics_took_after_the_first_epoch(run, monkeypatch):
    monkeypatch.setattr(metric_cost, "HIGH_SECONDS", 0.02)
    monkeypatch.setattr(metric_cost, "HIGH_SHARE", 0.02)
    engine = ScriptedEngine(val=[0.4, 0.3])
    engine.evaluate = lambda _partition: Scores(loss=0.5)  # accuracy needs a pass of its own
    engine.predict = lambda x: time.sleep(0.02) or np.tile([1.0, 0.0], (len(x), 1))
    said = []
    run(engine, say=said.append)
    assert [line.partition(" took ")[0] for line in said] == ["accuracy"]


@pytest.mark.parametrize(
    ("losses", "expected"),
    [([0.3, 0.1, 0.2], 2), ([0.1, 0.2], 1), ([0.2, 0.1, 0.1], 2), ([0.3], 1)],
    ids=["in the middle", "first", "earliest of two", "only one"],
)
def test_the_best_epoch_has_the_lowest_validation_loss(run, losses, expected):
    assert run(ScriptedEngine(val=losses)).best_epoch == expected


def test_without_validation_there_is_no_best_epoch(run):
    engine = ScriptedEngine(val=[0.3, 0.2])
    fitted = run(engine, val=None)
    assert fitted.best_epoch is None
    assert fitted.val is None
    assert [epoch.val for epoch in fitted.epochs] == [None, None]


def test_the_test_partition_is_not_looked_at(run):
    engine = ScriptedEngine(val=[0.3, 0.2])
    run(engine)
    assert {id(partition) for partition in engine.evaluated} == {id(TRAIN), id(VAL)}


def test_exact_training_figures_can_wait_for_the_end(run):
    engine = ScriptedEngine(val=[0.3, 0.2], train=[0.4, 0.1])
    fitted = run(engine, train_metrics_every_epoch=False)
    assert [epoch.train for epoch in fitted.epochs] == [None, None]
    assert fitted.train.loss == 0.1
    assert fitted.val.loss == 0.2
    assert sum(partition is TRAIN for partition in engine.evaluated) == 1


# Divergence.


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("which", ["running", "train", "val"])
def test_a_loss_that_is_not_finite_stops_at_that_epoch(run, which, value):
    losses = {"running": [0.9] * 4, "train": [0.4] * 4, "val": [0.3] * 4}
    losses[which][1] = value
    engine, seen = ScriptedEngine(**losses), []
    listener = Listener()
    with pytest.raises(DivergedError) as caught:
        run(engine, observe=seen.append, callbacks=[listener])
    assert str(caught.value) == f"{which}/loss is {value} in epoch 2"
    assert [epoch.number for epoch in seen] == [1, 2]
    assert len(listener.heard) == 1


# Callbacks.


class Listener(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.heard = []

    def on_epoch_end(self, epoch, logs=None):
        self.heard.append((epoch, dict(logs)))


def test_callbacks_hear_running_and_exact_figures_under_keras_names(run):
    listener = Listener()
    run(ScriptedEngine(val=[0.3, 0.2], running=[0.9, 0.8]), callbacks=[listener])
    first = {"loss": 0.9, "accuracy": 0.25, "val_loss": 0.3, "val_accuracy": 0.01}
    second = {"loss": 0.8, "accuracy": 0.25, "val_loss": 0.2, "val_accuracy": 0.02}
    rate = {"learning_rate": 0.5}
    assert listener.heard == [(0, first | rate), (1, second | rate)]


def test_without_validation_callbacks_hear_none_of_it(run):
    listener = Listener()
    run(ScriptedEngine(val=[0.3]), callbacks=[listener], val=None)
    ((_, logs),) = listener.heard
    assert set(logs) == {"loss", "accuracy", "learning_rate"}


@pytest.mark.parametrize(
    ("losses", "patience", "epochs", "best"),
    [
        ([0.5, 0.3, 0.4, 0.6, 0.2], 2, 4, 2),
        ([0.5, 0.3, 0.4, 0.2, 0.1], 2, 5, 5),
        ([0.1, 0.2, 0.3], 1, 2, 1),
        ([0.5, 0.3, 0.4], 5, 3, 2),
    ],
    ids=["in the middle", "never stops", "at once", "patience outlasts the run"],
)
def test_early_stopping_ends_with_the_best_epochs_figures(run, losses, patience, epochs, best):
    engine = ScriptedEngine(val=losses, train=[loss / 2 for loss in losses])
    stopping = keras.callbacks.EarlyStopping(
        "val_loss", patience=patience, restore_best_weights=True
    )
    fitted = run(engine, callbacks=[stopping])
    assert len(fitted.epochs) == epochs
    assert fitted.best_epoch == best
    assert fitted.restored is (best < epochs)
    assert fitted.val == Scores(loss=losses[best - 1], accuracy=best / 100)
    assert fitted.train == Scores(loss=losses[best - 1] / 2, accuracy=best / 100)
    assert engine.model.weights[0][0] == best


# The order of the images.


def test_the_order_follows_from_seed_and_epoch_alone(run):
    engine = ScriptedEngine(val=[0.3, 0.2])
    run(engine)
    for number, order in enumerate(engine.orders, start=1):
        np.testing.assert_array_equal(order, loop.batch_order(5, seed=0, epoch=number))


def test_every_epoch_sees_every_image_once_in_an_order_of_its_own():
    orders = {}
    for seed in (0, 1, 2**32 - 1):
        for epoch in (1, 2):
            order = loop.batch_order(100, seed=seed, epoch=epoch)
            assert order.dtype == np.int32
            np.testing.assert_array_equal(np.sort(order), np.arange(100))
            orders[order.tobytes()] = (seed, epoch)
    assert len(orders) == 6


# A real network, which overfits labels that cannot be learnt.


def made_partitions():
    rng = np.random.default_rng(0)

    def noise(n):
        x = rng.integers(0, 256, (n, 4, 4), dtype=np.uint8)
        return Partition(x, rng.integers(0, 2, n))

    return Partitions(train=noise(40), val=noise(40), test=noise(10))


@pytest.mark.parametrize("engine_name", ["fit", "compiled"])
def test_a_real_network_gets_its_best_weights_back(compose, engine_name):
    config = compose(
        "optimizer=adam",
        "optimizer.learning_rate=0.05",
        "training.epochs=12",
        "training/early_stopping=on",
        "training.early_stopping.patience=2",
    )
    model = build.build(config, image_shape=(4, 4), num_classes=2, total_steps=24)
    callbacks, parts = build.callbacks(config), made_partitions()
    choice = EngineChoice(engine_name, xla=False, reason="asked for")
    engine = engines.make(
        choice, model=model, train=parts.train, config=config, callbacks=callbacks
    )
    weights = []
    fitted = loop.fit(
        engine,
        partitions=parts,
        config=config,
        callbacks=callbacks,
        observe=lambda _epoch: weights.append(engine.model.get_weights()),
    )
    losses = [epoch.val.loss for epoch in fitted.epochs]
    best = int(np.argmin(losses))
    assert len(losses) == best + 3 < 12
    assert fitted.restored
    for end, then in zip(engine.model.get_weights(), weights[best], strict=True):
        np.testing.assert_array_equal(end, then)
    assert fitted.val == fitted.epochs[best].val
    assert fitted.train == fitted.epochs[best].train


@pytest.mark.parametrize("engine_name", ["fit", "compiled"])
def test_a_callback_changes_the_learning_rate_between_epochs(compose, engine_name):
    config = compose("optimizer=sgd", "optimizer.learning_rate=0.5", "training.epochs=3")
    model = build.build(config, image_shape=(4, 4), num_classes=2, total_steps=6)
    halve = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch else rate)
    parts = made_partitions()
    choice = EngineChoice(engine_name, xla=False, reason="asked for")
    engine = engines.make(choice, model=model, train=parts.train, config=config, callbacks=[halve])
    fitted = loop.fit(
        engine, partitions=parts, config=config, callbacks=[halve], observe=lambda _epoch: None
    )
    assert [epoch.learning_rate for epoch in fitted.epochs] == [0.5, 0.25, 0.125]


# Weight averaging and augmentation.


def epochs_and_weights(config, engine_name, parts):
    """Train, and return the epochs and the weights that the model had after each."""
    model = build.build(
        config, image_shape=(4, 4), num_classes=2, total_steps=config.training.epochs
    )
    choice = EngineChoice(engine_name, xla=False, reason="asked for")
    engine = engines.make(choice, model=model, train=parts.train, config=config, callbacks=[])
    weights = []
    fitted = loop.fit(
        engine,
        partitions=parts,
        config=config,
        callbacks=[],
        observe=lambda _epoch: weights.append(engine.model.get_weights()),
    )
    assert fitted.train == engine.evaluate(parts.train)
    return fitted, weights


@pytest.mark.parametrize("engine_name", ["fit", "compiled"])
def test_averaged_weights_are_what_is_scored_and_kept(compose, engine_name):
    # A step per epoch, so that every step's weights are seen.
    common = ["optimizer=sgd", "optimizer.learning_rate=0.5", "training.epochs=4"]
    common.append("training.batch_size=40")
    parts = made_partitions()
    _, learning = epochs_and_weights(compose(*common), engine_name, parts)
    averaging = ["+optimizer.use_ema=true", "+optimizer.ema_momentum=0.75"]
    _, averaged = epochs_and_weights(compose(*common, *averaging), engine_name, parts)
    expected = learning[0]
    for step, (of_step, average) in enumerate(zip(learning, averaged, strict=True)):
        if step:
            expected = [0.75 * e + 0.25 * w for e, w in zip(expected, of_step, strict=True)]
        for e, a in zip(expected, average, strict=True):
            np.testing.assert_allclose(a, e, atol=1e-6)
    assert not np.allclose(learning[-1][0], averaged[-1][0], atol=1e-3)


@pytest.mark.parametrize("engine_name", ["compiled", pytest.param("fit", marks=pytest.mark.slow)])
def test_augmentation_follows_the_seed_whatever_ran_before(compose, engine_name):
    base = ["training/augmentation=shift_rotate", "training.epochs=2", "architecture.units=[4]"]
    parts = made_partitions()
    runs = [
        epochs_and_weights(compose(*base, f"seed={seed}"), engine_name, parts)[1][-1]
        for seed in (0, 1, 0)
    ]
    assert all(map(np.array_equal, runs[0], runs[2]))
    assert not np.array_equal(runs[0][0], runs[1][0])
    without = compose(*base, "training/augmentation=off")
    assert not np.array_equal(epochs_and_weights(without, engine_name, parts)[1][-1][0], runs[0][0])

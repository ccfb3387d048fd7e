"""The engine numpy learns what Keras learns, through the same pipeline, or refuses by name."""

import inspect

import keras
import numpy as np
import pytest

from fitgap import experiment
from fitgap.errors import RequestError
from fitgap.evaluation.scores import Partition, Partitions
from fitgap.models import build, scaling
from fitgap.training import loop
from fitgap.training.engines import choice, reference_settings
from fitgap.training.engines.choice import EngineChoice
from fitgap.training.engines.keras_fit import acts_on_batches

IMAGE_SHAPE = (4, 5)
BATCHES = 5
TWO_CLASSES = ("dataset.classes=[0,1]", "loss=binary_crossentropy")
PLATEAU = (
    "+training.callbacks.plateau={_target_: keras.callbacks.ReduceLROnPlateau, monitor: loss, "
    "factor: 0.5, patience: 1, min_delta: 100}"
)


@pytest.fixture
def make_engine(compose):
    """Return a function from a name and overrides to settings, data and an engine on them."""

    def make(name, *overrides):
        settings = compose(
            "training.batch_size=8",
            "architecture.units=[6]",
            *overrides,
        )
        rng = np.random.default_rng(0)
        num_classes = 2 if settings.dataset.classes else 10
        n = 8 * BATCHES - 3  # the last batch is smaller
        x = rng.integers(0, 256, (n, *IMAGE_SHAPE), dtype=np.uint8)
        train = Partition(x, rng.integers(0, num_classes, n))
        model = build.build(
            settings,
            image_shape=IMAGE_SHAPE,
            num_classes=num_classes,
            total_steps=BATCHES * settings.training.epochs,
        )
        callbacks = build.callbacks(settings)
        engine = choice.make(
            EngineChoice(name, xla=False, reason="test"),
            model=model,
            train=train,
            config=settings,
            callbacks=callbacks,
        )
        return settings, train, callbacks, engine

    return make


def fit(settings, train, callbacks, engine):
    return loop.fit(
        engine,
        partitions=Partitions(train=train, val=train, test=train),
        config=settings,
        callbacks=callbacks,
        observe=lambda _: None,
    )


@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param(
            ["architecture.units=[]", "optimizer=sgd"],
            id="no hidden layer",
        ),
        pytest.param(
            [
                "architecture.units=[7,5]",
                "architecture.activation=tanh",
                "loss=mse",
                "optimizer=adamw",
                "optimizer.learning_rate=0.05",
                "training/schedule=cosine",
            ],
            id="two hidden layers, one-hot labels, learning rate by a schedule",
        ),
        pytest.param(
            ["optimizer=momentum", PLATEAU, *TWO_CLASSES],
            id="one sigmoid unit, learning rate by a callback",
        ),
        pytest.param(
            [
                "training/early_stopping=on",
                "training.early_stopping.patience=1",
                "training.early_stopping.min_delta=100",
            ],
            id="earlier weights restored",
        ),
    ],
)
def test_trains_scores_and_predicts_as_model_fit_does(make_engine, overrides):
    overrides = ["training.epochs=3", *overrides]
    ours = make_engine("numpy", *overrides)
    fitted = fit(*ours)
    engine = ours[-1]
    probabilities, weights = engine.predict(ours[1].x), engine.model.get_weights()
    rate, steps = float(engine.model.optimizer.learning_rate), engine.model.optimizer.iterations
    steps = int(steps)

    theirs = make_engine("fit", *overrides)
    expected = fit(*theirs)
    other = theirs[-1]
    assert len(fitted.epochs) == len(expected.epochs)
    assert fitted.restored == expected.restored
    for own, reference in zip(fitted.epochs, expected.epochs, strict=True):
        assert own.learning_rate == pytest.approx(reference.learning_rate, rel=1e-6)
        for figures in ("running", "train", "val"):
            mine, keras_own = getattr(own, figures), getattr(reference, figures)
            assert mine.loss == pytest.approx(keras_own.loss, rel=1e-5)
            assert mine["accuracy"] == pytest.approx(keras_own["accuracy"], rel=1e-6)
    assert fitted.train.loss == pytest.approx(expected.train.loss, rel=1e-5)
    for mine, keras_own in zip(weights, other.model.get_weights(), strict=True):
        np.testing.assert_allclose(mine, keras_own, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(probabilities, other.predict(theirs[1].x), atol=1e-5)
    assert rate == pytest.approx(float(other.model.optimizer.learning_rate), rel=1e-6)
    assert steps == int(other.model.optimizer.iterations)


def test_the_callback_and_the_schedule_of_the_tests_change_the_learning_rate(make_engine):
    plateau = fit(*make_engine("numpy", "training.epochs=3", "optimizer=momentum", PLATEAU))
    assert [epoch.learning_rate for epoch in plateau.epochs] == pytest.approx([0.01, 0.01, 0.005])
    cosine = fit(*make_engine("numpy", "training.epochs=2", "training/schedule=cosine"))
    # Half way and at the end of the cosine.
    assert [epoch.learning_rate for epoch in cosine.epochs] == pytest.approx([0.0005, 0], abs=1e-9)


def test_evaluates_and_predicts_with_the_weights_that_the_model_has_now(make_engine):
    _, train, _, engine = make_engine("numpy")
    before, first = engine.evaluate(train), engine.model.get_weights()
    predicted = engine.predict(train.x)
    engine.run_epoch(np.arange(len(train), dtype=np.int32))
    assert engine.evaluate(train) != before
    engine.model.set_weights(first)
    assert engine.evaluate(train) == before
    np.testing.assert_array_equal(engine.predict(train.x), predicted)


def test_training_goes_on_from_a_kept_state_to_the_same_bits(make_engine):
    schedule = ("optimizer=adam", "training/schedule=cosine")
    _, train, _, engine = make_engine("numpy", *schedule)
    orders = [loop.batch_order(len(train), seed=0, epoch=epoch) for epoch in (1, 2)]
    engine.run_epoch(orders[0])
    state = engine.state()
    engine.run_epoch(orders[1])
    uninterrupted = engine.model.get_weights()

    _, _, _, fresh = make_engine("numpy", *schedule, "seed=1")
    fresh.set_state(state)
    fresh.run_epoch(orders[1])
    for mine, expected in zip(fresh.model.get_weights(), uninterrupted, strict=True):
        np.testing.assert_array_equal(mine, expected)


def test_a_diverging_run_is_reported_as_such(make_engine):
    _, train, _, engine = make_engine(
        "numpy",
        "optimizer=sgd",
        "optimizer.learning_rate=1e38",
        "loss=mse",
        "architecture.activation=linear",
    )
    order = np.arange(len(train), dtype=np.int32)
    losses = [engine.run_epoch(order).loss for _ in range(2)]
    assert not np.isfinite(losses).all()


NAMED_LOSS = "loss=sparse_categorical_crossentropy"
REFUSED = [
    (["architecture=cnn_small"], r"architecture must be fitgap.models.dense .*sequential"),
    (
        ["dataset=table", "dataset.path=a.csv", "dataset.text=note"],
        r"dataset.text must be null under training.engine=numpy, got 'note'",
    ),
    (["architecture.dropout=0.5"], r"architecture.dropout must be off .* got 0.5"),
    (["architecture.batch_norm=true"], r"architecture.batch_norm must be off"),
    (["architecture.l2=0.01"], r"architecture.l2 must be off"),
    (["architecture.activation=gelu"], r"architecture.activation .* received 'gelu'"),
    (
        ["optimizer=adam", "~optimizer.amsgrad", "optimizer._target_=keras.optimizers.Nadam"],
        r"optimizer._target_ .* got .*Nadam",
    ),
    (["+optimizer.clipnorm=1"], r"optimizer=rmsprop .* received 'clipnorm'"),
    (
        ["+optimizer.gradient_accumulation_steps=2"],
        r"optimizer=rmsprop .* received 'gradient_accumulation_steps'",
    ),
    (
        [NAMED_LOSS, "loss.function._target_=keras.losses.Poisson"],
        r"loss.function._target_ .*Poisson",
    ),
    (["+loss.function.ignore_class=0"], r"loss.function.ignore_class must be left out"),
    ([NAMED_LOSS, "loss.labels=one_hot"], r"loss.labels must be integer .* got 'one_hot'"),
    (
        ["+training.callbacks.stop={_target_: keras.callbacks.TerminateOnNaN}"],
        r"training.callbacks.stop .* got 'keras.callbacks.TerminateOnNaN'",
    ),
]


@pytest.mark.parametrize(("overrides", "message"), REFUSED, ids=[each[0][-1] for each in REFUSED])
def test_what_the_reference_does_not_know_is_refused_by_name(compose, overrides, message):
    settings = compose("training.engine=numpy", *overrides)
    with pytest.raises(RequestError, match=message):
        choice.choose(settings, image_bytes=1)


def test_settings_that_are_off_are_not_refused(compose):
    settings = compose("training.engine=numpy", "+optimizer.clipnorm=null")
    assert choice.choose(settings, image_bytes=1).name == "numpy"


def test_auto_never_chooses_it(compose):
    assert choice.choose(compose(), image_bytes=1).name != "numpy"


def test_a_refusal_costs_no_run_and_no_tensorflow(run_train, tmp_path):
    done = run_train(
        "training.engine=numpy", "architecture=cnn_small", interpreter=("-X", "importtime")
    )
    assert done.code == 2
    assert "error: architecture must be" in done.err
    assert "tensorflow" not in done.err
    assert not (tmp_path / "mlflow.db").exists()


def test_the_callbacks_refused_by_name_are_those_that_act_between_batches():
    own = inspect.getmembers(keras.callbacks, inspect.isclass)
    acting = {f"keras.callbacks.{name}" for name, each in own if acts_on_batches_of(each)}
    assert acting - {"keras.callbacks.CallbackList"} == set(reference_settings.BATCH_CALLBACKS)


def acts_on_batches_of(callback_class):
    return acts_on_batches(callback_class.__new__(callback_class))


def test_a_callback_of_ones_own_that_acts_between_batches_is_refused(make_engine):
    class Counter(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            pass

    settings, train, _, engine = make_engine("numpy")
    with pytest.raises(RequestError, match="Counter acts between batches"):
        choice.make(
            EngineChoice("numpy", xla=False, reason="test"),
            model=engine.model,
            train=train,
            config=settings,
            callbacks=[Counter()],
        )


def test_a_run_is_recorded_like_any_other(compose, tracking_uri):
    settings = compose(
        "training.engine=numpy",
        "training.epochs=1",
        "architecture.units=[4]",
        f"tracking.uri={tracking_uri}",
    )
    planned = experiment.plan(settings)
    result = experiment.run(planned)
    assert result.metrics["gap/accuracy"] == pytest.approx(
        result.metrics["train/accuracy"] - result.metrics["val/accuracy"]
    )
    assert experiment.finished(planned).run_id == result.run_id


def of_task(task, n=40):
    """Return features and targets of another task, which the features decide."""
    rng = np.random.default_rng(1)
    x = (rng.normal(size=(n, 5)) * [1, 10, 1, 1, 1] + 3).astype(np.float32)
    if task == "numbers":
        return x, np.stack([1000 * x[:, 0] + 7, -x[:, 1]], axis=1).astype(np.float32)
    return x, np.stack([x[:, 0] > 3, x[:, 1] > 0, x[:, 2] > 4], axis=1).astype(np.uint8)


@pytest.mark.parametrize(
    ("task", "loss"),
    [("numbers", "mse"), ("numbers", "mae"), ("label_sets", "binary_crossentropy")],
)
def test_other_tasks_and_features_are_learned_as_model_fit_does(compose, task, loss):
    x, y = of_task(task)
    train = Partition(x, y)
    found = {}
    for name in ("numpy", "fit"):
        settings = compose(
            "training.batch_size=8",
            "training.epochs=3",
            "architecture.units=[6]",
            "architecture.activation=tanh",
            "optimizer=adam",
            f"loss={loss}",
            task=task,
        )
        model = build.build(
            settings,
            image_shape=(5,),
            num_classes=y.shape[1],
            total_steps=15,
            scaling=scaling.feature_scaling(x),
            target_scaling=scaling.target_scaling(y) if task == "numbers" else None,
        )
        engine = choice.make(
            EngineChoice(name, xla=False, reason="test"),
            model=model,
            train=train,
            config=settings,
            callbacks=[],
        )
        fitted = fit(settings, train, [], engine)
        found[name] = (fitted, engine.predict(x), engine.model.get_weights())
    ours, theirs = found["numpy"], found["fit"]
    for own, reference in zip(ours[0].epochs, theirs[0].epochs, strict=True):
        assert dict(own.running) == pytest.approx(dict(reference.running), rel=1e-5)
        assert dict(own.val) == pytest.approx(dict(reference.val), rel=1e-5)
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-4, atol=1e-4)
    for own, reference in zip(ours[2], theirs[2], strict=True):
        np.testing.assert_allclose(own, reference, atol=1e-5)

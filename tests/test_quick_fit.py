"""``fitgap.fit`` and ``fitgap.GapCallback``: what a person's own training loop gets of them."""

import csv
import logging
import subprocess
import sys

import keras
import numpy as np
import pytest

import fitgap
from fitgap.training.gap_callback import is_lower_better

ROWS = 203  # no multiple of the batch size: the last batch is smaller


@pytest.fixture(scope="module")
def data():
    x = np.random.default_rng(0).normal(size=(ROWS, 6))
    return x, (x.sum(axis=1) > 0).astype(np.int64)


def functional():
    inputs = keras.Input((6,))
    hidden = keras.layers.Dense(8, activation="relu")(inputs)
    hidden = keras.layers.Dropout(0.3)(hidden)
    outputs = keras.layers.Dense(2, activation="softmax")(hidden)
    model = keras.Model(inputs, outputs)
    metrics = ["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(1, name="top_1")]
    model.compile("adam", "sparse_categorical_crossentropy", metrics=metrics, jit_compile=False)
    return model


class Subclassed(keras.Model):
    """Without weights until it sees data."""

    def __init__(self):
        super().__init__()
        self.hidden = keras.layers.Dense(8)
        self.norm = keras.layers.BatchNormalization()
        self.out = keras.layers.Dense(1, activation="sigmoid")

    def call(self, x, training=False):
        return self.out(self.norm(self.hidden(x), training=training))


def subclassed():
    model = Subclassed()
    metrics = ["accuracy", keras.metrics.AUC(name="auc")]
    model.compile("rmsprop", "binary_crossentropy", metrics=metrics, jit_compile=False)
    return model


class OwnStep(Subclassed):
    """With a step of its own, which returns what no metric holds."""

    def train_step(self, data):
        return {**super().train_step(data), "of_the_last_step": keras.ops.sum(data[0])}


def with_own_step():
    model = OwnStep()
    model.compile("rmsprop", "binary_crossentropy", metrics=["accuracy"], jit_compile=False)
    return model


def sequential():
    model = keras.Sequential([keras.layers.Dense(4, activation="tanh"), keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    model.compile(optimizer, "mse", metrics=["mae"], jit_compile=False)
    return model


def train(make, way, **arguments):
    keras.utils.set_random_seed(1)
    model = make()
    fit = fitgap.fit if way == "fitgap" else type(model).fit
    history = fit(model, epochs=3, verbose=0, **arguments)
    return model, history


GIVEN = {
    "plain": lambda _x, _y: {},
    "validation_split": lambda _x, _y: {"validation_split": 0.2, "batch_size": 27},
    "class_weight": lambda x, y: {
        "validation_data": (x[:50], y[:50]),
        "class_weight": {0: 2.0, 1: 0.5},
    },
    "sample_weight": lambda x, _y: {"shuffle": False, "sample_weight": np.linspace(0, 1, len(x))},
    "initial_epoch": lambda x, y: {
        "initial_epoch": 1,
        "validation_data": (x, y),
        "validation_freq": 2,
    },
}


@pytest.mark.parametrize(
    ("make", "given"),
    [
        (functional, "validation_split"),
        (functional, "class_weight"),
        (subclassed, "plain"),
        (subclassed, "validation_split"),
        (sequential, "sample_weight"),
        (sequential, "initial_epoch"),
        (with_own_step, "plain"),
        (with_own_step, "validation_split"),
    ],
)
def test_bits_and_history_are_those_of_model_fit(make, given, data, caplog):
    x, y = data
    model, history = train(make, "keras", x=x, y=y, **GIVEN[given](x, y))
    ours, our_history = train(make, "fitgap", x=x, y=y, **GIVEN[given](x, y))
    assert our_history.history == history.history
    assert (our_history.epoch, our_history.params) == (history.epoch, history.params)
    for weights, expected in zip(ours.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(weights, expected)
    assert ours.history is our_history
    assert caplog.text == ""  # model.fit was not called for it


def test_several_inputs_and_outputs(data):
    x, y = data

    def make():
        first, second = keras.Input((2,), name="first"), keras.Input((4,), name="second")
        joined = keras.layers.concatenate([first, second])
        outputs = {
            "class": keras.layers.Dense(1, activation="sigmoid", name="class")(joined),
            "sum": keras.layers.Dense(1, name="sum")(joined),
        }
        model = keras.Model([first, second], outputs)
        loss = {"class": "binary_crossentropy", "sum": "mse"}
        model.compile(
            "adam", loss, metrics={"class": ["accuracy"], "sum": ["mae"]}, jit_compile=False
        )
        return model

    arguments = {"x": [x[:, :2], x[:, 2:]], "y": {"class": y, "sum": x.sum(axis=1)}}
    arguments["validation_split"] = 0.25
    _, history = train(make, "keras", **arguments)
    _, ours = train(make, "fitgap", **arguments)
    assert ours.history == history.history


def test_a_second_call_goes_on_and_compiling_anew_counts(data):
    x, y = data
    histories = []
    for way in ("keras", "fitgap"):
        model, first = train(functional, way, x=x, y=y)
        fit = fitgap.fit if way == "fitgap" else type(model).fit
        again = fit(model, x=x, y=y, epochs=1, verbose=0).history
        model.layers[1].trainable = False
        model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
        frozen = fit(model, x=x, y=y, epochs=1, verbose=0).history
        histories.append((first.history, again, frozen, model.get_weights()[0].tolist()))
    assert histories[0] == histories[1]


def test_many_models_in_a_row_cause_no_warning_of_tensorflow(data, caplog):
    x, y = data
    with caplog.at_level(logging.WARNING, logger="tensorflow"):
        for _ in range(6):
            fitgap.fit(functional(), x, y, validation_data=(x, y), verbose=0)
    assert "retracing" not in caplog.text


def test_with_xla_it_agrees_closely(data):
    x, y = data

    def make():
        model = keras.Sequential([keras.layers.Dense(8, "relu"), keras.layers.Dense(2, "softmax")])
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    _, history = train(make, "keras", x=x, y=y)
    _, ours = train(make, "fitgap", x=x, y=y)
    np.testing.assert_allclose(ours.history["loss"], history.history["loss"], rtol=1e-5)


def test_callbacks_between_epochs_are_served(data, tmp_path, caplog):
    x, y = data
    given = {"x": x, "y": y, "validation_split": 0.2}
    histories = []
    for way in ("keras", "fitgap"):
        callbacks = [
            keras.callbacks.EarlyStopping("val_loss", min_delta=10.0, patience=1),
            keras.callbacks.ModelCheckpoint(tmp_path / f"{way}.keras"),
        ]
        _, history = train(functional, way, callbacks=callbacks, **given)
        histories.append(history.history)
    assert histories[0] == histories[1]
    assert len(histories[1]["loss"]) == 2  # stopped
    assert (tmp_path / "fitgap.keras").exists()
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"steps_per_epoch": 2}, "steps_per_epoch is given"),
        ({"callbacks": [keras.callbacks.TerminateOnNaN()]}, "TerminateOnNaN acts between batches"),
        ({"shuffle": "batch"}, "shuffle='batch' is asked for"),
    ],
    ids=["steps", "batches", "shuffle"],
)
def test_what_model_fit_must_do_it_does_and_that_is_said(arguments, reason, data, caplog):
    x, y = data
    with caplog.at_level(logging.WARNING, logger="fitgap"):
        _, ours = train(functional, "fitgap", x=x, y=y, **arguments)
    assert caplog.messages == [f"fitgap.fit: model.fit trains here, since {reason}"]
    _, history = train(functional, "keras", x=x, y=y, **arguments)
    assert ours.history == history.history


def test_a_dataset_goes_to_model_fit(data, caplog):
    import tensorflow as tf

    x, y = data
    train(
        functional, "fitgap", x=tf.data.Dataset.from_tensor_slices((x, y)).batch(32), shuffle=False
    )
    assert "is not an array of numbers" in caplog.text


def test_wrong_requests_are_refused(data):
    x, y = data
    with pytest.raises(fitgap.RequestError, match="the same number of rows, got 203, 202"):
        fitgap.fit(functional(), x, y[:-1])
    with pytest.raises(fitgap.RequestError, match="needs a compiled model"):
        fitgap.fit(keras.Sequential([keras.layers.Dense(1)]), x, y)
    with pytest.raises(fitgap.RequestError, match=r"needs a keras\.Model, got str"):
        fitgap.fit("model", x, y)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"epochs": 0}, "epochs must be a whole number from 1 on, got 0"),
        ({"batch_size": 0}, "batch_size must be a whole number from 1 on, got 0"),
        ({"batch_size": "8"}, "batch_size must be a whole number"),
        ({"class_weight": "balanced"}, "class_weight must be a mapping"),
        ({"validation_data": np.ones((3, 6))}, r"validation_data must be a pair \(x, y\)"),
        ({"callbacks": [3]}, "callbacks must be Keras's, got 3"),
    ],
)
def test_arguments_without_a_meaning_are_refused(arguments, said, data):
    x, y = data
    with pytest.raises(fitgap.RequestError, match=said):
        fitgap.fit(functional(), x, y, **arguments)


def test_a_model_that_does_not_fit_the_data_is_refused_in_a_line(data):
    x, y = data
    unfit = "model, loss and data do not fit each other: "
    for inputs, targets, said in (
        (x[:, :3], y, f"{unfit}.*incompatible"),
        (x, y + 90, f"{unfit}.*label value of 9. which is outside the valid range"),
        (x[:0], y[:0], "must have rows, got none"),
    ):
        with pytest.raises(fitgap.RequestError, match=said) as caught:
            fitgap.fit(functional(), inputs, targets, verbose=0)
        assert len(str(caught.value).splitlines()) == 1
    gap = fitgap.GapCallback(train=(x, y), val=(x[:, :3], y))
    with pytest.raises(fitgap.RequestError, match=f"GapCallback, val: {unfit}"):
        functional().fit(x, y, verbose=0, callbacks=[gap])


def test_wrong_settings_of_the_gap_are_refused(data):
    part = data
    with pytest.raises(fitgap.RequestError, match="lower_is_better must be a list of names"):
        fitgap.GapCallback(train=part, val=part, lower_is_better="accuracy")
    with pytest.raises(fitgap.RequestError, match="batch_size must be a whole number"):
        fitgap.GapCallback(train=part, val=part, batch_size=0)
    gap = fitgap.GapCallback(train=part, val=part, lower_is_better=["acuracy"])
    with pytest.raises(fitgap.RequestError, match=r"names acuracy, but the model measures loss"):
        functional().fit(*part, verbose=0, callbacks=[gap])


def test_a_model_and_its_compiled_functions_are_given_back(data):
    import gc
    import weakref

    x, y = data
    model, history = train(sequential, "fitgap", x=x, y=y)
    seen = weakref.ref(model)
    del model, history
    gc.collect()
    assert seen() is None


# The gap in any loop ----------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["keras", "fitgap"])
def test_the_gap_is_that_of_model_evaluate_and_others_see_it(way, data, tmp_path):
    x, y = data
    gap = fitgap.GapCallback(train=(x[:150], y[:150]), val=(x[150:], y[150:]))
    log = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    model, history = train(functional, way, x=x[:150], y=y[:150], callbacks=[gap, log])
    seen = model.evaluate(x[:150], y[:150], verbose=0, return_dict=True)
    unseen = model.evaluate(x[150:], y[150:], verbose=0, return_dict=True)
    found = {name: values[-1] for name, values in history.history.items()}
    for name in ("loss", "accuracy", "top_1"):
        assert found[f"train_{name}"] == pytest.approx(seen[name], abs=1e-6)
        assert found[f"val_{name}"] == pytest.approx(unseen[name], abs=1e-6)
    assert found["gap_loss"] == pytest.approx(unseen["loss"] - seen["loss"], abs=1e-6)
    assert found["gap_accuracy"] == pytest.approx(seen["accuracy"] - unseen["accuracy"], abs=1e-6)
    with (tmp_path / "log.csv").open() as file:
        assert float(list(csv.DictReader(file))[-1]["gap_accuracy"]) == found["gap_accuracy"]


def test_early_stopping_can_watch_the_gap(data):
    x, y = data
    gap = fitgap.GapCallback(train=(x, y))
    stop = keras.callbacks.EarlyStopping("gap_loss", mode="min", min_delta=10.0, patience=1)
    _, history = train(
        functional, "keras", x=x, y=y, validation_data=(x[:9], y[:9]), callbacks=[gap, stop]
    )
    assert len(history.history["gap_loss"]) == 2


@pytest.mark.parametrize("name", ["mae", "class_mse", "mean_squared_error"])
def test_of_errors_less_is_better(name):
    assert is_lower_better(name)


@pytest.mark.parametrize("name", ["accuracy", "auc", "r2_score", "class_precision", "recall"])
def test_of_other_metrics_more_is_better(name):
    assert not is_lower_better(name)


def test_a_gap_needs_unseen_data(data):
    x, y = data
    with pytest.raises(fitgap.RequestError, match="needs unseen data"):
        train(functional, "keras", x=x, y=y, callbacks=[fitgap.GapCallback(train=(x, y))])
    with pytest.raises(fitgap.RequestError, match="must be a pair"):
        fitgap.GapCallback(train=x)
    with pytest.raises(fitgap.RequestError, match="the same number of rows, got 203, 9"):
        fitgap.GapCallback(train=(x, y[:9]))


def test_importing_fitgap_loads_neither_tensorflow_nor_mlflow():
    asked = (
        "import sys, fitgap; fitgap.RequestError; dir(fitgap);"
        "print([m for m in ('tensorflow', 'keras', 'mlflow', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_name_of_the_face_is_there():
    for name in fitgap.__all__:
        assert getattr(fitgap, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        fitgap.nonsense  # noqa: B018

"""The checks of settings: a wrong value is told apart from a right one."""

import copy
import inspect

import keras
import pytest

from fitgap.config import checks, model_checks, schema, validation
from fitgap.config import settings as config
from fitgap.errors import RequestError

# Wrong values. Those that Hydra itself refuses are among the tests of the command line.

NAN, INF = float("nan"), float("inf")


@pytest.fixture(scope="module")
def composed_once(compose):
    return config.to_plain(compose())


@pytest.fixture
def default_plain(composed_once):
    """Return the plain form of the default settings, to be spoiled."""
    return copy.deepcopy(composed_once)


@pytest.mark.parametrize(
    ("setting", "value", "allowed"),
    [
        ("seed", -1, "an integer from 0 to 4294967295"),
        ("seed", 2**32, "an integer from 0 to 4294967295"),
        ("split.name", "third", "holdout or kfold or given or none"),
        ("split.validation_fraction", 1.2, "a number in (0, 1)"),
        ("split.validation_fraction", 1.0, "a number in (0, 1)"),
        ("split.validation_fraction", 0.0, "a number in (0, 1)"),
        ("split.validation_fraction", NAN, "a number in (0, 1)"),
        ("split.validation_fraction", None, "a number in (0, 1)"),
        ("split.seed", -1, "an integer from 0 to 4294967295"),
        ("split.seed", None, "an integer from 0 to 4294967295"),
        ("architecture._target_", None, "given"),
        ("architecture.name", "", "given"),
        ("architecture.units", [100, 0], "positive integers"),
        ("architecture.dropout", 1.0, "a number in [0, 1)"),
        ("architecture.dropout", -0.1, "a number in [0, 1)"),
        ("architecture.l2", -1.0, "a number >= 0"),
        ("architecture.l2", INF, "a number >= 0"),
        ("architecture.l1", -1.0, "a number >= 0"),
        ("split.train_fraction", 0.0, "a number in (0, 1]"),
        ("split.train_fraction", 1.01, "a number in (0, 1]"),
        ("split.train_fraction", NAN, "a number in (0, 1]"),
        ("optimizer.use_ema", 1, "true or false"),
        ("optimizer.ema_momentum", 1.0, "a number in [0, 1)"),
        ("optimizer._target_", 5, "given"),
        ("optimizer.learning_rate", NAN, "a number > 0"),
        ("optimizer.learning_rate", INF, "a number > 0"),
        ("optimizer.learning_rate", 0.0, "a number > 0"),
        ("optimizer.learning_rate", -0.1, "a number > 0"),
        ("optimizer.learning_rate", "fast", "a number > 0"),
        ("optimizer.learning_rate", True, "a number > 0"),
        ("optimizer.momentum", 1.0, "a number in [0, 1)"),
        ("optimizer.rho", 1.5, "a number in [0, 1)"),
        ("optimizer.beta_1", -0.5, "a number in [0, 1)"),
        ("optimizer.beta_2", 1, "a number in [0, 1)"),
        ("optimizer.epsilon", 0.0, "a number > 0"),
        ("optimizer.weight_decay", -1.0, "a number >= 0"),
        ("optimizer.initial_accumulator_value", -1.0, "a number >= 0"),
        ("optimizer.centered", 7, "true or false"),
        ("loss.labels", "words", "integer or one_hot or binary or numbers or many_hot or auto"),
        ("training.epochs", 0, "an integer >= 1"),
        ("training.batch_size", -1, "an integer >= 1"),
        ("training.threads", 0, "an integer >= 1"),
        ("training.memory_limit_mb", 0, "an integer >= 1"),
        ("training.engine", "warp", "auto or compiled or fit or numpy"),
        ("training.schedule", {"alpha": 1}, "empty or have a _target_"),
        ("training.early_stopping", {"patience": 1}, "empty or have a _target_"),
        ("tags", 5, "a mapping, such as {question: width}"),
    ],
)
def test_a_wrong_value_is_refused_with_setting_allowed_and_received(
    default_plain, setting, value, allowed
):
    section, _, key = setting.rpartition(".")
    (default_plain[section] if section else default_plain)[key] = value
    with pytest.raises(RequestError) as caught:
        validation.validate(config.from_plain(default_plain))
    assert str(caught.value) == f"{setting} must be {allowed}, got {value!r}"


@pytest.mark.parametrize("classes", [[3], [3, 3], []])
def test_fewer_than_two_classes_are_refused(default_plain, classes):
    default_plain["dataset"]["classes"] = classes
    with pytest.raises(RequestError, match=r"dataset\.classes must be two or more different"):
        validation.validate(config.from_plain(default_plain))


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["tracking=server"], ["tracking.uri has no value", "tracking.uri=..."]),
        (["tracking.experiment=' '"], ["tracking.experiment must be 1 to 500 characters"]),
        ([f"tracking.experiment={'a' * 501}"], ["tracking.experiment must be 1 to 500"]),
        (["training.engine=fit", "training.xla=true"], ["training.xla", "engine=fit"]),
        (["+seeds=1"], ["seeds: there is no such setting", "did you mean seed?"]),
        (["+training.epoch=1"], ["training.epoch: there", "did you mean training.epochs?"]),
        (["+tracking.url=x"], ["tracking.url: there", "did you mean tracking.uri?"]),
        (["+architecture.unit=[1]"], ["architecture.unit: there", "architecture.units?"]),
        (["architecture=cnn_small", "architecture.layers=5"], ["architecture.layers", "got 5"]),
        (["+training.callbacks.x=5"], ["training.callbacks.x must be given with a _target_"]),
        (["optimizer.learning_rate=0"], ["optimizer.learning_rate must be a number > 0, got 0.0"]),
        (["optimizer.name='${nowhere}'"], ["nowhere"]),
    ],
)
def test_settings_that_do_not_stand_are_refused(compose, overrides, parts):
    with pytest.raises(RequestError) as caught:
        compose(*overrides)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["training.early_stopping.monitor=val_acc"], ["one of loss, accuracy", "'val_acc'"]),
        (
            ["metrics=[accuracy,roc_auc]", "training.early_stopping.monitor=val_roc_auc"],
            ["only at the end", "++metrics.roc_auc.each_epoch=true"],
        ),
        (["split=none"], ["monitor=val_loss needs a validation partition", "split=none"]),
        (["split=none", "~training.early_stopping.monitor"], ["needs a validation partition"]),
    ],
)
def test_early_stopping_watches_something_that_there_is(compose, overrides, parts):
    # Keras itself would warn and never stop.
    with pytest.raises(RequestError) as caught:
        compose("training/early_stopping=on", *overrides)
    assert str(caught.value).startswith("training.early_stopping.monitor")
    for part in parts:
        assert part in str(caught.value)


def test_early_stopping_on_the_running_loss_needs_no_validation(compose):
    stopping = "training.early_stopping.monitor=loss"
    composed = compose("split=none", "training/early_stopping=on", stopping)
    assert composed.training.early_stopping["monitor"] == "loss"


@pytest.mark.parametrize(
    "override",
    [
        "seed=0",
        "seed=4294967295",
        "split.seed=0",
        "split.validation_fraction=0.999",
        "architecture.units=[]",
        "architecture.dropout=0",
        "optimizer.momentum=0.999",
        "training.epochs=1",
        "dataset.classes=[9,0]",
    ],
)
def test_a_value_at_the_edge_is_taken(compose, override):
    assert isinstance(compose(override), schema.Config)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["architecture=cnn_small", "+architecture.dropout=0.5"],
            "architecture.dropout: architecture=cnn_small has no such setting",
        ),
        (
            ["+training.callbacks.swap={_target_:keras.callbacks.SwapEMAWeights}"],
            "leave SwapEMAWeights out",
        ),
        (
            ["+training.augmentation.turn={factor:0.1}"],
            "training.augmentation.turn must be given with a _target_",
        ),
    ],
)
def test_what_would_fail_or_mislead_later_is_refused_now(compose, overrides, message):
    with pytest.raises(RequestError, match=message):
        compose(*overrides)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, True), (0.5, True), (True, False), ("1", False), (None, False), (float("nan"), False)],
)
def test_only_finite_numbers_are_numbers(value, expected):
    assert checks.is_number(value) is expected


def test_a_plateau_beside_a_schedule_is_refused(compose):
    plateau = "+training.callbacks.p={_target_: keras.callbacks.ReduceLROnPlateau}"
    compose(plateau)
    with pytest.raises(RequestError, match=r"ReduceLROnPlateau.*schedule=constant"):
        compose(plateau, "training/schedule=cosine")


@pytest.mark.parametrize(
    ("target", "taken"),
    [("keras.optimizers.SGD", "momentum"), ("keras.optimizers.AdamW", "beta_1")],
)
def test_what_an_optimizer_takes_is_what_its_signature_says(target, taken):
    names = ("SGD", "RMSprop", "Adam", "AdamW", "Adamax", "Lion", "Nadam", "Adagrad", "Adadelta")
    for name in names:
        signature = inspect.signature(getattr(keras.optimizers, name)).parameters
        said = set(signature) - {"learning_rate", "name", "kwargs"}
        assert model_checks.optimizer_settings(f"keras.optimizers.{name}") == said
    assert taken in model_checks.optimizer_settings(target)


def test_a_setting_that_the_optimizer_does_not_take_is_refused(compose):
    compose("optimizer=adam", "++optimizer.use_ema=true", "++optimizer.beta_1=0.8")
    with pytest.raises(RequestError, match=r"optimizer\.beta_1: optimizer=sgd has no such setting"):
        compose("optimizer=sgd", "++optimizer.beta_1=0.8")

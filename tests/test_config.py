"""The settings: every YAML of conf/ composes, and a wrong value is told apart from a right one."""

import copy
import inspect
import json
from dataclasses import asdict, fields

import keras
import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from fitgap.config import checks, model_checks, parameters, project, schema, validation
from fitgap.config import settings as config
from fitgap.config.quoting import quoted
from fitgap.errors import RequestError

# A key without which an option cannot stand: what its comment asks for.
NEEDED = {
    "tracking=server": ["tracking.uri=http://127.0.0.1:5000"],
    "dataset=csv": ["dataset.path=x.csv"],
    "dataset=function": ["dataset.function={_target_: my_data.load}"],
    "dataset=idx": ["dataset.path=x"],
    "dataset=image_folder": ["dataset.path=x"],
    "dataset=mat": ["dataset.path=x.mat"],
    "dataset=npz": ["dataset.path=x.npz"],
    "dataset=table": ["dataset.path=x.csv"],
    "dataset=texts": ["dataset.path=x"],
}


def options(group):
    """Return `group=option` for each of a config group's files."""
    return [f"{group}={path.stem}" for path in sorted((project.CONFIG_DIR / group).glob("*.yaml"))]


GROUPS = sorted(
    {
        path.parent.relative_to(project.CONFIG_DIR).as_posix()
        for path in project.CONFIG_DIR.rglob("*.yaml")
        if path.parent != project.CONFIG_DIR
    }
)


@pytest.mark.parametrize("choice", [choice for group in GROUPS for choice in options(group)])
def test_every_option_composes(compose, choice):
    group, _, option = choice.partition("=")
    composed = compose(choice, *NEEDED.get(choice, []), task=None)
    assert isinstance(composed, schema.Config)
    if group in ("dataset", "split", "architecture", "optimizer", "loss"):
        # The record shows the name: it must be the option's own.
        section = getattr(composed, group)
        assert (section["name"] if isinstance(section, dict) else section.name) == option


def test_the_plain_request_is_the_documented_default(compose):
    composed = compose()
    assert composed.dataset == schema.PublishedConfig(name="digits")
    assert composed.split == schema.SplitConfig(
        "holdout", validation_fraction=0.2, seed=42, stratify=None
    )
    assert composed.architecture["units"] == [100]
    assert composed.optimizer["name"] == "rmsprop"
    assert composed.loss.labels == "integer"
    assert composed.training.epochs == 5
    assert composed.training.batch_size == 32
    assert composed.training.engine == "auto"
    assert composed.training.train_metrics_every_epoch is True
    assert composed.tracking == schema.TrackingConfig(uri=None, experiment="fitgap", reuse=True)
    assert (composed.seed, composed.name, composed.tags) == (0, None, {})


@pytest.mark.parametrize("preset", options("experiment"))
def test_a_preset_holds_only_differences(preset):
    path = project.CONFIG_DIR / "experiment" / f"{preset.partition('=')[2]}.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(content) <= {"defaults", "architecture", "training", "split", "name"}


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("mnist_dense_rmsprop_onehot", ("mnist", "none", [512], "rmsprop", "one_hot", 5, 128)),
        ("mnist_dense_rmsprop_sparse", ("mnist", "none", [512], "rmsprop", "integer", 5, 128)),
        ("fashion_dense_sigmoid", ("fashion_mnist", "holdout", [100], "rmsprop", "integer", 5, 32)),
        ("fashion_dense_relu", ("fashion_mnist", "holdout", [100], "rmsprop", "integer", 10, 32)),
        ("fashion_dense_adam", ("fashion_mnist", "holdout", [100], "adam", "integer", 5, 32)),
    ],
)
def test_a_reference_preset_is_the_published_experiment(compose, preset, expected):
    composed = compose(f"experiment={preset}")
    assert (
        composed.dataset.name,
        composed.split.name,
        composed.architecture["units"],
        composed.optimizer["name"],
        composed.loss.labels,
        composed.training.epochs,
        composed.training.batch_size,
    ) == expected
    if composed.split.name == "holdout":
        assert (composed.split.validation_fraction, composed.split.seed) == (0.2, 42)
    is_sigmoid = preset == "fashion_dense_sigmoid"
    assert composed.architecture["activation"] == ("sigmoid" if is_sigmoid else "relu")
    assert composed.architecture["title"] == ("패션 MNIST 모델" if is_sigmoid else None)


@pytest.mark.parametrize("choice", options("optimizer"))
def test_an_optimizer_is_keras_with_its_defaults(compose, choice):
    from hydra.utils import instantiate

    node = compose(choice).optimizer
    own = {
        "sgd": {},
        "momentum": {"momentum": 0.9},
        "nesterov": {"momentum": 0.9, "nesterov": True},
    }
    keras_class = getattr(keras.optimizers, node["_target_"].rpartition(".")[2])
    fresh = keras_class(**own.get(node["name"], {})).get_config()
    built = instantiate(node).get_config()
    assert built == fresh | {"name": node["name"]}


@pytest.mark.parametrize("choice", [one for one in options("loss") if one != "loss=auto"])
def test_a_loss_is_keras_with_its_defaults(compose, choice):
    from hydra.utils import instantiate

    loss = compose(choice).loss
    keras_class = getattr(keras.losses, loss.function["_target_"].rpartition(".")[2])
    assert instantiate(loss.function).get_config() == keras_class().get_config()


@pytest.mark.parametrize("choice", options("training/schedule"))
def test_a_schedule_names_a_keras_schedule_and_its_parameters(compose, choice):
    from hydra.utils import get_class

    node = dict(compose(choice, "optimizer.learning_rate=0.25").training.schedule)
    if choice == "training/schedule=constant":
        assert node == {}
        return
    assert node["initial_learning_rate"] == 0.25
    assert node["decay_steps"] is None
    parameters = inspect.signature(get_class(node.pop("_target_"))).parameters
    assert set(node) <= set(parameters)


def test_early_stopping_is_keras_and_keeps_the_best_weights(compose):
    from hydra.utils import get_class

    node = dict(compose("training/early_stopping=on").training.early_stopping)
    assert node.pop("_target_") == "keras.callbacks.EarlyStopping"
    assert (node["monitor"], node["restore_best_weights"]) == ("val_loss", True)
    parameters = inspect.signature(get_class("keras.callbacks.EarlyStopping")).parameters
    assert set(node) <= set(parameters)


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


def test_whole_numbers_and_decimals_are_the_same_setting(compose):
    # Keras refuses a momentum of 0 but takes 0.0; of a schedule from 1 it makes whole numbers.
    chosen = ("optimizer=momentum", "training/schedule=cosine")
    whole = compose(*chosen, "optimizer.momentum=0", "optimizer.learning_rate=1")
    decimal = compose(*chosen, "optimizer.momentum=0.0", "optimizer.learning_rate=1.0")
    assert json.dumps(config.to_plain(whole)) == json.dumps(config.to_plain(decimal))


def test_interpolations_are_resolved(compose):
    composed = compose("training/schedule=cosine", "tags={width: '${architecture.units}'}")
    assert composed.training.schedule["initial_learning_rate"] == 0.001
    assert composed.tags == {"width": [100]}


# Plain forms.


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["architecture=cnn_small", "split=none", "loss=mse"],
        ["training/early_stopping=on", "training/schedule=cosine"],
        ["name='한글 \"quoted\" # not a comment'", "tags={a: 1, b: {c: [x, null]}}"],
        ["name='costs \\${x'"],
    ],
)
def test_the_plain_form_gives_the_settings_back(compose, overrides):
    composed = compose(*overrides)
    plain = config.to_plain(composed)
    assert config.from_plain(plain) == composed
    written = yaml.safe_dump(plain, allow_unicode=True)
    assert config.from_plain(yaml.safe_load(written)) == composed
    assert config.from_plain(json.loads(json.dumps(plain))) == composed


def test_the_plain_form_shares_nothing_with_the_settings(compose):
    composed = compose()
    config.to_plain(composed)["architecture"]["units"].append(7)
    assert composed.architecture["units"] == [100]


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
keys = st.text("abc_", min_size=1, max_size=3)
settings = st.dictionaries(
    keys,
    st.recursive(
        scalars | st.lists(scalars, max_size=3),
        lambda inner: st.dictionaries(keys, inner, min_size=1, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


def nest(flat):
    """Undo `flatten` for settings without dots and digits in their keys."""
    nested = {}
    for path, value in flat.items():
        *parents, last = path.split(".")
        inner = nested
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = value
    return nested


@given(st.text(st.sampled_from("a\\'\" ,=$")))
def test_quoted_text_is_read_as_it_was(text):
    assert OverridesParser.create().parse_override(f"key={quoted(text)}").value() == text


@given(settings)
def test_flattening_loses_nothing(nested):
    flat = parameters.flatten(nested)
    assert nest(flat) == nested
    assert not any(isinstance(value, dict) for value in flat.values())


def test_lists_of_nodes_are_numbered_and_lists_of_numbers_stay_whole():
    nested = {"layers": [{"units": 3}, {"kernel": [3, 3]}], "units": [100, 50]}
    assert parameters.flatten(nested) == {
        "layers.0.units": 3,
        "layers.1.kernel": [3, 3],
        "units": [100, 50],
    }


def test_names_tags_paths_and_tracking_decide_nothing(compose):
    asked = ("tags={question: width}", "name=x", "dataset=csv", "dataset.path=x.csv")
    asked = (*asked, "loggers=[csv]")
    flat = parameters.flatten(asdict(compose(*asked)))
    dropped = set(flat) - set(parameters.without_volatile(flat))
    tracking = {f"tracking.{field.name}" for field in fields(schema.TrackingConfig)}
    tracking = tracking - {"tracking.loggers"} | {"tracking.loggers.csv._target_"}
    paths = ("path", "test_path", "val_path")
    dataset = {f"dataset.{key}" for key in ("allow_duplicates", *paths)}
    others = {"name", "tags.question", "architecture.title"} | dataset
    assert dropped == tracking | others


def test_a_setting_that_only_begins_like_a_volatile_one_decides():
    flat = {"names": 1, "name": 2, "architecture.title_font": 3, "tags.x": 4}
    flat["dataset.data_dir"] = 5
    assert parameters.without_volatile(flat) == {"names": 1, "architecture.title_font": 3}


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

"""A person's own architectures: three kinds of functions, what each becomes, what is refused."""

import sys

import keras
import numpy as np
import pytest

from fitgap.errors import RequestError
from fitgap.models import build as models
from fitgap.models import network, own_objects
from fitgap.models.scaling import FeatureScaling
from fitgap.training.engines import choice as engines

MODULE = """
import keras
import numpy as np
from keras import layers as L

def residual(x, width=8):
    h = L.Dense(width, activation="relu")(L.Flatten()(x))
    return L.add([h, L.Dense(width)(h)])

def listed(image_shape, units=4):
    return [L.Flatten(), L.Dense(units)]

def closed(activation="softmax", units=3):
    return [L.Flatten(), L.Dense(units, activation=activation)]

def closed_tensor(x):
    return L.Softmax()(L.Dense(3)(L.Flatten()(x)))

def whole(input_shape, num_outputs, activation="softmax"):
    return keras.Sequential([L.Input(input_shape), L.Flatten(), L.Dense(num_outputs, activation)])

def grey(num_outputs):
    x = inputs = L.Input((4, 4, 1))
    x = L.GlobalAveragePooling2D()(L.Conv2D(2, 3)(x))
    return keras.Model(inputs, L.Dense(num_outputs, activation="softmax")(x))

def scales(num_outputs):
    x = inputs = L.Input((4, 4))
    x = keras.Sequential([L.Rescaling(1 / 51), L.Flatten()])(x)
    return keras.Model(inputs, L.Dense(num_outputs, activation="softmax")(x))

def augments(num_outputs):
    x = inputs = L.Input((4, 4, 1))
    x = L.Rescaling(1 / 255)(keras.Sequential([L.RandomFlip(), L.RandomRotation(0.1)])(x))
    return keras.Model(inputs, L.Dense(num_outputs, activation="softmax")(L.Flatten()(x)))

def preprocesses(num_outputs, of):
    x = inputs = L.Input((4, 4, 3))
    x = getattr(keras.applications, of).preprocess_input(L.RandomFlip()(x))
    return keras.Model(inputs, L.Dense(num_outputs, activation="softmax")(L.Flatten()(x)))

def centres(num_outputs):
    x = inputs = L.Input((4, 4))
    return keras.Model(inputs, L.Dense(num_outputs, activation="softmax")(L.Flatten()(2 * x - 1)))

def by_classes(num_classes, num_outputs):
    return [L.Flatten(), L.Dense(num_classes, name=f"of_{num_classes}_{num_outputs}")]

def of_classes(x, num_classes=7):
    return L.Dense(num_classes, name=f"of_{num_classes}")(L.Flatten()(x))

def lists_scaling():
    return [L.Rescaling(1 / 255), L.Flatten()]

class Subclassed(keras.Model):
    def __init__(self, units, activation):
        super().__init__()
        self.flatten = WithoutConfig(L.Flatten())
        self.dense = L.Dense(units, activation)
        self.settings = {"units": units, "activation": activation}
    def call(self, x):
        return self.dense(self.flatten(x))
    def get_config(self):
        return dict(self.settings)

def subclassed(num_outputs, activation="softmax"):
    return Subclassed(num_outputs, activation)

def compiled(num_outputs):
    model = whole((4, 4), num_outputs)
    model.compile("sgd", "mse")
    return model

class WithoutConfig(L.Layer):
    def __init__(self, function):
        super().__init__()
        self.function = function
    def call(self, x):
        return self.function(x)

class WithoutKwargs(L.Layer):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor
    def call(self, x):
        return x * self.factor

class WithKwargs(L.Layer):
    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor
    def call(self, x):
        return x * self.factor

def scaled(x, takes_kwargs):
    layer = WithKwargs if takes_kwargs else WithoutKwargs
    return layer(2.0)(L.Flatten()(x))

def nested(num_outputs):
    return keras.Sequential([L.Flatten(), WithoutKwargs(2.0), L.Dense(num_outputs, "softmax")])

def calls(x):
    return L.Lambda(lambda y: 2 * y)(L.Flatten()(x))

def convolutional(input_shape, num_outputs):
    layers = [L.Input(input_shape), L.Conv2D(2, 3), L.Flatten(), L.Dense(num_outputs, "softmax")]
    return keras.Sequential(layers)

def one_unit(input_shape):
    return keras.Sequential([L.Input(input_shape), L.Flatten(), L.Dense(1, "sigmoid")])

def without_config(x):
    return WithoutConfig(keras.ops.relu)(L.Flatten()(x))

class Model(keras.Model):
    def __init__(self, units):
        super().__init__()
        self.dense = L.Dense(units, activation="softmax")
    def call(self, x):
        return self.dense(L.Flatten()(x))

def model_without_config(num_outputs):
    return Model(num_outputs)

def named(x, name_):
    return L.Dense(2, name=name_)(L.Flatten()(x))

def named_input(num_outputs):
    x = inputs = L.Input((4, 4), name="입력")
    return keras.Model(inputs, L.Dense(num_outputs, activation="softmax")(L.Flatten()(x)))

def normalizes(num_outputs, adapted):
    normalization = L.Normalization(axis=None)
    if adapted:
        normalization.adapt(np.arange(16).reshape((1, 4, 4)))
    return keras.Sequential([normalization, L.Flatten(), L.Dense(num_outputs, "softmax")])

class OwnStep(keras.Sequential):
    def train_step(self, data):
        return {}

def own_step(num_outputs):
    return OwnStep([L.Flatten(), L.Dense(num_outputs, activation="softmax")])

def two_inputs(num_outputs):
    a, b = L.Input((4,)), L.Input((4,))
    return keras.Model([a, b], L.Dense(num_outputs, activation="softmax")(L.add([a, b])))

def seven():
    return keras.Sequential([L.Flatten(), L.Dense(7, activation="softmax")])

def large(num_outputs):
    return whole((32, 32, 3), num_outputs)

kept = whole((4, 4), 3)
def again():
    return kept

def fails(x):
    y = x
    return y + undefined_name

def convolves(x):
    return L.Flatten()(L.Conv2D(2, 3)(x))

def nothing(x):
    return None

def number():
    return 5

def not_flat(x):
    return x

a_number = 5
"""


LOGITS = ("loss=auto", "+loss.function.from_logits=true")


@pytest.fixture
def own_networks(tmp_path, monkeypatch):
    (tmp_path / "own_networks.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("own_networks", None)


@pytest.fixture
def build(compose, own_networks):  # noqa: ARG001 - the module is there
    def build_own(
        name,
        *overrides,
        image_shape=(4, 4),
        num_classes=3,
        features=None,
        task="classes",
        **settings,
    ):
        config = compose(*overrides, task=task)
        target = name if "." in name else f"own_networks.{name}"
        config.architecture = {"_target_": target, "name": "mine", "title": None, **settings}
        said = []
        model = models.build(
            config,
            image_shape=image_shape,
            num_classes=num_classes,
            total_steps=10,
            scaling=features,
            say=said.append,
        )
        return model, said, config

    return build_own


def names(model):
    return [layer.name for layer in model.layers]


def test_a_tensor_function_gets_the_scaled_input_and_a_head(build):
    model, _, _ = build("residual", width=5)
    assert names(model)[:2] == ["image", "rescaling"]
    assert names(model)[-1] == "output"
    # 16 pixels to 5, 5 to 5, 5 to 3 classes.
    assert model.count_params() == (16 * 5 + 5) + (5 * 5 + 5) + (5 * 3 + 3)
    assert model.inputs[0].dtype == "uint8"


def test_a_list_of_layers_stands_between_scaling_and_head(build):
    model, _, _ = build("listed", units=2)
    assert [type(layer).__name__ for layer in model.layers] == [
        "Rescaling",
        "Flatten",
        "Dense",
        "Dense",
    ]
    assert model.count_params() == (16 * 2 + 2) + (2 * 3 + 3)


@pytest.mark.parametrize("name", ["whole", "grey", "subclassed"])
def test_a_whole_model_keeps_its_own_head(build, name):
    model, said, _ = build(name)
    assert said == []
    assert "output" not in names(model)
    assert model.output_shape == (None, 3)
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 4), dtype=np.uint8)
    np.testing.assert_allclose(model(images).numpy().sum(axis=1), 1, atol=1e-6)


def test_a_whole_model_gets_images_between_0_and_1(build):
    model, _, _ = build("whole")
    images = np.full((1, 4, 4), 255, np.uint8)
    inner = model.layers[-1]
    np.testing.assert_allclose(model(images), inner(np.ones((1, 4, 4), np.float32)), atol=1e-6)


def test_a_whole_model_gets_features_normalised(build):
    scaling = FeatureScaling(axis=-1, mean=[1.0, 2.0], variance=[4.0, 9.0])
    model, _, _ = build("whole", image_shape=(2,), features=scaling)
    inner = model.layers[-1]
    raw, scaled = np.array([[3.0, 5.0]], np.float32), np.array([[1.0, 1.0]], np.float32)
    np.testing.assert_allclose(model(raw), inner(scaled), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "settings", "is_said"),
    [("scales", {}, True), ("whole", {"scaling": "none"}, False)],
    ids=["a Rescaling at its input", "scaling: none"],
)
def test_a_model_that_scales_for_itself_gets_raw_values(build, name, settings, is_said):
    model, said, _ = build(name, **settings)
    assert [("Rescaling" in line, "raw values" in line) for line in said] == [
        (True, True)
    ] * is_said
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 4), dtype=np.uint8)
    inner = model.layers[-1]
    np.testing.assert_allclose(model(images), inner(images.astype(np.float32)), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "settings", "shape", "is_raw"),
    [
        ("augments", {}, (4, 4), True),
        ("preprocesses", {"of": "mobilenet_v2"}, (4, 4, 3), True),
        ("preprocesses", {"of": "densenet"}, (4, 4, 3), True),
        ("preprocesses", {"of": "resnet"}, (4, 4, 3), True),
        ("centres", {}, (4, 4), False),
    ],
)
def test_a_scaling_is_seen_behind_augmentation_and_as_arithmetic(
    build, name, settings, shape, is_raw
):
    model, said, _ = build(name, image_shape=shape, **settings)
    assert ["raw values" in line for line in said] == [True] * is_raw
    images = np.random.default_rng(0).integers(0, 256, (5, *shape), dtype=np.uint8)
    values = images.astype(np.float32) / (1 if is_raw else 255)
    inner = model.layers[-1]
    expected = inner(values.reshape(5, *inner.input_shape[1:]), training=False)
    np.testing.assert_allclose(model(images, training=False), expected, atol=1e-6)


def test_a_list_of_layers_that_scales_gets_raw_values(build):
    model, said, _ = build("lists_scaling")
    assert ["raw values" in line for line in said] == [True]
    factors = [each.scale for each in model.layers if isinstance(each, keras.layers.Rescaling)]
    assert np.prod(factors) == pytest.approx(1 / 255)


@pytest.mark.parametrize(("adapted", "highest"), [(False, 1), (True, 255)])
def test_a_normalization_that_was_never_adapted_scales_nothing(build, adapted, highest):
    model, said, _ = build("normalizes", adapted=adapted)
    assert ["raw values" in line for line in said] == [True] * adapted
    images, inner = np.full((1, 4, 4), 255, np.uint8), model.layers[-1]
    expected = inner(np.full((1, 4, 4), highest, np.float32))
    np.testing.assert_allclose(model(images), expected, atol=1e-6)


def test_an_input_may_have_a_name_in_any_language(build):
    model, _, _ = build("named_input")
    assert model.output_shape == (None, 3)


@pytest.mark.parametrize(
    ("name", "settings", "is_said"),
    [
        ("closed", {}, True),
        ("closed_tensor", {}, True),
        ("closed", {"units": 7}, False),
        ("closed", {"activation": "sigmoid"}, False),
        ("whole", {}, False),
    ],
)
def test_features_that_end_in_a_second_softmax_are_said(build, name, settings, is_said):
    _, said, _ = build(name, **settings)
    assert [("ends in a softmax" in line) for line in said] == ([True] if is_said else [])


def test_declared_logits_become_probabilities(build):
    model, _, _ = build("whole", *LOGITS, activation=None)
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 4), dtype=np.uint8)
    np.testing.assert_allclose(model(images).numpy().sum(axis=1), 1, atol=1e-6)
    assert not model.loss.get_config()["from_logits"]


def test_a_function_gets_the_number_of_classes_if_it_asks_for_it(build):
    assert "of_3_3" in names(build("by_classes")[0])
    binary, _, _ = build("by_classes", "loss=binary_crossentropy", num_classes=2)
    assert "of_2_1" in names(binary)
    assert "of_3" in names(build("of_classes")[0])
    numbers, _, _ = build("of_classes", task="numbers")
    assert "of_7" in names(numbers)


def test_what_becomes_of_a_compiled_model_is_said(build):
    model, [line], _ = build("compiled")
    assert "compiled already" in line
    assert type(model.optimizer).__name__ == "RMSprop"


def test_mobile_net_of_keras_fits_colour_images(build):
    model, _, config = build(
        "keras.applications.MobileNetV2", image_shape=(32, 32, 3), weights=None, classes=3
    )
    choice = engines.choose(config, image_bytes=1)
    assert choice.xla is None
    resolved = engines.resolve(choice, model=model, config=config, callbacks=[])
    assert (resolved.name, resolved.xla) == ("compiled", False)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("residual", ("compiled", True)),
        ("grey", ("compiled", False)),
        ("subclassed", ("fit", False)),
    ],
)
def test_the_engine_follows_from_the_built_models_layers(build, name, expected):
    model, _, config = build(name)
    choice = engines.choose(config, image_bytes=1)
    resolved = engines.resolve(choice, model=model, config=config, callbacks=[])
    assert (resolved.name, resolved.xla) == expected


@pytest.mark.parametrize(
    ("name", "settings", "parts"),
    [
        ("whole", {"activation": None}, ["probabilities", "linear", "from_logits"]),
        ("subclassed", {"activation": None}, ["probabilities", "from_logits"]),
        ("seven", {}, ["3 outputs", "(None, 7)"]),
        ("large", {}, ["(32, 32, 3)", "(4, 4)"]),
        ("two_inputs", {}, ["one input", "2"]),
        ("own_step", {}, ["train_step", "fitgap.fit"]),
        ("fails", {}, ["NameError", "own_networks.py, line", "return y + undefined_name"]),
        ("convolves", {}, ["channel axis", "keras.layers.Reshape((4, 4, 1))"]),
        ("convolutional", {}, ["add +architecture.input_shape=[4,4,1]"]),
        ("nothing", {}, ["first parameter x", "got None"]),
        ("number", {}, ["keras.Model", "got int"]),
        ("not_flat", {}, ["flat layer", "(None, 4, 4)"]),
        ("without_config", {}, ["could not be saved", "WithoutConfig", "get_config()"]),
        ("model_without_config", {}, ["could not be saved", "Model", "get_config()"]),
        ("named", {"name_": "은닉층"}, ["letters from a to z", "'은닉층'"]),
        ("named", {"name_": "my layer"}, ["letters from a to z", "'my layer'"]),
        ("a_number", {}, ["must be a function", "got int"]),
        ("missing", {}, ["own_networks.missing does not exist"]),
        ("no_such_module.x", {}, ["no_such_module", "does not exist"]),
        ("residual", {"widht": 3}, ["architecture.widht", "own_networks.residual"]),
        ("residual", {"scaling": "some"}, ["architecture.scaling", "auto or none", "'some'"]),
    ],
)
def test_what_does_not_fit_is_refused_by_name_in_one_line(build, name, settings, parts):
    with pytest.raises(RequestError) as caught:
        build(name, **settings)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert "architecture" in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("name", "settings", "reason"),
    [
        ("scaled", {"takes_kwargs": False}, "have it take **kwargs"),
        ("scaled", {"takes_kwargs": True}, None),
        ("calls", {}, "make a layer of your own"),
        ("nested", {}, "have it take **kwargs"),
        ("subclassed", {}, None),
    ],
)
def test_a_layer_that_no_saved_file_can_give_back_is_named_before_training(
    build, name, settings, reason
):
    model, _, _ = build(name, **settings)
    told = [*own_objects.layers_not_opened(model)]
    assert len(told) == (reason is not None)
    for line in told:
        assert reason in line


def test_one_output_for_two_classes_is_told_which_loss_it_needs(build):
    with pytest.raises(RequestError, match="needs loss=binary_crossentropy"):
        build("one_unit", num_classes=2)
    model, _, _ = build("one_unit", "loss=binary_crossentropy", num_classes=2)
    assert model.output_shape == (None, 1)


def test_a_model_that_was_trained_is_not_taken_for_a_new_one(build):
    build("again")
    with pytest.raises(RequestError, match="the same model again"):
        build("again")


def made_by_position(x, /):
    return x


def made_with_default(x=None):
    return x


@pytest.mark.parametrize(
    ("function", "settings", "expected"),
    [
        (made_by_position, {}, True),
        (made_with_default, {}, False),
        (lambda x, width: x, {"width": 3}, True),  # noqa: ARG005
        (lambda width: width, {"width": 3}, False),
        (lambda input_shape, num_outputs: 0, {}, False),  # noqa: ARG005
        (lambda *, image_shape: image_shape, {}, False),
        (lambda **settings: settings, {}, False),
        (lambda: 0, {}, False),
    ],
)
def test_the_signature_says_which_functions_take_a_tensor(function, settings, expected):
    assert network.is_tensor_function(function, settings) is expected


def test_each_kind_is_saved_and_opened_again_in_safe_mode(build, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 4), dtype=np.uint8)
    for name in ("residual", "listed", "whole", "grey", "scales"):
        model, _, _ = build(name)
        model.save(tmp_path / "model.keras")
        opened = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
        np.testing.assert_array_equal(
            opened.predict(images, verbose=0), model.predict(images, verbose=0)
        )

import keras
import numpy as np
import pytest

from fitgap.reference.optimizers import Adam, Optimizer, make_optimizer

# Keras makes float32 of every Python float, also for float64 weights. These settings are exact
# in binary, so that in float64 nothing hides a wrong formula.
SETTINGS = {
    "sgd": {},
    "adagrad": {"initial_accumulator_value": 0.125},
    "adadelta": {"rho": 0.9375},
    "rmsprop": {"rho": 0.875},
    "adam": {"beta_1": 0.875, "beta_2": 0.96875},
    "adamw": {"beta_1": 0.875, "beta_2": 0.96875, "weight_decay": 0.25},
}
VARIANTS = {
    "sgd with momentum": ("sgd", {"momentum": 0.875}),
    "sgd with nesterov": ("sgd", {"momentum": 0.875, "nesterov": True}),
    "sgd with weight decay": ("sgd", {"weight_decay": 0.25}),
    "rmsprop with momentum": ("rmsprop", {"rho": 0.875, "momentum": 0.5}),
    "rmsprop centered": ("rmsprop", {"rho": 0.875, "centered": True}),
    "rmsprop centered with momentum": ("rmsprop", {"rho": 0.5, "centered": True, "momentum": 0.5}),
    "adam amsgrad": ("adam", {"beta_1": 0.875, "beta_2": 0.5, "amsgrad": True}),
}
CASES = [pytest.param(name, settings, id=name) for name, settings in SETTINGS.items()] + [
    pytest.param(*case, id=label) for label, case in VARIANTS.items()
]


def keras_optimizer(name, **settings):
    return keras.optimizers.get({"class_name": name, "config": settings})


def run_both(name, settings, *, before, rng, steps=6):
    """Apply the same gradients with both; return our weights and those of Keras."""
    dtype = before[0].dtype
    ours = [weight.copy() for weight in before]
    variables = [keras.Variable(weight, dtype=dtype.name) for weight in before]
    optimizer = make_optimizer(name, **settings)
    expected_optimizer = keras_optimizer(name, **settings)
    for _ in range(steps):
        # From 1e-8 to 1e2: where the gradients are small, the place of epsilon decides.
        gradients = [
            (rng.normal(size=w.shape) * 10.0 ** rng.integers(-8, 3, size=w.shape)).astype(dtype)
            for w in before
        ]
        optimizer.apply(gradients, weights=ours)
        expected_optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradients], variables)
    return ours, [variable.numpy() for variable in variables]


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_float64_steps_match_keras(rng, name, settings):
    settings = {"learning_rate": 0.0625, "epsilon": 2.0**-20, **settings}
    if name == "sgd":
        del settings["epsilon"]
    before = [rng.normal(size=(4, 3)), rng.normal(size=3)]
    ours, expected = run_both(name, settings, before=before, rng=rng)
    for start, own, other in zip(before, ours, expected, strict=True):
        np.testing.assert_allclose(own - start, other - start, rtol=1e-8)


@pytest.mark.parametrize("name", SETTINGS)
def test_float32_steps_with_the_defaults_match_keras(rng, name):
    # From zero, or the weights' own rounding would hide differences of the changes.
    before = [np.zeros((4, 3), dtype=np.float32), np.zeros(3, dtype=np.float32)]
    ours, expected = run_both(name, {}, before=before, rng=rng)
    for own, other in zip(ours, expected, strict=True):
        assert own.dtype == np.float32
        np.testing.assert_allclose(own, other, rtol=1e-6)


@pytest.mark.parametrize("name", SETTINGS)
def test_defaults_are_those_of_keras(name):
    expected = keras_optimizer(name).get_config()
    for setting, value in vars(make_optimizer(name)).items():
        if setting != "iterations" and not setting.startswith("_"):
            assert value == pytest.approx(expected[setting]), setting


def test_momentum_moves_on_by_inertia():
    # v: -0.1, then 0.9 * -0.1 - 0.1 = -0.19; w: 1 - 0.1 - 0.19.
    weights = [np.array([1.0])]
    optimizer = make_optimizer("sgd", learning_rate=0.1, momentum=0.9)
    for _ in range(2):
        optimizer.apply([np.array([1.0])], weights=weights)
    assert weights[0][0] == pytest.approx(0.71)


def test_the_learning_rate_may_change_between_steps():
    weights = [np.array([1.0])]
    optimizer = make_optimizer("sgd", learning_rate=0.5)
    optimizer.apply([np.array([1.0])], weights=weights)
    optimizer.learning_rate = 0.25
    optimizer.apply([np.array([1.0])], weights=weights)
    assert weights[0][0] == 0.25


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("lion", {}, "one of sgd, adagrad, .*; received 'lion'"),
        ("adam", {"rho": 0.9}, "setting of optimizer adam must be one of .*; received 'rho'"),
        ("adam", {"clipnorm": 1.0}, "setting of optimizer adam .* received 'clipnorm'"),
        ("adam", {"iterations": 3}, "setting of optimizer adam .* received 'iterations'"),
        ("sgd", {"learning_rate": -0.1}, r"learning_rate must be in \[0, inf\); received -0.1"),
        ("sgd", {"learning_rate": np.nan}, r"learning_rate must be in \[0, inf\); received nan"),
        ("sgd", {"momentum": 1.5}, r"momentum must be in \[0, 1\]; received 1.5"),
        ("adam", {"beta_1": 1.0}, r"beta_1 must be in \[0, 1\); received 1.0"),
        ("adamw", {"weight_decay": None}, "weight_decay of adamw must be a number; received None"),
    ],
)
def test_wrong_settings_are_named(name, settings, message):
    with pytest.raises(ValueError, match=message):
        make_optimizer(name, **settings)


@pytest.mark.parametrize(
    ("gradients", "weights", "message"),
    [
        ([(2,)], [(2,), (3,)], "there must be 2 gradients, one per weight array; received 1"),
        ([(2,)], [(3,)], r"a gradient must have shape \(3,\); received shape \(2,\)"),
        ([(3,), (1,)], [(3,), (1,)], "must be 1 weight arrays, as at the first step; received 2"),
    ],
    ids=["number of gradients", "shape", "number of weights"],
)
def test_gradients_and_weights_must_fit(gradients, weights, message):
    optimizer: Optimizer = Adam()
    optimizer.apply([np.zeros(3)], weights=[np.zeros(3)])
    with pytest.raises(ValueError, match=message):
        optimizer.apply([*map(np.zeros, gradients)], weights=[*map(np.zeros, weights)])

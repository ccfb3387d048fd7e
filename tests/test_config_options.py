"""Every YAML of conf/ composes, and gives what Keras or a publication gives."""

import inspect

import keras
import pytest
import yaml

from fitgap.config import project, schema

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

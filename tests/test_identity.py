"""What makes two runs the same: their settings, data, engine and libraries."""

import copy
import dataclasses
import sys

import pytest

from fitgap import identity
from fitgap.training.engines.choice import EngineChoice
from identities import FACTS, changed, identity_of

pytestmark = pytest.mark.usefixtures("folder")  # the memory of fingerprints is the test's own


def test_the_same_request_has_the_same_identity(plain_settings):
    first = identity_of(plain_settings)
    assert first == identity_of(copy.deepcopy(plain_settings))
    assert len(first) == 64
    assert int(first, 16) >= 0


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("dataset.classes", [0, 1]),
        ("split.seed", 43),
        ("split.stratify", True),
        ("split.train_fraction", 0.5),
        ("training.augmentation", {"x": {"_target_": "keras.layers.RandomFlip"}}),
        ("architecture.l1", 0.1),
        ("optimizer.use_ema", True),
        ("architecture.units", [128, 1]),
        ("architecture.dropout", 0.1),
        ("architecture.batch_norm", True),
        ("optimizer._target_", "keras.optimizers.Adam"),
        ("optimizer.learning_rate", 0.002),
        ("optimizer.clipnorm", 1.0),
        ("loss.labels", "one_hot"),
        ("loss.function", {"_target_": "keras.losses.MeanSquaredError"}),
        ("training.epochs", 6),
        ("training.batch_size", 33),
        ("training.threads", 2),
        ("training.early_stopping.patience", 4),
        ("training.early_stopping", {}),
        ("training.schedule", {"_target_": "keras.optimizers.schedules.CosineDecay"}),
        ("training.callbacks", {"x": {"_target_": "keras.callbacks.ReduceLROnPlateau"}}),
        ("seed", 1),
    ],
)
def test_a_setting_that_decides_the_bits_changes_the_identity(plain_settings, path, value):
    assert identity_of(changed(plain_settings, path, value)) != identity_of(plain_settings)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("name", "이름"),
        ("tags", {"question": "width"}),
        ("tracking.uri", "http://elsewhere"),
        ("tracking.experiment", "other"),
        ("tracking.reuse", False),
        ("tracking.parent", "abc"),
        ("tracking.pruning", {"metric": "val/accuracy", "bounds": [0.5]}),
        ("dataset.data_dir", "/elsewhere"),
        ("architecture.title", "제목"),
        # The choice stands for the setting it came from.
        ("training.engine", "compiled"),
        ("training.xla", True),
        ("training.memory_limit_mb", 1),
    ],
)
def test_a_setting_that_decides_nothing_leaves_the_identity(plain_settings, path, value):
    assert identity_of(changed(plain_settings, path, value)) == identity_of(plain_settings)


@pytest.mark.parametrize(
    "other",
    [
        {"facts": dataclasses.replace(FACTS, dataset_digest="other")},
        {"facts": dataclasses.replace(FACTS, split_digest="other")},
        {"facts": dataclasses.replace(FACTS, class_names=("a", "c"))},
        {"choice": EngineChoice("compiled", xla=False, reason="by rule")},
        {"choice": EngineChoice("fit", xla=False, reason="by rule")},
    ],
    ids=["data", "split", "class names", "xla", "engine"],
)
def test_data_split_and_engine_are_part_of_it(plain_settings, other):
    assert identity_of(plain_settings, **other) != identity_of(plain_settings)


def test_the_reason_for_the_engine_is_not_part_of_it(plain_settings):
    asked_for = EngineChoice("compiled", xla=True, reason="asked for")
    assert identity_of(plain_settings, choice=asked_for) == identity_of(plain_settings)


@pytest.mark.parametrize("library", ["tensorflow", "keras", "numpy"])
def test_the_versions_of_the_libraries_are_part_of_it(plain_settings, monkeypatch, library):
    before = identity_of(plain_settings)
    versions = identity.versions()
    assert library in versions
    monkeypatch.setattr(identity, "versions", lambda: versions | {library: "0.0"})
    assert identity_of(plain_settings) != before


def reversed_keys(node):
    if isinstance(node, dict):
        return {key: reversed_keys(node[key]) for key in reversed(node)}
    return node


def test_the_order_of_the_settings_does_not_matter(plain_settings):
    assert list(reversed_keys(plain_settings)) != list(plain_settings)
    assert identity_of(reversed_keys(plain_settings)) == identity_of(plain_settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [("floatx", "float16"), ("epsilon", 1e-5), ("image_data_format", "channels_first")],
)
def test_the_global_settings_of_keras_are_part_of_it(plain_settings, monkeypatch, name, value):
    before = identity_of(plain_settings)
    told = identity.keras_settings()
    assert told == {"floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last"}
    monkeypatch.setattr(identity, "keras_settings", lambda: told | {name: value})
    assert identity_of(plain_settings) != before


def test_the_settings_in_the_file_of_keras_are_read_before_keras_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    (tmp_path / "keras.json").write_text('{"floatx": "float16"}')
    assert identity.keras_settings()["floatx"] == "float16"
    (tmp_path / "keras.json").write_text("damaged")
    assert identity.keras_settings()["floatx"] == "float32"

"""Settings in other forms: plain, flat and quoted."""

import json
from dataclasses import asdict, fields

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from fitgap.config import parameters, schema
from fitgap.config import settings as config
from fitgap.config.quoting import quoted


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

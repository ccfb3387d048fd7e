"""A recorded network's file: it brings no code, reads no other file, fits, and fills no memory."""

import contextlib
import io
import json
import zipfile
from unittest.mock import Mock

import pytest

from fitgap import prediction
from fitgap.data import datasets
from fitgap.errors import RequestError
from fitgap.prediction import loading
from fitgap.store import recorded
from fitgap.store.recorded import RecordedRun
from fitgap.trust import models
from fitgap_lab.fuzz import examples, packed


def keras_file(path, *, description, weights=None, **members):
    import h5py

    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        (weights or (lambda opened: opened.create_dataset("w", data=[1.0])))(file)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(description))
        archive.writestr("model.weights.h5", content.getvalue())
        for name, text in members.items():
            archive.writestr(name, text)
    return path


SEQUENTIAL = {"module": "keras", "class_name": "Sequential", "config": {"layers": []}}
ABSENT = "absent"


def layer(name, *, module="keras.layers", taken=None, **config):
    described = {"module": module, "class_name": name, "config": taken or config}
    if module == ABSENT:
        del described["module"]
    return SEQUENTIAL | {"config": {"layers": [described]}}


DENSE = {"module": "keras.layers", "class_name": "Dense", "config": {"units": 1}}


def nested(times):
    """Return a network within a network within ..."""
    described = SEQUENTIAL
    for _ in range(times):
        described = SEQUENTIAL | {"config": {"layers": [described]}}
    return described


def test_a_networks_file_of_kerass_layers_is_taken(tmp_path):
    compiled = {"metrics": [{"module": "keras.metrics", "class_name": "MeanMetricWrapper"}]}
    for description in (
        layer("Dense", units=3),
        layer("Functional", module="keras.src.models.functional"),
        layer("Multiply", module="keras.src.ops.numpy"),
        layer("function", module="builtins", taken="relu"),
        layer("Own", module=None, registered_name="mine>Own"),
        layer("__tensor__", module=ABSENT, value=1),
        SEQUENTIAL | {"compile_config": compiled},
    ):
        models.check(keras_file(tmp_path / "model.keras", description=description))


def test_classes_whose_names_are_no_text_are_none_that_keras_has():
    models._check_classes({"module": ["keras.layers"], "class_name": {"Lambda": 1}})


VOCABULARY = {"class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}}
COMPILED = SEQUENTIAL | {"compile_config": {"loss": {"module": "keras.layers"} | VOCABULARY}}


def link_elsewhere(file):
    import h5py

    file["w"] = h5py.ExternalLink("/etc/hostname", "x")


def keep_elsewhere(file):
    file.create_dataset("w", (1,), "f4", external=[("/etc/hostname", 0, 4)])


def keep_nothing(file):
    file.create_dataset("w", (10**9,), "f4")


def keep_packed(file):
    file.create_dataset("w", (10**6,), "f4", compression="gzip")[:] = 0


def keep_texts(file):
    import h5py

    file.create_dataset("w", (1,), h5py.string_dtype())[:] = "a"


@pytest.mark.parametrize(
    ("description", "weights", "expected"),
    [
        (layer("Lambda", function="x"), None, "has a Lambda"),
        (layer("TFSMLayer", filepath="/tmp/x"), None, "has a TFSMLayer"),
        (layer("Lambda", module="keras.src.layers.core.lambda_layer"), None, "has a Lambda"),
        (layer("TFSMLayer", module="keras.src.export.tfsm_layer"), None, "has a TFSMLayer"),
        (layer("layers.TFSMLayer", module="keras"), None, "has a layers.TFSMLayer"),
        (layer("function", module="keras.utils", taken="get_file"), None, "has a function"),
        (layer("Lambda", module=ABSENT, function="x"), None, "has a Lambda"),
        (layer("__lambda__", module=ABSENT), None, "has a __lambda__"),
        (layer("TextVectorization", vocabulary="/etc/passwd"), None, "from a file"),
        (SEQUENTIAL | {"config": {"layers": [COMPILED]}}, None, "from a file"),
        (nested(70), None, "nested too deeply"),
        (SEQUENTIAL | {"config": {"layers": [DENSE] * 30_000}}, None, "30001 layers and other"),
        (SEQUENTIAL, link_elsewhere, "lies in another file"),
        (SEQUENTIAL, keep_elsewhere, "lies in another file"),
        (SEQUENTIAL, keep_nothing, "larger than its place"),
        (SEQUENTIAL, keep_packed, "larger than its place"),
        (SEQUENTIAL, keep_texts, "holds no numbers"),
    ],
    ids=[
        *("lambda", "saved model", "lambda of its file", "saved model of its file"),
        *("saved model by a path", "download", "older form", "pickled code"),
        *("vocabulary", "loss of a network within", "networks within networks"),
        *("thousands of layers", "link", "external array"),
        *("array without values", "array of a bomb", "array of objects"),
    ],
)
def test_a_networks_file_brings_no_code_reads_no_other_and_is_no_bomb(
    description, weights, expected, tmp_path
):
    path = keras_file(tmp_path / "model.keras", description=description, weights=weights)
    with pytest.raises(ValueError, match=expected):
        models.check(path)


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Return a function that loads a small network after a change to its layer."""

    def loaded(**changed):
        parts, pack = packed.unpacked(examples.network())
        described = json.loads(parts["config.json"])
        described["config"]["layers"][1]["config"].update(changed)
        path = tmp_path / "model.keras"
        path.write_bytes(pack({**parts, "config.json": json.dumps(described).encode()}))
        models.check(path)
        monkeypatch.setattr(recorded, "model_file", lambda _: contextlib.nullcontext(path))
        return loading.load_model(Mock(RecordedRun, run_id="r", tags={}))

    return loaded


def test_a_network_is_loaded(load):
    assert load().count_params() == 8


@pytest.mark.parametrize("units", [1_000_000, 10**15])
def test_a_network_that_is_larger_than_its_file_is_not_made(units, load):
    import keras

    add_weight = keras.Layer.add_weight
    with pytest.raises(RequestError, match="layer dense is larger than the file of its weights"):
        load(units=units)
    assert keras.Layer.add_weight is add_weight


def networks_of_others():
    """Return networks that no run on the digits can have, each with what is said of it."""
    import keras

    x = keras.Input((8, 8), dtype="uint8")
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(x))
    ten = keras.layers.Dense(10, activation="softmax")(flat)
    small, other = keras.Input((4, 4)), keras.Input((8, 8))
    no_rows = "does not return a row of numbers for each sample"
    return {
        "3 classes": (keras.Model(x, ten[:, :3]), "has 3 outputs, and its record has 10 classes"),
        "1 class": (keras.Model(x, ten[:, :1]), "has 2 outputs, and its record has 10 classes"),
        "its input": (keras.Model(x, flat), "has 64 outputs, and its record has 10 classes"),
        "pictures": (keras.Model(x, keras.layers.Reshape((8, 8))(flat)), no_rows),
        "two answers": (keras.Model(x, [ten, ten]), no_rows),
        "named answers": (keras.Model(x, {"a": ten}), no_rows),
        "one for all": (keras.Model(x, keras.ops.sum(ten, 0)), no_rows),
        "whole numbers": (keras.Model(x, keras.ops.argmax(ten, 1, keepdims=True)), no_rows),
        "smaller images": (
            keras.Model(small, keras.layers.Dense(10)(keras.layers.Flatten()(small))),
            "cannot predict this",
        ),
        "two inputs": (
            keras.Model([x, other], keras.layers.Concatenate()([flat, other[:, 0]])),
            "cannot predict this",
        ),
    }


def test_a_network_that_does_not_fit_its_record_is_a_wrong_request(compose):
    dataset = datasets.load(compose().dataset)
    for name, (model, said) in networks_of_others().items():
        with pytest.raises(RequestError) as refused:
            prediction.predict_test_images(model, dataset, range(3))
        assert said in str(refused.value), name
        assert len(str(refused.value).splitlines()) == 1

"""Functions, classes and objects of Python as settings of a ``fitgap.Study``."""

import linecache
import sys
import warnings
from functools import partial

import keras
import mlflow
import numpy as np
import pytest

import fitgap
from fitgap.api import own_functions
from fitgap.commands import overrides
from fitgap.config import project
from fitgap.errors import RequestError

SMALL = {"architecture": "dense_softmax", "epochs": 1, "training": {"xla": False}}


def test_a_function_of_a_module_goes_by_its_name(folder, monkeypatch):
    (folder / "nets.py").write_text("def small(x, width=3):\n    return x\n")
    monkeypatch.syspath_prepend(folder)
    import nets

    given = {"architecture": [nets.small, "dense_softmax", partial(nets.small, width=2)]}
    replaced, here_only = own_functions.with_options(given)
    first, second, third = replaced["architecture"]
    assert (first, second, here_only) == ("nets.small", "dense_softmax", ())
    assert third.startswith("nets.small_")
    options = project.given_config_dir() / "architecture"
    assert "_target_: nets.small" in (options / f"{first}.yaml").read_text()
    assert "width: 2" in (options / f"{third}.yaml").read_text()
    sys.modules.pop("nets")


def test_two_versions_of_a_function_are_told_apart_by_one_name_everywhere(study, capsys):
    for activation in ("relu", "tanh"):
        source = "def net(x):\n    import keras\n    x = keras.layers.Flatten()(x)\n"
        source += f"    return keras.layers.Dense(4, activation='{activation}')(x)\n"
        cell = f"<cell {activation}>"
        linecache.cache[cell] = len(source), None, source.splitlines(keepends=True), cell
        made = {"__name__": "__main__"}
        exec(compile(source, cell, "exec"), made)  # as a notebook's cell
        study.sweep(**SMALL | {"architecture": [made["net"], "dense_softmax"]})
    runs = study.runs().to_frame()
    targets = set(runs["architecture._target_"]) - {"fitgap.models.dense"}
    assert len(targets) == 2
    lines, table = capsys.readouterr().out, repr(study.compare(where="architecture=net"))
    for target in targets:
        assert f"architecture={target}:" in lines
        assert target in table


def test_a_class_of_keras_is_an_optimizer(study):
    run = study.run(optimizer={"_target_": keras.optimizers.Lion, "learning_rate": 1e-3}, **SMALL)
    assert run.config.optimizer["_target_"].endswith("Lion")


def test_objects_of_keras_go_by_class_and_settings(study):
    given = {
        "optimizer": keras.optimizers.Adam(0.01, clipnorm=1.0),
        "loss": keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
    }
    run = study.run(**given, **SMALL)
    assert run.config.optimizer == {
        "_target_": "keras.optimizers.Adam", "name": "Adam", "learning_rate": 0.01, "clipnorm": 1.0
    }  # fmt: skip
    assert run.config.loss.labels == "one_hot"
    assert run.config.loss.function["label_smoothing"] == 0.1
    assert study.run(**given, **SMALL).id == run.id


def compiled_before():
    inputs = keras.layers.Input((8, 8))
    outputs = keras.layers.Dense(10, "softmax")(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, outputs)
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def test_a_model_that_was_compiled_before_is_opened_without_a_warning(study):
    run = study.run(**SMALL | {"architecture": compiled_before})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run.model.output_shape == (None, 10)


def squared(y_true, y_pred, factor=1.0):
    return factor * keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)


def test_a_loss_is_a_function_and_its_model_is_served_without_it(study):
    run = study.run(loss=squared, **SMALL)
    double = study.run(loss=partial(squared, factor=2.0), **SMALL)
    assert double.metrics["val/loss"] > 1.5 * run.metrics["val/loss"]
    served = mlflow.pyfunc.load_model(f"runs:/{run.id}/model")
    assert served.predict(np.zeros((2, 8, 8), np.uint8)).shape == (2, 10)


def test_a_function_that_its_module_does_not_hold_is_refused(study, monkeypatch, folder):
    source = "import functools\n\ndef base(t, p):\n    return p\n\n"
    source += "@functools.wraps(base)\ndef _other(t, p):\n    return 2 * p\n\nother = _other\n"
    (folder / "wrapped.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    import wrapped

    with pytest.raises(RequestError, match=r"wrapped\.base is not the function that"):
        study.run(loss=wrapped.other, **SMALL)
    sys.modules.pop("wrapped")


@pytest.mark.usefixtures("study")
def test_a_method_of_a_class_is_called_by_its_name(monkeypatch, folder):
    source = "class Nets:\n    @classmethod\n    def small(cls, x):\n        return x\n"
    (folder / "my_nets.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    import my_nets

    replaced, here_only = own_functions.with_options({"architecture": my_nets.Nets.small})
    option = folder / ".fitgap" / "options" / "architecture" / f"{replaced['architecture']}.yaml"
    assert "_target_: my_nets.Nets.small" in option.read_text(encoding="utf-8")
    assert here_only == ()
    sys.modules.pop("my_nets")


def test_a_schedule_belongs_to_its_own_setting(study):
    falling = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, 10))
    with pytest.raises(RequestError, match="schedule is a separate setting"):
        study.run(optimizer=falling, **SMALL)


@pytest.mark.parametrize(
    "loss",
    [
        pytest.param(
            {"_target_": "keras.losses.SparseCategoricalCrossentropy", "name": "s"}, id="form"
        ),
        pytest.param(lambda y_true, y_pred: float(y_true[0, 0] + y_pred[0, 0]), id="no graph"),
    ],
)
def test_a_loss_that_cannot_take_the_targets_is_refused(study, loss):
    with pytest.raises(RequestError, match="fails on the targets of this dataset as one_hot"):
        study.run(loss=loss, overrides=["loss.labels=one_hot"], **SMALL)
    assert len(study.runs()) == 0


def test_metrics_are_options_or_mappings_of_what_an_option_holds(study):
    auc = {
        "name": "auc",
        "function": keras.metrics.AUC,
        "needs": "probabilities",
        "direction": "higher",
    }
    run = study.run(metrics=["accuracy", auc, {"name": "f1", "scorer": "f1_weighted"}], **SMALL)
    assert {"val/accuracy", "val/auc", "gap/auc", "val/f1"} <= set(run.metrics)
    with pytest.raises(RequestError, match="mappings with a name and some of"):
        study.run(metrics=[{"scorer": "f1_weighted"}], **SMALL)
    with pytest.raises(RequestError, match=r"metrics=acuracy: .* did you mean accuracy"):
        study.run(metrics=["f1_macro", "acuracy"], **SMALL)


def test_an_import_path_is_an_architecture_at_both_doors(folder, tracking_uri, monkeypatch):
    source = "import keras\n\ndef small(x, width=3):\n    return [keras.layers.Dense(width)]\n"
    (folder / "paths.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    flat = fitgap.Study(
        "study", data=(np.eye(90, 4, dtype="f"), np.arange(90) % 2), uri=tracking_uri
    )
    run = flat.run(architecture="paths.small", epochs=1)
    assert run.config.architecture["name"] == "small"
    words_of_command = overrides.for_hydra(["architecture=paths.small", "architecture.width=4"])
    assert words_of_command == ["architecture=paths.small", "++architecture.width=4"]
    assert overrides.for_hydra(["architecture=망.작은"]) == ["architecture='망.작은'"]
    assert {"paths.small.yaml", "망.작은.yaml"} <= {
        path.name for path in (folder / ".fitgap" / "options" / "architecture").iterdir()
    }
    with pytest.raises(RequestError, match="there is no module nowhere"):
        flat.run(architecture="nowhere.small", epochs=1)
    sys.modules.pop("paths")


def test_what_has_no_source_trains_here_and_no_run_answers_for_it(study):
    names = {"keras": keras}
    exec("def hidden(x):\n    return keras.layers.Flatten()(x)", names)
    given = SMALL | {"architecture": names["hidden"]}
    first, second = study.run(**given), study.run(**given)
    assert first.id != second.id
    with pytest.raises(RequestError, match="hidden has no source that other processes"):
        study.sweep(workers=2, **given)


class Net:
    def __init__(self, units):
        self.units = units

    def __call__(self, x):
        return keras.layers.Dense(self.units)(keras.layers.Flatten()(x))


@pytest.mark.parametrize(
    "networks",
    [
        [
            lambda x: keras.layers.Dense(2)(keras.layers.Flatten()(x)),
            lambda x: keras.layers.Dense(3)(keras.layers.Flatten()(x)),
        ],
        [Net(2), Net(3)],
    ],
    ids=["lambdas", "objects"],
)
def test_two_functions_of_one_name_are_two_networks(study, networks):
    runs = study.sweep(**SMALL | {"architecture": networks})
    sizes = [run.model.count_params() for run in runs]
    assert sizes == [64 * units + units + units * 10 + 10 for units in (2, 3)]

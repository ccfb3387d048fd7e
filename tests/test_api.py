"""``fitgap.Study`` and its runs: the door from Python leads to the same record as the command."""

import dataclasses
import linecache
import subprocess
import sys
import textwrap
from functools import partial

import keras
import mlflow
import numpy as np
import pandas as pd
import pytest
from hydra import initialize
from hydra.core.global_hydra import GlobalHydra

import fitgap
from fitgap import store
from fitgap.api import hydra_language, own_data, own_functions
from fitgap.commands import overrides
from fitgap.config import project
from fitgap.data import datasets
from fitgap.data.disk_arrays import DiskRows
from fitgap.errors import RequestError

SMALL = {"architecture": "dense_softmax", "epochs": 1, "training": {"xla": False}}
BOUNDS = ("mean", "low", "high")
SMALL_WORDS = ("architecture=dense_softmax", "training.epochs=1", "training.xla=false")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a project folder, in which a person works."""
    monkeypatch.setenv(project.VARIABLE, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def study(folder, tracking_uri):  # noqa: ARG001 - a fixture takes no usefixtures; it lands there
    return fitgap.Study("study", data="digits", uri=tracking_uri)


@pytest.fixture(scope="module")
def arrays():
    x = np.random.default_rng(0).normal(size=(80, 4)).astype(np.float32)
    return x, (x.sum(axis=1) > 0).astype(np.int64)


# Settings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"optimizer": "adam", "seed": 3}, ["optimizer=adam", "seed=3"]),
        ({"epochs": 2, "batch_size": 8}, ["training.epochs=2", "training.batch_size=8"]),
        ({"learning_rate": 1e-3}, ["++optimizer.learning_rate=0.001"]),
        ({"split": {"stratify": True}}, ["split.stratify=true"]),
        ({"split": {"name": "kfold", "folds": 3}}, ["split=kfold", "split.folds=3"]),
        ({"training": {"schedule": "cosine"}}, ["training/schedule=cosine"]),
        ({"training": {"xla": None}}, ["training.xla=null"]),
        ({"name": "two, words"}, ["name='two, words'"]),
        ({"name": "it's 3"}, ["name='it\\'s 3'"]),
        ({"name": "null"}, ["name='null'"]),
        ({"name": "실험"}, ["name='실험'"]),
        ({"tags": {"question": "width"}}, ["++tags={question:width}"]),
        ({"metrics": ["accuracy", "f1_macro"]}, ["metrics=[accuracy,f1_macro]"]),
        ({"seed": np.int64(4)}, ["seed=4"]),
        ({"training": {"class_weight": {0: 1, 1: 2}}}, ["++training.class_weight={0:1,1:2}"]),
        (
            {"training": {"callbacks": {"nan": {"_target_": "a.B"}}}},
            ["++training.callbacks={nan:{_target_:'a.B'}}"],
        ),
    ],
)
def test_settings_become_the_words_of_a_command(settings, expected):
    assert hydra_language.overrides(settings, sweeps=False) == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"seed": range(3)}, ["seed=0,1,2"]),
        ({"optimizer": ["adam", "sgd"]}, ["optimizer=adam,sgd"]),
        ({"optimizer": "adam"}, ["optimizer=adam"]),
        ({"epochs": (n for n in (1, 2))}, ["training.epochs=1,2"]),
        ({"metrics": ("accuracy", "f1_macro")}, ["metrics=[accuracy,f1_macro]"]),
        ({"training": {"batch_size": [8, 16]}}, ["training.batch_size=8,16"]),
    ],
)
def test_of_a_sweep_a_list_is_a_choice_and_a_tuple_a_value(settings, expected):
    assert hydra_language.overrides(settings, sweeps=True) == expected


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"optimiser": "adam"}, "optimiser: there is no such setting; did you mean optimizer"),
        ({"optimizer": "adamm"}, "optimizer=adamm: there is no such option; did you mean adam"),
        ({"split": {"stratif": True}}, "split.stratif: there is no such setting"),
        ({"epochs": 0}, "training.epochs"),
        ({"architecture": 3}, "architecture must be an option's name or a function, got int"),
        ({"architecture": partial(len, 1)}, "may bind arguments by name only"),
        ({"dataset": "mnist"}, r"dataset is the study's: Study\(data="),
        ({"seed": object()}, "seed must be a number, text"),
        ({"overrides": "seed=1"}, "overrides must be a list"),
        ({"overrides": ["sed=1"]}, "sed: there is no such"),
        (
            {"training": {"class_weight": {"<b>": 2}}},
            r"training\.class_weight: '<b>' cannot be a key here; for a class, give its number",
        ),
        ({"overrides": [3]}, r"overrides must be a list of text, got \[3\]"),
        ({"optimizer": ["sgd", "adam"]}, r"optimizer takes one option, got .* Study\.sweep"),
        ({"architecture": [dir, len]}, "architecture takes one option"),
        ({"architecture": keras.layers.Flatten()}, "a Flatten that is already built"),
        ({"optimizer": "sgd", "overrides": ["optimizer=adam"]}, "optimizer is given twice"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_wrong_setting_is_refused_in_a_line_or_two_and_nothing_is_recorded(study, given, said):
    with pytest.raises(RequestError, match=said) as caught:
        study.run(**given)
    assert len(str(caught.value).splitlines()) <= 2
    assert study.runs() == []


def test_options_that_stand_for_functions_are_not_offered(study):
    for given in (len, "lenn"):
        with pytest.raises(RequestError) as caught:
            study.run(architecture=given)
    assert "lenn: there is no such option" in str(caught.value)
    assert "len_" not in str(caught.value)


@pytest.mark.parametrize("workers", [0, "two"])
def test_a_wrong_number_of_workers_is_refused(study, workers):
    with pytest.raises(RequestError, match="workers must be a whole number"):
        study.sweep(workers=workers)
    with pytest.raises(RequestError, match="at least one value"):
        study.sweep(seed=[])


def test_within_a_sweep_a_study_cannot_be_run(study, monkeypatch):
    monkeypatch.setenv("FITGAP_SWEEP", "{}")
    with pytest.raises(RequestError, match="runs a job of a sweep"):
        study.run()


# Data -------------------------------------------------------------------------------------------


def test_arrays_are_kept_once_under_a_name_made_of_what_they_hold(folder, arrays):
    x, y = arrays
    as_of_keras = ((x, y), (x[:9], y[:9]))
    for data in (arrays, (x.copy(), y.copy()), (x, y, x[:9], y[:9]), as_of_keras):
        fitgap.Study(data=data)
    files = sorted((folder / ".fitgap" / "data").iterdir())
    assert len(files) == 2
    held = [{file.stem: np.load(file) for file in each.iterdir()} for each in files]
    of_two = next(each for each in held if len(each) == 2)
    np.testing.assert_array_equal(of_two["x_train"], x)
    np.testing.assert_array_equal(of_two["y_train"], y)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ((np.ones((3, 2)), np.ones(2)), "the same number of rows, got 3 and 2"),
        ("a" * 999, "aaa…' is neither a dataset nor a path that exists"),
        ("fashion_mnis", "neither a dataset nor a path that exists; did you mean fashion_mnist"),
        ({"path": "x.csv"}, "need its name"),
        (3, "data must be a dataset's name"),
        (([object()], [1]), "x_train holds Python objects"),
        ((np.ones((2, 1)), ["a", None]), r"y_train holds Python objects \(NoneType, str\)"),
        (([[1], [2**70]], [0, 1]), "x_train must hold numbers or text, got object"),
        (([[1], [1, 2]], [0, 1]), "x_train must have rows of one length"),
        ((np.zeros((2, 1), "M8[D]"), [0, 1]), "must hold numbers or text, got datetime64"),
        ((np.ma.masked_equal([[0.0], [1.0]], 0), [0, 1]), "x_train has masked values"),
        (pd.DataFrame({"a": [1]}), "label must name a column"),
        (pd.DataFrame({("a", "b"): [1]}), "names of several levels; join them"),
    ],
    ids=[
        "rows",
        "long",
        "name",
        "settings",
        "kind",
        "objects",
        "mixed",
        "large",
        "ragged",
        "dates",
        "masked",
        "label",
        "levels",
    ],
)
@pytest.mark.usefixtures("folder")
def test_wrong_data_are_refused(data, said):
    with pytest.raises(RequestError, match=said):
        fitgap.Study(data=data)


def test_text_and_numbers_may_come_as_objects(folder):  # as of pandas
    x, y = np.array([[1.5], [2]], object), np.array(["cat", "dog"], object)
    fitgap.Study(data=(x, y))
    [kept] = (folder / ".fitgap" / "data").iterdir()
    np.testing.assert_array_equal(np.load(kept / "x_train.npy"), np.array([[1.5], [2]], "f"))
    assert np.load(kept / "y_train.npy").tolist() == ["cat", "dog"]


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("flowers.csv", "table"),
        ("flowers.TSV", "table"),
        ("flowers.parquet", "table"),
        ("arrays.npz", "npz"),
        ("arrays.mat", "mat"),
        ("shapes.zip", "image_folder"),
        ("shapes", "image_folder"),
        ("idx/train-labels-idx1-ubyte.gz", "idx"),
    ],
)
def test_a_path_tells_the_kind_of_its_data(folder, name, option):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"") if path.suffix else path.mkdir()
    given = path.parent if option == "idx" else path
    label = "kind" if option == "table" else None
    words = own_data.overrides(given, label=label)
    assert words[:2] == [f"dataset={option}", f"dataset.path='{given}'"]
    assert words[2:] == (["dataset.label=kind"] if label else [])


def test_two_npy_files_are_inputs_and_labels(folder):
    paths = (folder / "a.npy", folder / "b.npy")
    for path in paths:
        np.save(path, np.ones(2))
    words = own_data.overrides(paths, label=None)
    assert words == [
        "dataset=npz",
        f"dataset.path='{paths[0]}'",
        f"dataset.label_path='{paths[1]}'",
    ]
    with pytest.raises(RequestError, match=r"holds one array; give the files of inputs and labels"):
        own_data.overrides(paths[0], label=None)


def test_a_label_is_of_a_table_alone(folder):
    (folder / "a.npz").write_bytes(b"")
    with pytest.raises(RequestError, match=r"label names a column of a table, but data=.*a\.npz"):
        own_data.overrides(folder / "a.npz", label="kind")


@pytest.mark.usefixtures("folder")
def test_columns_of_a_frame_may_be_numbers_and_cells_may_not_be_lists():
    frame = pd.DataFrame({0: [1.5, 2.5], 1: ["a", "b"]})
    assert "dataset.label='1'" in " ".join(own_data.overrides(frame, label=1)).replace('"', "'")
    with pytest.raises(RequestError, match="cells of the column '2' are lists or structs"):
        own_data.overrides(frame.assign(**{"2": [[1], [2]]}), label="1")


def test_a_project_folder_must_exist(tmp_path):
    with pytest.raises(RequestError, match="must be an existing folder"):
        fitgap.Study(project=tmp_path / "none")


@pytest.mark.usefixtures("folder")
def test_a_table_is_trained_on(tracking_uri):
    frame = pd.DataFrame(
        {"a": np.arange(40) / 2, "b": [1.5, 2.5, 2.5, 1.5] * 10, "kind": ["x", "y"] * 20}
    )
    study = fitgap.Study("table", data=frame, label="kind", uri=tracking_uri)
    run = study.run(**SMALL)
    assert run.config.dataset.name == "csv"
    assert run.predict([3.0, 1.5]).shape == (1, 2)


def load(count=60):
    x = np.random.default_rng(0).normal(size=(count, 4))
    return x, (x.sum(axis=1) > 0).astype(np.int64)


def test_arrays_are_mapped_and_train_to_the_bits_of_what_is_read(folder, tracking_uri):
    np.savez(folder / "arrays.npz", x=load()[0], y=load()[1])
    of_arrays = fitgap.Study("mapped", data=load(), uri=tracking_uri).run(**SMALL)
    of_file = fitgap.Study("mapped", data=folder / "arrays.npz", uri=tracking_uri).run(**SMALL)
    assert of_arrays.id == of_file.id  # the same bits, the same experiment
    settings = of_arrays.config.dataset
    mapped = datasets.load(settings)
    read = datasets.load(dataclasses.replace(settings, path=str(folder / "arrays.npz")))
    assert isinstance(mapped.x_train, DiskRows)
    assert not isinstance(read.x_train, DiskRows)
    assert mapped.digest == read.digest


@pytest.mark.usefixtures("folder")
def test_a_function_that_returns_data_is_data(tracking_uri):
    run = fitgap.Study("function", data=partial(load, count=80), uri=tracking_uri).run(**SMALL)
    assert run.config.dataset.function == {"_target_": f"{__name__}.load", "count": 80}
    with pytest.raises(RequestError, match="data: lambda has no source"):
        fitgap.Study(data=lambda: load(9))


# Runs -------------------------------------------------------------------------------------------


def test_what_the_command_trained_answers_python_and_the_other_way_round(train, folder):
    words_of = ("dataset=digits", "tracking.experiment=doors", *SMALL_WORDS)
    first = train(*words_of, "seed=1")
    assert first.code == 0, first.err
    study = fitgap.Study("doors", data="digits", project=folder)
    [of_command] = study.runs()
    assert study.run(seed=1, **SMALL).id == of_command.id
    of_python = study.run(seed=2, **SMALL)
    again = train(*words_of, "seed=2")
    assert f"already finished: run {of_python.id}" in again.out
    assert [run.id for run in study.sweep(seed=[2, 1], **SMALL)] == [of_python.id, of_command.id]


def test_each_project_has_its_own_record(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        study = fitgap.Study("mine", data="digits", project=tmp_path / name)
        assert len(study.run(**SMALL).metrics) > 0
        assert len(study.runs()) == 1
        assert (tmp_path / name / "mlflow.db").is_file()


def test_a_run_shows_what_its_record_holds(study):
    run = study.run(architecture="dense_softmax", epochs=2, training={"xla": False})
    assert run.status == "FINISHED"
    gap = run.metrics["train/accuracy"] - run.metrics["val/accuracy"]
    assert run.metrics["gap/accuracy"] == pytest.approx(gap)
    assert list(run.history.index) == [1, 2]
    assert run.history["val/accuracy"].iloc[-1] == run.metrics["val/accuracy"]
    assert run.config.training.epochs == 2
    assert (run.artifacts / "config.yaml").is_file()
    assert run.predict(np.zeros((2, 8, 8), np.uint8)).sum(axis=1) == pytest.approx([1, 1])
    assert run.name in run._repr_html_()
    with pytest.raises(RequestError, match=r"predict takes shape \(n, 8, 8\), got \(3, 3\)"):
        run.predict(np.zeros((3, 3)))
    with pytest.raises(RequestError, match=r"takes an array of shape \(n, 8, 8\), not a table"):
        run.predict(pd.DataFrame({"a": [1.0]}))


def test_a_sweep_gives_its_runs_in_the_grids_order_and_compares_them(study, folder):
    runs = study.sweep(seed=range(2), optimizer=["sgd", "adam"], **SMALL)
    assert [(run.params["optimizer.name"], run.params["seed"]) for run in runs] == [
        (optimizer, seed) for seed in "01" for optimizer in ("sgd", "adam")
    ]
    assert runs.failures == 0
    compared = study.compare()
    frame = compared.to_frame()
    assert set(frame["optimizer"]) == {"sgd", "adam"}
    assert list(frame["n"]) == [2, 2]
    assert list(frame)[:5] == ["optimizer", "n", *(f"val/accuracy_{p}" for p in BOUNDS)]
    assert list(frame)[-1] == "time/fit_seconds_median"
    assert len(frame.columns) == 2 + 3 * 3 + 1  # of the metrics that the table shows
    seconds = [run.metrics["time/fit_seconds"] for run in compared.best.runs]
    assert frame["time/fit_seconds_median"][0] == pytest.approx(sum(seconds) / 2)
    assert len(compared.to_frame(everything=True).columns) > 50
    best = compared.best
    assert best.settings == {"optimizer": frame["optimizer"][0]}
    assert best.metrics["val/accuracy"] == pytest.approx(frame["val/accuracy_mean"][0])
    assert len(best.runs) == 2
    only = study.compare(where="optimizer=adam", metrics="val/loss", margin=0.5).to_frame()
    assert list(only["n"]) == [2]
    assert "val/loss_mean" in only
    assert "adam" in compared._repr_html_()
    assert "adam" in repr(compared)
    assert compared.report(folder / "r.html").read_text().startswith("<!")
    of_runs = runs.to_frame()
    assert set(of_runs["status"]) == {"FINISHED"}
    assert list(of_runs)[:6] == [
        "name", "status", "optimizer.name", "seed", "train/loss", "train/accuracy"
    ]  # fmt: skip
    columns = list(of_runs)
    assert columns.index("gap/accuracy") < columns.index("test/accuracy")
    assert columns.index("time/fit_seconds") < columns.index("dataset.name")
    assert {*runs[0].metrics, *runs[0].params} <= {*columns}


def test_a_failed_run_of_a_sweep_says_why_and_the_others_stand(study):
    runs = study.sweep(learning_rate=[0.1, 3e38], optimizer="sgd", **SMALL)
    assert [run.status for run in runs] == ["FINISHED", "FAILED"]
    assert runs.failures == 1
    assert "loss is nan" in runs[1].failure
    with pytest.raises(fitgap.DivergedError):
        study.run(learning_rate=2e38, optimizer="sgd", **SMALL)


def test_a_sweep_of_which_no_network_can_be_built_is_refused_and_leaves_nothing(
    study, folder, train, tracking_uri
):
    source = "def broken(x):\n    raise KeyError('mine')\n\n\ndef text(x):\n    return 'text'\n"
    (folder / "wrong_nets.py").write_text(source, encoding="utf-8")
    given = SMALL | {"architecture": ["wrong_nets.broken", "wrong_nets.missing"]}
    with pytest.raises(RequestError, match=r"KeyError: 'mine'.* first of 2 reasons"):
        study.sweep(**given)
    paths = "architecture=wrong_nets.text"
    where = ("tracking.experiment=study", f"tracking.uri={tracking_uri}")
    done = train("-m", "dataset=digits", paths, "seed=0,1", "training.epochs=1", *where)
    assert done.code == 2
    assert "error: architecture=text: " in done.err
    everything = store.find_runs(tracking_uri, experiment="study", statuses=store.ANY_STATUS)
    assert everything == []
    mixed = given | {"architecture": ["wrong_nets.broken", "dense_softmax"]}
    runs = study.sweep(**mixed)
    assert [run.status for run in runs] == ["FINISHED"]  # what can be trained has its turn
    assert runs.failures == 1
    other = mixed | {"architecture": ["wrong_nets.text", "dense_softmax"]}
    again = study.sweep(**other)  # and what is finished is an answer, too
    assert ([run.id for run in again], again.failures) == ([runs[0].id], 1)
    sys.modules.pop("wrong_nets")


def test_hydras_global_state_is_as_it_was(study):
    GlobalHydra.instance().clear()
    study.sweep(seed=[0], **SMALL)
    assert not GlobalHydra.instance().is_initialized()
    with initialize("../conf", version_base="1.2"):
        hydra = GlobalHydra.instance().hydra
        study.run(seed=0, **SMALL)
        assert GlobalHydra.instance().hydra is hydra


# Functions --------------------------------------------------------------------------------------


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


def test_several_columns_are_the_label(folder, tracking_uri):  # noqa: ARG001 - it lands there
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(80, 4)), columns=list("abcd"))
    study = fitgap.Study("study", data=frame, label=["c", "d"], uri=tracking_uri)
    assert "val/rmse" in study.run(**SMALL).metrics
    with pytest.raises(RequestError, match="label must name a column of the table"):
        fitgap.Study("study", data=frame, label=["c", "e"])


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


SCRIPT = """
import keras, numpy as np
import fitgap

print("script runs")
WIDTH = 4

def mine(x, depth=1):
    for _ in range(depth):
        x = keras.layers.Dense(WIDTH, activation="relu")(x)
    return x

x = np.random.default_rng(0).normal(size=(80, 3)).astype("float32")
keras.ops.add(x, x)  # TensorFlow has its threads by now
study = fitgap.Study("script", data=(x, (x[:, 0] > 0).astype(int)))
one = study.run(architecture=mine, epochs=1)
runs = study.sweep(architecture=[mine, "dense_softmax"], seed=range(2), epochs=1, workers=2)
print("same", runs[0].id == one.id, "failed", runs.failures, "of", len(runs))
"""


@pytest.mark.slow  # four processes with TensorFlow
def test_a_script_without_a_main_guard_is_not_run_by_its_workers(tmp_path):
    script = tmp_path / "study.py"
    script.write_text(textwrap.dedent(SCRIPT))
    for is_first in (True, False):  # the second time, all is there
        done = subprocess.run(
            [sys.executable, str(script)], capture_output=True, text=True, cwd=tmp_path, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("script runs") == 1
        assert "same True failed 0 of 4" in done.stdout
        assert ("[4/4] " in done.stdout) == is_first
    assert "4 finished before, 0 to train" in done.stdout


def test_a_study_races_and_shows_it(study):
    race = study.race(optimizer=["sgd", "adam"], budget=2, **SMALL)
    assert (race.word, race.rounds, race.runs) == ("undecided", 1, 2)
    assert set(race.to_frame()["candidate"]) == {"optimizer=sgd", "optimizer=adam"}
    assert race.plot().svg().startswith("<svg")
    with pytest.raises(RequestError, match="at least two candidates"):
        study.race(optimizer="sgd", **SMALL)

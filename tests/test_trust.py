"""What comes out of a store runs nothing, reads nothing and writes nothing that it should not."""

import contextlib
import inspect
import json
import os
import pickle
import shutil
import sqlite3
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
import yaml

from fitgap import experiment, processes, store
from fitgap.config import project
from fitgap.errors import RequestError
from fitgap.store import recorded, recorded_code
from fitgap.sweep import plan as sweep_plan
from fitgap.sweep import resume, status
from fitgap.tag_names import CODE_TAG
from fitgap.trust import allowed_classes, archives, overrides, settings
from fitgap.trust.text import without_secrets

SMALL = ("architecture=dense_softmax", "training.epochs=1", "training.engine=numpy")


class Marks:
    """Unpickled, it would create a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


@pytest.fixture(scope="module")
def trained(compose, template_database, tmp_path_factory):
    """Return a store and a finished run in it, which tests copy and change."""
    folder = tmp_path_factory.mktemp("trust")
    uri = f"sqlite:///{shutil.copy(template_database, folder / 'mlflow.db')}"
    done = experiment.run(experiment.plan(compose(*SMALL, f"tracking.uri={uri}")))
    return uri, done.run_id


@pytest.fixture
def recorded_settings(trained):
    """Return a function that changes the settings in a run's record; they come back afterwards."""
    uri, run_id = trained
    (run,) = [r for r in store.find_runs(uri, experiment="fitgap") if r.run_id == run_id]
    file = Path(run.artifact_uri.removeprefix("file://")) / "config.yaml"
    before = file.read_text()

    def change(where, value):
        plain = yaml.safe_load(before)
        node = plain
        *path, last = where.split(".")
        for key in path:
            node = node[key]
        node[last] = value
        file.write_text(yaml.safe_dump(plain))

    yield change
    file.write_text(before)


ATTACKS = (
    "numpy", "joblib", "pandas", "logging", "csv_logger", "shell", "hydra", "partial", "list",
    "keras form", "environment", "file", "not a text",
)  # fmt: skip


def attacks(folder):
    """Return nodes that a record might have made, each of which would create ``mark``."""
    mark = folder / "mark"
    pickled = folder / "pickled.npy"
    pickled.write_bytes(pickle.dumps(Marks(mark)))
    return {
        "numpy": {"_target_": "numpy.load", "file": str(pickled), "allow_pickle": True},
        "joblib": {"_target_": "joblib.load", "filename": str(pickled)},
        "pandas": {"_target_": "pandas.read_pickle", "filepath_or_buffer": str(pickled)},
        "logging": {"_target_": "logging.FileHandler", "filename": str(mark)},
        "csv_logger": {"_target_": "keras.callbacks.CSVLogger", "filename": str(mark)},
        "shell": {"_target_": "subprocess.check_call", "args": ["touch", str(mark)]},
        "hydra": {"_target_": "hydra.utils.get_object", "path": "os.system"},
        "partial": {"_target_": "keras.layers.Dense", "units": {"_target_": "os.getpid"}},
        "list": [{"_target_": "pathlib.Path.touch", "self": str(mark)}],
        "keras form": {"class_name": "Lambda", "module": "keras.layers", "config": {}},
        "environment": {"_target_": "keras.layers.Dense", "name": "${oc.env:HOME}"},
        "file": {"_target_": "keras.layers.StringLookup", "vocabulary": "/etc/passwd"},
        "not a text": {"_target_": ["os.system"]},
    }


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_a_record_names_is_not_made(attack, trained, recorded_settings, script, tmp_path):
    uri, run_id = trained
    recorded_settings("training.callbacks", {"x": attacks(tmp_path)[attack]})
    before = sorted(tmp_path.rglob("*"))
    runs = len(store.find_runs(uri, experiment="fitgap"))
    code, said = script("rerun.py", run_id, "--uri", uri)
    assert code == 2
    assert said.err.startswith("error: the record of run ")
    assert len(said.err.splitlines()) <= 2
    assert "Traceback" not in said.err
    assert sorted(tmp_path.rglob("*")) == before
    assert len(store.find_runs(uri, experiment="fitgap")) == runs


def test_a_module_that_a_person_trusts_may_be_named():
    node = {"_target_": "nets.blocks.wide", "units": 3}
    with pytest.raises(RequestError, match=r"--trust nets\.blocks"):
        allowed_classes.check(node, what="the record")
    allowed_classes.check(node, what="the record", modules=["nets"])
    with pytest.raises(RequestError):
        allowed_classes.check({"_target_": "netsuite.wide"}, what="the record", modules=["nets"])


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    """Return the name of a module in the project folder, which imports much and defines little."""
    text = """
import os
import subprocess as sub
from os import system
from numpy import load
from keras.layers import Dense
from own_blocks import block, popen


class Net:
    shell = os

    @classmethod
    def of(cls):
        return cls()


def wide(x):
    return x
"""
    (tmp_path / "own_nets.py").write_text(text)
    (tmp_path / "own_blocks.py").write_text("from os import popen\ndef block(x):\n    return x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(project, "folder", lambda: tmp_path)
    return "own_nets"


@pytest.mark.parametrize("name", ["wide", "Net", "Net.of", "Dense", "block"])
def test_a_module_of_ones_own_offers_what_it_defines(own_module, name):
    modules = [own_module, "own_blocks"]
    allowed_classes.check({"_target_": f"{own_module}.{name}"}, what="the record", modules=modules)


@pytest.mark.parametrize(
    "name",
    [
        *("os.system", "sub.check_call", "system", "load", "popen", "wide.__globals__", "_target"),
        *("os", "Net.shell.system", "Net.shell", "Net.mro", "wide.anything"),
    ],
)
def test_a_module_of_ones_own_offers_nothing_that_it_imports(own_module, name):
    node = {"_target_": f"{own_module}.{name}"}
    with pytest.raises(RequestError, match="a record must not create"):
        allowed_classes.check(node, what="the record", modules=[own_module, "own_blocks"])


def test_a_package_that_is_trusted_offers_nothing_that_it_imports():
    trusted = {"what": "the record", "modules": ["sklearn"]}
    allowed_classes.check({"_target_": "sklearn.linear_model.Ridge"}, **trusted)
    for name in ("sklearn.os.system", "sklearn.base.warnings.warn", "sklearn.base.np.load"):
        with pytest.raises(RequestError, match="It is not sklearn's own"):
            allowed_classes.check({"_target_": name}, **trusted)


def test_what_is_installed_below_the_project_folder_is_nobodys_own(trained, monkeypatch):
    uri, run_id = trained
    from fitgap.config import fingerprints, modules

    run = recorded.open_run(run_id, uri=uri)
    path = modules.module_file("joblib.numpy_pickle")
    monkeypatch.setattr(project, "folder", lambda: path.parents[4])  # .venv lies in it
    digest = fingerprints.fingerprint(path.read_text())[: recorded_code.SHORT]
    forged = json.dumps({f"{recorded_code.OWN}joblib/numpy_pickle.py": digest})
    run = replace(run, tags=run.tags | {CODE_TAG: forged})
    assert recorded_code.own_modules(run) == {"joblib.numpy_pickle": digest}
    assert not recorded_code.unchanged(run)


def test_a_function_that_a_record_names_for_its_data_is_not_called(
    trained, recorded_settings, script, tmp_path
):
    uri, run_id = trained
    function = {"_target_": "subprocess.check_call", "args": ["touch", str(tmp_path / "mark")]}
    own = {"name": "function", "path": "", "function": function, "test_fraction": 0.2}
    recorded_settings("dataset", own | {"test_seed": 0, "classes": None, "task": None})
    for command in ("predict.py", "rerun.py"):
        code, said = script(command, run_id, "--uri", uri)
        assert code == 2
        assert "names a class that a record must not create: " in said.err
        assert not list(tmp_path.iterdir())


def test_what_the_packaged_options_name_may_come_from_a_record():
    for path in sorted(project.CONFIG_DIR.rglob("*.yaml")):
        if not {"hydra", "loggers"} & {*path.parts}:  # a record brings no loggers
            node = yaml.safe_load(path.read_text()) or {}
            plain = json.loads(json.dumps(node).replace("${", "$"))
            allowed_classes.check(plain, what=path.name)


BASES = {
    "keras.layers": ("layers", "Layer"),
    "keras.optimizers": ("optimizers", "Optimizer"),
    "keras.optimizers.schedules": ("optimizers.schedules", "LearningRateSchedule"),
    "keras.losses": ("losses", "Loss"),
    "keras.metrics": ("metrics", "Metric"),
    "keras.callbacks": ("callbacks", "Callback"),
    "keras.initializers": ("initializers", "Initializer"),
    "keras.regularizers": ("regularizers", "Regularizer"),
    "keras.constraints": ("constraints", "Constraint"),
}
# Of Keras's public classes, those that a record may not name, with the reason.
LEFT_OUT = {
    "keras.layers": {
        *("Lambda", "TFSMLayer", "TorchModuleWrapper", "FlaxLayer", "JaxLayer"),  # given code
        *("Layer", "Wrapper"),  # nothing by themselves
    },
    "keras.optimizers": {"Optimizer", "MultiOptimizer", "OptimizerMap"},
    "keras.optimizers.schedules": {"LearningRateSchedule"},
    "keras.losses": {"Loss"},
    "keras.metrics": {"Metric", "MeanMetricWrapper"},
    "keras.callbacks": {
        *("BackupAndRestore", "CSVLogger", "ModelCheckpoint", "OrbaxCheckpoint", "TensorBoard"),
        "RemoteMonitor",  # sends
        *("LambdaCallback", "LearningRateScheduler"),  # given code
        *("Callback", "CallbackList", "History", "ProgbarLogger"),
    },
    "keras.initializers": {"Initializer"},
    "keras.regularizers": {"Regularizer"},
    "keras.constraints": {"Constraint"},
}


@pytest.mark.parametrize("namespace", BASES)
def test_every_public_class_of_keras_is_allowed_or_left_out_on_purpose(namespace):
    import keras

    module = keras
    for part in namespace.split(".")[1:]:
        module = getattr(module, part)
    public = {
        name for name in dir(module) if name[0].isupper() and inspect.isclass(getattr(module, name))
    }
    assert public == allowed_classes.ALLOWED[namespace] | LEFT_OUT[namespace]
    base = getattr(module, BASES[namespace][1])
    for name in allowed_classes.ALLOWED[namespace] - {"InputSpec"}:
        assert issubclass(getattr(module, name), base), name


def test_fitgaps_own_names_are_those_that_it_offers():
    from fitgap import models as offered

    assert set(offered.__all__) <= allowed_classes.ALLOWED["fitgap.models"]


HARMLESS = (
    "seed=0,1",
    "seed=range(3)",
    "optimizer=choice(adam,sgd)",
    "optimizer.learning_rate=tag(log, interval(1e-4, 1e-1))",
    "++training.callbacks.x={_target_:keras.callbacks.EarlyStopping}",
    "training.schedule=cosine",
    "~training.callbacks.x",
    "split.seed=${seed}",
    "name='첫 실험 (3), a=b'",
    "name=job_${hydra:job.num}",
    "tracking.uri='sqlite:////a b/x.db'",
    "tracking.experiment=other",
    "sweep=quickstart",
    "hydra/launcher=joblib",
    "hydra.launcher.n_jobs=2",
    "hydra/sweeper=optuna",
    "hydra.sweeper.n_trials=8",
    "hydra.sweeper.params.seed='0,1'",
)
HARMFUL = (
    "+hydra.callbacks.x={_target_: os.system}",
    "hydra.searchpath=[file:///tmp/evil]",
    "hydra.run.dir=/tmp/elsewhere",
    "hydra.sweep.dir=/tmp/elsewhere",
    "hydra/launcher=evil",
    "hydra.launcher._target_=os.system",
    "hydra.launcher.setup=[rm -rf x]",
    "hydra.launcher.additional_parameters={wrap: x}",
    "hydra.launcher.submitit_folder=/tmp/elsewhere",
    "hydra.launcher.ray.init.address=evil:6379",
    "+hydra.launcher.ray.init.runtime_env={working_dir: x}",
    "hydra.sweeper._target_=os.system",
    "hydra.sweeper.params={+hydra.callbacks.x: 1}",
    "hydra.sweeper.params.training.callbacks='{x:{_target_:os.system}}'",
    "hydra.sweeper.params.architecture._target_='keras.layers.Dense,os.system'",
    "hydra.sweeper.params.hydra.run.dir=/tmp",
    "hydra.job.chdir=true",
    "name='${oc.env:AWS_SECRET_ACCESS_KEY}'",
    "name='${oc.env:${name}}'",
    "name='${oc.create:x}'",
    "tags={a: '${oc.env:HOME}'}",
    "dataset@hydra.callbacks=mnist",
    "tracking.parent=abc",
    "tracking={uri: 'sqlite:////elsewhere.db'}",
    "architecture._target_=numpy.load",
    "architecture=subprocess.Popen",
    "optimizer=pty.spawn,os.system",
    "loss='os.system'",
    "hydra.sweeper.params.loss=os.system",
    "architecture._target_=keras.layers.Dense,os.system",
    "architecture._target_=\"os.system\"",
    "architecture._target_=${name}",
    "architecture._target_=choice(os.system)",
    "architecture._target_=glob(*)",
    "architecture.layers=[{_target_: joblib.load}]",
    "+training.callbacks.x=choice({_target_: os.system})",
    "--config-dir=/tmp",
    "-cn=x",
    # An option is a file: these lie outside of conf/.
    "architecture=../../evil",
    "optimizer='../evil'",
    "dataset=/tmp/evil",
    "experiment=..\\evil",
    "training/schedule=../../evil",
    "callbacks=[none,../../evil]",
    "architecture=dense,../evil",
    "hydra.sweeper.params.architecture='dense,../../evil'",
    # The record's address is the command's to say, and may hold a password.
    "hydra.sweeper.params.tracking.uri='sqlite:////tmp/elsewhere.db'",
    "hydra.sweeper.params.tracking=server",
    "hydra.sweeper.params.hydra.sweeper.params.seed=1",
    "name=${tracking.uri}",
    # A line of its own in a job's script.
    "hydra.launcher.constraint='a\ntouch /tmp/evil'",
    "hydra.launcher.partition='$(touch /tmp/evil)'",
    "hydra.launcher.n_jobs={_target_: keras.layers.Dense}",
    # A vocabulary by its place.
    "architecture.layers=[{_target_: keras.layers.StringLookup, _args_: [null, 1, null, a, /x]}]",
    # More than a plan has.
    "seed=" + "{a:" * 300 + "1" + "}" * 300,
    "seed=" + "9" * 200_000,
    "seed=range(1,1000000000)",
    "seed=range(1,inf)",
    "seed=range(1,nan)",
    "no override",
    "",
)  # fmt: skip


@pytest.mark.parametrize("override", HARMLESS)
def test_a_plan_brings_along_the_experiments_settings(override):
    overrides.check([override], what="plan.json")


@pytest.mark.parametrize("override", HARMFUL)
def test_a_plan_brings_along_nothing_else(override):
    with pytest.raises(RequestError, match=r"^plan\.json"):
        overrides.check([override], what="plan.json")


@pytest.mark.parametrize("override", ["{}=range(100)", "hydra.sweeper.params.{}='range(100)'"])
def test_a_plans_grid_is_bounded_as_a_whole(override):
    many = [override.format(key) for key in ("seed", "split.seed", "training.epochs")]
    overrides.check(many[:2], what="plan.json")
    with pytest.raises(RequestError, match="more than 100000 jobs"):
        overrides.check(many, what="plan.json")


def test_resuming_refuses_a_plan_that_brings_a_callback_of_hydras(train, tmp_path):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert train("-m", "seed=0", *SMALL).code == 0
    sweep = status.choose_sweep(uri, run_id=None)
    file = Path(sweep.parent.artifact_uri.removeprefix("file://")) / sweep_plan.FILE_NAME
    plan = json.loads(file.read_text())
    mark = tmp_path / "mark"
    attack = f"+hydra.callbacks.x={{_target_: logging.FileHandler, filename: {mark}}}"
    file.write_text(json.dumps(plan | {"hydra": [*plan["hydra"], attack]}))
    with pytest.raises(RequestError, match="which a record must not set"):
        resume.resume_arguments(uri, sweep, status.read_plan(uri, sweep))
    assert not mark.exists()


def test_what_a_plan_shows_commands_no_terminal():
    hostile = "x\x1b[2J\u202e"
    job = sweep_plan.PlannedJob(hostile, "0", [f"name={hostile}"], None)
    text = sweep_plan.to_json(sweep_plan.SweepPlan([], [], 1, True, [job]))
    [read] = sweep_plan.from_json(text).jobs
    assert read.name == "x\\x1b[2J\\u202e"
    assert read.overrides == [f"name={read.name}"]


@pytest.mark.parametrize("kind", ["pipe", "folder", "bytes", "large"])
def test_a_text_of_a_record_is_a_file_of_bounded_size(kind, trained, tmp_path, monkeypatch):
    uri, run_id = trained
    run = replace(store.find_run(uri, run_id), artifact_uri=str(tmp_path))
    path = tmp_path / "plan.json"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"\xff\xfe" if kind == "bytes" else b"12345")
    monkeypatch.setattr(store, "MOST_TEXT", 4)
    with pytest.raises(RequestError, match=r"plan\.json of run .* (is no file|cannot be read)"):
        store.artifact_text(run, "plan.json", uri=uri)


@pytest.fixture
def model_folder(trained):
    """Return the folder of the run's model in MLflow's form; what is changed there comes back."""
    uri, run_id = trained
    model_id = recorded.open_run(run_id, uri=uri).model_id
    location = mlflow.MlflowClient(uri).get_logged_model(model_id).artifact_location
    folder = Path(location.removeprefix("file://"))
    kept = folder.with_name("kept")
    shutil.copytree(folder, kept)
    yield folder
    shutil.rmtree(folder)
    kept.rename(folder)


LOADERS = {
    "a module of Python": {"loader_module": "os", "data": "data"},
    "a module that the model brings": {"loader_module": "evil", "code": "code", "data": "data"},
    "a pickled model": {"loader_module": "mlflow.pyfunc.model", "python_model": "python_model.pkl"},
}


@pytest.mark.parametrize("loader", LOADERS.values(), ids=LOADERS)
def test_what_a_model_brings_along_for_mlflow_is_not_run(
    loader, model_folder, trained, script, tmp_path
):
    uri, run_id = trained
    mark = tmp_path / "mark"
    described = yaml.safe_load((model_folder / "MLmodel").read_text())
    described["flavors"] = {"python_function": loader}
    (model_folder / "MLmodel").write_text(yaml.safe_dump(described))
    (model_folder / "python_model.pkl").write_bytes(pickle.dumps(Marks(mark)))
    (model_folder / "requirements.txt").write_text("/nonexistent/evil.whl\n-r /etc/passwd\n")
    (model_folder / "code").mkdir(exist_ok=True)
    for name in ("evil", "fitgap_rows", "nets"):
        text = f"open({str(mark)!r}, 'w')\n"
        (model_folder / "code" / f"{name}.py").write_text(text)
    code, said = script("predict.py", run_id, "--uri", uri)
    assert (code or 0, "Traceback" in said.err) == (0, False), said
    code, said = script("register.py", "--register", "m", "--run", run_id, "--uri", uri)
    assert (code or 0, said.err) == (0, ""), said
    assert not mark.exists()
    assert "evil" not in sys.modules


def test_a_model_that_is_exchanged_after_its_registration_is_checked_again(
    model_folder, trained, script
):
    uri, run_id = trained
    code, _ = script("register.py", "--register", "exchanged", "--run", run_id, "--uri", uri)
    assert not code
    (model_folder / "data" / "model.keras").write_bytes(pickle.dumps(Marks(model_folder / "mark")))
    for name, *words in (
        ("predict.py", run_id),
        ("register.py", "--register", "other", "--run", run_id),
    ):
        code, said = script(name, *words, "--uri", uri)
        assert code == 2, said
        assert f"the model of run {run_id} cannot be opened" in said.err
        assert said.err.count("\n") == 1
    assert not (model_folder / "mark").exists()


PLACES = (
    "file:///etc", "/etc/../etc", "../../../etc", "models:/../../etc", "models:/m@a\x1b[2J",
    "runs:/../../etc/x", "s3://bucket/model", "mlflow-artifacts:/../../etc", "dbfs:/etc",
    "nonsense://x", "http://[no address", "",
)  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_a_model_that_lies_elsewhere_is_one_line(place, trained, script):
    uri, run_id = trained
    database = uri.removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(database)) as opened:
        before = opened.execute("SELECT model_id, artifact_location FROM logged_models").fetchall()
        opened.execute("UPDATE logged_models SET artifact_location = ?", [place])
        opened.commit()
        try:
            code, said = script("predict.py", run_id, "--uri", uri)
        finally:
            opened.executemany(
                "UPDATE logged_models SET artifact_location = ?2 WHERE model_id = ?1", before
            )
            opened.commit()
    assert code == 2, said
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert "\x1b" not in said.err


@pytest.mark.parametrize(
    "run",
    ["models:/m/1", "models:/m@champion", "runs:/../../etc/passwd", "../" * 20, "x\x1b[2J" * 9],
)
def test_what_is_no_run_id_is_one_line(run, trained, script):
    uri, _ = trained
    code, said = script("predict.py", run, "--uri", uri)
    assert (code, said.err.count("\n")) == (2, 1), said
    assert "\x1b" not in said.err


@pytest.mark.parametrize("place", ["http://[no address", "s3://bucket/run", "nonsense://x"])
def test_a_place_that_is_no_address_is_named(place, trained):
    uri, run_id = trained
    run = replace(store.find_run(uri, run_id), artifact_uri=place)
    with pytest.raises(RequestError, match=rf"plan\.json of run {run_id} cannot be fetched"):
        store.artifact_text(run, "plan.json", uri=uri)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("!!python/object/apply:os.system [ls]", "cannot be read"),
        ("a: &x [1]\nb: *x", "refers to itself"),
        ("[1, 2]", "holds no settings"),
        ("3: 4", "holds no settings"),
        ("a: [" * 10_000, "cannot be read|nested deeper"),
        ("a: " + "9" * 5_000, "cannot be read"),
        ("[" * 999_000, "nested deeper than 64 levels"),
        ("x: y\n" * 300_000, "more than 1000000 characters"),
        ("a: \x00", "cannot be read"),
        ("", "holds no settings"),
    ],
)
def test_a_file_of_settings_is_plain_values(text, expected):
    with pytest.raises(RequestError, match=expected):
        settings.read(text, what="config.yaml")


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("seed", "abc"),
        ("seed", True),
        ("training.epochs", "many"),
        ("training.epochs", [3]),
        ("dataset.classes", {"a": 1}),
        ("split.validation_fraction", "half"),
        ("architecture", [1]),
        ("loss", 3),
        ("tracking", None),
    ],
)
def test_recorded_settings_of_another_type_are_named(where, value, trained, recorded_settings):
    uri, run_id = trained
    recorded_settings(where, value)
    with pytest.raises(RequestError, match=where.partition(".")[0]):
        recorded.open_run(run_id, uri=uri)


def test_an_archive_that_would_unpack_to_much_more_is_refused(tmp_path):
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(1_000))
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02") + 24  # the size that the archive's list gives
    content[at : at + 4] = (2**31).to_bytes(4, "little")
    path.write_bytes(content)
    with path.open("rb") as file, pytest.raises(ValueError, match="would unpack to 2147483648"):
        archives.read_arrays(file)


def test_members_that_would_unpack_to_much_together_are_refused(tmp_path):
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(9):
            archive.writestr(f"{i}.npy", bytes(2**25))
    with path.open("rb") as file, pytest.raises(ValueError, match="members would unpack to 3019"):
        archives.read_arrays(file)


@pytest.mark.usefixtures("recorded_settings")
def test_predictions_that_are_a_pipe_or_a_device_keep_nobody_waiting(trained, script):
    uri, run_id = trained
    run = store.find_run(uri, run_id)
    file = Path(run.artifact_uri.removeprefix("file://")) / "predictions.npz"
    kept = file.rename(file.with_name("kept.npz"))
    try:
        for make in (os.mkfifo, lambda path: path.symlink_to("/dev/zero"), os.mkdir):
            make(file)
            code, said = script("compare.py", "--experiment", "fitgap", "--uri", uri)
            assert code == 0, said.err
            file.rmdir() if file.is_dir() else file.unlink()
    finally:
        kept.rename(file)


def test_settings_that_no_experiment_can_have_are_named(trained, recorded_settings, script):
    uri, run_id = trained
    recorded_settings("training.batch_size", 0)
    code, said = script("rerun.py", run_id, "--uri", uri)
    assert (code, len(said.err.splitlines())) == (2, 1)
    assert "training.batch_size must be an integer >= 1" in said.err


@pytest.mark.parametrize(
    "changed",
    [
        *({"test_shape": [1, *sides]} for sides in ([10**6] * 2, ["a"], [8.0, 8], [-8, 8], [0])),
        *({"classes": names} for names in ("abc", 3)),
        *({"format": given} for given in ([1], "x")),
        {"test_shape": 3},
    ],
    ids=str,
)
def test_what_a_record_says_of_its_data_is_checked(changed, trained, tmp_path):
    uri, run_id = trained
    path = shutil.copy(uri.removeprefix("sqlite:///"), tmp_path / "mlflow.db")
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        (profile,) = connection.execute("select dataset_profile from datasets").fetchone()
        profile = json.dumps(json.loads(profile) | changed)
        connection.execute("update datasets set dataset_profile = ?", (profile,))
    with pytest.raises(RequestError, match=f"the record of run {run_id} cannot be read: "):
        recorded.open_run(run_id, uri=f"sqlite:///{path}")


@pytest.mark.usefixtures("recorded_settings")
def test_settings_that_are_a_pipe_keep_nobody_waiting(trained):
    uri, run_id = trained
    run = store.find_run(uri, run_id)
    file = Path(run.artifact_uri.removeprefix("file://")) / "config.yaml"
    file.unlink()
    os.mkfifo(file)
    try:
        with pytest.raises(RequestError, match=r"config\.yaml of run .* is no file"):
            recorded.open_run(run_id, uri=uri)
    finally:
        file.unlink()


DEEP = "[" * 5_000
HOSTILE = {
    "deep code": ("tags", "fitgap.code", DEEP),
    "deep metrics": ("tags", "fitgap.metrics", DEEP),
    "impossible files": (
        *("tags", "fitgap.code"),
        json.dumps({f"own code {name}.py": "0" * 12 for name in ("../x", "fitgap/" + "a" * 5_000)}),
    ),
    "deep list": ("params", "metrics", DEEP),
    "no names": ("params", "metrics", "[1, 2]"),
    "no list": ("params", "metrics", "accuracy"),
    "many digits": ("params", "train_samples", "9" * 5_000),
    "no float": ("params", "optimizer.learning_rate", "9" * 400),
    "other seed": ("params", "seed", "9" * 5_000),
    "other folds": ("params", "split.folds", "9" * 5_000),
    "file of options": ("params", "architecture.name", "../../../../etc/hostname"),
    "no file's name": ("params", "architecture.name", "x" * 5_900),
    "no dataset": ("params", "dataset.name", "x"),
    "no folder": ("params", "dataset.data_dir", "5"),
    "no folder's name": ("params", "dataset.data_dir", "x" * 5_900),
    "start": ("tags", "fitgap.process_start", "then"),
    "process": ("tags", "fitgap.pid", "9" * 50),
    "terminal": ("params", "optimizer.name", "\x1b[2J\u202e"),
    "megabyte": ("params", "architecture.title", "a" * 1_000_000),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_a_record_says_of_a_run_is_read_whatever_it_is(kind, trained, script, tmp_path):
    table, key, value = HOSTILE[kind]
    uri, run_id = trained
    path = shutil.copy(uri.removeprefix("sqlite:///"), tmp_path / "mlflow.db")
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"delete from {table} where key = ?", (key,))
        row = f"insert into {table} (key, value, run_uuid) values (?, ?, ?)"
        connection.execute(row, (key, value, run_id))
    page = str(tmp_path / "page.html")
    for command in (["compare.py"], ["report.py", "--output", page]):
        code, said = script(*command, "--experiment", "fitgap", "--uri", f"sqlite:///{path}")
        assert code == 0, said.err
        assert not {"\x1b", "\u202e"} & {*said.out}
    if table == "tags":
        run = replace(store.find_run(f"sqlite:///{path}", run_id), status="RUNNING")
        assert not recorded_code.unchanged(run)
        processes.is_gone(run.tags)
        processes.started(run.tags)


@pytest.mark.parametrize("text", ["a", "a-", "?sig", "://a:", "password", "eyJaaaaaaaa."])
def test_text_of_a_megabyte_is_searched_for_secrets_at_once(text):
    started = time.perf_counter()
    without_secrets(text * (300_000 // len(text)))
    assert time.perf_counter() - started < 20  # hours, where each place is looked at for each

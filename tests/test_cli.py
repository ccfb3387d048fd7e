"""The command line: a wrong request is answered in a line or two, and nothing was started."""

import re
import shutil

import numpy as np
import pytest

from fitgap import experiment
from fitgap.commands import exit_codes
from fitgap.config import project
from fitgap.errors import DivergedError, RequestError
from fitgap.training import backend

pytestmark = pytest.mark.usefixtures("nothing_starts")


@pytest.fixture
def nothing_starts(monkeypatch, tmp_path):
    """Fail where TensorFlow is started, or a database exists at the end."""

    def fail(threads):
        raise AssertionError(f"TensorFlow started with {threads} threads")

    monkeypatch.setattr(backend, "start", fail)
    yield
    assert not (tmp_path / "mlflow.db").exists()


def assert_refused(done, *parts):
    assert done.code == 2, done
    lines = done.err.splitlines()
    assert 1 <= len(lines) <= 2, done.err
    assert lines[0].startswith("error: ")
    assert "Traceback" not in done.err
    for part in parts:
        assert part in done.err


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        # Misspelt names, with the nearest right one.
        (["optimiser=adam"], ["optimiser: there is no such", "did you mean optimizer?"]),
        (["optimizer=adm"], ["optimizer=adm: there is no such", "did you mean adam?", "adamw"]),
        (["dataset=mnits"], ["dataset=mnits: there is no such option", "did you mean mnist?"]),
        ([f"dataset={'a' * 999}"], ["there is no such option"]),
        (["experiment=fashion_dense_adm"], ["did you mean fashion_dense_adam?"]),
        (["sweep=optimizer"], ["did you mean optimizers?"]),
        (["training/schedule=cosin"], ["training/schedule=cosin", "did you mean cosine?"]),
        (["training/shedule=cosine"], ["did you mean training/schedule?"]),
        (["hydra/launcher=jobilb"], ["did you mean joblib?"]),
        (["training.epoch=5"], ["training.epoch: there", "did you mean training.epochs?"]),
        (["+training.epoch=5"], ["training.epoch: there", "did you mean training.epochs?"]),
        (["trainign.epochs=5"], ["trainign", "did you mean training?"]),
        (["seeds=1"], ["seeds: there is no such setting", "did you mean seed?"]),
        (["optimizer.learning_rat=1"], ["did you mean optimizer.learning_rate?"]),
        (["loss.label_smoothing=0.1"], ["set with +loss.function.label_smoothing=VALUE"]),
        (["architecture.unit=[3]"], ["did you mean architecture.units?"]),
        (["architecture=fitgap.models.dense"], ["architecture.units has no value"]),
        (["optimizer.lr=1"], ["did you mean optimizer.learning_rate?"]),
        (["lr=1"], ["lr: there is no such setting", "did you mean optimizer.learning_rate?"]),
        (["epochs=5"], ["epochs: there is no such setting", "did you mean training.epochs?"]),
        (["dataset=table", "dataset.target=y"], ["dataset.target: there", "mean dataset.label?"]),
        (["validation_split=0.1"], ["validation_split: there", "split.validation_fraction?"]),
        # Wrong types.
        (["training.epochs=five"], ["training.epochs must be an integer, got 'five'"]),
        (["training.epochs=2.5"], ["training.epochs must be an integer, got 2.5"]),
        (["training.epochs=null"], ["training.epochs must have a value"]),
        (["seed=true"], ["seed must be an integer, got True"]),
        (
            ["split.validation_fraction=half"],
            ["split.validation_fraction must be a number, got 'half'"],
        ),
        (["split.stratify=maybe"], ["split.stratify must be true or false, got 'maybe'"]),
        (
            ["dataset=texts", "dataset.path=a.csv", "dataset.label=[sport,money]"],
            ["dataset.label must be text, got ['sport', 'money']; texts", "need dataset=table"],
        ),
        (["architecture.units=5"], ["architecture.units must be a list", "got int"]),
        (["architecture.units=[a]"], ["architecture.units[0] must be an integer, got 'a'"]),
        (["loss.function=3"], ["loss.function", "int"]),
        (["training.early_stopping=yes"], ["with training/early_stopping=NAME"]),
        (["tags=5"], ["tags must be a mapping", "got 5"]),
        (["+tags={a+b: 5}"], ["tags must be named by letters, digits", "got 'a+b'"]),
        (["optimizer=null"], ["group=option", "NoneType"]),
        (["architecture=3"], ["group=option", "int"]),
        (["training=5"], ["group=option", "int"]),
        # Wrong values and combinations.
        (["training.epochs=0"], ["training.epochs must be an integer >= 1, got 0"]),
        (["training.batch_size=-1"], ["training.batch_size must be an integer >= 1, got -1"]),
        (["optimizer.learning_rate=nan"], ["optimizer.learning_rate", "> 0", "got nan"]),
        (["split.validation_fraction=1.2"], ["split.validation_fraction", "(0, 1)", "got 1.2"]),
        (["split.validation_fraction=0.9999"], ["split.validation_fraction=0.9999", "1437"]),
        (["loss=binary_crossentropy"], ["loss=binary_crossentropy", "2 classes", "digits with 10"]),
        (["dataset.classes=[3,12]"], ["dataset.classes", "from 0 to 9", "got 12"]),
        (["tracking=server"], ["tracking.uri has no value"]),
        (["split=none", "training/early_stopping=on"], ["monitor=val_loss", "split=none"]),
        # What cannot be read at all.
        (["training.epochs"], ["training.epochs: no value", "NAME=VALUE"]),
        (["training.epochs=["], ["training.epochs=["]),
        (["optimizer=sgd,adam"], ["optimizer=sgd,adam", "-m"]),
        # One thing said twice, of which Hydra would take the last.
        (["optimizer=sgd", "optimizer=adam"], ["optimizer is given twice", "optimizer=sgd and"]),
        (["-m", "split=none", "split=kfold,holdout"], ["split is given twice"]),
        (["optimizer=[sgd,adam]"], ["optimizer takes one option", "sweep them"]),
        (["metrics=[accuracy, accuracy]"], ["metrics names accuracy twice"]),
        (["--multirum"], ["--multirum: there is no such option; did you mean --multirun?"]),
        (["--epochs=3"], ["--epochs=3: there is no such option", "without dashes"]),
        # The data directory and the store.
        (["dataset.data_dir=/missing"], ["dataset.data_dir", "existing directory", "/missing"]),
        (["dataset=mnist", "dataset.data_dir=/missing"], ["dataset.data_dir", "/missing"]),
        (
            ["tracking.uri=sqlite:////missing/mlflow.db"],
            ["tracking.uri", "/missing does not exist"],
        ),
        (["tracking.uri=./mlruns"], ["tracking.uri must be sqlite:///", "'./mlruns'"]),
        (["tracking.uri=http://127.0.0.1:1"], ["http://127.0.0.1:1", "does not answer"]),
        # In a sweep, one wrong job stops all.
        (["-m", "training.epochs=1,0"], ["training.epochs must", "got 0", "job training.epochs=0"]),
        (["-m", "optimizer=adam,sdg"], ["optimizer=sdg", "did you mean sgd?"]),
        (["-m", "loss=mse,binary_crossentropy"], ["loss=binary_crossentropy", "2 classes"]),
        (["-m", "seed=0,1", "tracking.uri=./mlruns"], ["tracking.uri must be sqlite:///"]),
    ],
)
def test_a_wrong_request_is_refused_before_anything_starts(train, arguments, parts):
    assert_refused(train(*arguments), *parts)


@pytest.mark.parametrize("name", ["flowers.csv", "tables/flowers.csv"])
def test_a_file_that_is_given_as_a_dataset_is_told_how_to_be_read(
    train, name, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("width,kind\n1,a\n", encoding="utf-8")
    assert_refused(train(f"dataset={name}"), f"dataset=KIND dataset.path={name}", "table")


def test_a_misspelt_option_of_a_list_is_named_where_the_project_has_no_such_group(train):
    folder = project.folder() / "conf" / "architecture"
    folder.mkdir(parents=True)
    try:
        done = train("metrics=[acuracy]")
        assert_refused(done, "metrics=acuracy: there is no such option; did you mean accuracy?")
    finally:
        shutil.rmtree(folder.parent)


def test_two_architectures_of_one_name_are_refused(train):
    folder = project.folder() / "conf" / "architecture"
    folder.mkdir(parents=True)
    shutil.copy(project.CONFIG_DIR / "architecture" / "dense.yaml", folder / "mine.yaml")
    try:
        for name in ("mine", "dense"):
            done = train(f"architecture={name}")
            assert_refused(done, "architecture: dense is defined by two options", "mine.yaml")
    finally:
        shutil.rmtree(folder.parent)


@pytest.mark.parametrize(
    ("data", "more", "left_out"),
    [
        ("numbers", "architecture=dense", {"label_smoothing", "augmentation"}),
        ("classes", "architecture=cnn_small", {"dropout", "l1", "l2", "batch_norm", "smaller"}),
        ("numbers", "remedy=none,l1", set()),
    ],
)
def test_remedies_that_do_not_fit_are_left_out_and_said(train, tmp_path, *, data, more, left_out):
    random = np.random.default_rng(0)
    y = np.arange(60) % 2 if data == "classes" else random.normal(size=60)
    shape = (60, 4) if data == "numbers" else (60, 8, 8)
    np.savez(tmp_path / "x.npz", x=random.integers(0, 200, shape).astype(np.uint8), y=y)
    of = ("dataset=npz", f"dataset.path={tmp_path / 'x.npz'}", f"dataset.task={data}")
    done = train("sweep=remedies", *of, more, "seed=0", "hydra.sweeper.dry_run=true")
    assert done.code == 0, done.err
    said = set(re.findall(r"remedy=(\w+) is left out: ", done.out))
    assert said == left_out
    planned = set(re.findall(r"remedy=(\w+) .*: to train", done.out + "\n"))
    assert not planned & left_out


def test_a_missing_data_directory_in_the_environment_is_refused(train, monkeypatch):
    monkeypatch.setenv("FITGAP_DATA_DIR", "/missing")
    assert_refused(train("dataset=mnist"), "FITGAP_DATA_DIR", "existing directory", "/missing")


@pytest.mark.parametrize("what", ["no database", "folder"])
def test_a_file_that_is_no_database_is_refused(train, tmp_path, what):
    path = tmp_path / "other.db"
    if what == "folder":
        path.mkdir()
    else:
        path.write_text("some text")
    assert_refused(train(f"tracking.uri=sqlite:///{path}"), "tracking.uri", str(path))


@pytest.mark.usefixtures("fresh_datasets")
@pytest.mark.parametrize(
    ("how", "said"), [("truncated", "cannot read"), ("altered", "damaged or altered")]
)
def test_a_damaged_dataset_is_refused(train, tmp_path, how, said):
    path = tmp_path / "data" / "mnist.npz"
    path.parent.mkdir()
    images, labels = np.zeros((5, 28, 28), np.uint8), np.zeros(5, np.uint8)
    np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels)
    if how == "truncated":
        path.write_bytes(path.read_bytes()[:1000])
    done = train("dataset=mnist", f"dataset.data_dir={path.parent}")
    assert_refused(done, "dataset=mnist", str(path.parent), said)


@pytest.mark.usefixtures("fresh_datasets")
def test_a_dataset_that_is_nowhere_is_refused_with_the_ways_out(train, monkeypatch):
    import keras

    from fitgap.data import published

    def fail():
        raise Exception("URL fetch failure: no network")

    monkeypatch.setattr(keras.datasets.mnist, "load_data", fail)
    monkeypatch.setattr(published, "SYSTEM_FOLDER", published.Path("/missing"))
    assert_refused(train("dataset=mnist"), "dataset=mnist", "no network", "dataset=digits")


def test_a_wrong_setting_is_refused_without_heavy_imports(run_train, tmp_path):
    done = run_train("training.epochs=0", interpreter=("-X", "importtime"))
    said = [line for line in done.err.splitlines() if not line.startswith("import time:")]
    assert done.code == 2
    assert said == ["error: training.epochs must be an integer >= 1, got 0"]
    imported = {line.rpartition("|")[2].strip() for line in done.err.splitlines()}
    assert "omegaconf" in imported
    heavy = {"tensorflow", "keras", "mlflow", "sklearn", "altair", "pandas", "sqlalchemy"}
    assert not imported & heavy
    assert list(tmp_path.iterdir()) == []


# What becomes of an exception.


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (RequestError("seed must be 0, got 1"), 2, "error: seed must be 0, got 1\n"),
        (RuntimeError("out of memory"), 1, "failed: RuntimeError: out of memory\n"),
        (DivergedError("val/loss is nan"), 1, "failed: DivergedError: val/loss is nan\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (BaseException(), 143, "terminated\n"),
    ],
    ids=["wrong request", "crash", "divergence", "Ctrl-C", "SIGTERM"],
)
def test_an_error_becomes_an_exit_code_and_one_line(capsys, error, code, said):
    def fail():
        raise error

    with pytest.raises(SystemExit) as caught:
        exit_codes.run_command(fail)
    assert caught.value.code == code
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (1, 1)])
def test_a_command_that_returns_leaves_with_its_code(returned, code):
    with pytest.raises(SystemExit) as caught:
        exit_codes.run_command(lambda: returned)
    assert caught.value.code == code


def test_the_traceback_is_shown_to_those_who_ask(monkeypatch, capsys):
    monkeypatch.setattr(exit_codes, "_SHOWS_TRACEBACK", True)
    assert exit_codes.report(RequestError("seed must be 0, got 1")) == 2
    error = capsys.readouterr().err
    assert "RequestError: seed must be 0, got 1\n" in error
    assert error.endswith("error: seed must be 0, got 1\n")


def test_a_run_that_fails_leaves_with_1(train, monkeypatch):
    def diverge(planned):
        raise DivergedError(f"running/loss is nan with {planned.config.optimizer['name']}")

    monkeypatch.setattr(experiment, "run", diverge)
    done = train("optimizer=adam")
    assert done.code == 1
    assert done.err == "failed: DivergedError: running/loss is nan with adam\n"


def test_help_names_groups_options_and_settings(train):
    done = train("--help")
    assert done.code == 0
    for part in ("optimizer: ", "adamw", "fashion_mnist", "validation_fraction=0.2", "-m "):
        assert part in done.out


@pytest.mark.parametrize(
    ("override", "typed"), [("name=a,b", '''"name='a,b'"'''), ("seed=[1", '''"seed='[1'"''')]
)
def test_a_value_that_hydra_reads_otherwise_is_given_as_plain_text(train, override, typed):
    assert_refused(train(override), f"As plain text: {typed}")


def test_a_traceback_tells_no_secrets_and_commands_no_terminal(capsys, monkeypatch):
    monkeypatch.setattr(exit_codes, "_SHOWS_TRACEBACK", True)
    with pytest.raises(ConnectionError) as caught:
        raise ConnectionError("postgresql://ada:hunter22@db/x \x1b[2J password=hunter22")
    assert exit_codes.report(caught.value) == 1
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "hunter22" not in said
    assert "\x1b" not in said

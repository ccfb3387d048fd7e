"""A saved network of a table takes its rows as they are: by name, with text and gaps."""

import ast
import json
import shutil
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import requests
import tensorflow as tf  # noqa: F401 - before the threads of a run are fixed
import uvicorn
from mlflow.pyfunc import scoring_server

from fitgap import experiment, prediction, store
from fitgap.api.run import Run
from fitgap.commands import predict
from fitgap.config.schema import TableConfig
from fitgap.data import datasets, preprocessing, rows
from fitgap.data.parts import Format
from fitgap.errors import RequestError
from fitgap.models.row_layers import takes_rows
from fitgap.store import predictions, recorded

N = 60
nan = np.nan


def flowers() -> pd.DataFrame:
    """Return a table of every kind of column, with gaps in each."""
    random = np.random.default_rng(0)
    kind = np.arange(N) % 3
    frame = pd.DataFrame(
        {
            "petals": 5 + kind,  # whole numbers
            "width (cm)/2": (kind + random.normal(0, 0.3, N)).round(3),
            "größe": np.array(["klein", "mittel", "groß"])[kind],
            "wild": kind == 1,
            "zip": 10115 + kind * 7,
            "note": [f"Seen {i % 4} times: {('red', 'Tall!', '향기')[i % 3]}" for i in range(N)],
            "kind": np.array(["rose", "tulip", "lily"])[kind],
            "price": (20.5 + 3 * kind + random.normal(0, 0.1, N)).round(2),
            "red": (kind > 0).astype(int),
            "late": (kind == 2).astype(int),
        }
    )
    frame.loc[[3, 17], "width (cm)/2"] = nan
    frame.loc[[4, 11], "größe"] = None
    frame.loc[[6, 12], "note"] = None
    frame.loc[9, "note"] = "NA"  # a text of one word
    # Else these would be the target under other names.
    frame.loc[5, "petals"], frame.loc[7, "zip"] = 9, 10136
    return frame


TARGETS = {"classes": ["kind"], "numbers": ["price"], "label_sets": ["red", "late"]}


@pytest.fixture(scope="module", params=TARGETS)
def trained(request, compose, template_database, tmp_path_factory):
    """Return a recorded run of each task, and the table that it learned from."""
    import shutil

    folder = tmp_path_factory.mktemp("rows")
    uri = f"sqlite:///{shutil.copy(template_database, folder / 'mlflow.db')}"
    targets = TARGETS[request.param]
    others = [name for each in TARGETS.values() for name in each if name not in targets]
    frame = flowers().drop(columns=others)
    frame.to_csv(folder / "flowers.csv", index=False)
    # A column of whole numbers as categories: of 0 and 1, or as vectors that are learned.
    setting = "categories" if request.param == "classes" else "embed"
    settings = compose(
        *("dataset=table", f"dataset.path={folder}/flowers.csv", "training.epochs=2"),
        *(f"dataset.label=[{','.join(targets)}]", f"dataset.{setting}=[zip]"),
        *("dataset.text=note", "dataset.length=3"),
        *(f"dataset.task={request.param}", f"tracking.uri={uri}"),
        task=None,
    )
    result = experiment.run(experiment.plan(settings))
    return recorded.open_run(result.run_id, uri=uri), frame


def rows_tested(run):
    """Return which rows of the file the run was tested on."""
    names = prediction.load_dataset(run).test.names
    return [int(name.rpartition(" ")[2]) - 1 for name in names]


def assert_as_recorded(outputs, run):
    """Compare what is said of the test rows with what the run recorded of them."""
    folder = Run(store.find_run(run.uri, run.run_id), uri=run.uri, experiment="").artifacts
    found = np.load(folder / predictions.FILE_NAME)
    if "test_outputs" in found:
        np.testing.assert_allclose(outputs, found["test_outputs"], rtol=1e-6, atol=1e-6)
    else:
        np.testing.assert_array_equal(np.argmax(outputs, axis=1), found["test_predicted"])
        np.testing.assert_allclose(np.max(outputs, axis=1), found["test_confidence"], atol=1e-6)


def test_a_file_is_predicted_as_the_run_recorded_it(trained, tmp_path):
    run, frame = trained
    tested = rows_tested(run)
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_csv(tmp_path / "b.csv", index=False, sep=";", decimal=",", encoding="utf-16")
    frame.to_parquet(tmp_path / "c.parquet")
    for name in ("a.csv", "b.csv", "c.parquet"):
        predicted = prediction.predict_rows(run, tmp_path / name)
        assert_as_recorded(predicted.outputs[tested], run)


def test_what_a_file_does_not_show_is_as_in_the_training_file(compose, template_database, tmp_path):
    uri = f"sqlite:///{shutil.copy(template_database, tmp_path / 'mlflow.db')}"
    numbers = ["1.234,5", "2.345", "7,5", "901"]
    lines = [f"{numbers[i % 4]};{'높은 집' if i % 4 < 2 else '낮은 집'}" for i in range(60)]
    (tmp_path / "own.dat").write_text("\n".join(["크기;종류", *lines]), encoding="cp949")
    settings = compose(
        *("dataset=table", f"dataset.path={tmp_path}/own.dat", "dataset.label='종류'"),
        *("training.epochs=1", f"tracking.uri={uri}"),
        task=None,
    )
    run = recorded.open_run(experiment.run(experiment.plan(settings)).run_id, uri=uri)
    assert run.format == Format(";", ",", "cp949")
    files = {"a.csv": ("2.345", "cp949"), "b.csv": ("2345", "utf-8"), "c.csv": ("1,5", "cp949")}
    for name, (written, encoding) in files.items():
        (tmp_path / name).write_text(f"크기\n{written}\n", encoding=encoding)
    one, same, other = (prediction.predict_rows(run, tmp_path / name) for name in files)
    np.testing.assert_array_equal(one.outputs, same.outputs)
    assert (one.outputs != other.outputs).any()
    assert not one.notes
    (tmp_path / "d.csv").write_text('크기,x\n"2345,0",0\n', encoding="utf-16")
    unlike = prediction.predict_rows(run, tmp_path / "d.csv")
    np.testing.assert_array_equal(one.outputs, unlike.outputs)
    assert "d.csv: read as utf-16 (dataset.encoding)" in unlike.notes


def test_pyfunc_takes_rows_of_any_index_and_form(trained):
    run, frame = trained
    tested = rows_tested(run)
    mlflow.set_tracking_uri(run.uri)
    model = mlflow.pyfunc.load_model(f"runs:/{run.run_id}/model")
    assert set(model.metadata.get_input_schema().input_names()) <= set(frame.columns)
    assert_as_recorded(model.predict(frame)[tested], run)
    some = frame.iloc[tested]
    assert_as_recorded(model.predict(some), run)
    with pytest.raises(mlflow.MlflowException, match="petals"):
        model.predict(frame.drop(columns="petals"))


def test_serving_takes_rows_with_nulls(trained):
    run, frame = trained
    tested = rows_tested(run)
    mlflow.set_tracking_uri(run.uri)
    model = mlflow.pyfunc.load_model(f"runs:/{run.run_id}/model")
    some = json.loads(frame.iloc[tested].to_json(orient="split", index=False))
    with served(model) as address:
        for form in ({"dataframe_split": some}, {"dataframe_records": _records(some)}):
            answer = requests.post(f"{address}/invocations", json=form, timeout=30)
            assert answer.status_code == 200, answer.text
            assert_as_recorded(answer.json()["predictions"], run)


@contextmanager
def served(model):
    """Have MLflow's scoring server answer at a free port, and give its address."""
    settings = uvicorn.Config(scoring_server.init(model), port=0, log_level="error")
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def _records(split):
    return [dict(zip(split["columns"], row, strict=True)) for row in split["data"]]


def test_python_takes_rows_and_names_what_is_wrong(trained):
    run, frame = trained
    tested = rows_tested(run)
    opened = Run(store.find_run(run.uri, run.run_id), uri=run.uri, experiment="")
    assert_as_recorded(opened.predict(frame)[tested], run)
    with pytest.raises(RequestError, match="no column 'petals'"):
        opened.predict(frame.drop(columns="petals"))
    with pytest.raises(RequestError, match="row 1, column 'petals' must be a number, got 'many'"):
        opened.predict(frame.assign(petals="many"))
    with pytest.raises(RequestError, match="there are no rows"):
        opened.predict(frame[:0])


def test_the_command_shows_rows_of_every_task(trained, tmp_path, monkeypatch, capsys):
    run, frame = trained
    frame.head(5).to_csv(tmp_path / "new.csv", index=False)
    monkeypatch.chdir(tmp_path)
    words = [run.run_id, "new.csv", "--uri", run.uri]
    predict.command.main(words, standalone_mode=False)
    shown = capsys.readouterr().out
    assert "5 rows of new.csv" in shown
    assert "row 5" in shown
    predict.command.main([*words, "--format", "json"], standalone_mode=False)
    found = json.loads(capsys.readouterr().out)
    assert len(found["rows"]) == 5
    assert not list(tmp_path.glob("reports/*.png"))
    with pytest.raises(RequestError, match=r"new\.csv holds rows: give one such file at a time"):
        predict.command.main([run.run_id, "new.csv", *words[1:]], standalone_mode=False)


def test_a_model_takes_what_says_that_nothing_is_there():
    columns = (datasets.Column("a"), datasets.Column("b", ("x", "y", "z")))
    train = np.array([[1, 0], [2, nan], [9, 1], [nan, 1]], np.float32)
    learned = preprocessing.learn(train, columns)
    given = pd.DataFrame({"a": [None, "NA", -999, "7"], "b": [None, "?", "n/k", "z"]})
    model = encoder_alone(learned, missing=["-999", "n/k"])
    made = model.predict(rows.inputs_of(given, model), verbose=0)
    # a, whether a is missing, b = x, b = y, whether b is missing; z is unknown to training.
    expected = [[2, 1, 0, 0, 1]] * 3 + [[7, 0, 0, 0, 0]]
    np.testing.assert_array_equal(made, expected)


def encoder_alone(learned, *, missing=()):
    import keras

    width = preprocessing.encode(np.zeros((1, len(learned)), np.float32), learned).shape[1]
    network = keras.Sequential([keras.Input((width,)), keras.layers.Identity()])
    network.compile(optimizer="sgd", loss="mse")
    example = preprocessing.rows_of(np.zeros((0, len(learned))), [each.column for each in learned])
    config = TableConfig("table", path="", label="", missing=list(missing))
    return takes_rows(network, preprocessing.Preprocessing(learned, example), config)


def test_rows_become_the_features_that_a_network_learned_from():
    random = np.random.default_rng(1)
    names = ["a", "b/c", "network", "rows_to_features", "größe (cm)", "where", "concatenate"]
    words = ("x", "y y", "10", "ß")
    kinds = [(), (words,), (words, 3)]  # numbers, columns of 0 and 1, numbers of categories
    for seed in range(5):
        columns = [datasets.Column(name, *kinds[random.integers(3)]) for name in names]
        x = np.stack(
            [
                random.normal(size=40) if column.categories is None else random.integers(0, 4, 40)
                for column in columns
            ],
            axis=1,
        ).astype(np.float32)
        x[random.random(x.shape) < 0.2] = nan
        learned = preprocessing.learn(x[: 5 + seed], columns)
        model = encoder_alone(learned)
        given = rows.inputs_of(preprocessing.rows_of(x, columns), model)
        made = model.predict(given, verbose=0)
        np.testing.assert_array_equal(made, preprocessing.encode(x, learned))


def test_what_lies_beside_a_model_needs_no_fitgap():
    tree = ast.parse(Path(rows.__file__).read_text(encoding="utf-8"))
    imported = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert not [line for line in imported if "fitgap" in line]

"""Data of ``fitgap.Study``: arrays, tables, paths and functions."""

import dataclasses
from functools import partial

import numpy as np
import pandas as pd
import pytest

import fitgap
from fitgap.api import own_data
from fitgap.data import datasets
from fitgap.data.disk_arrays import DiskRows
from fitgap.errors import RequestError

SMALL = {"architecture": "dense_softmax", "epochs": 1, "training": {"xla": False}}


@pytest.fixture(scope="module")
def arrays():
    x = np.random.default_rng(0).normal(size=(80, 4)).astype(np.float32)
    return x, (x.sum(axis=1) > 0).astype(np.int64)


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
def test_validation_samples_are_found_again_in_the_data(tracking_uri):
    x, y = load(200)
    run = fitgap.Study("rows", data=(x, y), uri=tracking_uri).run(**SMALL)
    with np.load(run.artifacts / "predictions.npz") as files:
        rows, is_right = files["val_rows"], files["validation_right"]
    assert len(set(rows)) == len(rows) == len(is_right)
    assert 0 < is_right.sum() < len(is_right)
    assert (run.predict(x[rows]).argmax(axis=1) == y[rows]).tolist() == is_right.tolist()


@pytest.mark.usefixtures("folder")
def test_a_function_that_returns_data_is_data(tracking_uri):
    run = fitgap.Study("function", data=partial(load, count=80), uri=tracking_uri).run(**SMALL)
    assert run.config.dataset.function == {"_target_": f"{__name__}.load", "count": 80}
    with pytest.raises(RequestError, match="data: lambda has no source"):
        fitgap.Study(data=lambda: load(9))


@pytest.mark.usefixtures("folder")
def test_several_columns_are_the_label(tracking_uri):
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(80, 4)), columns=list("abcd"))
    study = fitgap.Study("study", data=frame, label=["c", "d"], uri=tracking_uri)
    assert "val/rmse" in study.run(**SMALL).metrics
    with pytest.raises(RequestError, match="label must name a column of the table"):
        fitgap.Study("study", data=frame, label=["c", "e"])

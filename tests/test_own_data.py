"""Data of one's own: what is read of it, what is held out, and what is refused."""

import os
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fitgap.config import project
from fitgap.config.schema import (
    OWN_DATASETS,
    ImageFolderConfig,
    NpzConfig,
    SplitConfig,
    TableConfig,
)
from fitgap.data import datasets, disk_arrays, findings, splits
from fitgap.data.held_out import hold_out
from fitgap.data.parts import NumberedPart
from fitgap.errors import RequestError

pytestmark = pytest.mark.usefixtures("fresh_datasets")

HELD_OUT = {"test_fraction": 0.2, "test_seed": 42}
DOCUMENT = Path(__file__).parents[1] / "docs" / "DATA.md"
rng = np.random.default_rng(5)


def npz(folder, limit=None, **arrays):
    path = folder / "own.npz"
    np.savez(path, **arrays)
    return datasets.load(NpzConfig("npz", path=str(path), **HELD_OUT), memory_limit_mb=limit)


def images(n, *shape, dtype=np.uint8):
    return np.random.default_rng(n).integers(0, 256, (n, *shape)).astype(dtype)


def write_folder(folder, classes, *, per_class=5, size=(9, 7)):
    """Write noise as PNG, a folder per class, and return the arrays by their relative names."""
    written = {}
    for i, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for j, image in enumerate(images(per_class, *size) ^ np.uint8(i)):
            Image.fromarray(image).save(folder / name / f"{j}.png")
            written[f"{name}/{j}.png"] = image
    return written


def folder_config(path, **settings):
    chosen = {"image_size": [9, 7], "channels": 1} | HELD_OUT | settings
    return ImageFolderConfig("image_folder", path=str(path), **chosen)


def csv(folder, text, *, limit=None, **settings):
    path = folder / "own.csv"
    path.write_text(text, encoding="utf-8")
    chosen = {"label": "label"} | HELD_OUT | settings
    return datasets.load(TableConfig("csv", path=str(path), **chosen), memory_limit_mb=limit)


# Arrays.


@pytest.mark.parametrize(
    "shape", [(6, 5), (6, 5, 1), (6, 5, 3)], ids=["grey", "one channel", "RGB"]
)
def test_uint8_arrays_stay_as_they_are(tmp_path, shape):
    x, y = images(20, *shape), np.arange(20) % 2
    dataset = npz(tmp_path, x_train=x[:16], y_train=y[:16], x_test=x[16:], y_test=y[16:])
    assert (dataset.image_shape, dataset.value_type) == (shape, "uint8")
    np.testing.assert_array_equal(dataset.x_train, x[:16])
    np.testing.assert_array_equal(dataset.x_test, x[16:])
    np.testing.assert_array_equal(dataset.y_test, y[16:])
    assert Path(dataset.source) == tmp_path / "own.npz"


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.uint16, np.bool_, np.uint8])
def test_other_numbers_are_features(tmp_path, dtype):
    x = images(20, 4).astype(dtype)
    dataset = npz(
        tmp_path, x_train=x, y_train=np.arange(20) % 2, x_test=x, y_test=np.arange(20) % 2
    )
    assert dataset.value_type == "float32"
    np.testing.assert_array_equal(dataset.x_train, x.astype(np.float32))


@pytest.mark.parametrize(
    ("labels", "names", "numbers"),
    [
        ([5, 2, 10, 2], ("2", "5", "10"), [1, 0, 2, 0]),
        ([1.0, 0.0, 1.0, 0.0], ("0", "1"), [1, 0, 1, 0]),
        ([True, False, True, True], ("0", "1"), [1, 0, 1, 1]),
        (["고양이", "chien", "고양이", "chien"], ("chien", "고양이"), [1, 0, 1, 0]),
        ([b"b", b"a", b"\xc3\xa9", b"a"], ("a", "b", "é"), [1, 0, 2, 0]),
        ([[1], [0], [1], [0]], ("0", "1"), [1, 0, 1, 0]),
        (["10", "2", "1", "2"], ("1", "2", "10"), [2, 1, 0, 1]),
        (["a10", "b", "a9", "a"], ("a", "a9", "a10", "b"), [2, 3, 1, 0]),
    ],
    ids=["whole numbers", "floats", "booleans", "text", "bytes", "a column", "numerals", "mixed"],
)
def test_labels_become_numbers_in_their_own_order(tmp_path, labels, names, numbers):
    x, y = images(4, 2, 2), np.array(labels)
    dataset = npz(tmp_path, x_train=x, y_train=y, x_test=x[:1], y_test=y[:1])
    assert dataset.class_names == names
    assert dataset.y_train.tolist() == numbers
    assert dataset.y_test.tolist() == numbers[:1]


def test_other_class_names_are_other_data(tmp_path):
    x, y = images(6, 2, 2), np.array(["a", "b", "a", "b", "a", "b"])
    first = npz(tmp_path, x_train=x, y_train=y)
    renamed = npz(tmp_path, x_train=x, y_train=np.char.add(y, "!"))
    assert first.arrays_digest == renamed.arrays_digest
    assert first.digest != renamed.digest


class Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


X, Y = images(10, 3, 3), np.arange(10) % 2
FEATURES = images(10, 3).astype(np.float64)
NAN = np.where(np.arange(30).reshape(10, 3) == 7, np.nan, FEATURES)


@pytest.mark.parametrize(
    ("arrays", "parts"),
    [
        ({"x_train": X}, ["y_train is missing"]),
        ({"x_train": X, "y_train": Y, "x_test": X}, ["y_test is missing"]),
        ({"x_train": X, "y_train": Y, "x_val": X}, ["y_val is missing"]),
        ({"x_train": X, "train_images": X, "y_train": Y}, ["could both be x_train", "keys"]),
        ({"x_train": X, "y_train": Y[:9]}, ["y_train has 9 labels for 10 samples"]),
        (
            {"x_train": np.ones((4, 10)), "y_train": Y},
            ["10 labels for 4 samples", "their samples are columns: transpose them"],
        ),
        (
            {"x_train": np.full((10, 2), np.nan), "y_train": Y},
            ["x_train[0, 0] is nan", "dataset=table fills them"],
        ),
        (
            {"x_train": np.full((10, 2), "a"), "y_train": Y},
            ["must hold numbers", "read from a table (dataset=table)"],
        ),
        ({"x_train": X[:0], "y_train": Y[:0]}, ["y_train is empty"]),
        (
            {"x_train": X, "y_train": Y, "x_test": X, "y_test": Y[:3]},
            ["y_test has 3", "10 samples"],
        ),
        ({"x_train": X, "y_train": Y, "x_test": X[:, 1:], "y_test": Y}, ["(2, 3)", "(3, 3)"]),
        ({"x_train": X, "y_train": Y, "x_test": X, "y_test": Y + 1}, ["y_test", "class '2'"]),
        ({"x_train": X, "y_train": Y, "x_test": X, "y_test": Y.astype(str)}, ["both be text"]),
        ({"x_train": X, "y_train": Y * 0}, ["at least two classes", "only '0'"]),
        ({"x_train": X, "y_train": np.where(Y, np.inf, 0.5)}, ["y_train[1] is inf", "finite"]),
        ({"x_train": X, "y_train": Y * np.nan}, ["y_train[0] = nan is no label"]),
        (
            {"x_train": X, "y_train": Y.astype("u8") + 2**63},
            ["y_train[0] = 9223372036854775808 is"],
        ),
        ({"x_train": X, "y_train": Y * 1e300}, ["y_train[1] = 1e+300 is too large"]),
        ({"x_train": X, "y_train": Y * 1j}, ["text or whole numbers", "complex128"]),
        ({"x_train": X, "y_train": np.full((10, 2, 2), "a")}, ["shape (n,), one label per sample"]),
        ({"x_train": X, "y_train": np.eye(10)}, ["class '0' has 1 sample"]),
        (
            {"x_train": X, "y_train": np.array([["a", "b"]] * 10)},
            ["one label per sample", "(10, 2)"],
        ),
        ({"x_train": X, "y_train": np.where(Y, "a", " ")}, ["y_train[0] = ' ' is empty"]),
        ({"x_train": X, "y_train": np.arange(10)}, ["class '0' has 1 sample", "two or more"]),
        ({"x_train": np.array(["a"] * 10), "y_train": Y}, ["x_train must hold numbers"]),
        ({"x_train": X[..., None, None, None], "y_train": Y}, ["x_train must be of shape"]),
        ({"x_train": images(10, 3, 8, 8), "y_train": Y}, ["last axis", "layout=channels_first"]),
        ({"x_train": NAN, "y_train": Y}, ["x_train[2, 1] is nan"]),
        ({"x_train": FEATURES * 1e39, "y_train": Y}, ["x_train[0, 0] is", "finite"]),
    ],
)
def test_arrays_that_are_no_labelled_images_are_refused(tmp_path, arrays, parts):
    with pytest.raises(RequestError) as caught:
        npz(tmp_path, **arrays)
    assert str(caught.value).startswith(f"dataset.path={tmp_path / 'own.npz'}: ")
    assert len(str(caught.value).splitlines()) == 1
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize("position", ["x_train", "y_train"])
def test_objects_in_arrays_are_never_unpickled_and_the_way_out_is_named(tmp_path, position):
    sprung = tmp_path / "sprung"
    trap = np.array([Trap(sprung)] * 10, dtype=object)
    with pytest.raises(RequestError, match=rf"{position} holds Python objects.*astype\(str\)"):
        npz(tmp_path, **({"x_train": X, "y_train": Y} | {position: trap}))
    assert not sprung.exists()


def test_a_pipe_is_refused_by_every_reader_instead_of_waited_for(tmp_path):
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    for name in ("table", "npz", "mat", "idx", "image_folder", "texts"):
        config = OWN_DATASETS[name](name, path=str(pipe), **HELD_OUT)
        with pytest.raises(RequestError, match=r"pipe\.csv is not a regular file but a pipe"):
            datasets.load(config)
    (tmp_path / "arrays").mkdir()
    np.save(tmp_path / "arrays" / "y_train.npy", Y)
    os.mkfifo(tmp_path / "arrays" / "x_train.npy")
    with pytest.raises(RequestError, match=r"x_train\.npy is not a regular file but a pipe"):
        datasets.load(NpzConfig("npz", path=str(tmp_path / "arrays"), **HELD_OUT))


def test_data_of_another_kind_are_called_so(tmp_path):
    (tmp_path / "own.csv").write_text(TABLE)
    for name, path, meant in (("npz", "own.csv", "table"), ("table", "", "image_folder")):
        config = OWN_DATASETS[name](name, path=str(tmp_path / path), **HELD_OUT)
        with pytest.raises(RequestError, match=rf"; did you mean dataset={meant}\?"):
            datasets.load(config)


@pytest.mark.parametrize("name", ["npz", "mat", "table", "csv", "image_folder"])
def test_an_empty_file_is_called_empty_by_every_reader(tmp_path, name, compose):
    path = tmp_path / ("own.zip" if name == "image_folder" else f"own.{name}")
    path.touch()
    label = ["dataset.label=kind"] if name in ("table", "csv") else []
    with pytest.raises(RequestError, match="is an empty file: it has 0 bytes"):
        datasets.load(compose(f"dataset={name}", f"dataset.path={path}", *label, task=None).dataset)


@pytest.mark.parametrize("content", [b"404: not found", b"PK\x03\x04broken"])
def test_a_file_that_is_no_npz_is_refused(tmp_path, content):
    (tmp_path / "own.npz").write_bytes(content)
    asked = NpzConfig("npz", path=str(tmp_path / "own.npz"), **HELD_OUT)
    with pytest.raises(RequestError, match=r"is not a \.npz file, or is a damaged one"):
        datasets.load(asked)


# The test part that is held out.


def test_a_share_of_each_class_is_held_out(tmp_path):
    labels = np.repeat([0, 1, 2], [50, 10, 2])
    x = images(62, 3, 3)
    dataset = npz(tmp_path, x_train=x, y_train=labels)
    assert np.bincount(dataset.y_test).tolist() == [10, 2, 1]
    assert np.bincount(dataset.y_train).tolist() == [40, 8, 1]
    both = np.concatenate([dataset.x_train, dataset.x_test]).reshape(62, -1)
    assert sorted(map(tuple, both)) == sorted(map(tuple, x.reshape(62, -1)))


def test_a_held_out_image_is_called_by_its_row_in_the_file(tmp_path):
    x = np.arange(20, dtype=np.uint8).reshape(20, 1, 1)
    dataset = npz(tmp_path, x_train=x, y_train=np.arange(20) % 2)
    for images, names in (
        (dataset.x_train, dataset.train.names),
        (dataset.x_test, dataset.test.names),
    ):
        assert names == [f"x_train[{int(image.item())}]" for image in images]


def test_what_is_held_out_follows_from_seed_and_fraction_alone():
    y = np.arange(40) % 4
    part = NumberedPart(np.zeros((40, 1)), y, [""] * 40)

    def held(fraction=0.2, seed=42):
        train, test = hold_out(part, fraction=fraction, seed=seed, class_names="abcd")
        assert sorted([*train, *test]) == list(range(40))
        return test.tolist()

    assert held() == held()
    assert held(seed=43) != held()
    assert len(held(fraction=0.5)) == 20
    assert len(held(fraction=0.001)) == len(held(fraction=0.1)) == 4
    assert len(held(fraction=0.999)) == 36


# Image folders.


def test_a_folder_per_class_in_any_language(tmp_path):
    written = write_folder(tmp_path, ["고양이", "chien"])
    dataset = datasets.load(folder_config(tmp_path))
    assert dataset.class_names == ("chien", "고양이")
    assert (len(dataset.y_train), len(dataset.y_test)) == (8, 2)
    for x, y, names in (
        (dataset.x_train, dataset.y_train, dataset.train.names),
        (dataset.x_test, dataset.y_test, dataset.test.names),
    ):
        for image, label, name in zip(x, y, names, strict=True):
            assert name.startswith(dataset.class_names[label] + "/")
            np.testing.assert_array_equal(image, written[name])


def test_train_and_test_at_the_top_are_the_parts(tmp_path):
    write_folder(tmp_path / "train", ["a", "b"])
    write_folder(tmp_path / "test", ["b"], per_class=3)
    dataset = datasets.load(folder_config(tmp_path))
    assert dataset.class_names == ("a", "b")
    assert dataset.y_test.tolist() == [1, 1, 1]
    assert dataset.train.names[0] == "train/a/0.png"
    shutil.rmtree(tmp_path / "test")
    assert len(datasets.load(folder_config(tmp_path)).y_test) == 2
    write_folder(tmp_path, ["other"])  # now they are classes, and wrongly laid out
    with pytest.raises(RequestError, match="train/a is a folder within the class"):
        datasets.load(folder_config(tmp_path))


def test_mixed_files_become_images_of_one_size_and_mode(tmp_path):
    write_folder(tmp_path, ["a", "b"])
    Image.new("RGBA", (30, 40), (255, 0, 0, 255)).save(tmp_path / "a" / "big.webp")
    Image.new("L", (5, 5), 255).save(tmp_path / "b" / "small.JPG", "JPEG")
    (tmp_path / ".DS_Store").touch()
    (tmp_path / "a" / "Thumbs.db").touch()
    dataset = datasets.load(folder_config(tmp_path, image_size=[4, 6], channels=3))
    assert dataset.image_shape == (4, 6, 3)
    everything = dict(zip(dataset.train.names, dataset.x_train, strict=True))
    everything |= dict(zip(dataset.test.names, dataset.x_test, strict=True))
    np.testing.assert_allclose(everything["a/big.webp"] - [255, 0, 0.0], 0, atol=3)
    assert (everything["b/small.JPG"] == 255).all()


def test_images_are_decoded_once_and_anew_when_they_change(tmp_path, monkeypatch):
    from fitgap.data import image_folder

    write_folder(tmp_path, ["a", "b"])
    decoded = []
    read_image = image_folder.read_image

    def count(path, **how):
        decoded.append(path)
        return read_image(path, **how)

    monkeypatch.setattr(image_folder, "read_image", count)
    for asked, expected in (({}, 10), ({}, 0), ({"test_seed": 1}, 0), ({"image_size": [3, 3]}, 10)):
        decoded.clear()
        datasets.load(folder_config(tmp_path, **asked))
        assert len(decoded) == expected
    Image.new("L", (7, 9)).save(tmp_path / "a" / "0.png")
    assert len(datasets.load(folder_config(tmp_path)).y_train) == 8
    assert len(decoded) == 20


def spoil(folder, how):
    if how == "one class":
        shutil.rmtree(folder / "b")
    elif how == "no class":
        shutil.rmtree(folder / "b")
        shutil.rmtree(folder / "a")
    elif how == "empty class":
        (folder / "c").mkdir()
    elif how == "file beside":
        shutil.copy(folder / "a" / "0.png", folder / "0.png")
    elif how == "no image":
        (folder / "a" / "notes.txt").touch()
    elif how == "no image beside":
        (folder / "notes.txt").touch()
    elif how == "nested":
        (folder / "a" / "more").mkdir()
    elif how == "broken":
        content = (folder / "b" / "1.png").read_bytes()
        (folder / "b" / "1.png").write_bytes(content[:40])
        (folder / "a" / "2.png").write_text("404: not found")
    elif how == "missing":
        shutil.rmtree(folder)
    elif how == "single image":
        for i in range(1, 5):
            (folder / "a" / f"{i}.png").unlink()


@pytest.mark.parametrize(
    ("how", "parts"),
    [
        ("one class", ["two or more classes", "only 'a'"]),
        ("no class", ["two or more classes", "none"]),
        ("empty class", ["the folder c of a class is empty"]),
        ("file beside", ["0.png lies beside the folders"]),
        ("no image", ["a/notes.txt is not an image", "dataset.skip_unreadable=true"]),
        ("no image beside", ["notes.txt is not an image", "dataset.skip_unreadable=true"]),
        ("nested", ["a/more is a folder within the class"]),
        ("broken", ["2 of 10 images cannot be read", "a/2.png is not an image", "b/1.png"]),
        ("missing", ["dataset.path must be an existing folder"]),
        ("single image", ["class 'a' has 1 sample"]),
    ],
)
def test_a_folder_that_is_laid_out_otherwise_is_refused(tmp_path, how, parts):
    write_folder(tmp_path / "own", ["a", "b"])
    spoil(tmp_path / "own", how)
    with pytest.raises(RequestError) as caught:
        datasets.load(folder_config(tmp_path / "own"))
    assert len(str(caught.value).splitlines()) <= 2
    for part in parts:
        assert part in str(caught.value)


# Tables.

TABLE = "height,label,width\n" + "\n".join(f"{i},{'ab'[i % 2]},{i / 2}" for i in range(10)) + "\n"


def test_a_table_is_labels_and_features(tmp_path):
    dataset = csv(tmp_path, TABLE)
    assert (dataset.class_names, dataset.image_shape) == (("a", "b"), (2,))
    rows = np.concatenate([dataset.x_train, dataset.x_test])
    assert sorted(map(tuple, rows.tolist())) == [(i, i / 2) for i in range(10)]
    assert dataset.test.names[0].startswith("own.csv, row ")


def test_a_table_of_pixels_is_images(tmp_path):
    rows = "\n".join(f"{i},{','.join(str(i + 10 * j) for j in range(6))}" for i in [0, 1] * 5)
    dataset = csv(tmp_path, f"label,{','.join('pqrstu')}\n{rows}\n", image_shape=[2, 3])
    assert (dataset.image_shape, dataset.value_type) == ((2, 3), "uint8")
    number = dataset.y_train[0]
    assert dataset.x_train[0].tolist() == (np.arange(6).reshape(2, 3) * 10 + number).tolist()
    assert dataset.class_names == ("0", "1")


def test_a_second_table_is_the_test_part(tmp_path):
    (tmp_path / "test.csv").write_text("height,label,width\n7,b,8\n")
    dataset = csv(tmp_path, TABLE, test_path=str(tmp_path / "test.csv"))
    assert len(dataset.y_train) == 10
    assert (dataset.x_test.tolist(), dataset.y_test.tolist()) == ([[7, 8]], [1])


def test_a_class_may_be_called_not_available(tmp_path):
    text = TABLE.replace(",a,", ",NA,").replace(",b,", ",null,")
    assert csv(tmp_path, text).class_names == ("NA", "null")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (TABLE.replace("3,b,1.5", "3,b,wide"), ["row 4, column 'width'", "got 'wide'"]),
        (TABLE.replace("3,b,1.5", "3,b,inf"), ["row 4, column 'width'", "got 'inf'"]),
        (TABLE.replace("3,b,1.5", "3,b,1e300"), ["row 4, column 'width'", "float32", "1e300"]),
        (TABLE.replace("3,b,1.5", "3,,1.5"), ["column 'label'", "row 4", "is empty"]),
        (TABLE.replace("3,b,1.5", "3"), ["row 4"]),
        (TABLE.replace("3,b,1.5", "3,b,1.5,6"), ["cannot be read as CSV"]),
        (TABLE.replace("width", "height"), ["there are two columns 'height'"]),
        (TABLE.replace("label", "lable"), ["dataset.label=label is not a column", "mean lable?"]),
        (TABLE.replace(",b,", ",a,"), ["at least two classes"]),
        ("height,label\n", ["no rows"]),
        ("label\na\nb\n", ["a column besides"]),
        ("", ["is an empty file: it has 0 bytes"]),
    ],
)
def test_a_table_that_is_none_is_refused_by_row_and_column(tmp_path, text, parts):
    with pytest.raises(RequestError) as caught:
        csv(tmp_path, text)
    assert len(str(caught.value).splitlines()) <= 2
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(("cell", "said"), [("256", "256"), ("-1", "-1"), ("1.5", "1.5")])
def test_a_pixel_out_of_range_is_refused_by_row_and_column(tmp_path, cell, said):
    text = f"p,q,label\n1,2,a\n3,{cell},b\n"
    with pytest.raises(RequestError, match=f"row 2, column 'q' must be a pixel.*got {said}"):
        csv(tmp_path, text, image_shape=[1, 2])
    with pytest.raises(RequestError, match="needs 6 columns of pixels, got 2"):
        csv(tmp_path, text, image_shape=[2, 3])


# On disk.


def load_both_ways(load):
    in_memory = load(None)
    on_disk = load(1)
    assert isinstance(on_disk.x_train, disk_arrays.DiskRows)
    assert isinstance(on_disk.x_test, disk_arrays.DiskRows)
    assert isinstance(in_memory.x_train, np.ndarray)
    return in_memory, on_disk


@pytest.mark.parametrize("kind", ["npz of bytes", "npz of floats", "image_folder"])
def test_what_stays_on_disk_is_what_memory_would_hold(tmp_path, kind):
    if kind == "image_folder":
        write_folder(tmp_path, ["a", "b"], per_class=6, size=(400, 300))
        asked = folder_config(tmp_path, image_size=[400, 300])
        in_memory, on_disk = load_both_ways(lambda n: datasets.load(asked, memory_limit_mb=n))
    else:
        x = images(30, 300, 200, dtype=np.uint8 if "bytes" in kind else np.float64)
        y = np.arange(30) % 3
        in_memory, on_disk = load_both_ways(lambda n: npz(tmp_path, n, x_train=x, y_train=y))
    assert on_disk.digest == in_memory.digest
    assert on_disk.image_shape == in_memory.image_shape
    for part in ("train", "test"):
        disk, memory = getattr(on_disk, f"x_{part}"), getattr(in_memory, f"x_{part}")
        np.testing.assert_array_equal(disk[[1, 0]], memory[[1, 0]])
        np.testing.assert_array_equal(disk[1:2], memory[1:2])
        np.testing.assert_array_equal(np.asarray(disk), memory)
    split = splits.split_dataset(in_memory, SplitConfig("holdout", 0.2, 0))
    assert findings.check(on_disk, split) == findings.check(in_memory, split)


def test_not_finite_features_are_found_while_they_are_unpacked(tmp_path):
    x = images(30, 300, 200, dtype=np.float32)
    x[29, 5, 7] = np.inf
    with pytest.raises(RequestError, match=r"x_train\[29, 5, 7\] is inf"):
        npz(tmp_path, 1, x_train=x, y_train=np.arange(30) % 2)
    left = list((project.state_folder() / "data").glob("tmp*"))
    assert left == []


def test_columns_that_cannot_be_streamed_are_refused(tmp_path):
    x = np.asfortranarray(images(30, 300, 200))
    with pytest.raises(RequestError, match="column by column"):
        npz(tmp_path, 1, x_train=x, y_train=np.arange(30) % 2)


# The command line, and the document.


def blocks_of(document, language):
    return re.findall(rf"```{language}\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)


SHAPES = {
    "bars.npz": (12, 16, 3),
    "bars.npy": (12, 12),
    "bars.mat": (12, 12),
    "bars": (12, 12),
    "shades": (24, 24),
    "flowers.csv": (3,),
    "orders.csv": (9,),
    "my_data.load": (4,),
    "notes": (200,),
    "ids.npz": (12,),
}


@pytest.fixture
def documented(tmp_path, monkeypatch):
    """Return the overrides of each documented command, with the data that it trains on."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # as a project folder is
    for script in blocks_of(DOCUMENT, "python"):
        exec(compile(script, "docs/DATA.md", "exec"), {})
    (function,) = [script for script in blocks_of(DOCUMENT, "python") if "def load(" in script]
    (tmp_path / "my_data.py").write_text(function, encoding="utf-8")
    lines = "".join(blocks_of(DOCUMENT, "sh")).splitlines()
    commands = [line for line in lines if line.startswith("fitgap train")]
    return [shlex.split(command)[2:] for command in commands]


def test_the_documented_examples_run_as_written(documented, compose):
    from fitgap import experiment

    found = [experiment.plan(compose(*words, task=None)).facts.image_shape for words in documented]
    assert found == list(SHAPES.values())


@pytest.mark.slow
def test_the_documented_examples_learn_something(documented, compose, tracking_uri):
    from fitgap import experiment

    for words in documented:
        settings = compose(*words, f"tracking.uri={tracking_uri}", task=None)
        result = experiment.run(experiment.plan(settings))
        assert result.metrics["test/accuracy"] > 0.75, words


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["dataset=npz"], ["dataset.path has no value"]),
        (["dataset=npz", "dataset.path=missing.npz"], ["dataset.path", "missing.npz"]),
        (["dataset=csv", "dataset.path=missing.csv"], ["dataset.path", "missing.csv"]),
        (["dataset=image_folder", "dataset.path=missing"], ["dataset.path", "missing"]),
        (["dataset=npz", "dataset.data_dir=x"], ["dataset.data_dir: there is no such setting"]),
        (["dataset=npz", "dataset.path=x", "dataset.test_fraction=1"], ["(0, 1), got 1.0"]),
        (["dataset=npz", "dataset.path=x", "dataset.test_seed=-1"], ["dataset.test_seed", "-1"]),
        (
            ["dataset=image_folder", "dataset.path=x", "dataset.image_size=[3]"],
            ["dataset.image_size", "[height, width]", "got [3]"],
        ),
        (
            ["dataset=image_folder", "dataset.path=x", "dataset.channels=4"],
            ["dataset.channels must be 1 (grey) or 3 (RGB), got 4"],
        ),
    ],
)
def test_a_wrong_setting_of_own_data_leaves_with_2(train, arguments, parts):
    done = train(*arguments)
    assert done.code == 2
    assert len(done.err.splitlines()) <= 2
    for part in parts:
        assert part in done.err


def test_what_does_not_fit_the_data_leaves_with_2(train, tmp_path):
    path = tmp_path / "own.npz"
    np.savez(path, x_train=FEATURES, y_train=Y)
    own = ["dataset=npz", f"dataset.path={path}"]
    vectors = train(*own, "architecture=cnn_small")
    assert vectors.code == 2
    assert "architecture=cnn_small needs images (Conv2D)" in vectors.err
    np.savez(path, x_train=X, y_train=Y, x_test=X[[7]], y_test=Y[[7]])
    leaking = train(*own)
    assert leaking.code == 2
    assert "1 test in " in leaking.err
    assert "x_test[0] is x_train[7]" in leaking.err
    assert "dataset.allow_duplicates=true" in leaking.err

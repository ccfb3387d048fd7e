"""Arrays as people have them: their names, forms of labels, kinds of values, file formats."""

import gzip
import io
import struct
import zipfile

import numpy as np
import pytest

from fitgap.config.schema import IdxConfig, NpzConfig, SplitConfig
from fitgap.data import array_roles, before_training, datasets, splits
from fitgap.errors import RequestError

pytestmark = pytest.mark.usefixtures("fresh_datasets")
HELD_OUT = {"test_fraction": 0.2, "test_seed": 42}
rng = np.random.default_rng(3)
Y = np.arange(20) % 2
VECTORS = rng.normal(size=(20, 3))
IMAGES = rng.integers(0, 256, (20, 6, 5)).astype(np.uint8)


def npz(folder, *, settings=None, split=None, **content):
    np.savez(folder / "own.npz", **content)
    config = NpzConfig("npz", path=str(folder / "own.npz"), **HELD_OUT, **(settings or {}))
    return datasets.load(config, split=split)


@pytest.mark.parametrize(
    ("names", "roles"),
    [
        ("X y", {"x_train": "X", "y_train": "y"}),
        ("data target", {"x_train": "data", "y_train": "target"}),
        ("images labels", {"x_train": "images", "y_train": "labels"}),
        ("train_images train_labels", {"x_train": "train_images", "y_train": "train_labels"}),
        ("X_train y_train X_dev yDev ids", {"x_val": "X_dev", "y_val": "yDev"}),
        ("trainX trainY testX testY", {"x_test": "testX", "y_test": "testY"}),
        ("Xtr ytr Xte yte", {"x_train": "Xtr", "y_test": "yte"}),
        ("Xtrain ytrain xval yval", {"x_train": "Xtrain", "y_val": "yval"}),
    ],
)
def test_common_names_are_found(names, roles):
    found = array_roles.find_roles(names.split(), None)
    assert found.items() >= roles.items()


def test_named_keys_win_and_a_misspelt_one_is_refused():
    keys = {"x_train": "pictures", "y_train": "kinds"}
    assert array_roles.find_roles(["pictures", "kinds"], keys) == keys
    with pytest.raises(RequestError, match=r"keys\.x_train=picture: .* mean pictures\?"):
        array_roles.find_roles(["pictures", "kinds"], {"x_train": "picture"})
    with pytest.raises(RequestError, match=r"y_train is missing.*dataset\.keys=\{y_train: NAME\}"):
        array_roles.find_roles(["x_train", "kinds"], None)


@pytest.mark.parametrize(
    ("labels", "names", "task"),
    [
        (np.eye(2)[Y], ("0", "1"), "classes"),
        (np.where(Y, 1, -1), ("-1", "1"), "classes"),
        (10 * (Y + 1), ("10", "20"), "classes"),
        (np.where(Y, "b", "a"), ("a", "b"), "classes"),
        (np.stack([Y, np.ones(20), 1 - Y], axis=1), tuple("012"), "label_sets"),
        (Y + 0.5, ("y",), "numbers"),
        (VECTORS, tuple("012"), "numbers"),
    ],
    ids=["one-hot", "signs", "tens", "text", "label sets", "a quantity", "quantities"],
)
def test_the_task_follows_from_the_targets(tmp_path, labels, names, task):
    dataset = npz(tmp_path, X=VECTORS, y=labels)
    assert dataset.task == task
    assert len(dataset.class_names) == len(names)
    if task == "classes":
        assert dataset.class_names == names
        assert dataset.y_train.dtype == np.int64
    else:
        assert dataset.y_train.dtype == (np.float32 if task == "numbers" else np.uint8)
        assert len(dataset.y_test) == 4


def test_a_task_that_the_targets_do_not_have_is_refused(tmp_path):
    with pytest.raises(RequestError, match="not a whole number"):
        npz(tmp_path, X=VECTORS, y=Y + 0.5, settings={"task": "classes"})
    with pytest.raises(RequestError, match="must hold numbers"):
        npz(tmp_path, X=VECTORS, y=np.where(Y, "a", "b"), settings={"task": "numbers"})
    assert npz(tmp_path, X=VECTORS, y=Y, settings={"task": "numbers"}).task == "numbers"


@pytest.mark.parametrize(
    ("values", "value_type", "said"),
    [
        (IMAGES.astype(np.int64), "uint8", "taken as bytes"),
        (IMAGES.astype(np.float64), "uint8", "taken as bytes"),
        (IMAGES.astype(np.uint16) * 16, "float32", "normalised"),
        (IMAGES / 255, "uint8", "divided by 255"),
        (IMAGES / 300, "float32", "normalised"),
        (IMAGES - 100.0, "float32", "normalised"),
    ],
    ids=["int64", "0 to 255", "12 bits", "0 to 1", "other fractions", "negative"],
)
def test_ranges_of_images_are_told_apart_and_said(tmp_path, values, value_type, said):
    dataset = npz(tmp_path, X=values, y=Y)
    assert dataset.value_type == value_type
    assert said in dataset.notes[0]
    assert "dataset.layout=sequences" in dataset.notes[0]  # 6 x 5: could be steps and numbers
    square = npz(tmp_path, X=np.ascontiguousarray(values[:, :5, :5]), y=Y)
    assert "sequences" not in " ".join(square.notes)
    if value_type == "uint8":
        train, test = dataset.x_train, dataset.x_test
        assert sorted(map(bytes, [*train, *test])) == sorted(map(bytes, IMAGES))


def test_channels_first_are_turned(tmp_path):
    channels = np.stack([IMAGES, IMAGES // 2, IMAGES // 3], axis=1)
    turned = npz(tmp_path, X=channels, y=Y, settings={"layout": "channels_first"})
    assert turned.image_shape == (6, 5, 3)
    last = npz(tmp_path, X=np.moveaxis(channels, 1, 3), y=Y)
    assert turned.digest == last.digest


def test_sequences_are_no_images(tmp_path):
    dataset = npz(tmp_path, X=IMAGES, y=Y, settings={"layout": "sequences"})
    assert dataset.value_type == "float32"


def test_a_validation_part_is_given_and_a_group_is_an_array(tmp_path):
    groups = np.repeat(np.arange(10), 2)
    given = npz(tmp_path, x_train=VECTORS, y_train=Y, x_val=VECTORS[:4], y_val=Y[:4])
    split = splits.split_dataset(given, SplitConfig("given"))
    assert len(split.val) == 4
    np.testing.assert_array_equal(given.x_train[split.val], VECTORS[:4].astype(np.float32))
    asked = SplitConfig("holdout", 0.2, 0, None, group="who")
    grouped = npz(tmp_path, X=VECTORS, y=Y, who=groups, split=asked)
    assert not set(grouped.train.groups) & set(grouped.test.groups)
    splits.split_dataset(grouped, asked)
    with pytest.raises(RequestError, match=r"split\.group=woh is not an array.*mean who\?"):
        npz(tmp_path, X=VECTORS, y=Y, who=groups, split=SplitConfig("none", group="woh"))


def test_arrays_that_nothing_uses_are_said(tmp_path):
    assert "ids" in npz(tmp_path, X=VECTORS, y=Y, ids=np.arange(20)).notes[0]


def test_a_pair_of_npy_files(tmp_path):
    np.save(tmp_path / "a.npy", VECTORS)
    np.save(tmp_path / "b.npy", Y)
    paths = {"path": str(tmp_path / "a.npy"), "label_path": str(tmp_path / "b.npy")}
    assert len(datasets.load(NpzConfig("npz", **paths, **HELD_OUT)).y_train) == 16
    with pytest.raises(RequestError, match=r"dataset\.label_path"):
        datasets.load(NpzConfig("npz", path=paths["path"], **HELD_OUT))
    np.save(tmp_path / "b.npy", np.where(Y, "a", "b").astype(object))
    with pytest.raises(RequestError, match=r"Python objects.*astype\(str\)"):
        datasets.load(NpzConfig("npz", **paths, **HELD_OUT))


def write_idx(path, array, kind=8):
    content = struct.pack(f">HBB{array.ndim}I", 0, kind, array.ndim, *array.shape)
    content += array.astype({8: ">u1", 0x0D: ">f4"}[kind]).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def test_idx_files_packed_and_plain(tmp_path):
    write_idx(tmp_path / "train-images-idx3-ubyte.gz", IMAGES)
    write_idx(tmp_path / "train-labels-idx1-ubyte", Y)
    write_idx(tmp_path / "t10k-images-idx3-ubyte", IMAGES[:4])
    write_idx(tmp_path / "t10k-labels-idx1-ubyte", Y[:4])
    dataset = datasets.load(IdxConfig("idx", path=str(tmp_path), **HELD_OUT))
    np.testing.assert_array_equal(dataset.x_train, IMAGES)
    np.testing.assert_array_equal(dataset.y_test, Y[:4])
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01\0\0\0\xff12")
    with pytest.raises(RequestError, match="train-labels-idx1-ubyte cannot be read"):
        datasets.load(IdxConfig("idx", path=str(tmp_path), **HELD_OUT))


def write_bomb(path):
    """Write zeros that would fill a gigabyte and more, in a file of about a megabyte."""
    if path.suffix == ".gz":
        write_idx(path.parent / "train-labels-idx1-ubyte", Y)
        with gzip.open(path, "wb") as file:
            file.write(struct.pack(">HBB3I", 0, 8, 3, 20, 2**13, 2**13) + bytes(1000))
    else:
        header = io.BytesIO()
        shape = {"descr": "<f4", "fortran_order": False, "shape": (20, 2**24)}
        np.lib.format.write_array_header_1_0(header, shape)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made, made.open("x.npy", "w") as f:
            f.write(header.getvalue())
            for _ in range(80):
                f.write(bytes(2**24))


@pytest.mark.parametrize(
    ("config", "kind", "name"),
    [
        (NpzConfig, "npz", "x.npz"),
        (IdxConfig, "idx", "train-images-idx3-ubyte.gz"),
    ],
)
def test_what_would_unpack_to_much_more_is_refused(tmp_path, config, kind, name):
    write_bomb(tmp_path / name)
    path = tmp_path if config is IdxConfig else tmp_path / name
    with pytest.raises(RequestError, match=r"MB would unpack to \d+ MB: .* a zip bomb"):
        datasets.load(config(kind, path=str(path), **HELD_OUT))


def test_an_array_that_is_not_what_its_header_says_is_named(tmp_path):
    np.savez(tmp_path / "own.npz", x=VECTORS, y=Y)
    whole = io.BytesIO()
    np.save(whole, VECTORS)
    with zipfile.ZipFile(tmp_path / "own.npz", "w") as made:
        made.writestr("x.npy", whole.getvalue()[:-8])
    with pytest.raises(RequestError, match=r"x is damaged: shape \(20, 3\) .* is 480 bytes"):
        datasets.load(NpzConfig("npz", path=str(tmp_path / "own.npz"), **HELD_OUT))


def test_times_are_numbers_or_dates_and_none_is_missing(tmp_path):
    split = SplitConfig("holdout", validation_fraction=0.2, order="day")
    days = np.datetime64("2024-01-01") + np.arange(20)
    in_zones = np.array([f"{day}T00:00{['Z', '+09:00'][i % 2]}" for i, day in enumerate(days)])
    for values in (days, days.astype(str), in_zones, np.arange(20).astype(str)):
        dataset = npz(tmp_path, split=split, x=VECTORS, y=Y, day=values)
        assert np.array_equal(np.argsort(dataset.train.order), np.arange(16))
    for wrong, said in (
        (np.where(np.arange(20) == 5, np.nan, 1.0), r"day\[5\] must be a number or a date"),
        (
            np.where(np.arange(20) == 5, "", days.astype(str)),
            r"day\[5\] must be a number or a date",
        ),
        (np.array(["monday"] * 20), r"day\[0\] must be a number or a date"),
        (np.array([*map(str, range(19)), ""]), r"day\[19\] must be a number or a date"),
    ):
        with pytest.raises(RequestError, match=said):
            npz(tmp_path, split=split, x=VECTORS, y=Y, day=wrong)


def test_a_single_value_and_what_float32_cannot_hold_are_said(tmp_path):
    with pytest.raises(RequestError, match="y is a single value"):
        npz(tmp_path, x=VECTORS, y=np.int64(1))
    with pytest.raises(RequestError, match=r"e\+300 \(float32 ends at"):
        npz(tmp_path, x=np.full((20, 3), 1e300), y=Y)


def notes_of(dataset):
    return " ".join(
        before_training.notes(dataset, splits.split_dataset(dataset, SplitConfig("none")))
    )


def test_what_a_person_should_know_is_said(tmp_path):
    rare = (np.arange(200) % 20 == 0).astype(int)
    x = np.random.default_rng(0).normal(size=(200, 6))
    said = notes_of(npz(tmp_path, X=x, y=rare))
    assert "'0', is 95% of the training partition: 0.95 is the baseline" in said
    assert "alike" not in said
    repeated = notes_of(npz(tmp_path, X=np.repeat(VECTORS, 10, 0), y=np.arange(200) % 2))
    assert "duplicates" in repeated
    assert "200 rows have the same values as a row with another label" in repeated


def test_classes_that_differ_in_capital_letters_only_are_said(tmp_path):
    dataset = npz(tmp_path, x=VECTORS, y=np.array(["Cat", "dog", "cat", "dog"])[np.arange(20) % 4])
    said = notes_of(dataset)
    assert "the classes 'Cat' and 'cat' differ in capital letters only" in said


@pytest.mark.parametrize("features", [4, 12])
def test_rows_of_the_same_subject_are_pointed_out(tmp_path, features):
    random = np.random.default_rng(1)
    faces = np.repeat(random.normal(size=(40, features)), 10, axis=0)
    x = faces + random.normal(0, 0.01, faces.shape)
    labels = np.repeat(random.integers(0, 2, 40), 10)
    assert "split.group" in notes_of(npz(tmp_path, X=x, y=labels))
    independent = random.normal(size=faces.shape)
    assert "split.group" not in notes_of(npz(tmp_path, X=independent, y=labels))

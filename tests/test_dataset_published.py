"""Where images come from, in which order, and that damaged or altered ones are refused."""

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest

from fitgap.config.schema import PublishedConfig
from fitgap.data import datasets, published, readers
from fitgap.errors import RequestError

pytestmark = pytest.mark.usefixtures("fresh_datasets")

NAMES = ("x_train", "y_train", "x_test", "y_test")


@pytest.fixture(autouse=True)
def nothing_installed(tmp_path, monkeypatch):
    """Have Keras's cache and the system's folder empty, whatever this machine has."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(published, "SYSTEM_FOLDER", tmp_path / "system")


@pytest.fixture
def arrays(monkeypatch):
    """Return a small dataset, and have its bytes be the published ones."""
    rng = np.random.default_rng(0)
    made = (
        rng.integers(0, 256, (20, 28, 28), dtype=np.uint8),
        np.arange(20, dtype=np.uint8) % 10,
        rng.integers(0, 256, (10, 28, 28), dtype=np.uint8),
        np.arange(10, dtype=np.uint8),
    )
    sums = tuple(hashlib.sha256(array.tobytes()).hexdigest() for array in made)
    for name in ("mnist", "fashion_mnist"):
        monkeypatch.setitem(published.CHECKSUMS, name, sums)
    return made


def write_mnist(folder, arrays):
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "mnist.npz", **dict(zip(NAMES, arrays, strict=True)))
    return folder


def write_fashion(folder, arrays):
    (folder / "fashion-mnist").mkdir(parents=True, exist_ok=True)
    for file, array in zip(published._FASHION_FILES, arrays, strict=True):
        header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
        content = gzip.compress(header + array.tobytes())
        (folder / "fashion-mnist" / file).write_bytes(content)
    return folder


WRITERS = {"mnist": write_mnist, "fashion_mnist": write_fashion}


def load(name, **settings):
    return datasets.load(PublishedConfig(name=name, **settings))


def assert_holds(dataset, arrays):
    for name, array in zip(NAMES, arrays, strict=True):
        np.testing.assert_array_equal(getattr(dataset, name), array)


# Sources.


@pytest.mark.parametrize("name", WRITERS)
def test_the_first_source_that_has_the_files_is_taken(tmp_path, monkeypatch, arrays, name):
    import keras

    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setenv("FITGAP_DATA_DIR", str(tmp_path / "environment"))
    x_train, y_train, x_test, y_test = arrays
    monkeypatch.setattr(
        getattr(keras.datasets, name), "load_data", lambda: ((x_train, y_train), (x_test, y_test))
    )
    keras_cache = tmp_path / "home" / ".keras" / "datasets"
    folders = [tmp_path / "environment", keras_cache, tmp_path / "system"]
    subfolder = "fashion-mnist" if name == "fashion_mnist" else "."
    for folder in folders:
        WRITERS[name](folder, arrays)
    for folder in folders:
        dataset = load(name)
        assert_holds(dataset, arrays)
        assert Path(dataset.source) == folder / subfolder
        for file in folder.rglob("*.*z"):
            file.unlink()
    dataset = load(name)
    assert_holds(dataset, arrays)
    assert dataset.source == "keras.datasets"


def test_the_setting_comes_before_the_environment(tmp_path, monkeypatch, arrays):
    for folder in ("setting", "environment"):
        write_mnist(tmp_path / folder, arrays)
    monkeypatch.setenv("FITGAP_DATA_DIR", str(tmp_path / "environment"))
    assert load("mnist", data_dir=str(tmp_path / "setting")).source == str(tmp_path / "setting")


def test_a_data_directory_without_the_files_leaves_it_to_the_next_source(tmp_path, arrays):
    (tmp_path / "empty").mkdir()
    cache = write_mnist(tmp_path / "keras" / "datasets", arrays)
    assert load("mnist", data_dir=str(tmp_path / "empty")).source == str(cache)


def test_an_incomplete_folder_is_no_source(tmp_path, arrays):
    write_fashion(tmp_path / "data", arrays)
    (tmp_path / "data" / "fashion-mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    cache = write_fashion(tmp_path / "keras" / "datasets", arrays)
    dataset = load("fashion_mnist", data_dir=str(tmp_path / "data"))
    assert dataset.source == str(cache / "fashion-mnist")


def test_a_data_directory_may_start_at_home(tmp_path, monkeypatch, arrays):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_mnist(tmp_path / "data", arrays)
    assert load("mnist", data_dir="~/data").source == str(tmp_path / "data")


@pytest.mark.parametrize("name", published.CLASS_NAMES)
@pytest.mark.parametrize("ask", [datasets.load, readers.fingerprint])
def test_a_data_directory_that_does_not_exist_is_refused(tmp_path, monkeypatch, name, ask):
    missing = str(tmp_path / "missing")
    expected = f"must be an existing directory, got {missing}"
    with pytest.raises(RequestError) as caught:
        ask(PublishedConfig(name=name, data_dir=missing))
    assert str(caught.value) == f"dataset.data_dir {expected}"
    monkeypatch.setenv("FITGAP_DATA_DIR", missing)
    with pytest.raises(RequestError) as caught:
        ask(PublishedConfig(name=name))
    assert str(caught.value) == f"FITGAP_DATA_DIR {expected}"


def test_a_download_that_fails_names_the_ways_out(monkeypatch):
    import keras

    def fail():
        raise Exception("URL fetch failure on https://…: None -- no network\nand more")

    monkeypatch.setattr(keras.datasets.fashion_mnist, "load_data", fail)
    with pytest.raises(RequestError) as caught:
        load("fashion_mnist")
    message = str(caught.value)
    assert "dataset=fashion_mnist" in message
    assert "no network" in message
    for way_out in ("dataset=digits", "FITGAP_DATA_DIR=", "dataset-fashion-mnist"):
        assert way_out in message
    assert len(message.splitlines()) <= 2


def test_an_unknown_name_is_refused():
    with pytest.raises(RequestError, match=r"dataset\.name .* digits, mnist, .* got cifar"):
        load("cifar")


# Damage.


def test_other_bytes_than_the_published_are_refused(tmp_path, arrays, monkeypatch):
    monkeypatch.undo()  # the published sums again
    for name, write in WRITERS.items():
        write(tmp_path / "data", arrays)
        with pytest.raises(RequestError, match=f"dataset={name}: x_train from .*SHA-256 differs"):
            load(name, data_dir=str(tmp_path / "data"))


def test_altered_bytes_from_a_download_are_refused(monkeypatch, arrays):
    import keras

    x_train, y_train, x_test, y_test = arrays
    altered = x_test.copy()
    altered[-1, -1, -1] ^= 1
    monkeypatch.setattr(
        keras.datasets.mnist, "load_data", lambda: ((x_train, y_train), (altered, y_test))
    )
    with pytest.raises(RequestError, match=r"x_test from keras\.datasets"):
        load("mnist")


@pytest.mark.parametrize("position", range(4), ids=NAMES)
@pytest.mark.parametrize(
    "alter",
    [
        lambda array: array ^ np.uint8(1),
        lambda array: array.astype(np.int64) + 256,  # the same bytes after a cast
        lambda array: array.astype(np.float64),
        lambda array: array.view(np.int8),
        lambda array: array.reshape(-1, 2),
        lambda array: array[:-1],
    ],
    ids=["bit", "hidden by a cast", "type", "sign", "shape", "shorter"],
)
def test_an_altered_array_is_refused(tmp_path, arrays, position, alter):
    altered = list(arrays)
    altered[position] = alter(arrays[position])
    folder = write_mnist(tmp_path / "data", altered)
    with pytest.raises(RequestError, match=f"dataset=mnist: {NAMES[position]} from .*altered"):
        load("mnist", data_dir=str(folder))


def damage_mnist(path, how, arrays):
    content = path.read_bytes()
    if how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("404: not found")
    elif how == "another array file":
        with path.open("wb") as file:
            np.save(file, arrays[0])
    elif how == "array missing":
        np.savez(path, x_train=arrays[0])
    else:
        raise AssertionError(how)


@pytest.mark.parametrize(
    "how", ["truncated", "empty", "text", "another array file", "array missing"]
)
def test_a_damaged_mnist_is_refused(tmp_path, arrays, how):
    folder = write_mnist(tmp_path / "data", arrays)
    damage_mnist(folder / "mnist.npz", how, arrays)
    with pytest.raises(RequestError) as caught:
        load("mnist", data_dir=str(folder))
    message = str(caught.value)
    assert message.startswith(f"dataset=mnist: cannot read {folder / 'mnist.npz'}: ")
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(bytes(100))[:-12],
        gzip.compress(b""),
        gzip.compress(struct.pack(">HBB1I", 0, 13, 1, 20) + bytes(20)),
        gzip.compress(struct.pack(">HBB1I", 0, 8, 1, 20) + bytes(19)),
        gzip.compress(struct.pack(">HBB", 0, 8, 3)),
        gzip.compress(bytes(range(256)))[:20] + b"\xff" * 30,
        b"404: not found",
    ],
    ids=["truncated", "empty", "of floats", "short", "header only", "flipped", "text"],
)
def test_a_damaged_idx_file_is_refused_by_its_name(tmp_path, arrays, content):
    folder = write_fashion(tmp_path / "data", arrays)
    damaged = folder / "fashion-mnist" / "t10k-labels-idx1-ubyte.gz"
    damaged.write_bytes(content)
    with pytest.raises(RequestError) as caught:
        load("fashion_mnist", data_dir=str(folder))
    assert str(caught.value).startswith(f"dataset=fashion_mnist: cannot read {damaged}: ")


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_objects_are_never_unpickled(tmp_path, arrays):
    sprung = tmp_path / "sprung"
    trap = np.array([Trap(sprung)], dtype=object)
    folder = write_mnist(tmp_path / "data", (arrays[0], trap, *arrays[2:]))
    with pytest.raises(RequestError, match="cannot read"):
        load("mnist", data_dir=str(folder))
    assert not sprung.exists()


# The real ones.

# Labels of the published training parts; MNIST's are counted on its home page's figures.
MNIST_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


def test_the_real_mnist_has_the_published_bytes(real_data):
    dataset = load("mnist", data_dir=str(real_data))
    assert dataset.x_train.shape == (60_000, 28, 28)
    assert dataset.x_test.shape == (10_000, 28, 28)
    assert np.bincount(dataset.y_train).tolist() == MNIST_COUNTS
    assert dataset.y_test[0] == 7


def test_the_real_fashion_mnist_has_the_published_bytes(real_data):
    dataset = load("fashion_mnist", data_dir=str(real_data))
    assert dataset.x_train.shape == (60_000, 28, 28)
    assert np.bincount(dataset.y_train).tolist() == [6000] * 10
    assert np.bincount(dataset.y_test).tolist() == [1000] * 10
    assert dataset.class_names[dataset.y_test[0]] == "Ankle boot"


def test_one_altered_pixel_of_the_real_mnist_is_refused(real_data, tmp_path):
    with np.load(real_data / "mnist.npz") as archive:
        arrays = {name: archive[name] for name in NAMES}
    arrays["x_train"][59_999, 14, 14] ^= 1
    np.savez(tmp_path / "mnist.npz", **arrays)
    with pytest.raises(RequestError, match=r"x_train .* \(SHA-256 differs\)"):
        load("mnist", data_dir=str(tmp_path))

"""CIFAR-10 in the layouts it is found in, and that no code of its pickles is run."""

import hashlib
import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from fitgap.config.schema import PublishedConfig
from fitgap.data import cifar, datasets, published
from fitgap.errors import RequestError

pytestmark = pytest.mark.usefixtures("fresh_datasets")

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 4, 3, 32, 32), dtype=np.uint8)
LABELS = np.arange(24).reshape(6, 4) % 10


@pytest.fixture(autouse=True)
def nothing_installed(tmp_path, monkeypatch):
    """Have Keras's cache and the system's folder empty, whatever this machine has."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(published, "SYSTEM_FOLDER", tmp_path / "system")


@pytest.fixture
def batches(monkeypatch):
    """Return small batches by name, and have their bytes be the published ones."""
    made = {}
    for name, images, labels in zip(cifar.MD5, IMAGES, LABELS, strict=True):
        batch = {b"data": images.reshape(4, -1), b"labels": labels.tolist(), b"batch_label": b"x"}
        made[name] = pickle.dumps(batch, protocol=4)
        digest = hashlib.md5(made[name], usedforsecurity=False).hexdigest()
        monkeypatch.setitem(cifar.MD5, name, digest)
    return made


def write(folder, layout, batches):
    if len(layout) > 1:
        for path, content in zip(layout, batches.values(), strict=True):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / layout[0], "w:gz") as archive:
        for name, content in batches.items():
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def load(folder=None):
    return datasets.load(PublishedConfig("cifar10", data_dir=folder and str(folder)))


def assert_holds_the_batches(dataset):
    expected = IMAGES.transpose(0, 1, 3, 4, 2)
    np.testing.assert_array_equal(dataset.x_train, expected[:5].reshape(20, 32, 32, 3))
    np.testing.assert_array_equal(dataset.x_test, expected[5])
    np.testing.assert_array_equal(dataset.y_train, LABELS[:5].ravel())
    np.testing.assert_array_equal(dataset.y_test, LABELS[5])
    assert dataset.class_names[3] == "cat"


@pytest.mark.parametrize(
    "layout", cifar.LAYOUTS, ids=["Keras 2", "Keras 3", "Keras's archive", "archive"]
)
def test_every_layout_holds_the_same_images(tmp_path, batches, layout):
    write(tmp_path / "data", layout, batches)
    assert_holds_the_batches(load(tmp_path / "data"))


def test_keras_cache_comes_next_and_then_a_download(tmp_path, batches, monkeypatch):
    import keras

    cache = tmp_path / "keras" / "datasets"

    def download():
        write(cache, cifar.LAYOUTS[1], batches)
        return (None, None), (None, None)  # what Keras unpickled is not used

    monkeypatch.setattr(keras.datasets.cifar10, "load_data", download)
    assert_holds_the_batches(load())
    monkeypatch.setattr(keras.datasets.cifar10, "load_data", lambda: pytest.fail("again"))
    assert Path(load().source) == cache / "cifar-10-batches-py-target" / "cifar-10-batches-py"


def test_a_download_that_fails_names_the_ways_out(monkeypatch):
    import keras

    def fail():
        raise Exception("URL fetch failure: no network")

    monkeypatch.setattr(keras.datasets.cifar10, "load_data", fail)
    with pytest.raises(RequestError, match=r"no network\)\.\nWays out: .*cifar-10-python"):
        load()


@pytest.mark.parametrize("layout", [cifar.LAYOUTS[0], cifar.LAYOUTS[3]])
def test_other_bytes_than_the_published_are_refused(tmp_path, batches, layout):
    changed = batches["test_batch"].replace(b"batch_label", b"batch_lobel")
    write(tmp_path, layout, batches | {"test_batch": changed})
    with pytest.raises(RequestError, match=r"^dataset=cifar10: test_batch .* \(MD5 differs\)"):
        load(tmp_path)


class Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_no_code_of_a_pickle_is_run_even_with_the_right_sum(tmp_path, batches, monkeypatch):
    sprung = tmp_path / "sprung"
    trap = pickle.dumps({b"data": Trap(sprung)})
    monkeypatch.setitem(
        cifar.MD5, "data_batch_1", hashlib.md5(trap, usedforsecurity=False).hexdigest()
    )
    write(tmp_path, cifar.LAYOUTS[0], batches | {"data_batch_1": trap})
    with pytest.raises(RequestError, match="which no batch of CIFAR-10 does"):
        load(tmp_path)
    assert not sprung.exists()


@pytest.mark.parametrize("content", [b"", b"404: not found"])
def test_a_damaged_archive_is_refused(tmp_path, content):
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(content)
    with pytest.raises(RequestError, match="dataset=cifar10: cannot read"):
        load(tmp_path)

"""What is loaded, its digest and its fingerprint, whatever the source."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from fitgap.config import project
from fitgap.config.schema import PublishedConfig
from fitgap.data import datasets, published, readers
from fitgap.errors import RequestError


def load(name, **settings):
    return datasets.load(PublishedConfig(name=name, **settings))


# What is loaded.


def test_digits_are_bundled_images_over_the_whole_of_uint8():
    from sklearn.datasets import load_digits

    dataset = load("digits")
    assert dataset.num_classes == 10
    assert dataset.image_shape == (8, 8)
    assert dataset.x_train.dtype == dataset.x_test.dtype == np.uint8
    assert dataset.y_train.dtype == dataset.y_test.dtype == np.int64
    assert (dataset.x_train.min(), dataset.x_train.max()) == (0, 255)
    # scikit-learn's pixels are whole numbers from 0 to 16: none is lost by the scaling.
    pixels, labels = load_digits(return_X_y=True)
    loaded = np.concatenate([dataset.x_train, dataset.x_test]).reshape(-1, 64)
    loaded_labels = np.concatenate([dataset.y_train, dataset.y_test])
    back = np.round(loaded / 255 * 16)
    assert sorted(map(tuple, np.c_[back, loaded_labels])) == sorted(
        map(tuple, np.c_[pixels, labels])
    )


def test_a_fifth_of_each_digit_is_the_test_part():
    dataset = load("digits")
    assert (len(dataset.y_train), len(dataset.y_test)) == (1437, 360)
    counts = np.bincount(dataset.y_train) + np.bincount(dataset.y_test)
    np.testing.assert_allclose(np.bincount(dataset.y_test), counts / 5, atol=1)


@pytest.mark.usefixtures("fresh_datasets")
def test_the_digits_test_part_is_fixed():
    first = load("digits")
    np.random.seed(7)  # noqa: NPY002 - the global state that must not matter
    second = load("digits")
    assert first is not second
    assert first.digest == second.digest


def test_the_same_request_gives_the_same_object():
    assert load("digits") is load("digits")
    assert load("digits") is not load("digits", classes=[0, 1])


def test_classes_are_kept_and_relabelled_in_the_order_asked_for():
    everything, subset = load("digits"), load("digits", classes=[9, 4])
    assert subset.class_names == ("9", "4")
    assert subset.num_classes == 2
    for part in ("train", "test"):
        x, y = getattr(subset, f"x_{part}"), getattr(subset, f"y_{part}")
        all_x, all_y = getattr(everything, f"x_{part}"), getattr(everything, f"y_{part}")
        assert set(y) == {0, 1}
        for new, old in enumerate((9, 4)):
            np.testing.assert_array_equal(x[y == new], all_x[all_y == old])


@pytest.mark.parametrize("classes", [[3, 10], [-1, 3]])
def test_a_class_that_does_not_exist_is_refused(classes):
    wrong = next(c for c in classes if c != 3)
    with pytest.raises(RequestError, match=rf"dataset\.classes must be from 0 to 9, got {wrong}"):
        load("digits", classes=classes)


# Digests.


def test_what_is_loaded_decides_the_digest():
    requests = [{}, {"classes": [0, 1]}, {"classes": [1, 0]}, {"classes": [0, 2]}]
    assert len({load("digits", **request).digest for request in requests}) == len(requests)


@given(
    arrays_of.arrays(np.uint8, arrays_of.array_shapes(min_dims=1, max_dims=3), fill=st.nothing()),
    st.data(),
)
def test_the_digest_changes_with_any_byte(array, data):
    changed = array.copy()
    position = data.draw(st.integers(0, array.size - 1))
    changed.reshape(-1)[position] ^= data.draw(st.integers(1, 255))
    assert datasets.digest_arrays(array) == datasets.digest_arrays(array.copy())
    assert datasets.digest_arrays(array) != datasets.digest_arrays(changed)


def test_the_digest_covers_shape_and_type_and_not_the_memory_layout():
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    same = np.asfortranarray(array)
    assert datasets.digest_arrays(array) == datasets.digest_arrays(same)
    for other in (array.reshape(4, 3), array.astype(np.int64), array.view(np.int8)):
        assert datasets.digest_arrays(array) != datasets.digest_arrays(other)
    assert datasets.digest_arrays(array, same) != datasets.digest_arrays(array)


def test_the_fingerprint_changes_with_the_files(tmp_path):
    folder = tmp_path
    (folder / "mnist.npz").write_bytes(b"some")
    asked = PublishedConfig(name="mnist", data_dir=str(folder))
    first = readers.fingerprint(asked)
    assert readers.fingerprint(asked) == first
    os.utime(folder / "mnist.npz", ns=(0, 1))
    second = readers.fingerprint(asked)
    (folder / "mnist.npz").write_bytes(b"other")
    os.utime(folder / "mnist.npz", ns=(0, 1))
    assert len({first, second, readers.fingerprint(asked)}) == 3


def test_the_fingerprint_knows_the_classes_and_of_no_file_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(published, "SYSTEM_FOLDER", tmp_path)
    digits = readers.fingerprint(PublishedConfig(name="digits"))
    assert readers.fingerprint(PublishedConfig(name="digits", classes=[0, 1])) != digits
    assert readers.fingerprint(PublishedConfig(name="mnist")) is None


def test_every_dataset_has_an_option():
    options = {path.stem for path in (project.CONFIG_DIR / "dataset").glob("*.yaml")}
    assert options == set(datasets.DATASETS)

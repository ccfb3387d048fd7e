import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitgap.reference.batches import batch_slices, one_hot, to_channels_first


@given(num_samples=st.integers(0, 300), batch_size=st.integers(1, 400))
def test_batches_visit_every_sample_once_and_in_order(num_samples, batch_size):
    samples = np.arange(num_samples)
    batches = [samples[batch] for batch in batch_slices(num_samples, batch_size=batch_size)]
    assert [sample for batch in batches for sample in batch] == list(samples)
    assert all(len(batch) == batch_size for batch in batches[:-1])


def test_the_last_smaller_batch_counts():
    batches = list(batch_slices(60_000, batch_size=128))
    assert len(batches) == 469
    assert batches[-1] == slice(59_904, 60_000)


@pytest.mark.parametrize(
    ("num_samples", "batch_size", "message"),
    [(-1, 1, "num_samples must be at least 0; received -1"), (1, 0, "batch_size .* received 0")],
)
def test_impossible_batches_are_refused_at_once(num_samples, batch_size, message):
    with pytest.raises(ValueError, match=message):
        batch_slices(num_samples, batch_size=batch_size)


def test_channels_come_first(rng):
    images = rng.integers(0, 256, size=(2, 4, 5, 3), dtype=np.uint8)
    channels_first = to_channels_first(images)
    assert channels_first.shape == (2, 3, 4, 5)
    assert channels_first[1, 2, 3, 4] == images[1, 3, 4, 2]


def test_images_without_a_channel_axis_are_refused():
    with pytest.raises(ValueError, match=r"images must have 4 axes .* \(2, 28, 28\)"):
        to_channels_first(np.zeros((2, 28, 28)))


def test_one_hot_puts_a_single_one_at_the_label():
    rows = one_hot(np.array([0, 2], dtype=np.uint8), num_classes=3)
    np.testing.assert_array_equal(rows, [[1, 0, 0], [0, 0, 1]])
    assert rows.dtype == np.float32


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 3], "from 0 to 2, as there are 3 classes; received values from 0 to 3"),
        ([-1, 0], "received values from -1 to 0"),
        ([0.0, 1.0], "labels must be integers; received dtype float64"),
        ([[0], [1]], r"labels must have 1 axes \(samples\); received shape \(2, 1\)"),
    ],
    ids=["too large", "negative", "not integer", "not a vector"],
)
def test_labels_that_are_not_class_indices_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        one_hot(np.array(labels), num_classes=3)

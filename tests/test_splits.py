"""The split: scikit-learn's, index for index, and refused where it would leave nothing."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from fitgap.config.schema import SplitConfig
from fitgap.data.splits import split
from fitgap.errors import RequestError

NONE = SplitConfig("none")


def holdout(fraction=0.2, *, seed=42, stratify=False, train_fraction=1.0):
    return SplitConfig("holdout", fraction, seed, stratify, train_fraction)


def one_class(n):
    return np.zeros(n, np.int64)


def balanced(n, num_classes):
    return np.arange(n) % num_classes


sizes = st.integers(2, 2000)
fractions = st.floats(0.001, 0.999) | st.sampled_from([0.1, 0.2, 0.25, 1 / 3, 0.5])
seeds = st.integers(0, 2**32 - 1)


@given(sizes, fractions, seeds)
def test_holdout_is_train_test_split_index_for_index(n, fraction, seed):
    try:
        train, val = train_test_split(np.arange(n), test_size=fraction, random_state=seed)
    except ValueError:
        with pytest.raises(RequestError):
            split(one_class(n), holdout(fraction, seed=seed), num_classes=1)
        return
    made = split(one_class(n), holdout(fraction, seed=seed), num_classes=1)
    np.testing.assert_array_equal(made.train, train)
    np.testing.assert_array_equal(made.val, val)


def test_the_published_split_is_48000_to_12000():
    train, val = train_test_split(np.arange(60_000), test_size=0.2, random_state=42)
    made = split(balanced(60_000, 10), holdout(), num_classes=10)
    assert (len(made.train), len(made.val)) == (48_000, 12_000)
    np.testing.assert_array_equal(made.train, train)
    np.testing.assert_array_equal(made.val, val)


@given(st.integers(20, 500), st.floats(0.1, 0.9), seeds)
def test_a_stratified_holdout_is_train_test_split_index_for_index(n, fraction, seed):
    labels = balanced(n, 2)
    train, val = train_test_split(
        np.arange(n), test_size=fraction, random_state=seed, stratify=labels
    )
    made = split(labels, holdout(fraction, seed=seed, stratify=True), num_classes=2)
    np.testing.assert_array_equal(made.train, train)
    np.testing.assert_array_equal(made.val, val)


@given(sizes, fractions, seeds)
def test_the_partitions_are_disjoint_and_cover_everything(n, fraction, seed):
    assume(np.ceil(n * fraction) < n)
    made = split(one_class(n), holdout(fraction, seed=seed), num_classes=1)
    everything = np.concatenate([made.train, made.val])
    np.testing.assert_array_equal(np.sort(everything), np.arange(n))
    assert made.train.dtype == made.val.dtype == np.int64


def test_stratifying_keeps_the_ratios_of_the_classes():
    labels = np.repeat([0, 1, 2], [700, 200, 100])
    made = split(labels, holdout(stratify=True), num_classes=3)
    assert np.bincount(labels[made.val]).tolist() == [140, 40, 20]
    assert np.bincount(labels[made.train]).tolist() == [560, 160, 80]


@pytest.mark.parametrize("stratify", [False, True])
def test_same_seed_gives_same_split_and_another_seed_another(stratify):
    labels = balanced(200, 10)
    first, again, other = (
        split(labels, holdout(seed=seed, stratify=stratify), num_classes=10) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first.val, again.val)
    assert first.digest == again.digest
    assert first.digest != other.digest


@pytest.mark.parametrize("stratify", [False, True])
def test_the_split_depends_on_no_global_state(stratify):
    digests = set()
    for state in (0, 1):
        np.random.seed(state)  # noqa: NPY002 - the state that must not matter
        made = split(balanced(200, 10), holdout(stratify=stratify), num_classes=10)
        digests.add(made.digest)
    assert len(digests) == 1


def test_none_keeps_everything_for_training():
    made = split(balanced(30, 3), NONE, num_classes=3)
    np.testing.assert_array_equal(made.train, np.arange(30))
    assert len(made.val) == 0
    assert made.digest != split(balanced(30, 3), holdout(), num_classes=3).digest


@pytest.mark.parametrize(("n", "fraction"), [(0, 0.2), (1, 0.2), (10, 0.95), (2, 0.6)])
def test_a_partition_without_images_is_refused(n, fraction):
    with pytest.raises(RequestError) as caught:
        split(one_class(n), holdout(fraction), num_classes=1)
    message = str(caught.value)
    assert message.startswith(f"split.validation_fraction={fraction} cannot divide {n} images: ")


def test_a_class_too_small_to_stratify_is_refused():
    labels = np.array([0] * 20 + [1])
    with pytest.raises(RequestError, match=r"split\.validation_fraction=0\.2 cannot divide 21"):
        split(labels, holdout(stratify=True), num_classes=2)


def test_a_class_missing_from_the_training_partition_is_refused():
    labels = one_class(100)
    alone = split(labels, holdout(), num_classes=1).val[0]
    labels[alone] = 1
    with pytest.raises(RequestError) as caught:
        split(labels, holdout(), num_classes=2)
    message = str(caught.value)
    assert "split.validation_fraction=0.2 leaves no image of class 1 to train on" in message
    assert "split.stratify=true" in message


def test_a_class_missing_from_the_dataset_is_not_put_down_to_the_split():
    with pytest.raises(RequestError) as caught:
        split(balanced(30, 3), NONE, num_classes=4)
    assert str(caught.value) == "the dataset has no image of class 3 to train on"


# Parts of the training images.


@pytest.mark.parametrize("stratify", [False, True])
@given(sizes=st.integers(20, 300), fractions=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)))
def test_a_smaller_part_is_in_every_larger_one_and_validation_is_the_same(
    stratify, sizes, fractions
):
    labels = np.zeros(sizes, np.int64)
    smaller, larger = (
        split(labels, holdout(train_fraction=f, stratify=stratify), num_classes=1)
        for f in sorted(fractions)
    )
    whole = split(labels, holdout(stratify=stratify), num_classes=1)
    assert len(smaller.train) == max(1, round(min(fractions) * len(whole.train)))
    assert set(smaller.train) <= set(larger.train) <= set(whole.train)
    assert len(set(larger.train)) == len(larger.train)
    np.testing.assert_array_equal(smaller.val, whole.val)


@given(st.floats(0.05, 1))
def test_a_stratified_part_has_the_classes_in_proportion(fraction):
    labels = np.repeat([0, 1, 2], [500, 300, 200])
    made = split(labels, holdout(stratify=True, train_fraction=fraction), num_classes=3)
    counts = np.bincount(labels[made.train], minlength=3)
    assert np.abs(counts - len(made.train) * np.array([0.5, 0.3, 0.2])).max() <= 1


def test_a_part_is_drawn_by_the_seed_and_without_one_too():
    labels = balanced(200, 2)
    digests = [
        split(labels, holdout(seed=seed, train_fraction=0.5), num_classes=2).digest
        for seed in (0, 0, 1)
    ]
    assert digests[0] == digests[1] != digests[2]
    part = split(labels, SplitConfig("none", train_fraction=0.1), num_classes=2)
    assert len(part.train) == 20
    assert not np.array_equal(part.train, np.arange(20))


def test_a_part_without_a_class_names_the_fraction():
    with pytest.raises(RequestError, match=r"split\.train_fraction=0\.01 leaves 2 images, none of"):
        split(balanced(200, 10), holdout(train_fraction=0.01), num_classes=10)

"""The split: scikit-learn's, index for index, and refused where it would leave nothing."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.model_selection import KFold, train_test_split

from fitgap.config.schema import SplitConfig
from fitgap.data.datasets import Dataset
from fitgap.data.held_out import hold_out
from fitgap.data.parts import NumberedPart
from fitgap.data.splits import split_dataset, stratifies
from fitgap.errors import RequestError

NONE = SplitConfig("none")
GIVEN = SplitConfig("given")


def holdout(fraction=0.2, *, seed=42, stratify=False, train_fraction=1.0):
    return SplitConfig("holdout", fraction, seed, stratify, train_fraction)


def kfold(fold, *, folds=5, seed=42, stratify=None, group=None):
    return SplitConfig("kfold", None, seed, stratify, folds=folds, fold=fold, group=group)


def dataset_of(labels, *, num_classes=1, class_names=(), is_own=True, test_groups=None, **facts):
    train = NumberedPart(labels, labels, **facts)
    test = NumberedPart(np.zeros(0, np.int64), np.zeros(0, np.int64), groups=test_groups)
    names = tuple(class_names) or tuple(map(str, range(num_classes)))
    return Dataset("npz", train, test, names, source="", digest="", is_own=is_own)


def split(labels, config, **facts):
    return split_dataset(dataset_of(labels, **facts), config)


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
    assert message.startswith(f"split.validation_fraction={fraction} cannot divide {n} samples: ")


def test_a_class_too_small_to_stratify_is_refused():
    labels = np.array([0] * 20 + [1])
    with pytest.raises(RequestError, match=r"split\.validation_fraction=0\.2 cannot divide 21"):
        split(labels, holdout(stratify=True), num_classes=2)


def test_what_cannot_be_stratified_is_said_in_a_line():
    with pytest.raises(RequestError, match="the targets are not classes"):
        split(np.arange(9.0), holdout(stratify=True), num_classes=1)
    with pytest.raises(RequestError, match="a part of 2 cannot have each of 3 classes"):
        split(np.array([0, 0, 1, 1, 2, 2]), holdout(stratify=True), num_classes=3)


def test_a_class_missing_from_the_training_partition_is_refused():
    labels = one_class(100)
    alone = split(labels, holdout(), num_classes=1).val[0]
    labels[alone] = 1
    with pytest.raises(RequestError) as caught:
        split(labels, holdout(), num_classes=2)
    message = str(caught.value)
    assert "split.validation_fraction=0.2 leaves no sample of class 1 to train on" in message
    assert "add samples of it: it has 1 (2 classes in 100 samples)" in message
    labels[split(one_class(100), holdout(), num_classes=1).val[1:3]] = [1, 2]
    with pytest.raises(
        RequestError, match=r"of class 1 .*\(and of 1 other classes\).* split\.stratify"
    ):
        split(labels, holdout(), num_classes=3)


def test_a_class_missing_from_the_dataset_is_not_put_down_to_the_split():
    with pytest.raises(RequestError) as caught:
        split(balanced(30, 3), NONE, num_classes=4)
    assert str(caught.value) == "the dataset has no sample of class 3 to train on"


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
    with pytest.raises(
        RequestError, match=r"split\.train_fraction=0\.01 leaves 2 samples, none of"
    ):
        split(balanced(200, 10), holdout(train_fraction=0.01), num_classes=10)


# Folds.


@given(st.integers(10, 300), st.integers(2, 8), seeds)
def test_folds_are_disjoint_cover_everything_and_are_those_of_scikit_learn(n, folds, seed):
    made = [
        split(one_class(n), kfold(i, folds=folds, seed=seed, stratify=False), num_classes=1)
        for i in range(folds)
    ]
    np.testing.assert_array_equal(
        np.sort(np.concatenate([each.val for each in made])), np.arange(n)
    )
    expected = KFold(folds, shuffle=True, random_state=seed).split(np.arange(n))
    for each, (train, val) in zip(made, expected, strict=True):
        np.testing.assert_array_equal(each.train, train)
        np.testing.assert_array_equal(each.val, val)


def test_folds_of_few_or_uneven_classes_are_stratified_unless_told_otherwise():
    labels = np.repeat([0, 1], [900, 100])
    by_default = [split(labels, kfold(i), num_classes=2) for i in range(5)]
    assert [np.bincount(labels[each.val]).tolist() for each in by_default] == [[180, 20]] * 5
    unstratified = split(labels, kfold(0, stratify=False), num_classes=2)
    assert np.bincount(labels[unstratified.val]).tolist() != [180, 20]


def test_same_seed_gives_same_folds_and_another_seed_others():
    digests = [split(balanced(200, 4), kfold(1, seed=s), num_classes=4).digest for s in (0, 0, 1)]
    assert digests[0] == digests[1] != digests[2]


def test_folds_that_leave_a_class_out_are_refused():
    labels = np.repeat([0, 1], [40, 3])
    with pytest.raises(RequestError, match=r"folds=5 would leave a class out.* at most 3 folds"):
        split(labels, kfold(0), num_classes=2)
    lonely = np.repeat([0, 1], [40, 1])
    with pytest.raises(RequestError, match=r"class rare has 1 sample; add samples of it$"):
        split(lonely, kfold(0), num_classes=2, class_names=("usual", "rare"))
    folds = KFold(5, shuffle=True, random_state=42).split(labels)
    without = next(i for i, (_, val) in enumerate(folds) if 1 not in labels[val])
    with pytest.raises(RequestError, match=r"leaves no sample of class b to validate on"):
        split(labels, kfold(without, stratify=False), num_classes=2, class_names=("a", "b"))
    with pytest.raises(RequestError, match=r"split\.folds=5 needs at least as many samples, got 4"):
        split(one_class(4), kfold(0), num_classes=1)


# What stratifies where nobody said.


@pytest.mark.parametrize(
    ("labels", "is_own", "expected"),
    [
        (balanced(200, 4), True, True),
        (balanced(200, 4), False, False),
        (balanced(20_000, 4), True, False),
        (np.repeat([0, 1], [19_000, 1_000]), True, True),
        (np.repeat([0, 1], [20, 1]), True, False),
        (np.linspace(0, 1, 200, dtype=np.float32), True, False),
    ],
    ids=["few", "published", "many and even", "uneven", "a class of one", "quantities"],
)
def test_own_data_of_few_or_uneven_classes_are_stratified(labels, is_own, expected):
    assert stratifies(dataset_of(labels, is_own=is_own), holdout(stratify=None)) is expected


# Groups, time, a validation part of the data's own.


@pytest.mark.parametrize(
    ("options", "said"),
    [((), "use at most 3 folds"), (("split.stratify=false",), "leaves no sample of class 2")],
    ids=["stratified", "at random"],
)
def test_training_on_folds_that_lack_a_class_is_refused_in_a_line(train, tmp_path, options, said):
    labels = np.repeat([0, 1, 2], [30, 30, 3])
    images = np.random.default_rng(0).integers(0, 256, (126, 4, 4), dtype=np.uint8)
    path = tmp_path / "tiny.npz"
    np.savez(path, x_train=images[:63], y_train=labels, x_test=images[63:], y_test=labels)
    folds = ("split=kfold", "split.folds=5", "split.fold=1")
    done = train("dataset=npz", f"dataset.path={path}", *folds, *options)
    assert done.code == 2
    assert said in done.err
    assert len(done.err.strip().splitlines()) <= 2
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.parametrize("config", [holdout(stratify=None), kfold(2)], ids=["holdout", "kfold"])
@given(groups=st.lists(st.integers(0, 30), min_size=80, max_size=80), seed=seeds)
def test_no_group_is_in_two_partitions(config, groups, seed):
    groups = np.array(groups)
    assume(len(np.unique(groups)) >= 5)
    made = split(
        one_class(80), replace(config, seed=seed, group="who"), num_classes=1, groups=groups
    )
    assert not set(groups[made.train]) & set(groups[made.val])
    np.testing.assert_array_equal(np.sort(np.r_[made.train, made.val]), np.arange(80))


def test_a_held_out_test_part_has_whole_groups_and_every_class():
    groups, labels = np.repeat(np.arange(50), 4), np.repeat(np.arange(50) % 2, 4)
    part = NumberedPart(np.zeros((200, 1)), labels, [""] * 200, groups=groups)
    train, test = hold_out(part, fraction=0.2, seed=3, class_names=("a", "b"))
    assert not set(groups[train]) & set(groups[test])
    assert np.bincount(labels[test]).tolist() == [20, 20]


def test_a_group_that_the_data_put_into_two_parts_is_refused():
    groups = np.array(["ann", "bo", "ann", "cy"])
    config = SplitConfig("given", group="who")
    is_val = np.array([False, False, True, False])
    with pytest.raises(RequestError, match=r"1 groups are in the validation .*first: 'ann'"):
        split(one_class(4), config, num_classes=1, groups=groups, is_val=is_val)
    with pytest.raises(RequestError, match=r"1 groups are in the test part and .*first: 'bo'"):
        split(
            one_class(4),
            SplitConfig("none", group="who"),
            num_classes=1,
            groups=groups,
            test_groups=np.array(["bo"]),
        )


@given(st.lists(st.integers(0, 1000), min_size=20, max_size=60, unique=True))
def test_by_time_the_newest_are_unseen(times):
    order = np.array(times)
    config = replace(holdout(0.25, stratify=None), order="date")
    made = split(one_class(len(order)), config, num_classes=1, order=order)
    assert len(made.val) == np.ceil(0.25 * len(order))
    assert order[made.train].max() < order[made.val].min()
    part = NumberedPart(order[:, None], one_class(len(order)), [""] * len(order), order=order)
    train, test = hold_out(part, fraction=0.25, seed=0, class_names=("a",))
    assert order[train].max() < order[test].min()


def test_rows_of_one_time_stay_together():
    order = np.array([1, 2, 3, 3, 3, 0])
    config = replace(holdout(0.2, stratify=None), order="date")
    made = split(one_class(6), config, num_classes=1, order=order)
    assert made.val.tolist() == [2, 3, 4]
    with pytest.raises(RequestError, match="no older row to train on"):
        split(one_class(6), config, num_classes=1, order=np.zeros(6))


def test_given_takes_the_validation_part_that_the_data_bring():
    is_val = np.array([False] * 6 + [True] * 2)
    made = split(balanced(8, 2), GIVEN, num_classes=2, is_val=is_val)
    assert (made.train.tolist(), made.val.tolist()) == ([0, 1, 2, 3, 4, 5], [6, 7])
    with pytest.raises(RequestError, match="needs a validation part that the data bring"):
        split(balanced(8, 2), GIVEN, num_classes=2)
    with pytest.raises(RequestError, match=r"^split=holdout: the data have .*split=given"):
        split(balanced(8, 2), holdout(), num_classes=2, is_val=is_val)


def test_what_the_data_bring_for_validation_is_never_held_out_for_testing():
    is_val = np.arange(40) >= 30
    part = NumberedPart(np.zeros((40, 1)), balanced(40, 2), [""] * 40, is_val=is_val)
    train, test = hold_out(part, fraction=0.2, seed=0, class_names=("a", "b"))
    assert len(test) == 6
    assert not is_val[test].any()
    assert is_val[train].sum() == 10

"""Duplicates, ranges and class counts, against figures worked out by hand."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from fitgap.data import before_training, data_report, duplicates, findings
from fitgap.data.datasets import Dataset
from fitgap.data.parts import Column, NumberedPart, Words
from fitgap.data.splits import Split
from fitgap.report import data_page

# Seven training images and three test images that are noise, so that none is near another.
NOISE = np.random.default_rng(0).integers(0, 256, (10, 16, 16), dtype=np.uint8)
LABELS = np.array([0, 1, 0, 1, 0, 1, 0, 1, 0, 1])
SPLIT = Split(train=np.array([4, 0, 3, 1]), val=np.array([2, 5, 6]), digest="s")


def dataset(images, *, labels=LABELS, names=()):
    return Dataset(
        name="made",
        train=NumberedPart(images[:7], labels[:7], names),
        test=NumberedPart(images[7:], labels[7:]),
        class_names=("가", "b|c"),
        source="a test",
        digest=str(images.sum()),
    )


def of_one_class(train, test):
    parts = [NumberedPart(x, np.zeros(len(x), int)) for x in (train, test)]
    return Dataset("npz", *parts, ("a",), "", "")


def copied(*pairs):
    """Return the noise with images overwritten by others: (to, from)."""
    images = NOISE.copy()
    for to, source in pairs:
        images[to] = images[source]
    return images


def test_noise_has_no_duplicates():
    found = findings.check(dataset(NOISE), SPLIT)
    assert before_training.find_leakage(dataset(NOISE), SPLIT) == ""
    for matches in (found.exact, found.near):
        assert not any(matches.within.values())
        assert not any(matches.across.values())
        assert (matches.conflicting, matches.examples) == (0, [])


@pytest.mark.parametrize(
    ("pairs", "within", "across", "conflicting"),
    [
        ([(3, 1)], (1, 0, 0), (0, 0, 0), 0),
        ([(4, 0), (3, 0)], (2, 0, 0), (0, 0, 0), 3),
        ([(6, 2)], (0, 1, 0), (0, 0, 0), 0),
        ([(9, 7)], (0, 0, 1), (0, 0, 0), 0),
        ([(5, 1)], (0, 0, 0), (1, 0, 0), 0),
        ([(8, 0)], (0, 0, 0), (0, 1, 0), 0),
        ([(7, 5)], (0, 0, 0), (0, 0, 1), 0),
        ([(2, 0), (8, 0), (7, 0)], (0, 0, 1), (1, 2, 2), 4),
    ],
    ids=["train", "three", "val", "test", "val in train", "test in train", "test in val", "all"],
)
def test_exact_duplicates_are_counted_by_partition(pairs, within, across, conflicting):
    exact = findings.check(dataset(copied(*pairs)), SPLIT).exact
    assert tuple(exact.within.values()) == within
    assert tuple(exact.across.values()) == across
    assert list(exact.across) == ["val in train", "test in train", "test in val"]
    assert exact.conflicting == conflicting


def test_training_images_that_are_left_out_are_of_no_partition():
    part = Split(train=np.array([4, 0]), val=SPLIT.val, digest="part")
    # The left out 1 and 3 are like a training, a validation and a test image, and each other.
    made = dataset(copied((1, 0), (3, 0), (8, 3)))
    assert before_training.find_leakage(dataset(copied((3, 1), (5, 1))), part) == ""
    found = findings.check(made, part)
    assert [facts.samples for facts in found.partitions.values()] == [2, 3, 3]
    assert found.exact.across["test in train"] == 1
    assert sum(found.exact.across.values()) == 1
    assert not any(found.exact.within.values())


def test_leakage_is_told_with_its_first_pair():
    assert (
        before_training.find_leakage(dataset(copied((3, 1))), SPLIT) == ""
    )  # within one partition
    leaking = dataset(copied((8, 0), (9, 5)), names=tuple("abcdefg"))
    told = before_training.find_leakage(leaking, SPLIT)
    assert told == "1 test in train, 1 test in val (first: x_test[1] is a)"


@pytest.mark.parametrize(("levels", "is_near"), [(1, True), (2, True), (3, False)])
def test_a_shift_by_some_levels_is_near_up_to_the_limit(levels, is_near):
    # A shift of every pixel by n levels is a root mean square difference of n.
    images = NOISE // 2
    images[8] = images[0] + np.uint8(levels)
    found = findings.check(dataset(images), SPLIT)
    assert found.exact.across["test in train"] == 0
    assert found.near.across["test in train"] == is_near
    assert found.near.examples == ([("x_test[1]", "x_train[0]")] if is_near else [])


@pytest.mark.parametrize("shape", [(16, 16), (5, 3), (11, 9, 3)])
def test_thumbnails_are_means_over_cells(shape):
    images = np.random.default_rng(1).integers(0, 256, (2, *shape), dtype=np.uint8)
    rows, columns = (np.arange(min(8, n)) * n // min(8, n) for n in shape[:2])
    expected = [
        image[r : np.r_[rows, shape[0]][i + 1], c : np.r_[columns, shape[1]][j + 1]].mean((0, 1))
        for image in images
        for i, r in enumerate(rows)
        for j, c in enumerate(columns)
    ]
    thumbnails = duplicates.thumbnails_of(images)
    np.testing.assert_allclose(thumbnails.ravel(), np.ravel(expected), rtol=1e-5)


def test_figures_are_of_each_partition():
    images = copied()
    images[:, 0, :] = 7  # 16 pixels that are the same everywhere
    found = findings.check(dataset(images), SPLIT)
    assert found.constant_values == 16
    for name, rows in (("train", [0, 1, 3, 4]), ("val", [2, 5, 6]), ("test", [7, 8, 9])):
        facts, mine = found.partitions[name], images[rows]
        assert (facts.samples, facts.minimum, facts.maximum) == (len(rows), mine.min(), mine.max())
        assert facts.mean == pytest.approx(mine.mean())
        counts = (LABELS[rows] == 0).sum(), (LABELS[rows] == 1).sum()
        assert facts.class_counts == dict(zip(("가", "b|c"), counts, strict=True))


def test_feature_vectors_have_no_near_duplicates():
    vectors = NOISE.reshape(10, -1).astype(np.float32)
    found = findings.check(dataset(vectors), SPLIT)
    assert found.near is None
    assert "Near" not in data_report.to_markdown(found)


def test_without_validation_there_is_nothing_to_say_of_it():
    split = Split(train=np.arange(7), val=np.arange(0), digest="none")
    found = findings.check(dataset(copied((8, 0))), split)
    assert found.partitions["val"].samples == 0
    assert found.partitions["val"].minimum is None
    page = data_report.to_markdown(found)
    assert "| val |" not in page
    assert "in val" not in page
    assert "- test also in train: 1\n" in page
    assert "x_test[1] and x_train[0]" in page


def test_findings_are_looked_for_once(monkeypatch):
    made = dataset(copied((8, 0)))
    first = data_report.find(made, SPLIT)
    monkeypatch.setattr(findings, "check", lambda *_: pytest.fail("checked again"))
    assert data_report.find(dataclasses.replace(made), SPLIT) == first
    test = dataclasses.replace(made.test, names=["a.png", "b.png", "c.png"])
    renamed = dataclasses.replace(made, test=test)
    for other in (dataset(NOISE), renamed):
        with pytest.raises(pytest.fail.Exception):
            data_report.find(other, SPLIT)


def test_what_goes_wrong_beside_is_raised_where_the_findings_are_asked_for(monkeypatch):
    def fail(*_):
        raise MemoryError("too large")

    monkeypatch.setattr(data_report, "find", fail)
    with pytest.raises(MemoryError, match="too large"):
        data_report.find_beside(dataset(NOISE), SPLIT).result()


def test_a_process_that_ends_does_not_wait_for_findings():
    script = (
        "import time; from fitgap.data import data_report; "
        "data_report.find = lambda *_: time.sleep(600); data_report.find_beside(None, None)"
    )
    ended = subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    assert ended.returncode == 0


def test_the_page_is_readable_as_markdown():
    page = data_report.to_markdown(findings.check(dataset(NOISE), SPLIT))
    assert "| train | 4 |" in page
    assert "| 가 | 2 | 2 | 1 |" in page
    assert "| b\\|c | 2 | 1 | 2 |" in page
    assert page.count("None.") == 2


def test_the_page_shows_the_classes_and_runs_nothing_that_a_name_says():
    hostile = ("<script>alert(1)</script>", "[b](https://h/x)\x9b31m\n# c")
    made = dataclasses.replace(dataset(NOISE), name="a\x1b[2Jb\u202ec", class_names=hostile)
    html = data_page.to_html(findings.check(made, SPLIT))
    assert "<script" not in html
    assert "<a" not in html
    assert "# c</h1>" not in html
    assert "\x9b" not in html
    assert "&lt;script&gt;" in html
    assert "default-src 'none'" in html
    assert "\x1b" not in html
    assert "\u202e" not in html
    assert html.count("<svg") == 1
    page = data_report.to_markdown(findings.check(made, SPLIT))
    assert "\n# c" not in page
    assert "\n| [b\\](https://h/x)\\\\x9b31m\\\\n# c | " in page
    assert html.index("<svg") < html.index("<h2>Exact duplicates")


def test_of_many_classes_the_page_draws_the_most_frequent():
    counts = {f"class {i}": i for i in range(1, 100)}
    spec = data_page.class_shares({"train": counts, "test": counts}).spec()
    (rows,) = spec["datasets"].values() if "datasets" in spec else (spec["data"]["values"],)
    assert {row["class"] for row in rows} == {f"class {i}" for i in range(70, 100)}
    assert "the 30 most frequent of 99" in spec["encoding"]["y"]["title"]


@pytest.mark.parametrize(
    ("train", "test", "expected"),
    [
        (np.uint8(200), np.uint8(40), ""),
        (np.float32(0.5), np.float32(100), "the values of test are 200 times those of train"),
        (np.float32(100), np.float32(0.5), "the values of test are 1/200 times those of train"),
        (np.uint8(200), np.float32(0.8), "test is float32, train uint8"),
        (np.float32(0), np.float32(100), ""),  # nothing to compare with
    ],
    ids=["darker", "0-1 against 0-255", "0-255 against 0-1", "types", "all black"],
)
@pytest.mark.parametrize("shape", [(6,), (4, 4), (4, 4, 3)], ids=["table", "grey", "colour"])
def test_a_part_of_another_scale_is_found(train, test, expected, shape):
    dataset = Dataset(
        name="npz",
        train=NumberedPart(np.full((8, *shape), train), np.arange(8) % 2),
        test=NumberedPart(np.full((4, *shape), test), np.arange(4) % 2),
        class_names=("a", "b"),
        source="",
        digest="",
    )
    halves = Split(np.arange(4, dtype=np.int32), np.arange(4, 8, dtype=np.int32), "")
    assert before_training.find_other_scale(dataset, halves) == expected


@pytest.mark.parametrize("shape", [(6,), (4, 4, 3)], ids=["table", "images"])
@pytest.mark.parametrize("turned", [False, True])
def test_a_part_that_was_centred_alone_is_found(shape, turned):
    values = np.random.default_rng(0).uniform(0, 1, (240, *shape)).astype(np.float32)
    train, test = values[:160], values[160:]
    train, test = (train, 2 * test - 1) if turned else (2 * train - 1, test)
    dataset = of_one_class(train, test)
    halves = Split(np.arange(80, dtype=np.int32), np.arange(80, 160, dtype=np.int32), "")
    with_values, without = ("test", "train") if turned else ("train", "test")
    expected = f"{with_values} has values below zero, {without} has none"
    assert before_training.find_other_scale(dataset, halves) == expected


@pytest.mark.parametrize("column", ["order", "groups"])
def test_values_that_are_above_zero_in_the_newest_rows_or_in_other_groups_are_accepted(column):
    x = np.linspace(-0.8, 1.2, 200, dtype=np.float32)[:, None]
    drawn = of_one_class(x[:160], x[160:])
    halves = Split(np.arange(80, dtype=np.int32), np.arange(80, 160, dtype=np.int32), "")
    assert before_training.find_other_scale(drawn, halves) != ""
    part = dataclasses.replace(drawn.train, **{column: np.arange(160)})
    other = dataclasses.replace(drawn, train=part)
    assert before_training.find_other_scale(other, halves) == ""


def test_a_table_that_has_texts_only_has_no_scale():
    said = Column("said", words=Words(("a",), 10, None), length=3)
    x = np.ones((8, 3), np.float32)
    dataset = dataclasses.replace(of_one_class(x, x), columns=(said,))
    halves = Split(np.arange(4, dtype=np.int32), np.arange(4, 8, dtype=np.int32), "")
    assert before_training.find_other_scale(dataset, halves) == ""


def test_one_feature_of_another_size_is_no_other_scale():
    x = np.ones((8, 5), np.float32)
    unseen = x * np.array([1, 1, 1, 1, 1000], np.float32)
    dataset = of_one_class(x, unseen)
    halves = Split(np.arange(4, dtype=np.int32), np.arange(4, 8, dtype=np.int32), "")
    assert before_training.find_other_scale(dataset, halves) == ""

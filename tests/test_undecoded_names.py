"""Names whose bytes are in another encoding than UTF-8, as old archives leave them on a disk.

Python has half of a surrogate pair for each such byte, and writes it nowhere but in a file's name.
"""

import os

import numpy as np
import pytest
from PIL import Image

from fitgap.config.schema import ImageFolderConfig, NpzConfig
from fitgap.data import datasets
from fitgap.data.labels import natural_key
from fitgap.errors import RequestError
from fitgap.unicode_text import is_no_unicode

BYTE = os.fsdecode(b"\xff")


def images(folder, *classes, odd_name=False):
    random = np.random.default_rng(0)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for i in range(6):
            file = f"{i}{BYTE if odd_name else ''}.png"
            pixels = random.integers(0, 255, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / "x.png")
            (folder / name / "x.png").rename(folder / name / file)
    return ImageFolderConfig(
        name="image_folder",
        path=str(folder),
        image_size=[8, 8],
        channels=1,
        test_fraction=0.5,
        test_seed=0,
    )


def test_an_image_may_have_such_a_name(tmp_path):
    assert len(datasets.load(images(tmp_path / "d", "a", "b", odd_name=True)).x_train) == 6


def test_a_class_may_not(tmp_path):
    with pytest.raises(RequestError, match=r"label of c\\udcff/0\.png has characters that are no"):
        datasets.load(images(tmp_path / "d", "a", "b", f"c{BYTE}"))


@pytest.mark.parametrize("number", [0x110000, 0xFFFFFFFF, 0xD800, 0xDFFF])
@pytest.mark.parametrize("order", ["<", ">"])
def test_labels_of_an_array_may_not(number, order, tmp_path):
    labels = np.array(["ab", "b"] * 4, f"{order}U2")
    labels.view(f"{order}u4")[1] = number
    assert is_no_unicode(labels).tolist() == [True, *[False] * 7]
    x = np.arange(32, dtype=np.float32).reshape(8, 4)
    np.savez(tmp_path / "d.npz", x_train=x, y_train=labels, x_test=x + 1, y_test=labels)
    path = str(tmp_path / "d.npz")
    with pytest.raises(RequestError, match="y_train holds characters that are no Unicode"):
        datasets.load(NpzConfig(name="npz", path=path, test_fraction=0.25, test_seed=0))


def test_the_largest_character_is_one():
    assert is_no_unicode(np.array(["\U0010ffff", "\ue000", ""])).sum() == 0
    assert is_no_unicode(np.array([], "U0")).shape == (0,)


@pytest.mark.parametrize(
    "words",
    [
        ("train.py", f"name={BYTE}"),
        ("train.py", "dataset=npz", f"dataset.path={BYTE}.npz"),
        ("train.py", "-m", "seed=0,1", f"tracking.experiment={BYTE}"),
        ("compare.py", "--experiment", BYTE),
    ],
    ids=["name", "data", "sweep", "experiment"],
)
def test_a_command_names_what_cannot_be_recorded(words, script, tracking_uri):
    first, *others = words
    if first == "compare.py":
        others += ["--uri", tracking_uri]
    else:
        others += [f"tracking.uri={tracking_uri}", "training.epochs=1"]
    code, said = script(first, *others)
    assert (code, len(said.err.splitlines())) == (2, 1)
    assert "\\udcff" in said.err


def test_numbers_of_thousands_of_digits_in_names_of_classes_are_in_their_order():
    names = ["9" * 5_000, "1" + "0" * 5_000, "7", "0", "a"]
    assert sorted(names, key=natural_key) == ["0", "7", *names[:2], "a"]

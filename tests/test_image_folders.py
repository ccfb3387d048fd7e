"""Folders of images as people have them: parts, litter, links, archives, what cannot be read."""

import os
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from fitgap.config.schema import ImageFolderConfig, SplitConfig
from fitgap.data import datasets, splits
from fitgap.errors import RequestError

pytestmark = pytest.mark.usefixtures("fresh_datasets")


def write(folder, classes=("a", "b"), *, count=5, suffix=".png"):
    for i, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for j in range(count):
            pixels = np.random.default_rng([i, j, count]).integers(0, 255, (6, 6))
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{j}{suffix}")
    return folder


def load(path, *, split=None, **settings):
    chosen = {"image_size": [6, 6], "channels": 1, "test_fraction": 0.2, "test_seed": 0} | settings
    return datasets.load(ImageFolderConfig("image_folder", path=str(path), **chosen), split=split)


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "valid", "testing")])
def test_a_validation_folder_is_the_given_validation_partition(tmp_path, names):
    for part, count in zip(names, (6, 3, 2), strict=True):
        write(tmp_path / part, count=count)
    dataset = load(tmp_path)
    assert (len(dataset.y_train), len(dataset.y_test)) == (18, 4)
    split = splits.split_dataset(dataset, SplitConfig("given"))
    assert (len(split.train), len(split.val)) == (12, 6)
    assert all(dataset.train.names[i].startswith(f"{names[1]}/") for i in split.val)


def test_what_systems_and_people_leave_beside_images_is_ignored_and_counted(tmp_path):
    write(tmp_path)
    for name in (".DS_Store", "README.md", "LICENSE", "a/Thumbs.db", "b/LICENSE.txt"):
        (tmp_path / name).write_text("x")
    (tmp_path / "__MACOSX" / "a").mkdir(parents=True)
    (tmp_path / "b" / "@eaDir").mkdir()
    dataset = load(tmp_path)
    assert len(dataset.y_train) + len(dataset.y_test) == 10
    assert "7 files" in dataset.notes[0]


def test_files_beside_the_folders_of_the_parts_are_counted(tmp_path):
    for part in ("train", "test"):
        write(tmp_path / part)
    for name in ("notes.txt", "cover.png", "classes.json"):
        (tmp_path / name).write_bytes(b"x")
    dataset = load(tmp_path)
    assert "left out, since they are beside the folders train, test: 3 files" in dataset.notes[0]
    assert "cover.png" in dataset.notes[0]


@pytest.mark.parametrize("suffix", [".gif", ".tiff"])
def test_gif_and_tiff_are_read(tmp_path, suffix):
    plain, other = load(write(tmp_path / "png")), load(write(tmp_path / "own", suffix=suffix))
    np.testing.assert_array_equal(plain.x_train, other.x_train)


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_one_folder_around_all_is_looked_into(tmp_path, packed):
    write(tmp_path / "all" / "shapes")
    (tmp_path / "all" / "README.md").write_text("about")
    path = tmp_path / "all"
    if packed:
        path = tmp_path / "all.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for file in sorted((tmp_path / "all").rglob("*.*")):
                archive.write(file, file.relative_to(tmp_path / "all"))
    assert load(path).class_names == ("a", "b")


def flat(folder, rows):
    folder.mkdir()
    for i in range(6):
        pixels = np.random.default_rng(i).integers(0, 255, (6, 6)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    text = "\n".join(["file_name,label", *(f"{name},{label}" for name, label in rows)])
    (folder / "metadata.csv").write_text(text)
    return folder


def test_a_table_beside_the_images_says_their_classes(tmp_path):
    folder = flat(tmp_path / "flat", [(f"{i}.png", "개" if i < 3 else "cat") for i in range(6)])
    dataset = load(folder, test_fraction=0.3)
    assert dataset.class_names == ("cat", "개")
    labels = {
        name: dataset.class_names[y]
        for name, y in zip(dataset.train.names, dataset.y_train, strict=True)
    }
    assert len(labels) == 4
    assert all((label == "개") == (int(name[0]) < 3) for name, label in labels.items())
    assert not dataset.notes
    text = (folder / "metadata.csv").read_text()
    (folder / "metadata.csv").write_text(text.replace("cat", "chat"))
    assert load(folder, test_fraction=0.3).class_names == ("chat", "개")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("0.png", "a")], "metadata.csv has no row for 1.png; its first row is for '0.png'"),
        ([(f"{i}.png", "a") for i in range(7)], "names '6.png', which is not beside it"),
        ([("0.png", "a"), ("0.png", "b")], "has two rows for '0.png', which differ"),
        ([("0.png", "a,b"), ("1.png", "b")], "row 1 has more cells than there are columns"),
        ([(f"{i}.png", "a" if i else "") for i in range(6)], "has no label for '0.png'"),
    ],
    ids=["row", "image", "two", "cells", "label"],
)
def test_a_table_that_does_not_fit_the_images_is_refused(tmp_path, rows, said):
    with pytest.raises(RequestError, match=said):
        load(flat(tmp_path / "flat", rows))


def subjects(folder, names, *, header="file_name,subject,day"):
    rows = [f"{name},s{i // 2},2024-01-{i + 1:02}" for i, name in enumerate(names)]
    (folder / "metadata.csv").write_text("\n".join([header, *rows]))


def test_images_of_one_subject_stay_together(tmp_path):
    names = [f"{name}/{i}.png" for name in "ab" for i in range(8)]
    subjects(write(tmp_path, count=8), names)
    split = SplitConfig("holdout", validation_fraction=0.25, seed=0, stratify=None, group="subject")
    dataset = load(tmp_path, split=split)
    assert set(dataset.test.groups).isdisjoint(dataset.train.groups)
    at = splits.split_dataset(dataset, split)
    assert set(dataset.train.groups[at.val]).isdisjoint(dataset.train.groups[at.train])
    newest = load(tmp_path, split=replace(split, group=None, order="day"))
    assert newest.train.order.max() == np.datetime64("2024-01-12")
    with pytest.raises(RequestError, match=r"split\.group=patient: .*metadata\.csv .*prefix"):
        load(tmp_path, split=replace(split, group="patient"))


def test_a_group_can_be_the_beginning_of_the_files_names(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        for i in range(12):
            pixels = np.random.default_rng([i, ord(name)]).integers(0, 255, (6, 6))
            Image.fromarray(pixels.astype(np.uint8)).save(
                tmp_path / name / f"{name}{i // 3}_{i}.png"
            )
    split = SplitConfig("holdout", validation_fraction=0.25, seed=0, stratify=None, group="prefix")
    dataset = load(tmp_path, split=split, test_fraction=0.25)
    assert {*dataset.train.groups, *dataset.test.groups} == {
        f"{n}{i}" for n in "ab" for i in range(4)
    }
    assert set(dataset.test.groups).isdisjoint(dataset.train.groups)


def test_a_table_can_name_images_in_a_folder_below_it(tmp_path):
    folder = flat(tmp_path / "images", [])
    (folder / "metadata.csv").unlink()
    rows = [f"images/{i}.png,{'ab'[i % 2]}" for i in range(6)]
    (tmp_path / "metadata.csv").write_text("\n".join(["file_name,label", *rows]))
    dataset = load(tmp_path)
    assert all(
        int(name[7]) % 2 == y for name, y in zip(dataset.train.names, dataset.y_train, strict=True)
    )


def test_a_table_may_write_paths_as_windows_does(tmp_path):
    folder = write(tmp_path / "shapes")
    names = [path.relative_to(folder) for path in sorted(folder.rglob("*.png"))]
    rows = [f"{name.parent}\\{name.name},class {name.parent}" for name in names]
    (folder / "metadata.csv").write_text("\n".join(["file_name,label", *rows]))
    assert load(folder).class_names == ("class a", "class b")


def test_no_two_images_share_a_row(tmp_path):
    subjects(write(tmp_path, count=8), [f"{i}.png" for i in range(8)])
    with pytest.raises(RequestError, match=r"names '0\.png', which may be a/0\.png or b/0\.png"):
        load(tmp_path)


def test_bits_that_images_do_not_use_are_asked_for(tmp_path):
    for i, name in enumerate("ab"):
        (tmp_path / name).mkdir()
        for j in range(5):
            pixels = np.random.default_rng([i, j]).integers(0, 4096, (6, 6)).astype(np.uint16)
            pixels[0, 0] = 4095
            Image.fromarray(pixels).save(tmp_path / name / f"{j}.png")
    with pytest.raises(RequestError, match=r"no value above 4095: .*dataset\.bits=12\)"):
        load(tmp_path)
    assert load(tmp_path, bits=12).x_train[:, 0, 0].tolist() == [255] * 8
    assert load(tmp_path, bits=16).x_train.max() == 16


def test_fractions_are_no_pixels(tmp_path):
    write(tmp_path)
    Image.fromarray(np.ones((6, 6), np.float32)).save(tmp_path / "a" / "x.tif")
    with pytest.raises(RequestError, match=r"a/x\.tif holds fractions"):
        load(tmp_path)


def test_a_class_that_cannot_be_read_or_learnt_is_named(tmp_path):
    write(tmp_path / "train", ("a", "b", "c"))
    write(tmp_path / "val", ("a", "d"), count=2)
    with pytest.raises(RequestError, match="class 'd' is in the validation part only"):
        load(tmp_path)
    for file in (tmp_path / "train" / "c").iterdir():
        file.write_bytes(b"")
    with pytest.raises(RequestError, match="no image of 'c' can be read"):
        load(tmp_path, skip_unreadable=True)


def test_unreadable_images_are_named_or_left_out_with_numbers(tmp_path):
    write(tmp_path)
    content = (tmp_path / "a" / "1.png").read_bytes()
    (tmp_path / "a" / "1.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(RequestError, match=r"1 of 10 .*a/1\.png.*\n.*skip_unreadable=true"):
        load(tmp_path)
    dataset = load(tmp_path, skip_unreadable=True)
    assert len(dataset.y_train) + len(dataset.y_test) == 9
    assert "left out: 1 of 10 images" in dataset.notes[0]
    assert "a/1.png" in dataset.notes[0]


def test_what_is_no_image_is_left_out_with_numbers(tmp_path):
    write(tmp_path, ("a", "b", "c"))
    for name in ("a/notes.txt", "b/placeholder", "list.csv"):
        (tmp_path / name).write_text("x")
    for name in ("emblems", "nothing"):
        (tmp_path / name).mkdir()
    (tmp_path / "emblems" / "placeholder").touch()
    dataset = load(tmp_path, skip_unreadable=True)
    assert len(dataset.y_train) + len(dataset.y_test) == 15
    assert dataset.class_names == ("a", "b", "c")
    assert dataset.notes == (
        "left out, since they are no images: 3 files (a/notes.txt, b/placeholder, list.csv)",
        "left out, since they hold nothing: 2 folders (emblems, nothing)",
    )
    # What may be a class of images in another format is not left out as a whole.
    (tmp_path / "emblems" / "0.heic").write_text("x")
    with pytest.raises(RequestError, match=r"class 'emblems' is an image: emblems/0\.heic"):
        load(tmp_path, skip_unreadable=True)


def test_one_class_that_is_not_empty_is_too_few(tmp_path):
    write(tmp_path, ("a",))
    (tmp_path / "b").mkdir()
    with pytest.raises(RequestError, match=r"at least two classes, got only .a."):
        load(tmp_path, skip_unreadable=True)


def test_links_stay_within_the_folder(tmp_path):
    own = write(tmp_path / "own")
    (own / "a" / "again.png").symlink_to(own / "b" / "0.png")
    assert len(load(own, allow_duplicates=True).train.names) == 9
    (own / "a" / "out.png").symlink_to(write(tmp_path / "other") / "a" / "0.png")
    with pytest.raises(RequestError, match=r"a/out\.png is a link that leads out"):
        load(own)
    (own / "a" / "out.png").unlink()
    (own / "a" / "gone.png").symlink_to("/nonexistent.png")
    (own / "b" / "ring.png").symlink_to("ring.png")
    with pytest.raises(RequestError, match=r"a/gone\.png is a broken link to /nonexistent"):
        load(own)
    dataset = load(own, allow_duplicates=True, skip_unreadable=True)
    assert "left out: 2 of 13 images" in dataset.notes[0]


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    write(tmp_path)
    os.mkfifo(tmp_path / "a" / "pipe.png")
    with pytest.raises(RequestError, match=r"a/pipe\.png is neither a file nor a folder"):
        load(tmp_path)


def archive(path, folder, prefix=""):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for file in sorted(folder.rglob("*.png")):
            made.write(file, f"{prefix}{file.relative_to(folder)}")
    return path


@pytest.mark.parametrize("prefix", ["", "shapes/"])
def test_a_zip_of_a_folder_is_the_folder(tmp_path, prefix):
    own = write(tmp_path / "own")
    assert load(archive(tmp_path / "own.zip", own, prefix)).digest == load(own).digest


def test_an_archive_that_leads_out_or_is_absurdly_large_is_refused(tmp_path):
    out = tmp_path / "out.zip"
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("../../evil.png", b"x")
    with pytest.raises(RequestError, match=r"evil\.png' leads out of the archive"):
        load(out)
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as made, made.open("a/0.png", "w") as f:
        for _ in range(65):
            f.write(bytes(2**24))
    with pytest.raises(RequestError, match="a zip bomb"):
        load(bomb)
    (tmp_path / "no.zip").write_bytes(b"404")
    with pytest.raises(RequestError, match=r"not a readable \.zip file"):
        load(tmp_path / "no.zip")


def test_an_image_of_absurd_size_is_refused(tmp_path, monkeypatch):
    write(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30)
    with pytest.raises(RequestError, match="too large"):
        load(tmp_path)


def test_an_empty_class_is_named_with_the_way_to_leave_it_out(tmp_path):
    write(tmp_path)
    (tmp_path / "void").mkdir()
    with pytest.raises(RequestError, match=r"void of a class is empty.*\.void"):
        load(tmp_path)


def test_folders_whose_names_differ_in_unicode_form_alone_are_one_class_and_that_is_said(tmp_path):
    write(tmp_path, ("caf\u00e9", "cafe\u0301", "the"))
    dataset = load(tmp_path)
    assert dataset.class_names == ("caf\u00e9", "the")
    assert any("accents" in note for note in dataset.notes)

"""Files of MATLAB: what is read, and what leads elsewhere or would fill the memory."""

import h5py
import numpy as np
import pytest
from scipy.io import savemat
from scipy.sparse import csc_array

from fitgap.config.schema import MatConfig
from fitgap.data import datasets
from fitgap.errors import RequestError

pytestmark = pytest.mark.usefixtures("fresh_datasets")
HELD_OUT = {"test_fraction": 0.2, "test_seed": 42}
rng = np.random.default_rng(3)
Y = np.arange(20) % 2
VECTORS = rng.normal(size=(20, 3))
IMAGES = rng.integers(0, 256, (20, 6, 5)).astype(np.uint8)


def test_matlab_files_with_samples_last_and_labels_in_a_row(tmp_path):
    savemat(tmp_path / "own.mat", {"X": np.moveaxis(IMAGES, 0, 2), "y": Y[None]})
    dataset = datasets.load(MatConfig("mat", path=str(tmp_path / "own.mat"), **HELD_OUT))
    assert dataset.image_shape == (6, 5)
    assert any("last axis counts the samples" in note for note in dataset.notes)
    (tmp_path / "own.mat").write_bytes(b"no matlab")
    with pytest.raises(RequestError, match=r"is not a \.mat file"):
        datasets.load(MatConfig("mat", path=str(tmp_path / "own.mat"), **HELD_OUT))


def test_a_damaged_matlab_file_that_ends_scipys_process_is_refused(tmp_path):
    path = tmp_path / "own.mat"
    savemat(path, {"X": np.arange(24.0).reshape(8, 3), "y": np.arange(8)[:, None] % 2})
    damaged = bytearray(path.read_bytes())
    damaged[425] = 127  # of a length: SciPy 1.17 reads beyond its memory
    path.write_bytes(damaged)
    with pytest.raises(RequestError, match=r"is not a \.mat file"):
        datasets.load(MatConfig("mat", path=str(path), **HELD_OUT))


def matlab_7_3(path, **arrays):
    """Write a file as MATLAB's version 7.3: HDF5 with the axes turned, behind 512 bytes."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            file[name] = array.T
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")


def test_matlab_7_3_is_read_and_no_other_file_with_it(tmp_path):
    path = tmp_path / "own.mat"
    savemat(tmp_path / "older.mat", {"X": VECTORS, "y": Y[:, None]})
    matlab_7_3(path, X=VECTORS, y=Y[:, None])
    both = [
        datasets.load(MatConfig("mat", path=str(each), **HELD_OUT))
        for each in (tmp_path / "older.mat", path)
    ]
    np.testing.assert_array_equal(both[0].x_train, both[1].x_train)
    np.testing.assert_array_equal(both[0].y_test, both[1].y_test)
    matlab_7_3(path, X=VECTORS)
    with h5py.File(path, "r+") as file:
        cells = []
        for i, label in enumerate(["one", "둘"] * 10):
            file[f"#refs#/{i}"] = np.frombuffer(label.encode("utf-16-le"), np.uint16)[:, None]
            file[f"#refs#/{i}"].attrs["MATLAB_class"] = np.bytes_("char")
            cells.append(file[f"#refs#/{i}"].ref)
        file.create_dataset("labels", data=np.array([cells]), dtype=h5py.ref_dtype)
    assert datasets.load(MatConfig("mat", path=str(path), **HELD_OUT)).class_names == ("one", "둘")
    matlab_7_3(path, X=VECTORS)
    with h5py.File(path, "r+") as file:
        file["y"] = h5py.ExternalLink(str(tmp_path / "older.mat"), "y")
    with pytest.raises(RequestError, match=r"y_train is missing: the file has X.*\{y_train: NAME"):
        datasets.load(MatConfig("mat", path=str(path), **HELD_OUT))


def cell(file, name, **stored):
    """Write one cell's text; return the reference to it."""
    made = file.create_dataset(f"#refs#/{name}", **stored)
    made.attrs["MATLAB_class"] = np.bytes_("char")
    return made.ref


def external_cells(file):
    """Two cells whose characters lie in another file."""
    files = [[("/etc/passwd", 24 * i, 24)] for i in range(2)]
    return [cell(file, str(i), shape=(1, 12), dtype="<u2", external=files[i]) for i in range(2)]


def virtual_cells(file):
    layout = h5py.VirtualLayout((1, 4), "<u2")
    layout[:] = h5py.VirtualSource("/tmp/other.h5", "s", (1, 4))
    made = file.create_virtual_dataset("#refs#/0", layout)
    made.attrs["MATLAB_class"] = np.bytes_("char")
    return [made.ref] * 2


def long_cells(file):
    return [cell(file, "0", data=np.full((1, 9_000), 65, "<u2"))] * 100_000


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (external_cells, "a cell holds something other than a text"),
        (virtual_cells, "a cell holds something other than a text"),
        (long_cells, "is taken for a zip bomb"),
    ],
)
def test_cells_of_matlab_7_3_lead_to_no_other_file_and_fill_no_memory(cells, said, tmp_path):
    path = tmp_path / "own.mat"
    matlab_7_3(path, X=VECTORS)
    with h5py.File(path, "r+") as file:
        references = np.array([cells(file) * 10])
        file.create_dataset("labels", data=references, dtype=h5py.ref_dtype, compression="gzip")
    with pytest.raises(RequestError, match=said):
        datasets.load(MatConfig("mat", path=str(path), **HELD_OUT))


def test_what_matlab_7_3_does_not_write_is_left_out(tmp_path):
    path = tmp_path / "own.mat"
    matlab_7_3(path, X=VECTORS, y=Y[:, None])
    with h5py.File(path, "r+") as file:
        file.create_dataset("lists", (40,), dtype=h5py.vlen_dtype(np.uint8))[0] = np.zeros(9)
    dataset = datasets.load(MatConfig("mat", path=str(path), **HELD_OUT))
    assert not any("lists" in note for note in dataset.notes)


def test_arrays_that_are_a_bomb_together_are_refused(tmp_path):
    path = tmp_path / "own.mat"
    matlab_7_3(path, X=VECTORS, y=Y[:, None])
    with h5py.File(path, "r+") as file:
        for i in range(3):
            file.create_dataset(f"empty{i}", (2**26,), "f8", chunks=(2**20,))
    with pytest.raises(RequestError, match="is taken for a zip bomb"):
        datasets.load(MatConfig("mat", path=str(path), **HELD_OUT))


def test_what_is_in_a_single_struct_or_sparse_is_found(tmp_path):
    path = tmp_path / "own.mat"
    savemat(path, {"mine": {"X": VECTORS, "y": Y}})
    assert datasets.load(MatConfig("mat", path=str(path), **HELD_OUT)).image_shape == (3,)
    savemat(path, {"X": csc_array(VECTORS), "y": Y[:, None]})
    dataset = datasets.load(MatConfig("mat", path=str(path), **HELD_OUT))
    assert dataset.x_train[0] in VECTORS.astype(np.float32)


def test_one_array_that_is_a_bomb_is_refused(tmp_path):
    matlab_7_3(tmp_path / "own.mat", y=Y[None])
    with h5py.File(tmp_path / "own.mat", "r+") as file:
        file.create_dataset("X", (20, 2**28), chunks=True)
    with pytest.raises(RequestError, match=r"MB would unpack to \d+ MB: .* a zip bomb"):
        datasets.load(MatConfig("mat", path=str(tmp_path / "own.mat"), **HELD_OUT))

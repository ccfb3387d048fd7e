"""Published datasets: digits, MNIST, Fashion-MNIST and CIFAR-10, in the bytes everybody has.

Each is taken from the first source that has it: ``dataset.data_dir`` or the environment's
``FITGAP_DATA_DIR``, Keras's cache, the system's folder, a download through ``keras.datasets``.
Whatever the source, the bytes must be the published ones.
"""

import gzip
import hashlib
import os
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitgap.config.schema import DatasetConfig, PublishedConfig
from fitgap.data import cifar
from fitgap.errors import RequestError, first_line
from fitgap.heavy_imports import silent_stderr

Arrays = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]

SYSTEM_FOLDER = Path("/usr/share/datasets")

# SHA-256 of the raw bytes (C order, uint8) of x_train, y_train, x_test, y_test as published.
CHECKSUMS = {
    "mnist": (
        "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
        "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
        "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
        "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
    ),
    "fashion_mnist": (
        "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012",
        "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7",
        "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a",
        "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9",
    ),
}
_ARRAY_NAMES = ("x_train", "y_train", "x_test", "y_test")

CLASS_NAMES = {
    "digits": tuple("0123456789"),
    "mnist": tuple("0123456789"),
    "fashion_mnist": (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    "cifar10": (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ),
}
_FASHION_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
# The files of each dataset below a data directory, in the layouts that there are.
_LAYOUTS: dict[str, Sequence[Sequence[str]]] = {
    "mnist": [["mnist.npz"]],
    "fashion_mnist": [[f"fashion-mnist/{file}" for file in _FASHION_FILES]],
    "cifar10": cifar.LAYOUTS,
}
_WAYS_OUT = {
    "mnist": (
        "Ways out: dataset=digits (bundled), or FITGAP_DATA_DIR=<folder with mnist.npz>, "
        "or a network."
    ),
    "fashion_mnist": (
        "Ways out: dataset=digits (bundled), or FITGAP_DATA_DIR=<folder with fashion-mnist/>, "
        "or Debian's package dataset-fashion-mnist, or a network."
    ),
    "cifar10": (
        "Ways out: dataset=digits (bundled), or FITGAP_DATA_DIR=<folder with "
        "cifar-10-batches-py/ or cifar-10-python.tar.gz>, or a network."
    ),
}


def read(name: str, folder: Path | None) -> tuple[Arrays, str]:
    """Read a dataset from its first source and check its bytes.

    Parameters
    ----------
    name
        Of `CLASS_NAMES`.
    folder
        Looked in first; see `data_dir`.

    Returns
    -------
    arrays : tuple of ndarray
        x_train, y_train, x_test, y_test, all uint8 but the labels of digits.
    source : str
        Where they came from, for the record.

    Raises
    ------
    RequestError
        If no source has the dataset, or what a source has is damaged or altered.
    """
    if name == "digits":
        return _digits(), "scikit-learn"
    found = find(name, folder)
    if name == "cifar10":
        if found is None:
            # Keras checks the archive's sum and keeps its files; they are read here all the same.
            _download(name)
            found = find(name, folder)
        if found is None:
            raise RequestError("dataset=cifar10 was downloaded, but not to Keras's cache")
        return read_files(name, found), str(found[0].parent)
    if found is None:
        arrays, source = _download(name), "keras.datasets"
    else:
        arrays, source = read_files(name, found), str(found[0].parent)
    _check_bytes(name, arrays, source)
    return arrays, source


def data_dir(config: DatasetConfig) -> Path | None:
    """Return the data directory that is set, if one is, having made sure that it exists."""
    chosen = config.data_dir if isinstance(config, PublishedConfig) else None
    for setting, value in (
        ("dataset.data_dir", chosen),
        ("FITGAP_DATA_DIR", os.environ.get("FITGAP_DATA_DIR")),
    ):
        if value:
            folder = Path(value).expanduser()
            if not folder.is_dir():
                raise RequestError(f"{setting} must be an existing directory, got {value}")
            return folder
    return None


def _digits() -> Arrays:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    # The pixels count 0 to 16; spread over the whole of uint8, they take the scaling layer that
    # every other image takes.
    images = np.round(x * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8)
    x_train, x_test, y_train, y_test = train_test_split(
        images, y, test_size=0.2, random_state=0, stratify=y
    )
    return x_train, y_train, x_test, y_test


def _check_bytes(name: str, arrays: Arrays, source: str) -> None:
    for array_name, array, checksum in zip(_ARRAY_NAMES, arrays, CHECKSUMS[name], strict=True):
        # A cast could hide what was altered: 263 is 7 as a byte.
        image_shape = (28, 28) if array_name.startswith("x") else ()
        is_published = (
            array.dtype == np.uint8
            and array.shape[1:] == image_shape
            and hashlib.sha256(np.ascontiguousarray(array).data).hexdigest() == checksum
        )
        if not is_published:
            raise RequestError(
                f"dataset={name}: {array_name} from {source} does not have the published bytes "
                "(SHA-256 differs): damaged or altered; replace the file"
            )


def find(name: str, folder: Path | None) -> tuple[Path, ...] | None:
    """Return the dataset's files in the first folder that has all of them, or None.

    Parameters
    ----------
    name
        Of `CLASS_NAMES`, but for digits.
    folder
        Looked in first; see `data_dir`.
    """
    keras_cache = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "datasets"
    for place in filter(None, (folder, keras_cache, SYSTEM_FOLDER)):
        for relative in _LAYOUTS[name]:
            found = tuple(place / path for path in relative)
            if all(path.is_file() for path in found):
                return found
    return None


def read_files(name: str, files: Sequence[Path]) -> Arrays:
    """Read the files of a dataset; their bytes are not checked here.

    Parameters
    ----------
    name
        Of the dataset.
    files
        In the order of its layout, as `find` returns them.

    Returns
    -------
    x_train, y_train, x_test, y_test
        Arrays of uint8.

    Raises
    ------
    RequestError
        Naming the file that is damaged.
    """
    current = files[0]
    try:
        if name == "mnist":
            # Given a path, NumPy would leave a truncated file open.
            with current.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                x_train, y_train, x_test, y_test = (archive[key] for key in _ARRAY_NAMES)
        elif name == "cifar10":
            return cifar.read(files)
        else:
            arrays = []
            for current in files:
                arrays.append(_read_idx(current))
            x_train, y_train, x_test, y_test = arrays
    except RequestError:
        raise
    except Exception as error:
        # A damaged file can raise nearly anything: BadZipFile, zlib.error, TypeError, MemoryError.
        raise RequestError(f"dataset={name}: cannot read {current}: {first_line(error)}") from error
    return x_train, y_train, x_test, y_test


def _read_idx(path: Path) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes: magic (0, 0, 8, rank), the sizes, the bytes."""
    content = gzip.decompress(path.read_bytes())
    zeros, element_type, rank = struct.unpack_from(">HBB", content)
    if zeros != 0 or element_type != 8:
        raise ValueError("not an IDX file of unsigned bytes")
    sizes = struct.unpack_from(f">{rank}I", content, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(sizes)


def _download(name: str) -> Arrays:
    with silent_stderr():
        import keras

    loader: Callable[[], Any] = getattr(keras.datasets, name).load_data
    try:
        (x_train, y_train), (x_test, y_test) = loader()
    except Exception as error:
        # Keras wraps whatever the network gave in a bare Exception.
        raise RequestError(
            f"dataset={name} is in no data directory, cache or system folder, and its download "
            f"failed ({first_line(error)}).",
            _WAYS_OUT[name],
        ) from error
    return x_train, y_train, x_test, y_test

"""Where the images come from: find them, check them, and hold them as uint8 arrays.

A dataset is loaded from the first source that has it: ``dataset.data_dir`` or the environment's
``FITGAP_DATA_DIR``, Keras's cache, the system's folder, a download through ``keras.datasets``.
Whatever the source, MNIST and Fashion-MNIST must have the published bytes. Scaling is the
model's first layer, not this module's work.
"""

import functools
import gzip
import hashlib
import importlib.metadata
import os
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitgap.backend import silent_stderr
from fitgap.config import DatasetConfig
from fitgap.errors import RequestError

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]

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
}
DATASETS = tuple(CLASS_NAMES)

_FASHION_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
_WAYS_OUT = {
    "mnist": (
        "Ways out: dataset=digits (bundled), or FITGAP_DATA_DIR=<folder with mnist.npz>, "
        "or a network."
    ),
    "fashion_mnist": (
        "Ways out: dataset=digits (bundled), or FITGAP_DATA_DIR=<folder with fashion-mnist/>, "
        "or Debian's package dataset-fashion-mnist, or a network."
    ),
}


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training part and a test part of labelled images; equal only to itself.

    Attributes
    ----------
    name
        The option of the config group ``dataset``.
    x_train, x_test
        uint8 of shape (n, height, width); never scaled here.
    y_train, y_test
        int64 of shape (n,), class numbers from 0.
    class_names
        One name per class, in any language.
    source
        Where the bytes came from, for the record.
    digest
        SHA-256 over all arrays: bytes, shapes and types.
    """

    name: str
    x_train: Images
    y_train: Labels
    x_test: Images
    y_test: Labels
    class_names: tuple[str, ...]
    source: str
    digest: str

    @property
    def num_classes(self) -> int:
        """The number of classes, whether or not each occurs."""
        return len(self.class_names)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """The shape of one image, without the batch axis."""
        return self.x_train.shape[1:]


Arrays = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]


def load(config: DatasetConfig) -> Dataset:
    """Load a dataset from its first source and check its bytes.

    Parameters
    ----------
    config
        Name, optional subset of the classes, optional data directory.

    Returns
    -------
    Dataset
        The whole of it in memory; the same object when asked for again.

    Raises
    ------
    RequestError
        If the name is unknown, the data directory does not exist, no source has the dataset, or
        what a source has is damaged or altered.
    """
    if config.name not in DATASETS:
        raise RequestError(f"dataset.name must be one of {', '.join(DATASETS)}, got {config.name}")
    data_dir = _data_dir(config)
    return _load(config.name, data_dir, tuple(config.classes) if config.classes else None)


# A sweep's jobs in one process share the arrays; two datasets are what a sweep rarely exceeds.
@functools.lru_cache(maxsize=2)
def _load(name: str, data_dir: Path | None, classes: tuple[int, ...] | None) -> Dataset:
    if name == "digits":
        arrays, source = _digits(), "scikit-learn"
    else:
        arrays, source = _published(name, data_dir)
    x_train, y_train, x_test, y_test = arrays
    dataset = Dataset(
        name=name,
        x_train=np.ascontiguousarray(x_train, dtype=np.uint8),
        y_train=y_train.astype(np.int64),
        x_test=np.ascontiguousarray(x_test, dtype=np.uint8),
        y_test=y_test.astype(np.int64),
        class_names=CLASS_NAMES[name],
        source=source,
        digest="",
    )
    if classes is not None:
        dataset = _keep_classes(dataset, classes)
    return replace(dataset, digest=digest_arrays(*_arrays(dataset)))


def _arrays(dataset: Dataset) -> Arrays:
    return dataset.x_train, dataset.y_train, dataset.x_test, dataset.y_test


def digest_arrays(*arrays: NDArray[Any]) -> str:
    """Return the SHA-256 over shapes, types and all bytes of some arrays, as hex digits."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape}{array.dtype.str}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def fingerprint(config: DatasetConfig) -> str | None:
    """Return a cheap key that changes when the source's files change, or None without a file.

    Path, size and modification time stand for the bytes, as they do for git and make, so that
    an unchanged dataset's digest need not be computed again. Training itself always reads and
    checks every byte.
    """
    data_dir = _data_dir(config)
    if config.name == "digits":
        return f"digits {importlib.metadata.version('scikit-learn')} {config.classes}"
    found = _find(config.name, data_dir)
    if found is None:
        return None
    stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in found]
    return f"{config.name} {stats} {config.classes}"


def _data_dir(config: DatasetConfig) -> Path | None:
    """Return the data directory asked for, if one is, having made sure that it exists."""
    for setting, value in (
        ("dataset.data_dir", config.data_dir),
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


def _published(name: str, data_dir: Path | None) -> tuple[Arrays, str]:
    found = _find(name, data_dir)
    if found is None:
        arrays, source = _download(name), "keras.datasets"
    else:
        arrays, source = _read(name, found), str(found[0].parent)
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
    return arrays, source


def _find(name: str, data_dir: Path | None) -> tuple[Path, ...] | None:
    """Return the dataset's files in the first folder that has all of them."""
    keras_cache = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "datasets"
    folders = [folder for folder in (data_dir, keras_cache, SYSTEM_FOLDER) if folder is not None]
    relative: Sequence[Path] = (
        (Path("mnist.npz"),)
        if name == "mnist"
        else tuple(Path("fashion-mnist") / file for file in _FASHION_FILES)
    )
    for folder in folders:
        files = tuple(folder / path for path in relative)
        if all(file.is_file() for file in files):
            return files
    return None


def _read(name: str, files: Sequence[Path]) -> Arrays:
    current = files[0]
    try:
        if name == "mnist":
            # Given a path, NumPy would leave a truncated file open.
            with current.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                x_train, y_train, x_test, y_test = (archive[key] for key in _ARRAY_NAMES)
        else:
            arrays = []
            for current in files:
                arrays.append(_read_idx(current))
            x_train, y_train, x_test, y_test = arrays
    except Exception as error:
        # A damaged file can raise nearly anything: BadZipFile, zlib.error, TypeError, MemoryError.
        raise RequestError(f"dataset={name}: cannot read {current}: {_reason(error)}") from error
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
            f"failed ({_reason(error)}).\n{_WAYS_OUT[name]}"
        ) from error
    return x_train, y_train, x_test, y_test


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _keep_classes(dataset: Dataset, classes: tuple[int, ...]) -> Dataset:
    unknown = [c for c in classes if not 0 <= c < dataset.num_classes]
    if unknown:
        raise RequestError(
            f"dataset.classes must be from 0 to {dataset.num_classes - 1}, got {unknown[0]}"
        )
    new_label = np.full(dataset.num_classes, -1)
    new_label[list(classes)] = np.arange(len(classes))
    train, test = new_label[dataset.y_train] >= 0, new_label[dataset.y_test] >= 0
    return replace(
        dataset,
        x_train=dataset.x_train[train],
        y_train=new_label[dataset.y_train[train]],
        x_test=dataset.x_test[test],
        y_test=new_label[dataset.y_test[test]],
        class_names=tuple(dataset.class_names[c] for c in classes),
    )

"""CIFAR-10 as its authors publish it: pickled batches, read without running what a pickle names.

Six files, loose or in the archive they are published in. Each must have the MD5 sum that
torchvision publishes of it (its authors give one of the archive only). And whatever a file holds,
an unpickler that knows nothing but NumPy's arrays reads it, so that no code of it is run.
"""

import hashlib
import io
import pickle
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy._core.multiarray import _reconstruct
from numpy.typing import NDArray

from fitgap.errors import RequestError

MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
_FOLDER = "cifar-10-batches-py"
# Keras 3 unpacks into a folder of another name than Keras 2 did; the archives are Keras's and the
# authors' own.
LAYOUTS = (
    [f"{_FOLDER}/{name}" for name in MD5],
    [f"{_FOLDER}-target/{_FOLDER}/{name}" for name in MD5],
    [f"{_FOLDER}.tar.gz"],
    ["cifar-10-python.tar.gz"],
)


def read(
    files: Sequence[Path],
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Read the batches.

    Parameters
    ----------
    files
        One of `LAYOUTS`: six batches, or an archive that holds them.

    Returns
    -------
    x_train, y_train, x_test, y_test : ndarray
        uint8; images of shape (n, 32, 32, 3), labels of shape (n,).

    Raises
    ------
    RequestError
        If a batch has not the published bytes.
    ValueError
        If a batch or the archive cannot be read.
    """
    contents = _from_archive(files[0]) if len(files) == 1 else [p.read_bytes() for p in files]
    images, labels = [], []
    for name, content in zip(MD5, contents, strict=True):
        if hashlib.md5(content, usedforsecurity=False).hexdigest() != MD5[name]:
            raise RequestError(
                f"dataset=cifar10: {name} from {files[0].parent} does not have the published "
                "bytes (MD5 differs): damaged or altered; replace the file"
            )
        batch = _Arrays(io.BytesIO(content), encoding="bytes").load()
        # The red plane, then the green, then the blue one.
        images.append(batch[b"data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        labels.append(np.array(batch[b"labels"], np.uint8))
    return np.concatenate(images[:-1]), np.concatenate(labels[:-1]), images[-1], labels[-1]


def _from_archive(path: Path) -> list[bytes]:
    contents = []
    with tarfile.open(path, "r:gz") as archive:
        for name in MD5:
            member = archive.extractfile(f"{_FOLDER}/{name}")
            if member is None:
                raise ValueError(f"{name} is no file")
            contents.append(member.read())
    return contents


_KNOWN: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): np.dtype,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
}


class _Arrays(pickle.Unpickler):
    """Finds nothing but NumPy's arrays, whatever a pickle names."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise ValueError(f"it names {module}.{name}, which no batch of CIFAR-10 does")
        return _KNOWN[module, name]

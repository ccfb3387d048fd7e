"""A recorded network's file: Keras's archive, its description, its arrays.

Keras's safe mode refuses given code, and makes classes that are not its own only where somebody
registered them in this process. Besides, the archive is bounded, its description names only
layers that a record may, and its arrays lie in the file itself: HDF5 can refer to other files.
"""

import json
import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fitgap.trust import allowed_classes, archives

if TYPE_CHECKING:
    import h5py

DESCRIPTION, WEIGHTS = "config.json", "model.weights.h5"
MOST_DESCRIPTION = 20_000_000  # bytes
MOST_OBJECTS = 30_000  # of a network; a convolution with its initializers and inputs counts as six
MOST_LEVELS = 200  # of its description; a network within a network adds three
MOST_VALUES_PER_BYTE = 1  # of a network's weights; mostly it is a quarter
SPARE_VALUES = 1_000_000  # that are not in the file, such as the state of a stateful layer
# What `check` raises besides OSError.
DAMAGE = (
    ValueError, KeyError, EOFError, NotImplementedError, RuntimeError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
# What Keras makes itself of a description, by module and name; of other packages' classes it makes
# only those that somebody registered in this process.
KERAS = ("keras", "keras_hub", "keras_cv", "keras_nlp")
CLASSES = allowed_classes.ALLOWED | {
    "keras": frozenset(["DTypePolicy", "Functional", "Model", "Sequential"]),
    "keras.models": frozenset(["Functional", "Model", "Sequential"]),
    "keras.src.models.functional": frozenset(["Functional"]),
    "keras.src.models.sequential": frozenset(["Sequential"]),
    "keras.dtype_policies": frozenset(["DTypePolicy", "DTypePolicyMap", "FloatDTypePolicy"]),
    "keras.random": frozenset(["SeedGenerator"]),
}
COMPUTING = ("keras.activations", "keras.ops", "keras.src.activations", "keras.src.ops")


def check(path: Path) -> None:
    """Check a file in Keras's format before Keras opens it.

    Parameters
    ----------
    path
        Of the file.

    Raises
    ------
    ValueError
        Saying in a few words what it is or holds.
    OSError, zipfile.BadZipFile
        If it cannot be read.
    """
    with zipfile.ZipFile(path) as archive:
        archives.check(archive)
        if damaged := archive.testzip():
            raise ValueError(f"{damaged} is not what was written")
        if archive.getinfo(DESCRIPTION).file_size > MOST_DESCRIPTION:
            raise ValueError(f"{DESCRIPTION} is too large")
        try:
            described = json.loads(archive.read(DESCRIPTION))
        except RecursionError as error:
            raise ValueError(f"{DESCRIPTION} is nested too deeply") from error
        _check_classes(described)
        _check_arrays(archive.read(WEIGHTS))


@contextmanager
def bounded(path: Path) -> Iterator[None]:
    """Let Keras make no network that is much larger than its file, for as long as the block lasts.

    Keras fills a network with random weights before it looks at those of the file, so that a
    description of a kilobyte could fill the memory.

    Parameters
    ----------
    path
        Of a file that `check` has accepted.

    Raises
    ------
    ValueError
        In the block, by the layer that would be too large.
    """
    import keras

    with zipfile.ZipFile(path) as archive:
        left = MOST_VALUES_PER_BYTE * archive.getinfo(WEIGHTS).file_size + SPARE_VALUES
    add_weight = keras.Layer.add_weight  # every weight comes from it, and Keras asks nobody else

    def add_bounded(layer: Any, shape: Any = None, *args: Any, **settings: Any) -> Any:
        nonlocal left
        left -= math.prod(int(length) for length in shape or ())
        if left < 0:
            raise ValueError(f"layer {layer.name[:80]} is larger than the file of its weights")
        return add_weight(layer, shape, *args, **settings)

    keras.Layer.add_weight = add_bounded
    try:
        yield
    finally:
        keras.Layer.add_weight = add_weight


def _check_classes(node: Any) -> None:
    if isinstance(node, dict):
        # How it was compiled is not read: it is loaded for inference. Keras does read it of a
        # network within the network.
        node = {key: value for key, value in node.items() if key != "compile_config"}
    waiting, objects = [(node, 0)], 0
    while waiting:
        one, depth = waiting.pop()
        if depth > MOST_LEVELS:
            raise ValueError(f"{DESCRIPTION} is nested too deeply")
        if isinstance(one, list):
            waiting += [(item, depth + 1) for item in one]
        elif isinstance(one, dict):
            if "class_name" in one:
                objects += 1
                if not _may_be_made(one):
                    name = str(one["class_name"])
                    raise ValueError(f"it has a {name[:80]}, which a record must not create")
            if isinstance(one.get("vocabulary"), str):
                raise ValueError("a layer reads its vocabulary from a file")
            waiting += [(value, depth + 1) for value in one.values()]
    if objects > MOST_OBJECTS:
        raise ValueError(f"it has {objects} layers and other objects, more than {MOST_OBJECTS}")


def _may_be_made(described: Mapping[str, Any]) -> bool:
    """Tell whether Keras may make a class, or take a function, that a description names."""
    name = str(described["class_name"])
    if "module" not in described:  # arrays and the like; a layer's would be Keras's older form
        return name.startswith("__") and name != "__lambda__"
    module = str(described["module"])
    if module.partition(".")[0] not in KERAS:
        return True
    if name == "function":
        name = str(described.get("config"))
    is_computing = any(module == one or module.startswith(f"{one}.") for one in COMPUTING)
    return is_computing or name in CLASSES.get(module, ())


def open_weights(content: bytes) -> "h5py.File":
    """Open what a network's file has as `WEIGHTS`.

    As an image: of a file object, HDF5 would ask for places beyond what Python can count.
    """
    import h5py

    return h5py.File(h5py.h5f.open_file_image(content))


def _check_arrays(content: bytes) -> None:
    import h5py

    if not content.startswith(HDF5_MAGIC):
        raise ValueError(f"{WEIGHTS} is no HDF5 file")

    # The first reason that these return ends the visit; h5py bears no exception in it.
    def of_array(name: str, node: Any) -> str | None:
        if not isinstance(node, h5py.Dataset):
            return None
        if node.external or node.is_virtual:
            return f"the array {name[:80]} lies in another file"
        if node.dtype.hasobject:
            return f"the array {name[:80]} holds no numbers"
        if node.nbytes > node.id.get_storage_size():
            return f"the array {name[:80]} is larger than its place in the file"
        return None

    def of_link(name: str, link: Any) -> str | None:
        is_elsewhere = isinstance(link, h5py.ExternalLink)
        return f"the array {name[:80]} lies in another file" if is_elsewhere else None

    with open_weights(content) as file:
        try:
            reason = file.visititems_links(of_link) or file.visititems(of_array)
        except SystemError as error:  # what becomes of h5py's own exception in a visit
            raise ValueError(f"{WEIGHTS} is damaged") from error
    if reason:
        raise ValueError(reason)

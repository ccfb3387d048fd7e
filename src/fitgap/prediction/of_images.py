"""What a network predicts for its test samples, or for a person's image files."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fitgap.data import preprocessing
from fitgap.data.datasets import Dataset, Images
from fitgap.data.images import find_images, read_image
from fitgap.errors import RequestError
from fitgap.prediction.predictions import Predictions, outputs_of

if TYPE_CHECKING:
    import keras


def parse_indices(text: str, *, count: int) -> list[int]:
    """Read a choice of images: numbers and ranges that include both ends.

    Parameters
    ----------
    text
        ``0-9`` or ``3,7,12`` or both mixed.
    count
        How many images there are.

    Raises
    ------
    RequestError
        If it reads otherwise, or an image is not there.

    Examples
    --------
    >>> parse_indices("7,0-2", count=10)
    [7, 0, 1, 2]
    """
    indices: list[int] = []
    for part in text.split(","):
        first, dash, last = (piece.strip() for piece in part.partition("-"))
        last = last if dash else first
        if not (first.isdecimal() and last.isdecimal()) or int(first) > int(last):
            raise RequestError(f"--images must look like 0-9 or 3,7,12, got {text!r}")
        if int(last) >= count:
            raise RequestError(f"--images must be from 0 to {count - 1}, got {int(last)}")
        indices += range(int(first), int(last) + 1)
    return indices


def predict_test_images(
    model: "keras.Model", dataset: Dataset, indices: Sequence[int]
) -> Predictions:
    """Ask a network for the classes, numbers or labels of some test images or rows.

    Parameters
    ----------
    model, dataset
        From `load_model` and `load_dataset`.
    indices
        Into the test part.
    """
    images = dataset.x_test[list(indices)]
    x = preprocessing.as_given(images, dataset)
    return Predictions(
        sources=indices,
        images=images if dataset.words is None else None,
        labels=dataset.y_test[list(indices)],
        outputs=outputs_of(model, x, task=dataset.task),
        class_names=dataset.class_names,
        task=dataset.task,
    )


def find_files(paths: Sequence[Path]) -> list[Path]:
    """Return image files: those that are named, and those in a named folder, sorted by name.

    Raises
    ------
    RequestError
        If a folder holds no image.
    """
    return [file for path in paths for file in (find_images(path) if path.is_dir() else [path])]


def read_images(
    files: Sequence[Path], *, shape: tuple[int, ...], invert: bool = False, bits: int | None = None
) -> Images:
    """Read image files as a network takes them; see `fitgap.data.images`.

    Parameters
    ----------
    files
        At least one.
    shape
        Of one image.
    invert
        Whether to swap black and white: for dark strokes on light paper, where the network
        learned light ones on dark.
    bits
        ``dataset.bits`` of the run's data.

    Returns
    -------
    ndarray
        uint8 of shape (n, *shape).

    Raises
    ------
    RequestError
        Naming every file that is not a readable image.
    """
    images = np.empty((len(files), *shape), np.uint8)
    wrong = []
    for i, file in enumerate(files):
        try:
            images[i] = read_image(file, shape=shape, bits=bits)
        except RequestError as error:
            wrong.append(str(error))
    if wrong:
        several = f"of {len(files)} images {len(wrong)} cannot be read; nothing was predicted"
        raise RequestError(*([several] if len(files) > 1 else []), *wrong)
    return 255 - images if invert else images


def predict_files(
    model: "keras.Model",
    files: Sequence[Path],
    images: Images,
    *,
    class_names: Sequence[str],
    task: str = "classes",
) -> Predictions:
    """Ask a network for the classes, numbers or labels of a person's images.

    Parameters
    ----------
    model
        From `load_model`.
    files, images
        From `find_files` and `read_images`.
    class_names
        One per class, number or label; numbers replace names that the record does not have.
    task
        Of the run.

    Raises
    ------
    RequestError
        If the network was trained on features instead of images.
    """
    if model.inputs[0].dtype != "uint8":
        raise RequestError("the network takes features, which image files do not hold")
    outputs = outputs_of(model, images, task=task)
    names = class_names or [str(number) for number in range(outputs.shape[1])]
    return Predictions(files, images, None, outputs, names, task)

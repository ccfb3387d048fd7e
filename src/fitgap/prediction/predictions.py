"""What a network predicts for some images or rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fitgap.data import rows
from fitgap.data.datasets import Images, Labels
from fitgap.errors import RequestError, first_line
from fitgap.evaluation.scores import network_outputs

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, eq=False)
class Predictions:
    """Images or rows, and what a network predicts for them.

    Attributes
    ----------
    sources
        Where each comes from: its number in the test part, its file, or its row.
    images
        uint8 of shape (n, height, width) or (n, height, width, channels), as the network got them;
        None of rows.
    labels
        int64 of shape (n,): the true classes; of other tasks as the dataset has them; None where
        nobody knows them.
    outputs
        float32 of shape (n, outputs): probabilities of classes or of labels, or numbers.
    class_names
        One per class, label or number.
    task
        See `fitgap.config.tasks`.
    notes
        How a file was read that is written otherwise than the one the network learned from.
    """

    sources: Sequence[int | str | Path]
    images: Images | None
    labels: Labels | None
    outputs: NDArray[np.float32]
    class_names: Sequence[str]
    task: str = "classes"
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse a network that does not belong to its record."""
        outputs, names = self.outputs.shape[1], len(self.class_names)
        if names and outputs != names:
            raise RequestError(
                f"the recorded network has {outputs} outputs, and its record has {names} "
                f"{'classes' if self.task == 'classes' else 'names of them'}"
            )

    @property
    def predicted(self) -> Labels:
        """The most probable class of each image; int64 of shape (n,)."""
        predicted: Labels = self.outputs.argmax(axis=1)
        return predicted

    @property
    def confidence(self) -> NDArray[np.float32]:
        """The probability of the predicted class; shape (n,)."""
        confidence: NDArray[np.float32] = self.outputs.max(axis=1)
        return confidence


def as_bytes(x: NDArray[Any]) -> NDArray[np.uint8]:
    """Return images as bytes, from the forms that are read as bytes for training.

    Parameters
    ----------
    x
        Bytes from 0 to 255 of any type, or, if none is above 1, these divided by 255.

    Raises
    ------
    RequestError
        If it is neither.
    """
    if x.dtype == np.uint8:
        return x
    values = x.astype(np.float64) * (255.0 if x.max() <= 1 else 1.0)
    whole = np.rint(values)
    if not ((np.abs(values - whole) < 1e-3) & (whole >= 0) & (whole <= 255)).all():
        raise RequestError(
            "the network takes uint8, which cannot hold values from "
            f"{x.min():g} to {x.max():g}; images are bytes, or bytes divided by 255"
        )
    return whole.astype(np.uint8)


def outputs_of(model: "keras.Model", x: Any, *, task: str) -> NDArray[np.float32]:
    """Return what a network predicts for images, or for a table's rows.

    Of two classes it is a probability for each, also where the network has one output only.

    Parameters
    ----------
    model
        From `load_model`.
    x
        An array as the network takes it, or a DataFrame.
    task
        See `fitgap.config.tasks`.

    Raises
    ------
    RequestError
        If a column is missing, or has text in the place of a number, or if the network does not
        take what it is given, or does not return a row of numbers for each sample.
    """
    count = len(x)
    if not count:
        raise RequestError("there are no rows")
    if rows.named_inputs(model):
        try:
            x = rows.inputs_of(x, model)
        except ValueError as error:
            raise RequestError(str(error)) from error
    elif not isinstance(x, np.ndarray):
        shape = ", ".join(map(str, model.input_shape[1:]))
        raise RequestError(f"its network takes an array of shape (n, {shape}), not a table's rows")
    elif model.inputs[0].dtype == "uint8":
        x = as_bytes(x)
    try:
        outputs = model.predict(x, verbose=0)
    except Exception as error:  # a network of another's record may raise anything
        raise RequestError(f"the network cannot predict this: {first_line(error)}") from error
    is_row_each = isinstance(outputs, np.ndarray) and outputs.ndim == 2 and len(outputs) == count
    if not is_row_each or not np.issubdtype(outputs.dtype, np.floating):
        raise RequestError("the network does not return a row of numbers for each sample")
    is_binary = task == "classes" and outputs.shape[1] == 1
    return network_outputs(outputs, "binary" if is_binary else "one_hot")

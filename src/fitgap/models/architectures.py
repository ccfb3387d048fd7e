"""fitgap's own architectures: the layers between the scaled input and the output layer.

Keras is imported only when layers are made, because code that only names an architecture imports
`fitgap.models`, too.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

    Layers = list[keras.layers.Layer]


def dense(
    *,
    units: Sequence[int],
    activation: str,
    dropout: float,
    batch_norm: bool,
    l2: float,
    l1: float = 0.0,
) -> "Layers":
    """Return the layers of a multilayer perceptron, from the scaled image to the last hidden one.

    Parameters
    ----------
    units
        Width of each hidden layer, starting at the input; empty for softmax regression.
    activation
        A Keras activation's name.
    dropout
        Share of each hidden layer's outputs that is dropped in training, in [0, 1).
    batch_norm
        Whether there is batch normalisation (Ioffe and Szegedy 2015) between a hidden layer and
        its activation.
    l2
        Factor of the squared weights that are added to the loss, for every hidden kernel.
    l1
        Factor of the absolute weights that are added in the same way.
    """
    import keras

    penalty = keras.regularizers.L1L2(l1=l1, l2=l2) if l1 else keras.regularizers.L2(l2)
    layers: Layers = [keras.layers.Flatten(name="flatten")]
    for i, width in enumerate(units, start=1):
        suffix = f"_{i}" if len(units) > 1 else ""
        layers.append(
            keras.layers.Dense(
                width,
                activation=None if batch_norm else activation,
                kernel_regularizer=penalty if l1 or l2 else None,
                name=f"hidden{suffix}",
            )
        )
        if batch_norm:
            layers.append(keras.layers.BatchNormalization(name=f"batch_norm{suffix}"))
            layers.append(keras.layers.Activation(activation, name=f"activation{suffix}"))
        if dropout:
            layers.append(keras.layers.Dropout(dropout, name=f"dropout{suffix}"))
    return layers


def sequential(*, image_shape: tuple[int, ...], layers: "Sequence[keras.layers.Layer]") -> "Layers":
    """Return the given Keras layers; a grey image gets the channel axis that convolutions need.

    Parameters
    ----------
    image_shape
        (height, width) or (height, width, channels) of one image.
    layers
        Keras layers from the scaled image to the last hidden one, which must be flat.
    """
    import keras

    is_grey = len(image_shape) == 2
    channel_axis = [keras.layers.Reshape((*image_shape, 1), name="channel")] if is_grey else []
    return [*channel_axis, *layers]

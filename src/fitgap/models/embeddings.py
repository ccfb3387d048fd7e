"""The layer that makes vectors of the numbers of categories in a table's features.

A network gets one float32 tensor. In it, a category is a number (`fitgap.data.preprocessing`);
this layer puts in its place what ``keras.layers.Embedding`` has learned for it, so that what comes
after sees features as of any table.
"""

from collections.abc import Sequence

import keras
from keras import ops

from fitgap.data.preprocessing import Embedded

NAME = "embeddings"


def layer(width: int, embedded: Sequence[Embedded]) -> keras.Model:
    """Return the layer, a model within the network.

    Parameters
    ----------
    width
        How many features it takes.
    embedded
        Which of them are numbers of categories, from left to right. The vector of a number that
        is in no training row, such as that of an unknown category, stays as it was drawn.
    """
    # In float32 under mixed precision too: numbers of categories are too large for less.
    features = keras.Input((width,), dtype="float32")
    made, start = [], 0
    for each in embedded:
        if start < each.position:
            made.append(features[:, start : each.position])
        vectors = keras.layers.Embedding(each.input_dim, each.output_dim, dtype="float32")
        made.append(vectors(ops.cast(features[:, each.position], "int32")))
        start = each.position + 1
    if start < width:
        made.append(features[:, start:])
    joined = keras.layers.Concatenate(dtype="float32")(made) if len(made) > 1 else made[0]
    return keras.Model(features, joined, name=NAME)

"""The layer that makes vectors of the numbers of categories and words in a table's features.

A network gets one float32 tensor. In it, a category is a number, and a text the numbers of its
words (`fitgap.data.preprocessing`); this layer puts in their place what ``keras.layers.Embedding``
has learned for the category, and the mean of what it has learned for the words. So what comes after
sees features as of any table.
"""

from collections.abc import Sequence

import keras
from keras import ops

from fitgap.data import texts
from fitgap.data.preprocessing import Embedded

NAME = "embeddings"


def layer(width: int, embedded: Sequence[Embedded]) -> keras.Model:
    """Return the layer, a model within the network.

    Parameters
    ----------
    width
        How many features it takes.
    embedded
        Which of them are numbers of categories or words, from left to right. The vector of a
        number that is in no training row, such as that of an unknown category, stays as it was
        drawn.
    """
    # In float32 under mixed precision too: numbers of categories are too large for less.
    features = keras.Input((width,), dtype="float32")
    made, start = [], 0
    for each in embedded:
        if start < each.position:
            made.append(features[:, start : each.position])
        start = each.position + each.length
        numbers = ops.cast(features[:, each.position : start], "int32")
        vectors = keras.layers.Embedding(each.input_dim, each.output_dim, dtype="float32")(numbers)
        made.append(_mean(vectors, numbers) if each.length > 1 else vectors[:, 0])
    if start < width:
        made.append(features[:, start:])
    joined = keras.layers.Concatenate(dtype="float32")(made) if len(made) > 1 else made[0]
    return keras.Model(features, joined, name=NAME)


def _mean(vectors: keras.KerasTensor, numbers: keras.KerasTensor) -> keras.KerasTensor:
    """Return the mean over the words of a text, without the padding behind them."""
    is_word = ops.cast(ops.not_equal(numbers, texts.PADDING), "float32")
    count = ops.maximum(ops.sum(is_word, axis=1, keepdims=True), 1.0)
    return ops.sum(vectors * is_word[:, :, None], axis=1) / count

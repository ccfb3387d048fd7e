"""Architectures for sequences of token ids, from texts or from your own data; 0 is padding.

Each begins with an Embedding and ends with one vector for the whole sequence.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


def average(
    x: "keras.KerasTensor", *, num_tokens: int, width: int, dropout: float
) -> "keras.KerasTensor":
    """Average the embeddings of the tokens (Joulin et al. 2016, "Bag of tricks").

    Parameters
    ----------
    x
        int32 of shape (n, length).
    num_tokens
        How many ids there are.
    width
        Length of the vector of a token.
    dropout
        Share of the average that is dropped in training, in [0, 1).
    """
    import keras

    embedded = keras.layers.Embedding(num_tokens, width, mask_zero=True, name="embedding")(x)
    pooled = _mean_of_tokens(embedded, x)
    return keras.layers.Dropout(dropout, name="dropout")(pooled) if dropout else pooled


def convolution(
    x: "keras.KerasTensor",
    *,
    num_tokens: int,
    width: int,
    filters: int,
    kernel_size: int,
    dropout: float,
) -> "keras.KerasTensor":
    """Convolve the embeddings over time and take each filter's maximum (Kim 2014).

    Parameters
    ----------
    x, num_tokens, width, dropout
        See `average`.
    filters
        Number of filters.
    kernel_size
        How many tokens a filter sees.
    """
    import keras

    embedded = keras.layers.Embedding(num_tokens, width, name="embedding")(x)
    found = keras.layers.Conv1D(
        filters, kernel_size, padding="same", activation="relu", name="convolution"
    )(embedded)
    pooled = keras.layers.GlobalMaxPooling1D(name="maximum")(found)
    return keras.layers.Dropout(dropout, name="dropout")(pooled) if dropout else pooled


def transformer(
    x: "keras.KerasTensor", *, num_tokens: int, width: int, heads: int, dropout: float
) -> "keras.KerasTensor":
    """Let each token attend to all tokens once (Vaswani et al. 2017), and average the result.

    Parameters
    ----------
    x, num_tokens, width, dropout
        See `average`.
    heads
        Number of attention heads; they share the width.
    """
    from keras import layers, ops

    length = x.shape[1]
    embedded = layers.Embedding(num_tokens, width, mask_zero=True, name="embedding")(x)
    position = ops.cumsum(ops.ones_like(x), axis=1) - 1
    placed = layers.Add(name="placed")(
        [embedded, layers.Embedding(length, width, name="position")(position)]
    )
    attended = layers.MultiHeadAttention(
        heads, max(1, width // heads), dropout=dropout, name="attention"
    )(placed, placed)
    first = layers.LayerNormalization(name="norm_1")(layers.Add(name="sum_1")([placed, attended]))
    hidden = layers.Dense(2 * width, activation="relu", name="feed_1")(first)
    fed = layers.Dense(width, name="feed_2")(hidden)
    second = layers.LayerNormalization(name="norm_2")(layers.Add(name="sum_2")([first, fed]))
    return _mean_of_tokens(second, x)


def _mean_of_tokens(values: "keras.KerasTensor", x: "keras.KerasTensor") -> "keras.KerasTensor":
    """Return the mean over all tokens that are no padding; over the padding where nothing else is.

    With the embedding's own mask, Keras would divide 0 by 0 there.
    """
    import keras
    from keras import ops

    is_empty = ops.equal(ops.max(x, axis=1, keepdims=True), 0)
    counts = ops.logical_or(ops.not_equal(x, 0), is_empty)
    pooling = keras.layers.GlobalAveragePooling1D(name="average")
    mean: keras.KerasTensor = pooling(values, mask=counts)
    return mean

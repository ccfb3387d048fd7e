"""The layers before a network that was trained on rows: from named columns to its features.

Keras's own layers and operations alone, so that the saved model needs no code besides Keras. They
do what `fitgap.data.preprocessing.encode` does, which made the features that it was trained on.
"""

import contextlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
from keras import ops

from fitgap.config.schema import DatasetConfig, TableConfig
from fitgap.data import texts
from fitgap.data.disk_arrays import Images
from fitgap.data.parts import Words
from fitgap.data.preprocessing import ColumnEncoding, Preprocessing
from fitgap.data.rows import MISSING, any_names

if TYPE_CHECKING:
    import pandas as pd

_ROWS, _NETWORK = "rows_to_features", "network"


def as_recorded(
    network: keras.Model, learned: Preprocessing | None, config: DatasetConfig, *, x: Images
) -> tuple[keras.Model, "Images | pd.DataFrame"]:
    """Return a network as it is recorded, with an example of its input.

    For a table, the recorded network takes rows as they stand in the file, and begins with layers
    that encode them. For all other data it is the network itself.

    Parameters
    ----------
    network
        As trained.
    learned
        How a table was encoded; None for other data.
    config
        Of the dataset.
    x
        Inputs of the network, of which the example takes the first three.

    Returns
    -------
    network : keras.Model
    example : array or DataFrame
        Three samples.
    """
    if learned is None:
        return network, x[:3]
    return takes_rows(network, learned, config), learned.example


def takes_rows(
    network: keras.Model, preprocessing: Preprocessing, config: DatasetConfig
) -> keras.Model:
    """Put layers before a network that make its features from a table's rows.

    Parameters
    ----------
    network
        Takes float32 of shape (n, features).
    preprocessing
        What the training partition says of each column.
    config
        Its ``missing``: further words that say that nothing is there.

    Returns
    -------
    keras.Model
        It takes a mapping of columns by their names, each of shape (n,): float32 or strings. The
        weights and the optimizer are the network's own.
    """
    if preprocessing.words is not None:
        return _takes_texts(network, preprocessing.words)
    learned = preprocessing.columns
    words = config.missing if isinstance(config, TableConfig) else None
    missing = [str(word) for word in words or ()]
    given = [
        keras.Input((), dtype="float32" if each.column.is_number else "string") for each in learned
    ]
    features = [_encoded(x, each, missing) for x, each in zip(given, learned, strict=True)]
    joined = keras.layers.Concatenate()(features) if len(features) > 1 else features[0]
    encoder = keras.Model(given, joined, name=_unlike(_ROWS, learned))
    named = {
        each.column.name: keras.Input(
            (), dtype=x.dtype, name=each.column.name.replace("/", "_") or "_"
        )
        for x, each in zip(given, learned, strict=True)
    }
    return _joined(named, encoder(list(named.values())), network, _unlike(_NETWORK, learned))


def _takes_texts(network: keras.Model, words: Words) -> keras.Model:
    given = keras.Input((), dtype="string", name=words.column.replace("/", "_"))
    numbers = _word_numbers(given, words.known, length=network.input_shape[1])
    return _joined({words.column: given}, numbers, network, _NETWORK)


def _word_numbers(x: keras.KerasTensor, known: Sequence[str], *, length: int) -> keras.KerasTensor:
    """Return the numbers of each text's first words, padded; int32 of shape (n, length)."""
    vectorization = keras.layers.TextVectorization(
        vocabulary=list(known), output_sequence_length=length
    )
    numbers = ops.cast(vectorization(x), "int32")
    # A text without words is one of an unknown word, as in training.
    first, others = numbers[:, :1], numbers[:, 1:]
    return ops.concatenate([ops.maximum(first, texts.UNKNOWN), others], axis=1)


def _joined(
    given: dict[str, keras.KerasTensor], x: keras.KerasTensor, network: keras.Model, name: str
) -> keras.Model:
    # The same layers as a model that is not compiled: of two, Keras would save one's optimizer.
    bare = keras.Model(network.inputs, network.outputs, name=name)
    with any_names():
        model = keras.Model(given, bare(x), name="model")
    model.compile(optimizer=network.optimizer, loss=network.loss)
    return model


def _unlike(name: str, learned: Sequence[ColumnEncoding]) -> str:
    """Return a layer's name that no column has."""
    columns = {each.column.name for each in learned}
    while name in columns:
        name += "_"
    return name


def _encoded(
    x: keras.KerasTensor, each: ColumnEncoding, missing: Sequence[str]
) -> keras.KerasTensor:
    """Return a column's features; shape (n, its number of them)."""
    if each.column.words is not None:
        all_words = each.column.words.known
        known = [all_words[number - texts.FIRST_WORD] for number in each.categories]
        return ops.cast(_word_numbers(x, known, length=each.column.length), "float32")
    if each.column.categories is None:
        x = keras.layers.Reshape((1,))(x)
        is_missing = ops.isnan(x)
        for number in _numbers(missing):
            is_missing = ops.logical_or(is_missing, ops.equal(x, number))
        filled = ops.where(is_missing, each.fill, x)
        if not each.marks_missing:
            return filled
        return ops.concatenate([filled, ops.cast(is_missing, "float32")], axis=-1)
    categories = [each.column.categories[number] for number in each.categories]
    words = [word for word in dict.fromkeys([*MISSING, *missing]) if word not in categories]
    # 0: unknown; from 1: the categories; above: missing.
    number = keras.layers.StringLookup(vocabulary=[*categories, *words], num_oov_indices=1)(x)
    if each.column.embed_dim is not None:
        if each.marks_missing:
            number = ops.minimum(number, len(categories) + 1)
        else:  # in training there was none: it is as one that is unknown
            number = ops.where(number > len(categories), 0, number)
        return keras.layers.Reshape((1,))(ops.cast(number, "float32"))
    number = ops.minimum(number, len(categories) + 1) - 1
    return ops.one_hot(number, len(categories) + each.marks_missing)


def _numbers(words: Sequence[str]) -> list[float]:
    numbers = []
    for word in words:
        with contextlib.suppress(ValueError):
            numbers.append(float(word))
    return [number for number in numbers if not math.isnan(number)]

"""Samples and labels as arrays: batches, axis order, one-hot labels."""

from collections.abc import Iterator

import numpy as np

from fitgap.reference.arrays import AnyArray, FloatArray, FloatType, require_rank


def batch_slices(num_samples: int, *, batch_size: int) -> Iterator[slice]:
    """Cut a data set into batches.

    Parameters
    ----------
    num_samples : int, >= 0
    batch_size : int, >= 1

    Returns
    -------
    iterator of slice
        Batch k is ``[k * batch_size, (k + 1) * batch_size)``. The last one is smaller when
        `batch_size` doesn't divide `num_samples`: 60,000 samples at 128 make 469 batches.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> list(batch_slices(5, batch_size=2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    if num_samples < 0:
        raise ValueError(f"num_samples must be at least 0; received {num_samples}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1; received {batch_size}")
    starts = range(0, num_samples, batch_size)
    return (slice(start, min(start + batch_size, num_samples)) for start in starts)


def to_channels_first(images: AnyArray) -> AnyArray:
    """Reorder images from channels-last (Keras's default) to channels-first.

    Parameters
    ----------
    images : ndarray of shape (samples, height, width, channels)

    Returns
    -------
    ndarray of shape (samples, channels, height, width), a view

    Raises
    ------
    ValueError
        If `images` hasn't four axes.
    """
    require_rank(images, name="images", axes=("samples", "height", "width", "channels"))
    return images.transpose(0, 3, 1, 2)


def require_labels(labels: AnyArray, *, num_classes: int) -> None:
    """Check that labels are class indices.

    Parameters
    ----------
    labels : ndarray of shape (samples,)
    num_classes : int

    Raises
    ------
    ValueError
        If `labels` isn't a vector of integers from 0 to ``num_classes - 1``.
    """
    require_rank(labels, name="labels", axes=("samples",))
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels must be integers; received dtype {labels.dtype}")
    if labels.size and (labels.min() < 0 or labels.max() >= num_classes):
        raise ValueError(
            f"labels must be from 0 to {num_classes - 1}, as there are {num_classes} classes; "
            f"received values from {labels.min()} to {labels.max()}"
        )


def one_hot(labels: AnyArray, *, num_classes: int, dtype: FloatType = np.float32) -> FloatArray:
    """Turn class indices into rows with a single 1.

    Parameters
    ----------
    labels : ndarray of shape (samples,), integer
        From 0 to ``num_classes - 1``.
    num_classes : int
    dtype : float32 or float64, default float32
        As in Keras.

    Returns
    -------
    ndarray of shape (samples, num_classes)

    Raises
    ------
    ValueError
        If a label is out of range or not an integer.

    Examples
    --------
    >>> one_hot(np.array([2, 0]), num_classes=3)
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)
    """
    require_labels(labels, num_classes=num_classes)
    rows = np.zeros((len(labels), num_classes), dtype=dtype)
    rows[np.arange(len(labels)), labels] = 1
    return rows

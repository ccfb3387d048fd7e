"""Metrics that scikit-learn does not have, as functions of targets and predictions."""

import numpy as np
from numpy.typing import NDArray

BINS = 15


def expected_calibration_error(
    y: NDArray[np.int64], probabilities: NDArray[np.floating], *, bins: int = BINS
) -> float:
    """Return by how much a network's confidence differs from how often it is right.

    Parameters
    ----------
    y
        Class numbers, of shape (n,).
    probabilities
        Of shape (n, classes), or (n,): those of the second of two classes.
    bins
        Of equal width over [0, 1]: samples are grouped by their highest probability.

    Returns
    -------
    float
        In [0, 1]: the mean over the samples of |mean confidence - accuracy| of their bin.

    References
    ----------
    Guo, Pleiss, Sun and Weinberger (2017), On Calibration of Modern Neural Networks, with their
    number of bins.

    Examples
    --------
    >>> expected_calibration_error(np.array([0, 1]), np.array([[0.75, 0.25], [0.75, 0.25]]))
    0.25
    """
    if probabilities.ndim == 1:
        probabilities = np.stack([1 - probabilities, probabilities], axis=1)
    confidence = probabilities.max(axis=1).astype(np.float64)
    is_right = probabilities.argmax(axis=1) == y
    bin_of = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    excess = np.bincount(bin_of, weights=confidence - is_right, minlength=bins)
    return float(np.abs(excess).sum() / len(y))


def label_accuracy(y: NDArray[np.integer], predicted: NDArray[np.integer]) -> float:
    """Return the share of all labels of all samples that are right.

    Parameters
    ----------
    y
        Whether each label belongs to each sample, 0 or 1; shape (n, labels).
    predicted
        The same, as predicted.

    Returns
    -------
    float
        From 0 to 1.

    Examples
    --------
    >>> label_accuracy(np.array([[0, 1], [1, 1]]), np.array([[0, 1], [1, 0]]))
    0.75
    """
    return float(np.mean(y == predicted))

"""Losses: how wrong a batch of outputs is, and in which direction.

Symbols: p are the outputs (probabilities), z the logits (what went into the last activation), t
the targets, n the samples of the batch and c the classes. A loss is the mean over the samples,
as in Keras's default reduction, so every gradient carries 1/n.

The cross-entropies come in two forms. From probabilities they clip at 1e-7, as Keras does. From
logits they neither clip nor overflow, and the gradient is simply ``softmax(z) - t``. **Keras on
TensorFlow trains with the second form even when the model ends in an activation**: its softmax
and its sigmoid remember their input, and every cross-entropy that finds such a memory takes it
instead of the probabilities it was given (Keras 3.15.1, ``backend/tensorflow/nn.py``: ``sigmoid``
and ``softmax`` set ``_keras_logits``, ``_get_logits`` reads it). It doesn't ask which of the two
left the memory: binary cross-entropy after softmax applies a *sigmoid* to the logits. The
attribute `from_logits` names the form that takes over; `network.Network` does as Keras does.
"""

# NumPy's stubs give Any for ufuncs and reductions.
# mypy: disable-error-code="no-any-return"

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from fitgap.reference.activations import SIGMOID, SOFTMAX
from fitgap.reference.arrays import AnyArray, FloatArray, require_rank, require_shape
from fitgap.reference.batches import require_labels

EPSILON = 1e-7
"""How far probabilities are kept from 0 and 1: ``keras.config.epsilon()``."""


class Loss(ABC):
    """A mean over samples of how far outputs are from targets.

    Attributes
    ----------
    from_logits : Loss or None
        The same loss as a function of the logits, if it is a cross-entropy of probabilities.
    """

    from_logits: ClassVar["Loss | None"] = None

    def value(self, outputs: FloatArray, *, targets: AnyArray) -> float:
        """Compute the loss of a batch.

        Parameters
        ----------
        outputs : ndarray of shape (samples, classes)
        targets : ndarray
            Of the shape of `outputs` (one-hot rows, for classes), or of shape (samples,) with
            labels for the sparse losses.

        Returns
        -------
        float
            Lower is better.

        Raises
        ------
        ValueError
            If the shapes don't fit, the batch is empty, or a label is out of range.
        """
        self._require_fit(outputs, targets)
        return float(self._per_sample(outputs, targets).mean())

    def gradient(self, outputs: FloatArray, *, targets: AnyArray) -> FloatArray:
        """Compute the derivative of `value` with respect to the outputs.

        Parameters
        ----------
        outputs, targets : ndarray
            As in `value`.

        Returns
        -------
        ndarray of shape (samples, classes)

        Raises
        ------
        ValueError
            As in `value`.
        """
        self._require_fit(outputs, targets)
        return self._per_sample_gradient(outputs, targets) / len(outputs)

    def count_correct(self, outputs: FloatArray, *, targets: AnyArray) -> int:
        """Count the samples whose most probable class is the right one: Keras's ``"accuracy"``.

        Parameters
        ----------
        outputs, targets : ndarray
            As in `value`; always probabilities, never logits. With a single column, a probability
            above 0.5 means class 1.

        Returns
        -------
        int
            From 0 to the number of samples.

        Raises
        ------
        ValueError
            As in `value`.
        """
        self._require_fit(outputs, targets)
        return int(np.count_nonzero(_classes(outputs) == self._labels(targets)))

    def _require_fit(self, outputs: FloatArray, targets: AnyArray) -> None:
        _require_batch(outputs)
        require_shape(targets, name="targets", shape=outputs.shape)

    def _labels(self, targets: AnyArray) -> AnyArray:
        return _classes(targets)

    @abstractmethod
    def _per_sample(self, outputs: FloatArray, targets: AnyArray) -> FloatArray:
        """Compute each sample's loss, shape (samples,)."""

    @abstractmethod
    def _per_sample_gradient(self, outputs: FloatArray, targets: AnyArray) -> FloatArray:
        """Compute the derivative of each sample's loss, shape (samples, classes)."""


class MeanSquaredError(Loss):
    """``mean_c (p - t)^2``; gradient ``2 (p - t) / c``."""

    def _per_sample(self, outputs: FloatArray, targets: AnyArray) -> FloatArray:
        return np.square(outputs - targets).mean(axis=-1)

    def _per_sample_gradient(self, outputs: FloatArray, targets: AnyArray) -> FloatArray:
        return 2 * (outputs - targets) / outputs.shape[-1]


class MeanAbsoluteError(Loss):
    """``mean_c |p - t|``; gradient ``sign(p - t) / c``, 0 where they are equal."""

    def _per_sample(self, outputs: FloatArray, targets: AnyArray) -> FloatArray:
        return np.abs(outputs - targets).mean(axis=-1)

    def _per_sample_gradient(self, outputs: FloatArray, targets: AnyArray) -> FloatArray:
        return np.sign(outputs - targets) / outputs.shape[-1]


class CategoricalCrossentropyFromLogits(Loss):
    """``log sum_j exp(z_j) - sum_j t_j z_j``; gradient ``softmax(z) - t``.

    Each row of the targets must sum to 1, else this isn't a cross-entropy.
    """

    def _per_sample(self, outputs: FloatArray, targets: AnyArray) -> FloatArray:
        return -(targets * _log_softmax(outputs)).sum(axis=-1)

    def _per_sample_gradient(self, outputs: FloatArray, targets: AnyArray) -> FloatArray:
        return SOFTMAX.forward(outputs) - targets


class CategoricalCrossentropy(Loss):
    """``-sum_j t_j log clip(q_j)`` with ``q = p / sum_j p_j``.

    Keras makes every row sum to 1 first and clips afterwards. A clipped probability has no
    gradient: ``dL/dq_j = -t_j / q_j`` inside the clip's bounds, else 0. Through the division,
    ``dL/dp_j = (dL/dq_j - sum_k q_k dL/dq_k) / sum_k p_k``.
    """

    from_logits = CategoricalCrossentropyFromLogits()

    def _per_sample(self, outputs: FloatArray, targets: AnyArray) -> FloatArray:
        shares = outputs / outputs.sum(axis=-1, keepdims=True)
        return -(targets * np.log(_clip(shares))).sum(axis=-1)

    def _per_sample_gradient(self, outputs: FloatArray, targets: AnyArray) -> FloatArray:
        total = outputs.sum(axis=-1, keepdims=True)
        shares = outputs / total
        by_share = -targets / _clip(shares) * _inside_clip(shares)
        return (by_share - (shares * by_share).sum(axis=-1, keepdims=True)) / total


class _SparseLoss(Loss):
    """A loss whose targets are labels of shape (samples,) instead of one-hot rows."""

    def _require_fit(self, outputs: FloatArray, targets: AnyArray) -> None:
        _require_batch(outputs)
        require_shape(targets, name="targets (labels)", shape=outputs.shape[:1])
        require_labels(targets, num_classes=outputs.shape[1])

    def _labels(self, targets: AnyArray) -> AnyArray:
        return targets


class SparseCategoricalCrossentropyFromLogits(_SparseLoss):
    """`CategoricalCrossentropyFromLogits` with labels: ``log sum_j exp(z_j) - z_label``."""

    def _per_sample(self, outputs: FloatArray, targets: AnyArray) -> FloatArray:
        return -_of_label(_log_softmax(outputs), targets)

    def _per_sample_gradient(self, outputs: FloatArray, targets: AnyArray) -> FloatArray:
        gradient = SOFTMAX.forward(outputs)
        gradient[np.arange(len(targets)), targets] -= 1
        return gradient


class SparseCategoricalCrossentropy(_SparseLoss):
    """``log sum_j q_j - log q_label`` with ``q = clip(p)``.

    Not the order of the categorical one: Keras clips first, and the rows are made to sum to 1
    afterwards, by TensorFlow, which takes ``log q`` for logits. So
    ``dL/dp_j = 1 / sum_k q_k - 1[j = label] / q_j`` inside the clip's bounds, else 0.
    """

    from_logits = SparseCategoricalCrossentropyFromLogits()

    def _per_sample(self, outputs: FloatArray, targets: AnyArray) -> FloatArray:
        clipped = _clip(outputs)
        return np.log(clipped.sum(axis=-1)) - np.log(_of_label(clipped, targets))

    def _per_sample_gradient(self, outputs: FloatArray, targets: AnyArray) -> FloatArray:
        clipped = _clip(outputs)
        gradient = np.repeat(1 / clipped.sum(axis=-1, keepdims=True), outputs.shape[1], axis=1)
        gradient[np.arange(len(targets)), targets] -= 1 / _of_label(clipped, targets)
        return gradient * _inside_clip(outputs)


class BinaryCrossentropyFromLogits(Loss):
    """``mean_c (max(z, 0) - z t + log(1 + exp(-|z|)))``; gradient ``(sigmoid(z) - t) / c``."""

    def _per_sample(self, outputs: FloatArray, targets: AnyArray) -> FloatArray:
        softplus = np.maximum(outputs, 0) + np.log1p(np.exp(-np.abs(outputs)))
        return (softplus - outputs * targets).mean(axis=-1)

    def _per_sample_gradient(self, outputs: FloatArray, targets: AnyArray) -> FloatArray:
        return (SIGMOID.forward(outputs) - targets) / outputs.shape[-1]


class BinaryCrossentropy(Loss):
    """``-mean_c (t log q + (1 - t) log(1 - q))`` with ``q = clip(p)``.

    The gradient is ``-(t / q - (1 - t) / (1 - q)) / c`` inside the clip's bounds, else 0.
    """

    from_logits = BinaryCrossentropyFromLogits()

    def _per_sample(self, outputs: FloatArray, targets: AnyArray) -> FloatArray:
        clipped = _clip(outputs)
        log_likelihood = targets * np.log(clipped) + (1 - targets) * np.log(1 - clipped)
        return -log_likelihood.mean(axis=-1)

    def _per_sample_gradient(self, outputs: FloatArray, targets: AnyArray) -> FloatArray:
        clipped = _clip(outputs)
        by_output = (1 - targets) / (1 - clipped) - targets / clipped
        return by_output * _inside_clip(outputs) / outputs.shape[-1]


_LOSSES: dict[str, Loss] = {
    "mse": MeanSquaredError(),
    "mae": MeanAbsoluteError(),
    "categorical_crossentropy": CategoricalCrossentropy(),
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy(),
    "binary_crossentropy": BinaryCrossentropy(),
}


def get_loss(name: str) -> Loss:
    """Find a loss by its name.

    Parameters
    ----------
    name : str
        One of "mse", "mae", "categorical_crossentropy", "sparse_categorical_crossentropy" and
        "binary_crossentropy".

    Returns
    -------
    Loss
        The form that takes probabilities.

    Raises
    ------
    ValueError
        If there is none of that name.

    Examples
    --------
    >>> get_loss("mse").value(np.array([[0.5, 0.5]]), targets=np.array([[1.0, 0.0]]))
    0.25
    """
    if name not in _LOSSES:
        raise ValueError(f"loss must be one of {', '.join(_LOSSES)}; received {name!r}")
    return _LOSSES[name]


def _require_batch(outputs: FloatArray) -> None:
    require_rank(outputs, name="outputs", axes=("samples", "classes"))
    if outputs.size == 0:
        raise ValueError(f"a loss needs at least one sample; received shape {outputs.shape}")


def _classes(rows: AnyArray) -> AnyArray:
    """Read the class off each row, shape (samples,)."""
    return rows[:, 0] > 0.5 if rows.shape[1] == 1 else rows.argmax(axis=-1)


def _of_label(rows: FloatArray, labels: AnyArray) -> FloatArray:
    """Take each row's entry at its label, shape (samples,)."""
    return rows[np.arange(len(labels)), labels]


def _log_softmax(logits: FloatArray) -> FloatArray:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _clip(probabilities: FloatArray) -> FloatArray:
    return np.clip(probabilities, EPSILON, 1 - EPSILON)


def _inside_clip(probabilities: FloatArray) -> AnyArray:
    """Mark where clipping changed nothing, so that a gradient passes."""
    return _clip(probabilities) == probabilities

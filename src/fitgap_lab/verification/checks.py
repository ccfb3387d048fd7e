"""What Keras and the NumPy reference may differ by, and what they did.

**One step.** Both get the same inputs; the results may differ by float32 rounding only. What
works element by element may differ by 1e-6 of the largest element, what sums hundreds of
products by 1e-5: a float32 is rounded by up to 6e-8, a sum of 784 of them typically by
sqrt(784) times that.

**An epoch.** Both start from the same weights, see the same batches and feed every rounding
into the next step. A smooth network (sigmoid) forgives that: its weights must agree within
2e-5, some ten times what was measured. A relu network need not: where a unit's input is zero
but for rounding, one of the two lets the gradient pass and the other does not, and Adam's
division makes a small gradient that only one of them has as large as any other. So there is a
control, NumPy against itself from weights perturbed by 1e-5: enough that some decisions at the
kink surely flip. In a relu network Keras may differ from NumPy by three times the largest of
three controls, or by 2e-5 if that is more. With some optimizers that allows almost anything; it
is the smooth networks that check those.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fitgap.reference.arrays import AnyArray

ELEMENTWISE_BOUND = 1e-6
SUM_BOUND = 1e-5
EPOCH_BOUND = 2e-5
LOSS_BOUND = 1e-4
PERTURBATION = 1e-5
CONTROL_FACTOR = 3

Arrays = Sequence[AnyArray]


@dataclass(frozen=True)
class StepCheck:
    """One operation, layer, activation, loss or optimizer, applied once by both.

    Attributes
    ----------
    kind, name
        What was compared.
    difference
        See `relative_difference`.
    allowed
        The largest difference that rounding explains.
    """

    kind: str
    name: str
    difference: float
    allowed: float

    @property
    def agrees(self) -> bool:
        """Whether the difference is within what is allowed; never so for NaN."""
        return self.difference <= self.allowed


@dataclass(frozen=True)
class EpochCheck:
    """One network, trained for an epoch by both.

    Attributes
    ----------
    activation, optimizer, loss
        Its hidden layer's activation and how it was trained.
    difference
        Between the final weights; see `relative_difference`.
    control
        The largest difference of NumPy against itself from perturbed weights.
    score_numpy, score_keras
        Over the validation partition: accuracies, or losses where no classes are learned.
    is_accuracy
        Which of the two.
    val_samples
        Its number of images.
    """

    activation: str
    optimizer: str
    loss: str
    difference: float
    control: float
    score_numpy: float
    score_keras: float
    val_samples: int
    is_accuracy: bool = True

    @property
    def allowed(self) -> float:
        """The largest difference that rounding explains; a fixed bound but for relu."""
        if self.activation != "relu":
            return EPOCH_BOUND
        return max(EPOCH_BOUND, CONTROL_FACTOR * self.control)

    @property
    def agrees(self) -> bool:
        """Whether weights and scores are both within what is allowed.

        Accuracies may differ by an accuracy's largest standard error, 0.5 / sqrt(n); losses by
        `LOSS_BOUND` of themselves.
        """
        apart = abs(self.score_numpy - self.score_keras)
        least = 0.5 / self.val_samples**0.5 if self.is_accuracy else LOSS_BOUND * self.score_keras
        return self.difference <= self.allowed and apart <= least


@dataclass(frozen=True)
class Verification:
    """All checks and what they ran on.

    Attributes
    ----------
    dataset, train_samples, batch_size
        Of the epochs.
    steps, epochs
        The checks.
    """

    dataset: str
    train_samples: int
    batch_size: int
    steps: tuple[StepCheck, ...]
    epochs: tuple[EpochCheck, ...]

    @property
    def agrees(self) -> bool:
        """Whether every check does."""
        return all(step.agrees for step in self.steps) and all(
            epoch.agrees for epoch in self.epochs
        )


def relative_difference(ours: Arrays, theirs: Arrays) -> float:
    """Return the largest difference of two lists of arrays, each relative to its own size.

    Per array: the largest absolute difference, divided by the largest absolute element of
    ``theirs`` (undivided where that is 0). Element by element it would say nothing where a sum
    cancels to nearly zero.

    >>> relative_difference([np.array([1.0, 0.0])], [np.array([2.0, 0.5])])
    0.5
    """
    differences = []
    for own, other in zip(ours, theirs, strict=True):
        if own.shape != other.shape:
            raise ValueError(f"arrays of one shape are compared, got {own.shape}, {other.shape}")
        largest = float(np.abs(own.astype(np.float64) - other).max())
        size = float(np.abs(other).max())
        differences.append(largest / size if size else largest)
    return float(np.max(differences))  # Python's max() could lose a NaN

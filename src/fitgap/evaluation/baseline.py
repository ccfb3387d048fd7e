"""The score of one prediction for every sample, which a network must exceed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitgap.evaluation.baseline_remarks import PREFIX
from fitgap.evaluation.metrics import Metric, compute
from fitgap.evaluation.scores import Partition


def baseline(
    train: Partition, unseen: Partition, *, metrics: Sequence[Metric], task: str, num_outputs: int
) -> dict[str, float]:
    """Return what the same prediction for every sample scores on unseen data.

    It is scikit-learn's ``DummyClassifier(strategy="prior")`` or ``DummyRegressor()``.

    Parameters
    ----------
    train
        The prediction is made of its targets: the classes' shares, the mean of the numbers, each
        label's share.
    unseen
        The validation partition, or the test partition where there is none.
    metrics
        Of the experiment.
    task, num_outputs
        Of the dataset.

    Returns
    -------
    dict
        ``baseline/<metric>``; a metric that has no value for a constant prediction is absent.
    """
    always = _prediction(train.y, task=task, num_outputs=num_outputs)
    outputs = np.tile(always, (len(unseen), 1)).astype(np.float32)
    values, _ = compute(metrics, unseen.y, outputs, task=task)
    return {f"{PREFIX}{name}": value for name, value in values.items()}


def _prediction(y: NDArray[Any], *, task: str, num_outputs: int) -> NDArray[np.float64]:
    if task == "classes":
        return np.bincount(y, minlength=num_outputs) / len(y)
    return np.atleast_1d(y.astype(np.float64).mean(axis=0))

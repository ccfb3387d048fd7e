"""What one would score without looking at the data: the bar that a network has to clear."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitgap.evaluation.metrics import Metric, compute
from fitgap.evaluation.scores import Partition

PREFIX = "baseline/"
MISLEADING = 0.8  # where one class makes up more than this share, an accuracy says little
# What `train` says of the prediction that the figures are of.
_RULES = {
    "classes": "the most frequent class",
    "numbers": "the mean of the target",
    "label_sets": "the more frequent choice for each label",
}


def baseline(
    train: Partition,
    unseen: Partition,
    *,
    metrics: Sequence[Metric],
    task: str,
    num_outputs: int,
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


def misleading(metric: str, bar: float) -> str | None:
    """Say where a share of the samples says little, since guessing alone comes near 1.

    Parameters
    ----------
    metric
        A share of the samples, an accuracy for example.
    bar
        Its baseline.
    """
    if bar <= MISLEADING:
        return None
    return (
        f"One prediction for every sample is right for {bar:.0%} of them, so {metric} says little "
        "here; balanced_accuracy, f1_macro or roc_auc among the metrics say more"
    )


def remarks(metrics: Mapping[str, float], *, primary: Metric, task: str) -> list[str]:
    """Say where a network is no better than the baseline, and where a share misleads.

    Parameters
    ----------
    metrics
        Of a run, as the record names them.
    primary
        The metric to judge by.
    task
        Of the dataset.
    """
    said = []
    name = primary.name
    bar = metrics.get(f"{PREFIX}{name}")
    where = "val" if f"val/{name}" in metrics else "test"
    own = metrics.get(f"{where}/{name}")
    if bar is not None and own is not None and primary.direction * (own - bar) <= 0:
        said.append(
            f"{where}/{name} {own:.4f} is no better than {_RULES[task]} (baseline {bar:.4f})"
        )
    if bar is not None and primary.is_share and (warning := misleading(name, bar)):
        said.append(warning)
    return said

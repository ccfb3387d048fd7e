"""Remarks on figures and their baseline: a network no better than it, a misleading share."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fitgap.evaluation.figures import figure_text

if TYPE_CHECKING:
    from fitgap.evaluation.metrics import Metric

PREFIX = "baseline/"
MISLEADING = 0.8  # where one class makes up more than this share, an accuracy says little
# What `train` says of the prediction that the figures are of.
_RULES = {
    "classes": "the most frequent class",
    "numbers": "the mean of the target",
    "label_sets": "the more frequent choice for each label",
}


def misleading(metric: str, bar: float) -> str | None:
    """Say where a share of the samples means little, because guessing alone comes near 1.

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


def remarks(metrics: Mapping[str, float], *, primary: "Metric", task: str) -> list[str]:
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
    lines = []
    name = primary.name
    bar = metrics.get(f"{PREFIX}{name}")
    where = "val" if f"val/{name}" in metrics else "test"
    own = metrics.get(f"{where}/{name}")
    if bar is not None and own is not None and primary.direction * (own - bar) <= 0:
        lines.append(
            f"{where}/{name} {figure_text(own)} is no better than {_RULES[task]} "
            f"(baseline {figure_text(bar)})"
        )
    if bar is not None and primary.is_share and (warning := misleading(name, bar)):
        lines.append(warning)
    return lines

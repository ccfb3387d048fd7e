"""How many images a figure is measured on, and how uncertain that makes it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from fitgap.comparison.significance import wilson
from fitgap.store import StoredRun
from fitgap.store.recorded_metrics import known_metric
from fitgap.trust.text import whole_number

PARTITIONS = ("train", "val", "test")
# Whose images a figure depends on.
MEASURED_ON = {
    "train": ("train",),
    "val": ("val",),
    "test": ("test",),
    "gap": ("train", "val"),
    "test_gap": ("train", "test"),
}


def shares_behind(metric: str, runs: Sequence[StoredRun]) -> list[str]:
    """Return the shares of images that a metric is computed from.

    A gap in accuracy is the difference of two shares, a validation accuracy is one.

    Parameters
    ----------
    metric
        With its partition, such as ``gap/accuracy``.
    runs
        Their records say whether the metric is a share of images.

    Returns
    -------
    list of str
        Empty for other metrics, whose uncertainty does not follow from the number of images.
    """
    part, _, name = metric.partition("/")
    is_share = known_metric(name, runs).is_share
    return [f"{one}/{name}" for one in MEASURED_ON.get(part, ())] if is_share else []


def image_interval(run: StoredRun, metric: str) -> tuple[float, float] | None:
    """Return Wilson's 95 % interval of a share of a run's images, from their number.

    Parameters
    ----------
    run
        Whose record says how many images each partition has.
    metric
        ``train/accuracy``, ``val/accuracy`` or ``test/accuracy``, or another share of images.

    Returns
    -------
    tuple of float or None
        None for other metrics, and where the share or the number of images is not known.
    """
    partition, _, quantity = metric.partition("/")
    images = whole_number(run.params.get(f"{partition}_samples"))
    share = run.metrics.get(metric, math.nan)
    if not known_metric(quantity, [run]).is_share or not images:
        return None
    return wilson(share, images=images) if 0 <= share <= 1 else None


def images_of(runs: Sequence[StoredRun], *, fewest: bool) -> dict[str, int]:
    """Return the number of images in each partition.

    Parameters
    ----------
    runs
        Their records say how many images they had.
    fewest
        Whether the smallest number is returned for a partition in which the runs differ. If not,
        such a partition is left out.
    """
    images: dict[str, int] = {}
    for name in PARTITIONS:
        found = {run.params.get(f"{name}_samples", "") for run in runs}
        numbers = [number for text in found if (number := whole_number(text))]
        if len(numbers) == len(found) and (fewest or len(found) == 1):
            images[name] = min(numbers)
    return images


def image_variance(
    runs: Sequence[StoredRun], shares: Iterable[str], *, images: Mapping[str, int]
) -> float:
    """Return the variance of a sum of shares that comes from the number of images.

    That of a share p of n images is p (1 - p) / n.

    Parameters
    ----------
    runs
        Over which each share is averaged.
    shares
        The metrics that are summed, each a share of the images of its partition.
    images
        The number of images by partition. Shares of other partitions add nothing.
    """
    total = 0.0
    for share in shares:
        part = share.partition("/")[0]
        found = [run.metrics.get(share, math.nan) for run in runs]
        finite = [value for value in found if 0 <= value <= 1]
        if part in images and finite:
            mean = fmean(finite)
            total += mean * (1 - mean) / images[part]
    return total

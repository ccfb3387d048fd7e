"""Two models on the same test images: where they disagree, and McNemar's test of it."""

from dataclasses import dataclass

import numpy as np

from fitgap.comparison.significance import mcnemar
from fitgap.errors import RequestError
from fitgap.store.predictions import StoredPredictions


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Two models on the same test images, and McNemar's exact test of a difference.

    Attributes
    ----------
    only_first, only_second
        Images that only the one, and only the other, classified rightly.
    p
        Two-sided.
    """

    only_first: int
    only_second: int
    p: float


def compare(first: StoredPredictions, second: StoredPredictions) -> Disagreement:
    """Compare two models' predictions of the same test images.

    Parameters
    ----------
    first, second
        Predicted and true classes of the test images, in the same order.

    Raises
    ------
    RequestError
        If the images were not the same.
    """
    if not np.array_equal(first.true, second.true):
        raise RequestError("their test images are not the same")
    only_first = int(np.count_nonzero(first.is_right & ~second.is_right))
    only_second = int(np.count_nonzero(second.is_right & ~first.is_right))
    return Disagreement(only_first, only_second, mcnemar(only_first, only_second))

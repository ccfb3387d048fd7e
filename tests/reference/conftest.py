"""What several tests of the reference share."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

Array = NDArray[np.float64]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def numerical_gradient() -> Callable[[Callable[[], float], Array], Array]:
    """Differentiate a function by its effect, not by calculus.

    The function reads the array, whose elements are moved one at a time by a step h both ways.
    In float64 the error, of order h^2 plus rounding over h, is about 1e-10.
    """

    def differentiate(function: Callable[[], float], array: Array) -> Array:
        step = 1e-5
        gradient = np.empty_like(array)
        for index in np.ndindex(array.shape):
            before = array[index]
            array[index] = before + step
            above = function()
            array[index] = before - step
            below = function()
            array[index] = before
            gradient[index] = (above - below) / (2 * step)
        return gradient

    return differentiate

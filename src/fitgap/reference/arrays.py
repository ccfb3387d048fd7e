"""Array types and the checks that decide whether an array fits.

Only what several modules of this package need. Checks of values (labels, settings) live beside
the code that gives those values a meaning.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

AnyArray: TypeAlias = NDArray[Any]
FloatArray: TypeAlias = NDArray[np.floating[Any]]
FloatType: TypeAlias = type[np.float32] | type[np.float64]


def require_rank(array: AnyArray, *, name: str, axes: Sequence[str]) -> None:
    """Check that an array has the named axes.

    Parameters
    ----------
    array : ndarray
        What arrived.
    name : str
        What to call it in the error.
    axes : sequence of str
        One name per expected axis, as in ``("samples", "features")``.

    Raises
    ------
    ValueError
        If the number of axes differs.
    """
    if array.ndim != len(axes):
        expected = ", ".join(axes)
        raise ValueError(
            f"{name} must have {len(axes)} axes ({expected}); received shape {array.shape}"
        )


def require_shape(array: AnyArray, *, name: str, shape: tuple[int, ...]) -> None:
    """Check that an array has exactly this shape.

    Parameters
    ----------
    array : ndarray
        What arrived.
    name : str
        What to call it in the error.
    shape : tuple of int
        The only allowed shape.

    Raises
    ------
    ValueError
        If the shape differs.
    """
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}; received shape {array.shape}")

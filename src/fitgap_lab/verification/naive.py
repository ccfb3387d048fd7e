"""Tensor operations by explicit loops.

Each function does with Python loops what one NumPy expression does, so that the loops can be
read, timed and compared. They are thousands of times slower than the vectorised layers of
`fitgap.reference`.

References
----------
.. [1] F. Chollet, "Deep Learning with Python", 2nd ed., Manning 2021, section 2.3, "The gears
       of neural networks: tensor operations".
"""

# NumPy's stubs give Any for ufuncs and reductions.
# mypy: disable-error-code="no-any-return"

import math

import numpy as np

from fitgap.reference.arrays import AnyArray, FloatArray, require_rank, require_shape


def relu(x: AnyArray) -> AnyArray:
    """Replace every negative element by zero: ``max(x, 0)``.

    Parameters
    ----------
    x : ndarray, any shape

    Returns
    -------
    ndarray, the shape and dtype of `x`

    Examples
    --------
    >>> relu(np.array([[-1.0, 2.0]]))
    array([[0., 2.]])
    """
    output = np.empty_like(x)
    for index in np.ndindex(x.shape):
        # On two scalars. Python's own max() would turn a NaN in second place into a number.
        output[index] = np.maximum(x[index], 0)
    return output


def broadcast_leading(x: AnyArray, *, shape: tuple[int, ...]) -> AnyArray:
    """Repeat a tensor along new leading axes: ``output[..., i, j] = x[i, j]``.

    Parameters
    ----------
    x : ndarray
        The smaller tensor.
    shape : tuple of int
        The wanted shape. It must end with the shape of `x`: unlike NumPy, an axis of length 1
        isn't stretched, so that a missing axis can't pass unnoticed.

    Returns
    -------
    ndarray of shape `shape`, the dtype of `x`

    Raises
    ------
    ValueError
        If `shape` doesn't end with the shape of `x`.

    Examples
    --------
    >>> broadcast_leading(np.array([1, 2, 3]), shape=(2, 3))
    array([[1, 2, 3],
           [1, 2, 3]])
    """
    num_new_axes = len(shape) - x.ndim
    if num_new_axes < 0 or shape[num_new_axes:] != x.shape:
        raise ValueError(
            f"the smaller tensor's shape must be the last axes of {shape}; received shape {x.shape}"
        )
    output = np.empty(shape, dtype=x.dtype)
    for index in np.ndindex(shape):
        output[index] = x[index[num_new_axes:]]
    return output


def add(x: AnyArray, y: AnyArray, /) -> AnyArray:
    """Add element by element; a smaller `y` is broadcast along leading axes.

    Parameters
    ----------
    x : ndarray
    y : ndarray
        Its shape is that of `x`, or the last axes of it.

    Returns
    -------
    ndarray, the shape of `x`

    Raises
    ------
    ValueError
        If the shapes don't fit.
    """
    y = broadcast_leading(y, shape=x.shape)
    output = np.empty(x.shape, dtype=np.result_type(x, y))
    for index in np.ndindex(x.shape):
        output[index] = x[index] + y[index]
    return output


def maximum(x: AnyArray, y: AnyArray, /) -> AnyArray:
    """Take the larger element of each pair; a smaller `y` is broadcast along leading axes.

    Parameters
    ----------
    x : ndarray
        For example of shape (64, 3, 32, 10).
    y : ndarray
        Its shape is that of `x`, or the last axes of it: (32, 10) in the example.

    Returns
    -------
    ndarray, the shape of `x`
        NaN where either element is NaN.

    Raises
    ------
    ValueError
        If the shapes don't fit.
    """
    y = broadcast_leading(y, shape=x.shape)
    output = np.empty(x.shape, dtype=np.result_type(x, y))
    for index in np.ndindex(x.shape):
        output[index] = np.maximum(x[index], y[index])
    return output


def vector_dot(x: AnyArray, y: AnyArray, /) -> np.generic:
    """Multiply two vectors: ``sum_i x_i y_i``.

    Parameters
    ----------
    x, y : ndarray of shape (n,)

    Returns
    -------
    scalar of the common dtype

    Raises
    ------
    ValueError
        If either isn't a vector, or the lengths differ.
    """
    require_rank(x, name="vector_dot's x", axes=("elements",))
    require_shape(y, name="vector_dot's y", shape=x.shape)
    # The sum keeps the operands' dtype: a Python float would silently sum in float64.
    total = np.result_type(x, y).type(0)
    for i in range(x.shape[0]):
        total += x[i] * y[i]
    return total


def matrix_vector(matrix: AnyArray, vector: AnyArray, /) -> AnyArray:
    """Multiply a matrix by a vector: ``output_i = matrix[i, :] . vector``.

    Parameters
    ----------
    matrix : ndarray of shape (m, n)
    vector : ndarray of shape (n,)

    Returns
    -------
    ndarray of shape (m,)

    Raises
    ------
    ValueError
        If the shapes don't fit.
    """
    require_rank(matrix, name="matrix_vector's matrix", axes=("rows", "columns"))
    require_shape(vector, name="matrix_vector's vector", shape=matrix.shape[1:])
    output = np.empty(matrix.shape[0], dtype=np.result_type(matrix, vector))
    for i in range(matrix.shape[0]):
        output[i] = vector_dot(matrix[i, :], vector)
    return output


def matrix_matrix(x: AnyArray, y: AnyArray, /) -> AnyArray:
    """Multiply two matrices: ``output[i, j] = x[i, :] . y[:, j]``.

    Parameters
    ----------
    x : ndarray of shape (m, n)
    y : ndarray of shape (n, p)

    Returns
    -------
    ndarray of shape (m, p)

    Raises
    ------
    ValueError
        If either isn't a matrix, or `y` hasn't as many rows as `x` has columns.

    Examples
    --------
    >>> matrix_matrix(np.array([[1, 2]]), np.array([[3], [4]]))
    array([[11]])
    """
    require_rank(x, name="matrix_matrix's x", axes=("rows", "columns"))
    require_rank(y, name="matrix_matrix's y", axes=("rows", "columns"))
    require_shape(y, name="matrix_matrix's y", shape=(x.shape[1], y.shape[1]))
    output = np.empty((x.shape[0], y.shape[1]), dtype=np.result_type(x, y))
    for i in range(x.shape[0]):
        for j in range(y.shape[1]):
            output[i, j] = vector_dot(x[i, :], y[:, j])
    return output


def affine_transform(points: AnyArray, *, matrix: AnyArray, offset: AnyArray) -> AnyArray:
    """Map every point to ``matrix . point + offset``.

    A dense layer without activation is this map, its kernel being the transposed matrix. Two of
    them in a row are one affine map again, which is why a network needs activations between.

    Parameters
    ----------
    points : ndarray of shape (num_points, n)
        One point per row.
    matrix : ndarray of shape (m, n)
        For example from `rotation_matrix` or `scaling_matrix`.
    offset : ndarray of shape (m,)
        The translation; zeros for a purely linear map.

    Returns
    -------
    ndarray of shape (num_points, m)

    Raises
    ------
    ValueError
        If the shapes don't fit.
    """
    require_rank(matrix, name="affine_transform's matrix", axes=("rows", "columns"))
    return add(matrix_matrix(points, matrix.T), offset)


def rotation_matrix(angle: float) -> FloatArray:
    """Build the matrix that turns a plane counter-clockwise.

    Parameters
    ----------
    angle : float
        In radians.

    Returns
    -------
    ndarray of shape (2, 2), float64

    Examples
    --------
    >>> matrix_vector(rotation_matrix(math.pi / 2), np.array([1.0, 0.0])).round(12)
    array([0., 1.])
    """
    cos, sin = math.cos(angle), math.sin(angle)
    return np.array([[cos, -sin], [sin, cos]])


def scaling_matrix(factors: AnyArray) -> AnyArray:
    """Build the matrix that stretches axis i by ``factors[i]``.

    Parameters
    ----------
    factors : ndarray of shape (n,)

    Returns
    -------
    ndarray of shape (n, n), the dtype of `factors`

    Raises
    ------
    ValueError
        If `factors` isn't a vector.

    Examples
    --------
    >>> matrix_vector(scaling_matrix(np.array([2, 3])), np.array([1, 1]))
    array([2, 3])
    """
    require_rank(factors, name="scaling_matrix's factors", axes=("axes",))
    output = np.zeros((factors.shape[0], factors.shape[0]), dtype=factors.dtype)
    for i in range(factors.shape[0]):
        output[i, i] = factors[i]
    return output

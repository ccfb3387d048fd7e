import math

import numpy as np
import pytest

from fitgap_lab.verification import naive


def test_relu_is_zero_below_zero_and_identity_above(rng):
    x = rng.normal(size=(4, 5))
    np.testing.assert_array_equal(naive.relu(x), np.maximum(x, 0))


def test_relu_keeps_nan():
    assert np.isnan(naive.relu(np.array([np.nan]))[0])


@pytest.mark.parametrize("shape", [(), (10,), (32, 10), (4, 3, 32, 10)])
def test_broadcast_leading_repeats_along_new_axes(rng, shape):
    x = rng.normal(size=shape)
    target = (4, 3, 32, 10)
    np.testing.assert_array_equal(
        naive.broadcast_leading(x, shape=target), np.broadcast_to(x, target)
    )


@pytest.mark.parametrize("shape", [(5,), (3, 1), (2, 3, 4), (4, 3)], ids=str)
def test_broadcast_leading_refuses_what_is_not_the_last_axes(shape):
    with pytest.raises(ValueError, match=r"last axes of \(3, 4\); received shape"):
        naive.broadcast_leading(np.zeros(shape), shape=(3, 4))


def test_maximum_of_a_large_and_a_small_tensor(rng):
    x, y = rng.normal(size=(64, 3, 32, 10)), rng.normal(size=(32, 10))
    np.testing.assert_array_equal(naive.maximum(x, y), np.maximum(x, y))


def test_maximum_keeps_nan_on_either_side():
    x, y = np.array([np.nan, 0.0]), np.array([0.0, np.nan])
    assert np.isnan(naive.maximum(x, y)).all()


@pytest.mark.parametrize("shape", [(4, 5), (5,)], ids=["same shape", "vector"])
def test_add_matches_numpy(rng, shape):
    x, y = rng.normal(size=(4, 5)), rng.normal(size=shape)
    np.testing.assert_array_equal(naive.add(x, y), x + y)


def test_products_match_numpy(rng):
    x, y = rng.normal(size=(3, 4)), rng.normal(size=(4, 5))
    np.testing.assert_allclose(naive.vector_dot(x[0], y[:, 0]), x[0] @ y[:, 0], rtol=1e-12)
    np.testing.assert_allclose(naive.matrix_vector(x, y[:, 0]), x @ y[:, 0], rtol=1e-12)
    np.testing.assert_allclose(naive.matrix_matrix(x, y), x @ y, rtol=1e-12)


def test_products_keep_the_dtype():
    x = np.ones((2, 3), dtype=np.float32)
    assert naive.vector_dot(x[0], x[1]).dtype == np.float32
    assert naive.matrix_vector(x, x[0]).dtype == np.float32
    assert naive.matrix_matrix(x, x.T).dtype == np.float32


@pytest.mark.parametrize(
    ("operation", "shapes", "message"),
    [
        (naive.vector_dot, [(3,), (4,)], r"vector_dot's y must have shape \(3,\).*\(4,\)"),
        (naive.vector_dot, [(3, 1), (3,)], r"vector_dot's x must have 1 axes \(elements\)"),
        (naive.matrix_vector, [(3,), (3,)], r"matrix must have 2 axes \(rows, columns\)"),
        (naive.matrix_vector, [(2, 3), (2,)], r"vector must have shape \(3,\).*\(2,\)"),
        (naive.matrix_matrix, [(2, 3), (2, 3)], r"y must have shape \(3, 3\).*\(2, 3\)"),
        (naive.matrix_matrix, [(2, 3), (3,)], r"y must have 2 axes.*\(3,\)"),
        (naive.add, [(3,), (4,)], r"last axes of \(3,\); received shape \(4,\)"),
        (naive.maximum, [(3,), (2, 3)], r"last axes of \(3,\); received shape \(2, 3\)"),
    ],
)
def test_operands_that_do_not_fit_are_named(operation, shapes, message):
    with pytest.raises(ValueError, match=message):
        operation(*map(np.zeros, shapes))


def test_a_quarter_turn_then_a_stretch_then_a_shift():
    corner = np.array([[1.0, 2.0]])
    turned = naive.matrix_matrix(corner, naive.rotation_matrix(math.pi / 2).T)
    np.testing.assert_allclose(turned, [[-2, 1]], atol=1e-15)
    stretched = naive.affine_transform(
        turned, matrix=naive.scaling_matrix(np.array([2.0, 3.0])), offset=np.array([10.0, 20.0])
    )
    np.testing.assert_allclose(stretched, [[6, 23]], atol=1e-14)


def test_two_affine_maps_in_a_row_are_one(rng):
    points = rng.normal(size=(5, 2))
    first, second = rng.normal(size=(3, 2)), rng.normal(size=(2, 3))
    shift, second_shift = rng.normal(size=3), rng.normal(size=2)
    in_turn = naive.affine_transform(
        naive.affine_transform(points, matrix=first, offset=shift),
        matrix=second,
        offset=second_shift,
    )
    at_once = naive.affine_transform(
        points, matrix=second @ first, offset=second @ shift + second_shift
    )
    np.testing.assert_allclose(in_turn, at_once, rtol=1e-10)


@pytest.mark.parametrize(
    ("matrix", "offset"),
    [((3, 4), (3,)), ((3, 2), (2,)), ((2,), (2,))],
    ids=["matrix against points", "offset against matrix", "vector as matrix"],
)
def test_affine_transform_refuses_what_does_not_fit(matrix, offset):
    with pytest.raises(ValueError, match="received shape"):
        naive.affine_transform(np.zeros((5, 2)), matrix=np.zeros(matrix), offset=np.zeros(offset))

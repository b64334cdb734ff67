"""§3.2: Eq. 1, Eq. 2, and the transformations whose θ fills in the affine six."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref.equations import (
    AFFINE,
    ATTENTION,
    ROTATION,
    SIMILARITY,
    TRANSLATION,
    target_grid,
)
from tests.strategies import AFFINE_FAMILY, affine_thetas

PARAMETERS = {"affine": (2, 3), "attention": 3, "translation": 2, "similarity": 4, "rotation": 1}
G = target_grid((3, 4))

each = pytest.mark.parametrize("transformation", AFFINE_FAMILY, ids=lambda t: t.name)


@each
def test_the_identity_leaves_the_lattice_where_it_is(transformation):
    theta = transformation.identity()
    assert theta.shape == np.empty(PARAMETERS[transformation.name]).shape
    assert_array_equal(transformation.grid(theta[None], G)[0], G)
    assert_array_equal(transformation.matrix(theta[None])[0], np.eye(3))


def test_eq_1_by_hand():
    theta = np.array([[[1, 2, 3], [4, 5, 6]]], float)
    points = np.array([[[0.5, -1.0]]])
    expected = [1 * 0.5 + 2 * -1 + 3, 4 * 0.5 + 5 * -1 + 6]
    assert_array_equal(AFFINE.grid(theta, points)[0, 0, 0], expected)


def test_eq_2_scales_both_axes_and_then_translates():
    s, t_x, t_y = 0.5, 0.1, -0.2
    matrix = ATTENTION.matrix(np.array([[s, t_x, t_y]]))[0]
    assert_array_equal(matrix, [[s, 0, t_x], [0, s, t_y], [0, 0, 1]])


def test_translation_similarity_and_rotation_by_hand():
    assert_array_equal(
        TRANSLATION.matrix(np.array([[0.3, 0.4]]))[0], [[1, 0, 0.3], [0, 1, 0.4], [0, 0, 1]]
    )
    assert_array_equal(
        SIMILARITY.matrix(np.array([[2.0, 3.0, 0.3, 0.4]]))[0],
        [[2, -3, 0.3], [3, 2, 0.4], [0, 0, 1]],
    )
    quarter = ROTATION.matrix(np.array([[np.pi / 2]]))[0]
    assert_allclose(quarter, [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-15)


@each
def test_the_grid_is_the_matrix_on_homogeneous_points(transformation, rng):
    theta = transformation.identity() + rng.uniform(-1, 1, (2, *transformation.identity().shape))
    P = np.concatenate([G, np.ones((3, 4, 1))], axis=-1)
    expected = np.einsum("bkl,ijl->bijk", transformation.matrix(theta), P)
    assert_allclose(transformation.grid(theta, G), expected[..., :2], atol=1e-14)


@given(affine_thetas(), affine_thetas())
def test_affine_maps_compose_as_their_matrices_do(outer, inner):
    product = AFFINE.matrix(outer) @ AFFINE.matrix(inner)
    twice = AFFINE.grid(outer, AFFINE.grid(inner, G))
    assert_allclose(twice, AFFINE.grid(product[:, :2], G), atol=1e-13)


def test_a_determinant_below_one_is_no_contraction():
    theta = np.array([[[2, 0, 0], [0, 0.25, 0]]])
    assert np.linalg.det(theta[0, :, :2]) < 1
    corner = np.array([[[1.0, 0.0]]])
    assert np.linalg.norm(AFFINE.grid(theta, corner)) == 2 * np.linalg.norm(corner)


@each
@given(seed=st.integers(0, 2**32 - 1))
def test_grid_and_matrix_give_the_same_gradient(transformation, seed):
    rng = np.random.default_rng(seed)
    theta = transformation.identity() + rng.uniform(-1, 1, (2, *transformation.identity().shape))
    dgrid = rng.standard_normal((2, 3, 4, 2))
    dtheta, _ = transformation.grid_backward(dgrid, theta, G)
    P = np.concatenate([G, np.ones((3, 4, 1))], axis=-1)
    dmatrix = np.zeros((2, 3, 3))
    dmatrix[:, :2] = np.einsum("bijk,ijl->bkl", dgrid, P)
    assert_allclose(dtheta, transformation.matrix_backward(dmatrix, theta), atol=1e-12)


@each
def test_a_lattice_for_each_image_or_one_for_all(transformation, rng):
    theta = transformation.identity() + rng.uniform(-1, 1, (2, *transformation.identity().shape))
    dgrid = rng.standard_normal((2, 3, 4, 2))
    both = np.stack([G, G])
    assert_array_equal(transformation.grid(theta, both), transformation.grid(theta, G))
    dtheta, dG = transformation.grid_backward(dgrid, theta, G)
    dtheta_each, dG_each = transformation.grid_backward(dgrid, theta, both)
    assert dG.shape == G.shape and dG_each.shape == both.shape
    assert_allclose(dG, dG_each.sum(axis=0), atol=1e-14)
    assert_allclose(dtheta, dtheta_each, atol=1e-14)


@each
def test_gradients_have_the_dtype_of_what_they_are_gradients_of(transformation):
    theta = transformation.identity()[None].astype(np.float32)
    assert transformation.grid(theta, G).dtype == np.float64
    assert transformation.grid(theta, G.astype(np.float32)).dtype == np.float32
    dtheta, dG = transformation.grid_backward(np.ones((1, 3, 4, 2)), theta, G)
    assert (dtheta.dtype, dG.dtype) == (np.float32, np.float64)
    assert transformation.matrix_backward(np.ones((1, 3, 3)), theta).dtype == np.float32

"""§3.2 beyond Eqs. 1 and 2: projective, splines, meshes, any basis, one after another."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal

import stn_ref
from stn_ref.equations import (
    AFFINE,
    PROJECTIVE,
    ROTATION,
    TRANSLATION,
    compose,
    linear,
    normalised,
    piecewise_affine,
    spline_condition,
    target_grid,
    thin_plate_spline,
)
from tests.strategies import TRANSFORMATIONS, TRIANGLES, VERTICES, affine_thetas

G = target_grid((5, 6))
SPLINE, MESH = thin_plate_spline(), piecewise_affine(VERTICES, TRIANGLES)
each = pytest.mark.parametrize("transformation", TRANSFORMATIONS, ids=lambda t: t.name)
anchored = pytest.mark.parametrize(
    "transformation",
    [SPLINE, thin_plate_spline(VERTICES), thin_plate_spline(regularisation=0.5), MESH],
    ids=["spline 4 x 4", "spline 5", "regularised", "mesh"],
)


def near_identity(transformation, seed=0, by=0.3):
    start = transformation.identity()
    return start + np.random.default_rng(seed).uniform(-by, by, (2, *start.shape))


@each
def test_the_identity_leaves_every_point_where_it_is(transformation):
    theta = transformation.identity()[None]
    points = np.random.default_rng(0).uniform(-1.5, 1.5, (1, 4, 5, 2))
    assert_allclose(transformation.grid(theta, points), points, atol=1e-13)


@each
def test_the_identity_is_a_fresh_array(transformation):
    transformation.identity()[...] = 7
    assert not np.any(transformation.identity() == 7)


@each
def test_grid_and_gradients_have_the_dtypes_of_the_contract(transformation):
    for theta_type, G_type in ((np.float32, np.float32), (np.float32, np.float64)):
        theta = near_identity(transformation).astype(theta_type)
        grid = transformation.grid(theta, G.astype(G_type))
        assert grid.dtype == np.result_type(theta_type, G_type)
        dtheta, dG = transformation.grid_backward(grid, theta, G.astype(G_type))
        assert (dtheta.dtype, dG.dtype) == (theta_type, G_type)
        assert (dtheta.shape, dG.shape) == (theta.shape, G.shape)
    exact = transformation.grid(theta.astype(float), G)
    assert_allclose(grid, exact, atol=2e-5)


@each
def test_a_lattice_for_each_image_or_one_for_all(transformation):
    theta, both = near_identity(transformation), np.stack([G, G])
    dgrid = np.random.default_rng(1).standard_normal((2, *G.shape))
    assert_array_equal(transformation.grid(theta, both), transformation.grid(theta, G))
    dtheta, dG = transformation.grid_backward(dgrid, theta, G)
    dtheta_each, dG_each = transformation.grid_backward(dgrid, theta, both)
    assert_allclose(dG, dG_each.sum(axis=0), atol=1e-12)
    assert_allclose(dtheta, dtheta_each, atol=1e-12)


@each
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e308])
def test_points_and_parameters_that_are_no_numbers_pass_in_silence(transformation, bad):
    points, theta = np.full((2, 1, 1, 2), bad), near_identity(transformation)
    points[0] = 0.2
    grid = transformation.grid(theta, points)
    assert np.isfinite(grid[0]).all()
    transformation.grid_backward(grid, theta, points)
    theta[1] = bad
    assert np.isfinite(transformation.grid(theta, G)[0]).all()
    stn_ref.transform(np.ones((2, 3, 3, 1)), theta, transformation=transformation)


# plane projective


def test_a_projective_point_by_hand():
    theta = np.array([[1, 2, 3, 4, 5, 6, 0.5, 0.25]], float)
    grid = PROJECTIVE.grid(theta, np.array([[[2.0, -2.0]]]))
    w = 0.5 * 2 + 0.25 * -2 + 1
    assert_allclose(grid[0, 0, 0], [(2 - 4 + 3) / w, (8 - 10 + 6) / w])


@given(affine_thetas())
def test_projective_with_a_zero_last_row_is_affine(A):
    theta = np.concatenate([A.reshape(2, 6), np.zeros((2, 2))], axis=1)
    assert_array_equal(PROJECTIVE.grid(theta, G), AFFINE.grid(A, G))
    dgrid = np.ones((2, *G.shape))
    dtheta, dG = PROJECTIVE.grid_backward(dgrid, theta, G)
    dA, dG_affine = AFFINE.grid_backward(dgrid, A, G)
    assert_allclose(dtheta[:, :6].reshape(2, 2, 3), dA, atol=1e-12)
    assert_allclose(dG, dG_affine, atol=1e-12)


@given(st.integers(0, 999))
def test_projective_maps_compose_as_their_matrices_do(seed):
    outer, inner = near_identity(PROJECTIVE, seed, 0.1), near_identity(PROJECTIVE, seed + 1, 0.1)
    H = PROJECTIVE.matrix(outer) @ PROJECTIVE.matrix(inner)
    product = (H / H[:, 2:, 2:]).reshape(2, 9)[:, :8]
    twice = PROJECTIVE.grid(outer, PROJECTIVE.grid(inner, G))
    assert_allclose(twice, PROJECTIVE.grid(product, G), atol=1e-12)


def test_on_the_horizon_division_is_ieee_and_nothing_flows_back():
    theta = np.array([[1, 0, 0, 0, 1, 0, 1, 0]], float)  # w = x + 1
    points = np.array([[[-1.0, 0.0], [-1.0, 0.5], [1.0, 0.5]]])
    grid = PROJECTIVE.grid(theta, points)[0, 0]
    assert_array_equal(grid, [[-np.inf, np.nan], [-np.inf, np.inf], [0.5, 0.25]])
    dtheta, dG = PROJECTIVE.grid_backward(np.ones((1, 1, 3, 2)), theta, points)
    alone, _ = PROJECTIVE.grid_backward(np.ones((1, 1, 1, 2)), theta, points[:, 2:])
    assert_array_equal(dtheta, alone)
    assert_array_equal(dG[0, :2], np.zeros((2, 2)))


# anchored at points: thin plate splines and triangle meshes


@anchored
@given(A=affine_thetas(1))
def test_points_moved_affinely_move_everything_affinely(transformation, A):
    anchors = transformation.identity()
    theta = AFFINE.grid(A, anchors[None])[:, 0]
    points = np.random.default_rng(0).uniform(-2, 2, (4, 5, 2))
    assert_allclose(transformation.grid(theta, points), AFFINE.grid(A, points), atol=1e-12)


@pytest.mark.parametrize("transformation", [SPLINE, thin_plate_spline(VERTICES), MESH])
@given(seed=st.integers(0, 999))
def test_each_anchor_goes_where_theta_says(transformation, seed):
    theta = near_identity(transformation, seed, 1.0)
    anchors = transformation.identity()[None]
    assert_allclose(transformation.grid(theta, anchors)[:, 0], theta, atol=1e-12)


def test_regularisation_bends_less_and_misses_the_points():
    theta = near_identity(SPLINE)
    anchors = SPLINE.identity()[None]
    misses = [
        np.abs(thin_plate_spline(regularisation=r).grid(theta, anchors)[:, 0] - theta).max()
        for r in (0.0, 0.01, 0.1, 1.0)
    ]
    assert misses == sorted(misses) and misses[0] < 1e-13 and misses[1] > 1e-3


@pytest.mark.parametrize("regularisation", [0.0, 0.3])
def test_a_spline_by_its_definition(regularisation):
    """Σ w_k U(|p − c_k|) + a·(1, x, y), with the coefficients solved for here, apart."""
    spline = thin_plate_spline(regularisation=regularisation)
    theta, points = near_identity(spline)[:1], np.array([[[0.1, 0.2], [-0.7, 1.3]]])
    c = spline.identity()

    def U(r):
        return 0.0 if r == 0 else r * r * np.log(r)

    K = len(c)
    L = np.zeros((K + 3, K + 3))
    for k in range(K):
        for l in range(K):
            L[k, l] = U(np.hypot(*(c[k] - c[l])))
        L[k, k] += regularisation
        L[k, K:] = L[K:, k] = 1, *c[k]
    w = np.linalg.solve(L, np.concatenate([theta[0], np.zeros((3, 2))]))
    for p, got in zip(points[0], spline.grid(theta, points)[0, 0], strict=True):
        expected = sum(w[k] * U(np.hypot(*(p - c[k]))) for k in range(K))
        assert_allclose(got, expected + w[K] + w[K + 1] * p[0] + w[K + 2] * p[1], atol=1e-12)


def test_the_condition_of_a_spline_is_reported_and_grows_as_points_meet():
    assert 10 < spline_condition() < 1e4
    near = np.concatenate([VERTICES, VERTICES[:1] + 1e-4])
    assert spline_condition(near) > 100 * spline_condition(VERTICES)


def barycentric_by_hand(p):
    """λ of a point in every triangle, as ratios of areas, (M, 3)."""

    def area(a, b, c):
        return np.linalg.det([b - a, c - a])

    return np.array(
        [
            np.array([area(p, b, c), area(a, p, c), area(a, b, p)]) / area(a, b, c)
            for a, b, c in VERTICES[TRIANGLES]
        ]
    )


@given(hnp.arrays(float, 2, elements=st.floats(-2, 2)), st.integers(0, 99))
def test_a_mesh_by_its_definition_inside_and_outside(p, seed):
    coordinates = barycentric_by_hand(p)
    smallest = coordinates.min(axis=1)
    first, second = np.argsort(-smallest, kind="stable")[:2]
    assume(smallest[first] - smallest[second] > 1e-9)  # on an edge either serves, to rounding
    inside = p.min() >= -1 and p.max() <= 1
    assert inside == (smallest[first] >= 0) or np.isclose(np.abs(p).max(), 1)
    theta = near_identity(MESH, seed)
    expected = coordinates[first] @ theta[:, TRIANGLES[first]]
    assert_allclose(MESH.grid(theta, p[None, None])[:, 0, 0], expected, atol=1e-11)


@given(st.integers(0, 3), st.floats(0.05, 0.95), st.integers(0, 99))
def test_a_mesh_is_continuous_across_its_edges(spoke, share, seed):
    theta = near_identity(MESH, seed, 1.0)
    edge = VERTICES[spoke] + share * (VERTICES[4] - VERTICES[spoke])
    along = VERTICES[4] - VERTICES[spoke]
    across = 1e-9 * np.array([-along[1], along[0]])
    sides = MESH.grid(theta, np.stack([edge - across, edge + across])[None])[:, 0]
    assert_allclose(sides[:, 0], sides[:, 1], atol=1e-7)


def test_on_an_edge_the_lowest_numbered_triangle_decides_the_slope():
    square = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    theta = square[None] + [[[0, 0], [0, 0], [0, 0], [0.5, 0.25]]]
    dgrid, point = np.ones((1, 1, 1, 2)), np.array([[[0.5, 0.5]]])  # on the diagonal
    slopes = []
    for order in ([[0, 1, 2], [0, 2, 3]], [[0, 2, 3], [0, 1, 2]]):
        slopes.append(piecewise_affine(square, order).grid_backward(dgrid, theta, point)[1])
    assert_allclose(slopes[0][0, 0], [1, 1])
    assert_allclose(slopes[1][0, 0], [1 - 0.375, 1 + 0.375])


def test_rounding_does_not_choose_among_tied_triangles():
    """On a regular mesh many points tie exactly; the lowest-numbered triangle has them all."""
    n = 6
    vertices = target_grid((n, n)).reshape(-1, 2)
    corners = [row * n + column for row in range(n - 1) for column in range(n - 1)]
    triangles = [t for a in corners for t in ([a, a + 1, a + n], [a + 1, a + n + 1, a + n])]
    mesh = piecewise_affine(vertices, triangles)
    theta = near_identity(mesh)[:1]
    for points in (vertices, (vertices[:-1] + vertices[1:]) / 2, [[-0.2, 1.37], [1.37, 0.2]]):
        for p in np.asarray(points):
            smallest = []
            for t in triangles:
                a, b, c = ([Fraction(x).limit_denominator(10**6) for x in v] for v in vertices[t])
                q = [Fraction(x).limit_denominator(10**6) for x in p]
                area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
                second = (q[0] - a[0]) * (c[1] - a[1]) - (q[1] - a[1]) * (c[0] - a[0])
                third = (b[0] - a[0]) * (q[1] - a[1]) - (b[1] - a[1]) * (q[0] - a[0])
                smallest.append(min(second / area, third / area, 1 - (second + third) / area))
            chosen = triangles[smallest.index(max(smallest))]
            A = np.linalg.solve(np.c_[vertices[chosen], np.ones(3)], theta[0, chosen])
            _, dG = mesh.grid_backward(np.ones((1, 1, 1, 2)), theta, p[None, None])
            assert_allclose(dG[0, 0], A[:2].sum(axis=1), atol=1e-9)


def test_the_size_of_a_triangle_is_no_matter():
    tiny = piecewise_affine([[0, 0], [1e-16, 0], [0, 1e-16]], [[0, 1, 2]])
    assert_allclose(tiny.grid(tiny.identity()[None], tiny.identity()[None, None]) * 1e16,
                    tiny.identity()[None, None] * 1e16, atol=1e-12)  # fmt: skip


# any basis, and composition


def polynomial(G):
    x, y = G[..., 0], G[..., 1]
    return np.stack([x, y, x * x, x * y, y * y], axis=-1)


def polynomial_backward(dB, G):
    x, y = G[..., 0], G[..., 1]
    dx = dB[..., 0] + 2 * dB[..., 2] * x + dB[..., 3] * y
    dy = dB[..., 1] + dB[..., 3] * x + 2 * dB[..., 4] * y
    return np.stack([dx, dy], axis=-1)


POLYNOMIAL = linear(polynomial, polynomial_backward, np.eye(5, 2), name="polynomial")


def test_any_basis_makes_a_transformation(rng):
    theta = near_identity(POLYNOMIAL)
    expected = np.einsum("ijk,bkd->bijd", polynomial(G), theta)
    assert_allclose(POLYNOMIAL.grid(theta, G), expected, atol=1e-14)
    stn_ref.check_gradients(
        POLYNOMIAL.grid, POLYNOMIAL.grid_backward, theta, G, rng=rng
    ).raise_if_wrong()


def test_the_gradient_of_a_learnable_basis(rng):
    theta, dgrid = near_identity(POLYNOMIAL), rng.standard_normal((2, *G.shape))
    dB = POLYNOMIAL.basis_gradient(dgrid, theta)
    assert_allclose(dB, np.einsum("bijd,bkd->bijk", dgrid, theta), atol=1e-14)


def test_a_composition_is_one_map_after_the_other():
    both = compose(SPLINE, ROTATION)
    theta_outer, theta_inner = near_identity(SPLINE), near_identity(ROTATION)
    theta = np.concatenate([theta_outer.reshape(2, -1), theta_inner], axis=1)
    assert both.identity().shape == (33,) and both.matrix is None
    expected = SPLINE.grid(theta_outer, ROTATION.grid(theta_inner, G))
    assert_array_equal(both.grid(theta, G), expected)


def test_a_composition_of_matrices_is_their_product():
    both = compose(PROJECTIVE, TRANSLATION)
    theta_outer, theta_inner = near_identity(PROJECTIVE, 0, 0.1), near_identity(TRANSLATION)
    theta = np.concatenate([theta_outer, theta_inner], axis=1)
    product = PROJECTIVE.matrix(theta_outer) @ TRANSLATION.matrix(theta_inner)
    assert_array_equal(both.matrix(theta), product)
    other_way = compose(TRANSLATION, PROJECTIVE)
    swapped = np.concatenate([theta_inner, theta_outer], axis=1)
    assert not np.allclose(other_way.grid(swapped, G), both.grid(theta, G))


def test_a_composition_is_not_sampled_in_between(rng):
    """A shift out of the plane and back loses nothing."""
    U = rng.standard_normal((1, 4, 5, 1))
    there_and_back = compose(TRANSLATION, TRANSLATION)
    V = stn_ref.transform(U, [[4.0, 0.0, -4.0, 0.0]], transformation=there_and_back)
    assert_array_equal(V, U)


# what cannot be


LINE = [[0.1, 0.2], [0.2, 0.4], [0.3, 0.6], [-1, -2]]
BAD = {
    "two points": (lambda: thin_plate_spline([[0.0, 0], [1, 1]]), "2 points; a spline needs"),
    "repeated": (
        lambda: thin_plate_spline([[0.0, 0], [1, 0], [0, 1], [1, 0]]),
        r"control points 1 and 3 are both at \(1.0, 0.0\)",
    ),
    "collinear": (lambda: thin_plate_spline(LINE), r"\[0.1, 0.2\].* all lie on one line"),
    "nearly repeated": (
        lambda: thin_plate_spline([*VERTICES, VERTICES[0] + 1e-9]),
        "nearly coincide .* the closest are 0 and 5",
    ),
    "one tiny step apart": (
        lambda: thin_plate_spline([[0, 0], [1e-170, 0], [1, 0], [0, 1.0]]),
        "nearly coincide .* the closest are 0 and 1",
    ),
    "nearly collinear": (
        lambda: thin_plate_spline([[0, 0], [1, 1e-15], [2, 0], [3.0, 0]]),
        "line",
    ),
    "a vertex not finite": (lambda: piecewise_affine(VERTICES * np.nan, TRIANGLES), "not finite"),
    "collinear far away": (
        lambda: thin_plate_spline(1e-3 * np.linspace(-1, 1, 7)[:, None] * [1, 1 / 3] + 100),
        "all lie on one line",
    ),
    "basis backward": (
        lambda: linear(polynomial, lambda dB, G: dB, np.eye(5, 2)).grid_backward(
            np.ones((1, 5, 6, 2)), np.ones((1, 5, 2)), G
        ),
        r"basis_backward\(dB, G\) has shape \(5, 6, 5\); expected \(5, 6, 2\)",
    ),
    "a learnable basis's batch": (
        lambda: POLYNOMIAL.basis_gradient(np.ones((1, 2, 3, 2)), np.ones((4, 5, 2))),
        r"dgrid has shape \(1, 2, 3, 2\); expected \(4, ",
    ),
    "not finite": (lambda: thin_plate_spline([[np.nan, 0], [1, 0], [0, 1]]), "not finite"),
    "shape": (lambda: thin_plate_spline(np.zeros((4, 4))), r"expected \(K, 2\)"),
    "regularisation": (lambda: thin_plate_spline(regularisation=-1), "regularisation is -1"),
    "degenerate": (
        lambda: piecewise_affine(LINE, [[0, 1, 2]]),
        r"triangle 0, vertices \[0, 1, 2\] at .* has no area",
    ),
    "missing vertex": (lambda: piecewise_affine(VERTICES, [[0, 1, 5]]), "vertices 0 to 5 of 5"),
    "no triangles": (lambda: piecewise_affine(VERTICES, np.zeros((0, 3), int)), "M at least 1"),
    "basis": (
        lambda: linear(polynomial, polynomial_backward, np.eye(4, 2)).grid(np.ones((1, 4, 2)), G),
        r"basis\(G\) has shape \(5, 6, 5\); expected \(5, 6, 4\)",
    ),
    "flat theta": (lambda: compose(AFFINE, AFFINE).grid(np.ones((1, 2, 3)), G), r"\(B, 12\)"),
    "matrix": (lambda: PROJECTIVE.grid(np.ones((1, 3, 3)), G), r"expected \(B, 8\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_is_named(name):
    call, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        call()


def test_what_is_no_transformation_is_no_part_of_one():
    with pytest.raises(TypeError, match="transformation is 'affine'"):
        compose("affine", AFFINE)
    with pytest.raises(TypeError, match="kernel is 'hat'"):
        normalised("hat")
    with pytest.raises(TypeError, match="regularisation is 'a'"):
        thin_plate_spline(regularisation="a")


def test_half_a_matrix_is_none():
    half = replace(AFFINE, matrix_backward=None)
    assert compose(half, AFFINE).matrix is None
    U, theta = np.ones((1, 3, 3, 1)), AFFINE.identity()[None]
    V = stn_ref.transform(U, theta, transformation=half)
    stn_ref.transform_backward(V, U, theta, transformation=half)


def test_triangles_are_whole_numbers():
    with pytest.raises(TypeError, match="triangles has dtype float64"):
        piecewise_affine(VERTICES, TRIANGLES * 1.0)

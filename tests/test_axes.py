"""Signals, maps and volumes: one formulation, and the same laws on one, two and three axes."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import stn_ref
from stn_ref import equations as eq
from stn_ref.backends import get
from stn_ref.backends.pixels import source_pixels, source_pixels_backward
from stn_ref.proofs.knots import no_crossing, sampler_knots, sampler_pieces
from tests.conformance import KERNELS, points

reference = get("reference")

SIZE, OUT = (3, 4, 5), (2, 3, 4)  # D, H, W and D', H', W'
TIES = ("right", "left", "central")
INTERPOLATING = (eq.BILINEAR, eq.INTEGER, eq.keys(), eq.lanczos())
REPEATING = {"reflection": lambda S: 2 * S - 2, "symmetric": lambda S: 2 * S, "wrap": lambda S: S}

every = pytest.mark.parametrize("axes", (1, 2, 3))
pad = pytest.mark.parametrize("padding", eq.PADDINGS)
each = pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: f"{k.name}{k.Phi}")


def case(axes, seed=0):
    """dV, U and xy, up to three pixels outside; half of the coordinates lie on a knot."""
    rng = np.random.default_rng([axes, seed])
    size, out = SIZE[-axes:], (2, *OUT[-axes:])
    dV, U = rng.standard_normal((*out, 2)), rng.standard_normal((2, *size, 2))
    return dV, U, points(rng, out, size)


def away(xy):
    """The same points, none on a knot."""
    return np.floor(xy) + 0.2 + 0.1 * (xy % 1)


def options(kernel, padding):
    return {"kernel": kernel, "padding": padding, "fill": 0.7 if padding == "constant" else 0.0}


def theta_near_identity(transformation, by=0.3):
    start = transformation.identity()
    return start + np.random.default_rng(3).uniform(-by, by, (2, *start.shape))


# Eq. 3, 6 and 7


def test_a_signal_by_hand():
    U = np.array([1.0, 4, 9, 16]).reshape(1, 4, 1)
    V = stn_ref.sample(U, np.array([[[1.25], [3.5]]]), backend="reference")
    assert_allclose(V[0, :, 0], [0.75 * 4 + 0.25 * 9, 0.5 * 16])
    dV = np.array([2.0, 1]).reshape(1, 2, 1)
    dU, dx, _ = eq.sample_backward(dV, U, np.array([[[1.25], [3.5]]]))
    assert_allclose(dU[0, :, 0], [0, 1.5, 0.5, 0.5])
    assert_allclose(dx[0, :, 0], [2 * 5, -16])


def test_a_volume_by_hand():
    """A.3 of the paper: three sums and three weights, a point is (x, y, z)."""
    U = np.arange(60.0).reshape(1, 3, 4, 5, 1) ** 2
    x, y, z = 2.25, 0.5, 1.75
    V = np.zeros(1)
    slopes, dU = np.zeros(3), np.zeros(U.shape)
    for l, n, m in product(range(3), range(4), range(5)):
        k = [max(0, 1 - abs(t)) for t in (x - m, y - n, z - l)]
        dk = [(abs(t) < 1) * -np.sign(t) for t in (x - m, y - n, z - l)]
        V += U[0, l, n, m] * k[0] * k[1] * k[2]
        slopes += U[0, l, n, m] * np.array(
            [dk[0] * k[1] * k[2], k[0] * dk[1] * k[2], k[0] * k[1] * dk[2]]
        )
        dU[0, l, n, m] = k[0] * k[1] * k[2]
    xyz = np.array([x, y, z]).reshape(1, 1, 1, 1, 3)
    assert_allclose(eq.sample(U, xyz).ravel(), V)
    got = eq.sample_backward(np.ones((1, 1, 1, 1, 1)), U, xyz)
    assert_allclose(got[0], dU, atol=1e-15)
    assert_allclose(got[1].ravel(), slopes)


@every
@each
def test_sample_equals_the_sum_as_printed(axes, kernel):
    _, U, xy = case(axes)
    kernels = (kernel, eq.keys(), eq.hat(1.5))[:axes]
    for k in (kernel, kernels, kernels[::-1]):
        assert_allclose(eq.sample(U, xy, kernel=k), eq.sample_dense(U, xy, kernel=k), atol=1e-13)


@every
@each
@pad
def test_sampling_and_splatting_are_adjoint(axes, kernel, padding):
    dV, U, xy = case(axes)
    V = eq.sample(U, xy, kernel=kernel, padding=padding)
    dU, _, _ = eq.sample_backward(dV, U, xy, kernel=kernel, padding=padding)
    terms = np.sum(np.abs(U * dU)) + np.sum(np.abs(V * dV))
    assert abs(np.sum(U * dU) - np.sum(V * dV)) <= 1e-12 * terms


@pytest.mark.parametrize("axes", (2, 3))
@pad
@pytest.mark.parametrize("tie", TIES)
def test_where_nothing_changes_along_the_first_side_there_is_one_axis_less(axes, padding, tie):
    """A stack of one map is sampled as the map, to the bit: so 3-D agrees with 2-D, 2-D with 1-D.

    The last coordinate takes one pixel with the weight 1, wherever within the stack it lies.
    """
    dV, U, xy = case(axes - 1)
    depth = np.random.default_rng(1).integers(0, 4, xy[..., 0].shape)
    stack = np.repeat(U[:, None], 4, axis=1)
    there = np.concatenate([xy, depth[..., None] + 0.25], axis=-1)[:, None]
    thin = (eq.keys(), eq.hat(1.5))[: axes - 1]
    thick = (*thin, eq.INTEGER)
    V = eq.sample(U, xy, **options(thin, padding))
    assert_array_equal(eq.sample(stack, there, **options(thick, padding))[:, 0], V)
    flat = eq.sample_backward(dV, U, xy, tie=tie, **options(thin, padding))
    dU, dxy, dPhi = eq.sample_backward(
        dV[:, None], stack, there, tie=tie, **options(thick, padding)
    )
    assert_allclose(dU.sum(axis=1), flat[0], atol=1e-12)
    assert_array_equal(dxy[:, 0, ..., :-1], flat[1])
    assert_array_equal(dxy[..., -1], np.zeros(dxy.shape[:-1]))
    for ours, theirs in zip(dPhi[:-1], flat[2], strict=True):
        assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize("axes", (2, 3))
@each
@pad
def test_a_volume_with_its_sides_reversed_is_sampled_reversed(axes, kernel, padding):
    """z is to D what x is to W."""
    dV, U, xy = case(axes)
    turned = (0, *range(axes, 0, -1), axes + 1)
    kernels = (kernel, eq.BILINEAR, eq.hat(1.5))[:axes]
    found = [eq.sample(U, xy, **options(kernels, padding))]
    found += eq.sample_backward(dV, U, xy, **options(kernels, padding))
    back = [eq.sample(U.transpose(turned), xy[..., ::-1], **options(kernels[::-1], padding))]
    back += eq.sample_backward(
        dV, U.transpose(turned), xy[..., ::-1], **options(kernels[::-1], padding)
    )
    assert_allclose(found[0], back[0], atol=1e-13)
    assert_allclose(found[1], back[1].transpose(turned), atol=1e-12)
    assert_allclose(found[2], back[2][..., ::-1], atol=1e-11)
    for ours, theirs in zip(found[3], back[3][::-1], strict=True):
        assert_allclose(ours, theirs, rtol=1e-10, atol=1e-11)


@every
@pad
@pytest.mark.parametrize("kernel", [eq.BILINEAR, eq.keys()], ids=lambda k: k.name)
def test_gradients_agree_with_differences_off_the_knots(axes, padding, kernel, rng):
    _, U, xy = case(axes)
    f, f_backward = (
        lambda *a: eq.sample(*a, **options(kernel, padding)),
        lambda *a: eq.sample_backward(*a, **options(kernel, padding)),
    )
    report = stn_ref.check_gradients(
        f, f_backward, U, away(xy), rng=rng, knots=sampler_knots(kernel)
    )
    report.raise_if_wrong()


@every
@pad
@pytest.mark.parametrize("tie", TIES)
def test_on_the_knots_a_gradient_is_that_of_its_side(axes, padding, tie, rng):
    _, U, xy = case(axes)
    U, xy = U[:1], np.round(xy[:1, ..., :1, :]) % SIZE[: -axes - 1 : -1]
    report = stn_ref.check_gradients(
        lambda *a: eq.sample(*a, **options(eq.BILINEAR, padding)),
        lambda *a: eq.sample_backward(*a, tie=tie, **options(eq.BILINEAR, padding)),
        U, xy, rng=rng, knots=sampler_knots(),
    )  # fmt: skip
    report.raise_if_wrong()
    sides = {row.where.split(",")[0] for row in report.rows if row.input == 1}
    assert sides <= {f"on a knot: {tie}", "on a knot: either side"}
    assert f"on a knot: {tie}" in sides


@every
@pytest.mark.parametrize("kernel", [k for k in KERNELS if k.Phi], ids=lambda k: f"{k.name}{k.Phi}")
def test_each_axis_has_its_own_phi(axes, kernel, rng):
    dV, U, xy = case(axes)
    xy = np.floor(xy) + rng.choice([0.13, 0.17, 0.83, 0.87], xy.shape)  # away from its knots

    def rows(*Phi):
        return tuple(replace(kernel, Phi=tuple(phi)) for phi in Phi)

    def f(*Phi):
        return eq.sample(U, xy, kernel=rows(*Phi), padding="border")

    def f_backward(dV, *Phi):
        return eq.sample_backward(dV, U, xy, kernel=rows(*Phi), padding="border")[2]

    phis = [np.array(kernel.Phi) * (1 + 0.01 * a) for a in range(axes)]
    assert [d.dtype for d in f_backward(dV, *phis)] == [np.float64] * axes
    stn_ref.check_gradients(f, f_backward, *phis, rng=rng).raise_if_wrong()


@every
def test_eq_7_as_printed_returns_the_pixel_itself_on_a_knot(axes):
    U = np.full((1, *(5,) * axes, 1), 7.0)
    dV, xy = np.ones((1, *(1,) * axes, 1)), np.full((1, *(1,) * axes, axes), 2.0)
    assert_array_equal(eq.sample_backward(dV, U, xy, tie="paper")[1].ravel(), [7] * axes)
    with pytest.raises(ValueError, match="BILINEAR on every axis"):
        mixed = (eq.BILINEAR,) * (axes - 1) + (eq.keys(),)
        eq.sample_backward(dV, U, xy, tie="paper", kernel=mixed)


# not finite, huge, empty, and how arrays lie


@every
@pad
@each
def test_a_coordinate_that_is_no_number_wins_on_any_axis(axes, padding, kernel):
    dV, U, xy = case(axes)
    for a in range(axes):
        bad = xy.copy()
        first = (slice(None), *(0,) * axes)
        bad[(*first, a)] = np.nan
        V = eq.sample(U, bad, **options(kernel, padding))
        expected = eq.sample(U, xy, **options(kernel, padding))
        expected[first] = np.nan
        assert_array_equal(V, expected)
        silent = dV.copy()
        silent[first] = 0
        dU, dxy, dPhi = eq.sample_backward(dV, U, bad, **options(kernel, padding))
        without = eq.sample_backward(silent, U, xy, **options(kernel, padding))
        assert np.isnan(dxy[first]).all() and np.isnan(dxy).sum() == 2 * axes
        assert_array_equal(dU, without[0])
        assert_allclose(np.concatenate(dPhi), np.concatenate(without[2]), atol=1e-12)


@every
@pad
@pytest.mark.parametrize("sign", (1, -1))
def test_at_infinity_an_axis_is_beyond_its_edge_or_lost(axes, padding, sign):
    dV, U, xy = case(axes)
    for a in range(axes):
        far, near = xy.copy(), xy.copy()
        far[..., a], near[..., a] = sign * np.inf, sign * 99.0
        V = eq.sample(U, far, **options(eq.BILINEAR, padding))
        dU, dxy, _ = eq.sample_backward(dV, U, far, **options(eq.BILINEAR, padding))
        if padding in REPEATING:
            assert np.isnan(V).all() and np.isnan(dxy).all() and not dU.any()
        else:
            assert_array_equal(V, eq.sample(U, near, **options(eq.BILINEAR, padding)))
            assert_array_equal(dxy[..., a], np.zeros(dxy.shape[:-1]))
            assert np.isfinite(dxy).all()


@every
@pad
def test_huge_coordinates_are_exact_on_every_axis(axes, padding):
    _, U, xy = case(axes)
    for a, x in product(range(axes), (2.0**31, -(2.0**53), 1e19, -3e38, 1e300)):
        far, near, S = xy.copy(), xy.copy(), SIZE[-1 - a]
        far[..., a] = x
        near[..., a] = int(x) % REPEATING[padding](S) if padding in REPEATING else np.sign(x) * 99
        V = eq.sample(U, far, **options(eq.keys(), padding))
        assert_array_equal(V, eq.sample(U, near, **options(eq.keys(), padding)))


@every
def test_a_pixel_that_is_not_finite_reaches_only_points_that_tap_it(axes):
    U = np.ones((1, *(4,) * axes, 1))
    U[(0, *(0,) * axes)] = np.nan
    xy = np.array([[0.5] * axes, [1.25] * axes, [-1.5] * axes, [9.0] * axes])
    xy = xy.reshape(1, *(1,) * (axes - 1), 4, axes)
    assert_array_equal(eq.sample(U, xy).ravel(), [np.nan, 1, 0, 0])
    assert_array_equal(eq.sample(U, xy, kernel=eq.INTEGER).ravel(), [1, 1, 0, 0])


@every
def test_empty_batches_channels_and_outputs_give_empty_results(axes):
    for B, C, last in ((0, 1, 2), (1, 0, 2), (1, 1, 0)):
        U = np.ones((B, *SIZE[-axes:], C))
        xy = np.ones((B, *(2,) * (axes - 1), last, axes))
        V = eq.sample(U, xy)
        assert V.shape == eq.sample_dense(U, xy).shape == (*xy.shape[:-1], C)
        dU, dxy, dPhi = eq.sample_backward(V, U, xy)
        assert (dU.shape, dxy.shape, len(dPhi)) == (U.shape, xy.shape, axes)
        assert not dU.any() and not dxy.any()


@every
@pytest.mark.parametrize("wide", (np.float32, np.float64, np.longdouble))
def test_results_keep_dtypes_and_layout(axes, wide):
    _, U, xy = case(axes)
    planar = np.ascontiguousarray(np.moveaxis(U, -1, 1)).astype(wide)
    planar = np.moveaxis(planar, 1, -1)
    V = eq.sample(planar, xy)
    dU, dxy, _ = eq.sample_backward(V, planar, xy.astype(np.float32))
    assert (V.dtype, dU.dtype, dxy.dtype) == (wide, wide, np.float32)
    for array in (V, dU):
        assert np.argsort(array.strides).tolist() == np.argsort(planar.strides).tolist()
    assert_array_equal(V, eq.sample(np.ascontiguousarray(planar), xy))
    assert eq.sample(U, xy).flags.c_contiguous


# §3.2


@every
@pytest.mark.parametrize("align_corners", (True, False))
def test_the_lattice_has_its_last_side_first(axes, align_corners):
    size = SIZE[-axes:]
    G = eq.target_grid(size, align_corners=align_corners)
    assert G.shape == (*size, axes)
    for a in range(axes):
        along = eq.target_grid((size[-1 - a],), align_corners=align_corners)[:, 0]
        there = np.moveaxis(G[..., a], -1 - a, -1)
        assert_array_equal(there, np.broadcast_to(along, there.shape))
    xy = eq.to_pixels(G[None], size, align_corners=align_corners)
    assert_allclose(xy[0], np.stack(np.indices(size)[::-1], axis=-1), atol=1e-14)
    slopes = eq.to_pixels_backward(np.ones_like(xy), size, align_corners=align_corners)
    half = [(S - 1) / 2 if align_corners else S / 2 for S in size[::-1]]
    assert_array_equal(slopes, np.broadcast_to(half, xy.shape))


def test_matrices_by_hand_on_one_and_three_axes():
    assert_array_equal(eq.affine(1).matrix(np.array([[[2.0, 3]]]))[0], [[2, 3], [0, 1]])
    assert_array_equal(eq.attention(1).matrix(np.array([[2.0, 3]]))[0], [[2, 3], [0, 1]])
    assert_array_equal(eq.translation(1).matrix(np.array([[3.0]]))[0], [[1, 3], [0, 1]])
    A = np.arange(12.0).reshape(3, 4)
    assert_array_equal(eq.affine(3).matrix(A[None])[0], [*A, [0, 0, 0, 1]])
    crop = [[2, 0, 0, 3], [0, 2, 0, 4], [0, 0, 2, 5], [0, 0, 0, 1]]
    assert_array_equal(eq.attention(3).matrix(np.array([[2.0, 3, 4, 5]]))[0], crop)
    shift = [[1, 0, 0, 3], [0, 1, 0, 4], [0, 0, 1, 5], [0, 0, 0, 1]]
    assert_array_equal(eq.translation(3).matrix(np.array([[3.0, 4, 5]]))[0], shift)
    point = np.array([0.5, -1, 2]).reshape(1, 1, 1, 3)
    assert_array_equal(eq.affine(3).grid(A[None], point).ravel(), A @ [0.5, -1, 2, 1])
    assert eq.affine(1).grid(np.array([[[2.0, 3]]]), np.array([[0.5]])).item() == 4


def test_an_infinite_scale_is_infinite_on_the_diagonal_only():
    matrix = eq.ATTENTION.matrix(np.array([[np.inf, 0.0, 1.0]]))[0]
    assert_array_equal(matrix, [[np.inf, 0, 0], [0, np.inf, 1], [0, 0, 1]])


@pytest.mark.parametrize("family", ["affine", "attention", "translation"])
def test_the_capitals_are_the_two_dimensional_ones(family):
    ours, capital = getattr(eq, family)(2), getattr(eq, family.upper())
    assert ours.name == capital.name == family
    theta = theta_near_identity(capital)
    assert_array_equal(ours.matrix(theta), capital.matrix(theta))
    for wrong in (0, 4, True, 2.0, "2"):
        with pytest.raises(ValueError, match=f"axes is {wrong!r}; expected 1, 2 or 3"):
            getattr(eq, family)(wrong)


FAMILY = (eq.affine, eq.attention, eq.translation)


@every
@pytest.mark.parametrize("family", FAMILY, ids=lambda f: f.__name__)
def test_grids_matrices_and_their_gradients_agree(axes, family, rng):
    transformation = family(axes)
    theta, G = theta_near_identity(transformation), eq.target_grid(OUT[-axes:])
    P = np.concatenate([G, np.ones((*G.shape[:-1], 1))], axis=-1)
    grid = transformation.grid(theta, G)
    expected = np.einsum("bkl,...l->b...k", transformation.matrix(theta), P)
    assert_allclose(grid, expected[..., :-1], atol=1e-14)
    assert_array_equal(transformation.grid(theta, np.stack([G, G])), grid)
    start = transformation.identity()[None]
    assert_array_equal(transformation.grid(start, G)[0], G)
    for f, f_backward, inputs in (
        (transformation.grid, transformation.grid_backward, (theta, G)),
        (transformation.grid, transformation.grid_backward, (theta, np.stack([G, 2 * G]))),
        (transformation.matrix, transformation.matrix_backward, (theta,)),
    ):
        stn_ref.check_gradients(f, f_backward, *inputs, rng=rng).raise_if_wrong()


def test_any_basis_makes_a_transformation_of_volumes(rng):
    cubic = eq.linear(
        lambda G: np.concatenate([G, np.prod(G, axis=-1, keepdims=True)], axis=-1),
        lambda dB, G: dB[..., :3] + dB[..., 3:] * np.prod(G, axis=-1, keepdims=True) / G,
        np.eye(4, 3),
    )
    theta, G = theta_near_identity(cubic), 0.9 * eq.target_grid((2, 4, 2)) + 0.07
    assert cubic.basis_gradient(np.ones((2, *G.shape)), theta).shape == (2, 2, 4, 2, 4)
    stn_ref.check_gradients(cubic.grid, cubic.grid_backward, theta, G, rng=rng).raise_if_wrong()


# thin plate splines on volumes


CORNERS = eq.target_grid((2, 2, 2)).reshape(-1, 3)
INSIDE = np.array([[0.1, 0.2, -0.3], [-0.4, 0.5, 0.6], [0.7, -0.2, 0.1]])
CONTROL = np.concatenate([CORNERS, INSIDE])
solid = pytest.mark.parametrize("regularisation", [0.0, 0.3])


@solid
def test_a_spline_on_volumes_by_its_definition(regularisation):
    """Σ w_k U(|p − c_k|) + a·(1, x, y, z) with U(r) = −r, solved for here, apart."""
    spline = eq.thin_plate_spline(CONTROL, regularisation=regularisation)
    theta, points = theta_near_identity(spline)[:1], np.array([[0.1, 0.2, 0.9], [-0.7, 1.3, 0]])
    K = len(CONTROL)
    L, target = np.zeros((K + 4, K + 4)), np.concatenate([theta[0], np.zeros((4, 3))])
    for k, l in product(range(K), range(K)):
        L[k, l] = -np.linalg.norm(CONTROL[k] - CONTROL[l]) + regularisation * (k == l)
        L[k, K:] = L[K:, k] = 1, *CONTROL[k]
    w = np.linalg.solve(L, target)
    for p, got in zip(points, spline.grid(theta, points[None, None])[0, 0, 0], strict=True):
        bent = sum(w[k] * -np.linalg.norm(p - CONTROL[k]) for k in range(K))
        assert_allclose(got, bent + w[K] + w[K + 1 :].T @ p, atol=1e-12)


@solid
def test_a_spline_reproduces_affine_maps_of_volumes(regularisation):
    spline = eq.thin_plate_spline(CONTROL, regularisation=regularisation)
    A = np.random.default_rng(0).uniform(-1, 1, (1, 3, 4))
    moved = eq.affine(3).grid(A, CONTROL[None, None])[:, 0, 0]
    G = 2 * eq.target_grid((3, 4, 5))
    assert_allclose(spline.grid(moved, G), eq.affine(3).grid(A, G), atol=1e-12)
    assert_allclose(spline.grid(CONTROL[None], G)[0], G, atol=1e-13)


def test_each_control_point_of_a_volume_goes_where_theta_says():
    spline = eq.thin_plate_spline(CONTROL)
    theta = theta_near_identity(spline, 1.0)
    assert_allclose(spline.grid(theta, CONTROL[None, None])[:, 0, 0], theta, atol=1e-12)
    assert 10 < eq.spline_condition(CONTROL) < 1e4


def test_on_volumes_too_regularisation_bends_less_and_misses_the_points():
    misses = []
    for regularisation in (0.0, 0.01, 0.1, 1.0, 10.0):
        spline = eq.thin_plate_spline(CONTROL, regularisation=regularisation)
        theta = theta_near_identity(spline)
        misses.append(np.abs(spline.grid(theta, CONTROL[None, None])[:, 0, 0] - theta).max())
    assert misses == sorted(misses) and misses[0] < 1e-13 and misses[1] > 1e-3


@solid
def test_the_gradients_of_a_spline_on_volumes(regularisation, rng):
    spline = eq.thin_plate_spline(CONTROL, regularisation=regularisation)
    theta, G = theta_near_identity(spline), 0.9 * eq.target_grid((2, 3, 2)) + 0.03
    stn_ref.check_gradients(spline.grid, spline.grid_backward, theta, G, rng=rng).raise_if_wrong()
    stn_ref.check_gradients(
        lambda B: B @ theta[:, None, None],
        lambda dgrid, B: spline.basis_gradient(dgrid, theta),
        spline.basis(np.stack([G, G])),
        rng=rng,
    ).raise_if_wrong()
    U = rng.standard_normal((2, 3, 4, 3, 1))
    options = {"transformation": spline, "align_corners": False}

    def pieces(U, theta):
        return sampler_pieces(source_pixels(theta, spline, (2, 3, 2), U.shape[1:-1], False))

    stn_ref.check_gradients(
        lambda *a: reference.transform(*a, size=(2, 3, 2), **options),
        lambda *a: reference.transform_backward(*a, **options),
        U, theta, rng=rng, knots=no_crossing(pieces),
    ).raise_if_wrong()  # fmt: skip


def test_at_a_control_point_of_a_volume_its_own_slope_is_the_mean_of_both_sides():
    spline = eq.thin_plate_spline(CONTROL)
    theta, h = theta_near_identity(spline)[:1], 1e-6
    for c, step in product(CONTROL, np.eye(3)):
        dG = spline.grid_backward(np.ones((1, 1, 1, 1, 3)), theta, c[None, None, None])[1]
        ends = np.stack([c - h * step, c + h * step])[None, None]
        left, right = spline.grid(theta, ends).sum(axis=-1)[0, 0, 0]
        assert_allclose(dG.ravel() @ step, (right - left) / (2 * h), atol=1e-8)


FLAT = np.array([[0.0, 0, 1], [1, 0, 2], [0, 1, 3], [1, 1, 4], [0.3, 0.7, 2.7]])  # z = 1 + x + 2y
IMPOSSIBLE = {
    "three points": (CORNERS[:3], "control_points has 3 points; a spline needs at least 4"),
    "coplanar": (FLAT, "all lie in one plane; 4 must not"),
    "nearly coplanar": (FLAT + 1e-9 * np.eye(5, 3, -2), "nearly lie in one plane"),
    "repeated": ([*CONTROL, CONTROL[2]], "control points 2 and 11 are both at"),
    "not finite": (CONTROL * np.nan, "not finite"),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_a_spline_on_volumes_needs_a_tetrahedron(name):
    control_points, message = IMPOSSIBLE[name]
    with pytest.raises(ValueError, match=message):
        eq.thin_plate_spline(control_points)


# θ to V


SIZES = {
    1: [(1,), (2,), (3,), (5,), (28,)],
    2: [(1, 28), (2, 5), (3, 3), (5, 1), (28, 2)],
    3: [(1, 2, 3), (5, 28, 1), (3, 1, 5), (2, 3, 28), (28, 5, 2), (1, 1, 1)],
}


@every
@pytest.mark.parametrize("align_corners", (True, False))
@pytest.mark.parametrize("kernel", INTERPOLATING, ids=lambda k: k.name)
def test_the_identity_returns_the_image_bit_for_bit(axes, align_corners, kernel, rng):
    for size, dtype in product(SIZES[axes], (np.float32, np.float64)):
        U = rng.standard_normal((1, *size, 2)).astype(dtype)
        for family, backend in product(FAMILY, ("reference", "cpu")):
            theta = family(axes).identity()[None]
            V = stn_ref.transform(
                U, theta, transformation=family(axes), kernel=kernel, align_corners=align_corners,
                backend=backend,
            )  # fmt: skip
            assert_array_equal(V, U)


@every
@pytest.mark.parametrize("align_corners", (True, False))
def test_the_centred_formula_is_the_two_steps_of_the_paper(axes, align_corners, rng):
    transformation = eq.affine(axes)
    for size, source in product(SIZES[axes], SIZES[axes]):
        theta = theta_near_identity(transformation)
        xy = source_pixels(theta, transformation, size, source, align_corners)
        grid = transformation.grid(theta, eq.target_grid(size, align_corners=align_corners))
        two = eq.to_pixels(grid, source, align_corners=align_corners)
        assert_allclose(xy, two, atol=1e-12)
        dxy = rng.standard_normal(xy.shape)
        dgrid = eq.to_pixels_backward(dxy, source, align_corners=align_corners)
        G = eq.target_grid(size, align_corners=align_corners)
        dtheta = source_pixels_backward(dxy, theta, transformation, source, align_corners)
        assert_allclose(dtheta, transformation.grid_backward(dgrid, theta, G)[0], atol=1e-10)


def projective(axes):
    """A user's own: any matrix at all, n axes."""
    n = axes + 1
    return eq.Transformation(
        "projective n-D",
        lambda: np.eye(n),
        lambda theta, G: NotImplemented,
        lambda dgrid, theta, G: NotImplemented,
        lambda theta: theta,
        lambda dmatrix, theta: dmatrix,
    )


@every
@pytest.mark.parametrize("align_corners", (True, False))
def test_a_matrix_of_ones_own_is_divided_by_its_last_row(axes, align_corners, rng):
    transformation, size, source = projective(axes), OUT[-axes:], SIZE[-axes:]
    theta = theta_near_identity(transformation, 0.2)
    P = np.concatenate([eq.target_grid(size, align_corners=align_corners), np.ones((*size, 1))], -1)
    p = np.einsum("bkl,...l->b...k", theta, P)
    expected = eq.to_pixels(p[..., :-1] / p[..., -1:], source, align_corners=align_corners)
    xy = source_pixels(theta, transformation, size, source, align_corners)
    assert_allclose(xy, expected, atol=1e-12)
    stn_ref.check_gradients(
        lambda theta: source_pixels(theta, transformation, size, source, align_corners),
        lambda d, theta: source_pixels_backward(d, theta, transformation, source, align_corners),
        theta, rng=rng,
    ).raise_if_wrong()  # fmt: skip


def test_a_volume_turned_about_z_is_its_slices_turned(rng):
    A = np.array([[0.8, -0.5, 0.1], [0.4, 0.7, -0.2]])
    A3 = np.array([[0.8, -0.5, 0, 0.1], [0.4, 0.7, 0, -0.2], [0, 0, 1, 0]])
    U = rng.standard_normal((1, 3, 6, 5, 2))
    V = reference.transform(U, A3[None], transformation=eq.affine(3))
    for k in range(3):
        assert_array_equal(V[:, k], reference.transform(U[:, k], A[None]))


@every
@pytest.mark.parametrize(
    "made", [eq.affine, eq.translation, "composed"], ids=["affine", "translation", "composed"]
)
def test_theta_to_v_and_back_agrees_with_differences(axes, made, rng):
    composed = made == "composed"
    transformation = eq.compose(eq.affine(axes), eq.attention(axes)) if composed else made(axes)
    size, source = OUT[-axes:], SIZE[-axes:]

    def pieces(U, theta):
        return sampler_pieces(source_pixels(theta, transformation, size, source, False))

    stn_ref.check_gradients(
        lambda *a: stn_ref.transform(
            *a, transformation=transformation, size=size, align_corners=False, backend="reference"
        ),
        lambda *a: stn_ref.transform_backward(
            *a, transformation=transformation, align_corners=False, backend="reference"
        ),
        rng.standard_normal((2, *source, 2)),
        theta_near_identity(transformation, 0.2),
        rng=rng,
        knots=no_crossing(pieces),
    ).raise_if_wrong()


@every
def test_the_whole_module_sees_and_samples_signals_and_volumes(axes, rng):
    U, size = rng.standard_normal((2, *SIZE[-axes:], 2)), OUT[-axes:]
    transformation = eq.attention(axes)
    layers = eq.initial_layers(rng, U[0].size, (4,), transformation.identity())
    options = {"transformation": transformation, "align_corners": False}
    V = eq.spatial_transformer(U, layers, **options)
    assert_allclose(V, U, atol=1e-13)
    layers[-1] = (rng.uniform(-0.1, 0.1, layers[-1][0].shape), layers[-1][1])
    theta = eq.f_loc(U, layers)
    V = eq.spatial_transformer(U, layers, size=size, **options)
    assert_allclose(V, reference.transform(U, theta, size=size, **options), atol=1e-13)
    dV = rng.standard_normal(V.shape)
    dU, dlayers = eq.spatial_transformer_backward(dV, U, layers, **options)
    dU_sampled, dtheta = reference.transform_backward(dV, U, theta, **options)
    dU_seen, expected = eq.f_loc_backward(dtheta, U, layers)
    assert_allclose(dU, dU_sampled + dU_seen, atol=1e-12)
    for ours, theirs in zip(dlayers, expected, strict=True):
        assert_allclose(ours[0], theirs[0], atol=1e-12)


# what cannot be


VOLUME, SIGNAL = np.ones((2, 3, 4, 5, 1)), np.ones((2, 5, 1))
BAD = {
    "xy of a volume": (
        lambda: reference.sample(VOLUME, np.ones((2, 1, 1, 1, 2))),
        ValueError,
        r"expected \(B, D', H', W', 3\), last axis 3, \(x, y, z\)",
    ),
    "xy of a signal": (
        lambda: reference.sample(SIGNAL, np.ones((2, 1, 1, 2))),
        ValueError,
        r"expected \(B, W', 1\), last axis 1, \(x\)",
    ),
    "an empty side": (
        lambda: reference.sample(VOLUME[:, :0], np.ones((2, 1, 1, 1, 3))),
        ValueError,
        r"U has shape \(2, 0, 4, 5, 1\); D and H and W must be at least 1",
    ),
    "rank": (lambda: reference.sample(np.ones((2, 3)), SIGNAL), ValueError, r"expected \(B, H, W"),
    "kernels": (
        lambda: reference.sample(VOLUME, np.ones((2, 1, 1, 1, 3)), kernel=(eq.BILINEAR,) * 2),
        TypeError,
        r"expected a Kernel or three, one an axis, \(x, y, z\)",
    ),
    "size": (
        lambda: reference.transform(
            VOLUME, np.ones((2, 3, 4)), transformation=eq.affine(3), size=(2, 2)
        ),
        TypeError,
        r"expected three integers, \(depth, height, width\)",
    ),
    "a matrix for maps": (
        lambda: reference.transform(VOLUME, np.ones((2, 2, 3))),
        ValueError,
        r"U has shape \(2, 3, 4, 5, 1\), a volume; AFFINE is for maps: use affine\(3\)",
    ),
    "affine(3) forgotten": (
        lambda: reference.transform(VOLUME, np.ones((2, 3, 4))),
        ValueError,
        r"U has shape \(2, 3, 4, 5, 1\), a volume; AFFINE is for maps: use affine\(3\)",
    ),
    "a matrix for volumes": (
        lambda: stn_ref.transform(VOLUME[:, 0], np.ones((2, 3, 4)), transformation=eq.affine(3)),
        ValueError,
        r"U has shape \(2, 4, 5, 1\), a map; affine\(3\) is for volumes: use affine\(2\)",
    ),
    "a basis for maps": (
        lambda: reference.transform(
            VOLUME, np.ones((2, 16, 2)), transformation=eq.thin_plate_spline()
        ),
        ValueError,
        r"U has shape .*, a volume; thin_plate_spline\(16 points\) is for maps",
    ),
    "lattice": (
        lambda: eq.affine(3).grid(np.ones((1, 3, 4)), eq.target_grid((3, 4))),
        ValueError,
        r"G has shape \(3, 4, 2\); expected \(D', H', W', 3\) or \(B, D', H', W', 3\)",
    ),
    "composition": (
        lambda: eq.compose(eq.affine(3), eq.AFFINE),
        ValueError,
        "affine 3-D and affine are of different numbers of axes",
    ),
    "dV": (
        lambda: reference.transform_backward(
            SIGNAL[:, :, :, None], SIGNAL, np.ones((2, 1, 2)), transformation=eq.affine(1)
        ),
        ValueError,
        r"dV has shape \(2, 5, 1, 1\); expected \(2, W', 1\)",
    ),
    "traced": (
        lambda: stn_ref.trace(VOLUME, np.ones((2, 2, 3)), at=(0, 0, 0)),
        ValueError,
        r"U has shape .* expected \(B, H, W, C\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_is_named(name):
    call, error, message = BAD[name]
    with pytest.raises(error, match=message):
        call()

"""NaN, ±∞ and huge coordinates: defined results, no warnings (the suite turns them into errors)."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import stn_ref
from stn_ref.equations import (
    AFFINE,
    BILINEAR,
    INTEGER,
    PADDINGS,
    ROTATION,
    gaussian,
    hat,
    sample,
    sample_backward,
    sample_dense,
    target_grid,
    to_pixels,
    to_pixels_backward,
)
from tests.conformance import KERNELS

each = pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: f"{k.name}{k.Phi}")
pad = pytest.mark.parametrize("padding", PADDINGS)
REPEATING = {"reflection", "symmetric", "wrap"}
edged = pytest.mark.parametrize("padding", sorted(PADDINGS.keys() - REPEATING))
repeating = pytest.mark.parametrize("padding", sorted(REPEATING))
U = np.arange(1.0, 13).reshape(1, 3, 4, 1)
HUGE = (1e8, 2.0**31, 2.0**53, 2.0**63, 1e19, 3e38, 1e300)


def at(*points):
    return np.array(points, float)[None, None]


def backward(xy, **options):
    return sample_backward(np.ones((*xy.shape[:3], 1)), U, xy, **options)


@each
@pad
def test_nan_on_either_axis_wins_and_reaches_nothing_else(kernel, padding):
    xy = at((np.nan, 1), (1, np.nan), (np.nan, np.inf), (1.25, 0.5))
    V = sample(U, xy, kernel=kernel, padding=padding)
    assert_array_equal(np.isnan(V[0, 0, :, 0]), [True, True, True, False])
    dU, dxy, dPhi = backward(xy, kernel=kernel, padding=padding)
    alone = backward(xy[:, :, 3:], kernel=kernel, padding=padding)
    assert np.isnan(dxy[0, 0, :3]).all()
    assert_array_equal(dxy[:, :, 3:], alone[1])
    assert_array_equal(dU, alone[0])
    assert_allclose(np.concatenate(dPhi), np.concatenate(alone[2]))


@each
@pytest.mark.parametrize("sign", [1, -1])
def test_infinity_lies_beyond_that_edge(kernel, sign):
    xy = at((sign * np.inf, 1), (1, sign * np.inf))
    assert_array_equal(sample(U, xy, kernel=kernel), np.zeros((1, 1, 2, 1)))
    assert_array_equal(sample_dense(U, xy, kernel=kernel), np.zeros((1, 1, 2, 1)))
    edge = at((3.0 if sign > 0 else 0.0, 1), (1, 2.0 if sign > 0 else 0.0))
    total = kernel.k(np.arange(-4.0, 5), kernel.Phi).sum()
    on_the_edge = U[0, [1, edge[0, 0, 1, 1].astype(int)], [edge[0, 0, 0, 0].astype(int), 1], 0]
    across = sample(np.ones((1, 9, 9, 1)), at((4, 4)), kernel=(INTEGER, kernel)).item()
    V = sample(U, xy, kernel=(kernel, INTEGER), padding="border")[0, 0, 0]
    assert_allclose(V, total * on_the_edge[0])
    V = sample(U, xy, kernel=(INTEGER, kernel), padding="border")[0, 0, 1]
    assert_allclose(V, across * on_the_edge[1])


@each
@edged
def test_infinity_has_no_slope_along_its_own_axis(kernel, padding):
    xy = at((np.inf, 1.25), (-np.inf, 0.75), (1.25, np.inf))
    _, dxy, (dPhi_x, dPhi_y) = backward(xy[:, :, :2], kernel=kernel, padding=padding)
    assert_array_equal(dxy[0, 0, :, 0], [0, 0])
    assert np.isfinite(dxy).all()
    assert not dPhi_x.any()
    _, dxy, (_, dPhi_y) = backward(xy[:, :, 2:], kernel=kernel, padding=padding)
    assert dxy[0, 0, 0, 1] == 0 and not dPhi_y.any()


def test_at_infinity_the_other_axis_still_pulls_under_border():
    _, dxy, _ = backward(at((np.inf, 1.25)), padding="border")
    assert dxy[0, 0, 0, 1] == U[0, 2, 3, 0] - U[0, 1, 3, 0]


@each
@pytest.mark.parametrize("sign", [1, -1])
def test_under_constant_infinity_is_the_fill_weighed(kernel, sign):
    V = sample(U, at((sign * np.inf, 1)), kernel=kernel, padding="constant", fill=3.0)
    weights = kernel.k(np.arange(-4.0, 5), kernel.Phi).sum()
    assert_allclose(V, 3 * weights**2)


@repeating
def test_where_the_plane_repeats_infinity_is_as_nan(padding):
    for image in (U, U[:, :1, :1]):
        xy = at((np.inf, 0), (0, -np.inf), (-np.inf, np.inf), (1, 1))
        V = sample(image, xy, padding=padding)[0, 0, :, 0]
        assert_array_equal(np.isnan(V), [True, True, True, False])
        dV = np.ones((1, 1, 4, 1))
        dU, dxy, _ = sample_backward(dV, image, xy, padding=padding)
        assert np.isnan(dxy[0, 0, :3]).all() and np.isfinite(dxy[0, 0, 3]).all()
        assert_array_equal(
            dU, sample_backward(dV[:, :, 3:], image, xy[:, :, 3:], padding=padding)[0]
        )


@each
@edged
def test_huge_coordinates_are_as_far_out_as_any(kernel, padding):
    for x in (*HUGE, *(-x for x in HUGE)):
        far, near = at((x, 1), (1, x)), at((np.sign(x) * 99, 1), (1, np.sign(x) * 99))
        V = sample(U, far, kernel=kernel, padding=padding)
        assert_array_equal(V, sample(U, near, kernel=kernel, padding=padding))
        assert_array_equal(sample_dense(U, far, kernel=kernel), np.zeros((1, 1, 2, 1)))


@each
@repeating
def test_huge_coordinates_are_reduced_exactly(kernel, padding):
    period = {"reflection": (6, 4), "symmetric": (8, 6), "wrap": (4, 3)}[padding]
    for x in (*HUGE, *(-x for x in HUGE)):
        far = at((x, 1), (1, x))
        near = at((int(x) % period[0], 1), (1, int(x) % period[1]))
        V = sample(U, far, kernel=kernel, padding=padding)
        assert_array_equal(V, sample(U, near, kernel=kernel, padding=padding))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nothing_overflows_on_the_way(dtype):
    grid = np.array([[np.finfo(dtype).max, np.inf], [-np.inf, np.nan]], dtype)[None, None]
    xy = to_pixels(grid, (3, 9))
    assert xy.dtype == dtype and np.isinf(xy[0, 0, 0]).all()
    assert np.isinf(to_pixels_backward(grid, (3, 9))[0, 0, 0]).all()
    theta = np.full((1, 2, 3), np.finfo(dtype).max, dtype)
    assert AFFINE.grid(theta, target_grid((3, 3))).shape == (1, 3, 3, 2)
    assert np.isnan(ROTATION.grid(np.array([[np.inf]], dtype), target_grid((2, 2)))).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e308])
def test_a_theta_that_is_no_number_warps_without_a_warning(bad):
    theta = AFFINE.identity()[None]
    theta[0, 0, 0] = bad
    V = stn_ref.transform(U, theta)
    dU, dtheta = stn_ref.transform_backward(np.ones_like(V), U, theta)
    assert V.shape == U.shape and dtheta.shape == theta.shape
    assert np.isfinite(dU).all()
    assert np.isnan(V).all() == np.isnan(bad)


def test_a_pixel_that_is_not_finite_reaches_only_points_that_tap_it():
    U = np.ones((1, 3, 4, 1))
    U[0, 0, 0] = np.nan
    U[0, 2, 3] = np.inf
    xy = at((1.5, 1.5), (-1.5, 1), (4.5, 1), (np.nan, 1), (9, 9), (1.25, 0))
    V = sample(U, xy)[0, 0, :, 0]
    assert_array_equal(V[[0, 1, 2, 4, 5]], [1, 0, 0, 0, 1])
    far = at((1.5, 1.5), (9, 9), (np.nan, 0))
    _, dxy, dPhi = sample_backward(np.ones((1, 1, 3, 1)), U, far, kernel=hat(0.75))
    assert np.isfinite(dxy[0, 0, :2]).all()
    assert np.isfinite(np.concatenate(dPhi)).all()


def row(*values):
    return np.array(values, float).reshape(1, 1, -1, 1)


def test_a_pixel_out_of_the_support_is_never_read():
    x = at((0.2, 0), (0.5, 0), (1.6, 0))
    V = sample(row(1, np.inf, 3, 4, 5), x, kernel=INTEGER)[0, 0, :, 0]
    assert_array_equal(V, [1, np.inf, 3])
    V = sample(row(1, np.inf, 3, 4, 5), at((2.5, 0), (2.8, 0), (2, 0)), kernel=hat(1.25))
    assert_array_equal(np.isfinite(V[0, 0, :, 0]), [True, True, False])
    for tie in ("right", "left", "central"):
        ones = np.ones((1, 1, 1, 1))
        dxy = sample_backward(ones, row(np.inf, 1, 2, 3, 5), at((1.5, 0)), tie=tie)[1]
        assert dxy[0, 0, 0, 0] == 1
        dU = sample_backward(ones * np.inf, row(1, 2, 3, 4), at((1.5, 0)), tie=tie)[0]
        assert_array_equal(dU[0, 0, :, 0], [0, np.inf, np.inf, 0])


def test_the_identity_returns_an_image_that_is_not_finite():
    U = np.array([[1, np.nan, 3], [np.inf, 5, -np.inf]])[None, ..., None]
    assert_array_equal(stn_ref.transform(U, AFFINE.identity()[None]), U)


@pytest.mark.parametrize("width", [5e-324, 1e-200, 1e-8])
@pytest.mark.parametrize("kernel", [hat, gaussian])
def test_a_kernel_too_narrow_to_meet_a_pixel_is_zero_between_them(kernel, width):
    xy = at((1.25, 0.5), (1, 2))
    V = sample(U, xy, kernel=kernel(width))
    assert_array_equal(V[0, 0, :, 0], [0, U[0, 2, 1, 0]])
    dU, _, dPhi = backward(xy[:, :, :1], kernel=kernel(width))
    assert not dU.any() and not np.concatenate(dPhi).any()


def test_a_large_image_overflows_in_silence():
    U = np.full((1, 2, 2, 1), 3e38, np.float32)
    assert np.isinf(sample(U, at((0.5, 0.5)), kernel=hat(3))).all()


def test_bilinear_is_nan_free_next_to_every_knot():
    x = np.concatenate([[np.nextafter(k, -9), k, np.nextafter(k, 9)] for k in (-1.0, 0, 1, 3, 4)])
    xy = np.stack([x, np.ones_like(x)], axis=-1)[None, None]
    assert np.isfinite(sample(U, xy, kernel=BILINEAR)).all()

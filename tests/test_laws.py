"""Laws of the sampler, on knots half of the time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref.equations import (
    BILINEAR,
    INTEGER,
    Kernel,
    hat,
    keys,
    lanczos,
    sample,
    sample_backward,
    sample_dense,
)
from tests.strategies import (
    PARTITIONS_OF_UNITY,
    kernels,
    maps_and_points,
    paddings,
    ties,
    values,
)


@given(maps_and_points(), kernels, paddings, st.integers(0, 2**32 - 1))
def test_sampling_and_splatting_are_adjoint(case, kernel, padding, seed):
    U, xy = case
    dV = np.random.default_rng(seed).standard_normal((*xy.shape[:3], U.shape[3]))
    V = sample(U, xy, kernel=kernel, padding=padding)
    dU, _, _ = sample_backward(dV, U, xy, kernel=kernel, padding=padding)
    terms = np.sum(np.abs(U * dU)) + np.sum(np.abs(V * dV))
    assert abs(np.sum(U * dU) - np.sum(V * dV)) <= 1e-12 * terms


@given(maps_and_points(), maps_and_points(), kernels, paddings)
def test_sampling_is_linear_in_the_image(one, other, kernel, padding):
    (U, xy), (W, _) = one, other
    if U.shape != W.shape:
        W = np.roll(U, 1, axis=1)
    both = sample(2 * U + W, xy, kernel=kernel, padding=padding)
    apart = [sample(image, xy, kernel=kernel, padding=padding) for image in (U, W)]
    assert_allclose(both, 2 * apart[0] + apart[1], atol=1e-12)


@given(
    maps_and_points(),
    st.sampled_from(PARTITIONS_OF_UNITY),
    ties,
    st.sampled_from((7.0, -0.3)),
)
def test_a_flat_image_pulls_nowhere(case, kernel, tie, value):
    U, xy = case
    flat = np.full_like(U, value)
    dV = np.ones((*xy.shape[:3], U.shape[3]))
    V = sample(flat, xy, kernel=kernel, padding="border")
    _, dxy, _ = sample_backward(dV, flat, xy, kernel=kernel, padding="border", tie=tie)
    assert_allclose(V, value, rtol=1e-14)
    assert_allclose(dxy, 0, atol=2e-13)


@given(maps_and_points(), st.sampled_from((INTEGER, BILINEAR, keys(), lanczos(), hat(1))))
def test_whole_pixels_come_back_bit_for_bit(case, kernel):
    U, _ = case
    H, W = U.shape[1:3]
    y, x = np.mgrid[:H, :W].astype(float)
    xy = np.broadcast_to(np.stack([x, y], axis=-1), (len(U), H, W, 2))
    assert_array_equal(sample(U, xy, kernel=kernel), U)


@given(maps_and_points(), st.integers(-3, 3), st.integers(-3, 3), kernels)
def test_moving_points_by_whole_pixels_moves_the_image(case, dx, dy, kernel):
    """x + dx on U is x on U moved by dx, where rounding x + dx loses nothing."""
    U, xy = case
    xy = np.round(xy * 64) / 64
    wide = np.pad(U, [(0, 0), (12, 12), (12, 12), (0, 0)])
    moved = np.roll(wide, (-dy, -dx), axis=(1, 2))
    here, there = (
        sample(wide, xy + 12 + [dx, dy], kernel=kernel),
        sample(moved, xy + 12, kernel=kernel),
    )
    assert_array_equal(here, there)


@given(maps_and_points(), kernels, paddings, ties)
def test_the_image_transposed_is_sampled_transposed(case, kernel, padding, tie):
    U, xy = case
    options = {"kernel": kernel, "padding": padding}
    V = sample(U, xy, **options)
    V_T = sample(U.swapaxes(1, 2), xy[..., ::-1], **options)
    assert_allclose(V, V_T, atol=1e-13)
    _, dxy, _ = sample_backward(V, U, xy, tie=tie, **options)
    _, dyx, _ = sample_backward(V, U.swapaxes(1, 2), xy[..., ::-1], tie=tie, **options)
    assert_allclose(dxy, dyx[..., ::-1], atol=1e-11)


@given(maps_and_points(), kernels, paddings)
def test_central_is_the_mean_of_left_and_right(case, kernel, padding):
    U, xy = case
    dV = np.ones((*xy.shape[:3], U.shape[3]))
    left, right, central = (
        sample_backward(dV, U, xy, kernel=kernel, padding=padding, tie=tie)[1]
        for tie in ("left", "right", "central")
    )
    assert_allclose(central, (left + right) / 2, atol=1e-12)


@given(maps_and_points(), kernels, paddings)
def test_ties_differ_on_knots_only(case, kernel, padding):
    U, xy = case
    s = kernel.support
    shifted = np.stack([xy, xy - s, xy + s])
    off = np.all(np.abs(shifted - np.round(shifted)) > 1e-9, axis=(0, -1))
    dV = np.ones((*xy.shape[:3], U.shape[3]))
    left, right = (
        sample_backward(dV, U, xy, kernel=kernel, padding=padding, tie=tie)[1]
        for tie in ("left", "right")
    )
    assert_allclose(left[off], right[off], atol=1e-12)


@given(st.integers(-1, 4), st.lists(values, min_size=4, max_size=4))
def test_just_off_a_knot_left_and_right_are_the_derivative_of_their_own_cell(knot, row):
    """Rounding in x − m may not mix two cells."""
    U = np.array(row).reshape(1, 1, 4, 1)
    for x in (np.nextafter(knot, -9.0), np.nextafter(knot, 9.0)):
        left, right = (
            sample_backward(np.ones((1, 1, 1, 1)), U, np.array([[[[x, 0.0]]]]), tie=tie)[1][..., 0]
            for tie in ("left", "right")
        )
        assert_array_equal(left, right)


@given(maps_and_points(np.float32), kernels, paddings, ties)
def test_single_precision_is_double_precision_rounded_once(case, kernel, padding, tie):
    """So dU and dxy are within any rounding bound in float32, and xy's precision is not lost."""
    U, xy = case[0], case[1].astype(np.float32)
    options = {"kernel": kernel, "padding": padding}
    dV = np.cos(np.arange(U.shape[3] * xy[..., 0].size, dtype=np.float32))
    dV = dV.reshape(*xy.shape[:3], U.shape[3])
    wide = [array.astype(np.float64) for array in (dV, U, xy)]
    assert_array_equal(sample(U, xy, **options), sample(*wide[1:], **options).astype(np.float32))
    dU, dxy, dPhi = sample_backward(dV, U, xy, tie=tie, **options)
    dU_wide, dxy_wide, dPhi_wide = sample_backward(*wide, tie=tie, **options)
    assert_array_equal(dU, dU_wide.astype(np.float32))
    assert_array_equal(dxy, dxy_wide.astype(np.float32))
    assert_array_equal(np.concatenate(dPhi), np.concatenate(dPhi_wide))


# c of the rounding bound c·eps·Σ|U_nm| over the taps in the support, in the narrower precision
C = {"integer": 1, "bilinear": 2, "hat": 2, "keys": 8, "gaussian": 4, "lanczos3": 8, "lanczos2": 8}
C |= {"bspline2": 4, "bspline3": 4, "normalised bilinear": 4}
C |= {"normalised hat": 8, "normalised gaussian": 8}


def magnitude(U, xy, kernel):
    """Σ|U_nm| over the taps in the support, its ends included: x − m may round onto them."""
    s = kernel.support
    inside = Kernel("box", (), lambda t, _: 1.0 * (abs(t) <= s), None, None, s)
    return sample_dense(np.abs(U).astype(np.longdouble), xy, kernel=inside)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(case=maps_and_points(), kernel=kernels)
def test_every_value_is_within_the_rounding_bound(dtype, case, kernel):
    U, xy = case[0].astype(dtype), case[1].astype(dtype)
    if kernel is INTEGER:
        xy = np.where(np.abs(xy) < 2.0**-50, 0, xy).astype(dtype)
    truth = sample_dense(U.astype(np.longdouble), xy.astype(np.longdouble), kernel=kernel)
    info = np.finfo(dtype)
    bound = C[kernel.name] * info.eps * magnitude(U, xy.astype(np.longdouble), kernel)
    bound += info.smallest_subnormal
    assert np.all(np.abs(sample(U, xy, kernel=kernel) - truth) <= bound)


@given(st.lists(st.floats(-3, 3), min_size=6, max_size=6), st.data())
def test_keys_at_minus_a_half_reproduces_quadratics(coefficients, data):
    a, b, c, d, e, g = coefficients

    def quadratic(x, y):
        return a + b * x + c * y + d * x * x + e * x * y + g * y * y

    n, m = np.mgrid[:7, :8].astype(float)
    x, y = data.draw(st.floats(1, 5)), data.draw(st.floats(1, 4))
    V = sample(quadratic(m, n)[None, ..., None], np.array([[[[x, y]]]]), kernel=keys(-0.5))
    assert_allclose(V.item(), quadratic(x, y), atol=1e-11)
    slope = sample_backward(
        np.ones((1, 1, 1, 1)), quadratic(m, n)[None, ..., None], np.array([[[[x, y]]]]),
        kernel=keys(-0.5),
    )[1]  # fmt: skip
    assert_allclose(slope[0, 0, 0], [b + 2 * d * x + e * y, c + e * x + 2 * g * y], atol=1e-10)


@given(maps_and_points(), kernels, st.floats(-5, 5))
def test_a_constant_outside_is_the_image_on_that_ground(case, kernel, fill):
    """Filling with a value is subtracting it, sampling with zeros, and adding its own sample."""
    U, xy = case
    V = sample(U, xy, kernel=kernel, padding="constant", fill=fill)
    ground = fill * sample(np.ones_like(U), xy, kernel=kernel, padding="border")
    assert_allclose(V, sample(U - fill, xy, kernel=kernel) + ground, atol=1e-12)


@given(maps_and_points(), kernels, st.sampled_from(("reflection", "symmetric", "wrap")))
def test_a_repeating_plane_is_its_own_extension(case, kernel, padding):
    """Sampling with a padding is sampling, with zeros, a plane padded by hand."""
    U, xy = case
    by_hand = {"reflection": "reflect", "symmetric": "symmetric", "wrap": "wrap"}[padding]
    wide = np.pad(U, [(0, 0), (16, 16), (16, 16), (0, 0)], mode=by_hand)
    xy = np.round(xy * 64) / 64
    V = sample(U, xy, kernel=kernel, padding=padding)
    assert_array_equal(V, sample(wide, xy + 16, kernel=kernel))

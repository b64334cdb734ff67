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
    sample,
    sample_backward,
    sample_dense,
)
from tests.strategies import coordinates, kernels, maps_and_points, paddings, ties, values

PARTITIONS_OF_UNITY = (INTEGER, BILINEAR, keys(), keys(-0.5), hat(1), hat(2))


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
    height = 4 if kernel.Phi == (2.0,) else 1  # hat(2) sums to 2 along each axis
    assert_allclose(V, height * value, rtol=1e-14)
    assert_allclose(dxy, 0, atol=1e-13)


@given(maps_and_points(), st.sampled_from((INTEGER, BILINEAR, keys(), hat(1))))
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


@given(coordinates, st.lists(values, min_size=4, max_size=4))
def test_tiny_steps_off_a_knot_take_the_derivative_of_their_own_cell(x, row):
    """Just right of a knot left and right agree; rounding in x − m may not mix two cells."""
    U, x = np.array(row).reshape(1, 1, 4, 1), np.floor(x)
    for step in (2.0**-60, -(2.0**-60)):
        if x + step == x:
            x = 0.0
        point = np.array([[[[x + step, 0.0]]]])
        left, right = (
            sample_backward(np.ones((1, 1, 1, 1)), U, point, tie=tie)[1][..., 0]
            for tie in ("left", "right")
        )
        assert_array_equal(left, right)


# c of the rounding bound c·eps·Σ|U_nm| over the taps in the support, in the narrower precision
C = {"integer": 1, "bilinear": 2, "hat": 2, "keys": 8}


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

"""§3.3: Eq. 3 and its gradients, by hand and against the sum as printed."""

import numpy as np
import pytest
from hypothesis import given
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref.equations import (
    BILINEAR,
    INTEGER,
    hat,
    keys,
    sample,
    sample_backward,
    sample_dense,
)
from tests.conformance import KERNELS
from tests.strategies import kernels, maps_and_points, paddings, ties

U = np.arange(12.0).reshape(1, 3, 4, 1) ** 2  # U[0, n, m, 0] = (4n + m)²


def at(*points):
    return np.array(points, float)[None, None]


def test_eq_3_by_hand():
    x, y = 1.25, 0.5  # pixels n = 0, 1 and m = 1, 2: 1, 4, 25, 36
    expected = 0.5 * (0.75 * 1 + 0.25 * 4) + 0.5 * (0.75 * 25 + 0.25 * 36)
    assert_allclose(sample(U, at((x, y))), expected)
    assert_allclose(sample_dense(U, at((x, y))), expected)


def test_eq_4_takes_the_nearest_pixel():
    V = sample(U, at((1.4, 0.6), (1.5, 0.5), (3.4, 1.2)), kernel=INTEGER)
    assert_array_equal(V[0, 0, :, 0], [U[0, 1, 1, 0], U[0, 1, 2, 0], U[0, 1, 3, 0]])


def test_outside_is_zero_tap_by_tap():
    V = sample(U, at((-0.25, 0), (3.5, 2), (-1, 0), (4, 2)))
    assert_allclose(V[0, 0, :, 0], [0.75 * 0, 0.5 * 121, 0, 0])
    V = sample(U + 1, at((-0.25, 0), (-1, 0), (-0.25, -0.5)))
    assert_allclose(V[0, 0, :, 0], [0.75, 0, 0.375])


def test_border_repeats_the_edge():
    V = sample(U, at((-7.3, 1), (9, 9), (1, -4)), padding="border")
    assert_allclose(V[0, 0, :, 0], [16, 121, 1])


def test_each_axis_has_its_own_kernel():
    point = at((1.25, 0.6))
    x_only = sample(U, point, kernel=(BILINEAR, INTEGER))
    assert_allclose(x_only, 0.75 * 25 + 0.25 * 36)
    y_only = sample(U, point, kernel=(INTEGER, BILINEAR))
    assert_allclose(y_only, 0.4 * 1 + 0.6 * 25)


def test_eq_6_is_the_weight_of_one_pixel():
    dU, _, _ = sample_backward(np.ones((1, 1, 1, 1)), U, at((1.25, 0.5)))
    expected = np.zeros((3, 4))
    expected[:2, 1:3] = np.outer([0.5, 0.5], [0.75, 0.25])
    assert_allclose(dU[0, ..., 0], expected)


def test_eq_6_adds_up_where_points_share_a_pixel():
    dU, _, _ = sample_backward(np.array([2.0, 3.0]).reshape(1, 1, 2, 1), U, at((1, 1), (1, 1)))
    assert dU[0, 1, 1, 0] == 5 and np.sum(dU) == 5


def test_eq_7_by_hand():
    _, dxy, _ = sample_backward(np.ones((1, 1, 1, 1)), U, at((1.25, 0.5)))
    d_x = 0.5 * (4 - 1) + 0.5 * (36 - 25)
    d_y = 0.75 * (25 - 1) + 0.25 * (36 - 4)
    assert_allclose(dxy[0, 0, 0], [d_x, d_y])


def test_channels_pull_together_in_xy_and_apart_in_u(rng):
    U = rng.standard_normal((1, 3, 4, 3))
    dV = rng.standard_normal((1, 1, 1, 3))
    dU, dxy, _ = sample_backward(dV, U, at((1.25, 0.5)))
    one = [sample_backward(dV[..., [c]], U[..., [c]], at((1.25, 0.5))) for c in range(3)]
    assert_allclose(dU, np.concatenate([d[0] for d in one], axis=-1))
    assert_allclose(dxy, sum(d[1] for d in one))


def test_the_derivative_for_phi_by_hand():
    dV = np.ones((1, 1, 1, 1))
    _, _, (dx, dy) = sample_backward(dV, U, at((1.25, 1)), kernel=(hat(1.5), BILINEAR))
    row = [16, 25, 36, 49]  # taps 0..3 lie at t = 1.25, .25, −.75, −1.75: the last is outside
    assert_allclose(
        dx, [sum(u * t for u, t in zip(row, (1.25, 0.25, 0.75), strict=False)) / 1.5**2]
    )
    assert dy.shape == (0,) and dx.dtype == np.float64


@given(maps_and_points(), kernels, kernels)
def test_sample_equals_the_sum_as_printed(case, kernel_x, kernel_y):
    U, xy = case
    V = sample(U, xy, kernel=(kernel_x, kernel_y))
    assert_allclose(V, sample_dense(U, xy, kernel=(kernel_x, kernel_y)), atol=1e-13)


@given(maps_and_points(), kernels, paddings, ties)
def test_each_image_of_a_batch_is_on_its_own(case, kernel, padding, tie):
    U, xy = case
    dV = np.ones((*xy.shape[:3], U.shape[3]))
    whole = sample_backward(dV, U, xy, kernel=kernel, padding=padding, tie=tie)
    for b in range(len(U)):
        one = np.s_[b : b + 1]
        alone = sample_backward(dV[one], U[one], xy[one], kernel=kernel, padding=padding, tie=tie)
        assert_array_equal(whole[0][one], alone[0])
        assert_array_equal(whole[1][one], alone[1])


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: f"{k.name}{k.Phi}")
def test_empty_batches_channels_and_outputs_give_empty_results(kernel):
    for B, C, size in ((0, 1, (2, 2)), (1, 0, (2, 2)), (1, 1, (0, 2)), (1, 1, (2, 0))):
        U, xy = np.ones((B, 3, 4, C)), np.ones((B, *size, 2))
        V = sample(U, xy, kernel=kernel)
        assert V.shape == (B, *size, C)
        dU, dxy, dPhi = sample_backward(V, U, xy, kernel=kernel)
        assert (dU.shape, dxy.shape) == (U.shape, xy.shape)
        assert not dU.any() and not dxy.any() and not any(d.any() for d in dPhi)


def test_results_keep_dtypes_and_layout(rng):
    planar = rng.standard_normal((2, 3, 5, 4)).astype(np.float32).transpose(0, 2, 3, 1)
    xy = rng.uniform(-1, 5, (2, 6, 7, 2))
    V = sample(planar, xy)
    dU, dxy, _ = sample_backward(V, planar, xy)
    assert (V.dtype, dU.dtype, dxy.dtype) == (np.float32, np.float32, np.float64)
    for array in (V, dU):
        assert np.argsort(array.strides).tolist() == np.argsort(planar.strides).tolist()
    assert sample(np.ascontiguousarray(planar), xy).flags.c_contiguous
    assert_array_equal(V, sample(np.ascontiguousarray(planar), xy))


def test_one_image_for_a_whole_batch_is_read_where_it_is(rng):
    one = np.broadcast_to(rng.standard_normal((1, 5, 4, 3)), (6, 5, 4, 3))
    xy = rng.uniform(-1, 5, (6, 2, 2, 2))
    V = sample(one, xy)
    assert V.flags.c_contiguous
    assert_array_equal(V, sample(one.copy(), xy))


def test_byte_order_is_not_a_precision(rng):
    U, xy = rng.standard_normal((1, 5, 4, 2)), rng.uniform(-1, 5, (1, 3, 3, 2))
    V = sample(U.astype(">f8"), xy.astype(">f8"))
    assert_array_equal(V, sample(U, xy))
    for got, want in zip(
        sample_backward(V.astype("<f8"), U.astype(">f8"), xy)[:2], sample_backward(V, U, xy)[:2],
        strict=True,
    ):  # fmt: skip
        assert_array_equal(got, want)


@pytest.mark.parametrize(
    ("width", "x", "tie", "slope"),
    [(0.75, np.nextafter(0.25, 0), "right", -2 / 0.75), (0.75, np.nextafter(0.25, 1), "left", 4.0),
     (1.25, np.nextafter(0.75, 0), "right", 2.4)],
)  # fmt: skip
def test_just_off_the_end_of_any_support_is_not_on_it(width, x, tie, slope):
    U = np.array([2.0, 5.0]).reshape(1, 1, 2, 1)
    _, dxy, _ = sample_backward(
        np.ones((1, 1, 1, 1)), U, at((x, 0)), kernel=(hat(width), BILINEAR), padding="border",
        tie=tie,
    )  # fmt: skip
    assert_allclose(dxy[0, 0, 0, 0], slope)


def test_inputs_are_never_written_to(rng):
    U, xy = rng.standard_normal((1, 5, 4, 2)), rng.uniform(-1, 5, (1, 3, 3, 2))
    xy[0, 0, 0] = np.nan
    for array in (U, xy):
        array.flags.writeable = False
    V = sample(U, xy)
    V.flags.writeable = False
    sample_backward(V, U, xy, tie="central")


def test_strides_of_any_kind_are_read_as_they_are(rng):
    U, xy = rng.standard_normal((2, 9, 8, 4)), rng.uniform(-1, 5, (2, 3, 6, 2))
    views = U[:, ::2, ::-1, 1::2], xy[:, :, ::3][..., ::-1]
    copies = tuple(np.ascontiguousarray(v) for v in views)
    assert_array_equal(sample(*views), sample(*copies))
    one_pixel_everywhere = np.broadcast_to(np.array(3.0), (2, 5, 4, 2))
    assert_allclose(sample(one_pixel_everywhere, views[1], padding="border"), 3.0)


def test_lists_are_taken_as_arrays():
    assert sample([[[[1.0], [3.0]]]], [[[[0.5, 0.0]]]])[0, 0, 0, 0] == 2.0


def test_longdouble_is_computed_in_longdouble():
    U = np.array([1, 2], np.longdouble).reshape(1, 1, 2, 1) / 3
    V = sample(U, np.array([[[[0.1, 0.0]]]], np.longdouble), kernel=keys())
    assert V.dtype == np.longdouble
    assert_allclose(V, sample_dense(U, np.array([[[[0.1, 0.0]]]], np.longdouble), kernel=keys()))

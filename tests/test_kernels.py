"""§3.3: the kernels, row by row, and one law for all rows."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref.equations import BILINEAR, INTEGER, Kernel, hat, keys
from stn_ref.equations.kernels import derivative, eq7_as_printed, per_axis
from tests.strategies import KERNELS

each = pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: f"{k.name}{k.Phi}")
T = np.linspace(-3, 3, 1201)  # knots at integers and halves among them


def test_eq_4_takes_exactly_one_pixel_and_ties_go_right():
    assert_array_equal(INTEGER.k(np.array([-0.5, -0.499, 0, 0.499, 0.5]), ()), [1, 1, 1, 1, 0])
    assert_array_equal(INTEGER.dk(T, ()), 0 * T)


def test_eq_5_by_hand():
    assert_array_equal(
        BILINEAR.k(np.array([-2, -1, -0.25, 0, 0.5, 1, 2]), ()), [0, 0, 0.75, 1, 0.5, 0, 0]
    )


def test_the_right_derivative_of_eq_5_on_and_off_its_knots():
    t = np.array([-1.5, -1, -0.5, 0, 0.5, 1, 1.5])
    assert_array_equal(BILINEAR.dk(t, ()), [0, 1, 1, -1, -1, 0, 0])
    assert_array_equal(derivative(BILINEAR, t, "left"), [0, 0, 1, 1, -1, -1, 0])
    assert_array_equal(derivative(BILINEAR, t, "central"), [0, 0.5, 1, 0, -1, -0.5, 0])


def test_eq_7_as_printed_drops_both_neighbours_on_a_knot():
    t = np.array([-1.5, -1, -0.5, 0, 0.5, 1, 1.5])
    assert_array_equal(eq7_as_printed(t), [0, 0, 1, 1, -1, 0, 0])


def test_keys_by_hand():
    half = keys(-0.5).k(np.array([0.5, 1.5]), (-0.5,))
    assert_allclose(half, [9 / 16, -1 / 16], atol=1e-15)
    at_three_quarters = keys(-0.75).k(np.array([0.5, 1.5]), (-0.75,))
    assert_allclose(at_three_quarters, [0.59375, -0.09375], atol=1e-15)


@pytest.mark.parametrize("a", [-0.75, -0.5, -1 / 3, 0.1, 2.7])
def test_keys_is_exactly_the_identity_at_integers(a):
    assert_array_equal(keys(a).k(np.arange(-3.0, 4), (a,)), [0, 0, 0, 1, 0, 0, 0])


def test_a_hat_of_width_one_is_bilinear():
    for name in ("k", "dk"):
        assert_array_equal(getattr(hat(1), name)(T, (1.0,)), getattr(BILINEAR, name)(T, ()))


def test_a_wide_hat_by_hand():
    t = np.array([-2, -1, 0, 1, 1.5, 2, 3])
    assert_allclose(hat(2).k(t, (2.0,)), [0, 0.5, 1, 0.5, 0.25, 0, 0])
    assert_allclose(hat(2).dk(t, (2.0,)), [0.5, 0.5, -0.5, -0.5, -0.5, 0, 0])
    assert_allclose(hat(2).dk_dphi(t, (2.0,))[0], [0, 0.25, 0, 0.25, 0.375, 0, 0])


@each
def test_a_kernel_ends_at_its_support(kernel):
    outside = np.abs(T) >= kernel.support
    if kernel is INTEGER:  # the one kernel that is not even: −½ belongs to it
        outside &= -kernel.support != T
    assert not kernel.k(T, kernel.Phi)[outside].any()
    assert np.all(kernel.k(T, kernel.Phi)[~outside & (np.abs(T) < 0.5)] > 0)


@each
def test_a_kernel_is_even(kernel):
    off = np.abs(T) != 0.5 if kernel is INTEGER else np.full(T.shape, True)
    k = kernel.k(T, kernel.Phi)
    assert_allclose(k[off], k[::-1][off], atol=1e-15)


@each
def test_derivatives_agree_with_differences_from_the_right(kernel):
    h = 1e-7
    t = T[np.abs(T + kernel.support) > h]
    if kernel is INTEGER:
        t = t[np.abs(np.abs(t) - 0.5) > h]
    difference = (kernel.k(t + h, kernel.Phi) - kernel.k(t, kernel.Phi)) / h
    assert_allclose(kernel.dk(t, kernel.Phi), difference, atol=1e-5)


@each
def test_the_derivative_for_phi_agrees_with_differences(kernel):
    h = 1e-6
    t = T[np.abs(np.abs(T) - kernel.support) > 2 * h]
    slopes = kernel.dk_dphi(t, kernel.Phi)
    assert len(slopes) == len(kernel.Phi)
    for slope, phi in zip(slopes, kernel.Phi, strict=True):
        difference = (kernel.k(t, (phi + h,)) - kernel.k(t, (phi - h,))) / (2 * h)
        assert_allclose(slope, difference, atol=1e-8)


@each
def test_one_row_serves_numbers_as_it_serves_arrays(kernel):
    for t in (-1.5, -1.0, -0.5, 0.0, 0.3, 1.0, 1.7):
        assert float(kernel.k(t, kernel.Phi)) == kernel.k(np.array([t]), kernel.Phi)[0]
        assert float(kernel.dk(t, kernel.Phi)) == kernel.dk(np.array([t]), kernel.Phi)[0]


@pytest.mark.parametrize("kernel", [INTEGER, BILINEAR, keys(), keys(0.3), hat(1), hat(2)])
def test_weights_of_one_point_sum_to_the_same_everywhere(kernel):
    x = np.linspace(0, 1, 97)[:, None]
    total = kernel.k(x - np.arange(-4, 6), kernel.Phi).sum(axis=1)
    assert_allclose(total, 2 if kernel.Phi == (2.0,) else 1, atol=1e-14)


def test_one_kernel_serves_both_axes_or_one_each():
    assert per_axis(BILINEAR) == (BILINEAR, BILINEAR)
    assert per_axis((INTEGER, BILINEAR)) == (INTEGER, BILINEAR)
    for wrong in ("bilinear", (BILINEAR,), (BILINEAR, "x")):
        with pytest.raises(TypeError, match="expected a Kernel"):
            per_axis(wrong)


@pytest.mark.parametrize("width", [0, -1, np.nan, np.inf])
def test_a_width_that_is_no_width_is_an_error(width):
    with pytest.raises(ValueError, match="width is"):
        hat(width)


def test_a_support_that_is_no_support_is_an_error():
    with pytest.raises(ValueError, match="support"):
        Kernel("mine", (), BILINEAR.k, BILINEAR.dk, BILINEAR.dk_dphi, 0.0)

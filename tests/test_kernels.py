"""§3.3: the kernels, row by row, and one law for all rows."""

import numba
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref.equations import (
    BILINEAR,
    INTEGER,
    Kernel,
    bspline,
    gaussian,
    hat,
    keys,
    lanczos,
    normalised,
)
from stn_ref.equations.arguments import per_axis
from stn_ref.equations.kernels import derivative, eq7_as_printed, second_derivative
from stn_ref.equations.taps import shift
from tests.conformance import KERNELS
from tests.strategies import PARTITIONS_OF_UNITY

each = pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: f"{k.name}{k.Phi}")
T = np.linspace(-3, 3, 1201)  # knots at integers and halves among them


def away_from_its_ends(kernel, h):
    """Where no end of the kernel, nor of a neighbour's that normalises it, is within h."""
    ends = np.stack([T - kernel.support, T + kernel.support])
    return np.all(np.abs(ends - np.round(ends)) > h, axis=0)


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
    off = away_from_its_ends(kernel, 1e-9)
    k = kernel.k(T, kernel.Phi)
    assert_allclose(k[off], k[::-1][off], atol=1e-14)


@each
def test_derivatives_agree_with_differences_from_the_right(kernel):
    h = 1e-7
    t = T[away_from_its_ends(kernel, 2 * h) | (kernel in (BILINEAR, hat(1)))]
    difference = (kernel.k(t + h, kernel.Phi) - kernel.k(t, kernel.Phi)) / h
    assert_allclose(kernel.dk(t, kernel.Phi), difference, atol=1e-5)


@each
def test_second_derivatives_agree_with_differences_from_the_right(kernel):
    h = 1e-7
    t = T[away_from_its_ends(kernel, 2 * h) | (kernel in (BILINEAR, hat(1), keys()))]
    difference = (kernel.dk(t + h, kernel.Phi) - kernel.dk(t, kernel.Phi)) / h
    near_a_jump = np.abs(difference) > 1e5  # of k′, whose δ is left out
    assert_allclose(np.where(near_a_jump, 0, kernel.d2k(t, kernel.Phi) - difference), 0, atol=1e-5)
    for tie, side in (("left", -1), ("right", 1)):
        assert_array_equal(second_derivative(kernel, t, tie), kernel.d2k(side * t, kernel.Phi))
    assert_allclose(
        second_derivative(kernel, t, "central"),
        (kernel.d2k(t, kernel.Phi) + kernel.d2k(-t, kernel.Phi)) / 2,
    )


def test_second_derivatives_by_hand_on_and_off_their_knots():
    assert_array_equal(BILINEAR.d2k(T, ()), 0 * T)
    t = np.array([-2.5, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2])
    assert_array_equal(keys(-0.5).d2k(t, (-0.5,)), [0, -1, 0.5, 4, -0.5, -5, -0.5, 2, 0.5, 0])
    assert_array_equal(bspline(2).d2k(t, ()), [0, 0, 1, 1, -2, -2, 1, 1, 0, 0])
    assert_array_equal(bspline(3).d2k(t, ()), [0, 0, 0.5, 1, -0.5, -2, -0.5, 1, 0.5, 0])
    assert_allclose(gaussian(0.5).d2k(np.array([0, 0.5, 1]), (0.5,)), [-4, 0, 12 * np.exp(-2)])
    assert gaussian(0.5).d2k(np.array([-3.0]), (0.5,)) == 0


@each
def test_the_derivative_for_phi_agrees_with_differences(kernel):
    h = 1e-5
    t = T[away_from_its_ends(kernel, 2 * h)]
    slopes = kernel.dk_dphi(t, kernel.Phi)
    assert len(slopes) == len(kernel.Phi)
    for slope, phi in zip(slopes, kernel.Phi, strict=True):
        difference = (kernel.k(t, (phi + h,)) - kernel.k(t, (phi - h,))) / (2 * h)
        assert_allclose(slope, difference, atol=1e-8)


@each
def test_one_row_serves_numbers_as_it_serves_arrays(kernel):
    for t in (-1.5, -1.0, -0.5, 0.0, 0.3, 1.0, 1.7):
        assert float(kernel.k(t, kernel.Phi)) == kernel.k(np.array([t]), kernel.Phi)[0]
        for slope in (kernel.dk, kernel.d2k):
            assert float(slope(t, kernel.Phi)) == slope(np.array([t]), kernel.Phi)[0]


@pytest.mark.parametrize("kernel", PARTITIONS_OF_UNITY, ids=lambda k: f"{k.name}{k.Phi}")
def test_weights_of_one_point_sum_to_one(kernel):
    x = np.linspace(0, 1, 97)[:, None]
    assert_allclose(kernel.k(x - np.arange(-5, 7), kernel.Phi).sum(axis=1), 1, atol=1e-14)


def test_a_gaussian_by_hand_and_its_cut():
    k = gaussian(0.5).k(np.array([0, 0.5, 1, 2.999, 3]), (0.5,))
    assert_allclose(k, [1, np.exp(-0.5), np.exp(-2), np.exp(-(5.998**2) / 2), 0])


@pytest.mark.parametrize("lobes", [1, 2, 3, 5])
def test_lanczos_is_the_windowed_sinc(lobes):
    kernel = lanczos(lobes)
    assert_array_equal(kernel.k(np.arange(-7.0, 8), ()), np.arange(-7, 8) == 0)
    t = T[np.abs(T) < lobes]
    assert_allclose(kernel.k(t, ()), np.sinc(t) * np.sinc(t / lobes), atol=1e-15)


@pytest.mark.parametrize("lobes", [1, 2, 3, 5])
def test_the_slope_of_lanczos_is_as_exact_as_its_value(lobes):
    t = np.longdouble(T[np.abs(T) < lobes])
    exact = np.longdouble("3.14159265358979323846264338327950288")
    u, v = exact * t, exact * t / lobes
    with np.errstate(all="ignore"):
        s, w = np.sin(u) / u, np.sin(v) / v
        slope = (np.cos(u) - s) / t * w + s * (np.cos(v) - w) / t
    off = np.abs(t) > 1e-3
    assert_allclose(lanczos(lobes).dk(t.astype(float), ())[off], slope[off], rtol=0, atol=1e-13)
    assert_allclose(lanczos(lobes).dk(np.array([0.0, 1e-9, -1e-9]), ()), 0, atol=1e-8)


@pytest.mark.parametrize("lobes", [1, 2, 3, 5])
def test_the_curvature_of_lanczos_is_as_exact_as_its_slope(lobes):
    t = np.longdouble(T[(np.abs(T) > 0.02) & (np.abs(T) < lobes)])  # the quotient loses digits at 0
    pi = np.longdouble("3.14159265358979323846264338327950288")

    def j_and_slopes(u):
        j = np.sin(u) / u
        slope = (np.cos(u) - j) / u
        return j, slope, -j - 2 * slope / u

    (s, ds, d2s), (w, dw, d2w) = j_and_slopes(pi * t), j_and_slopes(pi * t / lobes)
    curvature = pi**2 * (d2s * w + 2 * ds * dw / lobes + s * d2w / lobes**2)
    assert_allclose(lanczos(lobes).d2k(t.astype(float), ()), curvature, rtol=0, atol=1e-13)
    at_zero = -(np.pi**2) / 3 * (1 + 1 / lobes**2)
    assert_allclose(lanczos(lobes).d2k(np.array([0.0, 1e-9, -1e-9]), ()), at_zero)


@pytest.mark.parametrize(
    "kernel", [k for k in KERNELS if not k.name.startswith("normalised")], ids=lambda k: k.name
)
def test_a_row_compiles_as_it_is_and_gives_the_same_numbers(kernel):
    k, dk = (numba.njit(f) for f in (kernel.k, kernel.dk))
    for t in (-1.5, -1.0, -0.5, 0.0, 0.004, 0.3, 1.0, 1.7):
        assert_allclose(k(t, kernel.Phi), kernel.k(t, kernel.Phi), rtol=1e-14, atol=1e-16)
        assert_allclose(dk(t, kernel.Phi), kernel.dk(t, kernel.Phi), rtol=1e-14, atol=1e-13)


def test_lanczos_has_no_seam_where_its_series_begins():
    for f in (lanczos().k, lanczos().dk, lanczos().d2k):
        for seam in (0.01, 0.03, -0.01, 0.25, 0.8 / np.pi, 2.4 / np.pi):
            around = f(np.array([seam - 1e-15, seam + 1e-15]), ())
            assert_allclose(around[0], around[1], rtol=0, atol=2e-13)


def test_bsplines_by_hand():
    assert bspline(0) is INTEGER and bspline(1) is BILINEAR
    t = np.array([0, 0.25, 0.5, 1, 1.5, 2])
    assert_allclose(bspline(2).k(t, ()), [3 / 4, 11 / 16, 1 / 2, 1 / 8, 0, 0])
    assert_allclose(bspline(3).k(t, ()), [2 / 3, 235 / 384, 23 / 48, 1 / 6, 1 / 48, 0], atol=1e-16)
    assert_allclose(bspline(2).dk(t, ()), [0, -1 / 2, -1, -1 / 2, 0, 0])
    assert_allclose(bspline(3).dk(t, ()), [0, -13 / 32, -5 / 8, -1 / 2, -1 / 8, 0])


def test_a_normalised_kernel_by_hand():
    k = hat(1.5).k(np.array([-1.25, -0.25, 0.75]), (1.5,))  # the taps of x = 0.75
    assert_allclose(normalised(hat(1.5)).k(np.array([-1.25, -0.25, 0.75]), (1.5,)), k / k.sum())


@pytest.mark.parametrize("inner", [BILINEAR, hat(1.25)], ids=lambda k: k.name)
@pytest.mark.parametrize("t", [2.0**-60, -(2.0**-60), 0.25 + 2.0**-54, 0.25 - 2.0**-54])
def test_normalised_weights_of_a_point_just_off_a_knot_are_its_own(inner, t):
    """Beside a knot the left and the right derivative are one; S may not look across."""
    kernel = normalised(inner)
    sides = [derivative(kernel, np.array([t]), tie) for tie in ("left", "right")]
    assert_allclose(sides[0], sides[1], atol=1e-12)


def test_normalising_one_tap_leaves_one_tap():
    """Where k jumps, rounding t + j onto the jump would count a tap twice, or not at all."""
    t = np.array([0.5 - 2.0**-54, -0.5, 2.0**-60 - 0.5, 0.0, 0.5])
    assert_array_equal(normalised(INTEGER).k(t, ()), [1, 1, 1, 1, 0])


def test_normalised_is_zero_where_no_pixel_is_in_reach():
    narrow = normalised(hat(0.25))
    t = np.array([-0.5, -0.3, 0, 0.2, 0.3, 0.5])
    assert_array_equal(narrow.k(t, (0.25,)), [0, 0, 1, 1, 0, 0])
    assert_array_equal(narrow.dk(t, (0.25,)), np.zeros(6))
    assert_array_equal(narrow.dk_dphi(t, (0.25,))[0], np.zeros(6))


@pytest.mark.parametrize("t", [0.0, 2.0**-60, 0.25, 0.5 - 2.0**-54, 0.5, 1 - 2.0**-53, -(2.0**-60)])
@pytest.mark.parametrize("by", [-3, -2, -1, 0, 1, 2])
def test_rounding_never_carries_t_onto_another_knot(t, by):
    u, low = shift(np.array([t]), by, 1.0)[0], np.floor(2 * t) / 2 + by
    assert (u == low) == (t in (0.0, 0.5))
    assert low <= u < low + 0.5
    assert abs(u - (t + by)) <= 2 * np.spacing(abs(u) + 0.5)


def test_one_kernel_serves_both_axes_or_one_each():
    assert per_axis(BILINEAR) == (BILINEAR, BILINEAR)
    assert per_axis((INTEGER, BILINEAR)) == (INTEGER, BILINEAR)
    for wrong in ("bilinear", (BILINEAR,), (BILINEAR, "x")):
        with pytest.raises(TypeError, match="expected a Kernel"):
            per_axis(wrong)


@pytest.mark.parametrize("wrong", [0, -1, np.nan, np.inf])
@pytest.mark.parametrize(("row", "name"), [(hat, "width"), (gaussian, "sigma")])
def test_a_width_that_is_no_width_is_an_error(row, name, wrong):
    with pytest.raises(ValueError, match=f"{name} is"):
        row(wrong)


def test_counts_that_are_no_counts_are_errors():
    for row, wrong in ((lanczos, 0), (bspline, 4), (bspline, -1)):
        with pytest.raises(ValueError, match=f"is {wrong}; expected an integer from"):
            row(wrong)
    for wrong in (2.5, True):
        with pytest.raises(TypeError, match=f"lobes is {wrong}; expected an integer from 1 to 64"):
            lanczos(wrong)


def test_a_support_that_is_no_support_is_an_error():
    with pytest.raises(ValueError, match="support"):
        Kernel("mine", (), BILINEAR.k, BILINEAR.dk, BILINEAR.dk_dphi, 0.0)

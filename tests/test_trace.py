"""One pixel through all equations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import stn_ref
from stn_ref.backends.pixels import source_pixels
from stn_ref.equations import AFFINE, ATTENTION, BILINEAR, INTEGER, PADDINGS, hat, keys, normalised
from tests.strategies import kernels, paddings, ties

U = np.arange(24.0).reshape(2, 3, 4, 1)
THETA = np.array([[[1, 0, 0], [0, 1, 0]], [[0.5, 0, 0.125], [0, 0.5, -0.25]]])


@given(kernels, paddings, ties, st.booleans(), st.integers(0, 99))
def test_it_agrees_with_the_sampler_in_value_and_slope(kernel, padding, tie, align_corners, seed):
    rng = np.random.default_rng(seed)
    images, theta = rng.standard_normal((2, 5, 6, 2)), THETA + rng.uniform(-1, 1, (2, 2, 3))
    options = {"kernel": kernel, "padding": padding}
    exact = {**options, "backend": "reference"}
    at = int(rng.integers(2)), int(rng.integers(3)), int(rng.integers(4))
    report = stn_ref.trace(
        images, theta, at, size=(3, 4), tie=tie, align_corners=align_corners, **options
    )
    V = stn_ref.transform(images, theta, size=(3, 4), align_corners=align_corners, **exact)
    assert_array_equal(report.V, V[at])
    assert_allclose(report.V, sum(t.value * t.weight for t in report.taps), atol=1e-13)
    xy = source_pixels(theta, AFFINE, (3, 4), (5, 6), align_corners)
    assert_array_equal(report.xy, xy[at])
    for c in range(2):
        dV = np.zeros_like(V)
        dV[(*at, c)] = 1
        dU, dxy, _ = stn_ref.sample_backward(dV, images, xy, tie=tie, **exact)
        assert_allclose([report.dV_dx[c], report.dV_dy[c]], dxy[at], atol=1e-12)
        if padding == "zeros":
            inside = [t for t in report.taps if -1 not in (t.n, t.m)]
            for t in inside:
                assert_allclose(dU[at[0], t.n, t.m, c], t.weight, atol=1e-15)


def test_it_prints_every_equation_with_its_number():
    text = str(stn_ref.trace(U, THETA, at=(1, 0, 3)))
    for line in (
        "§3.2    G_i       (x^t, y^t) = (1, -1)",
        "Eq. 1",
        "Eq. 3",
        "Eq. 5",
        "Eq. 6",
        "Eq. 7",
    ):
        assert line in text
    assert "(x^s, y^s) = (0.625, -0.75)" in text
    assert "(x, y) = (2.4375, 0.25)" in text
    assert "(⌊x⌋, ⌊y⌋) = (2, 0),  fractions (0.4375, 0.25)" in text
    row = next(line for line in text.splitlines() if line.startswith("   0   2"))
    assert row.split() == [
        "0",
        "2",
        "14",
        "0.5625",
        "0.75",
        "0.421875",
        "5.90625",
        "-10.5",
        "-7.875",
    ]
    sums = next(line for line in text.splitlines() if "sum" in line)
    assert sums.split() == ["sum", "15.4375", "1", "4"]


def test_it_names_the_equation_of_what_it_was_given():
    theta = np.stack([ATTENTION.identity()] * 2)
    text = str(stn_ref.trace(U, theta, at=(0, 1, 1), transformation=ATTENTION, kernel=INTEGER))
    assert "Eq. 2   T_θ" in text and "Eq. 4" in text and "Eq. 5" not in text
    text = str(stn_ref.trace(U, THETA, at=(0, 1, 1), kernel=(keys(), hat(2)), tie="left"))
    assert "keys, hat" in text and "tie left" in text


def test_each_axis_is_headed_by_the_equation_of_its_own_kernel():
    lines = str(stn_ref.trace(U, THETA, at=(0, 1, 1), kernel=(BILINEAR, INTEGER))).splitlines()
    head = next(line for line in lines if line.startswith("   n   m"))
    above = lines[lines.index(head) - 1]
    for column, equation in (("k(x−m)", "Eq. 5"), ("k(y−n)", "Eq. 4")):
        end = head.index(column) + len(column)
        assert above[:end].endswith(equation)


def test_terms_are_those_of_double_precision(rng):
    U, theta = rng.standard_normal((1, 4, 5, 2)).astype(np.float32), THETA[1:]
    report = stn_ref.trace(U, theta, at=(0, 1, 2))
    exact = stn_ref.trace(U.astype(float), theta, at=(0, 1, 2))
    assert_array_equal(report.dV_dx, exact.dV_dx)


def test_an_image_that_is_not_finite_is_traced_in_silence():
    assert "inf" in str(stn_ref.trace(np.full((1, 3, 3, 1), np.inf), THETA[1:], at=(0, 1, 1)))


def test_taps_outside_are_marked():
    moved = THETA + [[0, 0, 1.1], [0, 0, 0]]
    report = stn_ref.trace(U, moved, at=(0, 0, 3))
    assert any(t.m == -1 for t in report.taps)
    assert "·" in str(report)


def test_many_channels_are_counted_not_printed():
    text = str(stn_ref.trace(np.ones((1, 3, 3, 64)), THETA[:1], at=(0, 1, 1)))
    assert "… and 61 more channels" in text and text.count("Eq. 6") == 3


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_point_that_is_nowhere_says_so(bad, padding):
    theta = THETA.copy()
    theta[0, 0, 2] = bad
    report = stn_ref.trace(U, theta, at=(0, 1, 1), padding=padding)
    nowhere = np.isnan(bad) or padding in ("reflection", "symmetric", "wrap")
    assert ("nowhere" in str(report)) == nowhere
    assert np.isnan([report.V, report.dV_dx, report.dV_dy]).all() == nowhere
    assert ("inf" in str(report)) == bool(np.isinf(bad))


@pytest.mark.parametrize("kernel", [hat(0.3), normalised(hat(0.3))], ids=lambda k: k.name)
def test_a_point_that_no_tap_reaches_is_zero(kernel):
    moved = AFFINE.identity()[None] + [[[0, 0, 0.2], [0, 0, 0]]]
    report = stn_ref.trace(np.ones((1, 5, 6, 2)), moved, (0, 2, 2), kernel=kernel)
    assert not report.taps
    for slope in (report.V, report.dV_dx, report.dV_dy):
        assert_array_equal(slope, [0, 0])
    assert "sum" in str(report)


def test_columns_never_touch():
    numbers = np.full((1, 3, 3, 1), -0.00445413123)
    taps = str(stn_ref.trace(numbers, THETA[1:], at=(0, 1, 1))).splitlines()[-6:-2]
    assert [len(line.split()) for line in taps] == [9] * 4


def test_bilinear_as_printed_can_be_traced():
    report = stn_ref.trace(U, THETA, at=(0, 1, 1), tie="paper", kernel=BILINEAR)
    assert report.dV_dx == report.V == U[0, 1, 1]

"""§3.3: paddings, cells and taps."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from stn_ref.equations import BILINEAR, keys
from stn_ref.equations.padding import PADDINGS, integer_cell, nowhere, padding_rule
from stn_ref.equations.taps import cell, offsets, slopes, taps

M = np.arange(-3, 7)


def test_paddings_by_hand():
    expected = {
        "zeros": [-1, -1, -1, 0, 1, 2, 3, -1, -1, -1],
        "constant": [-1, -1, -1, 0, 1, 2, 3, -1, -1, -1],
        "border": [0, 0, 0, 0, 1, 2, 3, 3, 3, 3],
        "reflection": [3, 2, 1, 0, 1, 2, 3, 2, 1, 0],
        "symmetric": [2, 1, 0, 0, 1, 2, 3, 3, 2, 1],
        "wrap": [1, 2, 3, 0, 1, 2, 3, 0, 1, 2],
    }
    assert set(expected) == set(PADDINGS)
    for name, pixels in expected.items():
        assert_array_equal(PADDINGS[name].pixel(M, 4), pixels)


@pytest.mark.parametrize("padding", PADDINGS)
def test_an_axis_of_one_pixel_is_that_pixel_or_outside(padding):
    outside = -1 if padding in ("zeros", "constant") else 0
    expected = np.where(M == 0, 0, outside)
    assert_array_equal(PADDINGS[padding].pixel(M, 1), expected)


@pytest.mark.parametrize("padding", ["reflection", "symmetric", "wrap"])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_period_is_the_period(padding, size):
    rule = padding_rule(padding)
    assert_array_equal(rule.pixel(M, size), rule.pixel(M + rule.period(size), size))


def test_an_unknown_padding_is_an_error_that_names_the_known():
    with pytest.raises(ValueError, match="'mirror'.*'zeros', 'constant', 'border'"):
        padding_rule("mirror")


def test_a_cell_is_the_floor_and_the_fraction():
    below, f = cell(np.array([2.25, 2.0, -0.25, -2.0]))
    assert_array_equal(below, [2, 2, -1, -2])
    assert_array_equal(f, [0.25, 0, 0.75, 0])


def test_just_below_an_integer_the_fraction_stays_below_one():
    below, f = cell(np.array([-(2.0**-60), -(2.0**-1074)]))
    assert_array_equal(below, [-1, -1])
    assert np.all(f == np.nextafter(1, 0))


def test_points_at_infinity_have_fraction_zero():
    below, f = cell(np.array([np.inf, -np.inf, np.nan]))
    assert_array_equal(below, [np.inf, -np.inf, np.nan])
    assert_array_equal(f, [0, 0, 0])


def test_nan_is_nowhere_and_so_is_infinity_where_the_plane_repeats():
    x = np.array([0.0, 1e300, np.inf, -np.inf, np.nan])
    assert_array_equal(nowhere(x, "border"), [False, False, False, False, True])
    assert_array_equal(nowhere(x, "wrap"), [False, False, True, True, True])


def test_huge_cells_are_clipped_beyond_the_reach_of_every_tap():
    cells = np.array([-np.inf, -1e300, -3, 2, 1e300, np.inf, np.nan])
    assert_array_equal(integer_cell(cells, 4, 2, "zeros"), [-3, -3, -3, 2, 6, 6, 0])


@pytest.mark.parametrize("padding", ["reflection", "symmetric", "wrap"])
@pytest.mark.parametrize("size", [1, 3, 7])
def test_huge_cells_are_reduced_exactly(padding, size):
    rule = padding_rule(padding)
    for x in (2.0**53, 2.0**63, 1e19, 3e38, -1e300, 1e300, 12345678.0):
        expected = rule.pixel(np.array([int(x) % rule.period(size)]), size)
        for dtype in (np.float64, np.longdouble):
            m = integer_cell(np.array([x], dtype), size, 2, padding)
            assert_array_equal(rule.pixel(m, size), expected)
    assert_array_equal(integer_cell(np.array([np.inf, np.nan]), size, 2, padding), [0, 0])


@pytest.mark.parametrize(
    ("support", "right", "left"),
    [
        (0.5, [0, 1], [0, 1]),
        (1.0, [0, 1], [-1, 0, 1]),
        (1.5, [-1, 0, 1, 2], [-1, 0, 1, 2]),
        (2.0, [-1, 0, 1, 2], [-2, -1, 0, 1, 2]),
    ],
)
def test_offsets_reach_as_far_as_the_support(support, right, left):
    assert list(offsets(support)) == right
    assert list(offsets(support, left=True)) == left
    f = np.linspace(0, 1, 257)[:-1]
    reached = [o for o in range(-5, 6) if np.any(np.abs(f - o) < support)]
    assert set(reached) <= set(right)


def test_taps_by_hand():
    low, high = taps(np.array([[[2.25, -0.25, 3.5]]]), 4, BILINEAR, "zeros", slopes)
    assert_array_equal(low.pixel, [[[2, -1, 3]]])
    assert_array_equal(high.pixel, [[[3, 0, -1]]])
    assert_array_equal(low.k, [[[0.75, 0.25, 0.5]]])
    assert_array_equal(high.k, [[[0.25, 0.75, 0.5]]])
    assert_array_equal((low.dk, high.dk), [[[[-1, -1, -1]]], [[[1, 1, 1]]]])


def test_a_tap_that_can_do_nothing_is_not_read():
    on, ahead = taps(np.array([[[2.0]]]), 4, BILINEAR, "zeros")
    assert (on.pixel, ahead.pixel) == (2, -1)
    _, ahead = taps(np.array([[[2.0]]]), 4, BILINEAR, "zeros", slopes)
    assert ahead.pixel == 3 and ahead.dk == 1  # the slope to the right asks for it


def test_a_point_that_is_nowhere_has_no_pixels():
    for padding in PADDINGS:
        bad = [np.nan, np.inf] if padding_rule(padding).period else [np.nan]
        for tap in taps(np.array([[bad]]), 4, keys(), padding):
            assert_array_equal(tap.pixel, np.full((1, 1, len(bad)), -1))

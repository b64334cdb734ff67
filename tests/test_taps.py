"""§3.3: paddings, cells and taps."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from stn_ref.equations.padding import PADDINGS, padding_rule, whole
from stn_ref.equations.taps import cell, distance, lost, offsets, taps

M = np.arange(-3, 7)


def test_paddings_by_hand():
    assert_array_equal(PADDINGS["zeros"].pixel(M, 4), [-1, -1, -1, 0, 1, 2, 3, -1, -1, -1])
    assert_array_equal(PADDINGS["border"].pixel(M, 4), [0, 0, 0, 0, 1, 2, 3, 3, 3, 3])


def test_an_unknown_padding_is_an_error_that_names_the_known():
    with pytest.raises(ValueError, match="'mirror'.*'zeros', 'border'"):
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


def test_only_nan_is_lost():
    assert_array_equal(lost(np.array([0.0, 1e300, np.inf, np.nan])), [False, False, False, True])


def test_huge_cells_are_clipped_beyond_the_reach_of_every_tap():
    cells = np.array([-np.inf, -1e300, -3, 2, 1e300, np.inf, np.nan])
    assert_array_equal(whole(cells, 4, 2), [-3, -3, -3, 2, 6, 6, 0])


@pytest.mark.parametrize("f", [0.0, 2.0**-60, 0.25, 0.5 - 2.0**-54, 0.5, 1 - 2.0**-53])
@pytest.mark.parametrize("offset", [-2, -1, 0, 1, 2, 3])
def test_rounding_never_carries_t_onto_another_knot(f, offset):
    t = distance(np.array([f]), offset)[0]
    half = np.floor(2 * f) / 2 - offset
    assert (t == half) == (f in (0.0, 0.5))
    assert half <= t < half + 0.5
    assert abs(t - (f - offset)) <= 2 * np.spacing(np.abs(t) + 0.5)


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
    low, high = taps(np.array([[[2.25, -0.25, 3.5]]]), 4, 1.0, "zeros")
    assert_array_equal(low.pixel, [[[2, -1, 3]]])
    assert_array_equal(high.pixel, [[[3, 0, -1]]])
    assert_array_equal(low.t, [[[0.25, 0.75, 0.5]]])
    assert_array_equal(high.t, [[[-0.75, -0.25, -0.5]]])


def test_a_lost_point_has_no_pixels():
    for padding in PADDINGS:
        for tap in taps(np.array([[[np.nan]]]), 4, 2.0, padding):
            assert_array_equal(tap.pixel, [[[-1]]])

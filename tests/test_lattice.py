"""§3.2: the lattice G and the step from [−1, 1] to pixels."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref.equations import target_grid, to_pixels, to_pixels_backward
from stn_ref.equations.lattice import homogeneous


def test_aligned_corners_are_plus_and_minus_one():
    G = target_grid((3, 5))
    assert G.shape == (3, 5, 2) and G.dtype == np.float64
    assert_array_equal(G[0, :, 0], [-1, -0.5, 0, 0.5, 1])
    assert_array_equal(G[:, 0, 1], [-1, 0, 1])


def test_unaligned_corners_are_half_a_pixel_inside():
    G = target_grid((2, 4), align_corners=False)
    assert_array_equal(G[0, :, 0], [-0.75, -0.25, 0.25, 0.75])
    assert_array_equal(G[:, 0, 1], [-0.5, 0.5])


def test_the_last_axis_is_x_then_y():
    G = target_grid((2, 3))
    assert_array_equal(G[1, 0], [-1, 1])


@pytest.mark.parametrize("align_corners", [True, False])
def test_an_axis_of_one_pixel_is_zero_and_an_empty_one_is_empty(align_corners):
    assert_array_equal(target_grid((1, 1), align_corners=align_corners), np.zeros((1, 1, 2)))
    assert target_grid((0, 3), align_corners=align_corners).shape == (0, 3, 2)


def test_homogeneous_points_end_in_one():
    G = target_grid((2, 3))
    assert_array_equal(homogeneous(G)[1, 0], [-1, 1, 1])


def test_pixels_of_known_points():
    grid = np.array([[-1, -1], [1, 1], [0, 0]], float)[None, None]
    assert_array_equal(to_pixels(grid, (3, 5))[0, 0], [[0, 0], [4, 2], [2, 1]])
    unaligned = to_pixels(grid, (3, 5), align_corners=False)[0, 0]
    assert_array_equal(unaligned, [[-0.5, -0.5], [4.5, 2.5], [2, 1]])


@pytest.mark.parametrize("align_corners", [True, False])
def test_the_lattice_of_the_input_size_returns_to_its_pixels(align_corners):
    H, W = 4, 7
    G = target_grid((H, W), align_corners=align_corners)
    xy = to_pixels(G[None], (H, W), align_corners=align_corners)[0]
    assert_allclose(xy[..., 0], np.tile(np.arange(W), (H, 1)), atol=1e-14)
    assert_allclose(xy[..., 1], np.tile(np.arange(H)[:, None], W), atol=1e-14)


def test_one_aligned_pixel_takes_every_finite_point():
    grid = np.array([[-3.0, 0.7]])[None, None]
    assert_array_equal(to_pixels(grid, (1, 1)), np.zeros((1, 1, 1, 2)))


@pytest.mark.parametrize(("align_corners", "slope"), [(True, [2, 1]), (False, [2.5, 1.5])])
def test_the_gradient_is_scaled_by_the_half_extent(align_corners, slope):
    dxy = np.ones((1, 2, 2, 2))
    dgrid = to_pixels_backward(dxy, (3, 5), align_corners=align_corners)
    assert_array_equal(dgrid, dxy * slope)


def test_pixels_keep_the_dtype_of_the_grid():
    grid = np.zeros((1, 2, 2, 2), np.float32)
    assert to_pixels(grid, (3, 5)).dtype == np.float32
    assert to_pixels_backward(grid, (3, 5)).dtype == np.float32

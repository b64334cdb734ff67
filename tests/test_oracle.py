"""The oracle by itself: its dialects on cases worked by hand, and bounds that are tight enough."""

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref.oracle import expected, jax, onnx, scipy, torch
from tests.peers import PADDING_MODES, call

RAMP = np.array([[[[10.0, 11.0, 12.0, 13.0]]]])  # one row of four pixels


def along_x(*pixels, aligned=False):
    """A grid at these pixels of a row of four."""
    x = np.array(pixels) * 2 / 3 - 1 if aligned else (2 * np.array(pixels) + 1) / 4 - 1
    return np.stack([x, np.zeros_like(x)], axis=-1)[None, None]


def at(dialect, *pixels, aligned=False, **options):
    grid = along_x(*pixels, aligned=aligned)
    return dialect.grid_sample(RAMP, grid, align_corners=aligned, **options)[0, 0, 0]


def test_zeros_fade_a_tap_at_a_time():
    assert_array_equal(at(torch, -1, -0.5, 0, 1.25, 3, 3.5, 4), [0, 5, 10, 11.25, 13, 6.5, 0])


def test_the_border_holds_and_reflection_folds():
    assert_array_equal(at(torch, -9, 0.5, 9, padding_mode="border"), [10, 10.5, 13])
    # about the outer edges of the outer pixels, or about their centres
    assert_array_equal(at(torch, -1.25, 4.25, padding_mode="reflection"), [10.25, 12.75])
    folded = at(torch, -1.25, 4.25, padding_mode="reflection", aligned=True)
    assert_allclose(folded, [11.25, 11.75], rtol=1e-14)


def test_nearest_rounds_half_to_even():
    assert_array_equal(at(torch, 0.5, 1.5, 2.5, mode="nearest"), [10, 12, 12])


def test_onnx_rounds_before_it_folds():
    options = {"mode": "nearest", "padding_mode": "reflection"}
    assert at(torch, -1.5, **options) == 10
    assert at(onnx, -1.5, **options) == 11


def test_onnx_takes_the_mode_names_of_every_opset():
    for old, new in (("bilinear", "linear"), ("bicubic", "cubic")):
        assert_array_equal(at(onnx, 0.3, mode=old), at(onnx, 0.3, mode=new))


def test_as_shipped_is_the_numpy_reference_of_onnx():
    options = {"mode": "cubic", "padding_mode": "border"}
    right, shipped = at(onnx, -0.75, **options), at(onnx, -0.75, as_shipped=True, **options)
    assert right != 10 and shipped == 10


def test_the_numpy_reference_of_onnx_has_coordinates_of_single_precision():
    X, grid = np.array([[[[0.0, 1.0]]]]), np.array([[[[0.1, 0.0]]]])
    assert_allclose(onnx.grid_sample(X, grid), 0.6, rtol=1e-15)
    assert onnx.grid_sample(X, grid, as_shipped=True).item() == float(np.float32(0.6))
    with pytest.raises(ValueError, match="'reference', 'runtime'"):
        onnx.grid_sample(X, grid, as_shipped="tensorrt")


def test_jax_fills_per_tap_and_rounds_half_away_from_zero():
    row, x = RAMP[0, 0], np.array([-0.5, 0.5, 1.5, 3.5])
    p = np.stack([np.zeros_like(x), x])
    assert_array_equal(jax.map_coordinates(row, p, 1, cval=-2.0), [4, 10.5, 11.5, 5.5])
    assert_array_equal(jax.map_coordinates(row, p, 0, "nearest"), [10, 11, 12, 13])
    assert_array_equal(jax.map_coordinates(row, p, 0, "mirror"), [11, 11, 12, 12])


def test_jax_differentiates_by_row_then_column():
    image, p = np.array([[0.0, 1.0], [10.0, 11.0]]), np.array([[0.25], [0.5]])
    dimage, dp = jax.map_coordinates_backward(np.ones(1), image, p, 1)
    assert_array_equal(dp, [[10], [1]])
    assert_array_equal(dimage, [[0.375, 0.375], [0.125, 0.125]])


@pytest.mark.parametrize("aligned", (True, False))
def test_the_edge_pixels_of_a_border_count_as_outside(aligned):
    grid = along_x(0.0, 1.5, 3.0, aligned=aligned)
    options = {"padding_mode": "border", "align_corners": aligned}
    _, dgrid = torch.grid_sample_backward(np.ones((1, 1, 1, 3)), RAMP, grid, **options)
    assert_allclose(dgrid[0, 0, :, 0], [0, 1.5 if aligned else 2, 0])


@pytest.mark.parametrize("dialect", (torch, onnx))
@pytest.mark.parametrize("padding_mode", PADDING_MODES)
@pytest.mark.parametrize("mode", ("bilinear", "nearest", "bicubic"))
def test_gradients_are_those_of_the_values(dialect, mode, padding_mode):
    """By adjointness in the images, and by differences in the grid, off the knots."""
    rng, options = np.random.default_rng(2), {"mode": mode, "padding_mode": padding_mode}
    U, _, _ = call(rng, np.float64, False, least=4)
    grid, step = rng.uniform(-1.4, 1.4, (len(U), 3, 4, 2)), 1e-6
    dV = rng.standard_normal((*U.shape[:2], 3, 4))
    dU, dgrid = dialect.grid_sample_backward(dV, U, grid, **options)
    V = dialect.grid_sample(U, grid, **options)
    assert np.isclose(np.sum(V * dV), np.sum(U * dU))
    for axis in range(2):
        beside = np.zeros(2)
        beside[axis] = step
        change = dialect.grid_sample(U, grid + beside, **options) - dialect.grid_sample(
            U, grid - beside, **options
        )
        slope = np.sum(change * dV, axis=1) / (2 * step)
        assert_allclose(dgrid[..., axis], slope, atol=1e-6)


def exactly(U, x, y):
    """Eq. 3 with Eq. 5 in rational numbers, zeros outside."""
    total = Fraction(0)
    for n, row in enumerate(U):
        for m, u in enumerate(row):
            k_x, k_y = max(0, 1 - abs(x - m)), max(0, 1 - abs(y - n))
            total += Fraction(float(u)) * k_x * k_y
    return total


def test_the_value_is_the_exact_one_to_the_last_bits_of_float64():
    rng = np.random.default_rng(4)
    U, (H, W) = rng.standard_normal((1, 1, 3, 4)).astype(np.float32), (3, 4)
    grid = rng.uniform(-1.3, 1.3, (1, 5, 5, 2)).astype(np.float32)
    found = expected(torch.grid_sample, U, grid)
    for i, j in np.ndindex(5, 5):
        x, y = (
            ((Fraction(float(g)) + 1) * size - 1) / 2
            for g, size in zip(grid[0, i, j], (W, H), strict=True)
        )
        truth = float(exactly(U[0, 0], x, y))
        assert abs(found.value[0, 0, i, j] - truth) < 4e-15


def in_single(U, grid, dtype=np.float32):
    """A plain evaluation in single precision, with one knob for each mistake below."""
    (H, W), grid = U.shape[2:], grid.astype(dtype)
    x = ((grid[..., 0] + dtype(1)) * dtype(W) - dtype(1)) / dtype(2)
    y = ((grid[..., 1] + dtype(1)) * dtype(H) - dtype(1)) / dtype(2)
    V = np.zeros((*U.shape[:2], *x.shape[1:]), dtype)
    for n in range(H):
        for m in range(W):
            k = np.maximum(0, 1 - abs(x - dtype(m))) * np.maximum(0, 1 - abs(y - dtype(n)))
            V += U[:, :, n, m, None, None].astype(dtype) * k[:, None]
    return V


@pytest.mark.parametrize("dtype", (np.float16, np.float32))
def test_a_correct_evaluation_is_within_the_bound_and_a_mistake_is_not(dtype):
    inside, caught = [], []
    for seed in range(40):
        U, grid, _ = call(np.random.default_rng(seed), dtype, False, least=3)
        truth = expected(torch.grid_sample, U, grid)
        inside.append(np.all(abs(in_single(U, grid, dtype) - truth.value) <= truth.bound))
        wrong = in_single(np.roll(U, 1, axis=3), grid, dtype)  # every tap one pixel off
        caught.append(np.any(abs(wrong - truth.value) > truth.bound))
        swapped = in_single(U, grid[..., ::-1], dtype)
        caught.append(np.any(abs(swapped - truth.value) > truth.bound) or grid.size <= 4)
    assert all(inside)
    assert np.mean(caught) > 0.9


def test_the_bound_knows_that_a_long_row_has_coarse_coordinates():
    rng = np.random.default_rng(5)
    U = rng.choice([-1, 1], (1, 1, 2, 3000)).astype(np.float32)
    grid = rng.uniform(-1, 1, (1, 1, 200, 2)).astype(np.float32)
    truth = expected(torch.grid_sample, U, grid)
    off = abs(in_single(U, grid) - truth.value)
    assert np.all(off <= truth.bound) and off.max() > 100 * np.finfo(np.float32).eps


def test_the_bound_is_narrow():
    """In units of the value's scale: a few roundings, no more."""
    U, grid, _ = call(np.random.default_rng(0), np.float32, False, least=6)
    bound = expected(torch.grid_sample, U, grid).bound
    assert bound.max() < 300 * np.finfo(np.float32).eps * abs(U).max()


def test_a_fill_rounds_as_a_pixel_does_whatever_its_sign():
    p = np.array([[-0.6, -0.3, 0.4], [0.2, 3.4, 1.1]])
    bounds = [expected(jax.map_coordinates, RAMP[0, 0], p, 1, cval=c).bound for c in (-1e3, 1e3)]
    assert np.all(bounds[0][:2] > 1e3 * np.finfo(float).eps)
    assert_allclose(*bounds, rtol=0.1)


@pytest.mark.parametrize("cval", (-1e3, 1e3))
def test_so_does_the_value_of_what_is_nowhere(cval):
    p = np.array([[np.nan, 0.5], [0.0, 0.5]], np.float32)
    found = expected(scipy.map_coordinates, RAMP[0, 0].astype(np.float32), p, 1, "reflect", cval)
    assert found.value[0] == cval and found.bound[0] >= 1e3 * 2.0**-24


def test_a_bound_admits_underflow_and_overflow_and_leaves_open_what_a_nan_beside_does():
    U, grid = np.full((1, 1, 2, 2), 1e-7, np.float16), np.full((1, 1, 1, 2), 0.3, np.float16)
    value, bound = expected(torch.grid_sample, U, grid)
    assert bound > 2.0**-24 and bound < 2.0**-18
    U[..., 1], dV = 9, np.full((1, 1, 1, 1), 6e4, np.float16)
    _, dgrid = expected(torch.grid_sample_backward, dV, U, grid)
    assert abs(dgrid.value[..., 0]) > 65504 and np.isinf(dgrid.bound[..., 0])
    row = np.array([[[[1, np.nan, 3]]]])
    _, bound = expected(
        torch.grid_sample, row, np.array([[[[-1.0, 0]]]]), "bilinear", "border", True
    )
    assert np.isinf(bound)


def test_scipy_may_round_where_it_folds():
    image, p = np.arange(65600.0).reshape(2, 32800), np.array([[0.0], [-1.3]])
    assert expected(scipy.map_coordinates, image, p, 1, "grid-wrap").bound > 3e-10
    assert expected(scipy.map_coordinates, image, p, 1, "nearest").bound < 1e-10


@pytest.mark.parametrize("dialect", (torch, onnx))
def test_a_lattice_has_the_corners_of_its_dialect_by_default(dialect):
    theta = np.eye(2, 3)[None]
    grid, bound = expected(dialect.affine_grid, theta, (1, 1, 1, 4))
    assert_array_equal(grid[0, 0], [[-0.75, 0], [-0.25, 0], [0.25, 0], [0.75, 0]])
    dtheta, _ = expected(dialect.affine_grid_backward, np.ones((1, 1, 4, 2)), theta, (1, 1, 1, 4))
    assert_array_equal(dtheta, [[[0, 0, 4], [0, 0, 4]]])
    assert_array_equal(dialect.affine_grid(theta, (1, 1, 1, 4)), grid)


@pytest.mark.parametrize("size", (5, (1, 1, -2, 3), (1, 1, 2.0, 3), (1, 1, 2)))
def test_a_size_that_is_none_is_named(size):
    with pytest.raises(ValueError, match=r"expected \(N, 2, 3\) and \(N, C, H', W'\)"):
        torch.affine_grid(np.ones((1, 2, 3)), size)


@pytest.mark.filterwarnings("error")
def test_nothing_warns():
    wild = np.array([[[[np.inf, 0], [np.nan, np.inf], [1e308, 0.3]]]])
    for mode in ("bilinear", "nearest", "bicubic"):
        for U in (
            np.ones((1, 1, 2, 2)),
            np.full((1, 1, 2, 2), np.inf),
            np.full((1, 1, 2, 2), 1e308),
        ):
            expected(torch.grid_sample, U, wild, mode)
            expected(torch.grid_sample_backward, np.full((1, 1, 1, 3), 1e308), U, wild, mode)


def test_a_point_on_a_knot_may_fall_on_either_side():
    U, grid = RAMP.copy(), along_x(1.0)
    U[..., 2] = 20  # slope 1 on the left of pixel 1, 9 on the right of it
    dV = np.ones((1, 1, 1, 1))
    _, dgrid = expected(torch.grid_sample_backward, dV, U, grid)
    assert dgrid.value[0, 0, 0, 0] == 2 * 9
    assert 2 * 8 <= dgrid.bound[0, 0, 0, 0] < 2 * 8.001
    _, beside = expected(torch.grid_sample_backward, dV, U, along_x(1.3))
    assert beside.bound[..., 0].max() < 1e-12


def test_a_point_on_one_knot_and_near_another_may_fall_on_both():
    """On the left of x = 1 the slope is 1.5 at y = 4 and falls off on both sides of it."""
    U = np.zeros((1, 1, 9, 3), np.float32)
    U[0, 0, 4, 0] = -1
    off = 26 * 2.0**-24  # half of what y may be off by
    grid = np.array([[[[0, off / 4.5]]]], np.float32)
    _, dgrid = expected(torch.grid_sample_backward, np.ones((1, 1, 1, 1), np.float32), U, grid)
    assert dgrid.value[0, 0, 0, 0] == 0 and dgrid.bound[0, 0, 0, 0] >= 1.5


@pytest.mark.parametrize(
    ("change", "error", "message"),
    (
        ({"mode": "cubic"}, ValueError, "mode"),
        ({"padding_mode": "wrap"}, ValueError, "padding_mode"),
        ({"align_corners": "yes"}, TypeError, "align_corners"),
        ({"grid": np.zeros((2, 1, 1, 2))}, ValueError, r"\(2, 1, 1, 2\); expected \(1,"),
        ({"grid": np.zeros((1, 1, 1, 2), np.float32)}, TypeError, "float32"),
        ({"input": np.zeros((1, 1, 0, 4))}, ValueError, "no side 0"),
        ({"input": np.zeros((1, 1, 2, 3, 4))}, ValueError, r"expected \(1, D', H', W', 3\)"),
        ({"input": np.zeros((1, 2, 3))}, ValueError, r"\(N, C, H, W\) or \(N, C, D, H, W\)"),
        ({"input": np.zeros((1, 1, 3, 4), int)}, TypeError, "int64"),
    ),
)
def test_bad_arguments_are_named(change, error, message):
    arguments = {"input": RAMP, "grid": along_x(0.0)} | change
    with pytest.raises(error, match=message):
        torch.grid_sample(**arguments)


def test_what_has_no_bounds_says_which_functions_have():
    with pytest.raises(TypeError, match=r"oracle\.torch\.grid_sample"):
        expected(np.sum, RAMP)


def test_empty_batches_channels_and_grids_are_empty_results():
    for N, C, out in ((0, 2, 3), (2, 0, 3), (2, 2, 0)):
        U, grid = np.zeros((N, C, 3, 4)), np.zeros((N, out, 5, 2))
        assert torch.grid_sample(U, grid).shape == (N, C, out, 5)
        dU, dgrid = torch.grid_sample_backward(np.zeros((N, C, out, 5)), U, grid)
        assert dU.shape == U.shape and dgrid.shape == grid.shape


def test_the_oracle_compiles_nothing_and_loads_no_framework():
    code = (
        "import sys, numpy as np\n"
        "from stn_ref.oracle import expected, jax, onnx, scipy, torch\n"
        "expected(torch.grid_sample, np.ones((1, 1, 4, 4)), np.zeros((1, 2, 2, 2)))\n"
        "assert not {'numba', 'torch', 'onnx', 'matplotlib'} & set(sys.modules), sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

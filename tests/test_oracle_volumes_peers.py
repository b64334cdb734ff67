"""The oracle's volumes and signals against the frameworks themselves: nothing unexplained."""

from functools import partial

import numpy as np
import pytest

from stn_ref.oracle import check, expected
from stn_ref.oracle import jax as jax_dialect
from stn_ref.oracle import onnx as onnx_dialect
from stn_ref.oracle import scipy as scipy_dialect
from stn_ref.oracle import torch as torch_dialect
from tests.peers import PADDING_MODES, Tally, call, in_bounds, pixels
from tests.test_oracle_peers import BAD, aligns, grid_samplers, in_torch, paddings, torch

modes = pytest.mark.parametrize("mode", torch_dialect.VOLUME_MODES)
assert torch  # the fixture


@aligns
@paddings
@modes
def test_torch_stays_within_the_bounds(torch, mode, padding_mode, aligned):
    rng, options = np.random.default_rng(7), (mode, padding_mode, aligned)
    with Tally("torch, volumes") as tally:
        for k in tally.draws(30):
            dtype = (np.float32, np.float64, np.float16)[k % 3]
            U, grid, dV = call(rng, dtype, aligned, axes=3)
            u, g = (torch.from_numpy(a).requires_grad_() for a in (U, grid))
            V = torch.nn.functional.grid_sample(u, g, *options)
            found = torch.autograd.grad(V, (u, g), torch.from_numpy(dV))
            truth = expected(torch_dialect.grid_sample, U, grid, *options)
            tally.value(V.detach(), truth, f"case {k}")
            truth = expected(torch_dialect.grid_sample_backward, dV, U, grid, *options)
            tally.gradient(found, truth, f"case {k}")


@aligns
@paddings
@modes
@pytest.mark.parametrize("dtype", (np.float16, np.float32, np.float64), ids=("half", "1", "2"))
def test_torch_gives_the_same_where_points_are_not_finite_or_huge(
    torch, mode, padding_mode, aligned, dtype
):
    U, options = (
        np.arange(10, 34, dtype=dtype).reshape(1, 1, 2, 3, 4),
        (mode, padding_mode, aligned),
    )
    grid = np.empty((1, 1, 3, len(BAD), 3), dtype)
    grid[...] = 0.3, 0.1, -0.2
    with np.errstate(over="ignore"):
        for axis in range(3):
            grid[:, :, axis, :, axis] = np.array(BAD).astype(dtype)
    V = torch.nn.functional.grid_sample(*map(torch.from_numpy, (U, grid)), *options)
    with Tally("torch, volumes") as tally:
        for k in tally.draws(1):  # 2³¹ folds are an even number to torch
            truth = expected(torch_dialect.grid_sample, U, grid, *options, as_shipped=True)
            tally.value(V, truth, f"case {k}")
    _, bound = expected(torch_dialect.grid_sample, U, grid, *options)
    lost = ~np.isfinite(grid[0]).all(axis=-1)
    assert np.all(bound[0, 0][lost] < 3e3 * np.finfo(dtype).eps)


@aligns
def test_torch_counts_folds_in_32_bits(torch, aligned):
    rng, options = np.random.default_rng(5), ("bilinear", "reflection", aligned)
    wrong = 0
    with Tally("torch, volumes as shipped") as tally:
        for k in tally.draws(30):
            U, grid, _ = call(rng, np.float64, aligned, least=2, axes=3)
            grid = grid + 2.0 ** rng.integers(20, 36, grid.shape) * rng.choice((-1, 1), grid.shape)
            V = torch.nn.functional.grid_sample(*map(torch.from_numpy, (U, grid)), *options).numpy()
            shipped = expected(torch_dialect.grid_sample, U, grid, *options, as_shipped=True)
            tally.value(V, shipped, f"case {k}")
            wrong += in_bounds(V, expected(torch_dialect.grid_sample, U, grid, *options)) > 1
    assert wrong > 10


@aligns
@paddings
@modes
def test_torch_doubles_and_drops_pixels_beyond_2048_of_a_half_precision_volume(
    torch, mode, padding_mode, aligned
):
    rng, options = np.random.default_rng(6), (mode, padding_mode, aligned)
    with Tally("torch, volumes as shipped") as tally:
        for k in tally.draws(8):
            size = rng.permutation((2, rng.choice((2049, 2500, 4099)), 1))
            U = rng.standard_normal((2, 2, *size)).astype(np.float16)
            xyz = pixels(rng, size, (2, 2, 2, 6))
            sizes = size[::-1]
            grid = 2 * xyz / np.maximum(sizes - 1, 1) - 1 if aligned else (2 * xyz + 1) / sizes - 1
            grid = grid.astype(np.float16)
            V = torch.nn.functional.grid_sample(*map(torch.from_numpy, (U, grid)), *options).numpy()
            shipped = expected(torch_dialect.grid_sample, U, grid, *options, as_shipped=True)
            tally.value(V, shipped, f"case {k}")
    ones, grid = np.ones((1, 1, 1, 1, 4099), np.float16), np.zeros((1, 1, 1, 99, 3), np.float16)
    grid[..., 0] = np.linspace(0.1, 0.9, 99)
    V = torch.nn.functional.grid_sample(*map(torch.from_numpy, (ones, grid)), mode, "border", False)
    assert {*V.ravel().tolist()} == ({0, 2} if mode == "bilinear" else {1})


@aligns
@paddings
@pytest.mark.parametrize("mode", ("linear", "nearest"))
def test_onnx_runtime_stays_within_the_bounds(mode, padding_mode, aligned):
    """And, as shipped, where points are far out."""
    rng, options = np.random.default_rng(8), (mode, padding_mode, aligned)
    edges = (1e8, 1e19, 8388606, 8388608, 8388610, -8388608, 2.0**24, 2.0**25)
    for kind, dtype in (("FLOAT", np.float32), ("DOUBLE", np.float64)):
        session, _ = grid_samplers(mode, padding_mode, aligned, kind, axes=3)
        with Tally("onnx, runtime, volumes") as tally:
            for k in tally.draws(25):
                X, grid, _ = call(rng, dtype, aligned, axes=3)
                truth = expected(onnx_dialect.grid_sample, X, grid, *options)
                tally.value(session(X, grid), truth, f"case {k}")
        with Tally("onnx, runtime as shipped, volumes") as tally:
            for k in tally.draws(8):
                X, grid, _ = call(rng, dtype, aligned, least=2, axes=3)
                wild = rng.random(grid.shape) < 0.3
                grid[wild] = rng.choice((*BAD, *edges), wild.sum())
                truth = expected(onnx_dialect.grid_sample, X, grid, *options, as_shipped="runtime")
                tally.value(session(X, grid), truth, f"case {k}")


@aligns
@paddings
@pytest.mark.parametrize("axes", (1, 3), ids=("signals", "volumes"))
@pytest.mark.parametrize("mode", ("linear", "nearest", "cubic"))
def test_the_onnx_reference_is_as_it_is_shipped(mode, axes, padding_mode, aligned):
    """In every mode, and cubic is right but for a border, as on images."""
    _, reference = grid_samplers(mode, padding_mode, aligned, axes=axes)
    rng, options = np.random.default_rng(8), (mode, padding_mode, aligned)
    with Tally(f"onnx, NumPy reference, {'signals' if axes == 1 else 'volumes'}") as tally:
        for k in tally.draws(30 if axes == 1 else 5):
            X, grid, _ = call(rng, np.float32, aligned, least=2, axes=axes)
            X, grid = X[:, :1], grid[:, :2]  # it takes its time
            shipped = expected(onnx_dialect.grid_sample, X, grid, *options, as_shipped=True)
            found = reference(X, grid)
            tally.value(found, shipped, f"case {k}")
            if (mode, padding_mode) != ("cubic", "border"):
                right = expected(onnx_dialect.grid_sample, X, grid, *options)
                assert in_bounds(found, right) <= 1


@pytest.mark.parametrize("mode", jax_dialect.PADDINGS)
@pytest.mark.parametrize("order", (0, 1))
def test_jax_stays_within_the_bounds(order, mode):
    """All cases of a shape in one call, for compiling takes longest."""
    jax = pytest.importorskip("jax")
    from jax.scipy.ndimage import map_coordinates

    def theirs(image, p, loss):
        V, back = jax.vjp(
            lambda image, p: map_coordinates(image, list(p), order, mode, 0.5), image, p
        )
        return V, *back(loss)

    rng, options, count = np.random.default_rng(9), (order, mode, 0.5), 20
    for shape in ((5,), (3, 1, 4)):
        images = rng.standard_normal((count, *shape)).astype(np.float32)
        xyz = 3 * pixels(rng, shape, (count, 3, 5)) - 4
        points = np.moveaxis(xyz, -1, 1).astype(np.float32)
        losses = rng.standard_normal((count, 3, 5)).astype(np.float32)
        every = jax.jit(jax.vmap(theirs))(images, points, losses)
        with Tally(f"jax, {'signals' if len(shape) == 1 else 'volumes'}") as tally:
            for k in tally.draws(count):
                given, (V, *gradients) = (images[k], points[k]), (a[k] for a in every)
                truth = expected(jax_dialect.map_coordinates, *given, *options)
                tally.value(V, truth, f"case {k}")
                truth = expected(jax_dialect.map_coordinates_backward, losses[k], *given, *options)
                tally.gradient(gradients, truth, f"case {k}")


@pytest.mark.parametrize("axes", (1, 3), ids=("signals", "volumes"))
@pytest.mark.parametrize("mode", scipy_dialect.PADDINGS)
@pytest.mark.parametrize("order", (0, 1))
def test_scipy_stays_within_the_bounds(order, mode, axes):
    ndimage = pytest.importorskip("scipy.ndimage")
    rng, options = np.random.default_rng(15), {"order": order, "mode": mode, "cval": 0.5}
    with Tally(f"scipy, {'signals' if axes == 1 else 'volumes'}") as tally:
        for k in tally.draws(30):
            shape, dtype = rng.integers(1, 6, axes), (np.float32, np.float64)[k % 2]
            image = rng.standard_normal(shape).astype(dtype)
            p = np.moveaxis(3 * pixels(rng, shape, (3, 5)) - 4, -1, 0).astype(dtype)
            if k % 4 == 0:  # +∞ is the compiler's business there, see the dialect
                p[rng.random(p.shape) < 0.2] = rng.choice((np.nan, -np.inf, 1e10, -1e10))
            truth = expected(scipy_dialect.map_coordinates, image, p, **options)
            tally.value(ndimage.map_coordinates(image, p, **options), truth, f"case {k}")


@pytest.mark.parametrize("padding_mode", PADDING_MODES)
def test_check_finds_in_torchs_volumes_what_is_wrong_there_and_no_more(torch, padding_mode):
    options = {"padding_mode": padding_mode, "align_corners": True}
    sample, back = in_torch(torch, **options)
    like, rng = partial(torch_dialect.grid_sample, **options), np.random.default_rng(0)

    def wrong(dtype, back=None):
        report = check(sample, like, backward=back, axes=3, dtypes=dtype, rng=rng)
        return {row.family for row in report.rows if row.wrong}

    assert wrong("float32", back) == set()
    assert wrong("float64") == ({"huge"} if padding_mode == "reflection" else set())
    assert wrong("float16") == set()  # beyond pixel 2048 any pixel is within the bound

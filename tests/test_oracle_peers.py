"""The oracle against the frameworks themselves, where they are installed: nothing unexplained."""

import numpy as np
import pytest

from stn_ref.oracle import expected
from stn_ref.oracle import jax as jax_dialect
from stn_ref.oracle import onnx as onnx_dialect
from stn_ref.oracle import torch as torch_dialect
from tests.peers import PADDING_MODES, Tally, call

aligns = pytest.mark.parametrize("aligned", (True, False), ids=("corners", "edges"))
paddings = pytest.mark.parametrize("padding_mode", PADDING_MODES)
BAD = (np.nan, np.inf, -np.inf, 3e38, -3e38, 1e30, 1e10, -1e10)


@pytest.fixture(scope="module")
def torch():
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield torch
    torch.set_num_threads(threads)


@aligns
@paddings
@pytest.mark.parametrize("mode", torch_dialect.MODES)
def test_torch_stays_within_the_bounds(torch, mode, padding_mode, aligned):
    rng, tally = np.random.default_rng(7), Tally(f"torch {mode} {padding_mode} {aligned}")
    for k in range(60):
        U, grid, dV = call(rng, (np.float32, np.float64)[k % 2], aligned)
        options = (mode, padding_mode, aligned)
        u, g = (torch.from_numpy(a).requires_grad_() for a in (U, grid))
        V = torch.nn.functional.grid_sample(u, g, *options)
        found = torch.autograd.grad(V, (u, g), torch.from_numpy(dV))
        tally.drawn += 1
        tally.compare(V.detach(), expected(torch_dialect.grid_sample, U, grid, *options), "V")
        tally.values += 1
        truth = expected(torch_dialect.grid_sample_backward, dV, U, grid, *options)
        for name, theirs, ours in zip(("grad_input", "grad_grid"), found, truth, strict=True):
            tally.compare(theirs, ours, f"{name}, case {k}")
        tally.gradients += 1
    print(tally)


@aligns
@paddings
@pytest.mark.parametrize("mode", torch_dialect.MODES)
@pytest.mark.parametrize("dtype", (np.float32, np.float64), ids=("single", "double"))
@pytest.mark.parametrize("axis", (0, 1))
def test_torch_gives_the_same_where_points_are_not_finite_or_huge(
    torch, mode, padding_mode, aligned, dtype, axis
):
    U = np.arange(10, 30, dtype=dtype).reshape(1, 1, 4, 5)
    grid = np.empty((1, 1, len(BAD), 2), dtype)
    grid[..., 0], grid[..., 1] = 0.3, 0.1
    with np.errstate(over="ignore"):
        grid[..., axis] = np.array(BAD).astype(dtype)
    options = (mode, padding_mode, aligned)
    V = torch.nn.functional.grid_sample(*map(torch.from_numpy, (U, grid)), *options)
    truth = expected(torch_dialect.grid_sample, U, grid, *options)
    Tally("torch").compare(V, truth, "V")  # a huge coordinate that is rounded may be any pixel
    lost = ~np.isfinite(grid[0]).all(axis=-1)
    assert np.all(truth.bound[0, 0][lost] < 1e-4)


@aligns
@pytest.mark.filterwarnings("ignore:Since version 1.3.0:UserWarning")
def test_torch_makes_the_same_grids(torch, aligned):
    rng = np.random.default_rng(3)
    for dtype in (np.float32, np.float64):
        for size in ((2, 1, 5, 4), (1, 3, 1, 6), (3, 1, 1, 1)):
            theta = rng.standard_normal((size[0], 2, 3)).astype(dtype)
            t = torch.from_numpy(theta).requires_grad_()
            grid = torch.nn.functional.affine_grid(t, size, align_corners=aligned)
            dgrid = rng.standard_normal(grid.shape).astype(dtype)
            (dtheta,) = torch.autograd.grad(grid, t, torch.from_numpy(dgrid))
            close = {"rtol": 8 * np.finfo(dtype).eps, "atol": 32 * np.finfo(dtype).eps}
            ours = torch_dialect.affine_grid(theta, size, aligned)
            np.testing.assert_allclose(ours, grid.detach(), **close)
            ours = torch_dialect.affine_grid_backward(dgrid, theta, size, aligned)
            np.testing.assert_allclose(ours, dtheta, **close)


def runs(mode, padding_mode, aligned):
    """The operator by ONNX Runtime and by ONNX's own NumPy reference."""
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper
    from onnx.reference import ReferenceEvaluator

    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": int(aligned)}
    node = helper.make_node("GridSample", ["X", "grid"], ["Y"], **options)
    X, grid, Y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 4)
        for name in ("X", "grid", "Y")
    )
    graph = helper.make_graph([node], "one", [X, grid], [Y])
    opsets = [helper.make_opsetid("", 20)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    session = runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    reference = ReferenceEvaluator(model)
    return (
        lambda X, grid: session.run(None, {"X": X, "grid": grid})[0],
        lambda X, grid: reference.run(None, {"X": X, "grid": grid})[0],
    )


@aligns
@paddings
@pytest.mark.parametrize("mode", ("linear", "nearest", "cubic"))
def test_onnx_stays_within_the_bounds(mode, padding_mode, aligned):
    session, reference = runs(mode, padding_mode, aligned)
    rng, tally = np.random.default_rng(8), Tally(f"onnx {mode} {padding_mode} {aligned}")
    for k in range(60):
        X, grid, _ = call(rng, np.float32, aligned, least=2)  # the reference divides by S − 1
        truth = expected(onnx_dialect.grid_sample, X, grid, mode, padding_mode, aligned)
        shipped = expected(
            onnx_dialect.grid_sample, X, grid, mode, padding_mode, aligned, as_shipped=True
        )
        tally.drawn += 1
        tally.compare(session(X, grid), truth, f"ONNX Runtime, case {k}")
        tally.compare(reference(X, grid), shipped, f"the NumPy reference, case {k}")
        tally.values += 1
    print(tally)


def test_the_onnx_reference_clamps_too_early():
    """Wherever a cubic tap is outside: not what the standard says, nor what the runtime does."""
    _, reference = runs("cubic", "border", False)
    X, grid, _ = call(np.random.default_rng(0), np.float32, False, least=4)
    truth = expected(onnx_dialect.grid_sample, X, grid, "cubic", "border")
    assert np.any(abs(reference(X, grid) - truth.value) > 100 * truth.bound)


@pytest.mark.parametrize("mode", jax_dialect.PADDINGS)
@pytest.mark.parametrize("order", (0, 1))
def test_jax_stays_within_the_bounds(order, mode):
    jax = pytest.importorskip("jax")
    from jax.scipy.ndimage import map_coordinates

    rng, tally = np.random.default_rng(9), Tally(f"jax {order} {mode}")
    for k in range(30):
        shape = ((3, 4), (6, 2))[k % 2]  # jax divides by 0 on a mirrored axis of size 1
        image = rng.standard_normal(shape).astype(np.float32)
        p = rng.uniform(-9, 15, (2, 3, 5))
        p = np.where(rng.random(p.shape) < 0.5, np.round(2 * p) / 2, p).astype(np.float32)
        loss = rng.standard_normal((3, 5)).astype(np.float32)

        def theirs(image, p):
            return map_coordinates(image, list(p), order, mode, 0.5)

        V, back = jax.vjp(theirs, image, p)
        tally.drawn += 1
        options = (order, mode, 0.5)
        tally.compare(V, expected(jax_dialect.map_coordinates, image, p, *options), f"V {k}")
        tally.values += 1
        truth = expected(jax_dialect.map_coordinates_backward, loss, image, p, *options)
        for name, found, ours in zip(("image", "coordinates"), back(loss), truth, strict=True):
            tally.compare(found, ours, f"{name} {k}")
        tally.gradients += 1
    print(tally)


@pytest.mark.parametrize("mode", jax_dialect.PADDINGS)
def test_jax_gives_the_same_where_points_are_not_finite(mode):
    pytest.importorskip("jax")
    from jax.scipy.ndimage import map_coordinates

    image, zero = np.arange(10.0, 14, dtype=np.float32)[None], np.zeros(3, np.float32)
    p = [zero, np.array([np.nan, np.inf, -np.inf], np.float32)]
    ours = jax_dialect.map_coordinates(image, p, 1, mode)
    np.testing.assert_array_equal(ours, map_coordinates(image, p, 1, mode))
    many = 3 if mode in ("constant", "nearest") else 1  # elsewhere ±∞ is nowhere; jax picks a pixel
    ours = jax_dialect.map_coordinates(image, p, 0, mode)[:many]
    np.testing.assert_array_equal(ours, map_coordinates(image, p, 0, mode)[:many])

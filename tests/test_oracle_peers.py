"""The oracle against the frameworks themselves, where they are installed: nothing unexplained."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from stn_ref.oracle import check, expected
from stn_ref.oracle import jax as jax_dialect
from stn_ref.oracle import onnx as onnx_dialect
from stn_ref.oracle import opencv as opencv_dialect
from stn_ref.oracle import scipy as scipy_dialect
from stn_ref.oracle import tensorflow as tensorflow_dialect
from stn_ref.oracle import torch as torch_dialect
from tests.peers import PADDING_MODES, Tally, call, in_bounds, pixels

aligns = pytest.mark.parametrize("aligned", (True, False), ids=("corners", "edges"))
paddings = pytest.mark.parametrize("padding_mode", PADDING_MODES)
grids = pytest.mark.parametrize(
    ("axes", "draws", "most", "whose"),
    ((2, 200, 8, ""), (3, 100, 5, " of volumes")),
    ids=("images", "volumes"),
)
BAD = (np.nan, np.inf, -np.inf, 3e38, -3e38, 1e30, 1e10, -1e10)
HERE = Path(__file__).parent
TENSORFLOW = os.environ.get("STN_REF_TENSORFLOW", HERE.parent / ".venv-tensorflow/bin/python")


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
    rng, options = np.random.default_rng(7), (mode, padding_mode, aligned)
    with Tally("torch") as tally:
        for k in tally.draws(120):
            U, grid, dV = call(rng, (np.float32, np.float64)[k % 2], aligned)
            u, g = (torch.from_numpy(a).requires_grad_() for a in (U, grid))
            V = torch.nn.functional.grid_sample(u, g, *options)
            found = torch.autograd.grad(V, (u, g), torch.from_numpy(dV))
            truth = expected(torch_dialect.grid_sample, U, grid, *options)
            tally.value(V.detach(), truth, f"case {k}")
            truth = expected(torch_dialect.grid_sample_backward, dV, U, grid, *options)
            tally.gradient(found, truth, f"case {k}")


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
    with Tally("torch") as tally:
        for k in tally.draws(1):  # a huge, rounded coordinate may be any pixel
            tally.value(V.detach(), truth, f"case {k}")
    lost = ~np.isfinite(grid[0]).all(axis=-1)
    assert np.all(truth.bound[0, 0][lost] < 1e-4)


GRADIENTS_OF_LOST_POINTS = """
import numpy as np, torch
for axes, axis, aligned in np.ndindex(4, 3, 2):
    if axes not in (2, 3) or axis >= axes:
        continue
    U = np.arange(10, 10.0 + 3 * 4**axes // 4).reshape(1, 1, 3, *[4] * (axes - 1))
    grid = np.full((1, *[1] * (axes - 1), 3, axes), 0.3)
    grid[..., axis] = np.nan, np.inf, -np.inf
    U, grid = (torch.tensor(a, requires_grad=True) for a in (U, grid))
    V = torch.nn.functional.grid_sample(U, grid, "bilinear", "zeros", bool(aligned))
    for gradient in torch.autograd.grad(V, (U, grid), torch.ones_like(V)):
        print(axes, axis, aligned, *gradient.ravel().tolist())
"""


def test_torch_differentiates_the_same_where_points_are_not_finite(torch):
    """With zeros; with border and reflection torch 2.13 crashes, so in a process of its own."""
    command = [sys.executable, "-c", GRADIENTS_OF_LOST_POINTS]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [np.array(line.split(), float) for line in run.stdout.splitlines()]
    assert len(lines) == 2 * 2 * (2 + 3)
    for dU, dgrid in zip(lines[::2], lines[1::2], strict=True):
        axes, axis, aligned = (int(k) for k in dU[:3])
        U = np.arange(10, 10.0 + 3 * 4**axes // 4).reshape(1, 1, 3, *[4] * (axes - 1))
        grid = np.full((1, *[1] * (axes - 1), 3, axes), 0.3)
        grid[..., axis] = np.nan, np.inf, -np.inf
        options = {"padding_mode": "zeros", "align_corners": bool(aligned)}
        loss = np.ones((1, 1, *grid.shape[1:-1]))
        ours = torch_dialect.grid_sample_backward(loss, U, grid, **options)
        np.testing.assert_array_equal(ours[0].ravel(), dU[3:])
        np.testing.assert_array_equal(ours[1].ravel(), dgrid[3:])


@aligns
@pytest.mark.parametrize("mode", torch_dialect.MODES)
def test_torch_reads_large_planes_of_half_precision_wrongly(torch, mode, aligned):
    """As `as_shipped` says: in the last row of later planes it finds another plane's pixels."""
    U = np.repeat(np.arange(1, 7, dtype=np.float16), 128 * 257).reshape(3, 2, 128, 257)
    grid = np.full((3, 1, 9, 2), 1 if aligned else 127 / 128, np.float16)
    grid[..., 0] = np.linspace(0.2, 0.9, 9)
    V = torch.nn.functional.grid_sample(*map(torch.from_numpy, (U, grid)), mode, "border", aligned)
    options = {"mode": mode, "padding_mode": "border", "align_corners": aligned}
    right, shipped = (
        torch_dialect.grid_sample(U, grid, **options, as_shipped=shipped)
        for shipped in (False, True)
    )
    np.testing.assert_allclose(V[2], shipped[2], atol=0.02)
    assert np.all(abs(V[2].numpy() - right[2]) > 0.9)
    assert np.isnan(shipped[0, 0]).all()  # memory before the images


@aligns
@pytest.mark.filterwarnings("ignore:Since version 1.3.0:UserWarning")
@grids
def test_torch_makes_the_same_grids(torch, aligned, axes, draws, most, whose):
    rng = np.random.default_rng(3)
    with Tally(f"torch, affine_grid{whose}") as tally:
        for k in tally.draws(draws):
            size = tuple(int(s) for s in rng.integers(1, most + 1, axes + 2))
            dtype = (np.float32, np.float64)[k % 2]
            theta = rng.standard_normal((size[0], axes, axes + 1)).astype(dtype)
            t = torch.from_numpy(theta).requires_grad_()
            grid = torch.nn.functional.affine_grid(t, size, align_corners=aligned)
            dgrid = rng.standard_normal(grid.shape).astype(dtype)
            found = torch.autograd.grad(grid, t, torch.from_numpy(dgrid))
            truth = expected(torch_dialect.affine_grid, theta, size, aligned)
            tally.value(grid.detach(), truth, f"case {k}")
            truth = expected(torch_dialect.affine_grid_backward, dgrid, theta, size, aligned)
            tally.gradient(found, [truth], f"case {k}")


def runs(operator, inputs, output, **options):
    """An operator by ONNX Runtime and by ONNX's own NumPy reference, on inputs of these types."""
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper
    from onnx.reference import ReferenceEvaluator

    node = helper.make_node(operator, list(inputs), ["Y"], **options)
    given = [
        helper.make_tensor_value_info(name, getattr(TensorProto, kind), shape)
        for name, (kind, shape) in inputs.items()
    ]
    Y = helper.make_tensor_value_info("Y", getattr(TensorProto, output), None)
    opsets = [helper.make_opsetid("", 20)]
    graph = helper.make_graph([node], "one", given, [Y])
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    session = runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    reference = ReferenceEvaluator(model)
    return (
        lambda *arrays: session.run(None, dict(zip(inputs, arrays, strict=True)))[0],
        lambda *arrays: reference.run(None, dict(zip(inputs, arrays, strict=True)))[0],
    )


def grid_samplers(mode, padding_mode, aligned, kind="FLOAT", axes=2):
    inputs = {"X": (kind, [None] * (axes + 2)), "grid": (kind, [None] * (axes + 2))}
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": int(aligned)}
    return runs("GridSample", inputs, kind, **options)


@aligns
@paddings
@pytest.mark.parametrize("mode", ("linear", "nearest", "cubic"))
def test_onnx_stays_within_the_bounds(mode, padding_mode, aligned):
    session, reference = grid_samplers(mode, padding_mode, aligned)
    rng, options = np.random.default_rng(8), (mode, padding_mode, aligned)
    with Tally("onnx, runtime") as runtime, Tally("onnx, NumPy reference") as numpy_reference:
        for k, _ in zip(runtime.draws(120), numpy_reference.draws(120), strict=True):
            X, grid, _ = call(rng, np.float32, aligned, least=2)  # the reference divides by S − 1
            truth = expected(onnx_dialect.grid_sample, X, grid, *options)
            runtime.value(session(X, grid), truth, f"case {k}")
            shipped = expected(onnx_dialect.grid_sample, X, grid, *options, as_shipped=True)
            numpy_reference.value(reference(X, grid), shipped, f"case {k}")


@aligns
@paddings
@pytest.mark.parametrize("mode", ("linear", "nearest", "cubic"))
@pytest.mark.parametrize("kind", ("FLOAT", "DOUBLE"))
def test_onnx_runtime_loses_its_way_far_out(mode, padding_mode, aligned, kind):
    session, _ = grid_samplers(mode, padding_mode, aligned, kind)
    rng, options = np.random.default_rng(13), (mode, padding_mode, aligned)
    edges = (1e8, 1e19, 8388606, 8388608, 8388610, -8388608, 2.0**24, 2.0**25)
    with Tally("onnx, runtime as shipped") as tally:
        for k in tally.draws(20):
            X, grid, _ = call(rng, (np.float32, np.float64)[kind == "DOUBLE"], aligned, least=2)
            wild = rng.random(grid.shape) < 0.4
            grid[wild] = rng.choice((*BAD, *edges), wild.sum())
            truth = expected(onnx_dialect.grid_sample, X, grid, *options, as_shipped="runtime")
            tally.value(session(X, grid), truth, f"case {k}")


@aligns
@paddings
def test_the_onnx_reference_has_coordinates_of_single_precision_for_doubles(padding_mode, aligned):
    _, reference = grid_samplers("linear", padding_mode, aligned, "DOUBLE")
    rng, far = np.random.default_rng(14), []
    with Tally("onnx, NumPy reference") as tally:
        for k in tally.draws(20):
            X, grid, _ = call(rng, np.float64, aligned, least=2)
            truth = expected(onnx_dialect.grid_sample, X, grid, "linear", padding_mode, aligned)
            shipped = expected(
                onnx_dialect.grid_sample, X, grid, "linear", padding_mode, aligned, as_shipped=True
            )
            found = reference(X, grid)
            tally.value(found, shipped, f"case {k}")
            far.append(in_bounds(found, truth))
    assert max(far) > 1e3


def test_the_onnx_reference_clamps_too_early():
    """Wherever a cubic tap is outside: not what the standard says, nor what the runtime does."""
    _, reference = grid_samplers("cubic", "border", False)
    X, grid, _ = call(np.random.default_rng(0), np.float32, False, least=4)
    truth = expected(onnx_dialect.grid_sample, X, grid, "cubic", "border")
    assert in_bounds(reference(X, grid), truth) > 50


@aligns
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
@grids
def test_onnx_makes_the_same_grids_but_on_an_axis_of_one(aligned, axes, draws, most, whose):
    inputs = {"theta": ("FLOAT", [None] * 3), "size": ("INT64", [axes + 2])}
    session, reference = runs("AffineGrid", inputs, "FLOAT", align_corners=int(aligned))
    rng = np.random.default_rng(3)
    for run, name in ((session, "runtime"), (reference, "reference")):
        with Tally(f"onnx, AffineGrid{whose}") as tally:
            for k in tally.draws(draws):
                size = tuple(int(s) for s in rng.integers(1, most + 1, axes + 2))
                theta = rng.standard_normal((size[0], axes, axes + 1)).astype(np.float32)
                found = run(theta, np.array(size))
                shipped = expected(onnx_dialect.affine_grid, theta, size, aligned, as_shipped=name)
                tally.value(found, shipped, f"{name}, case {k}")
                right = expected(onnx_dialect.affine_grid, theta, size, aligned)
                lone = aligned and 1 in size[2:]
                assert (in_bounds(found, right) > 1) == lone, f"{name}, case {k}"


@pytest.mark.parametrize("mode", jax_dialect.PADDINGS)
@pytest.mark.parametrize("order", (0, 1))
def test_jax_stays_within_the_bounds(order, mode):
    jax = pytest.importorskip("jax")
    from jax.scipy.ndimage import map_coordinates

    @jax.jit
    def theirs(image, p, loss):
        V, back = jax.vjp(
            lambda image, p: map_coordinates(image, list(p), order, mode, 0.5), image, p
        )
        return V, back(loss)

    rng, options = np.random.default_rng(9), (order, mode, 0.5)
    with Tally("jax") as tally:
        for k in tally.draws(200):
            shape = ((3, 4), (6, 2), (1, 5))[k % 3]
            image = rng.standard_normal(shape).astype(np.float32)
            p = np.moveaxis(3 * pixels(rng, shape, (3, 5)) - 4, -1, 0).astype(np.float32)
            loss = rng.standard_normal((3, 5)).astype(np.float32)
            V, gradients = theirs(image, p, loss)
            tally.value(V, expected(jax_dialect.map_coordinates, image, p, *options), f"case {k}")
            truth = expected(jax_dialect.map_coordinates_backward, loss, image, p, *options)
            tally.gradient(gradients, truth, f"case {k}")


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


@pytest.mark.parametrize("mode", scipy_dialect.PADDINGS)
@pytest.mark.parametrize("order", (0, 1))
def test_scipy_stays_within_the_bounds(order, mode):
    ndimage = pytest.importorskip("scipy.ndimage")
    rng, options = np.random.default_rng(15), {"order": order, "mode": mode, "cval": 0.5}
    with Tally("scipy") as tally:
        for k in tally.draws(200):
            shape, dtype = rng.integers(1, 7, 2), (np.float32, np.float64)[k % 2]
            image = rng.standard_normal(shape).astype(dtype)
            p = np.moveaxis(3 * pixels(rng, shape, (3, 5)) - 4, -1, 0).astype(dtype)
            if k % 4 == 0:  # +∞ is the compiler's business there, see the dialect
                p[rng.random(p.shape) < 0.2] = rng.choice((np.nan, -np.inf, 1e10, -1e10))
            truth = expected(scipy_dialect.map_coordinates, image, p, **options)
            tally.value(ndimage.map_coordinates(image, p, **options), truth, f"case {k}")


@pytest.mark.parametrize("border", range(5))
@pytest.mark.parametrize("interpolation", range(3))
def test_opencv_stays_within_the_bounds(interpolation, border):
    cv2 = pytest.importorskip("cv2")
    rng, least = np.random.default_rng(16), 1
    if interpolation == cv2.INTER_CUBIC and border == cv2.BORDER_REFLECT_101:
        least = 2  # OpenCV 5.0 never comes back from an axis of one pixel
    with Tally("opencv") as tally:
        for k in tally.draws(210):
            shape = (*rng.integers(least, 9, 2), rng.integers(1, 4))
            dtype = (np.float32, np.uint8, np.float64)[k % (2 if interpolation == 2 else 3)]
            image = rng.standard_normal(shape) if k % 3 != 1 else rng.integers(0, 256, shape)
            image = np.squeeze((100 * image).astype(dtype), 2 if shape[2] == 1 else ())
            maps = (
                np.moveaxis(pixels(rng, shape[:2], (3, 5)) * 2 - 3, -1, 0).astype(np.float32).copy()
            )
            colour = rng.integers(0, 9, rng.integers(1, 5)).tolist()
            options = {"borderMode": border, "borderValue": colour}
            found = cv2.remap(image, *maps, interpolation, **options)
            truth = expected(
                opencv_dialect.remap, image, *maps, interpolation, **options, as_shipped=True
            )
            tally.value(found, truth, f"case {k}")


def test_opencv_rounds_points_of_doubles_and_of_pairs_of_channels():
    cv2 = pytest.importorskip("cv2")
    rng = np.random.default_rng(17)
    maps = rng.uniform(0, 5, (2, 4, 4)).astype(np.float32)
    for image in (rng.random((6, 6)), rng.random((6, 6, 2), np.float32)):
        found = cv2.remap(image, *maps, cv2.INTER_LINEAR)
        assert in_bounds(found, expected(opencv_dialect.remap, image, *maps, 1)) > 1000


@pytest.mark.slow
def test_tensorflow_stays_within_the_bounds(tmp_path):
    if not Path(TENSORFLOW).exists():
        pytest.skip("no .venv-tensorflow, which .ci/run makes: Python 3.11, TensorFlow Addons 0.23")
    rng, cases, given = np.random.default_rng(18), [], {}
    for k in range(2000):
        dtype = (np.float32, np.float64)[k % 2]
        B, H, W, C, count = rng.integers((1, 1, 1, 1, 1), (3, 7, 7, 4, 7))
        warp = pixels(rng, (H, W), (B, count)).astype(dtype)
        if k % 8 == 0:
            warp[rng.random(warp.shape) < 0.2] = rng.choice((np.nan, np.inf, -np.inf, 1e30, -1e30))
        data = rng.standard_normal((B, H, W, C)).astype(dtype)
        loss = rng.standard_normal((B, count, C)).astype(dtype)
        cases.append((loss, data, warp))
        given |= {f"data{k}": data, f"warp{k}": warp, f"loss{k}": loss}
    np.savez(tmp_path / "cases.npz", **given)
    program = [TENSORFLOW, HERE / "resampler.py", tmp_path / "cases.npz", tmp_path / "found.npz"]
    subprocess.run(program, check=True, capture_output=True)
    with np.load(tmp_path / "found.npz") as found, Tally("tensorflow") as tally:
        for k, case in zip(tally.draws(2000), cases, strict=True):
            truth = expected(tensorflow_dialect.resampler, *case[1:])
            tally.value(found[f"V{k}"], truth, f"case {k}")
            gradients = found[f"grad_data{k}"], found[f"grad_warp{k}"]
            truth = expected(tensorflow_dialect.resampler_backward, *case)
            tally.gradient(gradients, truth, f"case {k}")


def wrong_families(candidate, like, dtype="float32", backward=None):
    report = check(
        candidate, like, backward=backward, dtypes=(dtype,), rng=np.random.default_rng(0)
    )
    return {row.family for row in report.rows if row.wrong}


def in_torch(torch, **options):
    def sample(U, grid):
        with torch.no_grad():
            V = torch.nn.functional.grid_sample(*map(torch.tensor, (U, grid)), **options)
        return V.numpy()

    def back(loss, U, grid):
        u, g = (torch.tensor(a, requires_grad=True) for a in (U, grid))
        V = torch.nn.functional.grid_sample(u, g, **options)
        return tuple(d.numpy() for d in torch.autograd.grad(V, (u, g), torch.tensor(loss)))

    return sample, back


@aligns
@paddings
@pytest.mark.parametrize("mode", torch_dialect.MODES)
def test_check_finds_in_torch_what_is_wrong_there_and_no_more(torch, mode, padding_mode, aligned):
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": aligned}
    sample, back = in_torch(torch, **options)
    like = partial(torch_dialect.grid_sample, **options)
    assert wrong_families(sample, like, "float32", back) == set()
    assert wrong_families(sample, like, "float64", back) == set()
    lost = {"not finite", "huge"} if (mode, padding_mode) == ("nearest", "zeros") else set()
    assert wrong_families(sample, like, "float16") == {"large planes"} | lost


def test_check_finds_what_is_wrong_in_onnx():
    like = partial(onnx_dialect.grid_sample, mode="cubic", padding_mode="border")
    session, reference = grid_samplers("cubic", "border", False)
    assert {"random", "edges"} <= wrong_families(reference, like)
    like = partial(onnx_dialect.grid_sample, padding_mode="border")
    session, _ = grid_samplers("linear", "border", False)
    assert "huge" in wrong_families(session, like)
    assert "random" not in wrong_families(session, like)


def test_check_finds_what_is_wrong_in_opencv():
    cv2 = pytest.importorskip("cv2")

    def linear(src, map1, map2):
        return cv2.remap(src, map1.astype(np.float32), map2.astype(np.float32), cv2.INTER_LINEAR)

    like = partial(opencv_dialect.remap, interpolation=opencv_dialect.INTER_LINEAR)
    assert "random" in wrong_families(linear, like, "float64")  # 1/32 pixel

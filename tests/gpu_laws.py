"""The laws that the CUDA backend keeps on a GPU, as plain functions: they need no pytest.

`python -m tests.gpu` runs them, and so does `test_gpu.py`. Each takes `scale`, 1 for real sizes;
at a small one the simulator can run them, with what torch has on the host for its tensors on a GPU.
"""

import faulthandler
import json
import sys
import time
import traceback

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref import equations as eq
from stn_ref.backends import get
from tests import gpu_arrays  # noqa: F401, its laws
from tests.conformance import LAYOUTS, PAIRS, assert_conforms, case, mingled
from tests.gpu_law import (
    DEVICE,
    FEWER,
    LAWS,
    SIDES,
    Absent,
    cuda,
    everything,
    host,
    law,
    library,
    sized,
    usual,
)

reference = get("reference")

SOME = (eq.BILINEAR, eq.keys(), eq.hat(1.5), eq.lanczos(), eq.normalised(eq.gaussian(0.6)))
BOTH = (np.float32, np.float64)
LIMIT = 240  # seconds that a law may take


# Right: against the equations.


@law(dtype=BOTH, layout=LAYOUTS)
def it_conforms_in_every_layout(scale, dtype, layout):
    dV, U, xy = usual(dtype, scale, layout)
    for points in (xy, xy.astype(np.float32)):
        assert_conforms("cuda", dV, U, points, eq.BILINEAR, "zeros", "right")


@law(dtype=BOTH, padding=tuple(eq.PADDINGS))
def it_conforms_with_every_padding(scale, dtype, padding):
    fill = -2.5 if padding == "constant" else 0.0
    for layout in LAYOUTS[:2]:
        dV, U, xy = usual(dtype, scale, layout, out=FEWER)
        for kernel in (eq.BILINEAR, eq.keys(), eq.normalised(eq.gaussian(0.6))):
            assert_conforms("cuda", dV, U, xy.astype(dtype), kernel, padding, "right", fill)


@law(number=range(len(PAIRS)))
def it_conforms_with_every_kernel(scale, number):
    dV, U, xy = usual(np.float32, scale, out=FEWER)
    for tie in ("right", "left", "central"):
        assert_conforms("cuda", dV, U, xy, PAIRS[number], "border", tie)


@law(dtype=BOTH, axes=(1, 3), padding=tuple(eq.PADDINGS))
def signals_and_volumes_conform(scale, dtype, axes, padding):
    fill = -2.5 if padding == "constant" else 0.0
    for layout in LAYOUTS:
        dV, U, xy = usual(dtype, scale, layout, out=FEWER, axes=axes)
        for kernel in (eq.BILINEAR, (eq.hat(1.5), eq.keys(), eq.BILINEAR)[:axes]):
            for tie in ("right", "left"):
                assert_conforms("cuda", dV, U, xy.astype(dtype), kernel, padding, tie, fill)


@law()
def a_row_of_the_users_own_is_compiled(scale):
    width = 1.25  # the functions close over it
    own = eq.Kernel(
        "own",
        (),
        lambda t, Phi: (abs(t) < width) * (1 - (t / width) ** 2),
        lambda t, Phi: (abs(t) < width) * (-2 * t / width**2),
        lambda t, Phi: (),
        width,
    )
    dV, U, xy = usual(np.float64, scale)
    for ours, truth in zip(
        (cuda.sample(U, xy, kernel=own), *cuda.sample_backward(dV, U, xy, kernel=own)[:2]),
        (reference.sample(U, xy, kernel=own), *reference.sample_backward(dV, U, xy, kernel=own)),
        strict=False,
    ):
        assert_allclose(ours, truth, rtol=1e-11, atol=1e-11)


@law(padding=tuple(eq.PADDINGS), axes=(1, 2, 3))
def coordinates_may_be_huge_or_not_finite(scale, padding, axes):
    dV, U, xy = usual(np.float64, scale, out=FEWER, axes=axes)
    odd = mingled(np.random.default_rng(0), xy)
    for kernel in SOME if axes == 2 else SOME[:3]:
        options = {"kernel": kernel, "padding": padding}
        ours, truth = (
            (m.sample(U, odd, **options), *m.sample_backward(dV, U, odd, **options)[:2])
            for m in (cuda, reference)
        )
        for a, b in zip(ours, truth, strict=True):
            assert_allclose(a, b, rtol=1e-10, atol=1e-10)


@law(dtype=BOTH, align_corners=(True, False))
def the_identity_is_exact(scale, dtype, align_corners):
    sizes = ((17, 23), (64, 64), (1, 300), (300, 1), (127, 253), (1080, 1920))
    for size in (*sizes, (97,), (9999,), (1, 30, 47), (33, 47, 65), (127, 160, 96)):
        U = np.random.default_rng(0).standard_normal((2, *sized(scale, *size), 2)).astype(dtype)
        for kernel in (eq.INTEGER, eq.BILINEAR, eq.keys()):
            options = {"transformation": eq.affine(len(size)), "align_corners": align_corners}
            theta = np.tile(eq.affine(len(size)).identity().astype(dtype), (2, 1, 1))
            assert_array_equal(cuda.transform(U, theta, kernel=kernel, **options), U)


def whole_matrix(axes):
    """A transformation whose θ is the matrix, its last row too."""
    return eq.Transformation(
        f"matrix {axes}-D", lambda: np.eye(axes + 1), None, None,
        lambda theta: theta, lambda dmatrix, theta: dmatrix,
    )  # fmt: skip


MATRICES = (eq.AFFINE, eq.PROJECTIVE, whole_matrix(1), eq.affine(3), whole_matrix(3))


@law(dtype=BOTH, transformation=MATRICES, align_corners=(True, False))
def the_fused_path_hits_the_same_pixels(scale, dtype, transformation, align_corners):
    rng, identity = np.random.default_rng(1), transformation.identity()
    axes = transformation.matrix(identity[None]).shape[-1] - 1
    U = rng.standard_normal((3, *sized(scale, *SIDES[axes]), 3)).astype(dtype)
    theta = identity + rng.choice([0, 0.0625, 0.125], (3, *identity.shape))
    options = {"transformation": transformation, "align_corners": align_corners}
    size = sized(scale, *{1: (8000,), 2: (200, 300), 3: (30, 40, 50)}[axes])
    ours, truth = (
        m.transform(U, theta, size=size, kernel=eq.INTEGER, **options) for m in (cuda, reference)
    )
    assert_array_equal(ours, truth)
    dV = rng.standard_normal((3, *size, 3)).astype(dtype)
    ours, truth = (m.transform_backward(dV, U, theta, **options) for m in (cuda, reference))
    eps = np.finfo(dtype).eps
    for a, b in zip(ours, truth, strict=True):
        assert_allclose(a, b, rtol=300 * eps, atol=300 * eps * max(1, np.abs(b).max()))


@law(align_corners=(True, False), mode=("bilinear", "bicubic", "trilinear"))
def torch_agrees(scale, align_corners, mode):
    torch = library("torch")
    rng, kernel = np.random.default_rng(0), eq.keys() if mode == "bicubic" else eq.BILINEAR
    size, out = ((20, 30, 40), (15, 20, 30)) if mode == "trilinear" else ((40, 50), (30, 60))
    sides = np.array(sized(scale, *size)[::-1])
    U, xy = (
        rng.standard_normal((2, *sides[::-1], 3)),
        rng.uniform(-3, sides[0] + 2, (2, *sized(scale, *out), len(sides))),
    )
    dV = rng.standard_normal((*xy.shape[:-1], 3))
    slope = 2 / (sides - 1) if align_corners else 2 / sides
    grid = xy * slope - 1 if align_corners else (2 * xy + 1) / sides - 1
    planes, back = (torch.from_numpy(a).movedim(-1, 1).to(DEVICE) for a in (U, dV))
    points = torch.from_numpy(grid).to(DEVICE).requires_grad_()
    planes.requires_grad_()
    for padding in ("zeros", "border"):
        theirs = "bilinear" if mode == "trilinear" else mode
        V = torch.nn.functional.grid_sample(planes, points, theirs, padding, align_corners)
        dU, dgrid = torch.autograd.grad(V, (planes, points), back)
        ours = cuda.sample(U, xy, kernel=kernel, padding=padding)
        assert_allclose(ours, host(V.movedim(1, -1)), rtol=1e-10, atol=1e-10)
        gradients = cuda.sample_backward(dV, U, xy, kernel=kernel, padding=padding)
        assert_allclose(gradients[0], host(dU.movedim(1, -1)), rtol=1e-9, atol=1e-9)
        assert_allclose(gradients[1], host(dgrid) * slope, rtol=1e-9, atol=1e-9)


# The same bits.


def crowded(dtype, scale, axes):
    """A hundred points to a pixel, and θ."""
    size, out = {1: ((30,), (9000,)), 2: ((20, 20), (200, 200)), 3: ((6, 7, 8), (20, 40, 50))}[axes]
    size, out = sized(scale, *size), sized(scale, *out)
    theta = np.tile(eq.affine(axes).identity() * 0.9, (2, 1, 1))
    return *case(dtype, size=size, channels=3, out=out), theta


@law(dtype=BOTH, kernel=SOME, axes=(1, 2, 3))
def fifty_runs_have_the_same_bits(scale, dtype, kernel, axes):
    arrays = crowded(dtype, scale, axes)
    runs = {
        b"".join(a.tobytes() for a in everything(*arrays, kernel=kernel))
        for _ in range(50 if scale == 1 else 2)
    }
    assert len(runs) == 1


@law(dtype=BOTH, axes=(1, 2, 3))
def atomics_agree_to_rounding(scale, dtype, axes):
    arrays = crowded(dtype, scale, axes)
    ordered, free = (
        everything(*arrays, kernel=eq.hat(1.5), deterministic=d) for d in (True, False)
    )
    for n, (a, b) in enumerate(zip(ordered, free, strict=True)):
        near = 1000 * np.finfo(dtype).eps * np.abs(a).max() if a.shape == arrays[1].shape else 0
        assert_allclose(b, a, rtol=0, atol=near, err_msg=f"result {n}")


def main(scale, *names):
    """Keep these laws, a line of JSON for each, until one is broken: it may have broken the GPU."""
    for name in names:
        faulthandler.dump_traceback_later(LIMIT, exit=True)
        begin, outcome, detail = time.perf_counter(), "passed", ""
        try:
            LAWS[name](float(scale))
        except Absent as error:
            outcome, detail = "absent", str(error)
        except Exception:
            outcome, detail = "failed", traceback.format_exc()[-3000:]
        found = {"name": name, "outcome": outcome, "seconds": round(time.perf_counter() - begin, 2)}
        print(json.dumps(found | ({"detail": detail} if detail else {})), flush=True)
        if outcome == "failed":
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""The CUDA backend on a GPU: `make test-gpu`. Without one every test here is skipped.

`test_conformance.py` and `test_backends.py` run on it by themselves, for then it is available.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref import backends
from stn_ref import equations as eq
from stn_ref.backends import reference
from tests.conftest import SIMULATED
from tests.test_conformance import LAYOUTS, assert_conforms, case, kernels

ROOT = Path(__file__).parents[1]
cuda = backends.get("cuda")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(SIMULATED or not cuda.is_available(), reason=cuda.why_not() or "simulated"),
]


@pytest.mark.parametrize("padding", eq.PADDINGS)
@pytest.mark.parametrize("dtype", (np.float32, np.float64), ids=("single", "double"))
@pytest.mark.parametrize("layout", LAYOUTS[:2])
def test_it_conforms_at_real_sizes(padding, dtype, layout):
    for kernel in (eq.BILINEAR, eq.keys(), eq.lanczos(), eq.normalised(eq.gaussian(0.6))):
        dV, U, xy = case(dtype, layout, size=(128, 160), channels=9, out=(120, 200))
        assert_conforms("cuda", dV, U, xy.astype(dtype), kernel, padding, "right")


@pytest.mark.parametrize("dtype", (np.float32, np.float64), ids=("single", "double"))
@kernels
def test_fifty_runs_have_the_same_bits(dtype, kernel):
    dV, U, xy = case(dtype, size=(20, 20), channels=3, out=(200, 200))  # a hundred to a pixel
    theta = np.tile(np.eye(2, 3) * 0.9, (2, 1, 1))
    seen = set()
    for _ in range(50):
        dU, dxy, dPhi = cuda.sample_backward(dV, U, xy, kernel=kernel, padding="border")
        fused = cuda.transform_backward(dV, U, theta, kernel=kernel)
        seen.add(b"".join(a.tobytes() for a in (dU, dxy, *dPhi, *fused)))
    assert len(seen) == 1


def test_float_atomics_agree_to_rounding():
    dV, U, xy = case(np.float32, size=(20, 20), channels=3, out=(200, 200))
    ordered, free = (cuda.sample_backward(dV, U, xy, deterministic=d)[0] for d in (True, False))
    assert_allclose(free, ordered, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("layout", LAYOUTS[:3])
def test_tensors_of_torch_are_taken_where_they_lie(layout):
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch has no GPU")
    dV, U, xy = case(np.float32, layout)
    tensors = [torch.from_numpy(np.ascontiguousarray(a)).cuda() for a in (dV, U, xy)]
    turned = [t.flip(1).contiguous().flip(1) for t in tensors]
    with torch.cuda.stream(torch.cuda.Stream()):
        V = cuda.sample(*turned[1:])
        dU, dxy, _ = cuda.sample_backward(*turned)
        torch.cuda.current_stream().synchronize()
    assert V.device == tensors[1].device and dU.shape == tensors[1].shape
    assert_array_equal(V.cpu().numpy(), cuda.sample(U, xy))
    expected = cuda.sample_backward(dV, U, xy)
    assert_array_equal(dU.cpu().numpy(), expected[0])
    assert_array_equal(dxy.cpu().numpy(), expected[1])


def test_torch_agrees():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch has no GPU")
    rng = np.random.default_rng(0)
    U = rng.standard_normal((2, 40, 50, 3))
    xy = rng.uniform(-3, 52, (2, 30, 60, 2))
    grid = (2 * xy + 1) / [50, 40] - 1
    planes, points = torch.from_numpy(U).permute(0, 3, 1, 2).cuda(), torch.from_numpy(grid).cuda()
    for padding, theirs in (("zeros", "zeros"), ("border", "border")):
        V = torch.nn.functional.grid_sample(
            planes, points, padding_mode=theirs, align_corners=False
        )
        ours = cuda.sample(U, xy, padding=padding)
        assert_allclose(ours, V.permute(0, 2, 3, 1).cpu().numpy(), rtol=1e-10, atol=1e-10)


def test_offsets_over_two_to_the_thirty_one(rng):
    """Five gigabytes on the GPU."""
    from numba import cuda as numba_cuda

    side = 36_000
    if numba_cuda.current_context().get_memory_info()[0] < 4 * side * side * 2.5:
        pytest.skip("the GPU has too little memory")
    U = numba_cuda.device_array((1, side, side, 2), np.float32)
    patch = rng.standard_normal((4, 4, 2)).astype(np.float32)
    U[0, -4:, -4:] = numba_cuda.to_device(patch)
    xy = rng.uniform(side - 4, side - 1, (1, 3, 5, 2))
    V = cuda.sample(U, numba_cuda.to_device(xy)).copy_to_host()
    assert_allclose(V, reference.sample(patch[None], xy - (side - 4)), rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(not shutil.which("compute-sanitizer"), reason="there is no compute-sanitizer")
@pytest.mark.parametrize("tool", ("memcheck", "racecheck", "initcheck"))
def test_compute_sanitizer_finds_nothing(tool):
    run = subprocess.run(
        ["compute-sanitizer", f"--tool={tool}", "--error-exitcode=9", sys.executable]
        + ["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_conformance.py"]
        + ["-k", "cuda and (not_finite_or_huge or smaller) and bilinear and not normalised"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert run.returncode == 0, run.stdout[-5000:]

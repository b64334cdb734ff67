"""How the CUDA backend takes arrays that lie on a GPU, in the simulator: libraries that are not.

Host memory stands for a GPU's. What is tested is what the simulator alone does not reach: strides
and offsets of lent memory, who lends scratch memory, and who waits for whom.
"""

import re
import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from stn_ref import equations as eq
from tests import ptx
from tests.conftest import SIMULATED
from tests.test_conformance import LAYOUTS, case
from tests.test_cuda import child, cuda, needs_numba_cuda

LAWS = (
    "where_it_lies", "tensors", "streams", "long_strides", "flat_grids", "one_gpu", "remainders",
)  # fmt: skip


@needs_numba_cuda
@pytest.mark.parametrize("law", LAWS)
def test_a_law_of_arrays_in_the_simulator(law):
    code = f"from tests.test_cuda_arrays import {law} as law; law()"
    run = child("-c", code, NUMBA_ENABLE_CUDASIM="1")
    assert run.returncode == 0, run.stderr


@pytest.mark.slow
@pytest.mark.parametrize("way", ("single", "double"))
def test_nothing_is_taken_from_itself_to_see_if_it_is_finite(way):
    """x − x is 0 only while nobody fuses the product that x is with the subtraction."""
    if ptx.missing():
        pytest.skip(ptx.missing())
    code = f"from tests import ptx; print(ptx.compiled('scatter fixed', 'bilinear', '{way}'))"
    found = child("-c", code).stdout
    assert "atom.global.add" in found
    assert not re.search(r"sub\.f(?:32|64)\s+%\w+, (%\w+), \1;", found)


class Lent:
    """An array of some library, said to be on a GPU."""

    def __init__(self, array, **said):
        self.array, self.said = np.asarray(array), said

    @property
    def __cuda_array_interface__(self):
        face = self.array.__array_interface__
        return {**face, "strides": self.array.strides, "stream": None, **self.said}


class Tensor(Lent):
    """One of torch, as far as the backend asks."""

    device = SimpleNamespace(index=0)

    def detach(self):
        return self

    cpu = detach

    def numpy(self):
        return self.array

    def reshape(self, *shape):
        return Tensor(self.array.reshape(*shape))

    def permute(self, *axes):
        return Tensor(self.array.transpose(axes))


Tensor.__module__ = "torch"

if SIMULATED:
    from numba import cuda as numba_cuda
    from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray

    from stn_ref.backends.cuda import arrays, device, launch

    waited = []

    def stream_of(name):
        return SimpleNamespace(synchronize=lambda: waited.append(name))

    def from_interface(face, owner=None, sync=True):
        lent = SimpleNamespace(__array_interface__={**face, "version": 3}, owner=owner)
        return FakeCUDAArray(np.asarray(lent))

    numba_cuda.from_cuda_array_interface = from_interface
    numba_cuda.as_cuda_array = lambda a, sync: from_interface(a.__cuda_array_interface__, a)
    numba_cuda.external_stream = stream_of
    numba_cuda.default_stream = lambda: stream_of("default")
    FakeCUDAArray.__cuda_array_interface__ = property(lambda a: a._ary.__array_interface__)


def all_four(make, dV, U, xy, theta, **options):
    """What the four functions give for arrays made by `make`, on the host."""
    dV, U, xy, theta = (make(a) for a in (dV, U, xy, theta))
    dU, dxy, dPhi = cuda.sample_backward(dV, U, xy, kernel=eq.hat(1.5), **options)
    found = [cuda.sample(U, xy), dU, dxy, *dPhi]
    found += [cuda.transform(U, theta, size=(2, 3)), *cuda.transform_backward(dV, U, theta)]
    return found


def on_host(array):
    return getattr(array, "array", getattr(array, "_ary", array))


def assert_same(make):
    """The bits of NumPy's arrays, in every layout."""
    for layout in LAYOUTS:
        dV, U, xy = case(np.float32, layout)
        theta = np.tile(np.eye(2, 3) * 0.9, (2, 1, 1))
        ours, plain = (all_four(m, dV, U, xy, theta) for m in (make, np.asarray))
        for a, b in zip(ours, plain, strict=True):
            np.testing.assert_array_equal(on_host(a), b, err_msg=layout)
            assert type(a) is not np.ndarray


def where_it_lies():
    """Any strides, forwards, backwards and 0; θ too, whose gradient is a part of a matrix."""
    assert_same(Lent)
    dV, U, xy = case(np.float64)
    part = replace(eq.AFFINE, matrix_backward=lambda dmatrix, theta: dmatrix[:, :2])
    for transformation in (part, eq.thin_plate_spline()):
        theta = transformation.identity() + np.zeros((2, 1, 1))
        ours, plain = (
            cuda.transform_backward(m(dV), m(U), m(theta), transformation=transformation)[1]
            for m in (Lent, np.asarray)
        )
        np.testing.assert_array_equal(on_host(ours), plain)
    plain = U.tolist(), xy[:, :1].tolist()
    np.testing.assert_array_equal(cuda.sample(*plain), cuda.sample(*map(np.asarray, plain)))


def tensors():
    """Torch lends the memory of results and scratch: only it knows when a stream is done."""
    torch = sys.modules["torch"] = ModuleType("torch")
    torch.empty = lambda shape, dtype, device: Tensor(np.empty(shape, dtype))
    torch.as_tensor = lambda array, device: Tensor(array)
    torch.cuda = SimpleNamespace(current_stream=lambda device: SimpleNamespace(cuda_stream=0))
    for name in ("float32", "float64", "int32", "int64"):
        setattr(torch, name, np.dtype(name))
    assert_same(Tensor)
    arrays.empty = None
    all_four(Tensor, *case(np.float32), np.tile(np.eye(2, 3), (2, 1, 1)))


def streams():
    """An array is waited for where its stream is another; one that knows no streams, both ways."""
    dV, U, xy = case(np.float32)
    cuda.sample(Lent(U, stream=1), Lent(xy, stream=7))
    assert waited == [7, "default"]
    waited.clear()
    FakeCUDAArray.__module__ = "numba"
    cuda.sample(numba_cuda.to_device(U), numba_cuda.to_device(xy))
    assert not waited, "Numba's own use the default stream too"
    later = Lent(U)
    later.block_until_ready = lambda: waited.append("jax")
    cuda.sample(later, Lent(xy))
    assert waited == ["jax", "default"]


def long_strides():
    """An axis of one element may have a stride that no 32 bits hold."""
    U = np.ones((1, 3, 4, 1), np.float32)
    far = (1 << 40, *U.strides[1:3], 1 << 40)
    flat = arrays.flat("U", Lent(U, strides=far), 0)
    assert flat.steps == (0, 4, 1, 0) and not launch.is_wide(flat)
    V = cuda.sample(Lent(U, strides=far), Lent(np.ones((1, 2, 2, 2))))
    np.testing.assert_array_equal(on_host(V), 1)


def flat_grids():
    """However many images and pieces, a grid is long, not high: CUDA allows 65,535 rows."""
    grids, run = [], launch._run

    def recorded(kernel, grid, *rest):
        grids.append(grid)
        run(kernel, grid, *rest)

    launch._run = recorded
    for B, out in ((5, (1, 1)), (1, (6, 15))):
        U, dV = np.ones((B, 2, 3, 1)), np.ones((B, *out, 1))
        cuda.transform_backward(dV, U, np.tile(np.eye(2, 3), (B, 1, 1)), kernel=eq.hat(2))
    assert {rows for _, rows in grids} == {1, 2}, "2 is that of the numbers in Φ"
    assert max(long for long, _ in grids) == 6


def one_gpu():
    """Arrays on two GPUs are refused: the one cannot read the other's."""
    _, U, xy = map(Tensor, case(np.float32))
    xy.device = SimpleNamespace(index=1)
    with pytest.raises(ValueError, match="on several GPUs: .*; they must be on one"):
        cuda.sample(U, xy)


def remainders():
    """Exact for every finite whole x, with nothing but division, truncation and a fused step."""
    rng = np.random.default_rng(0)
    for number, bits in ((np.float32, 22), (np.float64, 31)):
        of, top = device.remainder(number), np.finfo(number).maxexp
        for exponent in rng.uniform(0, top, 2000):
            S = number(rng.integers(1, 20) if rng.random() < 0.5 else 2 ** rng.uniform(0, bits))
            S, x = np.floor(S), np.floor(number(rng.uniform(-1, 1)) * number(2 ** (exponent - 1)))
            left = of(x, S)
            assert type(left) is number and abs(left) < S
            assert (int(x) - int(left)) % int(S) == 0, (x, S)

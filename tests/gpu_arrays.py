"""Laws on a GPU: arrays of anyone are taken where they lie, on their stream, however large."""

import os
from contextlib import nullcontext
from importlib import import_module

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref import equations as eq
from stn_ref.backends import get
from tests.conformance import LAYOUTS
from tests.gpu_law import (
    DEVICE,
    Absent,
    cuda,
    everything,
    host,
    law,
    library,
    sized,
    torch_stream,
    usual,
)
from tests.simulator import SIMULATED

reference = get("reference")


def taken_where_they_lie(place, module, scale, layout, axes=2):
    """The same bits from arrays on the GPU as from the host's, and results of their library."""
    dV, U, xy = usual(np.float32, scale, layout, axes=axes)
    theta = np.tile(eq.affine(axes).identity() * 0.9, (2, 1, 1))
    expected = everything(dV, U, xy, theta, kernel=eq.keys())
    given = [place(a) for a in (dV, U, xy, theta)]
    for a, b in zip(everything(*given, kernel=eq.keys()), expected, strict=True):
        assert_array_equal(a, b)
    if not SIMULATED:
        V, (dU, dxy, dPhi) = cuda.sample(*given[1:3]), cuda.sample_backward(*given[:3])
        affine = eq.affine(axes)
        dtheta = cuda.transform_backward(given[0], given[1], given[3], transformation=affine)[1]
        found = {type(a).__module__.split(".")[0] for a in (V, dU, dxy, *dPhi, dtheta)}
        assert found == {module}


@law(layout=LAYOUTS[:4], axes=(1, 2, 3))
def tensors_of_torch_are_taken_where_they_lie(scale, layout, axes):
    torch = library("torch")

    def place(array):
        """A view with the array's own order of axes, on every second element of what holds it."""
        order = np.argsort([-abs(s) for s in array.strides], kind="stable")
        dense = torch.from_numpy(np.ascontiguousarray(array.transpose(order))).to(DEVICE)
        wide = torch.stack([dense, dense], dim=-1)[..., 0]
        return wide.permute(*np.argsort(order).tolist())

    with torch_stream(torch):
        taken_where_they_lie(place, "torch", scale, layout, axes)


@law()
def channels_last_tensors_and_their_results(scale):
    """NCHW in torch's channels_last format is seen as (B, H, W, C) without a copy."""
    torch = library("torch")
    dV, U, xy = usual(np.float32, scale)
    expected = cuda.sample_backward(dV, U, xy)[0]
    planes, back = (
        torch.from_numpy(np.ascontiguousarray(a.transpose(0, 3, 1, 2))).to(DEVICE) for a in (U, dV)
    )
    for form in (torch.contiguous_format, torch.channels_last):
        views = [t.contiguous(memory_format=form).permute(0, 2, 3, 1) for t in (back, planes)]
        dU = cuda.sample_backward(*views, torch.from_numpy(xy).to(DEVICE))[0]
        assert_array_equal(host(dU), expected)
        if not SIMULATED:
            assert dU.stride() == views[1].stride() and dU.device == planes.device


@law(name=("cupy", "jax", "numba"))
def arrays_of_others_are_taken_where_they_lie(scale, name):
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    place = np.ascontiguousarray
    if SIMULATED:
        pass
    elif name == "cupy":
        place = library("cupy").asarray
    elif name == "jax":
        jax = library("jax")
        if jax.default_backend() != "gpu":
            raise Absent("JAX has no GPU")
        jax.config.update("jax_enable_x64", True)
        place = jax.numpy.asarray
    else:
        numba_cuda = import_module("numba.cuda")
        place = lambda array: numba_cuda.to_device(np.ascontiguousarray(array))  # noqa: E731
    taken_where_they_lie(place, "cupy" if name == "cupy" else "numba", scale, "planar")


@law()
def torchs_current_stream_is_kept(scale):
    """The sampler waits for what the stream is still busy with, and the stream for the sampler."""
    torch = library("torch")
    dV, U, xy = usual(np.float32, scale)
    expected = cuda.sample(U, xy), *cuda.sample_backward(dV, U, xy)[:2]
    there = [torch.from_numpy(a).to(DEVICE) for a in (dV, U, xy)]
    for _ in range(10 if scale == 1 else 1):
        given = [torch.zeros_like(t) for t in there]
        if not SIMULATED:
            torch.cuda.synchronize()
        with torch_stream(torch):
            if not SIMULATED:
                torch.cuda._sleep(10_000_000)  # some milliseconds
            for a, b in zip(given, there, strict=True):
                a.copy_(b)
            V = cuda.sample(*given[1:])
            dU, dxy, _ = cuda.sample_backward(*given)
            later = [torch.as_tensor(a) + 0 for a in (V, dU, dxy)]
        for a, b in zip(later, expected, strict=True):
            assert_array_equal(host(a), b)


@law()
def cupys_current_stream_is_kept(scale):
    cupy = np if SIMULATED else library("cupy")
    dV, U, xy = usual(np.float32, scale)
    expected = cuda.sample(U, xy), *cuda.sample_backward(dV, U, xy)[:2]
    there, busy = [cupy.asarray(a) for a in (dV, U, xy)], cupy.ones((sized(scale, 4096)[0],) * 2)
    given = [cupy.zeros_like(a) for a in there]
    stream = nullcontext() if SIMULATED else cupy.cuda.Stream(non_blocking=True)
    if not SIMULATED:
        cupy.cuda.Device().synchronize()
    with stream:
        for _ in range(5):
            busy = busy @ busy / len(busy)
        for a, b in zip(given, there, strict=True):
            a[...] = b
        V = cuda.sample(*given[1:])
        dU, dxy, _ = cuda.sample_backward(*given)
        later = [a + 0 for a in (V, dU, dxy)]
    if not SIMULATED:
        stream.synchronize()
    for a, b in zip(later, expected, strict=True):
        assert_array_equal(host(a), b)


# Large.


@law(deterministic=(False, True), axes=(2, 3))
def offsets_go_over_two_to_the_thirty_one(scale, deterministic, axes):
    """10 gigabytes for U and as much for dU; 31 more for sums of the same bits."""
    torch = library("torch")
    side = sized(scale**3, {2: 36_000, 3: 1_090}[axes])[0] + 4
    if not SIMULATED:
        torch.cuda.empty_cache()
        free, needed = (
            torch.cuda.mem_get_info()[0],
            8 * side**axes * (5.1 if deterministic else 2.1),
        )
        if free < needed:
            raise Absent(f"{free / 1e9:.0f} of {needed / 1e9:.0f} GB are free")
    rng = np.random.default_rng(0)
    out, corner = (2, 3, 5)[-axes:], (slice(None), *[slice(-4, None)] * axes)
    patch, dV = (rng.standard_normal((1, *n, 2)).astype(np.float32) for n in ((4,) * axes, out))
    U = torch.zeros((1, *[side] * axes, 2), device=DEVICE)
    U[corner] = torch.from_numpy(patch).to(DEVICE)
    xy = rng.uniform(0, 3, (1, *out, axes))
    far, back = torch.from_numpy(xy + (side - 4)).to(DEVICE), torch.from_numpy(dV).to(DEVICE)
    V = host(cuda.sample(U, far))
    assert_allclose(V, reference.sample(patch, xy), rtol=1e-5, atol=1e-5)
    dU, dxy, _ = cuda.sample_backward(back, U, far, deterministic=deterministic)
    expected = reference.sample_backward(dV, patch, xy)
    assert_allclose(host(dxy), expected[1], rtol=1e-4, atol=1e-4)
    dU = torch.as_tensor(dU)
    assert_allclose(host(dU[corner]), expected[0], rtol=1e-5, atol=1e-5)
    dU[corner] = 0
    assert int(torch.count_nonzero(dU)) == 0

"""Every backend gives what the reference gives, to rounding; on knots half of the time.

A new backend joins by its name in `stn_ref.backends.BACKENDS`. `conformance.py` has the tolerance.

In Numba's CUDA simulator (`test_cuda.py` starts it), where a thread takes a millisecond, each test
has few points and one of the memory layouts.
"""

import os
import zlib

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import stn_ref
from stn_ref import backends
from stn_ref import equations as eq
from stn_ref.backends import reference
from stn_ref.equations.kernels import per_axis
from tests.conformance import LAYOUTS, PAIRS, assert_conforms, box, case, few, mingled
from tests.simulator import SIMULATED
from tests.strategies import WITH_MATRIX

OTHERS = [n for n in backends.BACKENDS if n != "reference" and backends.get(n).is_available()]
each = pytest.mark.parametrize("backend", OTHERS)
kernels = pytest.mark.parametrize(
    "kernel", PAIRS, ids=lambda k: "-".join(f"{a.name}{a.Phi}" for a in per_axis(k))
)
paddings = pytest.mark.parametrize("padding", eq.PADDINGS)
ties = pytest.mark.parametrize("tie", ("right", "left", "central"))
dtypes = pytest.mark.parametrize("dtype", (np.float32, np.float64), ids=("single", "double"))


def some(choices):
    """All of them, but in the simulator one, another for each test."""
    which = zlib.crc32(os.environ.get("PYTEST_CURRENT_TEST", "").encode()) % len(choices)
    return choices[which : which + 1] if SIMULATED else choices


@each
@kernels
@paddings
@ties
@dtypes
def test_it_gives_what_the_reference_gives(backend, kernel, padding, tie, dtype):
    for layout in some(LAYOUTS):
        dV, U, xy = case(dtype, layout)
        xy = xy.astype(np.float32) if LAYOUTS.index(layout) % 2 else xy
        assert_conforms(backend, dV, U, xy, kernel, padding, tie)


@each
@kernels
@ties
def test_a_fill_is_what_lies_outside(backend, kernel, tie):
    for layout in some(LAYOUTS[:2]):
        dV, U, xy = case(np.float32, layout)
        assert_conforms(backend, dV, U, xy.astype(np.float32), kernel, "constant", tie, fill=-2.5)


@each
@dtypes
@paddings
@pytest.mark.parametrize("channels", (1, 3, 4, 5, 33))
@pytest.mark.parametrize("kernel", (eq.BILINEAR, eq.keys(), eq.gaussian(0.6)), ids=lambda k: k.name)
def test_any_number_of_channels(backend, dtype, padding, channels, kernel):
    for layout in some(LAYOUTS):
        dV, U, xy = case(dtype, layout, channels=channels)
        assert_conforms(backend, dV, U, xy, kernel, padding, "right")


@each
@kernels
@paddings
@pytest.mark.parametrize("size", ((1, 1), (1, 4), (2, 1), (2, 3), (3, 2), (4, 4)))
def test_planes_smaller_than_the_kernel(backend, kernel, padding, size):
    dV, U, xy = case(np.float64, size=size)
    for tie in some(("right", "left")):
        assert_conforms(backend, dV, U, xy, kernel, padding, tie)


@each
@dtypes
@pytest.mark.parametrize("out", ((1, 511), (4, 128), (27, 19), (1, 1300), (31, 37)))
@pytest.mark.parametrize("kernel", (eq.BILINEAR, eq.keys()), ids=lambda k: k.name)
def test_any_number_of_points(backend, dtype, out, kernel):
    dV, U, xy = case(dtype, "planar", size=(40, 33), out=out)
    assert_conforms(backend, dV, U, xy, kernel, "zeros", "right")
    assert_conforms(backend, dV, U, xy.astype(np.float32), kernel, "border", "right")


@each
@dtypes
@paddings
@pytest.mark.parametrize("layout", LAYOUTS[:3])
@pytest.mark.parametrize("kernel", (eq.BILINEAR, eq.keys()), ids=lambda k: k.name)
def test_wide_outputs_of_near_and_of_far_points(backend, dtype, padding, layout, kernel):
    rng = np.random.default_rng(0)
    for out in map(few, ((18, 65), (21, 97))):
        dV, U, far = case(dtype, layout, size=(40, 90), channels=3, out=out)
        j, i = np.meshgrid(np.arange(out[1]), np.arange(out[0]))
        x, y = 0.9 * j - 0.2 * i - 3, 0.2 * j + 1.1 * i - 2
        near = np.stack([np.stack([x, y], axis=-1)] * 2) + rng.uniform(-1, 1, far.shape)
        far[:, -1] = near[:, -1]  # the points of one tile are near each other, those of others not
        for xy in (near, far.astype(np.float32)):
            assert_conforms(backend, dV, U, xy, kernel, padding, "right")


@each
@pytest.mark.parametrize("padding", ("zeros", "border"))
def test_equation_seven_as_printed(backend, padding):
    dV, U, xy = case(np.float64)
    assert_conforms(backend, dV, U, xy, eq.BILINEAR, padding, "paper")


@each
@kernels
@paddings
@ties
def test_coordinates_that_are_not_finite_or_huge(backend, kernel, padding, tie, rng):
    module, options = backends.get(backend), {"kernel": kernel, "padding": padding}
    for layout in some(LAYOUTS[:2]):
        dV, U, xy = case(np.float64, layout)
        odd = mingled(rng, xy)
        V, R = (m.sample(U, odd, **options) for m in (module, reference))
        assert_allclose(V, R, rtol=1e-12, atol=1e-12)
        plain = np.isfinite(odd).all(axis=-1) & (odd == xy).all(axis=-1)
        assert_array_equal(V[plain], module.sample(U, xy, **options)[plain])
        ours, truth = (
            m.sample_backward(dV, U, odd, tie=tie, **options) for m in (module, reference)
        )
        for a, b in zip((*ours[:2], *ours[2]), (*truth[:2], *truth[2]), strict=True):
            assert_allclose(a, b, rtol=1e-11, atol=1e-11)


@each
@kernels
@pytest.mark.parametrize("bad", (np.nan, np.inf))
def test_a_pixel_that_is_not_finite_reaches_only_points_whose_taps_include_it(backend, kernel, bad):
    module = backends.get(backend)
    for padding in some(tuple(eq.PADDINGS)):
        for channels in some((1, 4)):
            dV, U, xy = case(np.float64, channels=channels)
            clean = module.sample(U, xy, kernel=kernel, padding=padding)
            clean_dxy = module.sample_backward(dV, U, xy, kernel=kernel, padding=padding)[1]
            U, mark = U.copy(), np.zeros(U.shape)
            U[0, 0, 0, 0], mark[0, 0, 0] = bad, 1
            boxes = tuple(box(k) for k in per_axis(kernel))
            untouched = reference.sample(mark, xy, kernel=boxes, padding=padding)[..., 0] == 0
            V = module.sample(U, xy, kernel=kernel, padding=padding)
            assert_allclose(V[untouched], clean[untouched], rtol=1e-11, atol=1e-11)
            _, dxy, _ = module.sample_backward(dV, U, xy, kernel=kernel, padding=padding)
            assert_allclose(dxy[untouched], clean_dxy[untouched], rtol=1e-11, atol=1e-11)


@each
@kernels
@pytest.mark.parametrize("bad", (np.nan, np.inf))
def test_a_loss_gradient_that_is_not_finite_reaches_only_its_own_taps(backend, kernel, bad):
    module = backends.get(backend)
    for padding in some(tuple(eq.PADDINGS)):
        for channels in some((1, 4)):
            dV, U, xy = case(np.float64, channels=channels)
            dV = dV.copy()
            dV[0, 1, 2, 0] = bad
            dU, dxy, _ = module.sample_backward(dV, U, xy, kernel=kernel, padding=padding)
            expected_dU, expected, _ = reference.sample_backward(
                dV, U, xy, kernel=kernel, padding=padding
            )
            assert_array_equal(np.isfinite(dU), np.isfinite(expected_dU))
            assert_array_equal(np.isfinite(dxy), np.isfinite(expected))


@each
@dtypes
@pytest.mark.parametrize("transformation", WITH_MATRIX, ids=lambda t: t.name)
@pytest.mark.parametrize("align_corners", (True, False))
def test_the_fused_path_hits_the_same_source_pixels(backend, dtype, transformation, align_corners):
    """INTEGER moves by a whole pixel if a coordinate falls on another side of a knot."""
    rng = np.random.default_rng(1)
    U, identity = rng.standard_normal((3, 9, 11, 2)).astype(dtype), transformation.identity()
    theta = identity + rng.choice([0, 0.25, 0.5], (3, *identity.shape))
    theta[0] = identity
    options = {"transformation": transformation, "align_corners": align_corners}
    for size in some(((9, 11), (4, 7), (1, 30), (40, 20))):
        ours, truth = (
            stn_ref.transform(U, theta, size=size, kernel=eq.INTEGER, backend=name, **options)
            for name in (backend, "reference")
        )
        assert_array_equal(ours, truth)
        dV = np.ones((3, *size, 2), dtype)
        (_, ours), (_, truth) = (
            stn_ref.transform_backward(dV, U, theta, backend=name, **options)
            for name in (backend, "reference")
        )
        eps = np.finfo(dtype).eps
        assert_allclose(ours, truth, rtol=300 * eps, atol=300 * eps * dV.size)


@each
def test_empty_batches_channels_and_outputs_are_empty_results(backend):
    module, theta = backends.get(backend), np.zeros((0, 2, 3))
    for B, c, out in ((0, 2, (3, 3)), (2, 0, (3, 3)), (2, 2, (0, 3)), (2, 2, (3, 0))):
        U, xy = np.ones((B, 4, 5, c), np.float32), np.ones((B, *out, 2))
        V = module.sample(U, xy)
        assert V.shape == (B, *out, c)
        dU, dxy, dPhi = module.sample_backward(V, U, xy, kernel=eq.hat(2))
        assert dU.shape == U.shape and not dU.any() and dxy.shape == xy.shape
        assert not dxy.any()
        assert_array_equal(np.concatenate(dPhi), [0, 0])
        theta = np.tile(np.eye(2, 3), (B, 1, 1))
        assert module.transform(U, theta, size=out).shape == V.shape
        assert not module.transform_backward(V, U, theta)[1].any()

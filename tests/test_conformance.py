"""Every backend gives what the reference gives, to rounding; on knots half of the time.

A new backend joins by its name in `stn_ref.backends.BACKENDS`. `conformance.py` has the tolerance.
Most tests are of maps, which have all kernels; the same go over signals and volumes with a few.

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
from stn_ref.equations.arguments import per_axis
from tests.conformance import (
    KERNELS,
    LAYOUTS,
    PAIRS,
    SINGLES,
    TRIPLES,
    assert_conforms,
    axes_of,
    box,
    case,
    few,
    mingled,
)
from tests.simulator import SIMULATED
from tests.strategies import WITH_MATRIX
from tests.test_axes import CONTROL, projective

reference = backends.get("reference")

OTHERS = [n for n in backends.BACKENDS if n != "reference" and backends.get(n).is_available()]


def of_axes(names, *cases):
    """Each backend with each of the cases of 1, 2 and 3 axes."""
    taken = [(backend, c) for backend in OTHERS for of_some in cases for c in of_some]
    return pytest.mark.parametrize(f"backend, {names}", taken, ids=str_of)


def str_of(value):
    """A kernel or several by name."""
    if isinstance(value, eq.Kernel) or isinstance(value, tuple) and value[0] in KERNELS:
        return "-".join(f"{k.name}{k.Phi}" for k in per_axis(value, axes_of(value)))
    return getattr(value, "name", str(value))


each = pytest.mark.parametrize("backend", OTHERS)
each_kernel = of_axes("kernel", SINGLES, PAIRS, TRIPLES)
each_axes = of_axes("axes", [1], [2], [3])
paddings = pytest.mark.parametrize("padding", eq.PADDINGS)
ties = pytest.mark.parametrize("tie", ("right", "left", "central"))
dtypes = pytest.mark.parametrize("dtype", (np.float32, np.float64), ids=("single", "double"))


def some(choices):
    """All of them, but in the simulator one, another for each test."""
    which = zlib.crc32(os.environ.get("PYTEST_CURRENT_TEST", "").encode()) % len(choices)
    return choices[which : which + 1] if SIMULATED else choices


@each_kernel
@paddings
@ties
@dtypes
def test_it_gives_what_the_reference_gives(backend, kernel, padding, tie, dtype):
    for layout in some(LAYOUTS):
        dV, U, xy = case(dtype, layout, axes=axes_of(kernel))
        xy = xy.astype(np.float32) if LAYOUTS.index(layout) % 2 else xy
        assert_conforms(backend, dV, U, xy, kernel, padding, tie)


@each_kernel
@ties
def test_a_fill_is_what_lies_outside(backend, kernel, tie):
    for layout in some(LAYOUTS[:2]):
        dV, U, xy = case(np.float32, layout, axes=axes_of(kernel))
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


@each_kernel
@paddings
@pytest.mark.parametrize("size", ((1, 1), (1, 4), (2, 1), (2, 3), (3, 2), (4, 4)))
def test_planes_smaller_than_the_kernel(backend, kernel, padding, size):
    dV, U, xy = case(np.float64, size=(size[0], *size)[-axes_of(kernel) :], axes=axes_of(kernel))
    for tie in some(("right", "left")):
        assert_conforms(backend, dV, U, xy, kernel, padding, tie)


@of_axes("axes", [1], [], [3])
@dtypes
@pytest.mark.parametrize("channels", (1, 3, 4, 5, 33))
def test_any_number_of_channels_of_signals_and_volumes(backend, axes, dtype, channels):
    for layout in some(LAYOUTS):
        dV, U, xy = case(dtype, layout, channels=channels, axes=axes)
        assert_conforms(backend, dV, U, xy, eq.BILINEAR, "zeros", "right")
        assert_conforms(backend, dV, U, xy, eq.keys(), "symmetric", "left")


@of_axes(
    "out",
    ((511,), (1300,)),
    ((1, 511), (4, 128), (27, 19), (1, 1300), (31, 37)),
    ((2, 3, 90), (9, 10, 11), (40, 5, 4)),
)
@dtypes
@pytest.mark.parametrize("kernel", (eq.BILINEAR, eq.keys()), ids=lambda k: k.name)
def test_any_number_of_points(backend, dtype, out, kernel):
    size = {1: (40,), 2: (40, 33), 3: (8, 9, 10)}[len(out)]
    dV, U, xy = case(dtype, "planar", size=size, out=out)
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


@of_axes("layout", [], [], LAYOUTS[:3])
@pytest.mark.parametrize("padding", ("zeros", "border", "wrap"))
def test_volumes_of_near_and_of_far_points(backend, layout, padding):
    """Tiles of near points, of points far apart, and of both."""
    rng = np.random.default_rng(0)
    for out, dtype in ((few((9, 10, 17)), np.float32), (few((2, 30, 21)), np.float64)):
        dV, U, far = case(dtype, layout, size=(9, 11, 20), channels=3, out=out)
        turn = np.array([[0.9, -0.2, 0.1], [0.2, 1.1, -0.1], [-0.1, 0.1, 0.9]])
        near = np.moveaxis(np.indices(out)[::-1], 0, -1) @ turn.T - [1, 2, 1]
        near = near + rng.uniform(-1, 1, far.shape)
        far[:, -1] = near[:, -1]
        for xy in (near, far.astype(np.float32)):
            assert_conforms(backend, dV, U, xy, eq.BILINEAR, padding, "right")
            assert_conforms(backend, dV, U, xy, (*[eq.keys()] * 2, eq.hat(1.5)), padding, "right")


@each_axes
@pytest.mark.parametrize("padding", ("zeros", "border"))
def test_equation_seven_as_printed(backend, axes, padding):
    dV, U, xy = case(np.float64, axes=axes)
    assert_conforms(backend, dV, U, xy, eq.BILINEAR, padding, "paper")


@each_kernel
@paddings
@ties
def test_coordinates_that_are_not_finite_or_huge(backend, kernel, padding, tie, rng):
    module, options = backends.get(backend), {"kernel": kernel, "padding": padding}
    for layout in some(LAYOUTS[:2]):
        dV, U, xy = case(np.float64, layout, axes=axes_of(kernel))
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


@each_kernel
@pytest.mark.parametrize("bad", (np.nan, np.inf))
def test_a_pixel_that_is_not_finite_reaches_only_points_whose_taps_include_it(backend, kernel, bad):
    module = backends.get(backend)
    for padding in some(tuple(eq.PADDINGS)):
        for channels in some((1, 4)):
            dV, U, xy = case(np.float64, channels=channels, axes=axes_of(kernel))
            clean = module.sample(U, xy, kernel=kernel, padding=padding)
            clean_dxy = module.sample_backward(dV, U, xy, kernel=kernel, padding=padding)[1]
            U, mark = U.copy(), np.zeros(U.shape)
            first = (0,) * (U.ndim - 1)
            U[(*first, 0)], mark[first] = bad, 1
            boxes = tuple(box(k) for k in per_axis(kernel, len(first) - 1))
            untouched = reference.sample(mark, xy, kernel=boxes, padding=padding)[..., 0] == 0
            V = module.sample(U, xy, kernel=kernel, padding=padding)
            assert_allclose(V[untouched], clean[untouched], rtol=1e-11, atol=1e-11)
            _, dxy, _ = module.sample_backward(dV, U, xy, kernel=kernel, padding=padding)
            assert_allclose(dxy[untouched], clean_dxy[untouched], rtol=1e-11, atol=1e-11)


@each_kernel
@pytest.mark.parametrize("bad", (np.nan, np.inf))
def test_a_loss_gradient_that_is_not_finite_reaches_only_its_own_taps(backend, kernel, bad):
    module = backends.get(backend)
    for padding in some(tuple(eq.PADDINGS)):
        for channels in some((1, 4)):
            dV, U, xy = case(np.float64, channels=channels, axes=axes_of(kernel))
            dV = dV.copy()
            dV[(0, 1, 2, 1, 0)[: dV.ndim - 1]] = bad
            dU, dxy, _ = module.sample_backward(dV, U, xy, kernel=kernel, padding=padding)
            expected_dU, expected, _ = reference.sample_backward(
                dV, U, xy, kernel=kernel, padding=padding
            )
            assert_array_equal(np.isfinite(dU), np.isfinite(expected_dU))
            assert_array_equal(np.isfinite(dxy), np.isfinite(expected))


@of_axes(
    "transformation",
    (eq.affine(1), projective(1)),
    WITH_MATRIX,
    (eq.affine(3), eq.attention(3), eq.translation(3), projective(3)),
)
@dtypes
@pytest.mark.parametrize("align_corners", (True, False))
def test_the_fused_path_hits_the_same_source_pixels(backend, dtype, transformation, align_corners):
    """INTEGER moves by a whole pixel if a coordinate falls on another side of a knot."""
    rng, identity = np.random.default_rng(1), transformation.identity()
    axes = transformation.matrix(identity[None]).shape[-1] - 1
    sizes = {
        1: ((11,), (7,), (30,), (1,)),
        2: ((9, 11), (4, 7), (1, 30), (40, 20)),
        3: ((4, 9, 11), (5, 4, 7), (1, 3, 30), (9, 10, 12)),
    }[axes]
    U = rng.standard_normal((3, *sizes[0], 2)).astype(dtype)
    theta = identity + rng.choice([0, 0.25, 0.5], (3, *identity.shape))
    theta[0] = identity
    options = {"transformation": transformation, "align_corners": align_corners}
    for size in (few(size, 4) for size in some(sizes)):
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


@of_axes("axes", [], [], [3])
def test_a_spline_on_volumes_goes_through_its_grid(backend, axes, rng):
    spline = eq.thin_plate_spline(CONTROL)
    theta = spline.identity() + rng.uniform(-0.3, 0.3, (2, len(CONTROL), 3))
    dV, U, _ = case(np.float64, axes=axes)
    options = {"transformation": spline, "padding": "border"}
    V, truth = (
        m.transform(U, theta, size=dV.shape[1:-1], **options)
        for m in (backends.get(backend), reference)
    )
    assert_allclose(V, truth, atol=1e-13)
    ours, truth = (
        m.transform_backward(dV, U, theta, **options) for m in (backends.get(backend), reference)
    )
    for a, b in zip(ours, truth, strict=True):
        assert_allclose(a, b, atol=1e-12)


@each_axes
def test_empty_batches_channels_and_outputs_are_empty_results(backend, axes):
    module, transformation = backends.get(backend), eq.affine(axes)
    some, none = (3,) * axes, [(*(3,) * a, 0, *(3,) * (axes - a - 1)) for a in range(axes)]
    for B, c, out in ((0, 2, some), (2, 0, some), *((2, 2, out) for out in none)):
        U, xy = np.ones((B, *(5, 4, 5)[-axes:], c), np.float32), np.ones((B, *out, axes))
        V = module.sample(U, xy)
        assert V.shape == (B, *out, c)
        dU, dxy, dPhi = module.sample_backward(V, U, xy, kernel=eq.hat(2))
        assert dU.shape == U.shape and not dU.any() and dxy.shape == xy.shape
        assert not dxy.any()
        assert_array_equal(np.concatenate(dPhi), [0] * axes)
        theta = np.tile(transformation.identity(), (B, 1, 1))
        options = {"transformation": transformation}
        assert module.transform(U, theta, size=out, **options).shape == V.shape
        assert not module.transform_backward(V, U, theta, **options)[1].any()

"""Hypothesis strategies: feature maps, θ, points where samplers go wrong, calls of a dialect.

    @given(calls(torch.grid_sample))
    def test_every_call_is_within_the_bound(stn_oracle, call):
        arguments, options = call
        found = my_grid_sample(*arguments, **options)
        stn_oracle.assert_within_bound(found, torch.grid_sample, *arguments, **options)

All shrink towards one pixel of value 0, sampled on the spot, with every option left out.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from stn_ref.equations import AFFINE, Transformation
from stn_ref.equations.arguments import Array, Size
from stn_ref.oracle import grids, jax, onnx, opencv, scipy, tensorflow, torch, torch7
from stn_ref.oracle.dialect import sampler_of

try:
    from hypothesis import strategies as st
    from hypothesis.extra import numpy as hnp
except ImportError as error:
    raise ImportError(f"{__name__} needs Hypothesis: pip install hypothesis") from error

Strategy = st.SearchStrategy
Shape = tuple[int, ...]

NEAR = 3  # pixels: where the widest kernel's support, lanczos3's, ends
HUGE = (1e4, -1e6, 1e10, -1e10, 1e30, -1e30)  # beyond float16, int32 and int64


def pixels(dtype: DTypeLike = np.float64) -> Strategy[Any]:
    """Any of an integer dtype; of a float 0, or 2⁻⁸ to 8 in size, or products would underflow.

    What is lost to underflow is not relative to the pixels, and so in no bound.
    """
    if np.dtype(dtype).kind != "f":
        return hnp.from_dtype(np.dtype(dtype))
    return st.floats(-8, 8).map(lambda u: np.array(u if abs(u) >= 2**-8 else 0, dtype).item())


def shapes(*, batch: int = 2, size: int = 6, channels: int = 2, axes: int = 2) -> Strategy[Shape]:
    """(B, H, W, C), each from 1 to that; with 1 or 3 axes (B, W, C) or (B, D, H, W, C)."""
    return st.tuples(*(st.integers(1, most) for most in (batch, *[size] * axes, channels)))


def feature_maps(
    dtype: DTypeLike = np.float64,
    *,
    shape: Shape | Strategy[Shape] | None = None,
    elements: Strategy[Any] | None = None,
) -> Strategy[Array]:
    """U (B, H, W, C), by default of `shapes()` and `pixels(dtype)`."""
    elements = pixels(dtype) if elements is None else elements
    shape = shapes() if shape is None else shape
    return hnp.arrays(np.dtype(dtype), shape, elements=elements, fill=elements)


def coordinates(
    size: int, dtype: DTypeLike = np.float64, *, reach: int = 100, strange: bool = False
) -> Strategy[float]:
    """Places along an axis of that many pixels, where samplers go wrong.

    On whole and half pixels, the edges more often than others; on the next number of the dtype
    beside one; anywhere.

    reach    how far outside, in pixels; most are within 3
    strange  also 10⁴ to 10³⁰ away, infinite or NaN
    """
    cast, near = partial(np.asarray, dtype=dtype), min(NEAR, reach)
    halves = st.integers(-2 * near, 2 * (size + near)).map(lambda twice: twice / 2)
    edges = st.sampled_from((0.0, size - 1.0, -0.5, size - 0.5, -1.0, float(size)))
    sides = st.sampled_from((np.inf, -np.inf))
    places = [
        halves,
        edges,
        st.tuples(halves | edges, sides).map(lambda at: np.nextafter(*map(cast, at))),
        st.floats(-near, size + near).map(cast),
    ]
    if reach > near:
        places.append(st.floats(-reach, size + reach).map(cast))
    if strange:
        with np.errstate(over="ignore"):
            places.append(st.sampled_from(cast([*HUGE, np.inf, -np.inf, np.nan]).tolist()))
    return st.one_of(*places).map(float)


def points(
    size: Size,
    shape: Shape,
    dtype: DTypeLike = np.float64,
    *,
    reach: int = 100,
    strange: bool = False,
) -> Strategy[Array]:
    """xy (*shape, 2), pixels of a plane of this size, (height, width): `coordinates` of each.

    One an axis: a volume's, (depth, height, width), are (*shape, 3).
    """
    axes = (coordinates(axis, dtype, reach=reach, strange=strange) for axis in size[::-1])
    arrays = (hnp.arrays(np.dtype(dtype), shape, elements=elements) for elements in axes)
    return st.tuples(*arrays).map(partial(np.stack, axis=-1))


@st.composite
def maps_and_points(
    draw: st.DrawFn,
    dtype: DTypeLike = np.float64,
    *,
    shape: Shape | Strategy[Shape] | None = None,
    elements: Strategy[Any] | None = None,
    reach: int = 100,
    strange: bool = False,
) -> tuple[Array, Array]:
    """U (B, H, W, C) and xy (B, H', W', 2), pixels; both of dtype, or xy float32 if U is whole.

    A shape of more or fewer axes makes volumes or signals.
    """
    U = draw(feature_maps(dtype, shape=shape, elements=elements))
    (B, *size, _), kind = U.shape, U.dtype if U.dtype.kind == "f" else np.float32
    outputs = B, *(draw(st.integers(1, 3)) for _ in size)
    return U, draw(points(tuple(size), outputs, kind, reach=reach, strange=strange))


def thetas(
    transformation: Transformation = AFFINE, batch: int = 2, dtype: DTypeLike = np.float64
) -> Strategy[Array]:
    """θ (B, *transformation.identity().shape): near the identity, quarters away from it, or wild.

    A wild one may fold the plane, or, where it divides, send points to infinity.
    """
    start = transformation.identity()
    near, wild = st.floats(-0.4, 0.4), st.floats(-3, 3)
    quarters = st.integers(-4, 4).map(lambda count: count / 4)
    shape = (batch, *start.shape)
    step = st.one_of(
        *(hnp.arrays(np.float64, shape, elements=e, fill=e) for e in (near, quarters, wild))
    )
    return step.map(lambda step: (start + step).astype(dtype))


fills = pixels(np.float16)  # the same number in every precision
# what may be given for the options of each sampler, the simplest first; but as_shipped asks for
# what is known to be wrong
OPTIONS: dict[Callable[..., Any], dict[str, Iterable[Any] | Strategy[Any]]] = {
    torch.grid_sample: {
        "mode": torch.MODES,
        "padding_mode": grids.PADDING_MODES,
        "align_corners": (False, True),
    },
    onnx.grid_sample: {
        "mode": onnx.MODES,
        "padding_mode": grids.PADDING_MODES,
        "align_corners": (0, 1),
    },
    jax.map_coordinates: {"order": (1, 0), "mode": jax.PADDINGS, "cval": fills},
    scipy.map_coordinates: {"order": (1, 0), "mode": scipy.PADDINGS, "cval": fills},
    tensorflow.resampler: {},
    opencv.remap: {
        "interpolation": (opencv.INTER_LINEAR, opencv.INTER_NEAREST, opencv.INTER_CUBIC),
        "borderMode": (opencv.BORDER_CONSTANT, *opencv.PADDINGS),
        "borderValue": fills | st.lists(fills, min_size=1, max_size=4).map(tuple),
    },
    torch7.bilinear_sampler_bhwd: {},
}
# where a volume has fewer of them
OF_VOLUMES = {torch.grid_sample: {"mode": torch.VOLUME_MODES}}


def options(function: Callable[..., Any], *, axes: int = 2) -> Strategy[dict[str, Any]]:
    """Options of a dialect's sampler by name; those with a default are now and then left out.

    function  such as `stn_ref.oracle.torch.grid_sample`; what is bound to it by
              `functools.partial` is not drawn again
    axes      of the images: 3 of volumes, 1 of signals
    Raises TypeError if it is no sampler of a dialect, ValueError if it is none of so many axes.
    """
    function, bound = _unwrapped(function)
    defaults = _defaults(function, axes)
    table = OPTIONS[function] | (OF_VOLUMES.get(function, {}) if axes == 3 else {})
    needed: dict[str, Strategy[Any]] = {}
    others: dict[str, Strategy[Any]] = {}
    for name, values in table.items():
        if name not in bound:
            strategy = values if isinstance(values, Strategy) else st.sampled_from(tuple(values))
            (others if name in defaults else needed)[name] = strategy
    return st.fixed_dictionaries(needed, optional=others)


@st.composite
def calls(
    draw: st.DrawFn,
    function: Callable[..., Any],
    dtype: DTypeLike = np.float32,
    *,
    axes: int = 2,
    strange: bool = False,
) -> tuple[tuple[Array, ...], dict[str, Any]]:
    """(arguments, options), such that `function(*arguments, **options)` can be called.

    function  a dialect's sampler, options bound or not
    dtype     of the images, and of the points if it is a float's, which else are float32
    axes      2 for images, 3 for volumes, 1 for signals, as far as the function takes them
    strange   whether points may be huge, infinite or NaN
    Raises TypeError if it is no sampler of a dialect, ValueError if it is none of so many axes.
    """
    chosen, (sampler, bound) = draw(options(function, axes=axes)), _unwrapped(function)
    known = sampler_of(sampler)
    batch, channels = 2 if "B" in known.kept else 1, 5 if "C" in known.kept else 1
    shape = shapes(batch=batch, size=6 if axes < 3 else 4, channels=channels, axes=axes)
    U, xy = draw(maps_and_points(dtype, shape=shape, strange=strange))
    with np.errstate(over="ignore"):
        images, *others = known.arrange(
            U, xy.astype(np.float64), _defaults(sampler, axes) | bound | chosen
        )
        arrays = [np.ascontiguousarray(a, xy.dtype) for a in others]
    return (np.ascontiguousarray(images), *arrays), chosen


def _unwrapped(function: Any) -> tuple[Callable[..., Any], dict[str, Any]]:
    """A dialect's function, and the options bound to it."""
    return (function.func, function.keywords) if isinstance(function, partial) else (function, {})


def _defaults(function: Callable[..., Any], axes: int) -> dict[str, Any]:
    sampler_of(function, axes)  # or an error
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}

"""The CPU backend: Eqs. 3 to 7 as compiled loops, on as many threads as Numba is told to use.

`forward` and `backward` cut the output into tiles (`chunks`): their source points (`points`), what
each weighs along an axis (`slots`, with the kernels of `rows`), then the sums over taps (`taps`, or
`pairs` for windows of two by two), and `exact` for the few points that need care. `loops` runs
them, on one thread or on several; every result has the same bits on any number.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.backends.cpu.chunks import DOUBLE, MATRIX, SINGLE
from stn_ref.backends.cpu.loops import run
from stn_ref.backends.cpu.rows import ABSENT, Row, row
from stn_ref.backends.cpu.threads import workers
from stn_ref.backends.cpu.tiles import tiling
from stn_ref.backends.host import (
    checked_map,
    checked_theta,
    coefficients,
    double_at_most,
    theta_gradient,
)
from stn_ref.backends.pixels import source_pixels, source_pixels_backward
from stn_ref.backends.scalars import RULES, TIES
from stn_ref.equations import AFFINE, BILINEAR, Transformation
from stn_ref.equations.arguments import (
    Array,
    Size,
    checked_tie,
    fill_value,
    flag,
    like,
    per_axis,
    points,
    shaped,
    sides,
    whole_size,
)
from stn_ref.equations.kernels import Kernel
from stn_ref.equations.padding import padding_rule
from stn_ref.equations.sampler import Kernels
from stn_ref.equations.transformation import has_matrix


def is_available() -> bool:
    """True: Numba runs wherever it installs."""
    return True


def why_not() -> str:
    """Nothing is in the way."""
    return ""


def sample(
    U: ArrayLike,
    xy: ArrayLike,
    *,
    kernel: Kernels = BILINEAR,
    padding: str = "zeros",
    fill: float = 0.0,
    deterministic: bool = True,
) -> Array:
    """Eq. 3; see `stn_ref.sample`. It is always deterministic."""
    flag("deterministic", deterministic)
    U = checked_map(U, "cpu")
    xy = double_at_most("xy", points("xy", xy, U.ndim - 2, len(U)), "cpu")
    V = _alike(U, (*xy.shape[:-1], U.shape[-1]))
    _forward(U, V, _given(xy), kernel, padding, fill)
    return V


def sample_backward(
    dV: ArrayLike,
    U: ArrayLike,
    xy: ArrayLike,
    *,
    kernel: Kernels = BILINEAR,
    padding: str = "zeros",
    fill: float = 0.0,
    tie: str = "right",
    deterministic: bool = True,
) -> tuple[Array, Array, tuple[Array, ...]]:
    """Eqs. 6 and 7; see `stn_ref.sample_backward`. It is always deterministic."""
    flag("deterministic", deterministic)
    U = checked_map(U, "cpu")
    xy = double_at_most("xy", points("xy", xy, U.ndim - 2, len(U)), "cpu")
    dV = like("dV", shaped("dV", dV, (*xy.shape[:-1], U.shape[-1])), "U", U)
    dxy = np.zeros(xy.shape, xy.dtype)
    dU, _, dPhi = _backward(dV, U, _given(xy), dxy, kernel, padding, fill, tie)
    return dU, dxy, dPhi


def transform(
    U: ArrayLike,
    theta: ArrayLike,
    *,
    transformation: Transformation = AFFINE,
    size: Size | None = None,
    kernel: Kernels = BILINEAR,
    padding: str = "zeros",
    fill: float = 0.0,
    align_corners: bool = True,
    deterministic: bool = True,
) -> Array:
    """θ straight to V; see `stn_ref.transform`. There is no grid in memory if T_θ is a matrix."""
    flag("deterministic", deterministic)
    U = checked_map(U, "cpu")
    theta, source = checked_theta(np.asarray(theta), U, transformation, "cpu"), U.shape[1:-1]
    size = source if size is None else whole_size(size, U.ndim - 2)
    flag("align_corners", align_corners)
    V = _alike(U, (len(U), *size, U.shape[-1]))
    if has_matrix(transformation):
        where = _by_matrix(theta, transformation, size, source, align_corners)
    else:
        where = _given(source_pixels(theta, transformation, size, source, align_corners))
    _forward(U, V, where, kernel, padding, fill)
    return V


def transform_backward(
    dV: ArrayLike,
    U: ArrayLike,
    theta: ArrayLike,
    *,
    transformation: Transformation = AFFINE,
    kernel: Kernels = BILINEAR,
    padding: str = "zeros",
    fill: float = 0.0,
    tie: str = "right",
    align_corners: bool = True,
    deterministic: bool = True,
) -> tuple[Array, Array]:
    """The way back; see `stn_ref.transform_backward`. Nor is the grid's gradient in memory."""
    flag("deterministic", deterministic)
    U = checked_map(U, "cpu")
    theta, source = checked_theta(np.asarray(theta), U, transformation, "cpu"), U.shape[1:-1]
    dV = like("dV", shaped("dV", dV, (len(U), *sides(U.ndim - 2), U.shape[-1])), "U", U)
    flag("align_corners", align_corners)
    size = dV.shape[1:-1]
    if not has_matrix(transformation):
        xy = source_pixels(theta, transformation, size, source, align_corners)
        dxy = np.zeros(xy.shape)
        dU, _, _ = _backward(dV, U, _given(xy), dxy, kernel, padding, fill, tie)
        return dU, source_pixels_backward(dxy, theta, transformation, source, align_corners)
    where = _by_matrix(theta, transformation, size, source, align_corners)
    dU, dA, _ = _backward(dV, U, where, NO_POINTS64, kernel, padding, fill, tie)
    with np.errstate(all="ignore"):
        ends = size, source, align_corners
        return dU, theta_gradient(dA.sum(axis=1), theta, transformation, *ends)


NO_POINTS32, NO_POINTS64 = np.empty((0,) * 5, np.float32), np.empty((0,) * 5)
NO_MATRIX = np.empty((0, 3, 3))
Where = tuple[int, Array, Array, Array]  # see `chunks.find_points`


def _given(xy: Array) -> Where:
    """Points from the caller's array, as the kernels take them."""
    xy = _deep(_strided(xy))
    if xy.dtype == np.float32:
        return SINGLE, NO_MATRIX, xy, NO_POINTS64
    return DOUBLE, NO_MATRIX, NO_POINTS32, xy


def _by_matrix(
    theta: Array, transformation: Transformation, size: Size, source: Size, align_corners: bool
) -> Where:
    """Points from a matrix, as the kernels take them."""
    A = coefficients(theta, transformation, size, source, align_corners)
    return MATRIX, A, NO_POINTS32, NO_POINTS64


def _forward(
    U: Array,
    V: Array,
    where: Where,
    kernel: Kernels,
    padding: str,
    fill: float,
) -> None:
    """Run the forward loop into V."""
    axes = U.ndim - 2
    kernels = per_axis(kernel, axes)
    padding_rule(padding)
    fill = fill_value(fill, padding)
    U, V = _deep(_strided(U)), _deep(V)
    units = tiling(V.shape[1:4], axes)[-1] * len(V) if V.size else 0
    rows, taps, hat = _rows(kernels, left=False)
    arguments = (U, axes, where, RULES[padding], *rows, hat, fill, V)
    run("forward", U.dtype, units, V.size * taps, (), arguments)


def _backward(
    dV: Array,
    U: Array,
    where: Where,
    dxy: Array,
    kernel: Kernels,
    padding: str,
    fill: float,
    tie: str,
) -> tuple[Array, Array, tuple[Array, ...]]:
    """Run the backward loop into dU and dxy; dU, ∂L/∂A of each chunk, and dΦ."""
    axes = U.ndim - 2
    kernels = per_axis(kernel, axes)
    padding_rule(padding)
    fill = fill_value(fill, padding)
    rows, taps, hat = _rows(kernels, left=checked_tie(tie, kernels) in ("left", "central"))
    dU = _alike(U, U.shape, np.zeros)
    U, dV = _deep(_strided(U)), _deep(_strided(dV))
    chunks, phis = tiling(dV.shape[1:4], axes)[-1], [len(k.Phi) for k in kernels]
    dA = np.zeros((len(U), chunks, axes + 1, axes + 1))
    dPhi = np.zeros((len(U), chunks, sum(phis)))
    work = dV.size * taps
    stripes = -(-workers(work) // max(len(U), 1))
    arguments = (
        *(dV, U, axes, where, RULES[padding], *rows, hat, TIES[tie], fill, _deep(dU)),
        *((_deep(dxy), NO_POINTS64) if where[0] == SINGLE else (NO_POINTS32, _deep(dxy))),
        *(dA, dPhi),
    )
    units = len(U) * stripes if dV.size else 0
    run("backward", U.dtype, units, work, (stripes,), arguments)
    total = dPhi.sum(axis=(0, 1))
    return dU, dA, tuple(total[sum(phis[:a]) : sum(phis[: a + 1])] for a in range(axes))


def _rows(kernels: tuple[Kernel, ...], *, left: bool) -> tuple[tuple[Row, ...], int, bool]:
    """The rows of x, y and z, how many taps they are in all, and whether each is that of Eq. 5."""
    x, y, z = ([row(kernel, left=left) for kernel in kernels] + [ABSENT, ABSENT])[:3]
    return (x, y, z), x[3] * y[3] * z[3], all(k is BILINEAR for k in kernels)


def _deep(array: Array) -> Array:
    """The same array as if of a volume: a signal is one pixel high, and a map one pixel deep."""
    if array.ndim == 3:
        return array.reshape(len(array), 1, 1, *array.shape[1:])
    return array[:, None] if array.ndim == 4 else array


def _alike(U: Array, shape: tuple[int, ...], make: Any = np.empty) -> Array:
    """A new array whose axes lie in memory in the order of U's; broadcast ones are outermost."""
    if U.flags.c_contiguous:
        return cast(Array, make(shape, U.dtype))
    order = sorted(range(U.ndim), key=lambda axis: -abs(U.strides[axis]) or -np.inf)
    return cast(Array, make([shape[axis] for axis in order], U.dtype).transpose(np.argsort(order)))


def _strided(array: Array) -> Array:
    """The array, copied only if its elements do not lie at whole multiples of their size."""
    flags, size = array.flags, array.itemsize
    if flags.aligned and (flags.c_contiguous or not any(s % size for s in array.strides)):
        return array
    return array.copy()

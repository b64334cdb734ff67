"""The CPU backend: Eqs. 3 to 7 as compiled loops, on as many threads as Numba is told to use.

`forward` and `backward` cut the output into tiles (`chunks`): their source points (`points`), what
each weighs along an axis (`slots`, with the kernels of `rows`), then the sums over taps (`taps`, or
`pairs` for windows of two by two), and `exact` for the few points that need care. `loops` runs
them, on one thread or on several; every result has the same bits on any number.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from stn_ref.backends.call import Call
from stn_ref.backends.cpu.chunks import DOUBLE, MATRIX, SINGLE
from stn_ref.backends.cpu.loops import run
from stn_ref.backends.cpu.rows import ABSENT, Row, row
from stn_ref.backends.cpu.threads import workers
from stn_ref.backends.cpu.tiles import tiling
from stn_ref.backends.host import coefficients, theta_gradient
from stn_ref.backends.scalars import RULES, TIES
from stn_ref.equations import BILINEAR, Kernel
from stn_ref.equations.arguments import Array

LONGDOUBLE = False
look = read = np.asarray


def is_available() -> bool:
    """True: Numba runs wherever it installs."""
    return True


def why_not() -> str:
    """Nothing is in the way."""
    return ""


def evaluate(call: Call) -> Array:
    """V of Eq. 3. There is no grid in memory if T_θ is a matrix."""
    V = _alike(call.U, (len(call.U), *call.size, call.U.shape[-1]))
    U, out = _deep(_strided(call.U)), _deep(V)
    units = tiling(out.shape[1:4], call.axes)[-1] * len(V) if V.size else 0
    rows, taps, hat = _rows(call.kernels, left=False)
    arguments = (U, call.axes, _where(call), RULES[call.padding], *rows, hat, call.fill, out)
    run("forward", U.dtype, units, V.size * taps, (), arguments)
    return V


def evaluate_backward(call: Call) -> Any:
    """Eqs. 6 and 7, and dΦ or dθ. Nor is the grid's gradient in memory if T_θ is a matrix."""
    if call.by_matrix:
        dU, dA, _ = _backward(call, NO_POINTS64)
        with np.errstate(all="ignore"):
            return dU, theta_gradient(dA.sum(axis=1), call)
    call = call if call.xy is not None else call._replace(xy=call.points())
    assert call.xy is not None
    dxy = np.zeros(call.xy.shape, call.xy.dtype)
    dU, _, dPhi = _backward(call, dxy)
    return (dU, dxy, dPhi) if call.theta is None else (dU, call.theta_gradient(dxy))


NO_POINTS32, NO_POINTS64 = np.empty((0,) * 5, np.float32), np.empty((0,) * 5)
NO_MATRIX = np.empty((0, 3, 3))
Where = tuple[int, Array, Array, Array]  # see `chunks.find_points`


def _where(call: Call) -> Where:
    """Where the points come from, as the kernels take it."""
    if call.by_matrix:
        return MATRIX, coefficients(call), NO_POINTS32, NO_POINTS64
    xy = _deep(_strided(call.points()))
    if xy.dtype == np.float32:
        return SINGLE, NO_MATRIX, xy, NO_POINTS64
    return DOUBLE, NO_MATRIX, NO_POINTS32, xy


def _backward(call: Call, dxy: Array) -> tuple[Array, Array, tuple[Array, ...]]:
    """Run the backward loop into dU and dxy; dU, ∂L/∂A of each chunk, and dΦ."""
    assert call.dV is not None
    axes, kernels = call.axes, call.kernels
    rows, taps, hat = _rows(kernels, left=call.tie in ("left", "central"))
    dU = _alike(call.U, call.U.shape, np.zeros)
    U, dV, where = _deep(_strided(call.U)), _deep(_strided(call.dV)), _where(call)
    chunks, phis = tiling(dV.shape[1:4], axes)[-1], [len(k.Phi) for k in kernels]
    dA = np.zeros((len(U), chunks, axes + 1, axes + 1))
    dPhi = np.zeros((len(U), chunks, sum(phis)))
    work = dV.size * taps
    stripes = -(-workers(work) // max(len(U), 1))
    points = (_deep(dxy), NO_POINTS64) if where[0] == SINGLE else (NO_POINTS32, _deep(dxy))
    arguments = (dV, U, axes, where, RULES[call.padding], *rows, hat, TIES[call.tie], call.fill)
    arguments = (*arguments, _deep(dU), *points, dA, dPhi)
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

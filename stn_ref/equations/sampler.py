"""§3.3, differentiable image sampling: Eq. 3, its gradients Eqs. 6 and 7, and dΦ.

Everything is computed in float64, or wider if the arguments are, and rounded once at the end.

The equations are those of a map, as printed. A signal has one axis, x, and no Σ_n; a volume has a
third, z, and a third sum and weight, as in A.3 of the paper. The code goes over the axes, in the
order (x, y, z) of a point's coordinates: U's sides backwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import product
from math import prod
from operator import mul
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations.arguments import (
    Array,
    feature_map,
    fill_value,
    like,
    points,
    shaped,
)
from stn_ref.equations.kernels import BILINEAR, Kernel, checked_tie, derivative, per_axis, shift
from stn_ref.equations.padding import NOWHERE, lost, padding_rule
from stn_ref.equations.taps import taps

Kernels = Kernel | tuple[Kernel, ...]


@np.errstate(all="ignore")
def sample_dense(U: ArrayLike, xy: ArrayLike, *, kernel: Kernels = BILINEAR) -> Array:
    """Weigh every input pixel for every output pixel.

        V_i^c = Σ_n Σ_m U_nm^c k(x_i − m; Φ_x) k(y_i − n; Φ_y)                Eq. 3

    As printed, and so for small maps: it costs H·W for each output pixel.

    U   (B, H, W, C)    input feature map, zero outside
    xy  (B, H', W', 2)  source points, pixels, (x, y), centres at 0..W−1 and 0..H−1
    Returns V (B, H', W', C), in U's dtype.
    Raises TypeError or ValueError if U, xy or kernel has another form.
    """
    U, xy, kernels, _ = _checked(U, xy, kernel, "zeros", 0.0)
    wide = np.result_type(U, xy, np.float64)

    def weights(x: Array, size: int, kernel: Kernel) -> Array:
        s = kernel.support  # beyond it every weight is 0; the clip keeps ∞ out of 0·∞
        x = np.clip(x.astype(wide), -s - 1, size + s)[..., None]
        t = shift(x, -np.arange(size), s)  # x − m, not rounded onto a knot
        return np.where(np.isnan(x), np.nan, kernel.k(t, kernel.Phi))

    flat = np.moveaxis(xy.reshape(len(U), prod(xy.shape[1:-1]), len(kernels)), -1, 0)
    w_x_and_y = [weights(*axis) for axis in zip(flat, _sides(U), kernels, strict=True)]
    V = U.astype(wide)[:, None]
    for w in reversed(w_x_and_y):  # Σ_n, then Σ_m
        V = np.einsum("bin...,bin->bi...", V, w)
    return V.reshape(*xy.shape[:-1], U.shape[-1]).astype(U.dtype, copy=False)


@np.errstate(all="ignore")
def sample(
    U: ArrayLike,
    xy: ArrayLike,
    *,
    kernel: Kernels = BILINEAR,
    padding: str = "zeros",
    fill: float = 0.0,
) -> Array:
    """Sample the feature map at the source points: Eq. 3 over the taps that can weigh.

        V_i^c = Σ_n Σ_m U_nm^c k(x_i − m; Φ_x) k(y_i − n; Φ_y)                Eq. 3

    U        (B, H, W, C)    input feature map
    xy       (B, H', W', 2)  source points, pixels, (x, y), centres at 0..W−1 and 0..H−1
    kernel   one Kernel, or two for (x, y); Eq. 4 is INTEGER, Eq. 5 is BILINEAR
    padding  which pixel stands for a tap outside, a name of PADDINGS
    fill     the value outside, for padding="constant"
    Signals, U (B, W, C), have xy (B, W', 1) and V (B, W', C); volumes, U (B, D, H, W, C), have
    xy (B, D', H', W', 3), last axis (x, y, z), three kernels and V (B, D', H', W', C).
    Returns V (B, H', W', C), in U's dtype and memory layout. A point with a NaN has V = NaN.
    Raises TypeError or ValueError if an argument has another form.
    """
    U, xy, kernels, fill = _checked(U, xy, kernel, padding, fill)
    wide = np.result_type(U, xy, np.float64)
    xs = np.moveaxis(xy.astype(wide), -1, 0)  # x and y

    V = _zeros(U, (*xy.shape[:-1], U.shape[-1]), wide)
    axes = zip(xs, _sides(U), kernels, strict=True)
    for mn, k in _combinations([_weights(*axis, padding) for axis in axes]):
        V += _pixels(U, mn, fill) * _times(*k)[..., None]
    V[_gone(xs, padding)] = np.nan
    return V.astype(U.dtype, copy=False)


@np.errstate(all="ignore")
def sample_backward(
    dV: ArrayLike,
    U: ArrayLike,
    xy: ArrayLike,
    *,
    kernel: Kernels = BILINEAR,
    padding: str = "zeros",
    fill: float = 0.0,
    tie: str = "right",
) -> tuple[Array, Array, tuple[Array, ...]]:
    """Carry the loss gradient from V to U, to the source points and to the kernels' Φ.

        ∂V_i^c/∂U_nm^c = k(x_i − m) k(y_i − n)                                Eq. 6
        ∂V_i^c/∂x_i    = Σ_n Σ_m U_nm^c k′(x_i − m) k(y_i − n)                Eq. 7
        ∂V_i^c/∂Φ_x    = Σ_n Σ_m U_nm^c ∂k(x_i − m)/∂Φ_x k(y_i − n)

    and likewise for y. The paper prints Eqs. 6 and 7 for the kernel of Eq. 5 and leaves Φ out.

    dV   (B, H', W', C)  loss gradient at V, in U's dtype
    tie  which derivative in x and y on a knot: "right", "left", their mean "central",
         or "paper", Eq. 7 as printed (BILINEAR only)
    Returns dU in U's dtype and layout; dxy in xy's dtype; dPhi = (dPhi_x, dPhi_y), one an axis,
    float64, summed over the batch. Where a point has a NaN, dxy is NaN and nothing goes to dU or
    dPhi.
    Raises TypeError or ValueError if an argument has another form.
    """
    U, xy, kernels, fill = _checked(U, xy, kernel, padding, fill)
    dV = like("dV", shaped("dV", dV, (*xy.shape[:-1], U.shape[-1])), "U", U)
    checked_tie(tie, kernels)
    wide = np.result_type(U, xy, np.float64)
    xs = np.moveaxis(xy.astype(wide), -1, 0)  # x and y
    gone = _gone(xs, padding)
    dV = np.where(gone[..., None], 0, dV.astype(wide))

    dU, dxs = _zeros(U, U.shape, wide), [np.zeros_like(x) for x in xs]
    dPhi = [np.zeros(len(kernel.Phi)) for kernel in kernels]
    axes = zip(xs, _sides(U), kernels, strict=True)
    found = [weights_and_slopes(*axis, padding, tie) for axis in axes]
    for mn, k, dk, dphi in _combinations(found):
        _add_at(dU, mn, dV * _times(*k)[..., None])
        pull = np.sum(dV * _pixels(U, mn, fill), axis=-1)  # Σ_c dV^c U_nm^c
        for a in range(len(kernels)):  # k′ in the place of k: along x, then along y
            dxs[a] += _times(pull, *k[:a], dk[a], *k[a + 1 :])
            dPhi[a] += [float(np.sum(_times(pull, *k[:a], d, *k[a + 1 :]))) for d in dphi[a]]
    dxy = np.where(gone[..., None], np.nan, np.stack(dxs, axis=-1))
    return dU.astype(U.dtype, copy=False), dxy.astype(xy.dtype, copy=False), tuple(dPhi)


def _sides(U: Array) -> tuple[int, ...]:
    """W and H: in the order of a point's coordinates."""
    return U.shape[-2:0:-1]


def _combinations(axes: Sequence[Sequence[Any]]) -> Iterator[tuple[Any, ...]]:
    """(m, n), (k(x − m), k(y − n)), and so on, of every tap of y with every tap of x."""
    return (tuple(zip(*taps[::-1], strict=True)) for taps in product(*reversed(axes)))


def _times(*factors: Array) -> Array:
    """Their product, left to right."""
    return np.asarray(reduce(mul, factors))


def _gone(xs: Array, padding: str) -> Array:
    """Which points are no place at all, on whichever axis."""
    gone: Array = np.any([lost(x, padding) for x in xs], axis=0)
    return gone


def _weights(x: Array, size: int, kernel: Kernel, padding: str) -> list[tuple[Array, Array]]:
    """m and k of each tap, (B, H', W') each."""
    found = []
    for m, t in taps(x, size, kernel.support, padding):
        k = kernel.k(t, kernel.Phi)
        found.append((_where_it_matters(m, t, kernel, k), k))
    return found


def weights_and_slopes(
    x: Array, size: int, kernel: Kernel, padding: str, tie: str
) -> list[tuple[Array, Array, Array, list[Array]]]:
    """m, k, k′ and ∂k/∂Φ of each tap, (B, H', W') each; at ±∞ nothing changes along this axis."""
    here, found = np.isfinite(x), []
    for m, t in taps(x, size, kernel.support, padding, left=tie in ("left", "central")):
        k, dk = kernel.k(t, kernel.Phi), here * derivative(kernel, t, tie)
        dphi = [here * d for d in kernel.dk_dphi(t, kernel.Phi)]
        found.append((_where_it_matters(m, t, kernel, k, dk), k, dk, dphi))
    return found


def _where_it_matters(m: Array, t: Array, kernel: Kernel, *effects: Array) -> Array:
    """m, but NOWHERE where the tap is out of the support: a NaN or ∞ there must not be read."""
    idle = np.all([effect == 0 for effect in effects], axis=0)
    return np.where(idle & (abs(t) >= kernel.support), NOWHERE, m)


def _pixels(U: Array, mn: Sequence[Array], fill: float) -> Array:
    """U_nm^c for every point, (B, H', W', C): `fill` outside, 0 where there is no tap."""
    b = np.arange(len(U)).reshape(-1, *[1] * len(mn))
    least = reduce(np.minimum, mn)  # NOWHERE is below OUTSIDE, and that below every pixel
    ground = np.where(least == NOWHERE, 0, fill)
    u = U[(b, *(np.maximum(m, 0) for m in reversed(mn)))]
    return np.where((least >= 0)[..., None], u, ground[..., None])


def _add_at(dU: Array, mn: Sequence[Array], amount: Array) -> None:
    """dU_nm^c += amount for every point, the adjoint of _pixels."""
    at = np.nonzero(reduce(np.minimum, mn) >= 0)
    np.add.at(dU, (at[0], *(m[at] for m in reversed(mn))), amount[at])


def _zeros(U: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Zeros whose axes lie in memory in the order of U's; a broadcast axis of U counts as outer."""
    order = sorted(range(U.ndim), key=lambda axis: -abs(U.strides[axis]) or -np.inf)
    return np.zeros([shape[axis] for axis in order], dtype).transpose(np.argsort(order))


def _checked(
    U: ArrayLike, xy: ArrayLike, kernel: Kernels, padding: str, fill: float
) -> tuple[Array, Array, tuple[Kernel, ...], float]:
    U = feature_map(U)
    axes = U.ndim - 2
    xy = points("xy", xy, axes, len(U))
    padding_rule(padding)
    return U, xy, per_axis(kernel, axes), fill_value(fill, padding)

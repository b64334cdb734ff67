"""§3.3, differentiable image sampling: Eq. 3, its gradients Eqs. 6 and 7, and dΦ.

Everything is computed in float64, or wider if the arguments are, and rounded once at the end.
"""

from __future__ import annotations

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

Kernels = Kernel | tuple[Kernel, Kernel]


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
    U = feature_map(U)
    xy = points("xy", xy, len(U))
    (_, H, W, _), (k_x, k_y) = U.shape, per_axis(kernel)
    wide = np.result_type(U, xy, np.float64)

    def weights(x: Array, size: int, kernel: Kernel) -> Array:
        s = kernel.support  # beyond it every weight is 0; the clip keeps ∞ out of 0·∞
        x = np.clip(x.astype(wide), -s - 1, size + s)[..., None]
        t = shift(x, -np.arange(size), s)  # x − m, not rounded onto a knot
        return np.where(np.isnan(x), np.nan, kernel.k(t, kernel.Phi))

    w_x, w_y = weights(xy[..., 0], W, k_x), weights(xy[..., 1], H, k_y)
    rows = np.einsum("bnmc,bijn->bijmc", U.astype(wide), w_y)
    V: Array = np.einsum("bijmc,bijm->bijc", rows, w_x)
    return V.astype(U.dtype, copy=False)


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
    Returns V (B, H', W', C), in U's dtype and memory layout. A point with a NaN has V = NaN.
    Raises TypeError or ValueError if an argument has another form.
    """
    U, xy, kernel_x, kernel_y, fill = _checked(U, xy, kernel, padding, fill)
    (_, H, W, C), wide = U.shape, np.result_type(U, xy, np.float64)
    x, y = np.moveaxis(xy.astype(wide), -1, 0)

    columns = _weights(x, W, kernel_x, padding)
    V = _zeros(U, (*x.shape, C), wide)
    for n, k_y in _weights(y, H, kernel_y, padding):
        for m, k_x in columns:
            V += _pixels(U, n, m, fill) * (k_x * k_y)[..., None]
    V[lost(x, padding) | lost(y, padding)] = np.nan
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
) -> tuple[Array, Array, tuple[Array, Array]]:
    """Carry the loss gradient from V to U, to the source points and to the kernels' Φ.

        ∂V_i^c/∂U_nm^c = k(x_i − m) k(y_i − n)                                Eq. 6
        ∂V_i^c/∂x_i    = Σ_n Σ_m U_nm^c k′(x_i − m) k(y_i − n)                Eq. 7
        ∂V_i^c/∂Φ_x    = Σ_n Σ_m U_nm^c ∂k(x_i − m)/∂Φ_x k(y_i − n)

    and likewise for y. The paper prints Eqs. 6 and 7 for the kernel of Eq. 5 and leaves Φ out.

    dV   (B, H', W', C)  loss gradient at V, in U's dtype
    tie  which derivative in x and y on a knot: "right", "left", their mean "central",
         or "paper", Eq. 7 as printed (BILINEAR only)
    Returns dU in U's dtype and layout; dxy in xy's dtype; dPhi = (dPhi_x, dPhi_y), float64,
    summed over the batch. Where a point has a NaN, dxy is NaN and nothing goes to dU or dPhi.
    Raises TypeError or ValueError if an argument has another form.
    """
    U, xy, kernel_x, kernel_y, fill = _checked(U, xy, kernel, padding, fill)
    dV = like("dV", shaped("dV", dV, (*xy.shape[:-1], U.shape[-1])), "U", U)
    checked_tie(tie, (kernel_x, kernel_y))
    (_, H, W, _), wide = U.shape, np.result_type(U, xy, np.float64)
    x, y = np.moveaxis(xy.astype(wide), -1, 0)
    gone = lost(x, padding) | lost(y, padding)
    dV = np.where(gone[..., None], 0, dV.astype(wide))

    dU = _zeros(U, U.shape, wide)
    dx, dy = np.zeros_like(x), np.zeros_like(y)
    dPhi_x, dPhi_y = np.zeros(len(kernel_x.Phi)), np.zeros(len(kernel_y.Phi))
    columns = weights_and_slopes(x, W, kernel_x, padding, tie)
    for n, k_y, dk_y, dphi_y in weights_and_slopes(y, H, kernel_y, padding, tie):
        for m, k_x, dk_x, dphi_x in columns:
            _add_at(dU, n, m, dV * (k_x * k_y)[..., None])
            pull = np.sum(dV * _pixels(U, n, m, fill), axis=-1)  # Σ_c dV^c U_nm^c
            dx += pull * dk_x * k_y
            dy += pull * k_x * dk_y
            dPhi_x += [float(np.sum(pull * d * k_y)) for d in dphi_x]
            dPhi_y += [float(np.sum(pull * k_x * d)) for d in dphi_y]
    dxy = np.where(gone[..., None], np.nan, np.stack([dx, dy], axis=-1))
    return dU.astype(U.dtype, copy=False), dxy.astype(xy.dtype, copy=False), (dPhi_x, dPhi_y)


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


def _pixels(U: Array, n: Array, m: Array, fill: float) -> Array:
    """U_nm^c for every point, (B, H', W', C): `fill` outside, 0 where there is no tap."""
    b = np.arange(len(U))[:, None, None]
    inside, nowhere = (n >= 0) & (m >= 0), (n == NOWHERE) | (m == NOWHERE)
    ground = np.where(nowhere, 0, fill)
    u = U[b, np.maximum(n, 0), np.maximum(m, 0)]
    return np.where(inside[..., None], u, ground[..., None])


def _add_at(dU: Array, n: Array, m: Array, amount: Array) -> None:
    """dU_nm^c += amount for every point, the adjoint of _pixels."""
    b, i, j = np.nonzero((n >= 0) & (m >= 0))
    np.add.at(dU, (b, n[b, i, j], m[b, i, j]), amount[b, i, j])


def _zeros(U: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Zeros whose axes lie in memory in the order of U's; a broadcast axis of U counts as outer."""
    order = sorted(range(4), key=lambda axis: -abs(U.strides[axis]) or -np.inf)
    return np.zeros([shape[axis] for axis in order], dtype).transpose(np.argsort(order))


def _checked(
    U: ArrayLike, xy: ArrayLike, kernel: Kernels, padding: str, fill: float
) -> tuple[Array, Array, Kernel, Kernel, float]:
    U = feature_map(U)
    xy = points("xy", xy, len(U))
    padding_rule(padding)
    return U, xy, *per_axis(kernel), fill_value(fill, padding)

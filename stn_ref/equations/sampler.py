"""§3.3, differentiable image sampling: Eq. 3, its gradients Eqs. 6 and 7, dΦ, and forward mode.

Everything is computed in float64, or wider if the arguments are, and rounded once at the end.

The equations are those of a map, as printed. A volume has a third axis, z, with its own sum and
weight, as in A.3 of the paper: the code is written for volumes, Σ_l Σ_n Σ_m. A map has a single tap
l, of weight 1 and slope 0, and a signal a single n as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod
from operator import mul

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations.arguments import (
    Array,
    checked_tie,
    feature_map,
    fill_value,
    like,
    per_axis,
    phi_tangents,
    points,
    shaped,
    tangent,
)
from stn_ref.equations.gather import add_at, pixels, zeros
from stn_ref.equations.kernels import BILINEAR, Kernel
from stn_ref.equations.padding import nowhere, padding_rule
from stn_ref.equations.quiet import quiet
from stn_ref.equations.taps import ABSENT, shift, slopes, taps_of_x_y_z

Kernels = Kernel | tuple[Kernel, ...]


@quiet
def sample_dense(U: ArrayLike, xy: ArrayLike, *, kernel: Kernels = BILINEAR) -> Array:
    """Weigh every input pixel for every output pixel.

        V_i^c = Σ_n Σ_m U_nm^c k(x_i − m; Φ_x) k(y_i − n; Φ_y)                Eq. 3

    As printed, and so for small maps: it costs H·W for each output pixel.

    U   (B, H, W, C)    input feature map, zero outside
    xy  (B, H', W', 2)  source points, pixels, (x, y), centres at 0..W−1 and 0..H−1
    Returns V (B, H', W', C), in U's dtype.
    Raises TypeError or ValueError for an argument of a wrong shape, dtype or value.
    """
    U, xy, kernels, _ = checked_inputs(U, xy, kernel, "zeros", 0.0)
    wide = np.result_type(U, xy, np.float64)

    def weights(x: Array, size: int, kernel: Kernel) -> Array:
        """k(x_i − m) of every pixel m, (B, N, size); beyond the support, and at ±∞, it is 0."""
        far = kernel.support + 1
        t = shift(np.clip(x, -far, size - 1 + far)[..., None], -np.arange(size), kernel.support)
        return np.where(np.isnan(t), np.nan, kernel.k(t, kernel.Phi))

    points = np.moveaxis(xy.astype(wide).reshape(len(U), prod(xy.shape[1:-1]), len(kernels)), -1, 0)
    k = [weights(*axis) for axis in zip(points, U.shape[-2:0:-1], kernels, strict=True)]
    V = np.einsum(DOUBLE_SUM[len(kernels)], U.astype(wide), *k)
    return V.reshape(*xy.shape[:-1], U.shape[-1]).astype(U.dtype, copy=False)


DOUBLE_SUM = {1: "bmc,bim->bic", 2: "bnmc,bim,bin->bic", 3: "blnmc,bim,bin,bil->bic"}


@quiet
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
    Raises TypeError or ValueError for an argument of a wrong shape, dtype or value.
    """
    U, xy, kernels, fill = checked_inputs(U, xy, kernel, padding, fill)
    wide = np.result_type(U, xy, np.float64)
    taps_x, taps_y, taps_z = taps_of_x_y_z(U, xy.astype(wide), kernels, padding)

    V = zeros(U, (*xy.shape[:-1], U.shape[-1]), wide)
    for l, n, m in product(taps_z, taps_y, taps_x):
        V += pixels(U, l, n, m, fill) * (m.k * n.k * l.k)[..., None]
    V[nowhere(xy, padding).any(axis=-1)] = np.nan
    return V.astype(U.dtype, copy=False)


@quiet
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
    Raises TypeError or ValueError for an argument of a wrong shape, dtype or value.
    """
    U, xy, kernels, fill = checked_inputs(U, xy, kernel, padding, fill)
    dV = like("dV", shaped("dV", dV, (*xy.shape[:-1], U.shape[-1])), "U", U)
    checked_tie(tie, kernels)
    wide = np.result_type(U, xy, np.float64)
    taps_x, taps_y, taps_z = taps_of_x_y_z(U, xy.astype(wide), kernels, padding, slopes, tie)
    lost = nowhere(xy, padding).any(axis=-1, keepdims=True)
    dV = np.where(lost, 0, dV.astype(wide))

    dU, dxy = zeros(U, U.shape, wide), np.zeros((3, *xy.shape[:-1]), wide)
    dPhi_x, dPhi_y, dPhi_z = (np.zeros(len(axis[0].dPhi)) for axis in (taps_x, taps_y, taps_z))
    for l, n, m in product(taps_z, taps_y, taps_x):
        add_at(dU, l, n, m, dV * (m.k * n.k * l.k)[..., None])  # Eq. 6
        pull = np.sum(dV * pixels(U, l, n, m, fill), axis=-1)  # Σ_c dV^c U_nm^c
        dxy[0] += pull * m.dk * n.k * l.k  # Eq. 7
        dxy[1] += pull * m.k * n.dk * l.k
        if l is not ABSENT:
            dxy[2] += pull * m.k * n.k * l.dk
        dPhi_x += [float(np.sum(pull * d * n.k * l.k)) for d in m.dPhi]
        dPhi_y += [float(np.sum(pull * m.k * d * l.k)) for d in n.dPhi]
        dPhi_z += [float(np.sum(pull * m.k * n.k * d)) for d in l.dPhi]
    axes = len(kernels)
    dxy = np.where(lost, np.nan, np.stack(list(dxy[:axes]), axis=-1)).astype(xy.dtype)
    return dU.astype(U.dtype, copy=False), dxy, (dPhi_x, dPhi_y, dPhi_z)[:axes]


@quiet
def sample_jvp(
    U_dot: ArrayLike,
    xy_dot: ArrayLike,
    U: ArrayLike,
    xy: ArrayLike,
    *,
    Phi_dot: Sequence[Sequence[float]] | None = None,
    kernel: Kernels = BILINEAR,
    padding: str = "zeros",
    fill: float = 0.0,
    tie: str = "right",
) -> Array:
    """How V changes as U, the source points and Φ move: Eqs. 6 and 7 read forwards.

        V̇_i^c = Σ_n Σ_m U̇_nm^c k(x_i − m) k(y_i − n)                          Eq. 6
              + Σ_n Σ_m U_nm^c [k̇(x_i − m) k(y_i − n) + k(x_i − m) k̇(y_i − n)]
        k̇(x_i − m) = k′(x_i − m) ẋ_i + Σ_Φ ∂k(x_i − m)/∂Φ_x Φ̇_x               Eq. 7

    U_dot    (B, H, W, C)    U̇, in U's dtype
    xy_dot   (B, H', W', 2)  ẋ and ẏ, pixels, in xy's dtype
    Phi_dot  one sequence of len(Φ) an axis, as `sample_backward` returns dPhi; None for Φ̇ = 0
    The rest is as in `sample_backward`, whose transpose this is, whatever the tie:
    Σ dV V̇ = Σ dU U̇ + Σ dxy ẋy + Σ dPhi Φ̇. It is linear, then, on a knot too; so where tie="right"
    meets ẋ < 0 it is not the directional derivative lim_{h↓0} (V(x + hẋ) − V(x))/h, which looks to
    the left there, as tie="left" does.
    Returns V_dot (B, H', W', C), in U's dtype and layout. A point with a NaN has V_dot = NaN; at ±∞
    nothing changes along that axis.
    Raises TypeError or ValueError for an argument of a wrong shape, dtype or value.
    """
    U, xy, kernels, fill = checked_inputs(U, xy, kernel, padding, fill)
    U_dot, xy_dot = tangent("U_dot", U_dot, "U", U), tangent("xy_dot", xy_dot, "xy", xy)
    checked_tie(tie, kernels)
    wide = np.result_type(U, xy, np.float64)
    x_dots = np.moveaxis(np.where(np.isfinite(xy), xy_dot, 0).astype(wide), -1, 0)
    axes = zip(
        taps_of_x_y_z(U, xy.astype(wide), kernels, padding, slopes, tie),
        (*x_dots, 0, 0),
        (*phi_tangents(Phi_dot, kernels), (), ()),
        strict=False,
    )
    moving_x, moving_y, moving_z = (
        [(tap, tap.dk * x_dot + sum(map(mul, tap.dPhi, Phi_dot))) for tap in taps]  # k and k̇
        for taps, x_dot, Phi_dot in axes
    )

    V_dot = zeros(U, (*xy.shape[:-1], U.shape[-1]), wide)
    for (l, l_dot), (n, n_dot), (m, m_dot) in product(moving_z, moving_y, moving_x):
        V_dot += pixels(U_dot, l, n, m, 0) * (m.k * n.k * l.k)[..., None]  # Eq. 6
        weight_dot = m_dot * n.k * l.k + m.k * n_dot * l.k + m.k * n.k * l_dot
        V_dot += pixels(U, l, n, m, fill) * weight_dot[..., None]  # Eq. 7
    V_dot[nowhere(xy, padding).any(axis=-1)] = np.nan
    return V_dot.astype(U.dtype, copy=False)


def checked_inputs(
    U: ArrayLike, xy: ArrayLike, kernel: Kernels, padding: str, fill: float
) -> tuple[Array, Array, tuple[Kernel, ...], float]:
    U = feature_map(U)
    axes = U.ndim - 2
    xy = points("xy", xy, axes, len(U))
    padding_rule(padding)
    return U, xy, per_axis(kernel, axes), fill_value(fill, padding)

"""§3.3, differentiable image sampling: Eq. 3, its gradients Eqs. 6 and 7, dΦ, and forward mode.

Everything is computed in float64, or wider if the arguments are, and rounded once at the end.

The equations are those of a map, as printed. A signal has one axis, x, and no Σ_n; a volume has a
third, z, and a third sum and weight, as in A.3 of the paper. The code goes over the axes, in the
order (x, y, z) of a point's coordinates: U's sides backwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from operator import mul

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations.arguments import (
    Array,
    feature_map,
    fill_value,
    like,
    points,
    shaped,
    tangent,
)
from stn_ref.equations.gather import (
    add_at,
    combinations,
    lengths,
    no_place,
    pixels,
    product_rule,
    times,
    where_it_matters,
    zeros,
)
from stn_ref.equations.kernels import (
    BILINEAR,
    Kernel,
    checked_tie,
    derivative,
    per_axis,
    phi_tangents,
    shift,
)
from stn_ref.equations.padding import padding_rule
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
    U, xy, kernels, _ = checked_inputs(U, xy, kernel, "zeros", 0.0)
    wide = np.result_type(U, xy, np.float64)

    def weights(x: Array, size: int, kernel: Kernel) -> Array:
        s = kernel.support  # beyond it every weight is 0; the clip keeps ∞ out of 0·∞
        x = np.clip(x.astype(wide), -s - 1, size + s)[..., None]
        t = shift(x, -np.arange(size), s)  # x − m, not rounded onto a knot
        return np.where(np.isnan(x), np.nan, kernel.k(t, kernel.Phi))

    flat = np.moveaxis(xy.reshape(len(U), prod(xy.shape[1:-1]), len(kernels)), -1, 0)
    w_x_and_y = [weights(*axis) for axis in zip(flat, lengths(U), kernels, strict=True)]
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
    U, xy, kernels, fill = checked_inputs(U, xy, kernel, padding, fill)
    wide = np.result_type(U, xy, np.float64)
    xs = np.moveaxis(xy.astype(wide), -1, 0)  # x and y

    V = zeros(U, (*xy.shape[:-1], U.shape[-1]), wide)
    axes = zip(xs, lengths(U), kernels, strict=True)
    for mn, k in combinations([_weights(*axis, padding) for axis in axes]):
        V += pixels(U, mn, fill) * times(*k)[..., None]
    V[no_place(xs, padding)] = np.nan
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
    U, xy, kernels, fill = checked_inputs(U, xy, kernel, padding, fill)
    dV = like("dV", shaped("dV", dV, (*xy.shape[:-1], U.shape[-1])), "U", U)
    checked_tie(tie, kernels)
    wide = np.result_type(U, xy, np.float64)
    xs = np.moveaxis(xy.astype(wide), -1, 0)  # x and y
    gone = no_place(xs, padding)
    dV = np.where(gone[..., None], 0, dV.astype(wide))

    dU, dxs = zeros(U, U.shape, wide), [np.zeros_like(x) for x in xs]
    dPhi = [np.zeros(len(kernel.Phi)) for kernel in kernels]
    axes = zip(xs, lengths(U), kernels, strict=True)
    found = [weights_and_slopes(*axis, padding, tie) for axis in axes]
    for mn, k, dk, dphi in combinations(found):
        add_at(dU, mn, dV * times(*k)[..., None])
        pull = np.sum(dV * pixels(U, mn, fill), axis=-1)  # Σ_c dV^c U_nm^c
        for a in range(len(kernels)):  # k′ in the place of k: along x, then along y
            dxs[a] += times(pull, *k[:a], dk[a], *k[a + 1 :])
            dPhi[a] += [float(np.sum(times(pull, *k[:a], d, *k[a + 1 :]))) for d in dphi[a]]
    dxy = np.where(gone[..., None], np.nan, np.stack(dxs, axis=-1))
    return dU.astype(U.dtype, copy=False), dxy.astype(xy.dtype, copy=False), tuple(dPhi)


@np.errstate(all="ignore")
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
    Raises TypeError or ValueError if an argument has another form.
    """
    U, xy, kernels, fill = checked_inputs(U, xy, kernel, padding, fill)
    U_dot, xy_dot = tangent("U_dot", U_dot, "U", U), tangent("xy_dot", xy_dot, "xy", xy)
    checked_tie(tie, kernels)
    wide = np.result_type(U, xy, np.float64)
    xs, x_dots = (np.moveaxis(p.astype(wide), -1, 0) for p in (xy, xy_dot))
    x_dots = np.where(np.isfinite(xs), x_dots, 0)

    V_dot = zeros(U, (*xy.shape[:-1], U.shape[-1]), wide)
    axes = zip(x_dots, phi_tangents(Phi_dot, kernels), xs, lengths(U), kernels, strict=True)
    for mn, k, k_dot in combinations([_weights_and_rates(*axis, padding, tie) for axis in axes]):
        V_dot += pixels(U_dot, mn, 0) * times(*k)[..., None]
        V_dot += pixels(U, mn, fill) * product_rule(k, k_dot)[..., None]
    V_dot[no_place(xs, padding)] = np.nan
    return V_dot.astype(U.dtype, copy=False)


def _weights(x: Array, size: int, kernel: Kernel, padding: str) -> list[tuple[Array, Array]]:
    """m and k of each tap, (B, H', W') each."""
    found = []
    for m, t in taps(x, size, kernel.support, padding):
        k = kernel.k(t, kernel.Phi)
        found.append((where_it_matters(m, t, kernel, k), k))
    return found


def weights_and_slopes(
    x: Array, size: int, kernel: Kernel, padding: str, tie: str
) -> list[tuple[Array, Array, Array, list[Array]]]:
    """m, k, k′ and ∂k/∂Φ of each tap, (B, H', W') each; at ±∞ nothing changes along this axis."""
    here, found = np.isfinite(x), []
    for m, t in taps(x, size, kernel.support, padding, left=tie in ("left", "central")):
        k, dk = kernel.k(t, kernel.Phi), here * derivative(kernel, t, tie)
        dphi = [here * d for d in kernel.dk_dphi(t, kernel.Phi)]
        found.append((where_it_matters(m, t, kernel, k, dk), k, dk, dphi))
    return found


def _weights_and_rates(
    x_dot: Array,
    Phi_dot: tuple[float, ...],
    x: Array,
    size: int,
    kernel: Kernel,
    padding: str,
    tie: str,
) -> list[tuple[Array, Array, Array]]:
    """m, k and k̇ of each tap."""
    found = weights_and_slopes(x, size, kernel, padding, tie)
    return [(m, k, dk * x_dot + sum(map(mul, dphi, Phi_dot))) for m, k, dk, dphi in found]


def checked_inputs(
    U: ArrayLike, xy: ArrayLike, kernel: Kernels, padding: str, fill: float
) -> tuple[Array, Array, tuple[Kernel, ...], float]:
    U = feature_map(U)
    axes = U.ndim - 2
    xy = points("xy", xy, axes, len(U))
    padding_rule(padding)
    return U, xy, per_axis(kernel, axes), fill_value(fill, padding)

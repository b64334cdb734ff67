"""§3.3, second derivatives of the sampler: Eqs. 6 and 7 differentiated once more.

Write L = Σ dV · V for the loss, dV being held. `sample_backward` gives its gradient in (U, xy), and
this file the Hessian of L times a direction. V is linear in U and not in a point, so the blocks are

    ∂²V/∂U∂U = 0,   ∂²V/∂U_nm∂x = k′(x − m) k(y − n),
    ∂²V/∂x² = Σ_n Σ_m U_nm k″(x − m) k(y − n),   ∂²V/∂x∂y = Σ_n Σ_m U_nm k′(x − m) k′(y − n)

Bilinear sampling has k″ = 0 between its knots, and yet neither mixed block is 0. A step along x
changes the weight of each pixel, and V is linear in x and in y but not in both: ∂²V/∂x∂y is the
mixed difference U_00 − U_01 − U_10 + U_11 of the cell's pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import product
from operator import add, mul

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations.arguments import Array, checked_tie, like, shaped, tangent
from stn_ref.equations.gather import add_at, pixels, zeros
from stn_ref.equations.kernels import BILINEAR
from stn_ref.equations.padding import nowhere
from stn_ref.equations.quiet import quiet
from stn_ref.equations.sampler import Kernels, checked_inputs
from stn_ref.equations.taps import slopes_and_curvature, taps_of_x_y_z


@quiet
def sample_backward_jvp(
    dV_dot: ArrayLike,
    U_dot: ArrayLike,
    xy_dot: ArrayLike,
    dV: ArrayLike,
    U: ArrayLike,
    xy: ArrayLike,
    *,
    kernel: Kernels = BILINEAR,
    padding: str = "zeros",
    fill: float = 0.0,
    tie: str = "right",
) -> tuple[Array, Array]:
    """How dU and dxy change as dV, U and the source points move: the Hessian times a direction.

        dU̇_nm = Σ_i dV̇_i k k + dV_i (k′ẋ_i k + k k′ẏ_i)                       Eq. 6
        dẋ_i  = Σ_c Σ_n Σ_m (dV̇_i U_nm + dV_i U̇_nm) k′ k
              + Σ_c Σ_n Σ_m dV_i U_nm (k″ẋ_i k + k′ k′ẏ_i)                    Eq. 7

    where of two k the first is that of x_i − m, the second that of y_i − n; and likewise for y.

    This is double backward as well. Call ddU and ddxy what flows back to dU and dxy. Then the loss
    is Σ ddU dU + Σ ddxy dxy = Σ dV V̇, with V̇ along (ddU, ddxy). Its gradient for dV is
    `sample_jvp(ddU, ddxy, U, xy)`, and since a Hessian is symmetric, its gradients for U and xy are
    `sample_backward_jvp(0, ddU, ddxy, dV, U, xy)`, where 0 has dV's shape.

    dV_dot, U_dot, xy_dot  tangents of dV, U and xy, each in its shape and dtype; Φ is held
    tie                    the side of a knot that k′ and k″ are taken from; the δ that k″ has where
                           k′ jumps is left out
    The rest is as in `sample_backward`.
    Returns dU_dot in U's dtype and layout and dxy_dot in xy's dtype. Where a point has a NaN,
    dxy_dot is NaN and nothing goes to dU_dot.
    Raises TypeError or ValueError for an argument of a wrong shape, dtype or value, or if a kernel
    has no `d2k`.
    """
    U, xy, kernels, fill = checked_inputs(U, xy, kernel, padding, fill)
    dV = like("dV", shaped("dV", dV, (*xy.shape[:-1], U.shape[-1])), "U", U)
    dV_dot = tangent("dV_dot", dV_dot, "dV", dV)
    U_dot, xy_dot = tangent("U_dot", U_dot, "U", U), tangent("xy_dot", xy_dot, "xy", xy)
    checked_tie(tie, kernels)
    wide = np.result_type(U, xy, np.float64)
    x_dots = np.moveaxis(np.where(np.isfinite(xy), xy_dot, 0).astype(wide), -1, 0)
    lost = nowhere(xy, padding).any(axis=-1, keepdims=True)
    dV, dV_dot = (np.where(lost, 0, d.astype(wide)) for d in (dV, dV_dot))
    axes = taps_of_x_y_z(U, xy.astype(wide), kernels, padding, slopes_and_curvature, tie)
    moving_x, moving_y, moving_z = (
        [(tap, tap.dk * x_dot, tap.d2k * x_dot) for tap in taps]  # k and k′; how fast they change
        for taps, x_dot in zip(axes, (*x_dots, 0, 0), strict=False)
    )

    dU_dot, dxy_dot = zeros(U, U.shape, wide), np.zeros((len(kernels), *xy.shape[:-1]), wide)
    for z, y, x in product(moving_z, moving_y, moving_x):
        (m, n, l), k_dot, dk_dot = zip(x, y, z, strict=True)
        k, dk = (m.k, n.k, l.k), (m.dk, n.dk, l.dk)
        weight, weight_dot = reduce(mul, k), product_rule(k, k_dot)
        add_at(dU_dot, l, n, m, dV_dot * weight[..., None] + dV * weight_dot[..., None])
        u, u_dot = pixels(U, l, n, m, fill), pixels(U_dot, l, n, m, 0)
        pull, pull_dot = np.sum(dV * u, axis=-1), np.sum(dV_dot * u + dV * u_dot, axis=-1)
        for a in range(len(kernels)):  # k′ in the place of k: along x, then along y
            factors = (pull, *k[:a], dk[a], *k[a + 1 :])
            dots = (pull_dot, *k_dot[:a], dk_dot[a], *k_dot[a + 1 :])
            dxy_dot[a] += product_rule(factors, dots)
    dxy_dot = np.where(lost, np.nan, np.stack(list(dxy_dot), axis=-1))
    return dU_dot.astype(U.dtype, copy=False), dxy_dot.astype(xy.dtype, copy=False)


def product_rule(factors: Sequence[Array], dots: Sequence[Array]) -> Array:
    """How a product changes: each factor's rate in its place, summed."""
    terms = ([*factors[:a], dot, *factors[a + 1 :]] for a, dot in enumerate(dots))
    return reduce(add, (reduce(mul, term) for term in terms))

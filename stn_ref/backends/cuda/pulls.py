"""Eq. 7 on CUDA: one thread a point; ∂L/∂x, ∂L/∂y and the point's part of dΦ, without atomics.

    ∂L/∂x_i = Σ_n Σ_m (Σ_c dV_i^c U_nm^c) k′(x_i − m) k(y_i − n)              Eq. 7

Sums over points come after, in `sums`, in an order of their own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda

from stn_ref.backends.cuda.device import signed
from stn_ref.backends.cuda.points import place
from stn_ref.backends.cuda.rows import EDGES, edges
from stn_ref.backends.cuda.sizes import (
    AXES,
    B_STEP,
    C_STEP,
    CHANNELS,
    FILL,
    HEIGHT,
    I_STEP,
    IN,
    J_STEP,
    OUT,
    POINTS,
    RULE,
    START,
    TIE,
    WIDTH,
)
from stn_ref.backends.cuda.taps import Taps
from stn_ref.backends.scalars import lost, pixel


def pulls(x_taps: Taps, y_taps: Taps, points: Any, number: type[Any], index: Any) -> Any:
    """The kernel for these rows."""
    count_x, phi_of_x, enter_x = x_taps.count, x_taps.phi, x_taps.enter
    count_y, phi_of_y, enter_y = y_taps.count, y_taps.phi, y_taps.enter
    lean_x, slopes_x, lean_y, slopes_y = x_taps.lean, x_taps.slopes, y_taps.lean, y_taps.slopes
    plus_x, put_x, none_x = x_taps.plus, x_taps.put, x_taps.nothing
    plus_y, put_y, none_y = y_taps.plus, y_taps.put, y_taps.nothing
    parameters_x, to_y, where = x_taps.parameters, AXES + EDGES + x_taps.parameters, place(index)
    zero, nan, whole = number(0), number(np.nan), signed(index)

    def pulls_kernel(dV, U, source, reals, s, dxy, dphi):
        """dxy (points · 2) and dphi (len(Φ_x) + len(Φ_y), points), flat, from dV, flat like V."""
        phi_x, phi_y, fill = phi_of_x(reals, AXES), phi_of_y(reals, to_y), reals[FILL]
        edges_x, edges_y = edges(reals, AXES), edges(reals, to_y)
        rule, tie, C, points_all = s[RULE], s[TIE], s[CHANNELS], np.int64(s[POINTS])
        u_c, v_c = s[IN + C_STEP], s[OUT + C_STEP]
        work = cuda.grid(1)
        while work < points_all:
            p = work
            work += cuda.gridsize(1)
            b, i, j = where(p, s)
            x, y = points(source, s, b, i, j)
            dx, dy, sums_x, sums_y = zero, zero, none_x, none_y
            if lost(x, rule) or lost(y, rule):
                dx, dy = nan, nan
            else:
                m_0, f_x, over_x = enter_x(x, s[IN + WIDTH], rule, phi_x, edges_x)
                n_0, f_y, over_y = enter_y(y, s[IN + HEIGHT], rule, phi_y, edges_y)
                all_x = lean_x(x, f_x, phi_x, tie, over_x)
                all_y = lean_y(y, f_y, phi_y, tie, over_y)
                v = whole(
                    s[OUT + START] + b * s[OUT + B_STEP] + i * s[OUT + I_STEP] + j * s[OUT + J_STEP]
                )
                u_b = whole(s[IN + START] + b * s[IN + B_STEP])
                for o_y in range(count_y):
                    k_y, dk_y, dphi_y, out = slopes_y(f_y, o_y, phi_y, edges_y, tie, over_y, all_y)
                    if out:
                        continue
                    n = pixel(n_0 + o_y, s[IN + HEIGHT], rule)
                    for o_x in range(count_x):
                        k_x, dk_x, dphi_x, out = slopes_x(
                            f_x, o_x, phi_x, edges_x, tie, over_x, all_x
                        )
                        if out:
                            continue
                        m = pixel(m_0 + o_x, s[IN + WIDTH], rule)
                        pull = zero
                        if m < 0 or n < 0:
                            for c in range(C):
                                pull += dV[index(v + c * v_c)] * fill
                        else:
                            u = whole(u_b + n * s[IN + I_STEP] + m * s[IN + J_STEP])
                            for c in range(C):
                                pull += dV[index(v + c * v_c)] * U[index(u + c * u_c)]
                        dx += pull * dk_x * k_y
                        dy += pull * k_x * dk_y
                        sums_x = plus_x(sums_x, dphi_x, pull * k_y)
                        sums_y = plus_y(sums_y, dphi_y, pull * k_x)
            dxy[index(2 * p)] = dx
            dxy[index(2 * p + 1)] = dy
            put_x(dphi, p, points_all, sums_x)
            put_y(dphi, p + parameters_x * points_all, points_all, sums_y)

    return pulls_kernel

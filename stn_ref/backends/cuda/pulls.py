"""Eq. 7 on CUDA: one thread a point; ∂L/∂x, ∂L/∂y and the point's part of dΦ, without atomics.

    ∂L/∂x_i = Σ_n Σ_m (Σ_c dV_i^c U_nm^c) k′(x_i − m) k(y_i − n)              Eq. 7

Sums over points come after, in `sums`, in an order of their own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda

from stn_ref.backends.cuda.device import signed
from stn_ref.backends.cuda.sizes import (
    C_STEP,
    CHANNELS,
    FILL,
    I_STEP,
    IN,
    J_STEP,
    K_STEP,
    OUT,
    POINTS,
    RULE,
    TIE,
)
from stn_ref.backends.cuda.taps import Loop
from stn_ref.backends.scalars import lost


def pulls(of: Loop) -> Any:
    """The kernel for these taps."""
    (enter_x, enter_y, enter_z), (pixel_x, pixel_y, pixel_z) = of.each("enter"), of.each("pixel")
    (lean_x, lean_y, lean_z), (slopes_x, slopes_y, slopes_z) = of.each("lean"), of.each("slopes")
    (plus_x, plus_y, plus_z), (put_x, put_y, put_z) = of.each("plus"), of.each("put")
    (none_x, none_y, none_z), (count_x, count_y, count_z) = of.each("nothing"), of.each("count")
    rows, where, points, axes = of.rows, of.where, of.points, of.axes
    offset, number, index, whole = of.offset, of.number, of.index, signed(of.index)
    zero, nan, to_y, to_z = number(0), number(np.nan), len(none_x), len(none_x) + len(none_y)

    def pulls_kernel(dV, U, source, reals, s, dxy, dphi):
        """dxy (points · 2) and dphi (len(Φ_x) + len(Φ_y), points), flat, from dV, flat like V."""
        fill, rule, tie, C = reals[FILL], s[RULE], s[TIE], s[CHANNELS]
        points_all = np.int64(s[POINTS])
        u_c, v_c = s[IN + C_STEP], s[OUT + C_STEP]
        work = cuda.grid(1)
        while work < points_all:
            p = work
            work += cuda.gridsize(1)
            row_x, row_y, row_z = rows(reals)  # here, or they take registers all the time
            b, k, i, j = where(p, s)
            x, y, z = points(source, s, b, k, i, j)
            dx, dy, dz = zero, zero, zero
            sums_x, sums_y, sums_z = none_x, none_y, none_z
            if lost(x, rule) or lost(y, rule) or lost(z, rule):
                dx, dy, dz = nan, nan, nan
            else:
                m_0, at_x = enter_x(x, s, rule, row_x)
                n_0, at_y = enter_y(y, s, rule, row_y)
                l_0, at_z = enter_z(z, s, rule, row_z)
                all_x = lean_x(at_x, tie, row_x)
                all_y = lean_y(at_y, tie, row_y)
                all_z = lean_z(at_z, tie, row_z)
                v, u_b = offset(OUT, s, b, k, i, j), offset(IN, s, b, 0, 0, 0)
                for o_z in range(count_z):
                    k_z, dk_z, dphi_z, out = slopes_z(at_z, o_z, tie, row_z, all_z)
                    if out:
                        continue
                    l = pixel_z(l_0 + o_z, s, rule)
                    for o_y in range(count_y):
                        k_y, dk_y, dphi_y, out = slopes_y(at_y, o_y, tie, row_y, all_y)
                        if out:
                            continue
                        n = pixel_y(n_0 + o_y, s, rule)
                        for o_x in range(count_x):
                            k_x, dk_x, dphi_x, out = slopes_x(at_x, o_x, tie, row_x, all_x)
                            if out:
                                continue
                            m = pixel_x(m_0 + o_x, s, rule)
                            pull = zero
                            if m < 0 or n < 0 or l < 0:
                                for c in range(C):
                                    pull += dV[index(v + c * v_c)] * fill
                            else:
                                # by `offset` it would take eight registers more, on sm_90
                                at = u_b + l * s[IN + K_STEP] + n * s[IN + I_STEP]
                                u = whole(at + m * s[IN + J_STEP])
                                for c in range(C):
                                    pull += dV[index(v + c * v_c)] * U[index(u + c * u_c)]
                            dx += pull * dk_x * k_y * k_z
                            dy += pull * k_x * dk_y * k_z
                            dz += pull * k_x * k_y * dk_z
                            sums_x = plus_x(sums_x, dphi_x, pull * k_y * k_z)
                            sums_y = plus_y(sums_y, dphi_y, pull * k_x * k_z)
                            sums_z = plus_z(sums_z, dphi_z, pull * k_x * k_y)
            dxy[index(axes * p)] = dx
            if axes > 1:
                dxy[index(axes * p + 1)] = dy
            if axes > 2:
                dxy[index(axes * p + 2)] = dz
            put_x(dphi, p, points_all, sums_x)
            put_y(dphi, p + to_y * points_all, points_all, sums_y)
            put_z(dphi, p + to_z * points_all, points_all, sums_z)

    return pulls_kernel

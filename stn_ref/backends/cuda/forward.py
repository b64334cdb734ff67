"""Eq. 3 on CUDA: one thread a point and a few of its channels, one loop over the taps.

    V_i^c = Σ_n Σ_m U_nm^c k(x_i − m) k(y_i − n)                              Eq. 3

The loops are a volume's. A map has no z: the one tap of an axis that is missing weighs 1, and the
compiler leaves nothing of it. A row of taps and a column of taps are weighed where they are needed:
the trip counts are constants, so small kernels are unrolled and their weights kept in registers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda

from stn_ref.backends.cuda.device import device, signed
from stn_ref.backends.cuda.sizes import (
    C_STEP,
    CHANNELS,
    FILL,
    GROUPS,
    IN,
    OUT,
    PLANAR,
    POINTS,
    RULE,
)
from stn_ref.backends.cuda.taps import Loop
from stn_ref.backends.scalars import lost


def item(index: Any) -> Any:
    """item(work, s) = (p, g): the output pixel and the group of channels of a piece of work.

    Threads that are neighbours take neighbouring pixels of planes, neighbouring channels otherwise:
    g, g + groups, g + 2 groups, …
    """
    whole = signed(index)

    @device
    def of(work, s):
        many = index(s[POINTS]) if s[PLANAR] else index(s[GROUPS])
        outer = index(index(work) // many)
        inner = index(index(work) - index(outer * many))
        p, g = (inner, outer) if s[PLANAR] else (outer, inner)
        return whole(p), whole(g)

    return of


def forward(of: Loop) -> Any:
    """The kernel for these taps."""
    (enter_x, enter_y, enter_z), (pixel_x, pixel_y, pixel_z) = of.each("enter"), of.each("pixel")
    (value_x, value_y, value_z), (count_x, count_y, count_z) = of.each("value"), of.each("count")
    rows, where, points, offset = of.rows, of.where, of.points, of.offset
    number, index, part, whole = of.number, of.index, item(of.index), signed(of.index)
    zero, nan = number(0), number(np.nan)

    def forward_kernel(U, V, source, reals, s):
        """V; U and V flat."""
        fill, rule, groups, C = reals[FILL], s[RULE], s[GROUPS], s[CHANNELS]
        step, v_step = s[IN + C_STEP], s[OUT + C_STEP]
        work, all_work = cuda.grid(1), np.int64(s[POINTS]) * groups
        while work < all_work:  # a range would divide 64 bits to count its rounds
            p, c = part(work, s)
            work += cuda.gridsize(1)
            row_x, row_y, row_z = rows(reals)  # here, or they take registers all the time
            b, k, i, j = where(p, s)
            x, y, z = points(source, s, b, k, i, j)
            m_0, at_x = enter_x(x, s, rule, row_x)
            n_0, at_y = enter_y(y, s, rule, row_y)
            l_0, at_z = enter_z(z, s, rule, row_z)
            c_1, c_2, c_3 = whole(c + groups), whole(c + 2 * groups), whole(c + 3 * groups)
            nowhere = lost(x, rule) or lost(y, rule) or lost(z, rule)
            V_0 = V_1 = V_2 = V_3 = nan if nowhere else zero
            for o_z in range(count_z):
                k_z, out = value_z(at_z, o_z, row_z)
                if out:
                    continue
                l = pixel_z(l_0 + o_z, s, rule)
                for o_y in range(count_y):
                    k_y, out = value_y(at_y, o_y, row_y)
                    if out:
                        continue
                    n = pixel_y(n_0 + o_y, s, rule)
                    for o_x in range(count_x):
                        k_x, out = value_x(at_x, o_x, row_x)
                        if out:
                            continue
                        m = pixel_x(m_0 + o_x, s, rule)
                        w = k_x * k_y * k_z
                        if m < 0 or n < 0 or l < 0:
                            outside = w * fill
                            V_0 += outside
                            V_1 += outside
                            V_2 += outside
                            V_3 += outside
                        else:
                            u = whole(offset(IN, s, b, l, n, m) + c * step)
                            V_0 += w * U[index(u)]
                            if c_1 < C:
                                V_1 += w * U[index(u + groups * step)]
                            if c_2 < C:
                                V_2 += w * U[index(u + 2 * groups * step)]
                            if c_3 < C:
                                V_3 += w * U[index(u + 3 * groups * step)]
            at = offset(OUT, s, b, k, i, j)
            V[index(at + c * v_step)] = V_0
            if c_1 < C:
                V[index(at + c_1 * v_step)] = V_1
            if c_2 < C:
                V[index(at + c_2 * v_step)] = V_2
            if c_3 < C:
                V[index(at + c_3 * v_step)] = V_3

    return forward_kernel

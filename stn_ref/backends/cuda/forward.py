"""Eq. 3 on CUDA: one thread a point and a few of its channels, one loop over the taps.

    V_i^c = Σ_n Σ_m U_nm^c k(x_i − m) k(y_i − n)                              Eq. 3

A row of taps and a column of taps are weighed where they are needed: the trip counts are constants,
so the compiler unrolls small kernels and keeps the weights in registers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda

from stn_ref.backends.cuda.device import device, signed
from stn_ref.backends.cuda.points import place
from stn_ref.backends.cuda.rows import EDGES, edges
from stn_ref.backends.cuda.sizes import (
    AXES,
    B_STEP,
    C_STEP,
    CHANNELS,
    FILL,
    GROUPS,
    HEIGHT,
    I_STEP,
    IN,
    J_STEP,
    OUT,
    PLANAR,
    POINTS,
    RULE,
    START,
    WIDTH,
)
from stn_ref.backends.cuda.taps import Taps
from stn_ref.backends.scalars import lost, pixel


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


def forward(x_taps: Taps, y_taps: Taps, points: Any, number: type[Any], index: Any) -> Any:
    """The kernel for these rows: source points from `points`, sums in `number`."""
    count_x, phi_of_x, enter_x, value_x = x_taps.count, x_taps.phi, x_taps.enter, x_taps.value
    count_y, phi_of_y, enter_y, value_y = y_taps.count, y_taps.phi, y_taps.enter, y_taps.value
    to_y, where, part = AXES + EDGES + x_taps.parameters, place(index), item(index)
    zero, nan, whole = number(0), number(np.nan), signed(index)

    def forward_kernel(U, V, source, reals, s):
        """V; U and V flat."""
        phi_x, phi_y, fill = phi_of_x(reals, AXES), phi_of_y(reals, to_y), reals[FILL]
        edges_x, edges_y = edges(reals, AXES), edges(reals, to_y)
        rule, groups, C = s[RULE], s[GROUPS], s[CHANNELS]
        step, v_step = s[IN + C_STEP], s[OUT + C_STEP]
        work, all_work = cuda.grid(1), np.int64(s[POINTS]) * groups
        while work < all_work:  # a range would divide 64 bits to count its rounds
            p, c = part(work, s)
            work += cuda.gridsize(1)
            b, i, j = where(p, s)
            x, y = points(source, s, b, i, j)
            m_0, f_x, over_x = enter_x(x, s[IN + WIDTH], rule, phi_x, edges_x)
            n_0, f_y, over_y = enter_y(y, s[IN + HEIGHT], rule, phi_y, edges_y)
            u_b = whole(s[IN + START] + b * s[IN + B_STEP] + c * step)
            c_1, c_2, c_3 = whole(c + groups), whole(c + 2 * groups), whole(c + 3 * groups)
            V_0 = V_1 = V_2 = V_3 = nan if lost(x, rule) or lost(y, rule) else zero
            for o_y in range(count_y):
                k_y, out = value_y(f_y, o_y, phi_y, edges_y, over_y)
                if out:
                    continue
                n = pixel(n_0 + o_y, s[IN + HEIGHT], rule)
                for o_x in range(count_x):
                    k_x, out = value_x(f_x, o_x, phi_x, edges_x, over_x)
                    if out:
                        continue
                    m = pixel(m_0 + o_x, s[IN + WIDTH], rule)
                    w = k_x * k_y
                    if m < 0 or n < 0:
                        outside = w * fill
                        V_0 += outside
                        V_1 += outside
                        V_2 += outside
                        V_3 += outside
                    else:
                        u = whole(u_b + n * s[IN + I_STEP] + m * s[IN + J_STEP])
                        V_0 += w * U[index(u)]
                        if c_1 < C:
                            V_1 += w * U[index(u + groups * step)]
                        if c_2 < C:
                            V_2 += w * U[index(u + 2 * groups * step)]
                        if c_3 < C:
                            V_3 += w * U[index(u + 3 * groups * step)]
            at = whole(
                s[OUT + START] + b * s[OUT + B_STEP] + i * s[OUT + I_STEP] + j * s[OUT + J_STEP]
            )
            V[index(at + c * v_step)] = V_0
            if c_1 < C:
                V[index(at + c_1 * v_step)] = V_1
            if c_2 < C:
                V[index(at + c_2 * v_step)] = V_2
            if c_3 < C:
                V[index(at + c_3 * v_step)] = V_3

    return forward_kernel

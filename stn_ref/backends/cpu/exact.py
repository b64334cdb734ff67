"""One point at a time, with every corner case: what the fast loops leave out.

Coordinates that are not finite or huge, taps whose pixel must not be read, fills, planes smaller
than the kernel, planes that repeat. In float64, one test a tap, Eqs. 3, 6 and 7 as they stand.
"""

from __future__ import annotations

import numpy as np

from stn_ref.backends.cpu.flat import inner
from stn_ref.backends.cpu.rows import CHUNK, VALUES, call_row
from stn_ref.backends.scalars import OUTSIDE, cell, lost, pixel, shift, whole

NOWHERE = OUTSIDE - 1  # beyond the support


@inner
def taps_of(x, size, rule, row, tie):
    """The pixel of each tap along one axis, OUTSIDE or NOWHERE, and its k, k′, ∂k/∂Φ.

    Returns m (taps) and w (2 + len(Φ), taps, 1); at ±∞ nothing changes along this axis.
    """
    address, phi, first, taps, support = row
    m, f = np.empty(taps, np.intp), np.empty(1)
    w = np.zeros((2 + len(phi), taps, CHUNK))
    below, f[0] = cell(x)
    call_row(address, 1, f, first, taps, support, tie, phi, w)
    if not np.isfinite(x):
        w[1:] = 0.0
    start = whole(below, size, max(abs(first), taps), rule) + first
    for o in range(taps):
        idle = w[0, o, 0] == 0 and w[1, o, 0] == 0
        beyond = abs(shift(f[0], float(first + o), support)) >= support
        m[o] = NOWHERE if idle and beyond else pixel(start + o, size, rule)
    return m, w


@inner
def point_forward(x, y, plane, size, C, rule, row_x, row_y, fill, V, v, step):
    """Eq. 3 at one point, all channels; NaN where x or y is no place at all."""
    memory, start, steps = plane
    m, w_x = taps_of(x, size[1], rule, row_x, VALUES)
    n, w_y = taps_of(y, size[0], rule, row_y, VALUES)
    gone = lost(x, rule) or lost(y, rule)
    for c in range(C):
        total = np.nan if gone else 0.0
        for i in range(len(n)):
            for j in range(len(m)):
                w = w_x[0, j, 0] * w_y[0, i, 0]
                if n[i] >= 0 and m[j] >= 0:
                    u = start + n[i] * steps[1] + m[j] * steps[2] + c * steps[3]
                    total += w * memory[np.uint64(u)]
                elif n[i] != NOWHERE and m[j] != NOWHERE:
                    total += w * fill
        V[np.uint64(v + c * step)] = total


@inner
def point_backward(
    x, y, plane, size, channels, rule, row_x, row_y, tie, fill, g, v, step, dU_plane, rows, pulls
):
    """Eqs. 6 and 7 at one point, for channels[0] … channels[1] − 1.

    Adds to rows[0] … rows[1] − 1 of dU; pulls becomes dx, dy, and the point's part of dΦ.
    """
    memory, start, steps = plane
    dU, dU_start, dU_steps = dU_plane
    phi_x, phi_y = len(row_x[1]), len(row_y[1])
    pulls[:] = 0.0
    if lost(x, rule) or lost(y, rule):
        pulls[:2] = np.nan
        return
    m, w_x = taps_of(x, size[1], rule, row_x, tie)
    n, w_y = taps_of(y, size[0], rule, row_y, tie)
    for i in range(len(n)):
        for j in range(len(m)):
            if n[i] == NOWHERE or m[j] == NOWHERE:
                continue
            inside = n[i] >= 0 and m[j] >= 0
            u = start + n[i] * steps[1] + m[j] * steps[2]
            to = dU_start + n[i] * dU_steps[1] + m[j] * dU_steps[2]
            k, k_x, k_y, pull = w_x[0, j, 0] * w_y[0, i, 0], w_x[0, j, 0], w_y[0, i, 0], 0.0
            for c in range(channels[0], channels[1]):
                dV = float(g[np.uint64(v + c * step)])
                if inside:
                    pull += dV * memory[np.uint64(u + c * steps[3])]
                    if rows[0] <= n[i] < rows[1]:
                        dU[np.uint64(to + c * dU_steps[3])] += dV * k
                else:
                    pull += dV * fill
            pulls[0] += pull * w_x[1, j, 0] * k_y
            pulls[1] += pull * k_x * w_y[1, i, 0]
            for a in range(phi_x):
                pulls[2 + a] += pull * w_x[2 + a, j, 0] * k_y
            for a in range(phi_y):
                pulls[2 + phi_x + a] += pull * k_x * w_y[2 + a, i, 0]

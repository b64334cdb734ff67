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
    m, f = np.zeros(taps, np.intp), np.empty(1)
    if taps == 1:  # an axis that is not there
        w = np.zeros((2, 1, 1))
        w[0, 0, 0] = 1.0
        return m, w
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
def all_taps(xy, q, size, rule, rows, tie):
    """`taps_of` along x, y and z, and whether the point is nowhere."""
    x, y, z = xy[q], xy[CHUNK + q], xy[2 * CHUNK + q]
    m, w_x = taps_of(x, size[2], rule, rows[0], tie)
    n, w_y = taps_of(y, size[1], rule, rows[1], tie)
    k, w_z = taps_of(z, size[0], rule, rows[2], tie)
    return (m, n, k), (w_x, w_y, w_z), lost(x, rule) or lost(y, rule) or lost(z, rule)


@inner
def point_forward(xy, q, image, size, C, rule, rows, fill, V, v, step):
    """Eq. 3 at point q, all channels; NaN where x, y or z is nowhere.

    image  the memory of U, where this image begins in it, its steps, and from slice to slice
    """
    memory, start, steps, leap = image
    (m, n, k), (w_x, w_y, w_z), gone = all_taps(xy, q, size, rule, rows, VALUES)
    for c in range(C):
        total = np.nan if gone else 0.0
        for h in range(len(k)):
            for i in range(len(n)):
                for j in range(len(m)):
                    w = w_x[0, j, 0] * w_y[0, i, 0] * w_z[0, h, 0]
                    least = min(m[j], n[i], k[h])
                    if least >= 0:
                        u = start + k[h] * leap + n[i] * steps[1] + m[j] * steps[2] + c * steps[3]
                        total += w * memory[np.uint64(u)]
                    elif least != NOWHERE:
                        total += w * fill
        V[np.uint64(v + c * step)] = total


@inner
def point_backward(
    xy, q, image, size, channels, rule, rows, tie, fill, g, v, step, dU_image, own, pulls
):
    """Eqs. 6 and 7 at point q, for channels[0] … channels[1] − 1.

    Adds to rows own[0] … own[1] − 1 of each slice of dU; pulls becomes dx, dy, the point's part of
    dΦ along both, then dz and its part.
    """
    memory, start, steps, leap = image
    dU, dU_start, dU_steps, dU_leap = dU_image
    phi_x, phi_y = len(rows[0][1]), len(rows[1][1])
    last = 2 + phi_x + phi_y  # dz, where there is a third axis
    pulls[:] = 0.0
    (m, n, k), (w_x, w_y, w_z), gone = all_taps(xy, q, size, rule, rows, tie)
    if gone:
        pulls[:2] = np.nan
        pulls[last : last + 1] = np.nan
        return
    for h in range(len(k)):
        for i in range(len(n)):
            for j in range(len(m)):
                least = min(m[j], n[i], k[h])
                if least == NOWHERE:
                    continue
                u = start + k[h] * leap + n[i] * steps[1] + m[j] * steps[2]
                to = dU_start + k[h] * dU_leap + n[i] * dU_steps[1] + m[j] * dU_steps[2]
                k_x, k_y, k_z, pull = w_x[0, j, 0], w_y[0, i, 0], w_z[0, h, 0], 0.0
                for c in range(channels[0], channels[1]):
                    dV = float(g[np.uint64(v + c * step)])
                    if least >= 0:
                        pull += dV * memory[np.uint64(u + c * steps[3])]
                        if own[0] <= n[i] < own[1]:
                            dU[np.uint64(to + c * dU_steps[3])] += dV * (k_x * k_y * k_z)
                    else:
                        pull += dV * fill
                pulls[0] += pull * w_x[1, j, 0] * k_y * k_z
                pulls[1] += pull * k_x * w_y[1, i, 0] * k_z
                for a in range(phi_x):
                    pulls[2 + a] += pull * w_x[2 + a, j, 0] * k_y * k_z
                for a in range(phi_y):
                    pulls[2 + phi_x + a] += pull * k_x * w_y[2 + a, i, 0] * k_z
                for a in range(len(pulls) - last):
                    pulls[last + a] += pull * k_x * k_y * w_z[1 + a, h, 0]

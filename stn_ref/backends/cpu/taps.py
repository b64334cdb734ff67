"""Eqs. 3, 6 and 7 over the windows of a chunk of points: loads, products, sums, and no test.

Planes: one channel at a time, all points of the chunk: down the columns of each window (a row's
pixels in one vector where they lie together), then across, many points in one vector. Channels that
lie together are handled the other way round: one point at a time, all its channels; and so are
many planes, which `turn` lays side by side before and apart after.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stn_ref.backends.cpu.flat import LANES, columns4, inner, transpose
from stn_ref.backends.cpu.rows import CHUNK


@inner
def columns(memory, corner, offset, steps, n, taps_x, taps_y, w, u):
    """Σ_n U_nm k(y − n) for every column of each window: u[q taps_x + s]."""
    if steps[2] == 1 and taps_x == 4 and taps_y == 4:
        for q in range(n):
            columns4(u, 4 * q, memory, corner[q] + offset, steps[1], w, q, CHUNK)
        return
    for q in range(n):
        for s in range(taps_x):
            total = w.dtype.type(0)
            for row in range(taps_y):
                at = np.uint64(corner[q] + offset + row * steps[1] + s * steps[2])
                total += w[row * CHUNK + q] * memory[at]
            u[taps_x * q + s] = total


@inner
def along(u, w, n, taps, r):
    """Σ_m u_m k(x − m) along each window."""
    if taps == 2:
        for q in range(n):
            r[q] = u[2 * q] * w[q] + u[2 * q + 1] * w[CHUNK + q]
    elif taps == 4:
        for q in range(n):
            left = u[4 * q] * w[q] + u[4 * q + 1] * w[CHUNK + q]
            r[q] = left + u[4 * q + 2] * w[2 * CHUNK + q] + u[4 * q + 3] * w[3 * CHUNK + q]
    else:
        for q in range(n):
            r[q] = u[taps * q] * w[q]
        for s in range(1, taps):
            for q in range(n):
                r[q] += u[taps * q + s] * w[s * CHUNK + q]


@inner
def plane_forward(memory, corner, offset, steps, n, w_x, w_y, taps_x, taps_y, u, V):
    """Eq. 3 on one plane: V = Σ_m k(x − m) Σ_n k(y − n) U_nm."""
    columns(memory, corner, offset, steps, n, taps_x, taps_y, w_y, u)
    along(u, w_x, n, taps_x, V)


@inner
def turn(target, i, across, source, j, down, rows, columns):
    """target[i + c across + r] = source[j + r down + c]: planes side by side, or apart again."""
    whole_rows, whole_columns = rows // LANES * LANES, columns // LANES * LANES
    for c in range(0, whole_columns, LANES):
        for r in range(0, whole_rows, LANES):
            transpose(target, i + c * across + r, across, source, j + r * down + c, down)
    for r in range(rows):
        for c in range(whole_columns if r < whole_rows else 0, columns):
            target[np.uint64(i + c * across + r)] = source[np.uint64(j + r * down + c)]


@inner
def channels_forward(memory, corner, offset, steps, n, C, w_x, w_y, taps_x, taps_y, V, place, more):
    """Eq. 3 for channels that lie together: V_c = Σ_n Σ_m U_nm^c k(x − m) k(y − n).

    Or, if there is `more` in V before, V_c += that.
    """
    for q in range(n):
        v, first = np.uint64(place[q]), corner[q] + offset
        if taps_x == 2 and taps_y == 2:
            a, b = np.uint64(first), np.uint64(first + steps[2])
            c, d = np.uint64(first + steps[1]), np.uint64(first + steps[1] + steps[2])
            left, right = w_x[q], w_x[CHUNK + q]
            above, below = w_y[q], w_y[CHUNK + q]
            for i in range(C):
                e = np.uint64(i)
                top = left * memory[a + e] + right * memory[b + e]
                total = above * top + below * (left * memory[c + e] + right * memory[d + e])
                V[v + e] = V[v + e] + total if more else total
            continue
        for row in range(taps_y):
            for s in range(taps_x):
                u = np.uint64(first + row * steps[1] + s * steps[2])
                w = w_y[row * CHUNK + q] * w_x[s * CHUNK + q]
                if row == 0 and s == 0 and not more:
                    for i in range(C):
                        V[v + np.uint64(i)] = w * memory[u + np.uint64(i)]
                else:
                    for i in range(C):
                        V[v + np.uint64(i)] += w * memory[u + np.uint64(i)]


@inner
def plane_backward(
    memory, corner, offset, steps, n, g, w_x, w_y, taps_x, taps_y, phi_x, phi_y, u, r, pull
):  # fmt: skip
    """Eq. 7 on one plane, and the sums for Φ: adds to dx, dy and dΦ in `pull`."""
    across, down = taps_x * CHUNK, taps_y * CHUNK
    columns(memory, corner, offset, steps, n, taps_x, taps_y, w_y, u)
    for a in range(1 + phi_x):
        along(u, w_x[(1 + a) * across :], n, taps_x, r)
        add_products(g, r, n, pull[(0 if a == 0 else 1 + a) * CHUNK :])
    for a in range(1 + phi_y):
        columns(memory, corner, offset, steps, n, taps_x, taps_y, w_y[(1 + a) * down :], u)
        along(u, w_x, n, taps_x, r)
        add_products(g, r, n, pull[(1 if a == 0 else 1 + phi_x + a) * CHUNK :])


@inner
def add_products(a, b, n, total):
    """total += a b."""
    for q in range(n):
        total[q] += a[q] * b[q]


@inner
def scatter(dU, corner, offset, steps, n, g, base, rows, whole, w_x, w_y, taps_x, taps_y, u):
    """Eq. 6 on one plane: dU_nm += dV k(x − m) k(y − n), on rows[0] … rows[1] − 1.

    base is the row where each window begins; `whole` says that all windows lie on those rows.
    Each pixel is added to in the order of the points, whatever the rows.
    """
    for row in range(taps_y):
        for s in range(taps_x):
            for q in range(n):
                u[s * CHUNK + q] = g[q] * w_y[row * CHUNK + q] * w_x[s * CHUNK + q]
        for q in range(n):
            if whole or rows[0] <= base[q] + row < rows[1]:
                for s in range(taps_x):
                    at = np.uint64(corner[q] + offset + row * steps[1] + s * steps[2])
                    dU[at] += u[s * CHUNK + q]


@njit(fastmath={"reassoc", "nsz"}, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def pull_and_give(g, v, memory, u, dU, to, w, C):
    """Σ_c dV_c U_c at one tap, and dU_c += w dV_c.

    The sum is in whatever order the vector units like, the same one every time.
    """
    total = g.dtype.type(0)
    for c in range(C):
        i = np.uint64(c)
        total += g[v + i] * memory[u + i]
        dU[to + i] += w * g[v + i]
    return total


@inner
def channels_backward(
    memory, corner, offset, steps, dU, dU_corner, dU_offset, dU_steps, n, C, g, place, special,
    base, rows, w_x, w_y, taps_x, taps_y, phi_x, phi_y, u, waste, pull,
):  # fmt: skip
    """Eqs. 6 and 7 for channels that lie together, and the sums for Φ, but for special points.

    g is the memory of dV, place where each point's channels begin in it; waste has room for them.
    """
    zero = g.dtype.type(0)
    for row in range(taps_y):
        for q in range(n):
            mine = rows[0] <= base[q] + row < rows[1]
            for s in range(taps_x):
                u[s * CHUNK + q] = 0
                if special[q]:
                    continue
                v = np.uint64(place[q])
                at = np.uint64(corner[q] + offset + row * steps[1] + s * steps[2])
                if mine:
                    w = w_x[s * CHUNK + q] * w_y[row * CHUNK + q]
                    to = np.uint64(dU_corner[q] + dU_offset + row * dU_steps[1] + s * dU_steps[2])
                    u[s * CHUNK + q] = pull_and_give(g, v, memory, at, dU, to, w, C)
                else:  # the same loop, so that the sum has the same order
                    u[s * CHUNK + q] = pull_and_give(g, v, memory, at, waste, np.uint64(0), zero, C)
        for s in range(taps_x):
            pulls = u[s * CHUNK :]
            x, y = s * CHUNK, row * CHUNK
            for a in range(1 + phi_x):
                slope, k = w_x[(1 + a) * taps_x * CHUNK + x :], w_y[y:]
                add_triples(pulls, slope, k, n, pull[(0 if a == 0 else 1 + a) * CHUNK :])
            for a in range(1 + phi_y):
                slope, k = w_y[(1 + a) * taps_y * CHUNK + y :], w_x[x:]
                add_triples(pulls, slope, k, n, pull[(1 if a == 0 else 1 + phi_x + a) * CHUNK :])


@inner
def add_triples(a, b, c, n, total):
    """total += a b c."""
    for q in range(n):
        total[q] += a[q] * (b[q] * c[q])

"""Eqs. 3, 6 and 7 over the windows of a chunk of points: loads, products, sums, and no test.

Planes: one channel at a time, all points of the chunk. First the pixels of each window are copied
side by side (neighbours together where they lie together), then plain loops combine them, which the
compiler turns into vector instructions. Channels that lie together are handled the other way round:
one point at a time, all its channels.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stn_ref.backends.cpu.flat import copy2, copy4, inner
from stn_ref.backends.cpu.rows import CHUNK


@inner
def gather(memory, corner, offset, step, n, taps, u):
    """The pixels of one row of each window: u[q taps + s] = memory[corner_q + offset + s step]."""
    o, stride = np.uint64(0), np.uint64(taps)
    if step == 1 and taps == 2:
        for q in range(n):
            copy2(u, o, memory, np.uint64(corner[q] + offset))
            o += stride
    elif step == 1 and taps == 4:
        for q in range(n):
            copy4(u, o, memory, np.uint64(corner[q] + offset))
            o += stride
    else:
        for q in range(n):
            for s in range(taps):
                u[o + np.uint64(s)] = memory[np.uint64(corner[q] + offset + s * step)]
            o += stride


@inner
def along(u, w, n, taps, r):
    """Σ_m U_nm k(x − m) along one row of each window."""
    if taps == 4:
        for q in range(n):
            left = u[4 * q] * w[q] + u[4 * q + 1] * w[CHUNK + q]
            r[q] = left + u[4 * q + 2] * w[2 * CHUNK + q] + u[4 * q + 3] * w[3 * CHUNK + q]
        return
    for q in range(n):
        r[q] = u[taps * q] * w[q]
    for s in range(1, taps):
        for q in range(n):
            r[q] += u[taps * q + s] * w[s * CHUNK + q]


@inner
def plane_forward(memory, corner, steps, n, w_x, w_y, taps_x, taps_y, u, r, V):
    """Eq. 3 on one plane: V = Σ_n k(y − n) Σ_m U_nm k(x − m)."""
    if taps_x == 2 and taps_y == 2:
        below = u[2 * CHUNK :]
        gather(memory, corner, 0, steps[2], n, 2, u)
        gather(memory, corner, steps[1], steps[2], n, 2, below)
        for q in range(n):
            a, b = w_x[q], w_x[CHUNK + q]
            top = u[2 * q] * a + u[2 * q + 1] * b
            V[q] = w_y[q] * top + w_y[CHUNK + q] * (below[2 * q] * a + below[2 * q + 1] * b)
        return
    for row in range(taps_y):
        gather(memory, corner, row * steps[1], steps[2], n, taps_x, u)
        along(u, w_x, n, taps_x, r)
        w = w_y[row * CHUNK :]
        if row == 0:
            for q in range(n):
                V[q] = w[q] * r[q]
        else:
            for q in range(n):
                V[q] += w[q] * r[q]


@inner
def channels_forward(memory, corner, steps, n, C, w_x, w_y, taps_x, taps_y, V, place):
    """Eq. 3 for channels that lie together: V_c = Σ_n Σ_m U_nm^c k(x − m) k(y − n)."""
    for q in range(n):
        v = np.uint64(place[q])
        if taps_x == 2 and taps_y == 2:
            a, b = np.uint64(corner[q]), np.uint64(corner[q] + steps[2])
            c, d = np.uint64(corner[q] + steps[1]), np.uint64(corner[q] + steps[1] + steps[2])
            left, right = w_x[q], w_x[CHUNK + q]
            above, below = w_y[q], w_y[CHUNK + q]
            for i in range(C):
                e = np.uint64(i)
                top = left * memory[a + e] + right * memory[b + e]
                V[v + e] = above * top + below * (left * memory[c + e] + right * memory[d + e])
            continue
        for row in range(taps_y):
            for s in range(taps_x):
                u = np.uint64(corner[q] + row * steps[1] + s * steps[2])
                w = w_y[row * CHUNK + q] * w_x[s * CHUNK + q]
                if row == 0 and s == 0:
                    for i in range(C):
                        V[v + np.uint64(i)] = w * memory[u + np.uint64(i)]
                else:
                    for i in range(C):
                        V[v + np.uint64(i)] += w * memory[u + np.uint64(i)]


@inner
def scatter(memory, corner, offset, step, n, taps, u, base, rows):
    """The adjoint of `gather`: memory[corner_q + offset + s step] += u[s CHUNK + q].

    Only where base_q lies in rows[0] … rows[1] − 1.
    """
    for q in range(n):
        if rows[0] <= base[q] < rows[1]:
            for s in range(taps):
                memory[np.uint64(corner[q] + offset + s * step)] += u[s * CHUNK + q]


@inner
def scatter_all(memory, corner, steps, n, u):
    """Both rows of windows of two by two at once, wherever they lie."""
    for q in range(n):
        a, b = np.uint64(corner[q]), np.uint64(corner[q] + steps[2])
        c, d = np.uint64(corner[q] + steps[1]), np.uint64(corner[q] + steps[1] + steps[2])
        memory[a] += u[q]
        memory[b] += u[CHUNK + q]
        memory[c] += u[2 * CHUNK + q]
        memory[d] += u[3 * CHUNK + q]


@inner
def plane_backward(
    memory, corner, steps, dU, dU_corner, dU_steps, n, g, base, rows, whole,
    w_x, w_y, taps_x, taps_y, phi_x, phi_y, u, r, pull,
):  # fmt: skip
    """Eqs. 6 and 7 on one plane, and the sums for Φ: adds to dx, dy and dΦ in `pull`.

    Of dU, rows[0] … rows[1] − 1 are written, or all if that makes no difference (`whole`); base is
    where each window begins.
    """
    if taps_x == 2 and taps_y == 2 and phi_x + phi_y == 0:
        below = u[2 * CHUNK :]
        gather(memory, corner, 0, steps[2], n, 2, u)
        gather(memory, corner, steps[1], steps[2], n, 2, below)
        for q in range(n):
            a, b, c, d = w_x[q], w_x[CHUNK + q], w_x[2 * CHUNK + q], w_x[3 * CHUNK + q]
            top, bottom = u[2 * q] * a + u[2 * q + 1] * b, below[2 * q] * a + below[2 * q + 1] * b
            slope = w_y[q] * (u[2 * q] * c + u[2 * q + 1] * d)
            slope += w_y[CHUNK + q] * (below[2 * q] * c + below[2 * q + 1] * d)
            pull[q] += g[q] * slope
            pull[CHUNK + q] += g[q] * (w_y[2 * CHUNK + q] * top + w_y[3 * CHUNK + q] * bottom)
        if whole:
            for q in range(n):
                above, below_ = g[q] * w_y[q], g[q] * w_y[CHUNK + q]
                u[q] = above * w_x[q]
                u[CHUNK + q] = above * w_x[CHUNK + q]
                u[2 * CHUNK + q] = below_ * w_x[q]
                u[3 * CHUNK + q] = below_ * w_x[CHUNK + q]
            scatter_all(dU, dU_corner, dU_steps, n, u)
            return
    else:
        slopes = taps_y * CHUNK
        for row in range(taps_y):
            gather(memory, corner, row * steps[1], steps[2], n, taps_x, u)
            w = w_y[row * CHUNK :]
            along(u, w_x, n, taps_x, r)
            for a in range(1 + phi_y):
                d = w_y[slopes * (1 + a) + row * CHUNK :]
                to = pull[(1 if a == 0 else 1 + phi_x + a) * CHUNK :]
                for q in range(n):
                    to[q] += g[q] * (d[q] * r[q])
            for a in range(1 + phi_x):
                along(u, w_x[(1 + a) * taps_x * CHUNK :], n, taps_x, r)
                to = pull[(0 if a == 0 else 1 + a) * CHUNK :]
                for q in range(n):
                    to[q] += g[q] * (w[q] * r[q])
    for row in range(taps_y):
        w = w_y[row * CHUNK :]
        for s in range(taps_x):
            for q in range(n):
                u[s * CHUNK + q] = g[q] * w[q] * w_x[s * CHUNK + q]
        within = (rows[0] - row, rows[1] - row)
        scatter(dU, dU_corner, row * dU_steps[1], dU_steps[2], n, taps_x, u, base, within)


@njit(fastmath={"reassoc", "nsz"}, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def dot(a, i, b, j, n):
    """Σ a b, in whatever order the vector units like, the same one every time."""
    total = a.dtype.type(0)
    for c in range(n):
        total += a[i + np.uint64(c)] * b[j + np.uint64(c)]
    return total


@inner
def channels_backward(
    memory, corner, steps, dU, dU_corner, dU_steps, n, C, g, place, special, base, rows,
    w_x, w_y, taps_x, taps_y, phi_x, phi_y, pull,
):  # fmt: skip
    """Eqs. 6 and 7 for channels that lie together, and the sums for Φ, but for special points.

    g is the memory of dV, place where each point's channels begin in it.
    """
    for q in range(n):
        if special[q]:
            continue
        v = np.uint64(place[q])
        for row in range(taps_y):
            mine = rows[0] <= base[q] + row < rows[1]
            y = row * CHUNK + q
            for s in range(taps_x):
                x = s * CHUNK + q
                u = np.uint64(corner[q] + row * steps[1] + s * steps[2])
                both = dot(g, v, memory, u, C)
                for a in range(1 + phi_x):
                    slope = w_x[(1 + a) * taps_x * CHUNK + x] * w_y[y]
                    pull[(0 if a == 0 else 1 + a) * CHUNK + q] += both * slope
                for a in range(1 + phi_y):
                    slope = w_x[x] * w_y[(1 + a) * taps_y * CHUNK + y]
                    pull[(1 if a == 0 else 1 + phi_x + a) * CHUNK + q] += both * slope
                if mine:
                    to = np.uint64(dU_corner[q] + row * dU_steps[1] + s * dU_steps[2])
                    w = w_x[x] * w_y[y]
                    for c in range(C):
                        dU[to + np.uint64(c)] += w * g[v + np.uint64(c)]

"""dU, dxy or dθ, and dΦ from dV: Eqs. 6 and 7 for all output pixels, a chunk at a time.

A unit of work is a band of rows of one image's dU; see `forward` for the steps within a chunk.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from stn_ref.backends.cpu.chunks import (
    MATRIX,
    SINGLE,
    TOGETHER,
    all_finite,
    corners,
    find_points,
    find_windows,
    highest,
    lowest,
    scratch,
    store,
    turns,
)
from stn_ref.backends.cpu.exact import point_backward
from stn_ref.backends.cpu.flat import flat, keep, lend
from stn_ref.backends.cpu.points import (
    coefficients,
    lattice,
    matrix_points_backward,
    places,
    tame,
    tamed,
    wild,
)
from stn_ref.backends.cpu.rows import CHUNK
from stn_ref.backends.cpu.slots import has_window
from stn_ref.backends.cpu.taps import (
    channels_backward,
    plane_backward,
    scatter,
    turn,
)


@njit
def backward(
    first, last, stripes, dV, U, where, rule, row_x, row_y, hat, tie, fill,
    dU, dxy32, dxy64, dA, dPhi,
):  # fmt: skip
    """dU, and dxy or ∂L/∂A, and dΦ, for units first … last − 1; unit = image · stripes + stripe.

    A unit adds to its own rows of dU, from all points in their order, and writes what belongs to
    its own share of the points; so nothing depends on the number of stripes, and no two units meet.
    dA (B, chunks, 3, 3) and dPhi (B, chunks, ·) take one sum a chunk.
    """
    C, size, out = U.shape[3], U.shape[1:3], dV.shape[1:3]
    taps_x, taps_y, phi_x, phi_y = row_x[3], row_y[3], len(row_x[1]), len(row_y[1])
    fast = fill == 0 and has_window(size[1], taps_x, rule) and has_window(size[0], taps_y, rule)
    where, row_x, row_y = lend(where), lend(row_x), lend(row_y)
    room = scratch(taps_x, taps_y, phi_x, phi_y, U.dtype)
    ji, xy, safe, base, corner, place, w_x, w_y, found, u, r, g, pull = lend(room)
    more = np.empty(CHUNK, np.bool_), np.empty(2 + phi_x + phi_y), np.empty(3 * CHUNK)
    special, pulls, dxy = lend(more)
    (memory, start, steps), (dU_memory, dU_start, dU_steps) = flat(U), flat(dU)
    V_memory, V_start, V_steps = flat(dV)
    dU_corner = corner[CHUNK:]  # where planes are turned, the places of dV
    together = C >= TOGETHER and steps[3] == 1 and dU_steps[3] == 1 and V_steps[3] == 1
    turned = fast and turns(C, size, steps, out, V_steps)
    area = size[0] * size[1] * C if turned else 0
    in_chunk = CHUNK * C if turned else 0
    aside = np.empty(area, U.dtype), np.empty(area, U.dtype), np.empty(in_chunk, U.dtype)
    spill = np.empty(C, U.dtype)
    waste = lend(spill)
    (side, dU_side, g_side), side_steps = lend(aside), (0, size[1] * C, C, 1)
    chunks = (out[0] * out[1] + CHUNK - 1) // CHUNK
    for unit in range(first, last):
        b, stripe = unit // stripes, unit % stripes
        rows = (stripe * size[0] // stripes, (stripe + 1) * size[0] // stripes)
        begin, V_begin = start + b * steps[0], V_start + b * V_steps[0]
        plane = memory, begin, steps
        dU_begin = dU_start + b * dU_steps[0]
        dU_plane = dU_memory, dU_begin, dU_steps
        if turned:
            turn(side, 0, C, memory, begin, steps[3], C, size[0] * size[1])
            dU_side[:] = 0
            dU_plane = dU_side, 0, side_steps
        for chunk in range(chunks):
            p = chunk * CHUNK
            n = min(CHUNK, out[0] * out[1] - p)
            mine = chunk * stripes // chunks == stripe
            if where[0] == MATRIX:
                lattice(p, n, out[0], out[1], ji)
            find_points(where, b, p, n, size, ji, xy)
            odd = not fast or wild(xy, n)
            pull[:] = 0
            special[:n] = not fast
            places(p, n, out[1], V_begin, V_steps, place)
            if fast:
                near = xy
                if odd:
                    tamed(xy, n, safe)
                    near = safe
                    for q in range(n):
                        special[q] = not tame(xy, q)
                find_windows(near, n, size, rule, row_x, row_y, hat, tie, base, w_x, w_y, found)
                low, high = lowest(base[CHUNK:], n), highest(base[CHUNK:], n) + taps_y
                if not mine and not odd and (high <= rows[0] or rows[1] <= low):
                    continue
                if turned:
                    turn(g_side, 0, C, V_memory, V_begin + p, V_steps[3], C, n)
                    corners(base, n, 0, side_steps, corner)
                    places(0, n, 1, 0, (0, C, C, 1), dU_corner)
                    for q in range(n):
                        special[q] |= not all_finite(g_side, np.uint64(q * C), C)
                    channels_backward(
                        side, corner, side_steps, dU_side, corner, side_steps, n, C, g_side,
                        dU_corner, special, base[CHUNK:], rows, w_x, w_y, taps_x, taps_y,
                        phi_x, phi_y, u, waste, pull,
                    )  # fmt: skip
                else:
                    corners(base, n, begin, steps, corner)
                    corners(base, n, dU_begin, dU_steps, dU_corner)
                if together:
                    for q in range(n):
                        special[q] |= not all_finite(V_memory, np.uint64(place[q]), C)
                    channels_backward(
                        memory, corner, steps, dU_memory, dU_corner, dU_steps, n, C, V_memory,
                        place, special, base[CHUNK:], rows, w_x, w_y, taps_x, taps_y, phi_x, phi_y,
                        u, waste, pull,
                    )  # fmt: skip
                for c in range(0 if together or turned else C):
                    for q in range(n):
                        g[q] = V_memory[np.uint64(place[q] + c * V_steps[3])]
                    if odd or not all_finite(g, np.uint64(0), n):
                        for q in range(n):
                            if not special[q] and not abs(g[q]) < np.inf:
                                point_backward(
                                    xy[q], xy[CHUNK + q], plane, size, (c, c + 1), rule, row_x,
                                    row_y, tie, fill, V_memory, place[q], V_steps[3], dU_plane,
                                    rows, pulls,
                                )  # fmt: skip
                                for a in range(len(pulls)):
                                    pull[a * CHUNK + q] += pulls[a]
                            if special[q] or not abs(g[q]) < np.inf:
                                g[q] = 0
                    plane_backward(
                        memory, corner, steps, n, g, w_x, w_y, taps_x, taps_y, phi_x, phi_y,
                        u, r, pull,
                    )  # fmt: skip
                    scatter(
                        dU_memory, dU_corner, dU_steps, n, g, base[CHUNK:], rows,
                        rows[0] <= low and high <= rows[1], w_x, w_y, taps_x, taps_y, u,
                    )  # fmt: skip
                    for q in range(n):
                        corner[q] += steps[3]
                        dU_corner[q] += dU_steps[3]
            if odd or not all_finite(pull, np.uint64(0), len(pull)) or together or turned:
                for q in range(n):
                    again = special[q]
                    for a in range(len(pulls)):
                        again |= not abs(pull[a * CHUNK + q]) < np.inf
                    if again:
                        own = rows if special[q] else (0, 0)
                        point_backward(
                            xy[q], xy[CHUNK + q], plane, size, (0, C), rule, row_x, row_y, tie,
                            fill, V_memory, place[q], V_steps[3], dU_plane, own, pulls,
                        )  # fmt: skip
                        for a in range(len(pulls)):
                            pull[a * CHUNK + q] = pulls[a]
            if not mine:
                continue
            for q in range(n):
                dxy[q], dxy[CHUNK + q] = pull[q], pull[CHUNK + q]
            for a in range(phi_x + phi_y):
                for q in range(n):
                    dPhi[b, chunk, a] += pull[(2 + a) * CHUNK + q]
            if where[0] == MATRIX:
                matrix_points_backward(
                    coefficients(where[1][b], where[2]), ji, n, dxy, dA[b, chunk]
                )
            elif where[0] == SINGLE:
                store(dxy, n, dxy32[b], p)
            else:
                store(dxy, n, dxy64[b], p)
        if turned:
            at = rows[0] * size[1]
            count = (rows[1] - rows[0]) * size[1]
            turn(dU_memory, dU_begin + at, dU_steps[3], dU_side, at * C, C, count, C)
    keep((room, more, aside, spill))


@njit(parallel=True)
def backward_on_threads(
    threads, units, stripes, dV, U, where, rule, row_x, row_y, hat, tie, fill,
    dU, dxy32, dxy64, dA, dPhi,
):  # fmt: skip
    """`backward` for all units."""
    for w in prange(threads):
        first, last = w * units // threads, (w + 1) * units // threads
        backward(
            first, last, stripes, dV, U, where, rule, row_x, row_y, hat, tie, fill,
            dU, dxy32, dxy64, dA, dPhi,
        )  # fmt: skip

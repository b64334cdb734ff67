"""The two loops over output pixels: V from U, and dU, dx, dy, dΦ from dV.

A unit of work is a chunk of output pixels of one image. Where a point comes from, how its taps
reach the plane, and what they weigh are found for a whole chunk at once (`points`, `slots`), then
the taps are summed (`taps`); the few points that those loops cannot take are done by `exact`.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from stn_ref.backends.cpu.chunks import (
    MATRIX,
    SINGLE,
    all_finite,
    corners,
    find_points,
    find_windows,
    highest,
    lowest,
    scratch,
    store,
)
from stn_ref.backends.cpu.exact import point_backward, point_forward
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
from stn_ref.backends.cpu.rows import CHUNK, VALUES
from stn_ref.backends.cpu.slots import has_window
from stn_ref.backends.cpu.taps import (
    channels_backward,
    channels_forward,
    plane_backward,
    plane_forward,
    scatter,
)

TOGETHER = 4  # so many channels that lie together are taken together


@njit
def forward(first, last, U, where, rule, row_x, row_y, hat, fill, V):
    """V for units first … last − 1; unit = chunk · B + image, so that a lattice serves a batch."""
    (B, C), size, out = (U.shape[0], U.shape[3]), U.shape[1:3], V.shape[1:3]
    taps_x, taps_y = row_x[3], row_y[3]
    fast = fill == 0 and has_window(size[1], taps_x, rule) and has_window(size[0], taps_y, rule)
    where, row_x, row_y = lend(where), lend(row_x), lend(row_y)
    room = scratch(taps_x, taps_y, 0, 0, U.dtype)
    ji, xy, safe, base, corner, place, w_x, w_y, found, u, _, own, _ = lend(room)
    (memory, start, steps), (V_memory, V_start, V_steps) = flat(U), flat(V)
    together = C >= TOGETHER and steps[3] == 1 and V_steps[3] == 1
    in_line = V_steps[2] == 1 and V_steps[1] == out[1]
    at = -1
    for unit in range(first, last):
        chunk, b = unit // B, unit % B
        p = chunk * CHUNK
        n = min(CHUNK, out[0] * out[1] - p)
        if chunk != at and where[0] == MATRIX:
            lattice(p, n, out[0], out[1], ji)
            at = chunk
        begin, V_begin = start + b * steps[0], V_start + b * V_steps[0]
        find_points(where, b, p, n, size, ji, xy)
        odd = True
        if fast:
            odd = wild(xy, n)
            near = xy
            if odd:
                tamed(xy, n, safe)
                near = safe
            find_windows(near, n, size, rule, row_x, row_y, hat, VALUES, base, w_x, w_y, found)
            corners(base, n, begin, steps, corner)
            if together:
                places(p, n, out[1], V_begin, V_steps, place)
                channels_forward(
                    memory, corner, steps, n, C, w_x, w_y, taps_x, taps_y, V_memory, place
                )
                for q in range(n):
                    odd |= not all_finite(V_memory, np.uint64(place[q]), C)
            for c in range(0 if together else C):
                v = V_begin + c * V_steps[3]
                values = V_memory[v + p : v + p + n] if in_line else own
                plane_forward(memory, corner, steps, n, w_x, w_y, taps_x, taps_y, u, values)
                odd |= not all_finite(values, np.uint64(0), n)
                if not in_line:
                    places(p, n, out[1], v, V_steps, place)
                    for q in range(n):
                        V_memory[np.uint64(place[q])] = values[q]
                for q in range(n):
                    corner[q] += steps[3]
        if odd:
            places(p, n, out[1], V_begin, V_steps, place)
            for q in range(n):
                again = not fast or not tame(xy, q)
                for c in range(C):
                    again |= not abs(V_memory[np.uint64(place[q] + c * V_steps[3])]) < np.inf
                if again:
                    point_forward(
                        xy[q], xy[CHUNK + q], (memory, begin, steps), size, C, rule, row_x, row_y,
                        fill, V_memory, place[q], V_steps[3],
                    )  # fmt: skip
    keep(room)


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
    dU_corner = corner[CHUNK:]
    together = C >= TOGETHER and steps[3] == 1 and dU_steps[3] == 1 and V_steps[3] == 1
    chunks = (out[0] * out[1] + CHUNK - 1) // CHUNK
    for unit in range(first, last):
        b, stripe = unit // stripes, unit % stripes
        rows = (stripe * size[0] // stripes, (stripe + 1) * size[0] // stripes)
        begin, V_begin = start + b * steps[0], V_start + b * V_steps[0]
        plane = memory, begin, steps
        dU_plane = dU_memory, dU_start + b * dU_steps[0], dU_steps
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
                corners(base, n, begin, steps, corner)
                corners(base, n, dU_plane[1], dU_steps, dU_corner)
                if together:
                    for q in range(n):
                        special[q] |= not all_finite(V_memory, np.uint64(place[q]), C)
                    channels_backward(
                        memory, corner, steps, dU_memory, dU_corner, dU_steps, n, C, V_memory,
                        place, special, base[CHUNK:], rows, w_x, w_y, taps_x, taps_y, phi_x, phi_y,
                        pull,
                    )  # fmt: skip
                for c in range(0 if together else C):
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
            if odd or not all_finite(pull, np.uint64(0), len(pull)) or together:
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
    keep((room, more))


# The same on several threads: each takes a run of units, and the bits do not depend on which.


@njit(parallel=True)
def forward_on_threads(threads, units, U, where, rule, row_x, row_y, hat, fill, V):
    """`forward` for all units."""
    for w in prange(threads):
        first, last = w * units // threads, (w + 1) * units // threads
        forward(first, last, U, where, rule, row_x, row_y, hat, fill, V)


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

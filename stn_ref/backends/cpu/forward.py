"""V from U: Eq. 3 for all output pixels, a chunk at a time.

A unit of work is a chunk of output pixels of one image. Where a point comes from, how its taps
reach the plane, and what they weigh are found for a whole chunk at once (`points`, `slots`), then
the taps are summed (`taps`); the few points that those loops cannot take are done by `exact`.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from stn_ref.backends.cpu.chunks import (
    MATRIX,
    TOGETHER,
    all_finite,
    corners,
    find_points,
    find_windows,
    scratch,
    turns,
)
from stn_ref.backends.cpu.exact import point_forward
from stn_ref.backends.cpu.flat import flat, keep, lend
from stn_ref.backends.cpu.points import (
    lattice,
    places,
    tame,
    tamed,
    wild,
)
from stn_ref.backends.cpu.rows import CHUNK, VALUES
from stn_ref.backends.cpu.slots import has_window
from stn_ref.backends.cpu.taps import (
    channels_forward,
    plane_forward,
    turn,
)


@njit
def forward(first, last, U, where, rule, row_x, row_y, hat, fill, V):
    """V for units first … last − 1; unit = chunk · B + image, so that a lattice serves a batch.

    Or unit = image · chunks + chunk where planes are turned.
    """
    (B, C), size, out = (U.shape[0], U.shape[3]), U.shape[1:3], V.shape[1:3]
    taps_x, taps_y = row_x[3], row_y[3]
    fast = fill == 0 and has_window(size[1], taps_x, rule) and has_window(size[0], taps_y, rule)
    where, row_x, row_y = lend(where), lend(row_x), lend(row_y)
    room = scratch(taps_x, taps_y, 0, 0, U.dtype)
    ji, xy, safe, base, corner, place, w_x, w_y, found, u, _, own, _ = lend(room)
    (memory, start, steps), (V_memory, V_start, V_steps) = flat(U), flat(V)
    together = C >= TOGETHER and steps[3] == 1 and V_steps[3] == 1
    in_line = V_steps[2] == 1 and V_steps[1] == out[1]
    turned = fast and turns(C, size, steps, out, V_steps)
    aside = (
        np.empty(size[0] * size[1] * C if turned else 0, U.dtype),
        np.empty(CHUNK * C if turned else 0, U.dtype),
    )
    (side, V_side), side_steps = lend(aside), (0, size[1] * C, C, 1)
    chunks = (out[0] * out[1] + CHUNK - 1) // CHUNK
    at, held = -1, -1
    for unit in range(first, last):
        chunk, b = (unit % chunks, unit // chunks) if turned else (unit // B, unit % B)
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
            if turned:
                if b != held:
                    turn(side, 0, C, memory, begin, steps[3], C, size[0] * size[1])
                    held = b
                corners(base, n, 0, side_steps, corner)
                places(0, n, 1, 0, (0, C, C, 1), place)
                channels_forward(
                    side, corner, side_steps, n, C, w_x, w_y, taps_x, taps_y, V_side, place
                )
                odd |= not all_finite(V_side, np.uint64(0), n * C)
                turn(V_memory, V_begin + p, V_steps[3], V_side, 0, C, n, C)
            else:
                corners(base, n, begin, steps, corner)
            if together:
                places(p, n, out[1], V_begin, V_steps, place)
                channels_forward(
                    memory, corner, steps, n, C, w_x, w_y, taps_x, taps_y, V_memory, place
                )
                for q in range(n):
                    odd |= not all_finite(V_memory, np.uint64(place[q]), C)
            for c in range(0 if together or turned else C):
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
    keep((room, aside))


@njit(parallel=True)
def forward_on_threads(threads, units, U, where, rule, row_x, row_y, hat, fill, V):
    """`forward` for all units."""
    for w in prange(threads):
        first, last = w * units // threads, (w + 1) * units // threads
        forward(first, last, U, where, rule, row_x, row_y, hat, fill, V)

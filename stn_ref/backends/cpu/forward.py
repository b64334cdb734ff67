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
    fetch_windows,
    find_hats,
    find_points,
    find_windows,
    put,
    scratch,
    tile_after,
    tile_at,
    tiling,
    turns,
    widen,
)
from stn_ref.backends.cpu.exact import point_forward
from stn_ref.backends.cpu.flat import LANES, flat, keep, lend
from stn_ref.backends.cpu.pairs import pairs_forward
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
from stn_ref.backends.scalars import CLIP


@njit
def forward(first, last, U, where, rule, row_x, row_y, hat, fill, V):
    """V for units first … last − 1; unit = chunk · B + image, so that a lattice serves a batch.

    Or unit = image · chunks + chunk where planes are turned or large.
    """
    (B, C), size, out = (U.shape[0], U.shape[3]), U.shape[1:3], V.shape[1:3]
    taps_x, taps_y = row_x[3], row_y[3]
    fast = fill == 0 and has_window(size[1], taps_x, rule) and has_window(size[0], taps_y, rule)
    where, row_x, row_y = lend(where), lend(row_x), lend(row_y)
    room = scratch(taps_x, taps_y, 0, 0, U.dtype)
    ji, xy, xy32, safe, base, corner, place, w_x, w_y, found, u, _, own, _ = lend(room)
    (memory, start, steps), (V_memory, V_start, V_steps) = flat(U), flat(V)
    in_line = V_steps[2] == 1 and V_steps[1] == out[1]
    paired = taps_x == 2 and taps_y == 2 and steps[2] == 1
    turned = fast and turns(C, size, steps, out, V_steps)
    together = turned or (C >= TOGETHER and steps[3] == 1 and V_steps[3] == 1)
    aside = (
        np.empty(size[0] * size[1] * C if turned else 0, U.dtype),
        np.empty(CHUNK * C if turned else 0, U.dtype),
    )
    side, V_side = lend(aside)
    source, target = (side, V_side) if turned else (memory, V_memory)
    source_steps = (0, size[1] * C, C, 1) if turned else steps
    simple = hat and rule <= CLIP  # `hat_slots` takes any point
    cut = tiling(out)
    chunks, wide = cut[-1], cut[4] > 1
    at, held = -1, -1
    for unit in range(first, last):
        chunk, b = (unit % chunks, unit // chunks) if turned or wide else (unit // B, unit % B)
        tile = tile_at(chunk, cut)
        n = tile[1] * tile[2]
        if chunk != at and where[0] == MATRIX:
            lattice(tile, out[0], out[1], ji)
            at = chunk
        begin, V_begin = start + b * steps[0], V_start + b * V_steps[0]
        single = find_points(where, b, tile, tile_after(chunk, cut), size, ji, xy, xy32)
        if single and not (fast and simple):
            widen(xy32, n, xy)
        odd = not fast
        if fast:
            if single and simple:
                find_hats(xy32, n, size, rule, VALUES, base, w_x, w_y)
            elif simple:
                find_hats(xy, n, size, rule, VALUES, base, w_x, w_y)
            else:
                odd = wild(xy, n)
                tamed(xy, n, safe)
                find_windows(safe, n, size, rule, row_x, row_y, VALUES, base, w_x, w_y, found)
            if turned and b != held:
                turn(side, np.intp(0), C, memory, begin, steps[3], C, size[0] * size[1])
                held = b
            corners(base, n, 0 if turned else begin, source_steps, corner)
            if turned:
                for q in range(n):
                    place[q] = q * C
            elif together or not in_line:
                places(tile, out[1], V_begin, V_steps, place)
            if together:
                channels_forward(
                    source, corner, source_steps, n, C, w_x, w_y, taps_x, taps_y, target, place
                )
                for q in range(n):
                    odd |= not all_finite(target, np.uint64(place[q]), C)
            elif wide:
                fetch_windows(base, n, (taps_x, taps_y), memory, begin, steps, C)
            for r in range(tile[1] if turned else 0):
                v, own_row = V_begin + tile[0] + r * tile[3], r * tile[2] * C
                turn(V_memory, v, V_steps[3], V_side, own_row, C, tile[2], C)
            for c in range(0 if together else C):
                v, offset = V_begin + c * V_steps[3], c * steps[3]
                direct = in_line and tile[1] == 1 and n % LANES == 0
                values = V_memory[v + tile[0] : v + tile[0] + n] if direct else own
                if paired:
                    pairs_forward(memory, corner, offset, steps[1], n, w_x, w_y, values)
                else:
                    plane_forward(
                        memory, corner, offset, steps, n, w_x, w_y, taps_x, taps_y, u, values
                    )
                odd |= not all_finite(values, np.uint64(0), n)
                if in_line and not direct:
                    put(V_memory, v, tile, values)
                elif not direct:
                    for q in range(n):
                        V_memory[np.uint64(place[q] + c * V_steps[3])] = values[q]
        if odd:
            if single:
                widen(xy32, n, xy)
            places(tile, out[1], V_begin, V_steps, place)
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

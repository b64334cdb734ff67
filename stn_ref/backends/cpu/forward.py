"""V from U: Eq. 3 for all output pixels, a chunk at a time.

    V_i^c = Σ_n Σ_m U_nm^c k(x_i − m) k(y_i − n)                              Eq. 3

A unit of work is a chunk of output pixels of one image. Where a point comes from, how its taps
reach the plane, and what they weigh are found for a whole chunk at once (`points`, `slots`), then
the taps are summed (`taps`); the few points that those loops cannot take are done by `exact`.

A signal is a map one pixel high, and a map a volume one pixel deep. A volume's windows are slices,
one for each tap of z: V = Σ_l k(z − l) times Eq. 3 of slice l.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from stn_ref.backends.cpu.chunks import (
    MATRIX,
    TOGETHER,
    all_finite,
    around,
    corners,
    fetch_windows,
    find_hats,
    find_points,
    find_windows,
    lies_in_line,
    put,
    scratch,
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
from stn_ref.backends.cpu.slots import has_windows, weave
from stn_ref.backends.cpu.taps import (
    channels_forward,
    plane_forward,
    turn,
)
from stn_ref.backends.cpu.tiles import line, tile_after, tile_at, tiling
from stn_ref.backends.scalars import CLIP


@njit
def forward(first, last, U, axes, where, rule, row_x, row_y, row_z, hat, fill, V):
    """V for units first … last − 1; unit = chunk · B + image, so that a lattice serves a batch.

    Or unit = image · chunks + chunk where planes are turned or large. U is (B, D, H, W, C), of
    which the last `axes` sides are there.
    """
    (B, C), size, out = (U.shape[0], U.shape[4]), U.shape[1:4], V.shape[1:4]
    rows, taps = (row_x, row_y, row_z), (row_x[3], row_y[3], row_z[3])
    (taps_x, taps_y, taps_z), deep = taps, axes == 3
    fast = fill == 0 and has_windows(size, taps, rule)
    where, rows = lend(where), lend(rows)
    room = scratch(taps, (0, 0, 0), axes, U.dtype)
    ji, xy, xy32, safe, base, corner, place, weights, found, u, own, part, woven, _ = lend(room)
    w_x, w_y, w_z = weights
    (memory, start, U_steps), (V_memory, V_start, all_steps) = flat(U), flat(V)
    steps, leap = (U_steps[0], U_steps[2], U_steps[3], U_steps[4]), U_steps[1] if deep else 0
    V_steps, V_leap = (all_steps[0], all_steps[2], all_steps[3], all_steps[4]), all_steps[1]
    in_line = lies_in_line(out, V_steps, V_leap)
    paired = taps_x == 2 and taps_y == 2 and steps[2] == 1
    turned = fast and turns(C, size, in_line and lies_in_line(size, steps, leap))
    together = turned or (C >= TOGETHER and steps[3] == 1 and V_steps[3] == 1)
    aside = (
        np.empty(size[0] * size[1] * size[2] * C if turned else 0, U.dtype),
        np.empty(CHUNK * C if turned else 0, U.dtype),
    )
    side, V_side = lend(aside)
    source, target = (side, V_side) if turned else (memory, V_memory)
    source_steps, source_leap = steps, leap
    if turned:
        source_steps, source_leap = (0, size[2] * C, C, 1), size[1] * size[2] * C if deep else 0
    simple = hat and rule <= CLIP  # `hat_slots` takes any point
    cut = tiling(out, axes)
    chunks, wide = cut[-1], cut[-1] > 1
    at, held = -1, -1
    tile = following = tile_at(0, cut)
    for unit in range(first, last):
        chunk, b = (unit % chunks, unit // chunks) if turned or wide else (unit // B, unit % B)
        if chunk != at:
            tile, following = tile_at(chunk, cut), tile_after(chunk, cut)
            if where[0] == MATRIX:
                lattice(tile, out, axes, ji)
            at = chunk
        n = tile[1] * tile[2]
        begin, V_begin = start + b * steps[0], V_start + b * V_steps[0]
        single = find_points(where, b, tile, following, size, ji, xy, xy32)
        if single and not (fast and simple):
            widen(xy32, n, axes, xy)
        odd = not fast
        if fast:
            if single and simple:
                find_hats(xy32, n, size, rule, VALUES, axes, base, weights)
            elif simple:
                find_hats(xy, n, size, rule, VALUES, axes, base, weights)
            else:
                odd = wild(xy, n, axes)
                tamed(xy, n, axes, safe)
                find_windows(safe, n, size, rule, rows, VALUES, axes, base, weights, found)
            if deep:
                weave(w_y, w_z, n, taps, (0, 0, 0), 1, woven)
            if turned and b != held:
                turn(side, np.intp(0), C, memory, begin, steps[3], C, size[0] * size[1] * size[2])
                held = b
            corners(base, n, 0 if turned else begin, source_steps, source_leap, corner)
            if turned:
                for q in range(n):
                    place[q] = q * C
            elif together or not in_line:
                places(tile, out, V_begin, V_steps, V_leap, place)
            if together:
                for k in range(taps_z):
                    w = woven[k * taps_y * CHUNK :] if deep else w_y
                    channels_forward(
                        source, corner, k * source_leap, source_steps, n, C, w_x, w, taps_x,
                        taps_y, target, place, k > 0,
                    )  # fmt: skip
                for q in range(n):
                    odd |= not all_finite(target, np.uint64(place[q]), C)
            elif wide:
                low, high = around(base, n, taps)
                fetch_windows(low, high, memory, begin, steps, leap, C)
            for r in range(tile[1] if turned else 0):
                v, own_row = V_begin + line(tile, r), r * tile[2] * C
                turn(V_memory, v, V_steps[3], V_side, own_row, C, tile[2], C)
            for c in range(0 if together else C):
                v = V_begin + c * V_steps[3]
                direct = in_line and tile[1] == 1 and n % LANES == 0
                values = V_memory[v + tile[0] : v + tile[0] + n] if direct else own
                for k in range(taps_z):
                    offset, w = c * steps[3] + k * leap, w_y
                    into = part if k > 0 else values
                    if deep:
                        w = woven[k * taps_y * CHUNK :]
                    if paired:
                        pairs_forward(memory, corner, offset, steps[1], n, w_x, w, into)
                    else:
                        plane_forward(
                            memory, corner, offset, steps, n, w_x, w, taps_x, taps_y, u, into
                        )
                    for q in range(n if k > 0 else 0):
                        values[q] += part[q]
                odd |= not all_finite(values, np.uint64(0), n)
                if in_line and not direct:
                    put(V_memory, v, tile, values)
                elif not direct:
                    for q in range(n):
                        V_memory[np.uint64(place[q] + c * V_steps[3])] = values[q]
        if odd:
            if single:
                widen(xy32, n, axes, xy)
            places(tile, out, V_begin, V_steps, V_leap, place)
            for q in range(n):
                again = not fast or not tame(xy, q, axes)
                for c in range(C):
                    again |= not abs(V_memory[np.uint64(place[q] + c * V_steps[3])]) < np.inf
                if again:
                    point_forward(
                        xy, q, (memory, begin, steps, leap), size, C, rule, rows, fill,
                        V_memory, place[q], V_steps[3],
                    )  # fmt: skip
    keep((room, aside))


@njit(parallel=True)
def forward_on_threads(threads, units, U, axes, where, rule, row_x, row_y, row_z, hat, fill, V):
    """`forward` for all units."""
    for w in prange(threads):
        first, last = w * units // threads, (w + 1) * units // threads
        forward(first, last, U, axes, where, rule, row_x, row_y, row_z, hat, fill, V)

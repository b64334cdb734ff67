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
    fetch_windows,
    find_hats,
    find_points,
    find_windows,
    highest,
    lowest,
    scratch,
    store,
    take,
    tile_after,
    tile_at,
    tiling,
    turns,
    widen,
)
from stn_ref.backends.cpu.exact import point_backward
from stn_ref.backends.cpu.flat import LANES, flat, keep, lend
from stn_ref.backends.cpu.fours import four_cells, spread, unspread
from stn_ref.backends.cpu.pairs import BOX, SUMS, cells, pairs_backward, unbox
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
from stn_ref.backends.cpu.taps import channels_backward, plane_backward, scatter, turn
from stn_ref.backends.scalars import CLIP, RIGHT


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
    ji, xy, xy32, safe, base, corner, place, w_x, w_y, found, u, r, g, pull = lend(room)
    more = np.empty(CHUNK, np.bool_), np.empty(2 + phi_x + phi_y), np.empty(3 * CHUNK)
    special, pulls, dxy = lend(more)
    (memory, start, steps), (dU_memory, dU_start, dU_steps) = flat(U), flat(dU)
    V_memory, V_start, V_steps = flat(dV)
    dU_corner = corner[CHUNK:]  # where in dU, or in a box, each window begins
    pairs = taps_x == 2 and taps_y == 2 and steps[2] == 1 and phi_x + phi_y == 0
    fours = taps_x == 4 and taps_y == 4
    in_line = V_steps[2] == 1 and V_steps[1] == out[1]
    turned = fast and turns(C, size, steps, out, V_steps)
    together = turned or (C >= TOGETHER and steps[3] == 1 and dU_steps[3] == 1 and V_steps[3] == 1)
    area = size[0] * size[1] * C if turned else 0
    in_chunk = CHUNK * C if turned else 0
    aside = np.empty(area, U.dtype), np.empty(area, U.dtype), np.empty(in_chunk, U.dtype)
    spill = np.empty(C, U.dtype), np.zeros(SUMS if pairs or fours else 0, U.dtype)
    (side, dU_side, g_side), (waste, box) = lend(aside), lend(spill)
    source, target, given = (side, dU_side, g_side) if turned else (memory, dU_memory, V_memory)
    side_steps = (0, size[1] * C, C, 1)
    source_steps, target_steps = (side_steps, side_steps) if turned else (steps, dU_steps)
    simple = hat and rule <= CLIP and tie <= RIGHT
    cut = tiling(out)
    chunks, wide = cut[-1], cut[4] > 1
    for unit in range(first, last):
        b, stripe = unit // stripes, unit % stripes
        rows = (stripe * size[0] // stripes, (stripe + 1) * size[0] // stripes)
        begin, V_begin = start + b * steps[0], V_start + b * V_steps[0]
        plane = memory, begin, steps
        dU_begin = dU_start + b * dU_steps[0]
        dU_plane = dU_memory, dU_begin, dU_steps
        if turned:
            turn(side, np.intp(0), C, memory, begin, steps[3], C, size[0] * size[1])
            dU_side[:] = 0
            dU_plane = dU_side, 0, side_steps
        for chunk in range(chunks):
            tile = tile_at(chunk, cut)
            n = tile[1] * tile[2]
            following = tile_after(chunk, cut)
            mine = chunk * stripes // chunks == stripe
            if where[0] == MATRIX:
                lattice(tile, out[0], out[1], ji)
            single = find_points(where, b, tile, following, size, ji, xy, xy32)
            light = single and fast and simple and not wild(xy32, n)
            if single and not light:
                widen(xy32, n, xy)
            odd = not fast or not light and wild(xy, n)
            pull[:] = 0
            special[:n] = not fast
            if fast:
                for q in range(n if odd else 0):
                    special[q] = not tame(xy, q)
                near = xy
                if odd:
                    tamed(xy, n, safe)
                    near = safe
                if light:
                    find_hats(xy32, n, size, rule, tie, base, w_x, w_y)
                elif simple:
                    find_hats(near, n, size, rule, tie, base, w_x, w_y)
                else:
                    find_windows(near, n, size, rule, row_x, row_y, tie, base, w_x, w_y, found)
                low, high = lowest(base[CHUNK:], n), highest(base[CHUNK:], n) + taps_y
                if not mine and not odd and (high <= rows[0] or rows[1] <= low):
                    continue
                corners(base, n, 0 if turned else begin, source_steps, corner)
                left, right = lowest(base, n), highest(base, n) + taps_x
                boxed = (right - left) * (high - low + 1) <= BOX and not together
                paired, fourfold = pairs and boxed, fours and boxed
                if paired:
                    cells(base, n, (left, low), (right, high), dU_corner)
                elif fourfold:
                    four_cells(base, n, (left, low), (right, high), dU_corner)
                else:
                    corners(base, n, 0 if turned else dU_begin, target_steps, dU_corner)
                if turned:
                    for line in range(tile[1]):
                        v, own_row = V_begin + tile[0] + line * tile[3], line * tile[2] * C
                        turn(g_side, own_row, C, V_memory, v, V_steps[3], C, tile[2])
                    for q in range(n):
                        place[q] = q * C
                elif together or not in_line:
                    places(tile, out[1], V_begin, V_steps, place)
                if together:
                    for q in range(n):
                        special[q] |= not all_finite(given, np.uint64(place[q]), C)
                    channels_backward(
                        source, corner, source_steps, target, dU_corner, target_steps, n, C, given,
                        place, special, base[CHUNK:], rows, w_x, w_y, taps_x, taps_y, phi_x, phi_y,
                        u, waste, pull,
                    )  # fmt: skip
                elif wide:
                    fetch_windows(base, n, (taps_x, taps_y), memory, begin, steps, C)
                    fetch_windows(base, n, (taps_x, taps_y), dU_memory, dU_begin, dU_steps, C)
                for c in range(0 if together else C):
                    if in_line:
                        take(V_memory, V_begin + c * V_steps[3], tile, following, g)
                    else:
                        for q in range(n):
                            g[q] = V_memory[np.uint64(place[q] + c * V_steps[3])]
                    if odd or not all_finite(g, np.uint64(0), n):
                        if single:
                            widen(xy32, n, xy)
                        places(tile, out[1], V_begin, V_steps, place)
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
                    g[n : (n + LANES - 1) // LANES * LANES] = 0
                    if paired:
                        pairs_backward(
                            memory, corner, c * steps[3], steps[1], n, w_x, w_y, g, pull,
                            (left, low), (right, high), box, dU_corner,
                        )  # fmt: skip
                        unbox(
                            box, (left, low), (right, high), rows, dU_memory,
                            dU_begin + c * dU_steps[3], dU_steps, u,
                        )  # fmt: skip
                    else:
                        plane_backward(
                            memory, corner, c * steps[3], steps, n, g, w_x, w_y, taps_x, taps_y,
                            phi_x, phi_y, u, r, pull,
                        )  # fmt: skip
                    if fourfold:
                        spread(g, n, w_x, w_y, (left, low), (right, high), box, dU_corner)
                        unspread(
                            box, (left, low), (right, high), rows, dU_memory,
                            dU_begin + c * dU_steps[3], dU_steps,
                        )  # fmt: skip
                    elif not paired:
                        scatter(
                            dU_memory, dU_corner, c * dU_steps[3], dU_steps, n, g, base[CHUNK:],
                            rows, rows[0] <= low and high <= rows[1], w_x, w_y, taps_x, taps_y, u,
                        )  # fmt: skip
            for a in range(len(pulls)):
                odd |= not all_finite(pull, np.uint64(a * CHUNK), n)
            if odd or together:
                if single:
                    widen(xy32, n, xy)
                places(tile, out[1], V_begin, V_steps, place)
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
            for a in range(phi_x + phi_y):
                for q in range(n):
                    dPhi[b, chunk, a] += pull[(2 + a) * CHUNK + q]
            if where[0] == MATRIX:
                for q in range(n):
                    dxy[q], dxy[CHUNK + q] = pull[q], pull[CHUNK + q]
                matrix_points_backward(
                    coefficients(where[1][b], where[2]), ji, n, dxy, dA[b, chunk]
                )
            elif where[0] == SINGLE:
                store(pull, tile, dxy32[b])
            else:
                store(pull, tile, dxy64[b])
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

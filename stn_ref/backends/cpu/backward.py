"""dU, dxy or dθ, and dΦ from dV: Eqs. 6 and 7 for all output pixels, a chunk at a time.

    ∂L/∂U_nm^c = Σ_i dV_i^c k(x_i − m) k(y_i − n)                             Eq. 6
    ∂L/∂x_i    = Σ_n Σ_m (Σ_c dV_i^c U_nm^c) k′(x_i − m) k(y_i − n)           Eq. 7

A unit of work is a band of rows of one image's dU; see `forward` for the steps within a chunk. The
sums of both equations are in `taps` (windows of two by two in `pairs`), the weights in `slots`.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from stn_ref.backends.cpu.chunks import (
    MATRIX,
    SINGLE,
    TOGETHER,
    all_finite,
    around,
    corners,
    fetch_windows,
    find_hats,
    find_points,
    find_windows,
    lies_in_line,
    scratch,
    store,
    take,
    turns,
    widen,
)
from stn_ref.backends.cpu.exact import point_backward
from stn_ref.backends.cpu.flat import LANES, flat, keep, lend
from stn_ref.backends.cpu.fours import four_cells, spread, unspread
from stn_ref.backends.cpu.pairs import (
    BOX,
    DEEP_BOX,
    cells,
    pairs_backward,
    room_for,
    unbox,
)
from stn_ref.backends.cpu.points import (
    formula,
    lattice,
    matrix_points_backward,
    places,
    tame,
    tamed,
    wild,
)
from stn_ref.backends.cpu.rows import CHUNK
from stn_ref.backends.cpu.slots import has_windows, weave
from stn_ref.backends.cpu.taps import channels_backward, plane_backward, scatter, turn
from stn_ref.backends.cpu.tiles import line, tile_after, tile_at, tiling
from stn_ref.backends.scalars import CLIP, RIGHT


@njit
def backward(
    first, last, stripes, dV, U, axes, where, rule, row_x, row_y, row_z, hat, tie, fill,
    dU, dxy32, dxy64, dA, dPhi,
):  # fmt: skip
    """dU, and dxy or ∂L/∂A, and dΦ, for units first … last − 1; unit = image · stripes + stripe.

    A unit adds to its own rows of dU, in every slice, from all points in their order, and writes
    what belongs to its own share of the points; so nothing depends on the number of stripes, and
    no two units meet. dA (B, chunks, 3, 3) and dPhi (B, chunks, ·) take one sum a chunk.
    """
    C, size, out = U.shape[4], U.shape[1:4], dV.shape[1:4]
    rows, taps = (row_x, row_y, row_z), (row_x[3], row_y[3], row_z[3])
    phis = len(row_x[1]), len(row_y[1]), len(row_z[1])
    (taps_x, taps_y, taps_z), (phi_x, phi_y, phi_z), deep = taps, phis, axes == 3
    more = 1 + phi_z if deep else 0  # of a slice's slopes along y: k′_z and ∂k_z
    slopes_y, stride = phi_y + more, (2 + phi_y + more) * taps_y * CHUNK
    fast = fill == 0 and has_windows(size, taps, rule)
    where, rows = lend(where), lend(rows)
    room = scratch(taps, phis, axes, U.dtype)
    ji, xy, xy32, safe, base, corner, place, weights, found, u, r, g, woven, pull = lend(room)
    extra = np.empty(CHUNK, np.bool_), np.empty(2 + phi_x + slopes_y), np.empty(6 * CHUNK)
    (special, pulls, dxy), (w_x, w_y, w_z) = lend(extra), weights
    (memory, start, U_steps), (dU_memory, dU_start, to_steps) = flat(U), flat(dU)
    V_memory, V_start, all_steps = flat(dV)
    steps, leap = (U_steps[0], U_steps[2], U_steps[3], U_steps[4]), U_steps[1] if deep else 0
    dU_steps, dU_leap = (to_steps[0], to_steps[2], to_steps[3], to_steps[4]), to_steps[1]
    V_steps, V_leap = (all_steps[0], all_steps[2], all_steps[3], all_steps[4]), all_steps[1]
    dU_corner = corner[CHUNK:]  # where in dU, or in a box, each window begins
    pairs = taps_x == 2 and taps_y == 2 and steps[2] == 1 and phi_x + phi_y + phi_z == 0
    fours = taps_x == 4 and taps_y == 4
    in_line = lies_in_line(out, V_steps, V_leap)
    turned = fast and turns(C, size, in_line and lies_in_line(size, steps, leap))
    together = turned or (C >= TOGETHER and steps[3] == 1 and dU_steps[3] == 1 and V_steps[3] == 1)
    area = size[0] * size[1] * size[2] * C if turned else 0
    in_chunk = CHUNK * C if turned else 0
    aside = np.empty(area, U.dtype), np.empty(area, U.dtype), np.empty(in_chunk, U.dtype)
    most = (DEEP_BOX if deep else BOX) if pairs or fours else 0
    spill = np.empty(C, U.dtype), np.zeros(room_for(most, taps_z) if most else 0, U.dtype)
    (side, dU_side, g_side), (waste, box) = lend(aside), lend(spill)
    source, target, given = (side, dU_side, g_side) if turned else (memory, dU_memory, V_memory)
    side_steps, side_leap = (0, size[2] * C, C, 1), size[1] * size[2] * C
    source_steps, target_steps = (side_steps, side_steps) if turned else (steps, dU_steps)
    source_leap, target_leap = (side_leap, side_leap) if turned else (leap, dU_leap)
    simple = hat and rule <= CLIP and tie <= RIGHT
    cut = tiling(out, axes)
    chunks, wide = cut[-1], cut[-1] > 1
    for unit in range(first, last):
        b, stripe = unit // stripes, unit % stripes
        own = (stripe * size[1] // stripes, (stripe + 1) * size[1] // stripes)
        begin, V_begin = start + b * steps[0], V_start + b * V_steps[0]
        image = memory, begin, steps, leap
        dU_begin = dU_start + b * dU_steps[0]
        dU_image = dU_memory, dU_begin, dU_steps, dU_leap
        if turned:
            turn(side, np.intp(0), C, memory, begin, steps[3], C, size[0] * size[1] * size[2])
            dU_side[:] = 0
            dU_image = dU_side, 0, side_steps, side_leap
        following = tile_at(0, cut)
        for chunk in range(chunks):
            tile, following = following, tile_after(chunk, cut)
            n = tile[1] * tile[2]
            mine = chunk * stripes // chunks == stripe
            if where[0] == MATRIX:
                lattice(tile, out, axes, ji)
            single = find_points(where, b, tile, following, size, ji, xy, xy32)
            light = single and fast and simple and not wild(xy32, n, axes)
            if single and not light:
                widen(xy32, n, axes, xy)
            odd = not fast or not light and wild(xy, n, axes)
            pull[:] = 0
            special[:n] = not fast
            if fast:
                for q in range(n if odd else 0):
                    special[q] = not tame(xy, q, axes)
                near = xy
                if odd:
                    tamed(xy, n, axes, safe)
                    near = safe
                if light:
                    find_hats(xy32, n, size, rule, tie, axes, base, weights)
                elif simple:
                    find_hats(near, n, size, rule, tie, axes, base, weights)
                else:
                    find_windows(near, n, size, rule, rows, tie, axes, base, weights, found)
                low, high = around(base, n, taps)
                if not mine and not odd and (high[1] <= own[0] or own[1] <= low[1]):
                    continue
                if deep:
                    weave(w_y, w_z, n, taps, phis, 2 + slopes_y, woven)
                corners(base, n, 0 if turned else begin, source_steps, source_leap, corner)
                columns, tall = high[0] - low[0], high[1] - low[1] + 1
                cells_in_all = columns * tall * (high[2] - low[2])
                boxed = cells_in_all <= most and not together
                paired, fourfold = pairs and boxed, fours and boxed
                slab = (4 * columns * tall if paired else columns * (tall - 1)) if boxed else 0
                if paired:
                    cells(base, n, low, high, dU_corner)
                elif fourfold:
                    four_cells(base, n, low, high, dU_corner)
                else:
                    to = 0 if turned else dU_begin
                    corners(base, n, to, target_steps, target_leap if deep else 0, dU_corner)
                if turned:
                    for i in range(tile[1]):
                        v, own_row = V_begin + line(tile, i), i * tile[2] * C
                        turn(g_side, own_row, C, V_memory, v, V_steps[3], C, tile[2])
                    for q in range(n):
                        place[q] = q * C
                elif together or not in_line:
                    places(tile, out, V_begin, V_steps, V_leap, place)
                if together:
                    for q in range(n):
                        special[q] |= not all_finite(given, np.uint64(place[q]), C)
                    for k in range(taps_z):
                        w = woven[k * stride :] if deep else w_y
                        channels_backward(
                            source, corner, k * source_leap, source_steps, target, dU_corner,
                            k * target_leap, target_steps, n, C, given, place, special,
                            base[CHUNK:], own, w_x, w, taps_x, taps_y, phi_x, slopes_y, u, waste,
                            pull,
                        )  # fmt: skip
                elif wide:
                    fetch_windows(low, high, memory, begin, steps, leap, C)
                    fetch_windows(low, high, dU_memory, dU_begin, dU_steps, dU_leap, C)
                for c in range(0 if together else C):
                    if in_line:
                        take(V_memory, V_begin + c * V_steps[3], tile, following, g)
                    else:
                        for q in range(n):
                            g[q] = V_memory[np.uint64(place[q] + c * V_steps[3])]
                    if odd or not all_finite(g, np.uint64(0), n):
                        if single:
                            widen(xy32, n, axes, xy)
                        places(tile, out, V_begin, V_steps, V_leap, place)
                        for q in range(n):
                            if not special[q] and not abs(g[q]) < np.inf:
                                point_backward(
                                    xy, q, image, size, (c, c + 1), rule, rows, tie, fill,
                                    V_memory, place[q], V_steps[3], dU_image, own, pulls,
                                )  # fmt: skip
                                for a in range(len(pulls)):
                                    pull[a * CHUNK + q] += pulls[a]
                            if special[q] or not abs(g[q]) < np.inf:
                                g[q] = 0
                    g[n : (n + LANES - 1) // LANES * LANES] = 0
                    dU_first = dU_begin + c * dU_steps[3]
                    if boxed:
                        box[: 4 * cells_in_all + 4] = 0
                    for k in range(taps_z):
                        w, offset = w_y, c * steps[3] + k * leap
                        if deep:
                            w = woven[k * stride :]
                        if paired:
                            pairs_backward(
                                memory, corner, offset, steps[1], n, w_x, w, g, pull,
                                box[k * slab :], dU_corner, deep,
                            )  # fmt: skip
                            continue
                        plane_backward(
                            memory, corner, offset, steps, n, g, w_x, w, taps_x, taps_y,
                            phi_x, slopes_y, u, r, pull,
                        )  # fmt: skip
                        if fourfold:
                            spread(g, n, w_x, w, columns, box[k * slab :], dU_corner)
                        else:
                            scatter(
                                dU_memory, dU_corner, c * dU_steps[3] + k * dU_leap, dU_steps, n, g,
                                base[CHUNK:], own, own[0] <= low[1] and high[1] <= own[1], w_x, w,
                                taps_x, taps_y, u,
                            )  # fmt: skip
                    if paired:
                        unbox(box, low, high, own, dU_memory, dU_first, dU_steps, dU_leap, u)
                    elif fourfold:
                        unspread(box, low, high, own, dU_memory, dU_first, dU_steps, dU_leap)
            for a in range(len(pulls)):
                odd |= not all_finite(pull, np.uint64(a * CHUNK), n)
            if odd or together:
                if single:
                    widen(xy32, n, axes, xy)
                places(tile, out, V_begin, V_steps, V_leap, place)
                for q in range(n):
                    again = special[q]
                    for a in range(len(pulls)):
                        again |= not abs(pull[a * CHUNK + q]) < np.inf
                    if again:
                        point_backward(
                            xy, q, image, size, (0, C), rule, rows, tie, fill, V_memory,
                            place[q], V_steps[3], dU_image, own if special[q] else (0, 0), pulls,
                        )  # fmt: skip
                        for a in range(len(pulls)):
                            pull[a * CHUNK + q] = pulls[a]
            if not mine:
                continue
            z = 2 + phi_x + phi_y  # the section of dz; those of dΦ lie around it
            for a in range(phi_x + phi_y + phi_z):
                section = (2 + a if 2 + a < z else 3 + a) * CHUNK
                for q in range(n):
                    dPhi[b, chunk, a] += pull[section + q]
            if where[0] == MATRIX:
                for q in range(n):
                    dxy[q], dxy[CHUNK + q] = pull[q], pull[CHUNK + q]
                for q in range(n if deep else 0):
                    dxy[2 * CHUNK + q] = pull[z * CHUNK + q]
                matrix_points_backward(formula(where[1][b]), ji, n, axes, dxy, dA[b, chunk])
            elif where[0] == SINGLE:
                store(pull, z, tile, dxy32[b])
            else:
                store(pull, z, tile, dxy64[b])
        if turned:
            count = (own[1] - own[0]) * size[2]
            for k in range(size[0]):
                at = (k * size[1] + own[0]) * size[2]
                to = dU_begin + k * dU_leap + at - k * size[1] * size[2]
                turn(dU_memory, to, dU_steps[3], dU_side, at * C, C, count, C)
    keep((room, extra, aside, spill))


@njit(parallel=True)
def backward_on_threads(
    threads, units, stripes, dV, U, axes, where, rule, row_x, row_y, row_z, hat, tie, fill,
    dU, dxy32, dxy64, dA, dPhi,
):  # fmt: skip
    """`backward` for all units."""
    for w in prange(threads):
        first, last = w * units // threads, (w + 1) * units // threads
        backward(
            first, last, stripes, dV, U, axes, where, rule, row_x, row_y, row_z, hat, tie, fill,
            dU, dxy32, dxy64, dA, dPhi,
        )  # fmt: skip

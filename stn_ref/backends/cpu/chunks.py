"""What belongs to one tile of output pixels, or chunk: its room, its source points, its windows.

Points, weights, pixels and sums lie in flat arrays of their own, small enough for the first-level
cache; `forward` and `backward` fill them in turn.
"""

from __future__ import annotations

import numpy as np

from stn_ref.backends.cpu.flat import LANES, fetch_block, flat, inner
from stn_ref.backends.cpu.points import formula, grid_points, matrix_points
from stn_ref.backends.cpu.rows import CHUNK
from stn_ref.backends.cpu.slots import hat_slots, row_slots
from stn_ref.backends.cpu.tiles import fetch_tile, line

MATRIX, SINGLE, DOUBLE = range(3)  # where the points come from
TOGETHER = 4  # so many channels that lie together are taken together
FEW = 4  # a tile whose windows lie on so many pixels for each of its own is not worth asking for
MANY, ROOM = 16, 1 << 22  # so many planes are turned first, where they have no more pixels in all


@inner
def scratch(taps, phis, axes, dtype):
    """Room for one chunk: points, windows, what finds their weights, weights, pixels, sums.

    An axis that is not there has the coordinate 0, one tap, and the weight 1.
    """
    most, sections = max(taps), 2 + max(phis)
    (taps_x, taps_y, taps_z), (phi_x, phi_y, phi_z) = taps, phis
    xy, safe, xy32 = np.empty(4 * CHUNK), np.empty(3 * CHUNK), np.empty(3 * CHUNK, np.float32)
    base, corner = np.empty(3 * CHUNK, np.int32), np.empty(2 * CHUNK, np.intp)
    w_x = np.empty((2 + phi_x) * taps_x * CHUNK, dtype)
    w_y = np.empty((2 + phi_y) * taps_y * CHUNK, dtype)
    w_z = np.empty((2 + phi_z) * (taps_z if axes == 3 else 0) * CHUNK, dtype)
    for axis in range(axes, 3):
        here = slice(axis * CHUNK, (axis + 1) * CHUNK)
        xy[here], safe[here], xy32[here], base[here] = 0, 0, 0, 0
    if axes == 1:
        w_y[:] = 0
        w_y[:CHUNK] = 1
    slices, slopes_z = (taps_z, 1 + phi_z) if axes == 3 else (0, 0)
    return (
        *(np.empty(3 * CHUNK), xy, xy32, safe, base, corner, np.empty(CHUNK, np.intp)),
        (w_x, w_y, w_z),
        (np.empty(CHUNK), np.empty(sections * most * CHUNK)),
        *(np.empty(2 * most * CHUNK, dtype), np.empty(CHUNK, dtype), np.empty(CHUNK, dtype)),
        np.empty((2 + phi_y + slopes_z) * taps_y * slices * CHUNK, dtype),
        np.empty((2 + phi_x + phi_y + slopes_z) * CHUNK, dtype),
    )


@inner
def find_points(where, b, tile, following, size, ji, xy, xy32):
    """The source points of a tile, from the matrix or from the caller's points.

    Returns whether they are in xy32, and not in xy.
    """
    source, A, given32, given64 = where
    if source == MATRIX:
        matrix_points(formula(A[b]), size, ji, tile[1] * tile[2], A.shape[1] - 1, xy)
    elif source == SINGLE:
        grid_points(given32, b, tile, following, xy32)
    else:
        grid_points(given64, b, tile, following, xy)
    return source == SINGLE


@inner
def widen(xy32, n, axes, xy):
    """The same points in float64."""
    for axis in range(axes):
        x, x32 = xy[axis * CHUNK :], xy32[axis * CHUNK :]
        for q in range(n):
            x[q] = x32[q]


@inner
def find_hats(xy, n, size, rule, tie, axes, base, weights):
    """Windows and weights of a tile along every axis, by Eq. 5 itself."""
    w_x, w_y, w_z = weights
    hat_slots(xy, n, size[2], rule, tie, base, w_x)
    if axes > 1:
        hat_slots(xy[CHUNK:], n, size[1], rule, tie, base[CHUNK:], w_y)
    if axes > 2:
        hat_slots(xy[2 * CHUNK :], n, size[0], rule, tie, base[2 * CHUNK :], w_z)


@inner
def find_windows(xy, n, size, rule, rows, tie, axes, base, weights, found):
    """Windows and weights of a tile along every axis, by the kernels' rows."""
    (row_x, row_y, row_z), (w_x, w_y, w_z) = rows, weights
    row_slots(xy, n, size[2], rule, row_x, tie, base, w_x, found)
    if axes > 1:
        row_slots(xy[CHUNK:], n, size[1], rule, row_y, tie, base[CHUNK:], w_y, found)
    if axes > 2:
        row_slots(xy[2 * CHUNK :], n, size[0], rule, row_z, tie, base[2 * CHUNK :], w_z, found)


@inner
def put(plane, start, tile, values):
    """A tile's values to their place in a plane that is contiguous."""
    columns = tile[2]
    for r in range(tile[1]):
        at = start + line(tile, r)
        near = plane[at : at + columns]
        for c in range(columns):
            near[c] = values[r * columns + c]


@inner
def take(plane, start, tile, following, values):
    """A tile's values from a plane that is contiguous; those of the next tile are asked for."""
    fetch_tile(plane, start, following, 1)
    columns = tile[2]
    for r in range(tile[1]):
        at = start + line(tile, r)
        near = plane[at : at + columns]
        for c in range(columns):
            values[r * columns + c] = near[c]


@inner
def around(base, n, taps):
    """The corners of a box that holds the windows of n points: the first pixel and the one after
    the last, (x, y, z) each; without a third axis z is 0 and 1."""
    x, y, z = base, base[CHUNK:], base[2 * CHUNK :]
    front, back = (lowest(z, n), highest(z, n) + taps[2]) if taps[2] > 1 else (z[0], z[0] + 1)
    low = lowest(x, n), lowest(y, n), front
    return low, (highest(x, n) + taps[0], highest(y, n) + taps[1], back)


@inner
def fetch_windows(low, high, memory, start, steps, leap, C):
    """Ask for all the pixels that the windows of a tile lie on, where a row's are neighbours."""
    (left, top, front), (right, bottom, back) = low, high
    if steps[2] == 1 and (right - left) * (bottom - top) * (back - front) <= FEW * CHUNK:
        for c in range(C):
            for k in range(front, back):
                first = start + c * steps[3] + k * leap + top * steps[1] + left
                fetch_block(memory, first, bottom - top, steps[1], right - left)


@inner
def corners(base, n, start, steps, leap, corner):
    """Where in memory each window begins; the last vector of eight is filled up."""
    for q in range(n):
        corner[q] = start + base[CHUNK + q] * steps[1] + base[q] * steps[2]
    if leap:
        for q in range(n):
            corner[q] += base[2 * CHUNK + q] * leap
    for q in range(n, (n + LANES - 1) // LANES * LANES):
        corner[q] = corner[0]


@inner
def all_finite(values, start, n):
    """Whether n neighbours in memory are all finite."""
    count = 0
    for q in range(n):
        count += abs(values[start + np.uint64(q)]) < np.inf
    return count == n


@inner
def lowest(base, n):
    """The smallest of n integers."""
    least = base[0]
    for q in range(n):
        least = min(least, base[q])
    return least


@inner
def highest(base, n):
    """The largest of n integers."""
    most = base[0]
    for q in range(n):
        most = max(most, base[q])
    return most


@inner
def store(values, z, tile, dxy):
    """dx, dy and dz of a tile's points to their place in dxy, (D', H', W', 3), which is contiguous.

    z  the section of dz
    """
    axes, columns = dxy.shape[3], tile[2]
    memory, _, _ = flat(dxy)
    for r in range(tile[1]):
        p, q = axes * line(tile, r), r * columns
        near = memory[p : p + axes * columns]
        if axes == 2:
            for c in range(columns):
                near[2 * c] = values[q + c]
                near[2 * c + 1] = values[CHUNK + q + c]
        elif axes == 3:
            last = values[z * CHUNK :]
            for c in range(columns):
                near[3 * c] = values[q + c]
                near[3 * c + 1] = values[CHUNK + q + c]
                near[3 * c + 2] = last[q + c]
        else:
            for c in range(columns):
                near[c] = values[q + c]


@inner
def lies_in_line(size, steps, leap):
    """Whether all of an image lies in memory without a gap, as if it were one row."""
    rows = steps[2] == 1 and steps[1] == size[2]
    return rows and (size[0] == 1 or leap == size[1] * size[2])


@inner
def turns(C, size, in_line):
    """Whether there are many planes, each in line, so that it is worth to lay them side by side."""
    return C >= MANY and size[0] * size[1] * size[2] * C <= ROOM and in_line

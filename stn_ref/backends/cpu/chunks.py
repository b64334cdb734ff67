"""What belongs to one tile of output pixels, or chunk: its room, its source points, its windows.

Points, weights, pixels and sums lie in flat arrays of their own, small enough for the first-level
cache; `forward` and `backward` fill them in turn.
"""

from __future__ import annotations

import numpy as np

from stn_ref.backends.cpu.flat import LANES, fetch_block, flat, inner
from stn_ref.backends.cpu.points import coefficients, grid_points, matrix_points
from stn_ref.backends.cpu.rows import CHUNK
from stn_ref.backends.cpu.slots import hat_slots, row_slots

MATRIX, SINGLE, DOUBLE = range(3)  # where the points come from
TOGETHER = 4  # so many channels that lie together are taken together
NARROW, SIDE = 64, 32  # a wider output is cut into tiles about so many pixels wide
FEW = 4  # a tile whose windows lie on so many pixels for each of its own is not worth asking for
MANY, ROOM = 16, 1 << 22  # so many planes are turned first, where they have no more pixels in all


@inner
def scratch(taps_x, taps_y, phi_x, phi_y, dtype):
    """Room for one chunk: points, windows, what finds their weights, weights, pixels, sums."""
    taps, sections = max(taps_x, taps_y), 2 + max(phi_x, phi_y)
    return (
        *(np.empty(2 * CHUNK), np.empty(2 * CHUNK)),
        *(np.empty(2 * CHUNK, np.float32), np.empty(2 * CHUNK)),
        *(np.empty(2 * CHUNK, np.int32), np.empty(2 * CHUNK, np.intp), np.empty(CHUNK, np.intp)),
        np.empty((2 + phi_x) * taps_x * CHUNK, dtype),
        np.empty((2 + phi_y) * taps_y * CHUNK, dtype),
        (np.empty(CHUNK), np.empty(sections * taps * CHUNK)),
        *(np.empty(2 * taps * CHUNK, dtype), np.empty(CHUNK, dtype), np.empty(CHUNK, dtype)),
        np.empty((2 + phi_x + phi_y) * CHUNK, dtype),
    )


@inner
def tiling(out):
    """How the output is cut into tiles of at most CHUNK pixels.

    A narrow output is cut as it lies in memory, as if it were one row. A wide one is cut into
    squares, or nearly: their windows, wherever they lie and however turned, are near each other.
    Returns the rows and columns of a tile, of what is cut, and how many tiles lie across and in all
    """
    height, width = out
    if width <= NARROW:
        height, width, rows, columns = 1, height * width, 1, CHUNK
    else:
        across = (width + SIDE - 1) // SIDE
        columns = (width + across - 1) // across
        down = (height * columns + CHUNK - 1) // CHUNK
        rows = min((height + down - 1) // down, CHUNK // columns)
    across, down = (width + columns - 1) // columns, (height + rows - 1) // rows
    return rows, columns, height, width, across, across * down


@inner
def tile_at(chunk, cut):
    """A tile: its first pixel, rows and columns, and from a row's first pixel to the next's."""
    rows, columns, height, width, across, _ = cut
    i, j = chunk // across * rows, chunk % across * columns
    return i * width + j, min(rows, height - i), min(columns, width - j), width


@inner
def tile_after(chunk, cut):
    """The tile after this one, without rows if there is none or memory is read in line anyway."""
    following = tile_at(min(chunk + 1, cut[-1] - 1), cut)
    rows = following[1] if cut[4] > 1 and chunk + 1 < cut[-1] else 0
    return following[0], rows, following[2], following[3]


@inner
def find_points(where, b, tile, following, size, ji, xy, xy32):
    """The source points of a tile, from the matrix or from the caller's points.

    Returns whether they are in xy32, and not in xy.
    """
    source, H, extents, given32, given64 = where
    if source == MATRIX:
        matrix_points(coefficients(H[b], extents), size, ji, tile[1] * tile[2], xy)
    elif source == SINGLE:
        grid_points(given32, b, tile, following, xy32)
    else:
        grid_points(given64, b, tile, following, xy)
    return source == SINGLE


@inner
def widen(xy32, n, xy):
    """The same points in float64."""
    for q in range(n):
        xy[q], xy[CHUNK + q] = xy32[q], xy32[CHUNK + q]


@inner
def find_hats(xy, n, size, rule, tie, base, w_x, w_y):
    """Windows and weights of a tile along both axes, by Eq. 5 itself."""
    hat_slots(xy, n, size[1], rule, tie, base, w_x)
    hat_slots(xy[CHUNK:], n, size[0], rule, tie, base[CHUNK:], w_y)


@inner
def find_windows(xy, n, size, rule, row_x, row_y, tie, base, w_x, w_y, found):
    """Windows and weights of a tile along both axes, by the kernels' rows."""
    row_slots(xy, n, size[1], rule, row_x, tie, base, w_x, found)
    row_slots(xy[CHUNK:], n, size[0], rule, row_y, tie, base[CHUNK:], w_y, found)


@inner
def put(plane, start, tile, values):
    """A tile's values to their place in a plane that is contiguous."""
    first, rows, columns, jump = tile
    for r in range(rows):
        at = start + first + r * jump
        line = plane[at : at + columns]
        for c in range(columns):
            line[c] = values[r * columns + c]


@inner
def take(plane, start, tile, following, values):
    """A tile's values from a plane that is contiguous; those of the next tile are asked for."""
    first, rows, columns, jump = following
    fetch_block(plane, start + first, rows, jump, columns)
    first, rows, columns, jump = tile
    for r in range(rows):
        at = start + first + r * jump
        line = plane[at : at + columns]
        for c in range(columns):
            values[r * columns + c] = line[c]


@inner
def fetch_windows(base, n, taps, memory, start, steps, C):
    """Ask for all the pixels that the windows of a tile lie on, where a row's are neighbours."""
    left, right = lowest(base, n), highest(base, n) + taps[0]
    top, bottom = lowest(base[CHUNK:], n), highest(base[CHUNK:], n) + taps[1]
    if steps[2] == 1 and (right - left) * (bottom - top) <= FEW * CHUNK:
        for c in range(C):
            first = start + c * steps[3] + top * steps[1] + left
            fetch_block(memory, first, bottom - top, steps[1], right - left)


@inner
def corners(base, n, start, steps, corner):
    """Where in memory each window begins; the last vector of eight is filled up."""
    for q in range(n):
        corner[q] = start + base[CHUNK + q] * steps[1] + base[q] * steps[2]
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
def store(values, tile, dxy):
    """dx and dy of a tile's points to their place in dxy (H', W', 2), which is contiguous."""
    start, rows, columns, jump = tile
    memory, _, _ = flat(dxy)
    for r in range(rows):
        p, q = 2 * (start + r * jump), r * columns
        near = memory[p : p + 2 * columns]
        for c in range(columns):
            near[2 * c] = values[q + c]
            near[2 * c + 1] = values[CHUNK + q + c]


@inner
def turns(C, size, steps, out, V_steps):
    """Whether there are many planes, each in line, so that it is worth to lay them side by side."""
    in_line = steps[2] == 1 and steps[1] == size[1] and V_steps[2] == 1 and V_steps[1] == out[1]
    return C >= MANY and size[0] * size[1] * C <= ROOM and in_line

"""What belongs to one chunk of output pixels: its room, its source points, its windows.

Points, weights, pixels and sums lie in flat arrays of their own, small enough for the first-level
cache; both loops of `kernels` fill them in turn.
"""

from __future__ import annotations

import numpy as np

from stn_ref.backends.cpu.flat import flat, inner
from stn_ref.backends.cpu.points import coefficients, grid_points, matrix_points
from stn_ref.backends.cpu.rows import CHUNK
from stn_ref.backends.cpu.slots import hat_slots, row_slots
from stn_ref.backends.scalars import CLIP, RIGHT

MATRIX, SINGLE, DOUBLE = range(3)  # where the points come from
TOGETHER = 4  # so many channels that lie together are taken together
MANY, ROOM = 16, 1 << 22  # so many planes are turned first, where they have no more pixels in all


@inner
def scratch(taps_x, taps_y, phi_x, phi_y, dtype):
    """Room for one chunk: points, windows, what finds their weights, weights, pixels, sums."""
    taps, sections = max(taps_x, taps_y), 2 + max(phi_x, phi_y)
    return (
        *(np.empty(2 * CHUNK), np.empty(2 * CHUNK), np.empty(2 * CHUNK)),
        *(np.empty(2 * CHUNK, np.int32), np.empty(2 * CHUNK, np.intp), np.empty(CHUNK, np.intp)),
        np.empty((2 + phi_x) * taps_x * CHUNK, dtype),
        np.empty((2 + phi_y) * taps_y * CHUNK, dtype),
        (np.empty(CHUNK), np.empty(sections * taps * CHUNK)),
        *(np.empty(2 * taps * CHUNK, dtype), np.empty(CHUNK, dtype), np.empty(CHUNK, dtype)),
        np.empty((2 + phi_x + phi_y) * CHUNK, dtype),
    )


@inner
def find_points(where, b, start, n, size, ji, xy):
    """The source points of a chunk, from the matrix or from the caller's points."""
    source, H, extents, xy32, xy64 = where
    if source == MATRIX:
        matrix_points(coefficients(H[b], extents), size, ji, n, xy)
    elif source == SINGLE:
        grid_points(xy32, b, start, n, xy)
    else:
        grid_points(xy64, b, start, n, xy)


@inner
def find_windows(xy, n, size, rule, row_x, row_y, hat, tie, base, w_x, w_y, found):
    """Windows and weights of a chunk along both axes, by Eq. 5 itself or by the kernels' rows."""
    x, y = xy[:CHUNK], xy[CHUNK:]
    if hat and rule <= CLIP and tie <= RIGHT:
        hat_slots(x, n, size[1], rule, tie, base, w_x)
        hat_slots(y, n, size[0], rule, tie, base[CHUNK:], w_y)
    else:
        row_slots(x, n, size[1], rule, row_x, tie, base, w_x, found)
        row_slots(y, n, size[0], rule, row_y, tie, base[CHUNK:], w_y, found)


@inner
def corners(base, n, start, steps, corner):
    """Where in memory each window begins."""
    for q in range(n):
        corner[q] = start + base[CHUNK + q] * steps[1] + base[q] * steps[2]


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
def store(values, n, dxy, p):
    """dx and dy of n points to their place in dxy (H', W', 2), which is contiguous."""
    memory, _, _ = flat(dxy)
    for q in range(n):
        memory[2 * (p + q)] = values[q]
        memory[2 * (p + q) + 1] = values[CHUNK + q]


@inner
def turns(C, size, steps, out, V_steps):
    """Whether there are many planes, each in line, so that it is worth to lay them side by side."""
    in_line = steps[2] == 1 and steps[1] == size[1] and V_steps[2] == 1 and V_steps[1] == out[1]
    return C >= MANY and size[0] * size[1] * C <= ROOM and in_line

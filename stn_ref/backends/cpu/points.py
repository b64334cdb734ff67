"""Where each output pixel comes from: a chunk of x and y in pixels, float64.

Either from the caller's xy, or straight from a matrix by the centred formula of `backends.pixels`,
so that no grid is ever in memory. Here and in the other loops what belongs to a chunk lies in flat
arrays, section after section of CHUNK numbers: x in the first, y in the second.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stn_ref.backends.cpu.flat import fetch_block, flat, inner
from stn_ref.backends.cpu.rows import CHUNK

LIMIT = 2.0**30  # farther out a point is not for the fast loops


@inner
def lattice(tile, height, width, ji):
    """j − c′_x and i − c′_y of the output pixels of a tile."""
    start, rows, columns, jump = tile
    centre_x, centre_y, rows_per_pixel = (width - 1) / 2, (height - 1) / 2, 1.0 / width
    for r in range(rows):
        for c in range(columns):
            p = float(start + r * jump + c)
            row = np.floor((p + 0.5) * rows_per_pixel)  # exact: p + ½ is never near a whole row
            ji[r * columns + c] = p - row * width - centre_x
            ji[CHUNK + r * columns + c] = row - centre_y


@inner
def coefficients(H, extents):
    """The centred formula's rows: what multiplies j − c′_x, what i − c′_y, and what is added.

    extents  c̃_x and c̃_y of the input, then of the output
    """
    e_x, e_y, out_x, out_y = extents[0], extents[1], extents[2], extents[3]
    r_x, r_y = 1.0 / out_x if out_x != 0 else 0.0, 1.0 / out_y if out_y != 0 else 0.0
    r_xx, r_xy = e_x / out_x if out_x != 0 else 0.0, e_x / out_y if out_y != 0 else 0.0
    r_yx, r_yy = e_y / out_x if out_x != 0 else 0.0, e_y / out_y if out_y != 0 else 0.0
    return (
        (H[0, 0] * r_xx, H[0, 1] * r_xy, e_x * H[0, 2]),
        (H[1, 0] * r_yx, H[1, 1] * r_yy, e_y * H[1, 2]),
        (H[2, 0] * r_x, H[2, 1] * r_y, H[2, 2]),
    )


@inner
def matrix_points(rows, size, ji, n, xy):
    """x and y of n output pixels: bracket / den + centre, in the formula's order."""
    (a, b, c), (d, e, f), (g, h, k) = rows
    centre_x, centre_y = (size[1] - 1) / 2, (size[0] - 1) / 2
    if g == 0 and h == 0 and k == 1:
        for q in range(n):
            xy[q] = a * ji[q] + b * ji[CHUNK + q] + c + centre_x
            xy[CHUNK + q] = d * ji[q] + e * ji[CHUNK + q] + f + centre_y
    else:
        for q in range(n):
            den = g * ji[q] + h * ji[CHUNK + q] + k
            xy[q] = (a * ji[q] + b * ji[CHUNK + q] + c) / den + centre_x
            xy[CHUNK + q] = (d * ji[q] + e * ji[CHUNK + q] + f) / den + centre_y


@inner
def matrix_points_backward(rows, ji, n, dxy, sums):
    """∂L/∂ the formula's rows of a chunk, (3, 3); 0 from a point whose den is 0.

    dxy holds dx and dy; a third section is filled with ∂L/∂den.
    """
    (a, b, c), (d, e, f), (g, h, k) = rows
    if g == 0 and h == 0 and k == 1:
        for q in range(n):
            x = 0.0 if dxy[q] == 0 else dxy[q] * (a * ji[q] + b * ji[CHUNK + q] + c)
            y = dxy[CHUNK + q]
            y = 0.0 if y == 0 else y * (d * ji[q] + e * ji[CHUNK + q] + f)
            dxy[2 * CHUNK + q] = -(x + y)
    else:
        for q in range(n):
            den = g * ji[q] + h * ji[CHUNK + q] + k
            inverse = 0.0 if den == 0 else 1 / den
            dx = 0.0 if den == 0 else dxy[q] / den
            dy = 0.0 if den == 0 else dxy[CHUNK + q] / den
            x = 0.0 if dx == 0 else dx * (a * ji[q] + b * ji[CHUNK + q] + c)
            y = 0.0 if dy == 0 else dy * (d * ji[q] + e * ji[CHUNK + q] + f)
            dxy[q] = dx
            dxy[CHUNK + q] = dy
            dxy[2 * CHUNK + q] = -(x + y) * inverse
    for r in range(3):
        sums[r, 0], sums[r, 1], sums[r, 2] = _moments(dxy[r * CHUNK :], ji, n)


@njit(fastmath={"reassoc", "nsz"}, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _moments(a, ji, n):
    """Σ a j, Σ a i and Σ a."""
    across = down = total = 0.0
    for q in range(n):
        across += a[q] * ji[q]
        down += a[q] * ji[CHUNK + q]
        total += a[q]
    return across, down, total


@inner
def grid_points(grid, b, tile, following, xy):
    """x and y of a tile's points that the caller gave, whatever their precision and strides.

    The points of the tile that follows are asked for; it has no rows if there is none to fetch.
    """
    start, rows, columns, jump = tile
    width = grid.shape[2]
    memory, first, (step_b, step_i, step_j, step) = flat(grid)
    in_line = step == 1 and step_j == 2 and step_i == 2 * width
    if in_line:
        begin, lines, length, apart = following
        fetch_block(memory, first + b * step_b + 2 * begin, lines, 2 * apart, 2 * length)
    first += b * step_b
    for r in range(rows):
        p, to = start + r * jump, r * columns
        if in_line:
            near = memory[first + 2 * p : first + 2 * (p + columns)]
            for c in range(columns):
                xy[to + c] = near[2 * c]
                xy[CHUNK + to + c] = near[2 * c + 1]
        else:
            for c in range(columns):
                at = first + (p + c) // width * step_i + (p + c) % width * step_j
                xy[to + c] = memory[np.uint64(at)]
                xy[CHUNK + to + c] = memory[np.uint64(at + step)]


@inner
def wild(xy, n):
    """Whether any of the points is not finite or so far out that no integer holds its cell."""
    tame, limit = 0, xy.dtype.type(LIMIT)
    for q in range(n):
        tame += (abs(xy[q]) < limit) & (abs(xy[CHUNK + q]) < limit)
    return tame < n


@inner
def tame(xy, q):
    """Whether point q is finite and near."""
    return abs(xy[q]) < LIMIT and abs(xy[CHUNK + q]) < LIMIT


@inner
def tamed(xy, n, safe):
    """The points, those that are wild far outside."""
    for q in range(n):
        safe[q] = xy[q] if abs(xy[q]) < LIMIT else -LIMIT
        safe[CHUNK + q] = xy[CHUNK + q] if abs(xy[CHUNK + q]) < LIMIT else -LIMIT


@inner
def places(tile, width, first, steps, place):
    """Where in memory each output pixel of a tile begins; steps as of (B, H', W', C)."""
    start, rows, columns, jump = tile
    for r in range(rows):
        p, to = start + r * jump, r * columns
        if steps[1] == width * steps[2]:
            for c in range(columns):
                place[to + c] = first + (p + c) * steps[2]
        else:
            for c in range(columns):
                place[to + c] = first + (p + c) // width * steps[1] + (p + c) % width * steps[2]

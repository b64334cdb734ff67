"""Where each output pixel comes from: a chunk of x and y in pixels, float64.

Either from the caller's xy, or straight from a matrix by the centred formula of `backends.pixels`,
so that no grid is ever in memory. Here and in the other loops what belongs to a chunk lies in flat
arrays, section after section of CHUNK numbers: x in the first, y in the second.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stn_ref.backends.cpu.flat import flat, inner
from stn_ref.backends.cpu.rows import CHUNK

LIMIT = 2.0**30  # farther out a point is not for the fast loops


@inner
def lattice(start, n, height, width, ji):
    """j − c′_x and i − c′_y of n output pixels that follow each other, row after row."""
    centre_x, centre_y, rows_per_pixel = (width - 1) / 2, (height - 1) / 2, 1.0 / width
    for q in range(n):
        p = float(start + q)
        row = np.floor((p + 0.5) * rows_per_pixel)  # exact: p + ½ is never near a whole row
        ji[q] = p - row * width - centre_x
        ji[CHUNK + q] = row - centre_y


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
        section = dxy[r * CHUNK : r * CHUNK + n]
        sums[r, 0], sums[r, 1] = _dot(section, ji), _dot(section, ji[CHUNK:])
        sums[r, 2] = _sum(section)


@njit(fastmath={"reassoc", "nsz"}, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _dot(a, b):
    total = 0.0
    for q in range(len(a)):
        total += a[q] * b[q]
    return total


@njit(fastmath={"reassoc", "nsz"}, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _sum(a):
    total = 0.0
    for q in range(len(a)):
        total += a[q]
    return total


@inner
def grid_points(grid, b, start, n, xy):
    """x and y of n points that the caller gave, whatever their precision and strides."""
    width = grid.shape[2]
    memory, first, (step_b, step_i, step_j, step) = flat(grid)
    first += b * step_b
    if step == 1 and step_j == 2 and step_i == 2 * width:
        near = memory[first + 2 * start : first + 2 * (start + n)]
        for q in range(n):
            xy[q] = near[2 * q]
            xy[CHUNK + q] = near[2 * q + 1]
    else:
        for q in range(n):
            p = first + (start + q) // width * step_i + (start + q) % width * step_j
            xy[q], xy[CHUNK + q] = memory[np.uint64(p)], memory[np.uint64(p + step)]


@inner
def wild(xy, n):
    """Whether any of the points is not finite or so far out that no integer holds its cell."""
    tame = 0
    for q in range(n):
        tame += (abs(xy[q]) < LIMIT) & (abs(xy[CHUNK + q]) < LIMIT)
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
def places(start, n, width, first, steps, place):
    """Where in memory each of n output pixels begins; steps as of (B, H', W', C)."""
    if steps[1] == width * steps[2]:
        for q in range(n):
            place[q] = first + (start + q) * steps[2]
    else:
        for q in range(n):
            place[q] = first + (start + q) // width * steps[1] + (start + q) % width * steps[2]

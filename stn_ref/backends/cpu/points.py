"""Where each output pixel comes from: a chunk of x, y and z in pixels, float64.

Either from the caller's xy, or straight from a matrix by the centred formula of `backends.pixels`,
so that no grid is ever in memory. Here and in the other loops what belongs to a chunk lies in flat
arrays, section after section of CHUNK numbers: x in the first, y in the second, z in the third.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stn_ref.backends.cpu.flat import flat, inner
from stn_ref.backends.cpu.rows import CHUNK
from stn_ref.backends.cpu.tiles import fetch_tile, line

NOTHING = -0.0  # added to any number, and to a zero of either sign, it changes nothing
LIMIT = 2.0**30  # farther out a point is not for the fast loops


@inner
def lattice(tile, out, axes, ji):
    """j − c′_x and i − c′_y, and for volumes k − c′_z, of the output pixels of a tile."""
    depth, height, width = out
    centre_x, centre_y, rows_per_pixel = (width - 1) / 2, (height - 1) / 2, 1.0 / width
    for r in range(tile[1]):
        start, to = line(tile, r), r * tile[2]
        for c in range(tile[2]):
            p = float(start + c)
            row = np.floor((p + 0.5) * rows_per_pixel)  # exact: p + ½ is never near a whole row
            ji[to + c] = p - row * width - centre_x
            ji[CHUNK + to + c] = row - centre_y
    if axes == 3:
        for q in range(tile[1] * tile[2]):
            row = ji[CHUNK + q] + centre_y
            k = np.floor((row + 0.5) / height)
            ji[CHUNK + q] = row - k * height - centre_y
            ji[2 * CHUNK + q] = k - (depth - 1) / 2


@inner
def formula(A):
    """The centred formula's rows, for x, y, z and den, of an image's coefficients A.

    A row multiplies j − c′_x, i − c′_y and k − c′_z, and adds its last; that of an axis which is
    not there is 0, and so is what multiplies it.
    """
    n = len(A) - 1
    nothing = (0.0, 0.0, 0.0, 0.0)
    y, z = formula_row(A, 1) if n > 1 else nothing, formula_row(A, 2) if n > 2 else nothing
    return formula_row(A, 0), y, z, formula_row(A, n)


@inner
def formula_row(A, k):
    """Row k, four numbers long."""
    n = len(A) - 1
    return A[k, 0], A[k, 1] if n > 1 else 0.0, A[k, 2] if n > 2 else 0.0, A[k, n]


@inner
def brackets(row, plus, ji, n, axes, total):
    """The formula's bracket, or its den, for n output pixels, and a number added to it."""
    a, b, c, d = row
    if axes == 3:
        for q in range(n):
            total[q] = a * ji[q] + b * ji[CHUNK + q] + c * ji[2 * CHUNK + q] + d + plus
    else:
        for q in range(n):
            total[q] = a * ji[q] + b * ji[CHUNK + q] + d + plus


@inner
def divides(rows):
    """Whether the last row is any other than 0, 0, 0, 1."""
    g, h, i, k = rows[3]
    return g != 0 or h != 0 or i != 0 or k != 1


@inner
def matrix_points(rows, size, ji, n, axes, xy):
    """x, y and z of n output pixels: bracket / den + centre, in the formula's order.

    The fourth section of xy has room for den.
    """
    den, divided = xy[3 * CHUNK :], divides(rows)
    if axes == 2 and not divided:  # what there is most of, in one loop
        (a, b, _, c), (d, e, _, f) = rows[0], rows[1]
        centre_x, centre_y = (size[2] - 1) / 2, (size[1] - 1) / 2
        for q in range(n):
            xy[q] = a * ji[q] + b * ji[CHUNK + q] + c + centre_x
            xy[CHUNK + q] = d * ji[q] + e * ji[CHUNK + q] + f + centre_y
        return
    if divided:
        brackets(rows[3], NOTHING, ji, n, axes, den)
    for axis in range(axes):
        x, centre = xy[axis * CHUNK :], (size[2 - axis] - 1) / 2
        brackets(rows[axis], NOTHING if divided else centre, ji, n, axes, x)
        for q in range(n if divided else 0):
            x[q] = x[q] / den[q] + centre


@inner
def matrix_points_backward(rows, ji, n, axes, dxy, sums):
    """∂L/∂ the formula's rows of a chunk, (n + 1, n + 1); 0 from a point whose den is 0.

    dxy holds dx and dy, and dz; the section after them is filled with ∂L/∂den. There is room for
    brackets in the fifth and for den in the sixth.
    """
    if axes == 2 and not divides(rows):  # what there is most of, in one loop
        (a, b, _, c), (d, e, _, f) = rows[0], rows[1]
        for q in range(n):
            dx, dy = dxy[q], dxy[CHUNK + q]
            x = 0.0 if dx == 0 else dx * (a * ji[q] + b * ji[CHUNK + q] + c)
            y = 0.0 if dy == 0 else dy * (d * ji[q] + e * ji[CHUNK + q] + f)
            dxy[2 * CHUNK + q] = -(x + y)
    else:
        add_dden(rows, ji, n, axes, dxy)
    for r in range(axes + 1):
        sums[r, 0], down, sums[r, axes] = _moments(dxy[r * CHUNK :], ji, n)
        if axes > 1:
            sums[r, 1] = down
        if axes == 3:
            sums[r, 2] = _moment(dxy[r * CHUNK :], ji[2 * CHUNK :], n)


@inner
def add_dden(rows, ji, n, axes, dxy):
    """∂L/∂den after dx, dy and dz, which are divided by den, on any number of axes."""
    dden, bracket, den = dxy[axes * CHUNK :], dxy[4 * CHUNK :], dxy[5 * CHUNK :]
    divided = divides(rows)
    if divided:
        brackets(rows[3], NOTHING, ji, n, axes, den)
    dden[:n] = 0
    for axis in range(axes):
        dx = dxy[axis * CHUNK :]
        for q in range(n if divided else 0):
            dx[q] = 0.0 if den[q] == 0 else dx[q] / den[q]
        brackets(rows[axis], NOTHING, ji, n, axes, bracket)
        for q in range(n):
            dden[q] += 0.0 if dx[q] == 0 else dx[q] * bracket[q]
    for q in range(n):
        dden[q] = -dden[q]
    for q in range(n if divided else 0):
        dden[q] *= 0.0 if den[q] == 0 else 1 / den[q]


@njit(fastmath={"reassoc", "nsz"}, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _moments(a, ji, n):
    """Σ a j, Σ a i and Σ a."""
    across = down = total = 0.0
    for q in range(n):
        across += a[q] * ji[q]
        down += a[q] * ji[CHUNK + q]
        total += a[q]
    return across, down, total


@njit(fastmath={"reassoc", "nsz"}, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _moment(a, k, n):
    """Σ a k."""
    inward = 0.0
    for q in range(n):
        inward += a[q] * k[q]
    return inward


@inner
def grid_points(grid, b, tile, following, xy):
    """x, y and z of a tile's points that the caller gave, whatever their precision and strides.

    The points of the tile that follows are asked for; it has no rows if there is none to fetch.
    """
    _, depth, height, width, axes = grid.shape
    memory, first, (step_b, step_k, step_i, step_j, step) = flat(grid)
    in_line = step == 1 and step_j == axes and step_i == axes * width
    in_line &= depth == 1 or step_k == step_i * height
    first += b * step_b
    if in_line:
        fetch_tile(memory, first, following, axes)
    for r in range(tile[1]):
        p, to = line(tile, r), r * tile[2]
        near = memory[first + axes * p : first + axes * (p + tile[2])] if in_line else memory
        if in_line and axes == 2:
            for c in range(tile[2]):
                xy[to + c] = near[2 * c]
                xy[CHUNK + to + c] = near[2 * c + 1]
        elif in_line and axes == 3:
            for c in range(tile[2]):
                xy[to + c] = near[3 * c]
                xy[CHUNK + to + c] = near[3 * c + 1]
                xy[2 * CHUNK + to + c] = near[3 * c + 2]
        elif in_line:
            for c in range(tile[2]):
                xy[to + c] = near[c]
        else:
            for c in range(tile[2]):
                row = (p + c) // width
                at = first + row // height * step_k + row % height * step_i
                at += (p + c) % width * step_j
                for axis in range(axes):
                    xy[axis * CHUNK + to + c] = memory[np.uint64(at + axis * step)]


@inner
def wild(xy, n, axes):
    """Whether any of the points is not finite or so far out that no integer holds its cell."""
    tame, limit = 0, xy.dtype.type(LIMIT)
    for axis in range(axes):
        x = xy[axis * CHUNK :]
        for q in range(n):
            tame += abs(x[q]) < limit
    return tame < axes * n


@inner
def tame(xy, q, axes):
    """Whether point q is finite and near."""
    near = True
    for axis in range(axes):
        near &= abs(xy[axis * CHUNK + q]) < LIMIT
    return near


@inner
def tamed(xy, n, axes, safe):
    """The points, those that are wild far outside."""
    for axis in range(axes):
        x, near = xy[axis * CHUNK :], safe[axis * CHUNK :]
        for q in range(n):
            near[q] = x[q] if abs(x[q]) < LIMIT else -LIMIT


@inner
def places(tile, out, first, steps, leap, place):
    """Where in memory each output pixel of a tile begins; steps as of (B, H', W', C).

    leap  from slice to slice
    """
    _, height, width = out
    in_line = steps[1] == width * steps[2] and (out[0] == 1 or leap == height * steps[1])
    for r in range(tile[1]):
        p, to = line(tile, r), r * tile[2]
        if in_line:
            for c in range(tile[2]):
                place[to + c] = first + (p + c) * steps[2]
        else:
            for c in range(tile[2]):
                row = (p + c) // width
                at = row // height * leap + row % height * steps[1]
                place[to + c] = first + at + (p + c) % width * steps[2]

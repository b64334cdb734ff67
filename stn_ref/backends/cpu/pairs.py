"""Eqs. 3, 6 and 7 for windows of two pixels by two, eight points at a time.

The pixels of a window's row are neighbours in memory, so one load brings both; eight such pairs are
parted into a vector of left and a vector of right pixels, and the rest is arithmetic on vectors.

Eq. 6 is four additions to dU a point, and the pixels of one point are pixels of the next. Instead,
each *cell* between four pixels has four sums of its own, one vector, in a box that holds the
windows of one tile: one addition a point, and none waits for another. `unbox` then adds every
pixel's share, one from each of the four cells around it, to dU.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from stn_ref.backends.cpu.flat import LANES, inner, place_of
from stn_ref.backends.cpu.rows import CHUNK

BOX = 4 * CHUNK  # cells; where windows lie farther apart it is quicker to add one by one
DEEP_BOX = 3 * BOX  # as much for a volume, whose windows have a surface
SLACK = 16  # cells around a box: those that no pixel asks for, and what the last vector overlooks


class Vectors:
    """Loads and stores of vectors of a dtype, and shuffles, for a function being built."""

    def __init__(self, context, builder, dtype):
        self.context, self.builder = context, builder
        self.number = context.get_data_type(dtype)
        self.size = context.get_abi_sizeof(self.number)

    def at(self, kind, array, index, lanes):
        vector = ir.VectorType(self.number, lanes).as_pointer()
        return self.builder.bitcast(
            place_of(self.context, self.builder, kind, array, index), vector
        )

    def load(self, kind, array, index, lanes=LANES):
        return self.builder.load(self.at(kind, array, index, lanes), align=self.size)

    def store(self, value, kind, array, index):
        lanes = value.type.count
        self.builder.store(value, self.at(kind, array, index, lanes), align=self.size)

    def pick(self, a, b, lanes):
        """Lanes of a and b one after the other."""
        mask = ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes)
        return self.builder.shuffle_vector(a, b, mask)

    def joined(self, parts):
        """All lanes of several vectors, one after the other."""
        while len(parts) > 1:
            both = range(2 * parts[0].type.count)
            parts = [
                self.pick(a, b, list(both)) for a, b in zip(parts[::2], parts[1::2], strict=True)
            ]
        return parts[0]

    def turned(self, four):
        """From four vectors of eight to eight of four."""
        pairs = []
        for a, b in (four[:2], four[2:]):
            pairs.append(self.pick(a, b, [0, 8, 1, 9, 4, 12, 5, 13]))
            pairs.append(self.pick(a, b, [2, 10, 3, 11, 6, 14, 7, 15]))
        halves = []
        for a, b in (pairs[::2], pairs[1::2]):
            halves.append(self.pick(a, b, [0, 1, 8, 9, 4, 5, 12, 13]))
            halves.append(self.pick(a, b, [2, 3, 10, 11, 6, 7, 14, 15]))
        for lanes in (range(4), range(4, 8)):
            yield from (self.pick(half, half, list(lanes)) for half in halves)

    def section(self, kind, array, q, which):
        """Eight numbers of a section of CHUNK."""
        index = self.builder.add(q, self.context.get_constant(types.intp, which * CHUNK))
        return self.load(kind, array, index)

    def dot(self, a, b, c, d):
        """a b + c d."""
        return self.builder.fadd(self.builder.fmul(a, b), self.builder.fmul(c, d))


def integers(context, builder, kind, array, q, step):
    """Eight integers of an array, from q on."""
    for i in range(LANES):
        index = builder.add(q, context.get_constant(types.intp, i * step))
        yield builder.load(place_of(context, builder, kind, array, index))


def _windows(vectors, kinds, values):
    """The four pixels of eight windows: above left and right, below left and right."""
    memory, corner = kinds
    source, corners, offset, down, q = values
    context, builder, rows = vectors.context, vectors.builder, ([], [])
    for at in integers(context, builder, corner, corners, q, 1):
        at = builder.add(at, offset)
        rows[0].append(vectors.load(memory, source, at, 2))
        rows[1].append(vectors.load(memory, source, builder.add(at, down), 2))
    for row in rows:
        # in this order each half of a vector has what it needs
        a, b = (vectors.joined([row[i] for i in order]) for order in ((0, 1, 4, 5), (2, 3, 6, 7)))
        yield vectors.pick(a, b, [0, 2, 8, 10, 4, 6, 12, 14])
        yield vectors.pick(a, b, [1, 3, 9, 11, 5, 7, 13, 15])


@intrinsic
def eight_forward(context, memory, corner, offset, down, w_x, w_y, V, q):
    """Eq. 3 at points q … q + 7: V = Σ_m k(x − m) Σ_n k(y − n) U_nm."""

    def generate(context, builder, signature, values):
        source, corners, offset, down, across, along, target, q = values
        v = Vectors(context, builder, memory.dtype)
        a, b, c, d = _windows(v, (memory, corner), (source, corners, offset, down, q))
        above, below = (v.section(w_y, along, q, s) for s in range(2))
        left, right = (v.section(w_x, across, q, s) for s in range(2))
        total = v.dot(v.dot(a, above, c, below), left, v.dot(b, above, d, below), right)
        v.store(total, V, target, q)
        return context.get_dummy_value()

    intp = types.intp
    return types.void(memory, corner, intp, intp, w_x, w_y, V, intp), generate


def _eight_backward(slopes_y, memory, corner, w_x, w_y, g, pull, box, cell):
    """See `eight_backward`; there are so many slopes along y."""

    def generate(context, builder, signature, values):
        source, corners, offset, down, across, along, dV, pulls, sums, cells, q = values
        v = Vectors(context, builder, memory.dtype)
        a, b, c, d = _windows(v, (memory, corner), (source, corners, offset, down, q))
        above, below, *slopes = (v.section(w_y, along, q, s) for s in range(2 + 2 * slopes_y))
        left, right, left_slope, right_slope = (v.section(w_x, across, q, s) for s in range(4))
        gave = v.load(g, dV, q)
        u_left, u_right = v.dot(a, above, c, below), v.dot(b, above, d, below)
        found = [v.dot(u_left, left_slope, u_right, right_slope)]
        for above_slope, below_slope in zip(slopes[::2], slopes[1::2], strict=True):
            u_left = v.dot(a, above_slope, c, below_slope)
            u_right = v.dot(b, above_slope, d, below_slope)
            found.append(v.dot(u_left, left, u_right, right))
        for s, slope in enumerate(found):
            index = builder.add(q, context.get_constant(types.intp, s * CHUNK))
            so_far = v.load(pull, pulls, index)
            v.store(builder.fadd(so_far, builder.fmul(gave, slope)), pull, pulls, index)
        above, below = builder.fmul(gave, above), builder.fmul(gave, below)
        shares = [builder.fmul(y, x) for y in (above, below) for x in (left, right)]
        for share, at in zip(
            v.turned(shares), integers(context, builder, cell, cells, q, 1), strict=True
        ):
            v.store(builder.fadd(v.load(box, sums, at, 4), share), box, sums, at)
        return context.get_dummy_value()

    intp = types.intp
    return types.void(memory, corner, intp, intp, w_x, w_y, g, pull, box, cell, intp), generate


@intrinsic
def eight_backward(context, memory, corner, offset, down, w_x, w_y, g, pull, box, cell, q):
    """Eqs. 6 and 7 at points q … q + 7: adds to dx and dy in `pull`, to four sums a cell in `box`.

    cell[q] is where the sums of point q's cell begin.
    """
    return _eight_backward(1, memory, corner, w_x, w_y, g, pull, box, cell)


@intrinsic
def eight_backward_deep(context, memory, corner, offset, down, w_x, w_y, g, pull, box, cell, q):
    """The same on a slice of a volume: adds to dz too, which has the pixels and k(x − m) of dy."""
    return _eight_backward(2, memory, corner, w_x, w_y, g, pull, box, cell)


@intrinsic
def eight_folded(context, box, here, before, c, line, to):
    """line[to …] += what eight pixels of a row get from the cells around them.

    The cells below the row begin at `here`, those above it at `before`; c counts from the cell to
    the left of the row's first pixel.
    """

    def generate(context, builder, signature, values):
        sums, here, before, c, target, to = values
        v, four = Vectors(context, builder, box.dtype), context.get_constant(types.intp, 4)
        at, total = builder.mul(c, four), None
        for start, skip, tap in ((here, 4, 0), (here, 0, 1), (before, 4, 2), (before, 0, 3)):
            index = builder.add(start, builder.add(at, context.get_constant(types.intp, skip)))
            cells = v.load(box, sums, index, 4 * LANES)
            share = v.pick(cells, cells, list(range(tap, 4 * LANES, 4)))
            total = share if total is None else builder.fadd(total, share)
        v.store(builder.fadd(v.load(line, target, to), total), line, target, to)
        return context.get_dummy_value()

    intp = types.intp
    return types.void(box, intp, intp, intp, line, intp), generate


@inner
def pairs_forward(memory, corner, offset, down, n, w_x, w_y, V):
    """Eq. 3 on one plane."""
    for q in range(0, n, LANES):
        eight_forward(memory, corner, offset, down, w_x, w_y, V, q)


@inner
def room_for(most, slices):
    """For the sums of so many cells, once again for windows of several slices, whose last vector's
    place moves with them, and for what vectors overlook."""
    return 4 * (most * min(slices, 2) + SLACK + CHUNK)


@inner
def cells(base, n, low, high, cell):
    """Where in a box each point's four sums begin: a slice's first row and column are spare."""
    wide, tall = high[0] - low[0], high[1] - low[1] + 1
    for q in range(n):
        row, column = base[CHUNK + q] - low[1] + 1, base[q] - low[0] + 1
        row += (base[2 * CHUNK + q] - low[2]) * tall
        cell[q] = 4 * (row * wide + column)
    for q in range(n, (n + LANES - 1) // LANES * LANES):
        cell[q] = 4 * (1 + wide * tall * (high[2] - low[2]))  # after all that is asked for


@inner
def pairs_backward(memory, corner, offset, down, n, w_x, w_y, g, pull, box, cell, deep):
    """Eqs. 6 and 7 on one plane; dU's part into a box."""
    if deep:
        for q in range(0, n, LANES):
            eight_backward_deep(memory, corner, offset, down, w_x, w_y, g, pull, box, cell, q)
    else:
        for q in range(0, n, LANES):
            eight_backward(memory, corner, offset, down, w_x, w_y, g, pull, box, cell, q)


@inner
def unbox(box, low, high, rows, dU, start, steps, leap, line):
    """Add a box to dU, on rows[0] … rows[1] − 1 of each slice: each pixel's shares from the cells
    around it."""
    many, tall = high[0] - low[0], high[1] - low[1] + 1
    for k in range(low[2], high[2]):
        for row in range(max(low[1], rows[0]), min(high[1], rows[1])):
            here = 4 * many * ((k - low[2]) * tall + row - low[1] + 1)
            first = start + k * leap + row * steps[1] + low[0] * steps[2]
            whole = many // LANES * LANES if steps[2] == 1 else 0
            for c in range(0, whole, LANES):
                eight_folded(box, here, here - 4 * many, c, dU, first + c)
            for c in range(whole, many, LANES):
                line[:LANES] = 0
                eight_folded(box, here, here - 4 * many, c, line, 0)
                for i in range(min(LANES, many - c)):
                    dU[np.uint64(first + (c + i) * steps[2])] += line[i]

"""Eq. 6 for windows of four pixels by four, eight points at a time.

A window's row is one vector, and so one addition; but the row of the next point overlaps it, and a
processor waits where a load wants a part of what was just stored. So there are four boxes, by the
column of a window's first pixel modulo four: within one, two vectors are the same or apart. A pixel
of dU gets the sum of the four boxes.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import intrinsic

from stn_ref.backends.cpu.flat import LANES, inner
from stn_ref.backends.cpu.pairs import Vectors, integers
from stn_ref.backends.cpu.rows import CHUNK

FOUR = 4


@intrinsic
def eight_spread(context, g, w_x, w_y, box, cell, step, q):
    """Eq. 6 at points q … q + 7: dV k(x − m) k(y − n) to rows cell, cell + step, … of the box."""

    def generate(context, builder, signature, values):
        dV, across, along, sums, cells, step, q = values
        v = Vectors(context, builder, box.dtype)
        gave = v.load(g, dV, q)
        rows = [builder.fmul(gave, v.section(w_y, along, q, n)) for n in range(FOUR)]
        columns = v.turned([v.section(w_x, across, q, m) for m in range(FOUR)])
        places = integers(context, builder, cell, cells, q, 1)
        for i, (column, at) in enumerate(zip(columns, places, strict=True)):
            for row in rows:
                share = builder.fmul(v.pick(row, row, [i] * FOUR), column)
                v.store(builder.fadd(v.load(box, sums, at, FOUR), share), box, sums, at)
                at = builder.add(at, step)
        return context.get_dummy_value()

    intp = types.intp
    return types.void(g, w_x, w_y, box, cell, intp, intp), generate


@inner
def four_cells(base, n, low, high, cell):
    """Where in the boxes each point's window begins; low and high are the corners of each."""
    wide, tall = high[0] - low[0], high[1] - low[1]
    size = wide * tall * (high[2] - low[2])
    for q in range(n):
        row, column = base[CHUNK + q] - low[1], base[q] - low[0]
        row += (base[2 * CHUNK + q] - low[2]) * tall
        cell[q] = column % FOUR * size + row * wide + column
    for q in range(n, (n + LANES - 1) // LANES * LANES):
        cell[q] = FOUR * size  # after all that is asked for


@inner
def spread(g, n, w_x, w_y, wide, box, cell):
    """Eq. 6 on one plane, into boxes whose rows are `wide`."""
    for q in range(0, n, LANES):
        eight_spread(g, w_x, w_y, box, cell, wide, q)


@inner
def unspread(box, low, high, rows, dU, start, steps, leap):
    """Add the boxes to dU, on rows[0] … rows[1] − 1 of each slice."""
    wide, tall = high[0] - low[0], high[1] - low[1]
    size = wide * tall * (high[2] - low[2])
    for k in range(low[2], high[2]):
        for row in range(max(low[1], rows[0]), min(high[1], rows[1])):
            at = ((k - low[2]) * tall + row - low[1]) * wide
            first = start + k * leap + row * steps[1] + low[0] * steps[2]
            a, b = box[at : at + wide], box[at + size : at + size + wide]
            at += 2 * size
            e, f = box[at : at + wide], box[at + size : at + size + wide]
            if steps[2] == 1:
                near = dU[first : first + wide]
                for c in range(wide):
                    near[c] += (a[c] + b[c]) + (e[c] + f[c])
            else:
                for c in range(wide):
                    total = (a[c] + b[c]) + (e[c] + f[c])
                    dU[np.uint64(first + c * steps[2])] += total

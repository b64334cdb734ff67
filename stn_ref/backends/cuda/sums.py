"""Sums over points whose bits do not depend on the machine: a tree in each block, then in order.

Each block sums a piece of fixed length; the pieces' sums, a few for each image, are added on the
host, in their order, in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda

from stn_ref.backends.cuda.device import POINTS_PER_BLOCK, THREADS, device
from stn_ref.backends.cuda.points import COEFFICIENTS, bracket, denominator
from stn_ref.backends.cuda.sizes import HEIGHT, OUT, WIDTH

NINE = 9 * THREADS  # shared memory's size must be a constant's name


@device
def tree(shared, k, me):
    """Σ of THREADS numbers in row k of shared memory, into the first."""
    half = THREADS // 2
    while half > 0:
        cuda.syncthreads()
        if me < half:
            shared[k * THREADS + me] += shared[k * THREADS + me + half]
        half //= 2


def total(number: type[Any], shared_type: Any) -> Any:
    """Block (k, row) sums piece k of a row of values (rows, points), flat; any number of rows."""
    zero = number(0)

    def total_kernel(values, points, partial):
        shared = cuda.shared.array(THREADS, shared_type)
        me, piece, row = cuda.threadIdx.x, cuda.blockIdx.x, cuda.blockIdx.y
        begin = piece * POINTS_PER_BLOCK
        last = min_of(begin + POINTS_PER_BLOCK, points)
        mine = zero
        for p in range(begin + me, last, THREADS):
            mine += values[np.uint64(row * points + p)]
        shared[me] = mine
        tree(shared, 0, me)
        if me == 0:
            partial[row * cuda.gridDim.x + piece] = shared[0]

    return total_kernel


@device
def min_of(a, b):
    return a if a < b else b


def moments(number: type[Any], shared_type: Any, index: Any) -> Any:
    """Block (b, k), in one row, sums piece k of image b: ∂L/∂ each of the formula's nine numbers.

    Nothing comes from a point whose den is 0, and no slope of the divide from one at infinity.
    """
    zero = number(0)

    @device
    def times(d, p):
        return zero if d == zero else d * p

    def moments_kernel(dxy, source, s, partial):
        shared = cuda.shared.array(NINE, shared_type)
        width = np.int64(s[OUT + WIDTH])
        points = np.int64(s[OUT + HEIGHT]) * width
        pieces = (points + POINTS_PER_BLOCK - 1) // POINTS_PER_BLOCK
        me, b = cuda.threadIdx.x, cuda.blockIdx.x // pieces
        piece, at = cuda.blockIdx.x - b * pieces, np.uint32(b) * COEFFICIENTS
        begin = piece * POINTS_PER_BLOCK
        a_0 = a_1 = a_2 = a_3 = a_4 = a_5 = a_6 = a_7 = a_8 = zero
        for p in range(begin + me, min_of(begin + POINTS_PER_BLOCK, points), THREADS):
            row = index(index(p) // index(width))
            j = float(np.int64(index(p) - index(row * index(width)))) - source[at + 11]
            i = float(np.int64(row)) - source[at + 12]
            dx, dy = dxy[index(2 * (b * points + p))], dxy[index(2 * (b * points + p) + 1)]
            x, y = number(bracket(source, at, 0, j, i)), number(bracket(source, at, 3, j, i))
            den, plain = denominator(source, at, j, i)
            across, down, dden = number(j), number(i), zero
            if not plain:
                inverse = zero if den == 0.0 else number(1.0 / den)
                dx, dy = dx * inverse if den != 0.0 else zero, dy * inverse if den != 0.0 else zero
                dden = -(times(dx, x) + times(dy, y)) * inverse
            else:
                dden = -(times(dx, x) + times(dy, y))
            a_0 += dx * across
            a_1 += dx * down
            a_2 += dx
            a_3 += dy * across
            a_4 += dy * down
            a_5 += dy
            a_6 += dden * across
            a_7 += dden * down
            a_8 += dden
        rows = (a_0, a_1, a_2, a_3, a_4, a_5, a_6, a_7, a_8)
        for k in range(9):
            shared[k * THREADS + me] = rows[k]
        for k in range(9):
            tree(shared, k, me)
        cuda.syncthreads()
        if me == 0:
            for k in range(9):
                partial[cuda.blockIdx.x * 9 + k] = shared[k * THREADS]

    return moments_kernel

"""Sums over points whose bits do not depend on the machine: a tree in each block, then in order.

Each block sums a piece of fixed length; the pieces' sums, a few for each image, are added on the
host, in their order, in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda

from stn_ref.backends.cuda.device import POINTS_PER_BLOCK, THREADS, device
from stn_ref.backends.cuda.points import formula, parted
from stn_ref.backends.cuda.rows import of_tuples
from stn_ref.backends.cuda.sizes import DEPTH, HEIGHT, OUT, WIDTH


@device
def tree(shared, rows, me):
    """Σ of THREADS numbers in each row of shared memory, into the first."""
    half = THREADS // 2
    while half > 0:
        cuda.syncthreads()
        if me < half:
            for row in range(rows):
                shared[row * THREADS + me] += shared[row * THREADS + me + half]
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
        tree(shared, 1, me)
        if me == 0:
            partial[row * cuda.gridDim.x + piece] = shared[0]

    return total_kernel


@device
def min_of(a, b):
    return a if a < b else b


def moments(axes: int, number: type[Any], shared_type: Any, index: Any) -> Any:
    """Block (b, k), in one row, sums piece k of image b: ∂L/∂ each number of the formula's rows.

    In each row the constant's comes first. Nothing comes from a point whose den is 0, and no slope
    of the divide from one at infinity.
    """
    of, split = formula(axes), parted(index)
    steps, bracket, den, coefficients, rows = of.steps, of.bracket, of.den, of.coefficients, of.rows
    plus, put = (device(of_tuples(n, number)[name]) for n, name in ((4, "plus"), (rows, "put")))
    zero, one, room = number(0), number(1), rows * rows * THREADS

    def moments_kernel(dxy, source, s, partial):
        shared = cuda.shared.array(room, shared_type)
        points = np.int64(s[OUT + WIDTH])
        if axes > 1:
            points *= s[OUT + HEIGHT]
        if axes > 2:
            points *= s[OUT + DEPTH]
        pieces = (points + POINTS_PER_BLOCK - 1) // POINTS_PER_BLOCK
        me, b = cuda.threadIdx.x, cuda.blockIdx.x // pieces
        piece, at = cuda.blockIdx.x - b * pieces, np.uint32(b) * coefficients
        begin = piece * POINTS_PER_BLOCK
        sums_x = sums_y = sums_z = sums_den = zero, zero, zero, zero
        for p in range(begin + me, min_of(begin + POINTS_PER_BLOCK, points), THREADS):
            i, j = split(p, s[OUT + WIDTH])
            k = i
            if axes > 2:
                k, i = split(i, s[OUT + HEIGHT])
            here = steps(source, at, k, i, j)
            below, plain = den(source, at, here)
            inverse = one if plain else zero if below == 0.0 else number(1.0 / below)
            terms, dden = (one, number(here[0]), number(here[1]), number(here[2])), zero
            for a in range(axes):
                pull = dxy[index(axes * (b * points + p) + a)]
                d = zero if below == 0.0 else pull * inverse
                if d != zero:
                    dden -= d * number(bracket(source, at, a, here))
                if a == 0:
                    sums_x = plus(sums_x, terms, d)
                elif a == 1:
                    sums_y = plus(sums_y, terms, d)
                else:
                    sums_z = plus(sums_z, terms, d)
            sums_den = plus(sums_den, terms, dden * inverse)
        put(shared, me, THREADS, sums_x)
        if axes > 1:
            put(shared, me + rows * THREADS, THREADS, sums_y)
        if axes > 2:
            put(shared, me + 2 * rows * THREADS, THREADS, sums_z)
        put(shared, me + axes * rows * THREADS, THREADS, sums_den)
        tree(shared, rows * rows, me)
        if me == 0:
            for k in range(rows * rows):
                partial[cuda.blockIdx.x * rows * rows + k] = shared[k * THREADS]

    return moments_kernel

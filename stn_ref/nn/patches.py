"""Products with a matrix of patches that is never made, for its entries lie in the image already.

The patch of pixel m begins at rows[m], and its n-th number lies cols[n] further on. BLAS would need
the matrix in memory, size² times the image, and most of a step would go into copying.

As in BLAS, a tile of the result stays in registers for a whole sum (`tile`), and what it is
multiplied by is copied into a panel that stays in cache (`product`).
"""

# mypy: ignore-errors
from __future__ import annotations

from functools import cache

import numpy as np
from llvmlite import binding, ir
from numba import njit, prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from stn_ref.backends.cpu.compiling import compiled
from stn_ref.backends.cpu.threads import Turn, workers
from stn_ref.equations.arguments import Array

ROWS, VECTORS = 6, 2  # of a tile: with a row of the panel and one entry, 15 of 16 registers
BYTES = 64 if binding.get_host_cpu_features().get("avx512f") else 32  # of a vector
LONG, TALL = 1024, 2048  # a panel, and how many rows it serves before the next
CHEAP = 64  # of these products take as long as a tap of a sampler, of which `workers` knows


@intrinsic
def tile(context, sums, x, starts, cols, panel):
    """sums[m, f] = Σ_n x[starts[m] + cols[n]] panel[n, f], m < ROWS, f over VECTORS vectors.

    Only here are sums kept in registers for sure, so this is written in LLVM's own language.
    """

    def generate(context, builder, signature, values):
        arrays = [
            context.make_array(kind)(context, builder, value)
            for kind, value in zip(signature.args, values, strict=True)
        ]
        sums, x, starts, cols, panel = (array.data for array in arrays)
        size = context.get_abi_sizeof(x.type.pointee)
        vector = ir.VectorType(x.type.pointee, BYTES // size)
        sums, panel = (builder.bitcast(a, vector.as_pointer()) for a in (sums, panel))
        whole, zero = ir.IntType(64), ir.Constant(vector, None)
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None)

        def place(base, i):
            return builder.gep(base, [whole(i) if isinstance(i, int) else i])

        def everywhere_at(base, i):  # a vector full of one number
            first = builder.insert_element(zero, builder.load(place(base, i)), ir.IntType(32)(0))
            return builder.shuffle_vector(first, zero, everywhere)

        def add(total, a, b):  # total += a b, rounded once where the processor can
            product = builder.fmul(a, b, ("contract",))
            builder.store(builder.fadd(builder.load(total), product, ("contract",)), total)

        patches = [place(x, builder.load(place(starts, m))) for m in range(ROWS)]
        totals = [cgutils.alloca_once(builder, vector) for _ in range(ROWS * VECTORS)]
        for total in totals:
            builder.store(zero, total)
        with cgutils.for_range(builder, builder.extract_value(arrays[3].shape, 0)) as loop:
            column = builder.load(place(cols, loop.index))
            row = builder.mul(loop.index, whole(VECTORS))
            weights = [
                builder.load(place(panel, builder.add(row, whole(v))), align=size)
                for v in range(VECTORS)
            ]
            for m, patch in enumerate(patches):
                entry = everywhere_at(patch, column)
                for v, weight in enumerate(weights):
                    add(totals[VECTORS * m + v], entry, weight)
        for i, total in enumerate(totals):
            builder.store(builder.load(total), place(sums, i), align=size)
        return context.get_dummy_value()

    return types.none(sums, x, starts, cols, panel), generate


@njit
def product(first, last, out, places, shifts, x, rows, cols, B):
    """`add_product` for the rows from `first` to before `last`."""
    (A, N, F), width = B.shape, VECTORS * BYTES // x.itemsize
    panel = np.zeros((min(LONG, N), width), x.dtype)  # beyond `wide`, what nobody reads
    sums, starts = np.empty((ROWS, width), x.dtype), np.empty(ROWS, np.int64)
    for top, a in [(top, a) for top in range(first, last, TALL) for a in range(A)]:
        end = min(top + TALL, last)
        for n, f in [(n, f) for n in range(0, N, LONG) for f in range(0, F, width)]:
            deep, wide = cols[n : n + LONG], min(width, F - f)
            panel[: len(deep), :wide] = B[a, n : n + LONG, f : f + width]
            for m in range(top, end, ROWS):
                some = min(ROWS, end - m)
                for i in range(ROWS):
                    starts[i] = rows[m + min(i, some - 1)]  # a tile past the end repeats a row
                tile(sums, x, starts, deep, panel)
                for i in range(some):
                    place = places[m + i] + shifts[a] + f
                    target = out[place : place + wide]
                    for j in range(wide):
                        target[j] += sums[i, j]


@njit(parallel=True)
def product_on_threads(threads, units, out, places, shifts, x, rows, cols, B):
    """`product` for all rows; a thread has whole units."""
    each = len(rows) // units
    for w in prange(threads):
        first, last = w * units // threads * each, (w + 1) * units // threads * each
        product(first, last, out, places, shifts, x, rows, cols, B)


@cache
def _loop(function, dtype):
    """One of the two above, compiled for this dtype."""
    value = types.float32 if dtype == np.float32 else types.float64
    i = types.Array(types.int64, 1, "C", readonly=True)
    x, B = types.Array(value, 1, "C", readonly=True), types.Array(value, 3, "A", readonly=True)
    signature = (types.int64, types.int64, types.Array(value, 1, "C"), i, i, x, i, i, B)
    parallel = function is product_on_threads
    return compiled(function.py_func, signature, parallel=parallel)


def add_product(
    out: Array,
    places: Array,
    x: Array,
    rows: Array,
    cols: Array,
    B: Array,
    shifts: Array | None = None,
) -> None:
    """out[places[m] + shifts[a] + f] += Σ_n x[rows[m] + cols[n]] B[a, n, f], for all m, a and f.

    out, x        float32 or float64, C-contiguous, seen as flat
    places, rows  (units, M): rows of different units add to different places
    shifts        (A,); without, B is (N, F)
    """
    if shifts is None:
        shifts, B = np.zeros(1, np.int64), B[np.newaxis]
    units, threads = len(rows), workers(rows.size * B.size / CHEAP)
    places, shifts, rows, cols = (
        np.ascontiguousarray(a, np.int64).reshape(-1) for a in (places, shifts, rows, cols)
    )
    arguments = (out.reshape(-1), places, shifts, x.reshape(-1), rows, cols, B)
    if min(threads, units) > 1:
        with Turn() as granted:
            if granted:
                _loop(product_on_threads, x.dtype)(min(threads, units), units, *arguments)
                return
    if out.size:
        _loop(product, x.dtype)(0, len(rows), *arguments)

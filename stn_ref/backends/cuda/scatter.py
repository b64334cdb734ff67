"""Eq. 6 on CUDA: dV_i^c k(x_i − m) k(y_i − n) to every pixel that a point reads.

Many points give to one pixel, in no order, and a sum of floats depends on the order. So, unless
told otherwise, the sum is of integers: a first pass finds each pixel's largest contribution, a
second adds all in units of a power of two that belongs to it, a third turns the sums to floats.
Contributions that are not finite go to dU itself as floats: ±∞ and NaN add up alike in any order.

In single precision a sum has one int64. A contribution has 62 − log₂(taps · points of an image)
bits in it, 35 for bicubic at 4K, 36 for eight taps on 160 × 192 × 160, and no number of them
overflows: even if all are as large as the largest, the sum is at most 2⁶², half of what there is,
should a pass round k otherwise than another. In double precision a second int64 holds the rest.
(Float atomics take what is below the normal numbers of single precision for 0.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda

from stn_ref.backends.cuda.device import device, function, int_of_double, int_of_float, signed
from stn_ref.backends.cuda.forward import item
from stn_ref.backends.cuda.sizes import (
    BITS,
    C_STEP,
    CHANNELS,
    GRADIENT,
    GROUPS,
    LANES,
    OUT,
    POINTS,
    RULE,
    TIE,
)
from stn_ref.backends.cuda.taps import Loop
from stn_ref.backends.scalars import is_finite, lost

PEAK, FIXED, FLOAT = "peak", "fixed", "float"


def layout_of(number: type[Any]) -> tuple[Any, int, int]:
    """The integer that holds such a float, its fraction's bits, its exponent's bias."""
    return (np.int32, 23, 127) if number is np.float32 else (np.int64, 52, 1023)


def deposit(way: str, number: type[Any], index: Any) -> Any:
    """deposit(dU, peaks, sums, at, amount, bits): one contribution, in one of the three ways."""
    whole_number, fraction, bias = layout_of(number)
    bits_of = int_of_float if number is np.float32 else int_of_double
    rint, ldexp = function("rint", number), function("ldexp", number)
    double, zero = number is np.float64, number(0)

    @device
    def peak(dU, peaks, sums, at, amount, bits):
        if is_finite(amount):
            size = bits_of(abs(amount))
            if size > peaks[at]:  # only ever too small, when another thread has just raised it
                cuda.atomic.max(peaks, at, size)

    @device
    def fixed(dU, peaks, sums, at, amount, bits):
        if not is_finite(amount):
            cuda.atomic.add(dU, at, amount)
        elif amount != zero:
            exponent = (peaks[at] >> fraction) - bias + 1  # |amount| < 2**exponent
            scaled = ldexp(amount, np.int32(bits - exponent))
            units = rint(scaled)
            if double:
                cuda.atomic.add(sums, index(2 * np.int64(at)), np.int64(units))
                rest = rint(ldexp(scaled - units, np.int32(bits)))
                cuda.atomic.add(sums, index(2 * np.int64(at) + 1), np.int64(rest))
            else:
                cuda.atomic.add(sums, at, np.int64(units))

    @device
    def floating(dU, peaks, sums, at, amount, bits):
        cuda.atomic.add(dU, at, amount)

    return {PEAK: peak, FIXED: fixed, FLOAT: floating}[way]


def scatter(way: str, of: Loop) -> Any:
    """The kernel for these taps and one way to deposit."""
    (enter_x, enter_y, enter_z), (pixel_x, pixel_y, pixel_z) = of.each("enter"), of.each("pixel")
    (value_x, value_y, value_z), (count_x, count_y, count_z) = of.each("value"), of.each("count")
    (counts_x, counts_y, counts_z), rows, where = of.each("counts"), of.rows, of.where
    points, offset, index, whole = of.points, of.offset, of.index, signed(of.index)
    part, put = item(index), deposit(way, of.number, index)

    def scatter_kernel(dV, source, reals, s, dU, peaks, sums):
        """Adds to dU, or to sums, or raises peaks; all flat."""
        rule, tie, groups, C, bits = s[RULE], s[TIE], s[GROUPS], s[CHANNELS], s[BITS]
        step, v_c = s[GRADIENT + C_STEP], s[OUT + C_STEP]
        work, all_work = cuda.grid(1), np.int64(s[POINTS]) * groups
        while work < all_work:
            p, g = part(work, s)
            work += cuda.gridsize(1)
            row_x, row_y, row_z = rows(reals)  # here, or they take registers all the time
            b, k, i, j = where(p, s)
            x, y, z = points(source, s, b, k, i, j)
            if lost(x, rule) or lost(y, rule) or lost(z, rule):
                continue
            m_0, at_x = enter_x(x, s, rule, row_x)
            n_0, at_y = enter_y(y, s, rule, row_y)
            l_0, at_z = enter_z(z, s, rule, row_z)
            v = offset(OUT, s, b, k, i, j)
            for o_z in range(count_z):
                k_z, out = value_z(at_z, o_z, row_z)
                if out and not counts_z(at_z, o_z, tie, row_z):
                    continue
                l = pixel_z(l_0 + o_z, s, rule)
                for o_y in range(count_y):
                    k_y, out = value_y(at_y, o_y, row_y)
                    if out and not counts_y(at_y, o_y, tie, row_y):
                        continue
                    n = pixel_y(n_0 + o_y, s, rule)
                    for o_x in range(count_x):
                        k_x, out = value_x(at_x, o_x, row_x)
                        if out and not counts_x(at_x, o_x, tie, row_x):
                            continue
                        m = pixel_x(m_0 + o_x, s, rule)
                        if m < 0 or n < 0 or l < 0:
                            continue
                        w = k_x * k_y * k_z
                        at = offset(GRADIENT, s, b, l, n, m)
                        for lane in range(LANES):
                            c = whole(g + lane * groups)
                            if c < C:
                                amount = dV[index(v + c * v_c)] * w
                                put(dU, peaks, sums, index(at + c * step), amount, bits)

    return scatter_kernel


def finish(number: type[Any], index: Any) -> Any:
    """The third pass: dU from the sums, unless a contribution was not finite."""
    _, fraction, bias = layout_of(number)
    ldexp, double = function("ldexp", number), number is np.float64
    zero, nan = number(0), number(np.nan)

    def finish_kernel(peaks, sums, s, dU):
        bits = s[BITS]
        work = cuda.grid(1)
        while work < dU.size:
            at = index(work)
            work += cuda.gridsize(1)
            odd = dU[at]
            if odd != zero:  # NaNs may differ in what nobody reads
                dU[at] = odd if odd == odd else nan
            elif peaks[at] != 0:
                exponent = (peaks[at] >> fraction) - bias + 1
                if double:
                    rest = ldexp(
                        number(sums[index(2 * np.int64(at) + 1)]), np.int32(exponent - 2 * bits)
                    )
                    dU[at] = (
                        ldexp(number(sums[index(2 * np.int64(at))]), np.int32(exponent - bits))
                        + rest
                    )
                else:
                    dU[at] = ldexp(number(sums[at]), np.int32(exponent - bits))

    return finish_kernel

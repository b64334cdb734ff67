"""Eq. 6 on CUDA: dV_i^c k(x_i − m) k(y_i − n) to every pixel that a point reads.

Many points give to one pixel, in no order, and a sum of floats depends on the order. So, unless
told otherwise, the sum is of integers: a first pass finds each pixel's largest contribution, a
second adds all in units of a power of two that belongs to it, a third turns the sums to floats.
Contributions that are not finite go to dU itself as floats: ±∞ and NaN add up alike in any order.

In single precision a sum has one int64. A contribution has 62 − log₂(taps · points of an image)
bits in it, 35 for bicubic at 4K, and no number of them overflows: even if all are as large as the
largest, the sum is at most 2⁶², half of what there is, should a pass round k otherwise than
another. In double precision a second int64 holds the rest. (Float atomics take what is below the
normal numbers of single precision for 0.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda

from stn_ref.backends.cuda.device import device, function, int_of_double, int_of_float, signed
from stn_ref.backends.cuda.forward import item
from stn_ref.backends.cuda.points import place
from stn_ref.backends.cuda.rows import EDGES, edges
from stn_ref.backends.cuda.sizes import (
    AXES,
    B_STEP,
    BITS,
    C_STEP,
    CHANNELS,
    GRADIENT,
    GROUPS,
    HEIGHT,
    I_STEP,
    IN,
    J_STEP,
    LANES,
    OUT,
    POINTS,
    RULE,
    START,
    TIE,
    WIDTH,
)
from stn_ref.backends.cuda.taps import Taps
from stn_ref.backends.scalars import is_finite, lost, pixel

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


def scatter(
    way: str, x_taps: Taps, y_taps: Taps, points: Any, number: type[Any], index: Any
) -> Any:
    """The kernel for these rows and one way to deposit."""
    count_x, phi_of_x, enter_x = x_taps.count, x_taps.phi, x_taps.enter
    count_y, phi_of_y, enter_y = y_taps.count, y_taps.phi, y_taps.enter
    value_x, counts_x, value_y, counts_y = x_taps.value, x_taps.counts, y_taps.value, y_taps.counts
    to_y, where, part = AXES + EDGES + x_taps.parameters, place(index), item(index)
    put, whole = deposit(way, number, index), signed(index)

    def scatter_kernel(dV, source, reals, s, dU, peaks, sums):
        """Adds to dU, or to sums, or raises peaks; all flat."""
        phi_x, phi_y = phi_of_x(reals, AXES), phi_of_y(reals, to_y)
        edges_x, edges_y = edges(reals, AXES), edges(reals, to_y)
        rule, tie, groups, C, bits = s[RULE], s[TIE], s[GROUPS], s[CHANNELS], s[BITS]
        step, v_c = s[GRADIENT + C_STEP], s[OUT + C_STEP]
        work, all_work = cuda.grid(1), np.int64(s[POINTS]) * groups
        while work < all_work:
            p, g = part(work, s)
            work += cuda.gridsize(1)
            b, i, j = where(p, s)
            x, y = points(source, s, b, i, j)
            if lost(x, rule) or lost(y, rule):
                continue
            m_0, f_x, over_x = enter_x(x, s[IN + WIDTH], rule, phi_x, edges_x)
            n_0, f_y, over_y = enter_y(y, s[IN + HEIGHT], rule, phi_y, edges_y)
            v = whole(
                s[OUT + START] + b * s[OUT + B_STEP] + i * s[OUT + I_STEP] + j * s[OUT + J_STEP]
            )
            to_b = whole(s[GRADIENT + START] + b * s[GRADIENT + B_STEP])
            for o_y in range(count_y):
                k_y, out = value_y(f_y, o_y, phi_y, edges_y, over_y)
                if out and not counts_y(y, f_y, o_y, phi_y, tie, over_y):
                    continue
                n = pixel(n_0 + o_y, s[IN + HEIGHT], rule)
                for o_x in range(count_x):
                    k_x, out = value_x(f_x, o_x, phi_x, edges_x, over_x)
                    if out and not counts_x(x, f_x, o_x, phi_x, tie, over_x):
                        continue
                    m = pixel(m_0 + o_x, s[IN + WIDTH], rule)
                    if m < 0 or n < 0:
                        continue
                    w, at = (
                        k_x * k_y,
                        whole(to_b + n * s[GRADIENT + I_STEP] + m * s[GRADIENT + J_STEP]),
                    )
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

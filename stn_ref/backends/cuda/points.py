"""One output pixel: where it comes from, and the cell and fraction along each axis.

`given` reads the caller's xy; `by_matrix` is the centred formula of `backends.pixels`, in float64,
one rounding at a time. A maker of kernels picks one of the two when it compiles.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stn_ref.backends.cuda.device import add, device, div, function, mul, signed
from stn_ref.backends.cuda.sizes import (
    B_STEP,
    C_STEP,
    HEIGHT,
    I_STEP,
    J_STEP,
    OUT,
    START,
    WIDTH,
    XY,
)

COEFFICIENTS = 13  # of a matrix: nine of the formula's rows, c_x, c_y, c′_x, c′_y


def place(index: Any) -> Any:
    """place(p, s) = (b, i, j) of output pixel p; index is the unsigned type of an index."""
    whole = signed(index)

    @device
    def of(p, s):
        width, height = index(s[OUT + WIDTH]), index(s[OUT + HEIGHT])
        row = index(index(p) // width)
        b = index(row // height)
        i, j = index(row - index(b * height)), index(index(p) - index(row * width))
        return whole(b), whole(i), whole(j)

    return of


def given(index: Any, number: type[Any]) -> Any:
    """x and y as the caller gave them, in the precision to be computed in."""

    @device
    def points(source, s, b, i, j):
        at = s[XY + START] + b * s[XY + B_STEP] + i * s[XY + I_STEP] + j * s[XY + J_STEP]
        return number(source[index(at)]), number(source[index(at + s[XY + C_STEP])])

    return points


@device
def bracket(source, at, row, j, i):
    """h₁ r (j − c′_x) + h₂ r (i − c′_y) + h₃, in that order."""
    first, second = mul(source[at + row], j), mul(source[at + row + 1], i)
    return add(add(first, second), source[at + row + 2])


@device
def denominator(source, at, j, i):
    """den, and whether it is 1 everywhere."""
    plain = source[at + 6] == 0.0 and source[at + 7] == 0.0 and source[at + 8] == 1.0
    return 1.0 if plain else bracket(source, at, 6, j, i), plain


@device
def by_matrix(source, s, b, i, j):
    """x and y by the centred formula."""
    at = np.uint32(b) * COEFFICIENTS  # seen to be positive, so not taken from the end
    j, i = add(float(j), -source[at + 11]), add(float(i), -source[at + 12])
    x, y = bracket(source, at, 0, j, i), bracket(source, at, 3, j, i)
    den, plain = denominator(source, at, j, i)
    if not plain:
        x, y = div(x, den), div(y, den)
    return add(x, source[at + 9]), add(y, source[at + 10])


def splitter(given: type[Any], number: type[Any]) -> Any:
    """split(x) = ⌊x⌋, f = x − ⌊x⌋, what f lost in rounding, and whether x is no whole number.

    given   the precision of the coordinates
    number  that of f
    """
    floor, below_one = function("floor", given), np.nextafter(given(1), given(0))
    nought, zero = given(0), number(0)

    @device
    def fraction(x, below):
        f = x - below
        return f if f <= below_one else below_one if f == f else nought  # NaN if x is not finite

    @device
    def single(x):
        below = floor(x)
        f = fraction(x, below)
        back = f - x  # Knuth's two-sum: xy in single precision has an exact f in double
        rest = (x - (f - back)) - (below + back) if f != nought else nought
        return below, f, rest, f != nought

    @device
    def double(x):
        below = floor(x)
        f = fraction(x, below)
        return below, f, zero, f != nought

    @device
    def narrowed(x):
        below = floor(x)
        f = fraction(x, below)
        rounded = number(f)
        return below, rounded, number(f - given(rounded)), f != nought

    if given is not number:
        return narrowed
    return single if number is np.float32 else double

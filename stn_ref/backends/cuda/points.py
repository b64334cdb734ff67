"""One output pixel: where it comes from, and the cell and fraction along each axis.

`given` reads the caller's xy; `formula` is the centred formula of `backends.pixels`, in float64,
one rounding at a time. A maker of kernels picks one of the two when it compiles.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from stn_ref.backends.cuda.device import add, device, div, function, mul, signed
from stn_ref.backends.cuda.sizes import (
    B_STEP,
    C_STEP,
    DEPTH,
    HEIGHT,
    I_STEP,
    J_STEP,
    K_STEP,
    OUT,
    START,
    WIDTH,
    XY,
)


def parted(index: Any) -> Any:
    """parted(p, side) = (p // side, p % side); index is the unsigned type of an index."""

    @device
    def of(p, side):
        rest = index(index(p) // index(side))
        return rest, index(index(p) - index(rest * index(side)))

    return of


def place(index: Any, axes: int) -> Any:
    """place(p, s) = (b, k, i, j) of output pixel p."""
    split, whole = parted(index), signed(index)

    @device
    def of(p, s):
        b, j = split(p, s[OUT + WIDTH])
        k = i = index(0)
        if axes > 1:
            b, i = split(b, s[OUT + HEIGHT])
        if axes > 2:
            b, k = split(b, s[OUT + DEPTH])
        return whole(b), whole(k), whole(i), whole(j)

    return of


def offset(index: Any) -> Any:
    """offset(array, s, b, k, i, j): where a pixel begins in an array, IN, OUT, XY or GRADIENT."""
    whole = signed(index)

    @device
    def of(array, s, b, k, i, j):
        at = s[array + START] + b * s[array + B_STEP]
        return whole(at + k * s[array + K_STEP] + i * s[array + I_STEP] + j * s[array + J_STEP])

    return of


def given(index: Any, number: type[Any], axes: int) -> Any:
    """x, y and z as the caller gave them, in the precision to be computed in; else x again."""
    begin = offset(index)

    @device
    def points(source, s, b, k, i, j):
        at, step = begin(XY, s, b, k, i, j), s[XY + C_STEP]
        x = y = z = number(source[index(at)])
        if axes > 1:
            y = number(source[index(at + step)])
        if axes > 2:
            z = number(source[index(at + 2 * step)])
        return x, y, z

    return points


class Formula(NamedTuple):
    """The centred formula, and what its coefficients are: (n + 1)² of its rows, then 2 n centres.

    c_x, c_y, … of the input, then c′_x, c′_y, … of the output.
    """

    rows: int
    coefficients: int
    steps: Any  # steps(source, at, k, i, j): j − c′_x, i − c′_y, …
    bracket: Any  # bracket(source, at, row, steps): h₁ r (j − c′_x) + h₂ r (i − c′_y) + h₃
    den: Any  # den(source, at, steps): den, and whether it is 1 everywhere
    points: Any


@cache
def formula(axes: int) -> Formula:
    """That of one axis, of two or of three."""
    rows = axes + 1
    coefficients = rows * rows + 2 * axes
    last, centres, outs = rows * axes, rows * rows, rows * rows + axes

    @device
    def steps(source, at, k, i, j):
        x = y = z = add(float(j), -source[at + outs])
        if axes > 1:
            y = add(float(i), -source[at + outs + 1])
        if axes > 2:
            z = add(float(k), -source[at + outs + 2])
        return x, y, z

    @device
    def bracket(source, at, row, steps):
        at += row * rows
        total = mul(source[at], steps[0])
        if axes > 1:
            total = add(total, mul(source[at + 1], steps[1]))
        if axes > 2:
            total = add(total, mul(source[at + 2], steps[2]))
        return add(total, source[at + axes])

    @device
    def den(source, at, steps):
        plain = source[at + last + axes] == 1.0
        for a in range(axes):
            plain = plain and source[at + last + a] == 0.0
        return 1.0 if plain else bracket(source, at, axes, steps), plain

    @device
    def points(source, s, b, k, i, j):
        at = np.uint32(b) * coefficients  # seen to be positive, so not taken from the end
        from_centre = steps(source, at, k, i, j)
        below, plain = den(source, at, from_centre)
        x = y = z = centred(source, at, 0, from_centre, below, plain)
        if axes > 1:
            y = centred(source, at, 1, from_centre, below, plain)
        if axes > 2:
            z = centred(source, at, 2, from_centre, below, plain)
        return x, y, z

    @device
    def centred(source, at, row, steps, below, plain):
        x = bracket(source, at, row, steps)
        return add(x if plain else div(x, below), source[at + centres + row])

    return Formula(rows, coefficients, steps, bracket, den, points)


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

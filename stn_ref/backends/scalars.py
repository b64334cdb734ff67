"""One number at a time: the scalar functions that the compiled backends share.

On CUDA neither the two-argument min and max nor NumPy's functions of a scalar compile, so what
`cuda` calls, which is all from `is_finite` down, does without.

They say again, in Numba's words, what `equations.taps` and `equations.padding` say in NumPy's; the
two share no code, so that either can be held against the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

RIGHT, LEFT, CENTRAL, PAPER = range(4)
TIES = {"right": RIGHT, "left": LEFT, "central": CENTRAL, "paper": PAPER}

NOTHING, CLIP, MIRROR_CENTRE, MIRROR_EDGE, REPEAT = range(5)
RULES = {
    "zeros": NOTHING,
    "constant": NOTHING,
    "border": CLIP,
    "reflection": MIRROR_CENTRE,
    "symmetric": MIRROR_EDGE,
    "wrap": REPEAT,
}

OUTSIDE = -1
BELOW_ONE = np.nextafter(1.0, 0.0)
EPS = 2.0**-52


@njit
def cell(x: Any) -> Any:
    """⌊x⌋ and f = x − ⌊x⌋ in [0, 1), for finite x; f is 0 for the others."""
    below = np.floor(x)
    return below, min(x - below, BELOW_ONE) if np.isfinite(x) else 0.0


@njit
def shift(f: float, o: float, support: float) -> float:
    """t = f − o, but never rounded onto a knot that it is not on.

    The knots are the multiples of ½ and ±support. Knuth's two-sum gives the rounding error; where
    it is not 0 on a knot, t steps off on its own side.
    """
    t = f - o
    back = t + o
    error = (f - back) - (o - (back - t))
    knot = (np.floor(2 * t) == 2 * t) | (abs(t) == support)
    return t + knot * (1.0 * (error > 0) - 1.0 * (error < 0)) * EPS * abs(t)


@njit
def whole(below: float, size: int, reach: int, rule: int) -> int:
    """The cell as an integer, however large: reduced by the period or clipped while a float."""
    repeats = period(size, rule)
    if repeats != 0:
        return int(below % repeats) if is_finite(below) else 0
    return clipped(below, size, reach)


@njit
def is_finite(x: Any) -> Any:
    return abs(x) < np.inf  # not x − x == 0: a GPU may fuse the product that x is with the −


@njit
def period(size: int, rule: int) -> int:
    """How many taps it takes the plane to repeat; 0 where it never does."""
    if rule == MIRROR_CENTRE:
        return 2 * size - 2 if size > 1 else 1
    if rule == MIRROR_EDGE:
        return 2 * size
    return size if rule == REPEAT else 0


@njit
def clipped(below: Any, size: int, reach: int) -> int:
    """The cell as an integer, however large: no farther out than every tap is outside."""
    own = type(below)  # what is computed here has the precision of the coordinate
    low, high = own(-1 - reach), own(size + reach)
    return int(low if not below >= low else high if below > high else below)


@njit
def pixel(m: int, size: int, rule: int) -> int:
    """The pixel that stands for tap m, OUTSIDE if there is none."""
    if rule == NOTHING:
        return m if 0 <= m < size else OUTSIDE
    if rule == CLIP:
        return 0 if m < 0 else size - 1 if m >= size else m
    repeats = period(size, rule)
    r = m % repeats
    return mirrored(r, size, repeats, rule)


@njit
def mirrored(r: Any, size: int, repeats: int, rule: int) -> Any:
    """Place r of a period, 0 ≤ r < period, on the plane."""
    if rule == MIRROR_CENTRE:
        return (r if r < size else 2 * size - 2 - r) if size > 1 else 0 * r
    if rule == MIRROR_EDGE:
        return r if r < size else repeats - 1 - r
    return r


@njit
def lost(x: Any, rule: int) -> Any:
    """Whether x is nowhere: NaN, and ±∞ where the plane repeats."""
    return x != x if rule <= CLIP else not is_finite(x)

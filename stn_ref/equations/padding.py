"""§3.3, what lies outside the plane: an index map on the taps, the same for every kernel.

Eqs. 3 and 5 sum over the pixels of U and say nothing of points outside. A padding says it: each
integer tap m is sent to a pixel, 0..S−1, or outside, −1, where U has the value `fill`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stn_ref.equations.arguments import Array, choice

OUTSIDE = -1  # the pixel of a tap that has none


@dataclass(frozen=True)
class Padding:
    """One padding on an axis of S pixels.

    pixel(m, S)  the pixel that stands for tap m, −1 outside
    period(S)    how many taps it takes to repeat; None if all is alike beyond each edge
    """

    pixel: Callable[[Array, int], Array]
    period: Callable[[int], int] | None = None


def inside_only(m: Array, size: int) -> Array:
    """m where it is a pixel, else OUTSIDE."""
    return np.where((m >= 0) & (m < size), m, OUTSIDE)


def clip(m: Array, size: int) -> Array:
    """The nearest pixel: the edge goes on for ever."""
    return np.clip(m, 0, size - 1)


def mirror_centre(m: Array, size: int) -> Array:
    """Mirrored about the centre of the edge pixel, which is not repeated: 2 1 | 0 1 2 | 1 0."""
    r = m % max(2 * size - 2, 1)
    return np.minimum(r, 2 * size - 2 - r)


def mirror_edge(m: Array, size: int) -> Array:
    """Mirrored about the outer edge of the edge pixel, which is repeated: 1 0 | 0 1 2 | 2 1."""
    r = m % (2 * size)
    return np.minimum(r, 2 * size - 1 - r)


def repeat(m: Array, size: int) -> Array:
    """The plane again and again: 1 2 | 0 1 2 | 0 1."""
    return m % size


PADDINGS = {
    "zeros": Padding(inside_only),
    "constant": Padding(inside_only),
    "border": Padding(clip),
    "reflection": Padding(mirror_centre, lambda size: max(2 * size - 2, 1)),
    "symmetric": Padding(mirror_edge, lambda size: 2 * size),
    "wrap": Padding(repeat, lambda size: size),
}


def padding_rule(padding: str) -> Padding:
    """U_nm for n, m outside 0..S−1: the row of this name, or a ValueError with the names.   §3.3"""
    return PADDINGS[choice("padding", padding, tuple(PADDINGS))]


def integer_cell(cell: Array, size: int, reach: int, padding: str) -> Array:
    """The cell ⌊x⌋ as an integer, however large.

    Reduced by the period, exactly, while it is still a float; or, where beyond each edge all is
    alike, clipped so far out that no tap meets the plane.

    cell   floats; NaN becomes 0, as does ±∞ where the plane repeats: such a point is nowhere
    reach  the farthest tap's offset
    """
    period = padding_rule(padding).period
    if period is None:
        near = np.clip(cell, -1 - reach, size + reach)
    else:
        near = np.fmod(np.where(np.isfinite(cell), cell, 0), period(size))
    return np.where(np.isnan(near), 0, near).astype(np.intp)


def nowhere(x: Array, padding: str) -> Array:
    """Which coordinates are nowhere: NaN, and ±∞ where the plane repeats."""
    repeats = padding_rule(padding).period is not None
    return ~np.isfinite(x) if repeats else np.isnan(x)

"""§3.3, what lies outside the plane: an index map on the taps, the same for every kernel.

Eqs. 3 and 5 sum over the pixels of U and say nothing of points outside. A padding says it: each
integer tap m is sent to a pixel, 0..S−1, or outside, −1, where U has the value `fill`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stn_ref.equations.arguments import Array, choice

OUTSIDE = -1


@dataclass(frozen=True)
class Padding:
    """One padding: pixel(m, S) is the pixel that stands for tap m on an axis of S pixels."""

    pixel: Callable[[Array, int], Array]


def nothing(m: Array, size: int) -> Array:
    """m where it is a pixel, else outside."""
    return np.where((m >= 0) & (m < size), m, OUTSIDE)


def clip(m: Array, size: int) -> Array:
    """The nearest pixel: the edge goes on for ever."""
    return np.clip(m, 0, size - 1)


PADDINGS = {
    "zeros": Padding(nothing),
    "border": Padding(clip),
}


def padding_rule(padding: str) -> Padding:
    """The row of this name; a ValueError names those that exist."""
    return PADDINGS[choice("padding", padding, tuple(PADDINGS))]


def whole(cell: Array, size: int, reach: int) -> Array:
    """The cell ⌊x⌋ as an integer, however large: clipped where no tap meets the plane any more.

    cell   floats, NaN and ±∞ among them; NaN becomes 0, and its point is never used
    reach  the farthest tap's offset
    """
    beyond = np.clip(cell, -1 - reach, size + reach)
    return np.where(np.isnan(cell), 0, beyond).astype(np.intp)

"""§3.3, from one coordinate to its taps: the few m of Eq. 3 that its kernel's support can reach.

The sum of Eq. 3 runs over all pixels, but k(x − m) is 0 for |x − m| ≥ s. With the cell ⌊x⌋ and
the fraction f = x − ⌊x⌋, the taps are m = ⌊x⌋ + o for a few offsets o, and t = x − m = f − o,
which is exact to rounding however far out x lies.
"""

from __future__ import annotations

from math import ceil, floor
from typing import NamedTuple

import numpy as np

from stn_ref.equations.arguments import Array
from stn_ref.equations.kernels import shift
from stn_ref.equations.padding import OUTSIDE, lost, padding_rule, whole


class Tap(NamedTuple):
    """One m of Eq. 3 for every point at once."""

    pixel: Array  # the one that stands for m, −1 outside
    t: Array  # x − m


@np.errstate(all="ignore")
def cell(x: Array) -> tuple[Array, Array]:
    """⌊x⌋ and f = x − ⌊x⌋ in [0, 1), for finite x; f is 0 for the others.         §3.3

    Just below an integer x − ⌊x⌋ can round to 1; ⌊x⌋ decides the cell, so f stays below.
    """
    below = np.floor(x)
    f = np.where(np.isfinite(x), x - below, 0)
    return below, np.minimum(f, np.nextafter(x.dtype.type(1), 0))


def offsets(support: float, *, left: bool = False) -> range:
    """Every o with |f − o| < s for some f in [0, 1); `left` adds t = s, where k ends from the left.

    s = 1 gives 0, 1 (with the left knot −1, 0, 1); s = 2 gives −1, 0, 1, 2.
    """
    return range(-floor(support) if left else 1 - ceil(support), ceil(support) + 1)


def taps(x: Array, size: int, support: float, padding: str, *, left: bool = False) -> list[Tap]:
    """The taps of every point along one axis.                                   §3.3

    x  (B, H', W')  pixels; ±∞ counts as f = 0 with every tap beyond that edge; where x is no
                    place at all (`lost`) every tap is outside
    """
    below, f = cell(x)
    m0, gone = whole(below, size, ceil(support), padding), lost(x, padding)
    pixel = padding_rule(padding).pixel
    return [
        Tap(np.where(gone, OUTSIDE, pixel(m0 + o, size)), shift(f, -o, support))
        for o in offsets(support, left=left)
    ]

"""§3.3, from a point to its taps: the few m and n of Eq. 3 that a kernel's support can reach.

The sums of Eq. 3 run over all pixels, but k(x − m) is 0 for |x − m| ≥ s. With the cell ⌊x⌋ and the
fraction f = x − ⌊x⌋, the taps are m = ⌊x⌋ + o for a few offsets o, and t = x − m = f − o, which is
exact to rounding however far out x lies.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, floor
from typing import Any, NamedTuple

import numpy as np

from stn_ref.equations.arguments import Array
from stn_ref.equations.kernels import Kernel, derivative, second_derivative
from stn_ref.equations.padding import OUTSIDE, integer_cell, nowhere, padding_rule
from stn_ref.equations.quiet import quiet


class Tap(NamedTuple):
    """One m of Eq. 3, along one axis and for every point at once; what was not asked for is 0."""

    pixel: Array  # the one that stands for m; OUTSIDE if none does, or if m weighs nothing
    k: Array  # k(x − m)
    dk: Array  # k′(x − m)
    dPhi: list[Array]  # ∂k(x − m)/∂Φ
    d2k: Array  # k″(x − m)


NONE = np.zeros(())
ABSENT = Tap(NONE, np.ones(()), NONE, [], NONE)  # the tap of an axis that is not there


@quiet
def cell(x: Array) -> tuple[Array, Array]:
    """⌊x⌋ and f = x − ⌊x⌋ in [0, 1), for finite x; f is 0 for the others.         §3.3

    Just below an integer x − ⌊x⌋ can round to 1; ⌊x⌋ decides the cell, so f stays below.
    """
    below = np.floor(x)
    f = np.where(np.isfinite(x), x - below, 0)
    return below, np.minimum(f, np.nextafter(x.dtype.type(1), 0))


def offsets(support: float, *, left: bool = False) -> range:
    """Every o with |f − o| < s for some f in [0, 1); `left` adds o = −s, where t = s for f = 0.

    A kernel that ends at t = s has a left derivative there, and no right one. s = 1 gives 0, 1
    (with `left` −1, 0, 1); s = 2 gives −1, 0, 1, 2.
    """
    return range(-floor(support) if left else 1 - ceil(support), ceil(support) + 1)


Slopes = Callable[[Kernel, Array, str], tuple[Array, list[Array], Array]]


def slopes(kernel: Kernel, t: Array, tie: str) -> tuple[Array, list[Array], Array]:
    """k′ and ∂k/∂Φ at t, from the side that tie names."""
    return derivative(kernel, t, tie), list(kernel.dk_dphi(t, kernel.Phi)), NONE


def slopes_and_curvature(kernel: Kernel, t: Array, tie: str) -> tuple[Array, list[Array], Array]:
    """k′, ∂k/∂Φ and k″ at t."""
    dk, dPhi, _ = slopes(kernel, t, tie)
    return dk, dPhi, second_derivative(kernel, t, tie)


@quiet
def taps(
    x: Array,
    size: int,
    kernel: Kernel,
    padding: str,
    wanted: Slopes | None = None,
    tie: str = "right",
) -> list[Tap]:
    """The taps of every point along one axis.                                   §3.3

    x       (B, H', W')  pixels; ±∞ counts as f = 0 with every tap beyond that edge, and nothing
                         changes there; where x is nowhere, every tap is outside
    wanted  `slopes` or `slopes_and_curvature`, if more than k is; tie is the side of a knot
    """
    below, f = cell(x)
    first, lost = integer_cell(below, size, ceil(kernel.support), padding), nowhere(x, padding)
    finite, found = np.isfinite(x), []
    for o in offsets(kernel.support, left=wanted is not None and tie in ("left", "central")):
        t = shift(f, -o, kernel.support)
        k, dk, dPhi, d2k = kernel.k(t, kernel.Phi), NONE, list[Array](), NONE
        outside = (abs(t) >= kernel.support) & (k == 0)
        if wanted is not None:
            dk, dPhi, d2k = wanted(kernel, t, tie)
            dk, dPhi, d2k = finite * dk, [finite * d for d in dPhi], finite * d2k
            outside &= (dk == 0) & (d2k == 0)
        # what can do nothing is not read: U may be NaN or ∞ there
        pixel = np.where(outside | lost, OUTSIDE, padding_rule(padding).pixel(first + o, size))
        found.append(Tap(pixel, k, dk, dPhi, d2k))
    return found


def taps_of_x_y_z(
    U: Array,
    xy: Array,
    kernels: tuple[Kernel, ...],
    padding: str,
    wanted: Slopes | None = None,
    tie: str = "right",
) -> tuple[list[Tap], list[Tap], list[Tap]]:
    """The taps along x, along y and along z; one, which weighs 1, on an axis that is not there."""
    axes = zip(np.moveaxis(xy, -1, 0), U.shape[-2:0:-1], kernels, strict=True)
    found = [taps(*axis, padding, wanted, tie) for axis in axes]
    taps_x, taps_y, taps_z = found + [[ABSENT]] * (3 - len(found))
    return taps_x, taps_y, taps_z


EPS = 2.0**-52


def shift(t: Any, by: Any, support: float) -> Any:
    """t + by, but never rounded onto a knot that it is not on.

    Knots are multiples of ½ and ±support: on one, a kernel or its slope jumps. 10⁻²⁰ − 1 rounds to
    −1, where a left derivative would look into the wrong cell. The sum's rounding error is known
    exactly (Knuth's two-sum); where it is not 0 on a knot, the result steps off on its own side.
    """
    u = t + by
    back = u - t
    error = (t - (u - back)) + (by - back)
    knot = (np.floor(2 * u) == 2 * u) | (abs(u) == support)
    return u + knot * (1.0 * (error > 0) - 1.0 * (error < 0)) * EPS * abs(u)

"""Eqs. 3, 6 and 7 to the last bit of float64: what a correct answer rounds to.

Coordinates, weights and products are `Twofold`, in twice the precision of float64; what flows into
one pixel of dU is summed by `math.fsum`. So the result is the exact one, rounded once: off by half
a unit in its last place, and by some 2⁻¹⁰⁰ of the terms where these cancel. The kernels are the
dialects' own, piecewise polynomials. What overflows, and a great many points, is left to float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from itertools import pairwise, product
from math import ceil, fsum, prod
from operator import mul
from typing import Any, NamedTuple

import numpy as np

from stn_ref.equations.arguments import Array
from stn_ref.equations.padding import OUTSIDE, integer_cell, nowhere, padding_rule
from stn_ref.equations.taps import offsets
from stn_ref.oracle.sampling import Sampling
from stn_ref.oracle.twofold import Twofold, twofold

FAR = 2.0**50  # pixels; beyond it float64 has no quarters
ASIDE = 2.0**-20  # pixels


class Tap(NamedTuple):
    """One m of Eq. 3, k(x − m) and k′(x − m) for every point at once, (B, H', W', 1) each."""

    pixel: Array  # the one that stands for m, −1 outside
    k: Twofold
    dk: Twofold


@np.errstate(all="ignore")
def value(s: Sampling) -> Array:
    """V (B, H', W', C) by Eq. 3, float64."""
    if s.large:
        return s.value()
    placed, _ = _placed(s)
    V = twofold(np.zeros((*s.p.shape[:-1], s.U.shape[-1])))
    found, gone = _taps(s, placed)
    for mn, k, _ in found:
        V = V + _times(k) * _pixels(s, mn)
    good = np.isfinite(V.hi) & ~gone
    return V.hi if good.all() else np.where(good, V.hi, s.value())


@np.errstate(all="ignore")
def gradient(s: Sampling, dV: Array) -> tuple[Array, Array]:
    """dU by Eq. 6 and the gradient of the framework's coordinates by Eq. 7, float64."""
    if s.large:
        return s.gradient(dV)
    placed, moves = _placed(s)
    found, gone = _taps(s, placed)
    dV, spread = np.where(gone, 0.0, dV), []
    dxs = [twofold(np.zeros(s.p.shape[:-1]))] * s.axes
    for mn, k, dk in found:
        spread.append((mn, _times(k) * dV))
        pull = twofold(dV) * _pixels(s, mn)
        for a, slope in enumerate(dk):  # k′ in the place of k: along x, then along y
            dxs[a] = dxs[a] + (pull * _times((*k[:a], slope, *k[a + 1 :]))).sum()
    moves = moves * (s.rounds is None)
    slopes = moves * s.slope
    dp = np.stack([(d * slopes[..., a]).hi for a, d in enumerate(dxs)], axis=-1)
    dp = np.where(moves == 0, 0.0, np.where(gone, 0 * s.nowhere, dp))
    if not all(np.isfinite(share.hi + share.lo).all() for _, share in spread):
        return s.gradient(dV)
    good = np.isfinite(dp) | gone
    return _gathered(s, spread), dp if good.all() else np.where(good, dp, s.gradient(dV)[1])


def _placed(s: Sampling) -> tuple[Twofold, Array]:
    """Where the padding takes each coordinate, and the slope of that, (B, H', W', 2).

    It is x ↦ ±x plus a multiple of ½, or constant; which one, and by how much, is seen from p, or a
    little beside it where p is a multiple of ½ and the exact coordinate is not.
    """
    aside = (np.floor(2 * s.p) == 2 * s.p) * np.sign(s.rest) * ASIDE
    place, move = s.padded(s.p + aside)
    shift = np.round(2 * (place - move * (s.p + aside))) / 2
    exact = twofold(move * s.p) + move * s.rest + shift
    near = np.isfinite(place) & (abs(s.p) < FAR) & (move != 0)
    return Twofold(np.where(near, exact.hi, place), np.where(near, exact.lo, 0.0)), move


def _rounded(s: Sampling, x: Twofold) -> Twofold:
    """As the framework rounds; its tie-break has a say on ties alone."""
    if s.rounds is None:
        return x
    between = (np.floor(2 * x.hi) == 2 * x.hi) & (np.floor(x.hi) != x.hi) & (x.lo != 0)
    return twofold(np.where(between, np.floor(x.hi) + (x.lo > 0), s.rounds(x.hi)))


def _taps(s: Sampling, placed: Twofold) -> tuple[Iterator[tuple[Any, ...]], Array]:
    """(m, n), their k and k′, of every tap of y with every tap of x; and which points are lost."""
    axes, gone = zip(*(_axis(s, placed, axis) for axis in range(s.axes)), strict=True)
    pairs = (tuple(zip(*taps[::-1], strict=True)) for taps in product(*reversed(axes)))
    return pairs, np.any(gone, axis=0)


def _times(factors: tuple[Twofold, ...]) -> Twofold:
    return reduce(mul, factors)


def _axis(s: Sampling, placed: Twofold, axis: int) -> tuple[list[Tap], Array]:
    """The taps of every point along x or y, and which points are nowhere, (B, H', W', 1)."""
    size, kernel = s.sizes[axis], s.kernel
    exact = _rounded(s, Twofold(placed.hi[..., axis, None], placed.lo[..., axis, None]))
    x = exact.hi
    here, below = np.isfinite(x), exact.floor()
    f = exact - below
    f = Twofold(np.where(here, f.hi, 0.0), np.where(here, f.lo, 0.0))
    first = integer_cell(below, size, ceil(kernel.support), s.padding)
    gone, pixel = nowhere(x, s.padding), padding_rule(s.padding).pixel
    taps = []
    for o in offsets(kernel.support):
        t = f - float(o)
        k, dk = kernel.k(t, kernel.Phi), kernel.dk(t, kernel.Phi)
        m = np.where(gone, OUTSIDE, pixel(first + o, size))
        taps.append(Tap(m, twofold(k), twofold(dk) * here))
    return taps, gone


def _pixels(s: Sampling, mn: tuple[Array, ...]) -> Array:
    """U_nm for every point, (B, H', W', C)."""
    b = np.arange(len(s.U)).reshape(-1, *[1] * s.axes)
    u = s.U[(b, *(np.maximum(m, 0)[..., 0] for m in reversed(mn)))]
    return np.where(np.min(mn, axis=0) >= 0, u, s.fill)


def _gathered(s: Sampling, spread: list[tuple[tuple[Array, ...], Twofold]]) -> Array:
    """dU, every pixel the sum of what the taps on it bring, rounded once."""
    place, amount = [], []
    for mn, share in spread:
        here = np.nonzero(np.min(mn, axis=0)[..., 0] >= 0)
        nm = (m[..., 0][here] for m in reversed(mn))
        pixel = np.ravel_multi_index((here[0], *nm), s.U.shape[:-1])
        place += [pixel, pixel]
        amount += [share.hi[here], share.lo[here]]
    dU = np.zeros((prod(s.U.shape[:-1]), s.U.shape[-1]))
    at, amounts = np.concatenate(place), np.concatenate(amount)
    order = np.argsort(at, kind="stable")
    pixels, starts = np.unique(at[order], return_index=True)
    for c in range(s.U.shape[-1]):
        column = amounts[order, c].tolist()
        ends = pairwise([*starts.tolist(), len(column)])
        dU[pixels, c] = [fsum(column[i:j]) for i, j in ends]
    return dU.reshape(s.U.shape)

"""How far a correct evaluation in a given precision may be from the exact value, by element.

Two things go wrong in a correct implementation. It rounds the source coordinate; δ says by how
much, and the value or gradient may then be any that Eqs. 3, 6, 7 give within δ, on either side of a
knot or of a rounding tie. And it rounds weights, products and sums: c roundings of terms that are
at most |U_nm| each. What is here bounds both, for any order of the same operations.

Within δ each coordinate is tried at both ends and on the knot between, if there is one: along an
axis Eq. 5 and its slope are straight from one to the next, so nothing lies beyond what these give.
So where a coordinate is computed, by either side of a tie or a knot: rounding half up for half to
even, or a left derivative for a right one, is within the bound.
"""

from __future__ import annotations

from itertools import product
from math import ceil, prod
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from stn_ref.equations import Kernel
from stn_ref.equations.arguments import Array
from stn_ref.equations.padding import integer_cell, padding_rule
from stn_ref.oracle import exact
from stn_ref.oracle.arguments import arithmetic, unit_roundoff
from stn_ref.oracle.sampling import Sampling

MAP_ROUNDINGS = 4  # on the way from a grid to a pixel coordinate: +1, ·S, −1, and one fold
# taps along an axis, and roundings of a weight and its product
ROUNDINGS = {"integer": (0, 0), "bilinear": (2, 2), "keys": (4, 16)}
STEEPEST = {"integer": 0.0, "bilinear": 1.0, "keys": 1.5}  # max |k′|
TRIED = 3  # places an axis
OVERSHOOT = {"integer": 1.0, "bilinear": 1.0, "keys": 2.0}  # ≥ (Σ_m |k|)²
SLOPES = {"integer": 0.0, "bilinear": 2.0, "keys": 3.0}  # ≥ Σ_m |k′|
WILD = 0.25  # pixels; so uncertain a coordinate may be at any pixel within that reach
NEAR = 8.0  # pixels; beyond that, at any pixel at all


class Expected(NamedTuple):
    """The value in float64, and for each element how far a correct result may be from it."""

    value: Array
    bound: Array


@np.errstate(all="ignore")
def value_and_bound(s: Sampling) -> Expected:
    """V and its bound, (B, H', W', C)."""
    V, eps = exact.value(s), _roundoff(s)
    far = np.max([abs(v - V) for v in _apart(s.value(_around(s, eps)), s)], axis=0)
    bound = far + _rounding(s, eps) * _reach(s, eps) + eps * (abs(V) + far)
    wild = _uncertain(s, eps)[..., None]
    if wild.any():
        bound = np.where(wild, bound + _about(s, eps, V), bound)
    return _in_range(s, V, bound, 1.0)


@np.errstate(all="ignore")
def gradients_and_bounds(s: Sampling, dV: Array) -> tuple[Expected, Expected]:
    """dU and the coordinates' gradient, each with its bound."""
    (dU, dgrid), eps = exact.gradient(s, dV), _roundoff(s)
    wild, steep = _uncertain(s, eps), STEEPEST[s.kernel.name]
    around = _around(s, eps)
    beside = _apart(s.gradient(np.concatenate([dV] * TRIED**s.axes, axis=1), around)[1], s)
    pull = np.sum(abs(dV) * _reach(s, eps), axis=-1, keepdims=True) * abs(np.array(s.slope))
    terms = (_rounding(s, eps) + eps * s.U.shape[-1]) * max(steep, 1.0)
    far = np.max([abs(d - dgrid) for d in beside], axis=0)
    bound = far + terms * pull * (steep > 0) + eps * (abs(dgrid) + far)
    most = 2 * SLOPES[s.kernel.name] * _overshoot(s, s.axes - 1) * abs(s.U).max(initial=abs(s.fill))
    pulled = most * np.sum(abs(dV), axis=-1, keepdims=True) * abs(np.array(s.slope))
    bound = np.where(wild[..., None], pulled, bound)
    steps = s.U.shape[-1] * np.maximum(1.0, abs(np.array(s.slope)))
    in_points = _in_range(s, dgrid, bound, steps)

    slack = _rounding(s, eps) + eps + steep * np.sum(_delta(s, eps), axis=-1, keepdims=True)
    slack = np.where(np.isfinite(slack), slack, 0.0)
    share, terms, count = _landing(s, eps, abs(dV) * slack, abs(dV), np.ones_like(dV))
    dU_bound = share + eps * np.maximum(count - 1, 0) * terms
    if s.rounds:
        points = _apart(around, s)
        xy, *others = (s.moved(p)[0] for p in (s.p, *points))
        torn = np.any([np.any(other != xy, axis=-1) for other in others], axis=0)
        either = abs(dV) * torn[..., None]
        landing = sum(s.gradient(either, p)[0] for p in (s.p, *points))
        dU_bound = dU_bound + landing * (1 + eps * prod(dV.shape[1:-1]))
    anywhere = np.sum(abs(dV) * wild[..., None], axis=_sides(s), keepdims=True)
    anywhere = anywhere * _overshoot(s, s.axes)
    in_images = _in_range(s, dU, dU_bound + anywhere + eps * abs(dU), count + 1)
    return in_images, in_points


def _roundoff(s: Sampling) -> float:
    return s.roundoff or unit_roundoff(s.layout.dtypes[0])


def _in_range(s: Sampling, value: Array, bound: Array, terms: Array | float) -> Expected:
    """With what underflow may cost so many terms; infinite where a result may overflow.

    So it is beside a pixel that is not finite: whether its weight of 0 is a NaN is left open.
    """
    kind = np.finfo(arithmetic(s.layout.dtypes[0]))
    bound = bound + _count(s) * terms * float(kind.smallest_subnormal)
    beyond = np.isnan(bound) | (abs(value) + bound > float(kind.max))
    return Expected(value, np.where(np.isnan(value), 0.0, np.where(beyond, np.inf, bound)))


def _delta(s: Sampling, eps: float) -> Array:
    """By how much a pixel coordinate may be off, like p; not finite where it is not."""
    return MAP_ROUNDINGS * (eps if s.placing is None else s.placing) * (abs(s.p) + s.sizes)


def _uncertain(s: Sampling, eps: float) -> Array:
    """Where a coordinate may be anywhere; not where it is surely beyond an edge that stops it."""
    delta, support = _delta(s, eps), s.kernel.support + 1
    with np.errstate(invalid="ignore"):
        beyond = (s.p - delta > np.add(s.sizes, support)) | (s.p + delta < -support - 1)
    stopped = beyond & (not s.folds)
    found: Array = np.any((delta > WILD) & np.isfinite(s.p) & ~stopped, axis=-1)
    return found


def _about(s: Sampling, eps: float, V: Array) -> Array:
    """How far from V a point that may be some pixels off, or anywhere, can come."""
    most = np.max(abs(s.U), axis=_sides(s), keepdims=True, initial=abs(s.fill))
    anywhere: Array = 2 * _overshoot(s, s.axes) * most
    delta = _delta(s, eps)
    near = np.max(delta, axis=-1) <= NEAR
    if not near.any():
        return anywhere
    reach = [ceil(off + s.kernel.support) + 1 for off in delta[near].max(axis=0)]
    width = ((0, 0), *((2 * r, 2 * r) for r in reversed(reach)), (0, 0))
    if s.padding in ("zeros", "constant") and s.move is None:
        U = np.pad(s.U, width, constant_values=s.fill)
    else:  # what is beyond an edge is some pixel within reach of it
        U = np.pad(s.U, width, mode="edge")
    low, high = U, U
    for axis, r in zip(_sides(s), reversed(reach), strict=True):
        low = sliding_window_view(low, 2 * r + 1, axis=axis).min(axis=-1)
        high = sliding_window_view(high, 2 * r + 1, axis=axis).max(axis=-1)
    rule, places = padding_rule(s.padding), np.moveaxis(np.rint(s.moved(s.p)[0]), -1, 0)
    pixels = [
        integer_cell(place, size, r - 1, s.padding)
        for place, size, r in zip(places, s.sizes, reach, strict=True)
    ]
    if rule.period is not None:
        pixels = [rule.pixel(m, size) for m, size in zip(pixels, s.sizes, strict=True)]
    b = np.arange(len(U)).reshape(-1, *[1] * s.axes)
    at = (b, *(m + r for m, r in zip(reversed(pixels), reversed(reach), strict=True)))
    least, most = low[at], high[at]
    hull = _overshoot(s, s.axes) * (most - least) / 2 + abs((most + least) / 2 - V)
    return np.asarray(np.where(near[..., None], hull, anywhere))


def _around(s: Sampling, eps: float) -> Array:
    """The coordinates, each wherever else it may be, too; one below the other."""
    delta = np.where(np.isfinite(s.p), _delta(s, eps), 0.0)
    with np.errstate(invalid="ignore", over="ignore"):
        knot = np.round(2 * s.p) / 2
        middle = np.where(abs(knot - s.p) <= delta, knot, s.p)
    places = [np.moveaxis(place, -1, 0) for place in (middle, s.p - delta, s.p + delta)]
    tried = [np.stack(each, axis=-1) for each in product(*zip(*places, strict=True))]
    return np.concatenate(tried, axis=1)


def _apart(stacked: Array, s: Sampling) -> list[Array]:
    """What belongs to each of the places."""
    return np.split(stacked, TRIED**s.axes, axis=1)


def _sides(s: Sampling) -> tuple[int, ...]:
    """The axes of U, or of V, between B and C."""
    return tuple(range(1, 1 + s.axes))


def _overshoot(s: Sampling, axes: int) -> float:
    """≥ Σ_n Σ_m |k k|, over so many axes."""
    return float(OVERSHOOT[s.kernel.name] ** (axes / 2))


def _count(s: Sampling) -> int:
    """Roundings of a term of Eq. 3: the sum over all taps, the weights and their product."""
    taps, weights = ROUNDINGS[s.kernel.name]
    return int(taps**s.axes) + weights * s.axes


def _rounding(s: Sampling, eps: float) -> float:
    return _count(s) * eps


def _reach(s: Sampling, eps: float) -> Array:
    """Σ|U_nm| over the taps in the support, (B, H', W', C)."""
    found = s._replace(kernel=_box(s, eps), fill=abs(s.fill), nowhere=abs(s.nowhere)).value(
        U=abs(s.U)
    )
    return np.where(np.isnan(found), 0.0, found)


def _landing(s: Sampling, eps: float, *losses: Array) -> list[Array]:
    """What reaches each pixel of each loss, with weight 1 for every tap in the support."""
    loss, many = np.concatenate(losses, axis=-1), len(losses)
    nothing = np.zeros((*s.U.shape[:-1], loss.shape[-1]))
    dU, _ = s._replace(kernel=_box(s, eps), U=nothing).gradient(loss)
    return np.split(dU, many, axis=-1)


def _box(s: Sampling, eps: float) -> Kernel:
    """1 where the kernel is not 0, and as far beyond as a coordinate may be off."""
    delta = _delta(s, eps)
    support = s.kernel.support + 0.01 + min(delta[np.isfinite(delta)].max(initial=0.0), WILD)

    def k(t: Any, Phi: Any) -> Any:
        return (abs(t) < support) * 1.0

    def dk(t: Any, Phi: Any) -> Any:
        return 0.0 * t

    def dk_dphi(t: Any, Phi: Any) -> Any:
        return ()

    return Kernel("box", (), k, dk, dk_dphi, support)

"""From one coordinate to its taps along an axis: where they begin and what each weighs."""

from __future__ import annotations

from typing import Any, NamedTuple

from stn_ref.backends.cuda.device import device, remainder
from stn_ref.backends.cuda.points import splitter
from stn_ref.backends.cuda.rows import Axis, off_knots
from stn_ref.backends.scalars import clipped, is_finite, period


class Taps(NamedTuple):
    """Device functions for one axis, whose taps have the numbers 0 … count − 1."""

    count: int
    parameters: int  # len(Φ)
    phi: Any  # phi(reals, at): Φ
    enter: Any  # enter(x, size, rule, Φ, edges): the first tap's m, f, and 1/Σk
    value: Any  # value(f, o, Φ, edges, inverse): k, and whether the tap is out of the support
    lean: Any  # lean(x, f, Φ, tie, inverse): what `slopes` needs of all taps together
    slopes: Any  # slopes(f, o, Φ, edges, tie, inverse, lean): k, k′, ∂k/∂Φ; whether it is out
    counts: Any  # counts(x, f, o, Φ, tie, inverse): whether k′ ≠ 0 where `value` says it is out
    nothing: tuple[Any, ...]  # as many zeros as Φ has numbers
    plus: Any
    put: Any


def taps(axis: Axis, given: type[Any], number: type[Any]) -> Taps:
    """The functions for this row: coordinates in precision `given`, weights in `number`."""
    first, reach, normalises = axis.first, axis.reach, axis.normalises
    split, move, of, total = splitter(given, number), off_knots(number), axis.of, axis.total
    slope, by_phi, plus = axis.slope, axis.by_phi, axis.plus
    drift, drifts, within = axis.drift, axis.drifts, remainder(given)
    zero, nothing = number(0), tuple(number(0) for _ in range(axis.parameters))

    @device
    def enter(x, size, rule, phi, edges):
        below, f, rest, off = split(x)
        f, repeats, m = move(f, rest, off, edges), period(size, rule), 0
        if repeats == 0:
            m = clipped(below, size, reach)
        elif is_finite(below):
            m = int(within(below, given(repeats)))
        return m + first, f, total(f, phi)

    @device
    def value(f, o, phi, edges, inverse):
        t = f - number(first + o)
        k = of(t, phi)
        if normalises:
            k *= inverse
        return k, k == zero and abs(t) >= edges[0]

    @device
    def lean(x, f, phi, tie, inverse):
        here = number(is_finite(x))
        return here, drift(f, phi, tie, inverse), drifts(f, phi, inverse)

    @device
    def slopes(f, o, phi, edges, tie, inverse, lean):
        here, change, changes = lean
        t = f - number(first + o)
        k, dk, dphi = of(t, phi), slope(t, phi, tie), by_phi(t, phi)
        if normalises:
            k *= inverse
            dk = dk * inverse - k * change
            dphi = plus(plus(nothing, dphi, inverse), changes, -k)
        dk *= here
        return k, dk, plus(nothing, dphi, here), k == zero and dk == zero and abs(t) >= edges[0]

    @device
    def counts(x, f, o, phi, tie, inverse):
        t = f - number(first + o)
        return is_finite(x) and inverse != zero and slope(t, phi, tie) != zero

    return Taps(
        axis.taps, axis.parameters, axis.phi, enter, value, lean, slopes, counts, nothing,
        plus, axis.put,
    )  # fmt: skip

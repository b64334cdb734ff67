"""From one coordinate to its taps along an axis: where they begin and what each weighs."""

from __future__ import annotations

from typing import Any, NamedTuple

from stn_ref.backends.cuda.device import device, remainder
from stn_ref.backends.cuda.points import offset, place, splitter
from stn_ref.backends.cuda.rows import EDGES, Axis, edges, off_knots
from stn_ref.backends.cuda.sizes import AXES, DEPTH, HEIGHT, IN, WIDTH
from stn_ref.backends.scalars import clipped, is_finite, period, pixel


class Taps(NamedTuple):
    """Device functions for one axis, whose taps have the numbers 0 … count − 1.

    They hand `row`, of all points alike, and `here`, of one point and all its taps, to each other.
    """

    count: int
    row: Any  # row(reals): Φ, and the support's knots
    enter: Any  # enter(x, s, rule, row): the first tap's m, and here
    pixel: Any  # pixel(m, s, rule): the pixel that stands for tap m
    value: Any  # value(here, o, row): k, and whether the tap is out of the support
    lean: Any  # lean(here, tie, row): what `slopes` needs of all taps together
    slopes: Any  # slopes(here, o, tie, row, lean): k, k′, ∂k/∂Φ; whether the tap is out
    counts: Any  # counts(here, o, tie, row): whether k′ ≠ 0 where `value` says that it is out
    nothing: tuple[Any, ...]  # as many zeros as Φ has numbers
    plus: Any
    put: Any


class Loop(NamedTuple):
    """All that a kernel's loop over points and taps is made of, x, y and z whatever is missing."""

    x: Taps
    y: Taps
    z: Taps
    axes: int
    rows: Any  # rows(reals) = (row_x, row_y, row_z)
    where: Any  # where(p, s) = (b, k, i, j) of output pixel p
    offset: Any  # offset(array, s, b, k, i, j): where a pixel begins
    points: Any  # points(source, s, b, k, i, j) = (x, y, z)
    number: Any  # the precision of weights and sums
    index: Any  # the unsigned type of an index

    def each(self, name: str) -> tuple[Any, Any, Any]:
        """The function of this name for x, for y and for z."""
        return tuple(getattr(axis, name) for axis in (self.x, self.y, self.z))


def loop(
    axes: tuple[Axis, ...], points: Any, given: type[Any], number: type[Any], index: Any
) -> Loop:
    """The loop of these rows: coordinates in precision `given`, weights in `number`."""
    found, at = [], AXES
    for axis, side in zip(axes, (WIDTH, HEIGHT, DEPTH), strict=False):
        found.append(taps(axis, given, number, at, side))
        at += EDGES + axis.parameters
    x, y, z = (*found, *(missing(number) for _ in range(3 - len(axes))))
    row_x, row_y, row_z = x.row, y.row, z.row

    @device
    def rows(reals):
        return row_x(reals), row_y(reals), row_z(reals)

    where = place(index, len(axes))
    return Loop(x, y, z, len(axes), rows, where, offset(index), points, number, index)


def taps(axis: Axis, given: type[Any], number: type[Any], at: int, side: int) -> Taps:
    """The functions of an axis.

    at    where its numbers lie among the real ones
    side  where its length lies among the whole ones
    """
    first, reach, normalises = axis.first, axis.reach, axis.normalises
    split, move, of, total = splitter(given, number), off_knots(number), axis.of, axis.total
    slope, by_phi, plus, phi_of = axis.slope, axis.by_phi, axis.plus, axis.phi
    drift, within = axis.drift, remainder(given)
    zero, nothing = number(0), tuple(number(0) for _ in range(axis.parameters))

    @device
    def row(reals):
        return phi_of(reals, at), edges(reals, at)

    @device
    def enter(x, s, rule, row):
        phi, ends = row
        below, f, rest, off = split(x)
        f, repeats, m = move(f, rest, off, ends), period(s[IN + side], rule), 0
        if repeats == 0:
            m = clipped(below, s[IN + side], reach)
        elif is_finite(below):
            m = int(within(below, given(repeats)))
        return m + first, (x, f, total(f, phi))

    @device
    def tap(m, s, rule):
        return pixel(m, s[IN + side], rule)

    @device
    def value(here, o, row):
        (_, f, inverse), (phi, ends) = here, row
        t = f - number(first + o)
        k = of(t, phi)
        if normalises:
            k *= inverse
        return k, k == zero and abs(t) >= ends[0]

    @device
    def lean(here, tie, row):
        (x, f, inverse), phi = here, row[0]
        change, changes = drift(f, phi, tie, inverse)
        return number(is_finite(x)), change, changes

    @device
    def slopes(here, o, tie, row, lean):
        (_, f, inverse), (phi, ends), (finite, change, changes) = here, row, lean
        t = f - number(first + o)
        k, dk, dphi = of(t, phi), slope(t, phi, tie), by_phi(t, phi)
        if normalises:
            k *= inverse
            dk = dk * inverse - k * change
            dphi = plus(plus(nothing, dphi, inverse), changes, -k)
        dk *= finite
        return k, dk, plus(nothing, dphi, finite), k == zero and dk == zero and abs(t) >= ends[0]

    @device
    def counts(here, o, tie, row):
        (x, f, inverse), phi = here, row[0]
        t = f - number(first + o)
        return is_finite(x) and inverse != zero and slope(t, phi, tie) != zero

    return Taps(
        axis.taps, row, enter, tap, value, lean, slopes, counts, nothing, plus, axis.put,
    )  # fmt: skip


def missing(number: type[Any]) -> Taps:
    """An axis that is not there: one tap, of the weight 1, which the compiler sees through."""
    zero, one = number(0), number(1)

    return Taps(
        count=1,
        row=device(lambda reals: ()),
        enter=device(lambda x, s, rule, row: (0, ())),
        pixel=device(lambda m, s, rule: 0),
        value=device(lambda here, o, row: (one, False)),
        lean=device(lambda here, tie, row: ()),
        slopes=device(lambda here, o, tie, row, lean: (one, zero, (), False)),
        counts=device(lambda here, o, tie, row: False),
        nothing=(),
        plus=device(lambda a, b, w: ()),
        put=device(lambda array, at, step, a: 0),
    )  # fmt: skip

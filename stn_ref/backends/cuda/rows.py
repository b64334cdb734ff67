"""A kernel's row of data as CUDA's loops take it: device functions of one precision."""

from __future__ import annotations

from functools import cache
from math import ceil, floor
from typing import Any, NamedTuple

import numpy as np

from stn_ref.backends.cuda.device import device
from stn_ref.backends.cuda.lowering import lowered
from stn_ref.backends.identity import identity
from stn_ref.backends.scalars import CENTRAL, LEFT, PAPER, RIGHT
from stn_ref.equations import Kernel


class Axis(NamedTuple):
    """One axis's kernel as the loops take it: taps ⌊x⌋ + first … ⌊x⌋ + first + taps − 1."""

    first: int
    taps: int
    reach: int  # the farthest tap's offset
    parameters: int  # len(Φ)
    of: Any  # of(t, Φ) = k
    slope: Any  # slope(t, Φ, tie) = k′
    by_phi: Any  # by_phi(t, Φ): a tuple, ∂k/∂Φ
    phi: Any  # phi(reals, at): Φ, a tuple, of the axis whose numbers begin there
    plus: Any  # plus(a, b, w) = a + w b, of tuples
    put: Any  # put(array, at, step, tuple)
    total: Any  # total(f, Φ) = 1/Σk, and 1 for a kernel that does not normalise
    drift: Any  # drift(f, Φ, tie, inverse) = Σk′/Σk, and a tuple, Σ∂k/∂Φ/Σk; 0 likewise
    normalises: bool


def axis(kernel: Kernel, number: type[Any], *, left: bool) -> Axis:
    """The row in this precision; `left` adds the tap that only a left derivative sees.

    Φ and the support are arguments: a σ that is learnt is not compiled again at every step.
    """
    base = _base(kernel)
    first, last = (-floor(base.support) if left else 1 - ceil(base.support)), ceil(base.support)
    functions = tuple(identity(f) for f in (base.k, base.dk, base.dk_dphi))
    key = (functions, len(base.Phi), base is not kernel, first, last, number)
    if key not in _axes:
        _axes[key] = _axis(base, number, base is not kernel, first, last - first + 1)
    return _axes[key]


def _base(kernel: Kernel) -> Kernel:
    """The kernel that this one normalises, or itself."""
    return kernel if kernel.normalises is None else _base(kernel.normalises)


_axes: dict[Any, Axis] = {}


def _axis(kernel: Kernel, number: type[Any], normalises: bool, first: int, taps: int) -> Axis:
    k, dk, dphi = (device(lowered(f, number)) for f in (kernel.k, kernel.dk, kernel.dk_dphi))
    N, zero, half, one = len(kernel.Phi), number(0), number(0.5), number(1)

    @device
    def of(t, phi):
        return number(k(t, phi))

    @device
    def slope(t, phi, tie):
        if tie == PAPER:
            return (one if t <= zero else -one) if abs(t) < one else zero
        right = number(dk(t, phi)) if tie != LEFT else zero
        left = -number(dk(-t, phi)) if tie != RIGHT else zero
        return (right + left) * half if tie == CENTRAL else right + left

    @device
    def by_phi(t, phi):
        return cast(dphi(t, phi))

    @device
    def total(f, phi):
        if not normalises:
            return one
        S = zero
        for o in range(taps):
            S += of(f - number(first + o), phi)
        return zero if zero == S else one / S

    @device
    def drift(f, phi, tie, inverse):
        S, by = zero, none
        if normalises:
            for o in range(taps):  # one loop for both, or all slopes of an axis take registers
                t = f - number(first + o)
                S, by = S + slope(t, phi, tie), plus(by, by_phi(t, phi), inverse)
        return S * inverse, by

    none = tuple(zero for _ in range(N))
    parts = of_tuples(N, number)
    phi, plus, put, cast = (device(parts[name]) for name in ("phi", "plus", "put", "cast"))
    return Axis(
        first, taps, max(abs(first), taps), N, of, slope, by_phi, phi, plus, put,
        total, drift, normalises,
    )  # fmt: skip


EDGES = 6  # numbers of an axis before its Φ: see `edges`


def reals(kernel: Kernel, number: type[Any]) -> list[float]:
    """What an axis adds to the array of real numbers: `edges`, then Φ."""
    kernel = _base(kernel)
    s, far = kernel.support, 4 * float(np.finfo(number).eps) * max(kernel.support, 1.0)
    knots = (s - floor(s), ceil(s) - s) if 2 * s != floor(2 * s) else (-9.0, -9.0)
    pairs = [p for knot in knots for p in (float(number(knot)), knot - float(number(knot)))]
    return [s, far, *pairs, *kernel.Phi]


@device
def edges(array, at):
    """The support, how far off a knot f must be, and the knots of the support with their rests."""
    a = array
    return a[at], a[at + 1], a[at + 2], a[at + 3], a[at + 4], a[at + 5]


@device
def beside(f, rest, knot, far):
    """f, which lost `rest` in rounding, or knot ± far if it is nearer than that, and not on it."""
    d = f - knot
    above = d > 0 or (d == 0 and rest > 0)
    moved = knot + far if above else knot - far
    return moved if abs(d) < far and (d != 0 or rest != 0) else f


def off_knots(number: type[Any]) -> Any:
    """off_knots(f, rest, off, edges): f, moved off a knot that x is not on; see `cpu.rows`.

    off  whether x is not a whole number
    """
    half, one = number(0.5), number(1)

    @device
    def of(f, rest, off, edges):
        _, far, low, low_rest, high, high_rest = edges
        if off:
            f = far if f < far else one - far if f > one - far else f
        f = beside(f, rest, half, far)
        f = beside(f, rest - low_rest, low, far)
        return beside(f, rest - high_rest, high, far)

    return of


@cache
def of_tuples(n: int, number: type[Any]) -> dict[str, Any]:
    """What to do with tuples of n numbers, spelled out: no loop over a tuple compiles well."""

    def each(term: str) -> str:
        return "(" + "".join(f"{term.replace('#', str(i))}, " for i in range(n)) + ")"

    source = (
        f"def phi(array, at): return {each(f'array[at + {EDGES} + #]')}\n"
        f"def plus(a, b, w): return {each('a[#] + b[#] * w')}\n"
        f"def cast(a): return {each('number(a[#])')}\n"
        "def put(array, at, step, a):\n"
        + "".join(f"    array[at + {i} * step] = a[{i}]\n" for i in range(n))
        + "    return 0\n"
    )
    names: dict[str, Any] = {"number": number}
    exec(source, names)
    return names

"""Arithmetic in twice the precision: a number is hi + lo, two float64 arrays, never added up.

The rounding error of a float64 sum or product is itself a float64 number and can be computed
(Knuth 1969, Dekker 1971). Kept beside the result it makes some 106 bits. A kernel's row is written
in operators, so `kernel.k(t, Phi)` takes a Twofold as it takes an array.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from stn_ref.equations.arguments import Array

SPLITTER = 2.0**27 + 1


def two_sum(a: Any, b: Any) -> tuple[Any, Any]:
    """a + b and its rounding error, exactly (Knuth)."""
    s = a + b
    back = s - a
    return s, (a - (s - back)) + (b - back)


def two_product(a: Any, b: Any) -> tuple[Any, Any]:
    """a · b and its rounding error, exactly (Dekker), short of overflow."""
    p = a * b
    (a_hi, a_lo), (b_hi, b_lo) = _halves(a), _halves(b)
    return p, ((a_hi * b_hi - p) + a_hi * b_lo + a_lo * b_hi) + a_lo * b_lo


def quotient(a: Any, b: float) -> Twofold:
    """a / b."""
    q = a / b
    p, e = two_product(q, b)
    return Twofold(*two_sum(q, ((a - p) - e) / b))


def _halves(a: Any) -> tuple[Any, Any]:
    """a as a sum of two numbers of 26 bits, whose products are exact."""
    c = SPLITTER * a
    hi = c - (c - a)
    return hi, a - hi


@dataclass(frozen=True, eq=False)
class Twofold:
    """hi + lo, where hi is that sum rounded to float64."""

    hi: Array
    lo: Array

    __array_ufunc__ = None  # an array on the left leaves the operation to this class

    def __add__(self, other: Any) -> Twofold:
        b = twofold(other)
        s, e = two_sum(self.hi, b.hi)
        t, f = two_sum(self.lo, b.lo)
        s, e = two_sum(s, e + t)
        return Twofold(*two_sum(s, e + f))

    def __mul__(self, other: Any) -> Twofold:
        b = twofold(other)
        p, e = two_product(self.hi, b.hi)
        return Twofold(*two_sum(p, e + (self.hi * b.lo + self.lo * b.hi)))

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self) -> Twofold:
        return Twofold(-self.hi, -self.lo)

    def __sub__(self, other: Any) -> Twofold:
        return self + -twofold(other)

    def __rsub__(self, other: Any) -> Twofold:
        return twofold(other) + -self

    def __abs__(self) -> Twofold:
        sign = np.where(self < 0, -1.0, 1.0)
        return Twofold(sign * self.hi, sign * self.lo)

    def __lt__(self, other: float) -> Array:
        return np.asarray((self.hi < other) | ((self.hi == other) & (self.lo < 0)))

    def __ge__(self, other: float) -> Array:
        return ~(self < other)

    def __gt__(self, other: float) -> Array:
        return np.asarray((self.hi > other) | ((self.hi == other) & (self.lo > 0)))

    def sum(self) -> Twofold:
        """Over the last axis."""
        total = twofold(np.zeros(self.hi.shape[:-1]))
        for k in range(self.hi.shape[-1]):
            total = total + Twofold(self.hi[..., k], self.lo[..., k])
        return total

    def floor(self) -> Array:
        """The largest whole number that is not above, float64."""
        below = np.floor(self.hi)
        floor: Array = below - ((below == self.hi) & (self.lo < 0))
        return floor


def twofold(value: Any) -> Twofold:
    """An array, or what is one already, as a Twofold."""
    if isinstance(value, Twofold):
        return value
    hi = np.asarray(value, np.float64)
    return Twofold(hi, np.zeros_like(hi))

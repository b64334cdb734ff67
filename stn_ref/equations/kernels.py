"""§3.3, the sampling kernels k(t; Φ), t = x − m: each a row of data.

A row's functions take t and Φ and serve arrays and scalars alike, so a piece is switched on by a
comparison that multiplies it: `(abs(t) < 1) * (1 - abs(t))`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from stn_ref.equations.arguments import Array, floating

Function = Callable[[Any, tuple[float, ...]], Any]


@dataclass(frozen=True)
class Kernel:
    """One sampling kernel.

    Phi      its parameters, a tuple of numbers
    k        k(t, Phi), 0 for |t| ≥ support; even (INTEGER apart)
    dk       dk(t, Phi), the right derivative in t; the left one is then −dk(−t, Phi)
    dk_dphi  dk_dphi(t, Phi), a tuple of len(Phi): the derivative for each parameter
    support  the half-width, in pixels
    """

    name: str
    Phi: tuple[float, ...]
    k: Function
    dk: Function
    dk_dphi: Callable[[Any, tuple[float, ...]], tuple[Any, ...]]
    support: float

    def __post_init__(self) -> None:
        if not 0 < self.support < np.inf:
            raise ValueError(f"kernel {self.name} has support {self.support}; expected it > 0")


def per_axis(kernel: Kernel | tuple[Kernel, Kernel]) -> tuple[Kernel, Kernel]:
    """The kernels of x and of y, one Φ each: one kernel given serves both."""
    pair = kernel if isinstance(kernel, tuple | list) else (kernel, kernel)
    if len(pair) != 2 or not all(isinstance(k, Kernel) for k in pair):
        raise TypeError(f"kernel is {kernel!r}; expected a Kernel or two, one an axis, (x, y)")
    return pair[0], pair[1]


def _no_parameters(t: Any, phi: tuple[float, ...]) -> tuple[Any, ...]:
    return ()


# Eq. 4: the nearest pixel, ties to the right.


def integer(t: Any, phi: tuple[float, ...]) -> Any:
    """δ(⌊x + ½⌋ − m): 1 for the one pixel with −½ ≤ x − m < ½.                   Eq. 4"""
    return 1.0 * ((t >= -0.5) & (t < 0.5))


def integer_dk(t: Any, phi: tuple[float, ...]) -> Any:
    """0: the nearest pixel does not depend on small steps, so this kernel cannot train θ."""
    return 0.0 * t


INTEGER = Kernel("integer", (), integer, integer_dk, _no_parameters, 0.5)


# Eq. 5: the hat over one pixel.


def bilinear(t: Any, phi: tuple[float, ...]) -> Any:
    """max(0, 1 − |t|).                                                          Eq. 5"""
    return (abs(t) < 1) * (1 - abs(t))


def bilinear_dk(t: Any, phi: tuple[float, ...]) -> Any:
    """+1 on −1 ≤ t < 0, −1 on 0 ≤ t < 1: Eq. 7's cases, valid on the knots too.    Eq. 7"""
    return 1.0 * ((t >= -1) & (t < 0)) - 1.0 * ((t >= 0) & (t < 1))


BILINEAR = Kernel("bilinear", (), bilinear, bilinear_dk, _no_parameters, 1.0)


# Two kernels with a parameter each, to show what Φ is for.


def keys(a: float = -0.75) -> Kernel:
    """Keys' cubic convolution, Φ = (a,): a = −¾ in most frameworks, −½ reproduces quadratics."""
    return Kernel("keys", (_number("a", a),), keys_k, keys_dk, keys_dk_dphi, 2.0)


def keys_k(t: Any, phi: tuple[float, ...]) -> Any:
    """((a+2)t² − |t| − 1)(|t| − 1) for |t| < 1, a(|t| − 1)(|t| − 2)² for 1 ≤ |t| < 2.   §3.3

    Both pieces are factored, so that k is exactly 0 at every nonzero integer, whatever a is.
    """
    a, r = phi[0], abs(t)
    inner = ((a + 2) * r * r - r - 1) * (r - 1)
    outer = a * (r - 1) * (r - 2) * (r - 2)
    return (r < 1) * inner + ((r >= 1) & (r < 2)) * outer


def keys_dk(t: Any, phi: tuple[float, ...]) -> Any:
    """sign(t) times 3(a+2)t² − 2(a+3)|t| inside, a(|t| − 2)(3|t| − 4) outside: k is smooth."""
    a, r = phi[0], abs(t)
    inner = (3 * (a + 2) * r - 2 * (a + 3)) * r
    outer = a * (r - 2) * (3 * r - 4)
    slope = (r < 1) * inner + ((r >= 1) & (r < 2)) * outer
    return (1.0 * (t > 0) - 1.0 * (t < 0)) * slope


def keys_dk_dphi(t: Any, phi: tuple[float, ...]) -> tuple[Any, ...]:
    """∂k/∂a = t²(|t| − 1) inside, (|t| − 1)(|t| − 2)² outside."""
    r = abs(t)
    outer = (r - 1) * (r - 2) * (r - 2)
    return ((r < 1) * (r * r * (r - 1)) + ((r >= 1) & (r < 2)) * outer,)


def hat(width: float) -> Kernel:
    """A hat of any half-width, Φ = (width,): wider ones blur, as shrinking an image should."""
    return Kernel("hat", (_positive("width", width),), hat_k, hat_dk, hat_dk_dphi, float(width))


def hat_k(t: Any, phi: tuple[float, ...]) -> Any:
    """max(0, 1 − |t|/width).                                                    §3.3"""
    return (abs(t) < phi[0]) * (1 - abs(t) / phi[0])


def hat_dk(t: Any, phi: tuple[float, ...]) -> Any:
    """+1/width on −width ≤ t < 0, −1/width on 0 ≤ t < width."""
    rising, falling = (t >= -phi[0]) & (t < 0), (t >= 0) & (t < phi[0])
    return (1.0 * rising - 1.0 * falling) / phi[0]


def hat_dk_dphi(t: Any, phi: tuple[float, ...]) -> tuple[Any, ...]:
    """∂k/∂width = |t|/width² for |t| < width."""
    return ((abs(t) < phi[0]) * abs(t) / (phi[0] * phi[0]),)


def _number(name: str, value: float) -> float:
    number = floating(name, float(value))
    if not np.isfinite(number):
        raise ValueError(f"{name} is {value!r}; expected a finite number")
    return float(number)


def _positive(name: str, value: float) -> float:
    if not _number(name, value) > 0:
        raise ValueError(f"{name} is {value!r}; expected a number above 0")
    return float(value)


# One-sided derivatives at a knot.


def eq7_as_printed(t: Array) -> Array:
    """0 if |m − x| ≥ 1, 1 if m ≥ x, −1 if m < x, as the paper prints it.          Eq. 7

    Kept for teaching. At integer x the first case drops both neighbours while m = x keeps its 1,
    so the sum is the pixel itself instead of a difference of pixels.
    """
    return (abs(t) < 1) * np.where(t <= 0, 1.0, -1.0)


TIES = ("right", "left", "central", "paper")


def derivative(kernel: Kernel, t: Array, tie: str) -> Array:
    """k′(t) from the side that tie names, as x grows or shrinks.                  Eq. 7"""
    if tie == "paper":
        return eq7_as_printed(t)
    right, left = kernel.dk(t, kernel.Phi), -kernel.dk(-t, kernel.Phi)
    one_sided = {"right": right, "left": left, "central": (right + left) / 2}
    return np.asarray(one_sided[tie])

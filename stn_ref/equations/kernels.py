"""§3.3, the sampling kernels k(t; Φ), t = x − m: each a row of data.

A row's functions take t and Φ and serve arrays and scalars alike, so a piece is switched on by a
comparison that multiplies it: `(abs(t) < 1) * (1 - abs(t))`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stn_ref.equations.records import Record

Array = NDArray[Any]
Function = Callable[[Any, tuple[float, ...]], Any]


@dataclass(frozen=True, repr=False)
class Kernel(Record):
    """One sampling kernel.

    Phi      its parameters, a tuple of numbers
    k        k(t, Phi), 0 for |t| ≥ support; even (INTEGER apart)
    dk       dk(t, Phi), the right derivative in t; the left one is then −dk(−t, Phi)
    dk_dphi  dk_dphi(t, Phi), a tuple of len(Phi): the derivative for each parameter
    support  the half-width, in pixels
    normalises  for `normalised(kernel)`: that kernel; its weights at a point are divided by their
                sum. None for any other kernel
    d2k      d2k(t, Phi), the right second derivative, piecewise: where k or k′ jumps, the δ is left
             out. Optional, and for NumPy alone: second derivatives of the sampler ask for it
    """

    name: str
    Phi: tuple[float, ...]
    k: Function
    dk: Function
    dk_dphi: Callable[[Any, tuple[float, ...]], tuple[Any, ...]]
    support: float
    normalises: Kernel | None = None
    d2k: Function | None = None
    _shown: ClassVar[tuple[str, ...]] = ("Phi",)

    def __post_init__(self) -> None:
        if not 0 < self.support < np.inf:
            raise ValueError(
                f"kernel {self.name} has support {self.support}; expected a finite number above 0"
            )


def no_curvature(t: Any, phi: tuple[float, ...]) -> Any:
    """0, for a k that is straight between its knots.

    As a distribution the k″ of Eq. 5 is δ(t + 1) − 2δ(t) + δ(t − 1), that of a hat alike but wider,
    and that of Eq. 4 two δ′.
    """
    return 0.0 * t


def no_parameters(t: Any, phi: tuple[float, ...]) -> tuple[Any, ...]:
    return ()


# Eq. 4: the nearest pixel, ties to the right.


def integer(t: Any, phi: tuple[float, ...]) -> Any:
    """δ(⌊x + ½⌋ − m): 1 for the one pixel with −½ ≤ x − m < ½.                   Eq. 4"""
    return 1.0 * ((t >= -0.5) & (t < 0.5))


def integer_dk(t: Any, phi: tuple[float, ...]) -> Any:
    """0: the nearest pixel does not depend on small steps, so this kernel cannot train θ."""
    return 0.0 * t


INTEGER = Kernel("integer", (), integer, integer_dk, no_parameters, 0.5, d2k=no_curvature)
INTEGER.known_as("INTEGER")


# Eq. 5: the hat over one pixel.


def bilinear(t: Any, phi: tuple[float, ...]) -> Any:
    """max(0, 1 − |t|).                                                          Eq. 5"""
    return (abs(t) < 1) * (1 - abs(t))


def bilinear_dk(t: Any, phi: tuple[float, ...]) -> Any:
    """+1 on −1 ≤ t < 0, −1 on 0 ≤ t < 1: Eq. 7's cases, valid on the knots too.    Eq. 7"""
    return 1.0 * ((t >= -1) & (t < 0)) - 1.0 * ((t >= 0) & (t < 1))


BILINEAR = Kernel("bilinear", (), bilinear, bilinear_dk, no_parameters, 1.0, d2k=no_curvature)
BILINEAR.known_as("BILINEAR")


# One-sided derivatives at a knot.


def eq7_as_printed(t: Array) -> Array:
    """0 if |m − x| ≥ 1, 1 if m ≥ x, −1 if m < x, as the paper prints it.          Eq. 7

    Kept for teaching. At integer x the first case drops both neighbours while m = x keeps its 1,
    so the sum is the pixel itself instead of a difference of pixels.
    """
    return (abs(t) < 1) * np.where(t <= 0, 1.0, -1.0)


def derivative(kernel: Kernel, t: Array, tie: str) -> Array:
    """k′(t), of t's shape, from the side that tie names as x grows or shrinks.    Eq. 7"""
    if tie == "paper":
        return eq7_as_printed(t)
    if tie == "right":
        return kernel.dk(t, kernel.Phi)
    left = -kernel.dk(-t, kernel.Phi)
    return left if tie == "left" else (kernel.dk(t, kernel.Phi) + left) / 2


def second_derivative(kernel: Kernel, t: Array, tie: str) -> Array:
    """k″(t), of t's shape, from the same side; k″ is even, so from the left it is that of −t.

    Raises ValueError if the kernel's row has no d2k.
    """
    if kernel.d2k is None:
        raise ValueError(
            f"kernel {kernel.name} has no d2k; second derivatives need this column of its row, "
            "d2k(t, Phi), the right second derivative"
        )
    right, left = (kernel.d2k(s * t, kernel.Phi) for s in (1, -1))
    if tie == "central":
        return (right + left) / 2
    return left if tie == "left" else right

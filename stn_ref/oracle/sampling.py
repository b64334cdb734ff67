"""What every dialect comes down to: a coordinate in pixels, what the padding does to it, Eq. 3.

A framework's function is translated to a `Sampling`: feature map, pixel coordinates, the map that
the framework's padding applies to them, and a kernel and padding of ours for the taps. Values and
gradients then are Eqs. 3, 6 and 7 in float64, at those coordinates or at others beside them
(`exact` has them to the last bit).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from stn_ref import backends
from stn_ref.equations import Kernel
from stn_ref.equations.arguments import Array
from stn_ref.equations.padding import nowhere

LARGE = 1 << 17  # from so many output values on, compiling loops costs less than doing without

# (x, size) ↦ where one axis's coordinates are taken to, and the slope of that map
AxisMap = Callable[[Array, int], tuple[Array, Array]]


class Layout(NamedTuple):
    """How a framework lays out what we have as (B, H, W, C) and (B, H', W', 2), or a volume."""

    value: Callable[[Array], Array]  # V, as the function returns it
    loss: Callable[[Array], Array]  # the gradient of that, as our dV
    images: Callable[[Array], Array]  # dU, as the function's images
    points: Callable[[Array], tuple[Array, ...]]  # the gradient of p, as its coordinates
    dtypes: tuple[Any, Any]  # of the images and of the coordinates


class Sampling(NamedTuple):
    """One call of some framework's function, in our terms."""

    U: Array  # (B, H, W, C), float64; (B, W, C) and (B, D, H, W, C) too
    p: Array  # (B, H', W', 2), float64: (x, y) in pixels, before padding; one an axis
    slope: tuple[float, ...]  # ∂p/∂ of the framework's own coordinates, for x and y
    kernel: Kernel
    layout: Layout
    padding: str = "zeros"
    fill: float = 0.0
    move: AxisMap | None = None  # what padding does to a coordinate
    rounds: Callable[[Array], Array] | None = None  # what rounds coordinates before Eq. 3
    folds: bool = False  # whether a point outside, however far, comes back to some pixel
    nowhere: float = np.nan  # the value of a point that is nowhere: NaN, or ±∞ where planes repeat
    rest: Array | float = 0.0  # what p is short of the exact coordinate
    roundoff: float | None = None  # that of the arithmetic, if it is not that of the images' dtype
    placing: float | None = 0.0  # that of p: 0 if it is given, None if it is the arithmetic's

    @property
    def sizes(self) -> tuple[int, ...]:
        """Width and height, in the order of p."""
        return self.U.shape[-2:0:-1]

    @property
    def axes(self) -> int:
        """How many a point has."""
        return len(self.sizes)

    @property
    def large(self) -> bool:
        """Whether there is so much to do that only compiled loops are quick about it."""
        return bool(self.p.size // self.axes * self.U.shape[-1] > LARGE)

    def padded(self, p: Array) -> tuple[Array, Array]:
        """Where the padding takes coordinates, and ∂ of that/∂p, both like p."""
        if self.move is None:
            return p, np.ones_like(p)
        with np.errstate(invalid="ignore"):
            pairs = [self.move(p[..., axis], size) for axis, size in enumerate(self.sizes)]
        x, slope = zip(*pairs, strict=True)
        return np.stack(x, axis=-1), np.stack(slope, axis=-1)

    def moved(self, p: Array) -> tuple[Array, Array]:
        """Where Eq. 3 samples, and ∂ of that/∂p, both like p."""
        xy, slope = self.padded(p)
        return (self.rounds(xy), 0 * slope) if self.rounds else (xy, slope)

    def value(self, p: Array | None = None, U: Array | None = None) -> Array:
        """V (B, H', W', C) by Eq. 3, float64; at other points or from another map if given."""
        xy, _ = self.moved(self.p if p is None else p)
        U = self.U if U is None else U
        V: Array = self._backend().sample(U, xy, **self._taps())
        if not np.isnan(self.nowhere):
            V[nowhere(xy, self.padding).any(axis=-1)] = self.nowhere
        return V

    def gradient(self, dV: Array, p: Array | None = None) -> tuple[Array, Array]:
        """dU by Eq. 6 and the gradient of the framework's coordinates by Eq. 7, float64."""
        xy, slope = self.moved(self.p if p is None else p)
        dU, dxy, _ = self._backend().sample_backward(dV, self.U, xy, **self._taps())
        lost = nowhere(xy, self.padding).any(axis=-1, keepdims=True)
        still = (slope == 0) | (lost & ~np.isnan(self.nowhere))
        with np.errstate(invalid="ignore"):
            return dU, np.where(still, 0.0, dxy * slope) * self.slope

    def _taps(self) -> dict[str, Any]:
        return {"kernel": self.kernel, "padding": self.padding, "fill": self.fill}

    def _backend(self) -> Any:
        return backends.get("cpu" if self.large else "reference")


def half_even(x: Array) -> Array:
    """The nearest integer, of two the even one."""
    nearest: Array = np.rint(x)
    return nearest


def half_up(x: Array) -> Array:
    """The nearest integer, of two the larger one."""
    below = np.floor(x)
    with np.errstate(invalid="ignore"):
        nearest: Array = below + (x - below >= 0.5)
    return nearest


def half_away(x: Array) -> Array:
    """The nearest integer, of two the one farther from zero."""
    below = np.floor(abs(x))
    with np.errstate(invalid="ignore"):
        nearest: Array = np.copysign(below + (abs(x) - below >= 0.5), x)
    return nearest


def clipped(x: Array, size: int) -> tuple[Array, Array]:
    """Onto 0 … size − 1. On the first and the last pixel it already counts as outside."""
    last = float(size - 1)
    inside = (x > 0) & (x < last)
    return np.clip(np.where(np.isnan(x), 0.0, x), 0.0, last), inside * 1.0


def mirrored(
    x: Array, size: int, low: float, high: float, most: float = np.inf
) -> tuple[Array, Array]:
    """Folded about low and high, then clipped; what is not finite goes to pixel 0.

    most  so many folds, and more, are taken for an even number
    """
    span = high - low
    if span == 0:
        return np.zeros_like(x), np.zeros_like(x)
    far = np.where(np.isfinite(x), x, low) - low
    extra, flips = np.fmod(abs(far), span), np.floor(abs(far) / span)
    odd = (np.fmod(flips, 2) != 0) & (flips < most)
    place = np.where(odd, span - extra, extra) + low
    sign = np.where(far < 0, -1.0, 1.0) * np.where(odd, -1.0, 1.0)
    place, inside = clipped(place, size)
    return place, sign * inside
